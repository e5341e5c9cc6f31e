//! Queries and tables: journal, registry, dictionaries, mailbox, audit.
//! SQL stops here; transactions begin and end in `exchange`.

pub mod audit;
pub mod candidate;
pub mod content;
pub mod db;
mod db_error;
pub mod dictionary;
pub mod disclosure;
pub mod federal;
pub mod federal_system;
pub mod file_store;
pub mod ids;
pub mod input;
pub mod journal;
pub mod mailbox;
pub mod message_type;
pub mod migrate;
pub mod registry;
pub mod sandbox;
pub mod scratch;
pub mod supplier;
