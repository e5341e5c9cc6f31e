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

use crate::config::{Config, Signing};
use crate::trust::Signer;
use crate::trust::authority::{Authority, KeyKind, Request, Usage, Validity};
use crate::trust::pkcs11::Locator;

/// How long a certificate made by ourselves is valid.
const OWN_VALIDITY: TimeDelta = TimeDelta::days(3650);

/// Reads the configured key and certificate; without configuration makes a pair once and keeps it.
pub(super) fn signer(config: &Config, now: DateTime<Utc>) -> Result<Arc<Signer>> {
    let signing = &config.signing;
    if let Some(file) = &signing.pkcs12_file {
        return from_pkcs12(file, signing.password_file.as_deref());
    }
    if let Some(module) = &signing.pkcs11_module {
        return from_token(module, signing);
    }
    if let (Some(key), Some(certificate)) = (&signing.key_file, &signing.certificate_file) {
        return read(key, certificate);
    }
    let key = config.data.join("signing-key.pem");
    let certificate = config.data.join("signing-certificate.pem");
    if !key.exists() {
        make_once(&key, &certificate, now)?;
    }
    read(&key, &certificate)
}

/// Makes a pair, or waits until another process that has begun to has made it.
fn make_once(key: &Path, certificate: &Path, now: DateTime<Utc>) -> Result<()> {
    let lock = key.with_extension("lock");
    let locked = fs::File::create(&lock).and_then(|file| file.lock().map(|()| file));
    // Held to the end of this function, and not longer than the process lives.
    let _locked = locked.with_context(|| format!("{} cannot be locked", lock.display()))?;
    if key.exists() {
        return Ok(());
    }
    make(key, certificate, now)?;
    tracing::warn!(
        certificate = %certificate.display(),
        "no signing key is configured: made one, and its own authority in signing-authority.pem beside it"
    );
    Ok(())
}

fn from_pkcs12(file: &Path, password: Option<&Path>) -> Result<Arc<Signer>> {
    let named = |path: &Path| path.display().to_string();
    let password = match password {
        Some(path) => fs::read_to_string(path).with_context(|| named(path))?,
        None => String::new(),
    };
    let bytes = fs::read(file).with_context(|| named(file))?;
    let signer = Signer::from_pkcs12(&bytes, password.trim_end_matches(['\r', '\n']))
        .with_context(|| format!("{} does not give a signing key", named(file)))?;
    Ok(Arc::new(signer))
}

fn from_token(module: &Path, signing: &Signing) -> Result<Arc<Signer>> {
    let missing = |key: &'static str| format!("signing.pkcs11_module needs signing.{key}");
    let locator = Locator {
        module: module.to_owned(),
        token: signing.token.clone().with_context(|| missing("token"))?,
        key: signing.token_key.clone().with_context(|| missing("token_key"))?,
        pin_file: signing.password_file.clone().with_context(|| missing("password_file"))?,
    };
    let certificate = signing.certificate_file.as_ref();
    let certificate = certificate.with_context(|| missing("certificate_file"))?;
    let pem = fs::read(certificate).with_context(|| certificate.display().to_string())?;
    let signer = Signer::from_token(&locator, &pem)
        .with_context(|| format!("the token {} does not give a signing key", locator.token))?;
    Ok(Arc::new(signer))
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
    // Who wants to verify receipts trusts this one.
    let own = certificate.with_file_name("signing-authority.pem");
    fs::write(own, authority.issued().certificate_pem()?)?;
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
