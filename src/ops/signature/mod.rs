//! `signature`: the workshop on the command line.

mod explain;
mod sign;
mod transform;
mod verify;

pub use explain::explain;
pub use sign::{Key, Order, sign};
pub use transform::{Stage, transform};
pub use verify::{Judge, verify};
