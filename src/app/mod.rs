//! The composition root: roles of one process, and the grammar of the command line.

pub mod cli;
mod health;
