//! The side of a system that calls the exchange: its messages, to be signed, and what it is answered.
//!
//! Messages are whole envelopes with an empty place for the caller's signature. Answers are read liberally: as
//! a fault under any HTTP status, with an empty body, with ids and prefixes of any kind.

mod answer;
mod call;
mod fault;
mod state;

pub use answer::{AnswerError, Incoming, Returned, Taken, body, incoming, returned, taken};
pub use call::{
    Question, Selector, ack, get_request, get_response, get_status, renumbered, send_request,
    send_response,
};
pub use fault::NodeFault;
pub use state::{State, state};
