//! `signature`: the workshop on the command line.

mod transform;
mod verify;

pub use transform::{Stage, transform};
pub use verify::{Judge, verify};
