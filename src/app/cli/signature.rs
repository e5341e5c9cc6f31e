//! The grammar of `signature`.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use crate::exchange::workshop::Profile;

/// `signature`.
#[derive(Debug, Subcommand)]
pub enum Signature {
    /// Judge signed documents: one JSON object a file; exit status 0 only if all are accepted.
    Verify {
        /// Signed documents.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// What they are judged by.
        #[command(flatten)]
        judge: JudgeBy,
    },
    /// Write the exact octets that would be hashed of the document element.
    Transform {
        /// The document.
        file: PathBuf,
        /// Exclusive canonicalisation only, or the transform of SMEV after it.
        #[arg(long, default_value = "smev", value_parser = ["c14n", "smev"])]
        stage: String,
    },
}

/// What documents are judged by.
#[derive(Debug, Args)]
pub struct JudgeBy {
    /// `enveloped`, `detached:{namespace}Element`, `smev3`, `smev2` or `receipt`.
    #[arg(long)]
    pub profile: Profile,
    /// Folder with certificates of trusted authorities, or one file.
    #[arg(long)]
    pub trust: PathBuf,
    /// Lists of revoked certificates, PEM or DER; those in the folder count too.
    #[arg(long)]
    pub crl: Vec<PathBuf>,
    /// As of when certificates are judged; now by default.
    #[arg(long)]
    pub at: Option<DateTime<Utc>>,
    /// Also take algorithms that have been withdrawn: GOST R 34.10-2001.
    #[arg(long)]
    pub archive: bool,
}
