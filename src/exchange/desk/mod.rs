//! The desk of the exchange of messages: requests are answered from the registry or handed on to the
//! system of the region that answers them, answers go back, what waits is handed out and confirmed.

mod caller;
mod deliver;
mod files;
mod hand;
mod late;
mod look;
mod own;
mod polled;
mod post;
mod pulled;
mod rehearsal;
mod reply_to;
mod respond;
mod send;
mod turns;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;
use tokio::sync::OnceCell;
use uuid::{ContextV1, Timestamp, Uuid};

use crate::codec::node::Flaw;
use crate::codec::smev3::{Participant, Version};
use crate::exchange::Exchange;
use crate::exchange::desk::hand::Handing;
use crate::exchange::desk::look::Looking;
use crate::exchange::desk::polled::Polled;
use crate::exchange::desk::post::Writing;
use crate::exchange::desk::turns::Turns;
use crate::exchange::members::{Kind, Members};
use crate::exchange::parties::{Parties, Picture};
use crate::exchange::question::QuestionError;
use crate::exchange::sandbox::Sandbox;
use crate::exchange::seal::{Seal, SealError};
use crate::model::clock::Clock;
use crate::model::refusal::Refusal;
use crate::storage::db::{Db, DbError};
use crate::storage::federal as registry;
use crate::storage::federal_system::FederalSystem;
use crate::storage::ids::Ids;
use crate::storage::mailbox::MailboxError;

pub use caller::{Caller, CallerError, OutOfDate};
pub use deliver::Delivered;
pub use files::{Content, MESSAGE_FILES, Pass};
pub use late::run as give_up_late;
pub use pulled::{Pulled, Settled};

/// Most messages in one queue that nobody has acknowledged.
const QUEUE_LIMIT: i64 = 10_000;

/// Most of them of one sender, in the queue of a provider: others have room too.
const SENDER_LIMIT: i64 = QUEUE_LIMIT / 4;

/// The desk where messages are exchanged. Cheap to clone.
#[derive(Clone)]
pub struct Desk(Arc<Inner>);

struct Inner {
    db: Db,
    ids: Ids,
    clock: Clock,
    seal: Seal,
    parties: Arc<Parties>,
    looking: Turns<Looking>,
    writing: Turns<Writing>,
    handing: Turns<Handing>,
    sandbox: Option<Arc<Sandbox>>,
    /// Makes message ids: node and clock sequence of UUIDs of version 1.
    node: [u8; 6],
    sequence: ContextV1,
    secret: OnceCell<Vec<u8>>,
    polled: Polled,
}

/// A message that a system sent: its envelope is valid, its sender known.
#[derive(Clone, Debug)]
pub struct Sent<M> {
    /// Version of the exchange it came by.
    pub version: Version,
    /// Its id.
    pub message_id: Uuid,
    /// What it says.
    pub message: M,
    /// The data of its sender, as signed.
    pub data: String,
    /// The sender's `ds:Signature` over that.
    pub signature: String,
    /// The signed envelope as it came.
    pub envelope: Vec<u8>,
    /// Network address it came from.
    pub peer: String,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// A message of this id was taken before.
    #[error("the message was taken before")]
    AlreadySent,
    /// The receiver pulls nothing; the name of its queue.
    #[error("the queue {0} is full")]
    QueueFull(String),
    /// No kind of messages has this root element.
    #[error("there is no kind of messages with this root element")]
    UnknownKind,
    /// Who answers this has been denied access.
    #[error("who answers this is blocked")]
    NoProvider,
    /// The root element is that of an answer.
    #[error("the root element is that of an answer")]
    NotARequest,
    /// The sender may not ask this.
    #[error("the sender may not ask this")]
    Denied,
    /// The return address leads to no request that waits for this answer.
    #[error("the return address leads nowhere")]
    Address,
    /// The root element is none of an answer to the request.
    #[error("the root element is none of an answer to the request")]
    AnotherKind,
    /// A file that the message refers to is not there, not complete, not the sender's own, in use, or
    /// another than the message states.
    #[error("a file that the message refers to is not there")]
    Files,
    /// The signature over the file in this folder of the store does not stand.
    #[error("the signature over a file in the store does not stand")]
    FileSignature(String, #[source] Refusal),
    /// The files have too many bytes.
    #[error("the files have too many bytes")]
    FileBytes {
        /// How many may be.
        permitted: i64,
        /// How many there are.
        real: i64,
    },
    /// The receiver has too many files waiting, of all or of this sender.
    #[error("too many files wait for the receiver")]
    Quota {
        /// How many bytes there is room for.
        remained: i64,
        /// How many there are, as they count.
        real: i64,
    },
    /// The content does not follow its schema.
    #[error("the content does not follow its schema")]
    Content(Vec<Flaw>),
    /// It was not answered.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// It was not signed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Whom we know could not be read.
    #[error("members could not be read")]
    Members(#[source] Refusal),
    /// The mailbox.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
}

impl From<DbError> for TakeError {
    fn from(error: DbError) -> Self {
        Self::Mailbox(error.into())
    }
}

impl Desk {
    /// Exchanges by the exchange's database, trusting whom it trusts, signing with this seal.
    ///
    /// # Errors
    /// Those of the source of random numbers.
    pub fn new(exchange: &Exchange, seal: Seal) -> Result<Self, ErrorStack> {
        let mut random = [0; 8];
        rand_bytes(&mut random)?;
        let [node @ .., high, low] = random;
        let db = exchange.db().clone();
        let inner = Inner {
            parties: Arc::clone(&exchange.0.parties),
            looking: Turns::new(Looking { db: db.clone() }),
            writing: Turns::new(Writing { db: db.clone(), clock: exchange.clock() }),
            handing: Turns::new(Handing { db: db.clone() }),
            db,
            sandbox: exchange.0.sandbox.clone(),
            ids: exchange.ids().clone(),
            clock: exchange.clock(),
            seal,
            // A random node says so by the bit that no network card has.
            node: [node[0] | 1, node[1], node[2], node[3], node[4], node[5]],
            sequence: ContextV1::new(u16::from_be_bytes([high, low])),
            secret: OnceCell::new(),
            polled: Polled::default(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Our key and name in the exchange.
    pub fn seal(&self) -> &Seal {
        &self.0.seal
    }

    /// Suppliers, members and trust as they are now.
    async fn picture(&self) -> Result<Arc<Picture>, Refusal> {
        self.0.parties.picture().await
    }

    /// The kind of messages with this root element, and whom we know. What was registered within
    /// the last second is looked for once more.
    async fn kind(
        &self,
        namespace: &str,
        local: &str,
    ) -> Result<(Option<Kind>, Arc<Members>), TakeError> {
        let picture = self.picture().await.map_err(TakeError::Members)?;
        if let Some(kind) = picture.members.kind(namespace, local) {
            return Ok((Some(kind), Arc::clone(&picture.members)));
        }
        self.stage(namespace, local).await?;
        let fresh = self.0.parties.snapshot().await.map_err(TakeError::Members)?;
        Ok((fresh.members.kind(namespace, local), Arc::clone(&fresh.members)))
    }

    /// The system of this number. What was registered within the last second is looked for once more.
    async fn system(&self, number: i64) -> Result<Option<Arc<FederalSystem>>, TakeError> {
        let picture = self.picture().await.map_err(TakeError::Members)?;
        if let Some(known) = picture.members.system(number) {
            return Ok(Some(Arc::clone(known)));
        }
        let fresh = self.0.parties.snapshot().await.map_err(TakeError::Members)?;
        Ok(fresh.members.system(number).map(Arc::clone))
    }

    /// The system of this number, by the names it has in the exchange.
    ///
    /// # Errors
    /// [`TakeError::Members`].
    pub async fn participant(&self, number: i64) -> Result<Participant, TakeError> {
        let known = self.system(number).await?;
        let (mnemonic, name) =
            known.map(|known| (known.mnemonic.clone(), known.name.clone())).unwrap_or_default();
        Ok(Participant { mnemonic, name })
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// What time it is.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// The key that authenticates cursors and return addresses.
    async fn secret(&self) -> Result<&[u8], TakeError> {
        let Inner { db, secret, .. } = &*self.0;
        let key = secret
            .get_or_try_init(|| async {
                let mut fresh = vec![0; 32];
                rand_bytes(&mut fresh).map_err(QuestionError::from)?;
                Ok::<_, TakeError>(registry::cursor_key(db, fresh).await?)
            })
            .await?;
        Ok(key)
    }

    /// An id for a message of ours.
    pub fn message_id(&self, now: DateTime<Utc>) -> Uuid {
        let seconds = now.timestamp().unsigned_abs();
        let at = Timestamp::from_unix(&self.0.sequence, seconds, now.timestamp_subsec_nanos());
        Uuid::new_v1(at, &self.0.node)
    }
}
