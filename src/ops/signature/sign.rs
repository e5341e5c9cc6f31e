//! `signature sign`: makes a signature to the profiles that `verify` accepts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::codec::shape;
use crate::codec::xmldsig::{Detached, Recipe, SignatureAlgorithm};
use crate::exchange::workshop::Profile;
use crate::ops::output::say;
use crate::trust::Signer;

/// Where the key is.
#[derive(Clone, Debug)]
pub enum Key {
    /// PEM files of key and certificate.
    Pem {
        /// The key, not encrypted.
        key: PathBuf,
        /// Its certificate.
        certificate: PathBuf,
    },
    /// A PKCS#12 file.
    Pkcs12 {
        /// The file.
        file: PathBuf,
        /// The file that holds its password.
        password: Option<PathBuf>,
    },
    /// A key of a PKCS#11 token.
    Token(crate::trust::pkcs11::Locator, PathBuf),
}

impl Key {
    /// Reads the key.
    ///
    /// # Errors
    /// A file that cannot be read, a wrong password, a key of another kind than allowed.
    pub fn signer(&self) -> Result<Signer> {
        let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
        Ok(match self {
            Self::Pem { key, certificate } => Signer::from_pem(&read(key)?, &read(certificate)?)?,
            Self::Pkcs12 { file, password } => {
                let password = match password {
                    Some(path) => String::from_utf8(read(path)?)?,
                    None => String::new(),
                };
                Signer::from_pkcs12(&read(file)?, password.trim_end_matches(['\r', '\n']))?
            }
            Self::Token(locator, certificate) => Signer::from_token(locator, &read(certificate)?)?,
        })
    }
}

/// Signs a file and writes it beside: to `output`, or to standard output.
///
/// # Errors
/// A document that cannot be signed to the profile, or a key that does not sign.
pub fn sign(
    file: &Path,
    profile: &Profile,
    key: &Key,
    algorithm: Option<SignatureAlgorithm>,
    smev: bool,
    output: Option<&Path>,
) -> Result<()> {
    let document = fs::read(file).with_context(|| format!("не читается {}", file.display()))?;
    let signer = key.signer()?;
    let signer = match algorithm {
        Some(algorithm) => signer.with_algorithm(algorithm)?,
        None => signer,
    };
    let recipe = if smev { signer.recipe().smev() } else { signer.recipe() };
    let signed = match profile {
        Profile::Enveloped | Profile::Receipt => signer.sign_enveloped_by(&document, &recipe)?,
        Profile::Detached { namespace, local } => {
            let plan = shape::unsigned(&document, namespace, local)?;
            place(&signer, &document, &plan, &recipe)?
        }
        Profile::Smev3 => {
            let plan = shape::smev3(&document)?;
            let outer = plan.spots.first().context("в сообщении нечего подписывать")?;
            place(&signer, &document, outer, &recipe.smev())?
        }
        Profile::Smev2 => {
            bail!("подпись SMEV 2 этой командой не делается: она нужна только для приёма")
        }
    };
    match output {
        Some(path) => fs::write(path, signed).with_context(|| path.display().to_string())?,
        None => say(String::from_utf8(signed)?),
    }
    Ok(())
}

fn place(signer: &Signer, document: &[u8], spot: &shape::Spot, recipe: &Recipe) -> Result<Vec<u8>> {
    let (signed, holder) = (spot.signed_names(), spot.holder_names());
    let place = Detached { signed: &signed, holder: &holder };
    Ok(signer.sign_detached_by(document, place, recipe)?)
}
