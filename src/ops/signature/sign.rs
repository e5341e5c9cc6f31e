//! `signature sign`: makes a signature to the profiles that `verify` accepts.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use super::input::{Input, in_russian};
use crate::codec::shape::{self, Role};
use crate::codec::xmldsig::{self, SignError, SignatureAlgorithm, verify_bytes, verify_enveloped};
use crate::exchange::workshop::{Profile, envelope, whole};
use crate::model::refusal::{Refusal, RefusalCode};
use crate::ops::output::say;
use crate::ops::package::describe;
use crate::trust::Signer;
use crate::trust::folder::certificates;
use crate::trust::signer::KeyError;

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
        let read = |path: &Path| {
            fs::read(path)
                .map_err(|error| anyhow!("не читается {}: {}", path.display(), in_russian(&error)))
        };
        Ok(match self {
            Self::Pem { key: file, certificate, password } => {
                let (key, certificate) = (read(file)?, read(certificate)?);
                let signer = match password {
                    Some(path) => Signer::from_encrypted_pem(&key, &secret(path)?, &certificate),
                    None => Signer::from_pem(&key, &certificate),
                };
                signer
                    .with_context(|| format!("ключ {} не подходит", file.display()))?
                    .with_issuers(&certificates(&certificate))
            }
            Self::Pkcs12 { file, password } => {
                let password = password.as_deref().map(secret).transpose()?.unwrap_or_default();
                let bytes = read(file)?;
                let named = || format!("файл {} не подходит", file.display());
                let signer = Signer::from_pkcs12(&bytes, &password).with_context(named)?;
                let others = Signer::others_of_pkcs12(&bytes, &password).with_context(named)?;
                signer.with_issuers(&others)
            }
            Self::Token(locator, certificate) => {
                let certificate = read(certificate)?;
                let issuers = certificates(&certificate);
                Signer::from_token(locator, &certificate)?.with_issuers(&issuers)
            }
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
    let input = Input::open(file)
        .map_err(|error| anyhow!("не читается {}: {}", file.display(), in_russian(&error)))?;
    let open = || input.reader();
    let signer = key.signer()?;
    let unfit = |refusal| anyhow!("этим ключом подписывать нельзя: {}", describe(&refusal));
    signer.fitness().map_err(unfit)?;
    // Other nodes of SMEV expect the signer's certificate alone.
    let alone = matches!(order.profile, Profile::Smev3 | Profile::Smev2);
    let signer = if alone { signer.with_issuers(&[]) } else { signer };
    let signer = match order.algorithm {
        Some(algorithm) => signer.with_algorithm(algorithm)?,
        None => signer,
    };
    let document = match whole(&open) {
        Err(refusal) if refusal.code == RefusalCode::LimitBytes && order.profile.is_whole() => {
            return sign_large(&input, order, &signer, output);
        }
        read => read.map_err(told).with_context(|| file.display().to_string())?,
    };
    let signed = signed(&document, order, &signer)?;
    judge(&signed, order)?;
    match output {
        Some(path) => fs::write(path, signed).with_context(|| path.display().to_string())?,
        None => say(String::from_utf8(signed)?),
    }
    Ok(())
}

/// Signs a document as a whole that is too large for memory: read twice, written beside its place and
/// put there when it is right.
fn sign_large(input: &Input, order: &Order, signer: &Signer, output: Option<&Path>) -> Result<()> {
    let output = output.context("такой большой документ подписывается только в файл: --output")?;
    let recipe = signer.recipe();
    let recipe = if order.smev { recipe.smev() } else { recipe };
    let (at, signature) =
        signer.enveloped_signature_by(input.reader()?, &recipe).map_err(unsigned)?;
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut made = tempfile::Builder::new();
    let made = made.permissions(fs::Permissions::from_mode(0o666));
    let mut signed = made.tempfile_in(folder).with_context(|| output.display().to_string())?;
    let mut reader = input.reader()?;
    io::copy(&mut reader.by_ref().take(at), &mut signed)?;
    signed.write_all(signature.as_bytes())?;
    io::copy(&mut reader, &mut signed)?;
    let guess = xmldsig::Profile::guess(signature.as_bytes());
    let written = verify_enveloped(signed.reopen()?, envelope(), &guess, &mut |_, _| Ok(()));
    written.map_err(|refusal| anyhow!("подписанное было бы отклонено: {}", describe(&refusal)))?;
    signed.persist(output).with_context(|| output.display().to_string())?;
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
            signer.sign_spot(document, spot, &recipe.smev()).map_err(unsigned)?
        }
        (Profile::Smev2, true) => {
            let spot = shape::smev2_personal(document).map_err(told)?;
            signer.sign_spot(document, &spot, &recipe).map_err(unsigned)?
        }
        (Profile::Smev2, false) => {
            let (message, spot) =
                shape::smev2_prepared(document, signer.certificate_der()).map_err(told)?;
            signer.sign_spot(&message, &spot, &recipe).map_err(unsigned)?
        }
        (_, true) => bail!("подпись должностного лица бывает только в профилях smev2 и smev3"),
        (Profile::Enveloped | Profile::Receipt, false) => {
            signer.sign_enveloped_by(document, &recipe).map_err(unsigned)?
        }
        (Profile::Detached { namespace, local }, false) => {
            let spot = shape::unsigned(document, namespace, local).map_err(told)?;
            signer.sign_spot(document, &spot, &recipe).map_err(unsigned)?
        }
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn told(refusal: Refusal) -> anyhow::Error {
    anyhow!(describe(&refusal))
}

/// Why nothing was signed, in Russian.
fn unsigned(error: SignError<KeyError>) -> anyhow::Error {
    match error {
        SignError::Document(refusal) => {
            anyhow!("документ нельзя подписать: {}", describe(&refusal))
        }
        SignError::Key(error) => anyhow!("ключ не подписал: {error}"),
    }
}
