//! `signature sign`: makes a signature to the profiles that `verify` accepts.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use crate::codec::shape::{self, Role};
use crate::codec::xmldsig::{SignatureAlgorithm, verify_bytes};
use crate::exchange::workshop::{Profile, envelope, whole};
use crate::model::refusal::Refusal;
use crate::ops::output::say;
use crate::ops::package::describe;
use crate::trust::Signer;

/// Where the key is.
#[derive(Clone, Debug)]
pub enum Key {
    /// PEM files of key and certificate.
    Pem {
        /// The key.
        key: PathBuf,
        /// Its certificate, PEM or DER.
        certificate: PathBuf,
        /// The file that holds the password of an encrypted key.
        password: Option<PathBuf>,
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
            Self::Pem { key: file, certificate, password } => {
                let (key, certificate) = (read(file)?, read(certificate)?);
                let signer = match password {
                    Some(path) => Signer::from_encrypted_pem(&key, &secret(path)?, &certificate),
                    None => Signer::from_pem(&key, &certificate),
                };
                signer.with_context(|| format!("ключ {} не подходит", file.display()))?
            }
            Self::Pkcs12 { file, password } => {
                let password = password.as_deref().map(secret).transpose()?.unwrap_or_default();
                let signer = Signer::from_pkcs12(&read(file)?, &password);
                signer.with_context(|| format!("файл {} не подходит", file.display()))?
            }
            Self::Token(locator, certificate) => Signer::from_token(locator, &read(certificate)?)?,
        })
    }
}

/// The password in a file, without the end of its line.
fn secret(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// What is signed, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// The shape that the document has or gets.
    pub profile: Profile,
    /// Another algorithm than the key's own.
    pub algorithm: Option<SignatureAlgorithm>,
    /// With the transform of SMEV.
    pub smev: bool,
    /// As an official over the content of a message, not as the system over the message.
    pub personal: bool,
}

/// Signs a file and writes it: to `output`, or to standard output.
///
/// # Errors
/// A document that cannot be signed to the profile, or a key that does not sign.
pub fn sign(file: &Path, order: &Order, key: &Key, output: Option<&Path>) -> Result<()> {
    let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(File::open(file)?)) };
    let document = whole(&open).map_err(told).with_context(|| file.display().to_string())?;
    let signer = key.signer()?;
    let signer = match order.algorithm {
        Some(algorithm) => signer.with_algorithm(algorithm)?,
        None => signer,
    };
    let signed = signed(&document, order, &signer)?;
    judge(&signed, order)?;
    match output {
        Some(path) => fs::write(path, signed).with_context(|| path.display().to_string())?,
        None => say(String::from_utf8(signed)?),
    }
    Ok(())
}

/// What is signed must be what `verify` takes; else nothing is written.
fn judge(signed: &[u8], order: &Order) -> Result<()> {
    let refused = |refusal| anyhow!("подписанное было бы отклонено: {}", describe(&refusal));
    let limits = order.profile.limits();
    match order.profile {
        Profile::Enveloped | Profile::Receipt => {
            verify_bytes(signed, envelope()).map_err(refused)?;
        }
        Profile::Smev3 | Profile::Smev2 if order.personal => {
            let plan = match order.profile {
                Profile::Smev3 => shape::smev3(signed).map_err(refused)?,
                _ => return Ok(()),
            };
            for spot in plan.spots.iter().filter(|spot| spot.role == Role::Personal) {
                spot.verify(signed, limits).map_err(refused)?;
            }
        }
        _ => {
            let plan = match &order.profile {
                Profile::Detached { namespace, local } => shape::detached(signed, namespace, local),
                Profile::Smev2 => shape::smev2_undated(signed),
                _ => shape::smev3(signed),
            };
            for spot in &plan.map_err(refused)?.spots {
                spot.verify(signed, limits).map_err(refused)?;
            }
        }
    }
    Ok(())
}

fn signed(document: &[u8], order: &Order, signer: &Signer) -> Result<Vec<u8>> {
    let recipe = signer.recipe();
    let recipe = if order.smev { recipe.smev() } else { recipe };
    Ok(match (&order.profile, order.personal) {
        (Profile::Smev3, personal) => {
            let plan = shape::smev3(document).map_err(told)?;
            let mut spots = plan.spots.iter();
            // Whatever stands first is the signature of who sends the message.
            let spot = spots.find(|spot| !personal || spot.role == Role::Personal);
            let spot = spot.context("в сообщении нет места для этой подписи")?;
            signer.sign_spot(document, spot, &recipe.smev())?
        }
        (Profile::Smev2, true) => {
            let spot = shape::smev2_personal(document).map_err(told)?;
            signer.sign_spot(document, &spot, &recipe)?
        }
        (Profile::Smev2, false) => {
            let (message, spot) =
                shape::smev2_prepared(document, signer.certificate_der()).map_err(told)?;
            signer.sign_spot(&message, &spot, &recipe)?
        }
        (_, true) => bail!("подпись должностного лица бывает только в профилях smev2 и smev3"),
        (Profile::Enveloped | Profile::Receipt, false) => {
            signer.sign_enveloped_by(document, &recipe)?
        }
        (Profile::Detached { namespace, local }, false) => {
            let spot = shape::unsigned(document, namespace, local).map_err(told)?;
            signer.sign_spot(document, &spot, &recipe)?
        }
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn told(refusal: Refusal) -> anyhow::Error {
    anyhow!(describe(&refusal))
}
