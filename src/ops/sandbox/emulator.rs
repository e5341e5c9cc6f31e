//! The other side: the system `emu` answers requests by scenarios, asks what is put into its folder, and keeps
//! what it is answered. To the node it is a system as any other: it calls the same doors.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Client;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::codec::smev3::client::{
    Incoming, Question, Returned, Selector, ack, get_request, get_response, incoming, returned,
    send_request, send_response,
};
use crate::codec::smev3::{Provided, Told, Version};
use crate::exchange::Exchange;
use crate::exchange::adapter::{Answer, Link};
use crate::exchange::sandbox::Sandbox;
use crate::exchange::sandbox::scenario::{self, Last, Play};
use crate::ops::demo::Stage;
use crate::ops::federal_client::{Messages, failed};
use crate::ops::sandbox::Folder;
use crate::storage::federal_system;
use crate::storage::mailbox;

/// How often queues and folder are looked at.
const PAUSE: Duration = Duration::from_millis(300);

/// How long a file that is no XML may still be in the making.
const IN_THE_MAKING: Duration = Duration::from_secs(2);

/// Ends of the names of files: of a request that was sent, and of one that could not be.
const SENT: &str = ".request.xml";
const REFUSED: &str = "refused";

/// The system `emu`. Cheap to clone.
#[derive(Clone)]
pub struct Emulator(Arc<Inner>);

struct Inner {
    exchange: Exchange,
    sandbox: Arc<Sandbox>,
    folder: Folder,
    links: [Link; 3],
    messages: Messages,
    /// Files of which it has been said that they wait.
    waiting: Mutex<HashSet<PathBuf>>,
}

impl Emulator {
    /// The emulator of the sandbox on this stage.
    ///
    /// # Errors
    /// When the stage is no sandbox.
    pub fn new(stage: &Stage, folder: Folder) -> Result<Self> {
        let exchange = stage.exchange.clone();
        let sandbox = Arc::clone(exchange.sandbox().context("это не песочница")?);
        let signer = Arc::clone(exchange.signer());
        let (client, address) = (Client::new(), stage.address);
        let links = Version::ALL.map(|version| {
            let url = format!("http://{address}/ws/smev/{}", version.as_str());
            Link::new(client.clone(), url, version, Arc::clone(&signer))
        });
        let messages = Messages::of(Version::V13, signer, exchange.clock());
        let waiting = Mutex::default();
        Ok(Self(Arc::new(Inner { exchange, sandbox, folder, links, messages, waiting })))
    }

    /// Works without end. What waits for its delay is broken off with it.
    pub async fn run(&self) {
        let mut answering = JoinSet::new();
        loop {
            if let Err(error) = self.turn(&mut answering).await {
                tracing::error!("Песочница: {error:#}");
            }
            while answering.try_join_next().is_some() {}
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn turn(&self, answering: &mut JoinSet<()>) -> Result<()> {
        while let Some(request) = self.next_request().await? {
            let one = self.clone();
            answering.spawn(async move {
                let id = request.message_id;
                if let Err(error) = one.answer(request).await {
                    tracing::error!("Запрос {id} остался без ответа: {error:#}");
                }
            });
        }
        while let Some((found, answer)) = self.next_response().await? {
            self.keep(&found, &answer)?;
            self.confirm(found.message_id).await?;
        }
        self.send_files().await
    }

    /// The link of a version, by its name.
    fn link(&self, version: &str) -> &Link {
        let [.., latest] = &self.0.links;
        let mut links = self.0.links.iter();
        links.find(|link| link.version().as_str() == version).unwrap_or(latest)
    }

    async fn call(&self, link: &Link, operation: &str, envelope: &str) -> Result<Answer> {
        link.call(operation, envelope).await.map_err(|error| failed(operation, &error))
    }

    fn selector(&self) -> Selector<'static> {
        Selector { root: None, node: None, at: self.0.exchange.clock().now() }
    }

    async fn next_request(&self) -> Result<Option<Incoming>> {
        let link = self.link("");
        let call = get_request(link.version(), &self.selector());
        let answer = self.call(link, "GetRequest", &call).await?;
        let Some(body) = &answer.body else { return Ok(None) };
        Ok(incoming(link.version(), body)?)
    }

    async fn next_response(&self) -> Result<Option<(Returned, Answer)>> {
        let link = self.link("");
        let call = get_response(link.version(), &self.selector());
        let answer = self.call(link, "GetResponse", &call).await?;
        let Some(body) = &answer.body else { return Ok(None) };
        Ok(returned(link.version(), body)?.map(|found| (found, answer)))
    }

    async fn confirm(&self, id: Uuid) -> Result<()> {
        let link = self.link("");
        self.call(link, "Ack", &ack(link.version(), id, true)).await.map(|_| ())
    }

    /// Answers a request by the scenario that is for it, in the version in which it was asked.
    async fn answer(&self, request: Incoming) -> Result<()> {
        let to = request.reply_to.as_deref().context("в запросе нет обратного адреса")?;
        let mut tx = self.0.exchange.db().begin_read().await?;
        let asked = mailbox::open_request(&mut tx, request.message_id).await?;
        tx.commit().await?;
        let link = self.link(asked.as_ref().map_or("", |asked| &asked.version));
        let content = request.sent.as_ref().ok().map(|sent| &sent.data.content);
        let scenario = content.and_then(|content| self.0.sandbox.answer_to(content));
        let name = scenario.as_ref().map(|scenario| scenario.name.clone());
        match scenario.map(|scenario| scenario.play) {
            Some(Play::Answer(answer)) => {
                if let Some((code, text)) = &answer.status {
                    self.tell(link, to, Told::Progress(*code, text)).await?;
                }
                tokio::time::sleep(answer.delay).await;
                match &answer.last {
                    Some(Last::Content(content, _)) => {
                        self.tell(link, to, Told::Content(content, &[])).await?;
                    }
                    Some(Last::Rejected(code, text)) => {
                        self.tell(link, to, Told::Rejected(code, text)).await?;
                    }
                    None => {}
                }
            }
            // The scenarios have changed since the door took the request.
            Some(Play::Fault(..)) | None => {
                let text = "В песочнице нет действующего сценария ответа на такой запрос";
                self.tell(link, to, Told::Rejected("UNKNOWN_REQUEST_DESCRIPTION", text)).await?;
            }
        }
        self.confirm(request.message_id).await?;
        let scenario = name.as_deref().unwrap_or("нет");
        tracing::info!("Ответ на запрос {}; сценарий: {scenario}", request.message_id);
        Ok(())
    }

    async fn tell(&self, link: &Link, to: &str, told: Told<'_>) -> Result<()> {
        let provided = Provided { message_id: self.0.messages.new_id(), to, told };
        let envelope = send_response(link.version(), &provided, &[]);
        self.call(link, "SendResponse", &envelope).await.map(|_| ())
    }

    /// Sends what was put into the folders of systems.
    async fn send_files(&self) -> Result<()> {
        for folder in listed(&self.0.folder.requests())?.into_iter().filter(|path| path.is_dir()) {
            let mnemonic = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for file in listed(&folder)? {
                if file.extension().is_some_and(|extension| extension == "xml")
                    && let Err(error) = self.send_file(&mnemonic, &file).await
                {
                    self.refuse(&file, &format!("{error:#}"))?;
                }
            }
        }
        Ok(())
    }

    async fn send_file(&self, mnemonic: &str, file: &Path) -> Result<()> {
        let document = fs::read(file)?;
        let (content, root) = match scenario::element(&document) {
            Ok(read) => read,
            Err(_) if is_young(file) => return Ok(()),
            Err(why) => bail!("это не XML: {why}"),
        };
        let Some(system) = self.number_of(mnemonic).await? else {
            let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.insert(file.to_owned()) {
                tracing::warn!(
                    "Запрос {} ждёт: система {mnemonic} к песочнице ещё не обращалась",
                    file.display()
                );
            }
            return Ok(());
        };
        let inner = &self.0;
        let (db, now) = (inner.exchange.db(), inner.exchange.clock().now());
        inner.sandbox.register(db, (&root.0, &root.1), None, now).await?;
        let id = inner.messages.new_id();
        let question = Question {
            message_id: id,
            reference_id: id,
            transaction_code: None,
            node: None,
            end_of_life: None,
            content: &content,
            headers: &[],
            test: true,
        };
        inner.sandbox.address(id, system);
        let link = self.link("");
        let envelope = send_request(link.version(), &question, &[]);
        self.call(link, "SendRequest", &envelope).await?;
        let sent = format!("{}.{id}{SENT}", stem(file));
        fs::rename(file, inner.folder.answers().join(sent))?;
        tracing::info!("Запрос {id} из {} поставлен в очередь {mnemonic}", file.display());
        Ok(())
    }

    async fn number_of(&self, mnemonic: &str) -> Result<Option<i64>> {
        let systems = federal_system::list(self.0.exchange.db()).await?;
        let mut systems = systems.into_iter();
        Ok(systems.find(|system| system.mnemonic == mnemonic).map(|system| system.id))
    }

    /// Puts a request that cannot be sent aside, and says why.
    fn refuse(&self, file: &Path, why: &str) -> Result<()> {
        tracing::error!("Запрос {} не отправлен: {why}", file.display());
        fs::rename(file, file.with_extension(REFUSED))?;
        let told = self.0.folder.answers().join(format!("{}.error.txt", stem(file)));
        fs::write(told, format!("{why}\n"))?;
        Ok(())
    }

    /// Writes an answer beside the request that it answers.
    fn keep(&self, found: &Returned, answer: &Answer) -> Result<()> {
        let folder = self.0.folder.answers();
        let original = found.original_id.unwrap_or_default();
        let end = format!(".{original}{SENT}");
        let sent = listed(&folder)?.into_iter().find_map(|path| {
            let name = path.file_name()?.to_string_lossy().into_owned();
            name.strip_suffix(&end).map(str::to_owned)
        });
        let name = sent.unwrap_or_else(|| "unknown".to_owned());
        let file = folder.join(format!("{name}.{original}.{}.answer.xml", found.message_id));
        fs::write(&file, &answer.document)?;
        tracing::info!("Ответ на запрос {original}: {}", file.display());
        Ok(())
    }
}

/// What is in a folder, by name.
fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Name of a file without its last extension.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether somebody may still be writing a file.
fn is_young(file: &Path) -> bool {
    let changed = fs::metadata(file).and_then(|about| about.modified());
    changed.ok().and_then(|at| at.elapsed().ok()).is_none_or(|age| age < IN_THE_MAKING)
}
