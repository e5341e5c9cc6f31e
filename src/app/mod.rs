//! The composition root: roles of one process, and the grammar of the command line.

mod check;
pub mod cli;
mod health;
pub mod engine;
mod key;
pub mod run;
pub mod service;
