//! `kontingent bench`: the figures of the README, measured on this machine.

pub mod load;
pub mod process;
