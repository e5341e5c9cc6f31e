//! SMEV 3 message exchange, version 1.3: reading the requests we serve, writing answers and faults.
//!
//! Liberal in what is read (any Id values, any prefixes, an empty NodeID), strict in what is
//! written: every document we send is valid by `schemas/smev3/1.3`.

mod fault;
mod read;
mod write;

pub use fault::{ContentError, Fault, SignatureFault};
pub use read::{Ack, GetResponse, ReadError, Request, SendRequest, parse_uuid, read};
pub use write::{
    ACK_RESPONSE, Metadata, Participant, Provided, Response, SIGNED_BY_CALLER, SIGNED_BY_SMEV,
    empty_get_response, get_response, provided_response, send_request_response,
};

/// Namespace of the operations' elements.
pub const TYPES: &str = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.3";

/// Namespace of the elements that operations share.
pub const BASIC: &str = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.3";

/// Namespace of the faults.
pub const FAULTS: &str = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/faults/1.3";
