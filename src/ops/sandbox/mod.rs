//! `kontingent sandbox`: what is in its folder, made at the first start, and what it says of itself.

mod emulator;
mod examples;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::exchange::admin::Admin;
use crate::exchange::sandbox::MNEMONIC;
use crate::ops::demo::Stage;
use crate::ops::demo::cast;
use crate::ops::demo::delivery::Courier;
use crate::ops::federal_client::Messages;
use crate::ops::output::say;
use crate::ops::simulate::Region;
use crate::ops::simulate::keys::{FEDERAL, Keys};
use crate::ops::simulate::people::Who;
use crate::storage::federal_system::Described;
use crate::trust::Signer;
use crate::trust::certificate::Facts;

pub use emulator::Emulator;

/// Learners of the region.
const LEARNERS: u64 = 120;

/// Persons named at the start.
const NAMED: usize = 3;

/// The folder of a sandbox.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at this path.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Scenarios, written by the integrator.
    pub fn scenarios(&self) -> PathBuf {
        self.0.join("scenarios")
    }

    /// Requests to systems, each in the folder of its mnemonic.
    fn requests(&self) -> PathBuf {
        self.0.join("requests")
    }

    /// What became of them.
    fn answers(&self) -> PathBuf {
        self.0.join("answers")
    }

    fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// Persons of the region. Written last: with it the folder is complete.
    fn persons(&self) -> PathBuf {
        self.0.join("persons.csv")
    }

    /// A signed request to be sent with curl, fresh at each start.
    fn example(&self) -> PathBuf {
        self.0.join("example.xml")
    }

    /// Certificate with which the node signs.
    fn certificate(&self) -> PathBuf {
        self.0.join("signing-certificate.pem")
    }
}

/// Makes what is missing: folders, examples, keys, a synthetic region, the system that plays scenarios.
///
/// # Errors
/// When something cannot be written, or the region is not taken.
pub async fn prepare(stage: &Stage, folder: &Folder) -> Result<()> {
    for path in [folder.requests(), folder.answers(), folder.keys()] {
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
    }
    if !folder.scenarios().exists() {
        fs::create_dir_all(folder.scenarios())?;
        examples::write(&folder.scenarios())?;
    }
    let exchange = &stage.exchange;
    let admin = Admin::new(exchange.db().clone(), exchange.clock(), MNEMONIC.to_owned());
    let own = Facts::read(exchange.signer().certificate_der())?;
    let name = "Песочница: ответы по сценариям";
    let system = Described { mnemonic: MNEMONIC, name, vip: false, asks: true };
    admin.register_system(system, &own).await?;
    if folder.persons().exists() {
        return Ok(());
    }
    let now = exchange.clock().now();
    // Another region when the first start was broken off: its packages have other ids then.
    let region = Region::new(now.timestamp().unsigned_abs(), LEARNERS);
    let keys = Keys::make(now)?;
    keys.save(&folder.keys())?;
    cast::register(exchange, &keys).await?;
    let courier = Courier::new(stage, &keys);
    courier.send(&region.packages(1)).await?;
    courier.wait_until_processed().await?;
    let written = folder.persons().with_extension("partial");
    fs::write(&written, persons(&region))?;
    fs::rename(&written, folder.persons())?;
    Ok(())
}

/// Learners whose data have no flaw, as a table. Those of whom a second supplier writes the name otherwise are
/// left out: the registry may have it as that one does.
fn persons(region: &Region) -> String {
    let mut table = String::from("СНИЛС;Фамилия;Имя;Отчество;Дата рождения\n");
    let plain = |learner: &u64| {
        region.flaw_of(*learner).is_none() && region.arts_house_of(*learner).is_none()
    };
    for learner in (0..region.learners).filter(plain) {
        let Some(snils) = region.snils(Who::Learner(learner)) else { continue };
        let one = region.identity(Who::Learner(learner));
        let line = [snils, one.last, one.first, one.middle, one.born.to_string()].join(";");
        table.push_str(&line);
        table.push('\n');
    }
    table
}

/// Says where everything is and how to begin.
///
/// # Errors
/// When the folder cannot be read, or the example cannot be written.
pub fn welcome(stage: &Stage, folder: &Folder) -> Result<()> {
    let address = format!("http://{}/ws/smev", stage.address);
    let table = fs::read_to_string(folder.persons())?;
    let persons: Vec<&str> = table.lines().skip(1).take(NAMED).collect();
    let snils = persons.first().and_then(|line| line.split(';').next()).unwrap_or_default();
    let inside = format!("<Snils>{snils}</Snils>");
    example(stage, folder, &inside)?;
    let shown = |path: PathBuf| path.display().to_string();
    let (key, certificate) = (key_file(folder, "key"), key_file(folder, "crt"));
    say(
        "Песочница работает: узел СМЭВ 3 для проверки клиентов и поставщиков. Только для проверок:",
    );
    say("подписи проверяются как в рабочем узле, но принимается любой действующий сертификат.");
    say(format!(
        "  адреса            {address}/1.1, {address}/1.2, {address}/1.3 (описание: ?wsdl)"
    ));
    say(format!("  очереди           http://{}/queues", stage.address));
    say(format!("  сертификат узла   {}", shown(folder.certificate())));
    say(format!("  сценарии ответов  {}", shown(folder.scenarios())));
    say(format!("  запросы от {MNEMONIC}    {}/МНЕМОНИКА/*.xml", shown(folder.requests())));
    say(format!("  ответы на них     {}", shown(folder.answers())));
    say(format!("  люди              {}; например:", shown(folder.persons())));
    for person in &persons {
        say(format!("                    {}", person.replace(';', " ")));
    }
    say("Спросить о человеке (ключ — из папки песочницы, годится и любой свой):");
    say(format!(
        "  kontingent federal ask GetPersonBySnilsRequest '{inside}' --purpose Проверка --test \\\n    \
         --to {address}/1.3 --key {} --certificate {}",
        quoted(&key),
        quoted(&certificate)
    ));
    say("Отправить подписанный запрос (один раз: идентификатор сообщения разовый):");
    say(format!(
        "  curl -H 'Content-Type: text/xml; charset=utf-8' --data-binary @{} {address}/1.3",
        quoted(&folder.example())
    ));
    if !stage.address.ip().is_loopback() {
        say("ВНИМАНИЕ: песочница доступна из сети, и войти в неё может любой.");
    }
    say("Остановить: Ctrl+C.");
    Ok(())
}

/// Writes a signed request that can be sent as it is.
fn example(stage: &Stage, folder: &Folder, inside: &str) -> Result<()> {
    let read = |path: PathBuf| fs::read(&path).with_context(|| path.display().to_string());
    let signer =
        Signer::from_pem(&read(key_file(folder, "key"))?, &read(key_file(folder, "crt"))?)?;
    let messages = Messages::new(signer, stage.exchange.clock());
    let (_, message) = messages.ask("GetPersonBySnilsRequest", inside, "Проверка")?;
    fs::write(folder.example(), message)?;
    Ok(())
}

/// Key or certificate of the system that is registered beforehand.
fn key_file(folder: &Folder, extension: &str) -> PathBuf {
    folder.keys().join(FEDERAL).with_extension(extension)
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}
