//! The composition root: roles of one process, and the grammar of the command line.

mod check;
pub mod cli;
pub mod engine;
mod health;
mod key;
mod remote;
pub mod run;
mod sandbox;
pub mod service;
mod watched;
