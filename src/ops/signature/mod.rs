//! `signature`: the workshop on the command line.

mod explain;
mod input;
mod sign;
mod transform;
mod verify;

pub use explain::explain;
pub use sign::{Key, Order, sign};
pub use transform::{form, transform};
pub use verify::{Judge, verify};
