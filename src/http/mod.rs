//! Listening, TLS, limits, spooling of bodies. Knows no XML.

pub mod budget;
pub mod guard;
pub mod idle;
pub mod limits;
pub mod problem;
pub mod serve;
pub mod spool;
pub mod stall;
pub mod tls;
