//! The sentences of the system: accept, process, answer, replay, relay, sweep.

pub mod admin;
pub mod delivery;
