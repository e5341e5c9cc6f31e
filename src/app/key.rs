//! Our signing key: configured, or made in the data folder at the first start.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::config::Config;
use crate::trust::Signer;
use crate::trust::authority::{Authority, KeyKind, Request, Usage, Validity};

/// How long a certificate made by ourselves is valid.
const OWN_VALIDITY: TimeDelta = TimeDelta::days(3650);

/// Reads the configured key and certificate; without configuration makes a pair once and keeps it.
pub(super) fn signer(config: &Config, now: DateTime<Utc>) -> Result<Arc<Signer>> {
    let signing = &config.signing;
    if let (Some(key), Some(certificate)) = (&signing.key_file, &signing.certificate_file) {
        return read(key, certificate);
    }
    let key = config.data.join("signing-key.pem");
    let certificate = config.data.join("signing-certificate.pem");
    if !key.exists() {
        make(&key, &certificate, now)?;
        tracing::warn!(
            certificate = %certificate.display(),
            "no signing key is configured: made one, whose certificate nobody vouches for"
        );
    }
    read(&key, &certificate)
}

fn read(key: &Path, certificate: &Path) -> Result<Arc<Signer>> {
    let bytes = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
    let signer = Signer::from_pem(&bytes(key)?, &bytes(certificate)?)
        .with_context(|| format!("{} does not give a signing key", key.display()))?;
    Ok(Arc::new(signer))
}

fn make(key: &Path, certificate: &Path, now: DateTime<Utc>) -> Result<()> {
    let validity = Validity { from: now - TimeDelta::hours(1), to: now + OWN_VALIDITY };
    let mut random = StdRng::from_os_rng();
    let authority = Authority::create("Kontingent, own authority", validity, &mut random)?;
    let request = Request {
        name: "Kontingent, receipts",
        key: KeyKind::P256,
        validity,
        usage: Usage::Signature,
    };
    let issued = authority.issue(&request, &mut random)?;
    fs::write(certificate, issued.certificate_pem()?)?;
    // The key last: a pair is there only when it is complete.
    let partial = key.with_extension("partial");
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)?
        .write_all(&issued.key_pem()?)?;
    fs::rename(&partial, key)?;
    Ok(())
}
