//! The sentences of the system: accept, process, answer, replay, relay, sweep.
//! Transactions begin and end here.

pub mod accept;
pub mod adapter;
pub mod admin;
pub mod apply;
pub mod closing;
mod commit;
mod crowd;
mod cursor;
pub mod delivery;
pub mod desk;
mod disclosed;
pub mod document;
pub mod evidence;
mod examine;
pub mod expiry;
mod members;
mod parties;
pub mod process;
pub mod query;
pub mod question;
pub mod receipt;
mod refused;
pub mod relay;
pub mod replay;
pub mod revocation;
pub mod sandbox;
pub mod seal;
pub mod silence;
pub mod statistics;
pub mod sweep;
pub mod timestamp;
pub mod workshop;

use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use tokio::sync::{Mutex, Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::Doorbell;
use crate::codec::xmldsig::Profile;
use crate::exchange::apply::Registry;
use crate::exchange::commit::Pending;
use crate::exchange::delivery::Settings;
use crate::exchange::expiry::Dated;
use crate::exchange::parties::Parties;
use crate::exchange::sandbox::Sandbox;
use crate::model::clock::Clock;
use crate::model::refusal::Refusal;
use crate::storage::db::{Db, DbError};
use crate::storage::ids::Ids;
use crate::storage::journal::refusal::Refused;
use crate::trust::Signer;
use crate::trust::TrustStore;
use crate::trust::crl::Stale;
use crate::trust::folder::Watched;
use crate::trust::ocsp::Statuses;

/// Packages waiting for a commit; more are held back at the doors.
const COMMIT_QUEUE: usize = 1024;

/// Refusals waiting to be written; more are only counted.
const REFUSED_QUEUE: usize = 256;

/// Large bodies examined at the same time, each on a thread that mostly waits for the network.
const LARGE_DELIVERIES: usize = 32;

/// Spooled packages committed at the same time.
const LARGE_COMMITS: usize = 2;

/// Names of the ids that applying records takes.
const REGISTRY_IDS: [&str; 4] = ["entity", "change_log", "performance_change", "deferred_record"];

/// What the exchange is made of.
pub struct Parts {
    /// Where packages and registry live.
    pub db: Db,
    /// What time it is.
    pub clock: Clock,
    /// Our key: signs receipts.
    pub signer: Arc<Signer>,
    /// Folder with more authorities than the database has, and with lists of revoked certificates.
    pub trust: Option<Watched>,
    /// What responders said of certificates, where they are asked, and what their silence is worth.
    pub statuses: Option<(Statuses, Stale)>,
    /// Wakes the workers.
    pub doorbell: Doorbell,
    /// What the configuration says.
    pub settings: Settings,
    /// The sandbox, when this is one: there is none without its mark in the database.
    pub sandbox: Option<Arc<Sandbox>>,
}

/// The exchange. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Exchange(Arc<Inner>);

struct Inner {
    db: Db,
    ids: Ids,
    clock: Clock,
    signer: Arc<Signer>,
    doorbell: Doorbell,
    settings: Settings,
    parties: Arc<Parties>,
    sandbox: Option<Arc<Sandbox>>,
    registry: Registry,
    /// How the last accepted package was signed: most likely the next one is signed so too.
    expected: StdMutex<Profile>,
    /// Deliveries under examination.
    deliveries: Semaphore,
    /// Large bodies under examination, each on a thread of its own.
    large: Arc<Semaphore>,
    large_commits: Semaphore,
    commits: mpsc::Sender<Pending>,
    commit_queue: Arc<Mutex<mpsc::Receiver<Pending>>>,
    refused: mpsc::Sender<Refused>,
    refused_queue: Mutex<mpsc::Receiver<Refused>>,
    /// There are rings in the outbox.
    rings: Notify,
    /// Certificates of files that the configuration names: their ends are watched too.
    watched: StdMutex<Vec<Dated>>,
}

impl Exchange {
    /// Puts the parts together; nothing runs until [`Exchange::start`].
    pub fn new(parts: Parts) -> Self {
        let (commits, commit_queue) = mpsc::channel(COMMIT_QUEUE);
        let (refused, refused_queue) = mpsc::channel(REFUSED_QUEUE);
        let ids = Ids::new(parts.db.clone());
        Self(Arc::new(Inner {
            registry: Registry::new(parts.db.clone(), ids.clone()),
            ids,
            parties: Arc::new(Parties::new(
                parts.db.clone(),
                parts.trust,
                parts.statuses,
                parts.settings.answers,
                parts.sandbox.is_some(),
            )),
            sandbox: parts.sandbox,
            db: parts.db,
            clock: parts.clock,
            signer: parts.signer,
            doorbell: parts.doorbell,
            expected: StdMutex::default(),
            deliveries: Semaphore::new(parts.settings.concurrent_deliveries),
            settings: parts.settings,
            large: Arc::new(Semaphore::new(LARGE_DELIVERIES)),
            large_commits: Semaphore::new(LARGE_COMMITS),
            commits,
            commit_queue: Arc::new(Mutex::new(commit_queue)),
            refused,
            refused_queue: Mutex::new(refused_queue),
            rings: Notify::new(),
            watched: StdMutex::default(),
        }))
    }

    /// Starts what every role needs: committers, relay, sweep. Cancel `stop` after the doors
    /// have drained; what was taken is then finished and the tasks end.
    pub fn start(&self, tracker: &TaskTracker, stop: &CancellationToken) {
        let committers = if self.0.db.is_postgres() { 2 } else { 1 };
        for _ in 0..committers {
            tracker.spawn(commit::run(self.clone(), stop.clone()));
        }
        tracker.spawn(refused::run(self.clone(), stop.clone()));
        tracker.spawn(relay::run(self.clone(), stop.clone()));
        tracker.spawn(sweep::run(self.clone(), stop.clone()));
        tracker.spawn(expiry::run(self.clone(), stop.clone()));
    }

    /// Watches the end of one more certificate.
    pub fn watch(&self, certificate: Dated) {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner).push(certificate);
    }

    /// Certificates that are watched besides those of the database and of the folder of trust.
    fn watched(&self) -> Vec<Dated> {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// The source of ids.
    pub fn ids(&self) -> &Ids {
        &self.0.ids
    }

    /// What applies records.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Takes ids in hand for a transaction that applies records.
    async fn warm(&self) -> Result<(), DbError> {
        self.0.ids.warm(&REGISTRY_IDS).await
    }

    /// The clock.
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// The key that signs what we say.
    pub fn signer(&self) -> &Arc<Signer> {
        &self.0.signer
    }

    /// Whom we trust now.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE` when the database is away and was never there.
    pub async fn trust(&self) -> Result<Arc<TrustStore>, Refusal> {
        Ok(Arc::clone(&self.0.parties.picture().await?.trust))
    }

    /// The doorbell.
    pub fn doorbell(&self) -> &Doorbell {
        &self.0.doorbell
    }

    /// The sandbox, when this is one.
    pub fn sandbox(&self) -> Option<&Arc<Sandbox>> {
        self.0.sandbox.as_ref()
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }
}
