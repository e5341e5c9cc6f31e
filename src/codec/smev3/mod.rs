//! SMEV 3 message exchange, versions 1.1 to 1.3: messages of its operations, read and written for both
//! sides, and its faults.
//!
//! Liberal in what is read (any Id values, any prefixes, an empty NodeID, ids of attachments that are
//! no names), strict in what is written: every document we send is valid by `schemas/smev3`.

pub mod client;
mod fault;
mod played;
mod read;
mod translate;
mod version;
mod write;

pub use fault::{ContentError, Fault, SignatureFault};
pub use played::About;
pub use read::{
    Ack, Attachment, Content, FileReference, Get, Progress, ReadError, Rejection, Request, Send,
    SendRequest, SendResponse, Stamp, Statistics, parse_uuid, read,
};
pub use translate::{translate, translate_own};
pub use version::{Version, action, service};
pub use write::{
    AsyncStatus, Attached, Delivery, Header, Kind, Metadata, Participant, Provided,
    SIGNED_BY_CALLER, SIGNED_BY_SMEV, Stored, Told, ack_response, delivery, delivery_names,
    empty_delivery, empty_status, part_id, provided_response, queue_statistics, send_answer, state,
};

/// Largest message that is taken at the door, in bytes: files of 5 MB in base64, and room to say that
/// there are too many.
pub const MESSAGE_BYTES: u64 = 16 << 20;

/// Largest message that is handed out, in bytes: what was taken, in base64 if it came in parts, among what
/// the exchange says of it and signs.
pub const DELIVERY_BYTES: u64 = MESSAGE_BYTES / 3 * 4 + (2 << 20);
