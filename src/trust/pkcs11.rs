//! Keys in tokens: signing and verifying through PKCS#11, RSA and ECDSA.
//!
//! The private key never leaves the token; the PIN is read from a file and never logged. GOST keys of
//! certified tokens come through the same door when their mechanisms are known here.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use openssl::bn::BigNumContext;
use openssl::ec::PointConversionForm;

use super::suite::{PublicKey, SHA256_INFO, SHA512_INFO, Suite};
use crate::codec::digest::Digest;
use crate::codec::xmldsig::SignatureAlgorithm;
use crate::model::refusal::RefusalCode;

/// DER of the object ids of P-256 and P-384.
const P256_ID: &[u8] = &[0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
const P384_ID: &[u8] = &[0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22];

/// Which token, and which key in it.
#[derive(Clone, Debug)]
pub struct Locator {
    /// Library of the token's maker.
    pub module: PathBuf,
    /// Label of the token.
    pub token: String,
    /// Label of the key.
    pub key: String,
    /// File that holds the PIN.
    pub pin_file: PathBuf,
}

/// Why a token does not do what it is asked to.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The token or its library says no.
    #[error("the token refuses")]
    Refused(#[from] Error),
    /// The file with the PIN.
    #[error("the PIN cannot be read from {0}")]
    Pin(PathBuf, #[source] std::io::Error),
    /// There is no token of this label.
    #[error("no token is labelled {0}")]
    NoToken(String),
    /// There is no private key of this label.
    #[error("no private key is labelled {0}")]
    NoKey(String),
    /// The algorithm is none that keys in tokens are used for.
    #[error("not an algorithm for this token")]
    Algorithm,
}

/// An open token, the user logged in.
pub struct Token {
    /// One thing at a time: a session is not for several threads.
    session: Mutex<Session>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Token").finish_non_exhaustive()
    }
}

impl Token {
    /// Opens the token and logs in.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open(locator: &Locator) -> Result<Self, TokenError> {
        let library = Pkcs11::new(&locator.module)?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(error.into()),
        }
        let labelled = |slot: &cryptoki::slot::Slot| {
            let info = library.get_token_info(*slot);
            info.is_ok_and(|info| info.label() == locator.token)
        };
        let slot = library.get_slots_with_token()?.into_iter().find(labelled);
        let slot = slot.ok_or_else(|| TokenError::NoToken(locator.token.clone()))?;
        let pin = std::fs::read_to_string(&locator.pin_file)
            .map_err(|error| TokenError::Pin(locator.pin_file.clone(), error))?;
        let session = library.open_ro_session(slot)?;
        let pin = AuthPin::from(pin.trim_end_matches(['\r', '\n']));
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self { session: Mutex::new(session) })
    }

    /// The private key of a label.
    pub(super) fn key(&self, label: &str) -> Result<ObjectHandle, TokenError> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = [
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::Label(label.as_bytes().to_vec()),
        ];
        let found = session.find_objects(&wanted)?;
        found.first().copied().ok_or_else(|| TokenError::NoKey(label.to_owned()))
    }

    /// Signs bytes; gives the raw value as XML signatures have it.
    pub(super) fn sign(
        &self,
        key: ObjectHandle,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        let (mechanism, data) = prepared(algorithm, message).ok_or(TokenError::Algorithm)?;
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(session.sign(&mechanism, key, &data)?)
    }

    fn verify_by(
        &self,
        algorithm: SignatureAlgorithm,
        template: &[Attribute],
        message: &[u8],
        value: &[u8],
    ) -> Result<bool, TokenError> {
        let (mechanism, data) = prepared(algorithm, message).ok_or(TokenError::Algorithm)?;
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let key = session.create_object(template)?;
        let verified = session.verify(&mechanism, key, &data, value);
        session.destroy_object(key)?;
        match verified {
            Ok(()) => Ok(true),
            Err(Error::Pkcs11(RvError::SignatureInvalid | RvError::SignatureLenRange, _)) => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The mechanism of an algorithm and what is given to it: the hash is computed here, since not
/// every token computes all of them.
fn prepared(
    algorithm: SignatureAlgorithm,
    message: &[u8],
) -> Option<(Mechanism<'static>, Vec<u8>)> {
    let digest = Digest::of(algorithm.digest(), message);
    let pss = |hash_alg, mgf, length: usize| {
        let s_len = u64::try_from(length).unwrap_or_default().into();
        Mechanism::RsaPkcsPss(PkcsPssParams { hash_alg, mgf, s_len })
    };
    Some(match algorithm {
        SignatureAlgorithm::RsaSha256 => (Mechanism::RsaPkcs, [&SHA256_INFO[..], &digest].concat()),
        SignatureAlgorithm::RsaSha512 => (Mechanism::RsaPkcs, [&SHA512_INFO[..], &digest].concat()),
        SignatureAlgorithm::RsaPssSha256 => {
            (pss(MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32), digest)
        }
        SignatureAlgorithm::RsaPssSha512 => {
            (pss(MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64), digest)
        }
        SignatureAlgorithm::EcdsaSha256 | SignatureAlgorithm::EcdsaSha384 => {
            (Mechanism::Ecdsa, digest)
        }
        _ => return None,
    })
}

/// A public key as an object of a session.
fn template(key: &PublicKey) -> Option<Vec<Attribute>> {
    let mut template = vec![
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Token(false),
        Attribute::Verify(true),
    ];
    let (curve, key) = match key {
        PublicKey::Rsa(key) => {
            template.push(Attribute::KeyType(KeyType::RSA));
            template.push(Attribute::Modulus(key.n().to_vec()));
            template.push(Attribute::PublicExponent(key.e().to_vec()));
            return Some(template);
        }
        PublicKey::P256(key) => (P256_ID, key),
        PublicKey::P384(key) => (P384_ID, key),
        PublicKey::Gost(..) => return None,
    };
    let mut context = BigNumContext::new().ok()?;
    let form = PointConversionForm::UNCOMPRESSED;
    let point = key.public_key().to_bytes(key.group(), form, &mut context).ok()?;
    // An octet string of DER: 65 or 97 bytes.
    let point = [&[0x04, u8::try_from(point.len()).ok()?][..], &point].concat();
    template.push(Attribute::KeyType(KeyType::EC));
    template.push(Attribute::EcParams(curve.to_vec()));
    template.push(Attribute::EcPoint(point));
    Some(template)
}

impl Suite for Token {
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        key: &PublicKey,
        message: &[u8],
        value: &[u8],
    ) -> Result<(), RefusalCode> {
        let fits = matches!(
            (algorithm, key),
            (
                SignatureAlgorithm::RsaSha256
                    | SignatureAlgorithm::RsaSha512
                    | SignatureAlgorithm::RsaPssSha256
                    | SignatureAlgorithm::RsaPssSha512,
                PublicKey::Rsa(_)
            ) | (SignatureAlgorithm::EcdsaSha256, PublicKey::P256(_))
                | (SignatureAlgorithm::EcdsaSha384, PublicKey::P384(_))
        );
        let template = template(key).filter(|_| fits).ok_or(RefusalCode::SigAlgorithm)?;
        match self.verify_by(algorithm, &template, message, value) {
            Ok(true) => Ok(()),
            Ok(false) => Err(RefusalCode::SigValue),
            Err(error) => {
                tracing::error!(%error, "the token does not verify");
                Err(RefusalCode::Internal)
            }
        }
    }
}
