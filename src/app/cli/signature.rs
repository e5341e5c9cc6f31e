//! The grammar of `signature`.

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand};

use crate::codec::xmldsig::SignatureAlgorithm;
use crate::exchange::workshop::Profile;

/// `signature`.
#[derive(Debug, Subcommand)]
pub enum Signature {
    /// Judge signed documents: one JSON object a file; exit status 0 only if all are accepted.
    Verify {
        /// Signed documents; `-` is standard input.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// What they are judged by.
        #[command(flatten)]
        judge: JudgeBy,
    },
    /// Tell every stage of checking one document, in Russian.
    Explain {
        /// The signed document; `-` is standard input.
        file: PathBuf,
        /// What it is judged by.
        #[command(flatten)]
        judge: JudgeBy,
        /// Folder for the bytes of each stage.
        #[arg(long)]
        stages: Option<PathBuf>,
    },
    /// Sign a document: as a whole (`enveloped`), or one element of a message (`detached:…`, `smev3`).
    Sign {
        /// The document.
        file: PathBuf,
        /// `enveloped`, `detached:{namespace}Element`, whose second child holds the signature,
        /// `smev3`, whose holders must be there, or `smev2`, which gets its security header.
        #[arg(long)]
        profile: Profile,
        /// With which key.
        #[command(flatten)]
        key: KeyBy,
        /// `rsa-sha256`, `rsa-sha512`, `rsa-pss-sha256` or `rsa-pss-sha512`; other keys have one each.
        #[arg(long, value_parser = algorithm)]
        algorithm: Option<SignatureAlgorithm>,
        /// With the transform of SMEV; always so with `smev3`.
        #[arg(long)]
        smev: bool,
        /// As an official over the content of a message of SMEV (ЭП-СП); sign so before the system does.
        #[arg(long)]
        personal: bool,
        /// File to write; standard output by default.
        #[arg(long)]
        output: Option<PathBuf>,
    },
    /// Write the exact octets that would be hashed of an element.
    Transform {
        /// The document; `-` is standard input.
        file: PathBuf,
        /// Canonicalisation only, or the transform of SMEV after it.
        #[arg(long, default_value = "smev", value_parser = ["c14n", "smev"])]
        stage: String,
        /// Canonicalisation: exclusive, or inclusive 1.0 or 1.1.
        #[arg(long, default_value = "exclusive", value_parser = ["exclusive", "inclusive", "inclusive11"])]
        method: String,
        /// `PrefixList` of exclusive canonicalisation, separated by blanks; `#default` too.
        #[arg(long)]
        prefixes: Option<String>,
        /// `Id` of the element; the root by default.
        #[arg(long)]
        id: Option<String>,
        /// Leave out the signatures that are its children, as `enveloped-signature` does.
        #[arg(long)]
        enveloped: bool,
    },
}

fn algorithm(name: &str) -> Result<SignatureAlgorithm, String> {
    match name {
        "rsa-sha256" => Ok(SignatureAlgorithm::RsaSha256),
        "rsa-sha512" => Ok(SignatureAlgorithm::RsaSha512),
        "rsa-pss-sha256" => Ok(SignatureAlgorithm::RsaPssSha256),
        "rsa-pss-sha512" => Ok(SignatureAlgorithm::RsaPssSha512),
        _ => Err("rsa-sha256, rsa-sha512, rsa-pss-sha256, rsa-pss-sha512".to_owned()),
    }
}

/// An instant with its offset, or a day.
fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let day = || {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(day.and_time(NaiveTime::MIN).and_utc())
    };
    let instant = DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
    instant.or_else(day).ok_or_else(|| "2026-12-01 или 2026-12-01T09:00:00+03:00".to_owned())
}

/// Where the key of a signature is: PEM files, a PKCS#12 file, or a token.
#[derive(Debug, Args)]
pub struct KeyBy {
    /// PEM file with the private key; an encrypted one needs its password.
    #[arg(long, requires = "certificate", conflicts_with_all = ["pkcs12", "pkcs11_module"])]
    pub key: Option<PathBuf>,
    /// File with the certificate of the key, PEM or DER.
    #[arg(long)]
    pub certificate: Option<PathBuf>,
    /// PKCS#12 file with key and certificate.
    #[arg(long, conflicts_with = "pkcs11_module")]
    pub pkcs12: Option<PathBuf>,
    /// File with the password of the key or of the PKCS#12 file, or with the PIN of the token.
    #[arg(long)]
    pub password_file: Option<PathBuf>,
    /// Library of a PKCS#11 token.
    #[arg(long, requires_all = ["token", "token_key", "password_file", "certificate"])]
    pub pkcs11_module: Option<PathBuf>,
    /// Label of the token.
    #[arg(long)]
    pub token: Option<String>,
    /// Label of the key in the token.
    #[arg(long)]
    pub token_key: Option<String>,
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
    /// As of when certificates are judged: `2026-12-01T09:00:00Z`, or a day, whose beginning in UTC
    /// counts; now by default.
    #[arg(long, value_parser = moment)]
    pub at: Option<DateTime<Utc>>,
    /// Also take algorithms that have been withdrawn: GOST R 34.10-2001.
    #[arg(long)]
    pub archive: bool,
}
