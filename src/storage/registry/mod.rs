//! The registry: current values of every record kind, their history, who calls them what.
//!
//! One engine serves all kinds: statements are made once per kind from its `KindSpec`.
//! Everything here works on batches; nothing asks the database once per record.

pub mod change;
pub mod deferred;
pub mod matching;
pub mod reference;
pub mod row;
pub mod snapshot;
mod statement;
