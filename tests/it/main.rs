//! Integration tests: one binary, real components.

mod cli;
mod door;
mod exchange;
mod federal;
mod gateway;
mod hostile_http;
mod hostile_xml;
mod replay;
mod registry;
mod stack;
