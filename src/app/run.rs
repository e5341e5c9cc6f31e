//! From a parsed command line to the function that does it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::check;
use crate::app::cli::{
    self, Ask, Audit, Authority, Cli, Command, Demo, Dictionary, Federal, JudgeBy, KeyBy, Package,
    PackageFilter, PackageName, Signature, Supplier,
};
use crate::app::sandbox;
use crate::app::service::{Roles, Service};
use crate::codec::form::Element;
use crate::config::Config;
use crate::exchange::admin::{Admin, NewKind, NewSupplier};
use crate::exchange::replay::{self, Request};
use crate::model::clock::Clock;
use crate::model::ids::PackageNo;
use crate::model::package::State;
use crate::ops;
use crate::ops::demo;
use crate::ops::federal_client::Asking;
use crate::ops::output::say;
use crate::ops::package::Chosen;
use crate::ops::signature::{Key, Order};
use crate::ops::simulate::{self, Region};
use crate::storage::db::Db;
use crate::storage::disclosure;
use crate::storage::federal_system::Described;
use crate::storage::ids::Ids;
use crate::storage::journal::list::Filter;
use crate::storage::migrate;
use crate::telemetry::{LogFormat, start_logging};
use crate::trust::pkcs11::Locator;

/// Connections of a command that works on the database itself.
const CONNECTIONS: u32 = 2;

/// What commands other than `serve` write to the log.
const COMMAND_LOG: &str = "warn";

/// What the demonstration writes to the log: its keys are made on the spot, which is no news.
const DEMO_LOG: &str = "error";

/// Does what the command line says; says whether the answer is good.
///
/// # Errors
/// Whatever kept the command from answering.
pub async fn dispatch(cli: Cli) -> Result<bool> {
    match cli.command {
        Command::Serve(_) | Command::Sandbox(_) => {}
        Command::Demo(_) => start_logging(DEMO_LOG, LogFormat::Text),
        _ => start_logging(COMMAND_LOG, LogFormat::Text),
    }
    let config = || Config::load(cli.config.as_deref());
    let desk = async || Desk::open(&config()?, cli.actor.clone()).await;
    match cli.command {
        Command::Simulate(options) => {
            let region = Region::new(options.seed, options.learners);
            let now = Clock::System.now();
            simulate::run(region, options.days, options.one_package, &options.out, now)?;
            Ok(true)
        }
        Command::Demo(ref options) => demo(options).await,
        Command::Sandbox(ref options) => sandbox::run(options).await,
        Command::Bench(ref options) => ops::bench::run(&plan(options), Clock::System).await,
        Command::Serve(ref options) => serve(&config()?, &Roles::named(&options.roles)).await,
        Command::Migrate => migrate(&config()?).await,
        Command::CheckConfig => check::report(&config()?, Clock::System.now()),
        Command::Package(ref command) => package(&cli, command).await,
        Command::Signature(ref command) => signature(command),
        Command::Supplier(command) => supplier(&desk().await?, command).await,
        Command::Federal(Federal::Ask(ref ask)) => federal_ask(ask).await,
        Command::Federal(command) => federal(&desk().await?, command).await,
        Command::Authority(command) => authority(&desk().await?, command).await,
        Command::Dictionary(command) => dictionary(&desk().await?, command).await,
        Command::Audit(Audit::Verify { json }) => ops::audit::verify(&desk().await?.db, json).await,
    }
}

/// The workshop, which needs neither configuration nor database.
fn signature(command: &Signature) -> Result<bool> {
    let judge = |by: &JudgeBy| ops::signature::Judge {
        trust: by.trust.clone(),
        crls: by.crl.clone(),
        at: by.at.unwrap_or_else(|| Clock::System.now()),
        archive: by.archive,
    };
    match command {
        Signature::Verify { files, judge: by } => {
            ops::signature::verify(files, &by.profile, &judge(by))
        }
        Signature::Explain { file, judge: by, stages } => {
            ops::signature::explain(file, &by.profile, &judge(by), stages.as_deref())
        }
        Signature::Sign { file, profile, key, algorithm, smev, personal, output } => {
            let (profile, algorithm) = (profile.clone(), *algorithm);
            let order = Order { profile, algorithm, smev: *smev, personal: *personal };
            ops::signature::sign(file, &order, &signing_key(key)?, output.as_deref())?;
            Ok(true)
        }
        Signature::Transform { file, stage, method, prefixes, id, enveloped } => {
            let form = ops::signature::form(stage == "smev", method, prefixes.as_deref())?;
            let chosen = Element { id: id.as_deref(), unsigned: *enveloped };
            ops::signature::transform(file, &form, chosen, std::io::stdout().lock())?;
            Ok(true)
        }
    }
}

/// The key that the options name.
fn signing_key(by: &KeyBy) -> Result<Key> {
    let KeyBy { key, certificate, pkcs12, password_file, pkcs11_module, token, token_key } = by;
    let certificate = certificate.clone();
    if let Some(file) = pkcs12 {
        return Ok(Key::Pkcs12 { file: file.clone(), password: password_file.clone() });
    }
    if let (Some(module), Some(token), Some(key), Some(pin_file), Some(certificate)) =
        (pkcs11_module, token, token_key, password_file, &certificate)
    {
        let (module, token) = (module.clone(), token.clone());
        let locator = Locator { module, token, key: key.clone(), pin_file: pin_file.clone() };
        return Ok(Key::Token(locator, certificate.clone()));
    }
    match (key.clone(), certificate) {
        (Some(key), Some(certificate)) => {
            Ok(Key::Pem { key, certificate, password: password_file.clone() })
        }
        _ => bail!("нужен ключ: --key и --certificate, --pkcs12 или --pkcs11-module"),
    }
}

/// Plays the demonstration on a service of its own; without `--once` keeps it running.
async fn demo(options: &Demo) -> Result<bool> {
    let temporary = tempfile::tempdir()?;
    let data = options.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    let mut config = Config::embedded(data);
    config.http.listen.set_port(options.port);
    config.worker.gap_wait_seconds = demo::GAP_WAIT_SECONDS;
    let service = Service::start(&config, Roles::ALL, Clock::System).await?;
    let exchange = service.exchange().clone();
    let stage = demo::Stage { address: service.address, health: service.health, exchange };
    let what =
        demo::Options { large: options.size == "region", json: options.json, once: options.once };
    let good = demo::run(&stage, what).await?;
    if !options.once {
        if !options.json {
            say("\nСистема работает. Остановить: Ctrl+C.");
        }
        tokio::signal::ctrl_c().await?;
    }
    service.stop().await;
    Ok(good)
}

/// Runs the service until it is told to end.
async fn serve(config: &Config, roles: &Roles) -> Result<bool> {
    start_logging(&config.log.filter, config.log.format);
    let mut terminate = signal(SignalKind::terminate())?;
    let service = Service::start(config, *roles, Clock::System).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    tracing::info!("stopping: the doors close, what was taken is finished");
    service.stop().await;
    Ok(true)
}

/// Where an administrator works.
struct Desk {
    db: Db,
    admin: Admin,
    clock: Clock,
}

impl Desk {
    /// Opens the configured database, its schema brought up to date.
    async fn open(config: &Config, actor: String) -> Result<Self> {
        let db = open_database(config).await?;
        let clock = Clock::System;
        let admin = Admin::new(db.clone(), clock, actor).with_trust(config.trust.folder.clone());
        let admin = if config.federal.answers { admin } else { admin.without_own_answers() };
        Ok(Self { db, admin, clock })
    }
}

/// Connects to the configured database and brings its schema up to date.
async fn open_database(config: &Config) -> Result<Db> {
    let db = connect(config).await?;
    migrate::migrate(&db).await.context("схему базы данных не удалось обновить")?;
    Ok(db)
}

async fn connect(config: &Config) -> Result<Db> {
    let url = config.database_url()?;
    if url.starts_with("sqlite:") {
        std::fs::create_dir_all(&config.data)
            .with_context(|| format!("не удалось создать папку {}", config.data.display()))?;
    }
    Db::connect(&url, CONNECTIONS).await.context("база данных недоступна")
}

async fn migrate(config: &Config) -> Result<bool> {
    let db = connect(config).await?;
    let applied = migrate::migrate(&db).await.context("схему базы данных не удалось обновить")?;
    if applied.is_empty() {
        say("Схема базы данных в порядке, обновлять нечего.");
    }
    for name in applied {
        say(format!("Применено: {name}"));
    }
    Ok(true)
}

fn plan(options: &cli::Bench) -> ops::bench::Plan {
    let cli::Bench { what, database, broker, python, persons, divide, json } = options.clone();
    ops::bench::Plan { what, database, broker, persons, divide: divide.max(1), python, json }
}

async fn package(cli: &Cli, command: &Package) -> Result<bool> {
    let config = || Config::load(cli.config.as_deref());
    match command {
        Package::Send { files, to, authority, retries, json } => {
            let gateway = ops::package::Gateway::new(to, authority.as_deref())?;
            return ops::package::send(&gateway, files, *retries, *json).await;
        }
        Package::Validate { files, authority, strict_checksums, json } => {
            let now = Clock::System.now();
            return ops::package::validate(files, authority, *strict_checksums, *json, now);
        }
        Package::Replay { package, filter, reason, approve } => {
            let db = open_database(&config()?).await?;
            let desk = replay::Desk { db: &db, ids: &Ids::new(db.clone()), clock: Clock::System };
            let chosen = package.as_ref().map(|package| Chosen {
                package: package.clone(),
                supplier: filter.supplier.clone(),
            });
            let request =
                Request { reason: reason.clone(), actor: cli.actor.clone(), approved: *approve };
            let page = (&conditions(filter), filter.limit);
            ops::package::replay(desk, chosen.as_ref(), page, &request, filter.json).await?;
        }
        Package::List(filter) => {
            let db = open_database(&config()?).await?;
            ops::package::list(&db, &conditions(filter), filter.limit, filter.json).await?;
        }
        Package::Show { package, findings } => {
            let db = open_database(&config()?).await?;
            ops::package::show(&db, &chosen(package), u64::from(*findings), package.json).await?;
        }
        Package::Status(package) => {
            let db = open_database(&config()?).await?;
            ops::package::status(&db, &chosen(package), package.json).await?;
        }
        Package::Receipt(package) => {
            let db = open_database(&config()?).await?;
            ops::package::receipt(&db, &chosen(package), package.json).await?;
        }
    }
    Ok(true)
}

fn chosen(name: &PackageName) -> Chosen {
    Chosen { package: name.package.clone(), supplier: name.supplier.clone() }
}

fn conditions(filter: &PackageFilter) -> Filter {
    Filter {
        state: filter.state.as_deref().and_then(State::parse),
        supplier: filter.supplier.clone(),
        code: filter.code.clone(),
        since: filter.since,
        until: filter.until,
        before: filter.before.map(PackageNo),
    }
}

async fn supplier(desk: &Desk, command: Supplier) -> Result<bool> {
    let (admin, now) = (&desk.admin, desk.clock.now());
    match command {
        Supplier::Add {
            mnemonic,
            name,
            kind,
            certificate,
            limited,
            strict_checksums,
            test_packages,
            other_encodings,
        } => {
            let new = NewSupplier {
                mnemonic,
                name,
                kind,
                limited,
                strict_checksums,
                test_packages,
                other_encodings,
            };
            ops::supplier::add(admin, &new, &certificate, now).await?;
        }
        Supplier::List { json } => ops::supplier::list(&desk.db, json, now).await?,
        Supplier::AddCertificate { mnemonic, certificate } => {
            ops::supplier::add_certificate(admin, &mnemonic, &certificate, now).await?;
        }
        Supplier::WithdrawCertificate { sha256 } => {
            ops::supplier::withdraw_certificate(admin, &sha256).await?;
        }
        Supplier::Candidates { json } => ops::supplier::candidates(&desk.db, json).await?,
        Supplier::Approve { sha256 } => ops::supplier::approve(admin, &sha256, now).await?,
        Supplier::Dismiss { sha256 } => ops::supplier::dismiss(admin, &sha256).await?,
        Supplier::Block { mnemonic } => ops::supplier::block(admin, &mnemonic, true).await?,
        Supplier::Unblock { mnemonic } => ops::supplier::block(admin, &mnemonic, false).await?,
        Supplier::Grant { mnemonic, organisation } => {
            ops::supplier::grant(admin, &mnemonic, organisation).await?;
        }
    }
    Ok(true)
}

async fn federal(desk: &Desk, command: Federal) -> Result<bool> {
    match command {
        Federal::Add { mnemonic, name, certificate, vip, questions, no_questions } => {
            let now = desk.clock.now();
            let told = (questions || no_questions).then_some(questions);
            let known = ops::federal_system::known(&desk.db, &mnemonic).await?;
            let (vip, asks) = ops::federal_system::rights(known.as_ref(), vip, told);
            let system = Described { mnemonic: &mnemonic, name: &name, vip, asks };
            ops::federal_system::add(&desk.admin, system, &certificate, now).await?;
        }
        Federal::List { json } => {
            ops::federal_system::list(&desk.db, json, desk.clock.now()).await?;
        }
        Federal::Block { mnemonic } => {
            ops::federal_system::block(&desk.admin, &mnemonic, true).await?;
        }
        Federal::Unblock { mnemonic } => {
            ops::federal_system::block(&desk.admin, &mnemonic, false).await?;
        }
        Federal::AddKind { code, title, provider, namespace, request, response, open } => {
            let new = NewKind {
                code: &code,
                title: &title,
                provider: &provider,
                namespace: &namespace,
                request: &request,
                response: &response,
                open_to_all: open,
            };
            ops::federal_system::add_kind(&desk.admin, new).await?;
        }
        Federal::GrantKind { code, mnemonic } => {
            ops::federal_system::grant_kind(&desk.admin, &code, &mnemonic).await?;
        }
        Federal::StoreAccount { mnemonic } => {
            ops::federal_system::store_account(&desk.admin, &mnemonic).await?;
        }
        Federal::Kinds { json } => ops::federal_system::kinds(&desk.db, json).await?,
        Federal::Queues { json } => {
            ops::federal_system::queues(&desk.db, json, desk.clock.now()).await?;
        }
        Federal::Remote { again: Some(request), .. } => {
            ops::federal_remote::send_again(&desk.admin, request).await?;
        }
        Federal::Remote { again: None, json } => ops::federal_remote::show(&desk.db, json).await?,
        Federal::Disclosures(wanted) => disclosures(desk, wanted).await?,
        Federal::Ask(ref ask) => return federal_ask(ask).await,
    }
    Ok(true)
}

async fn disclosures(desk: &Desk, wanted: cli::Disclosures) -> Result<()> {
    let cli::Disclosures { person, system, since, until, limit, before, json } = wanted;
    let person = person.as_deref().map(ops::federal_disclosures::about).transpose()?;
    let filter = disclosure::Filter { person, system, since, until, before };
    ops::federal_disclosures::list(&desk.admin, &filter, limit, json).await
}

/// Asks a node of the exchange, without a database of our own.
async fn federal_ask(ask: &Ask) -> Result<bool> {
    // Nodes of SMEV expect the signer's certificate alone.
    let signer = signing_key(&ask.key)?.signer()?.with_issuers(&[]);
    let Ask { root, inside, purpose, test, .. } = ask;
    let asking = Asking { root, inside, purpose, test: *test };
    let judge = ask.trust.clone().map(|trust| ops::signature::Judge {
        trust,
        crls: Vec::new(),
        at: Clock::System.now(),
        archive: false,
    });
    let trust = judge.map(|judge| judge.store()).transpose()?;
    let (node, wait) = ((ask.to.as_str(), ask.exchange), Duration::from_secs(ask.wait));
    ops::federal_client::ask(node, signer, trust.as_ref(), &asking, wait).await?;
    Ok(true)
}

async fn authority(desk: &Desk, command: Authority) -> Result<bool> {
    let now = desk.clock.now();
    match command {
        Authority::Add { certificate } => {
            ops::authority::add(&desk.admin, &certificate, now).await?;
        }
        Authority::Remove { sha256 } => ops::authority::remove(&desk.admin, &sha256).await?,
        Authority::List { json } => ops::authority::list(&desk.db, json, now).await?,
    }
    Ok(true)
}

async fn dictionary(desk: &Desk, command: Dictionary) -> Result<bool> {
    match command {
        Dictionary::List { name, json } => {
            ops::dictionary::list(&desk.db, name.as_deref(), json).await?;
        }
        Dictionary::Load { file } => ops::dictionary::load(&desk.admin, &file).await?,
        Dictionary::Map { supplier, dictionary, foreign, code } => {
            ops::dictionary::map(&desk.admin, &supplier, &dictionary, &foreign, &code).await?;
        }
    }
    Ok(true)
}
