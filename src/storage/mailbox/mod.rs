//! The mailbox of the exchange: requests taken, and messages waiting to be pulled from queues.
//!
//! A queue belongs to a system, is for requests or for answers, and answers may have one for each node.
//! A message that is handed out is hidden for [`LEASE_SECONDS`] by the database's clock; not
//! acknowledged, it is again the first.

pub mod doubt;
mod lease;
mod look;
mod put;
pub mod remote;
mod status;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::storage::content;
use crate::storage::db::DbError;

pub use lease::{Leased, Selector, acknowledge, forget_polls, lease, note_poll, waits};
pub use look::{
    Open, QueueState, answered_often, expired, fullness, give_up, lengths, open_request, queues,
    taken,
};
pub use put::{close, hold, last_sequence, put_messages, put_requests, reserve_answer};
pub use status::{
    State, Undeliverable, forget_states, is_told, lease_state, take_back, undeliverable,
};

/// How long a handed out message stays hidden from further calls, in seconds.
pub const LEASE_SECONDS: u64 = 15 * 60;

/// Most nodes of one system that are noted as polling: it names them as it likes.
pub const NODES: usize = 1000;

/// Why the mailbox could not do it.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The writer broke off; whether it had written is not known.
    #[error("the writer broke off")]
    Left,
    /// Others have been taking for a second all that waits, and have not taken it.
    #[error("messages that wait are held by calls that do not end")]
    Held,
    /// Stored bytes do not decompress.
    #[error("a stored message is damaged")]
    Damaged(#[source] std::io::Error),
}

/// Which of the queues of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Queue {
    /// Of requests, for their provider.
    Request,
    /// Of answers, for who asked.
    Response,
    /// Of states, for who sent a request or an answer.
    Status,
}

impl Queue {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::Status => "status",
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "request" => Self::Request,
            "status" => Self::Status,
            _ => Self::Response,
        }
    }
}

/// A queue of a system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Whose it is.
    pub system: i64,
    /// Which one.
    pub queue: Queue,
    /// Of this node; empty for the common queue.
    pub node: String,
}

/// How a request came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Through our own door.
    Door,
    /// Pulled from the node of the federal exchange.
    Remote,
}

impl Origin {
    fn as_str(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Remote => "remote",
        }
    }
}

/// A request as it was taken.
#[derive(Clone, Debug)]
pub struct Request {
    /// How it came to us.
    pub origin: Origin,
    /// The sender's id of the message.
    pub message_id: Uuid,
    /// Who asks.
    pub system: i64,
    /// Its node; empty for the common queue.
    pub node: String,
    /// First request of the business chain.
    pub reference: Option<Uuid>,
    /// Code of the state service.
    pub transaction_code: Option<String>,
    /// Namespace of the content's root element.
    pub namespace: String,
    /// Local name of the content's root element.
    pub element: String,
    /// Marked as a test by the sender.
    pub test: bool,
    /// The signed envelope as it came.
    pub envelope: Vec<u8>,
    /// Network address it came from.
    pub peer: String,
    /// When it was taken.
    pub received_at: DateTime<Utc>,
    /// Version of the exchange it came by.
    pub version: &'static str,
    /// Kind of messages.
    pub message_type: String,
    /// Who is to answer; nobody when we have.
    pub provider: Option<i64>,
    /// When the sender no longer wants an answer.
    pub end_of_life: Option<DateTime<Utc>>,
}

/// A message about to wait in a queue.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its id.
    pub message_id: Uuid,
    /// Which queue …
    pub queue: Queue,
    /// … of which system …
    pub system: i64,
    /// … and node; empty for the common queue.
    pub node: String,
    /// The request that it is or answers.
    pub request_id: Uuid,
    /// Who sent it; nobody when we did.
    pub sender: Option<i64>,
    /// Kind of messages, as of its request.
    pub message_type: String,
    /// Whether it goes before ordinary ones.
    pub vip: bool,
    /// Version of the exchange in which its content is written.
    pub version: &'static str,
    /// The data of its sender.
    pub content: Vec<u8>,
    /// SHA-256 of [`Message::content`].
    pub sha256: Vec<u8>,
    /// The sender's `ds:Signature` over it.
    pub signature: Option<String>,
    /// Files inside: id and bytes.
    pub attachments: Vec<(String, Vec<u8>)>,
    /// Order among messages queued in the same instant.
    pub sequence: i64,
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>, MailboxError> {
    content::compress(bytes).map_err(MailboxError::Damaged)
}

fn decompress(frame: &[u8]) -> Result<Vec<u8>, MailboxError> {
    content::decompress(frame).map_err(MailboxError::Damaged)
}
