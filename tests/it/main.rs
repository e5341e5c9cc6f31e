//! Integration tests: one binary, real components.

mod exchange;
mod stack;
