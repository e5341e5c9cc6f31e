//! The sentences of the system: accept, process, answer, replay, relay, sweep.

pub mod delivery;
