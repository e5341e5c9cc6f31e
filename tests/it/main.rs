//! Integration tests: one binary, real components.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::too_many_lines, clippy::large_futures, reason = "a test tells one story")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::type_complexity,
    reason = "counts of a test are small, and rows are compared as tuples"
)]

mod chaos;
mod cli;
mod door;
mod exchange;
mod federal;
mod fuzz_smoke;
mod gateway;
mod harness;
mod hostile_cost;
mod hostile_http;
mod hostile_xml;
mod interop;
mod invariants;
mod kill;
mod large;
mod mutate;
mod region;
mod registry;
mod replay;
mod revocation;
mod schema;
mod signature;
mod signing;
mod stack;
mod timestamp;
mod trust;
mod xml_conformance;
mod xml_differential;
mod xml_oracle;
