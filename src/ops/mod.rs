//! The command line.

pub mod audit;
pub mod authority;
pub mod bench;
mod certificate;
pub mod demo;
pub mod dictionary;
pub mod federal_client;
pub mod federal_disclosures;
pub mod federal_remote;
pub mod federal_system;
pub mod output;
pub mod package;
pub mod sandbox;
pub mod signature;
pub mod simulate;
pub mod supplier;
