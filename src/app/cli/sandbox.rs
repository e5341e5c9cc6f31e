//! The grammar of `sandbox`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// `sandbox`.
#[derive(Debug, Args)]
pub struct Sandbox {
    /// Folder of the sandbox, made at its first start: database, keys, scenarios, requests, answers.
    pub folder: PathBuf,
    /// Address of its door.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
}
