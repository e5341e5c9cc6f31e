//! Integration tests: one binary, real components.

mod chaos;
mod cli;
mod door;
mod exchange;
mod federal;
mod gateway;
mod harness;
mod hostile_http;
mod hostile_xml;
mod interop;
mod invariants;
mod kill;
mod region;
mod registry;
mod replay;
mod schema;
mod stack;
mod xml_oracle;
