//! Kontingent: the regional segment of a federal interagency system that keeps count of learners.
//!
//! Floors, lowest first; a module imports lower floors only (`tests/architecture.rs`):
//! `model`, `telemetry` · `codec` · `normalise`, `storage`, `broker`, `trust`, `http` ·
//! `exchange` · `gateway`, `federal`, `worker`, `web`, `ops` · `config`, `app`.

pub mod app;
pub mod broker;
pub mod codec;
pub mod config;
pub mod exchange;
pub mod federal;
pub mod gateway;
pub mod http;
pub mod model;
pub mod normalise;
pub mod ops;
pub mod storage;
pub mod telemetry;
pub mod trust;
pub mod web;
pub mod worker;
