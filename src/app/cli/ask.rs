//! The grammar of `federal ask`.

use std::path::PathBuf;

use clap::Args;

use crate::app::cli::KeyBy;
use crate::codec::smev3::Version;

/// `federal ask`.
#[derive(Debug, Args)]
pub struct Ask {
    /// Root element of the question, for example GetPersonBySnilsRequest.
    pub root: String,
    /// What stands in it behind the purpose, XML: '<Snils>11223344595</Snils>'.
    #[arg(default_value = "")]
    pub inside: String,
    /// Address of the node's service.
    #[arg(long, default_value = "http://127.0.0.1:8080/ws/smev/1.3")]
    pub to: String,
    /// Version of the exchange at that address.
    #[arg(long, default_value = "1.3", value_parser = version)]
    pub exchange: Version,
    /// Why it is asked.
    #[arg(long)]
    pub purpose: String,
    /// Marks the question as a test: nothing is changed for it.
    #[arg(long)]
    pub test: bool,
    /// Seconds for which the answer is waited for.
    #[arg(long, default_value_t = 60)]
    pub wait: u64,
    /// Folder of authorities, or one of them, that issued the node's certificate: an answer whose
    /// signature is not of theirs is neither confirmed nor printed.
    #[arg(long)]
    pub trust: Option<PathBuf>,
    /// The key of the system that asks.
    #[command(flatten)]
    pub key: KeyBy,
}

fn version(name: &str) -> Result<Version, String> {
    Version::parse(name).ok_or_else(|| "1.1, 1.2, 1.3".to_owned())
}
