//! Vocabulary of the whole system: ids, records, findings, refusals, states. No I/O.

pub mod clock;
pub mod dictionary;
pub mod federal;
pub mod file_name;
pub mod finding;
pub mod ids;
pub mod kind;
pub mod package;
pub mod record;
pub mod refusal;
pub mod spec;
