//! The sandbox: a node with an emulator's trust, which lets in whoever signs right and plays scenarios.
//!
//! What makes it one is its mark in the database. [`Sandbox::open`] is the only way to a [`Sandbox`], and
//! marks none but an untouched database; [`refuse`] keeps a marked one from every real node.

pub mod scenario;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use openssl::sha::sha256;
use serde_json::json;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::codec::node::Node;
use crate::codec::smev3::{About, Content, Fault, Request, SignatureFault};
use crate::exchange::sandbox::scenario::{Play, Scenario};
use crate::storage::audit::{self, Act};
use crate::storage::db::{Db, DbError};
use crate::storage::federal_system::{self, Described, SystemCertificate};
use crate::storage::ids::Ids;
use crate::storage::message_type::{self, MessageType, Root};
use crate::storage::sandbox;
use crate::trust::certificate::Facts;

/// Mnemonic of the emulator: of the node itself, and of the system that plays its scenarios.
pub const MNEMONIC: &str = "emu";

/// Longest mnemonic that is made of a name.
const MOST_MNEMONIC: usize = 40;

/// Why a database is not worked with. The text is for who started the process.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// It is not a sandbox's and has been used.
    #[error("в этой папке не песочница, а рабочая база данных: нужна новая или пустая папка")]
    Taken,
    /// It is a sandbox's.
    #[error(
        "это база данных песочницы, где подписи принимаются от кого угодно: узел с ней не запускается"
    )]
    Marked,
    /// The database failed.
    #[error("база данных не выполнила запрос")]
    Db(#[from] DbError),
}

/// Keeps a real node from the database of a sandbox.
///
/// # Errors
/// [`SandboxError::Marked`].
pub async fn refuse(db: &Db) -> Result<(), SandboxError> {
    if sandbox::is_marked(db).await? { Err(SandboxError::Marked) } else { Ok(()) }
}

/// Keeps a sandbox from every other database, before anything is changed there.
///
/// # Errors
/// [`SandboxError::Taken`].
pub async fn allow(db: &Db) -> Result<(), SandboxError> {
    if sandbox::may_be(db).await? { Ok(()) } else { Err(SandboxError::Taken) }
}

/// A sandbox.
#[derive(Debug)]
pub struct Sandbox {
    scenarios: PathBuf,
    /// What has been said of files that are no scenarios.
    told: StdMutex<HashMap<String, String>>,
    /// Requests of the emulator to systems that it has chosen.
    addressed: StdMutex<HashMap<Uuid, i64>>,
    /// Registers one system at a time.
    turn: Mutex<()>,
}

/// A fault that a scenario provokes.
#[derive(Clone, Debug)]
pub struct Provoked {
    name: String,
    reason: SignatureFault,
    message_id: String,
    root: scenario::Root,
}

impl Provoked {
    /// The fault, told to the owner of a certificate of this name.
    pub fn fault(&self, subject: &str) -> Fault {
        let root = (self.root.0.as_str(), self.root.1.as_str());
        let about = About { message_id: &self.message_id, root, subject, reason: self.reason };
        Fault::played(&self.name, &about).unwrap_or(Fault::SmevFailure)
    }
}

impl Sandbox {
    /// The sandbox of a database, which becomes one if it is untouched; its scenarios are in this folder.
    ///
    /// # Errors
    /// [`SandboxError::Taken`].
    pub async fn open(
        db: &Db,
        scenarios: PathBuf,
        now: DateTime<Utc>,
    ) -> Result<Arc<Self>, SandboxError> {
        allow(db).await?;
        let mut tx = db.begin().await?;
        sandbox::mark(&mut tx, now).await?;
        tx.commit().await?;
        let (told, addressed) = (StdMutex::default(), StdMutex::default());
        Ok(Arc::new(Self { scenarios, told, addressed, turn: Mutex::default() }))
    }

    /// The fault that a scenario provokes at the door, if any.
    pub(super) fn provoked(&self, request: &Request) -> Option<Provoked> {
        let (message_id, content, selected) = match request {
            Request::SendRequest(sent) => {
                (sent.message_id.as_str(), Some(&sent.data.content), None)
            }
            Request::SendResponse(sent) => match &sent.data.content {
                Content::Primary(content) => (sent.message_id.as_str(), Some(content), None),
                _ => (sent.message_id.as_str(), None, None),
            },
            Request::GetRequest(get) | Request::GetResponse(get) => ("", None, get.root.clone()),
            Request::Ack(ack) => (ack.message_id.as_str(), None, None),
            Request::GetStatus(_) | Request::Statistics(_) => ("", None, None),
        };
        let of_content = content.map(|node| (node.namespace.clone(), node.local.clone()));
        let root = of_content.or(selected);
        let (name, reason) = self.scenarios().into_iter().find_map(|scenario| {
            let root = root.as_ref().map(|(namespace, local)| (namespace.as_str(), local.as_str()));
            match &scenario.play {
                // Of two that fit the first counts, though it provokes nothing.
                _ if !scenario.fits(request.operation(), root, content) => None,
                Play::Fault(name, reason) => Some(Some((name.clone(), *reason))),
                Play::Answer(_) => Some(None),
            }
        })??;
        let (message_id, root) = (message_id.to_owned(), root.unwrap_or_default());
        Some(Provoked { name, reason, message_id, root })
    }

    /// The scenario by which a request is answered.
    pub fn answer_to(&self, content: &Node) -> Option<Scenario> {
        let root = (content.namespace.as_str(), content.local.as_str());
        let mut scenarios = self.scenarios().into_iter();
        scenarios.find(|scenario| scenario.fits("SendRequest", Some(root), Some(content)))
    }

    /// The scenarios as they are now. What is wrong with others goes to the log, once.
    fn scenarios(&self) -> Vec<Scenario> {
        let (scenarios, flawed) = scenario::read(&self.scenarios).unwrap_or_else(|error| {
            tracing::error!(%error, "Папка сценариев не читается");
            Default::default()
        });
        let flawed: HashMap<String, String> = flawed.into_iter().collect();
        let mut told = lock(&self.told);
        for (file, why) in flawed.iter().filter(|(file, why)| told.get(*file) != Some(why)) {
            tracing::error!("Сценарий {file} не действует: {why}");
        }
        *told = flawed;
        scenarios
    }

    /// Sends a request of the emulator to the system of this number, whoever answers such requests else.
    pub fn address(&self, message_id: Uuid, system: i64) {
        lock(&self.addressed).insert(message_id, system);
    }

    /// The system to which a request of the emulator was addressed.
    pub(super) fn addressee(&self, message_id: Uuid) -> Option<i64> {
        lock(&self.addressed).remove(&message_id)
    }

    /// Registers the system of a certificate that is not known.
    pub(super) async fn admit(
        &self,
        db: &Db,
        ids: &Ids,
        facts: &Facts,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let _turn = self.turn.lock().await;
        let fresh = ids.one("federal_system").await?;
        let mut tx = db.begin().await?;
        if federal_system::certificate_owner(&mut tx, &facts.sha256).await?.is_some() {
            return Ok(());
        }
        let mut mnemonic = mnemonic(facts);
        if federal_system::of_mnemonic(&mut tx, &mnemonic).await?.is_some() {
            mnemonic = format!("{mnemonic}-{}", &facts.sha256[..8]);
        }
        let name = format!("Тестовая система: {}", facts.subject);
        let name: String = name.chars().take(500).collect();
        let system = Described { mnemonic: &mnemonic, name: &name, vip: false, asks: true };
        let id = federal_system::save(&mut tx, fresh, system, now).await?;
        let certificate = SystemCertificate {
            sha256: facts.sha256.clone(),
            der: facts.der.clone(),
            subject: facts.subject.clone(),
            not_before: facts.not_before,
            not_after: facts.not_after,
        };
        federal_system::add_certificate(&mut tx, id, &certificate, now).await?;
        let object = format!("federal_system:{mnemonic}");
        let detail = json!({ "sha256": facts.sha256 }).to_string();
        let (actor, action) = (MNEMONIC.to_owned(), "sandbox.admit");
        let act = Act { actor, action, object, detail: Some(detail) };
        audit::append(&mut tx, now, vec![act]).await?;
        tx.commit().await?;
        tracing::info!("Новая тестовая система {mnemonic}: {}", facts.subject);
        Ok(())
    }

    /// Registers the kind of messages whose requests or answers have this root, if a scenario is for them.
    pub(super) async fn stage(
        &self,
        db: &Db,
        (namespace, local): (&str, &str),
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let is = |root: Option<&scenario::Root>| {
            root.is_some_and(|root| root.0 == namespace && root.1 == local)
        };
        let mut scenarios = self.scenarios().into_iter();
        let found = scenarios.find(|one| {
            one.operation == "SendRequest" && (is(one.root.as_ref()) || is(one.answered()))
        });
        let Some(found) = found else { return Ok(()) };
        let Some((namespace, request)) = &found.root else { return Ok(()) };
        let response = found.answered().map(|(_, local)| local.as_str());
        self.register(db, (namespace, request), response, now).await
    }

    /// Registers a kind of messages that the emulator answers; what root an answer has may not be known.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn register(
        &self,
        db: &Db,
        (namespace, request): (&str, &str),
        response: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let hash = sha256(format!("{namespace}\n{request}").as_bytes());
        let number = hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        let code = format!("{MNEMONIC}-{number:016x}");
        let mut tx = db.begin().await?;
        let Some(provider) = federal_system::of_mnemonic(&mut tx, MNEMONIC).await? else {
            return Ok(());
        };
        let title = request.to_owned();
        let kind = MessageType { code: code.clone(), title, provider, open_to_all: true };
        message_type::save(&mut tx, &kind, now).await?;
        let (namespace, request) = (namespace.to_owned(), request.to_owned());
        let response = response.unwrap_or_default().to_owned();
        let root = Root { namespace, request, response, code };
        // One that is another kind's stays so: an operator has described it.
        if message_type::add_root(&mut tx, &root).await? {
            tx.commit().await?;
        }
        Ok(())
    }
}

/// The mnemonic of an unknown system: the common name of its certificate, where it can be one.
fn mnemonic(facts: &Facts) -> String {
    let name = facts.subject.split(", ").find_map(|part| part.strip_prefix("CN="));
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match name {
        Some(name) if (1..=MOST_MNEMONIC).contains(&name.len()) && name.chars().all(sound) => {
            name.to_owned()
        }
        _ => format!("IS-{}", &facts.sha256[..8]),
    }
}

fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
