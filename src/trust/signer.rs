//! Our own key: what signs receipts, answers, and packages of the simulator.

use std::io::Read;
use std::sync::Arc;

use cryptoki::object::ObjectHandle;
use openssl::bn::BigNumRef;
use openssl::ec::EcKey;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Padding;
use openssl::sign::RsaPssSaltlen;
use openssl::x509::{X509, X509Ref, X509VerifyResult};

use super::pkcs11::{Locator, Token, TokenError};
use super::suite::{OpenSsl, PublicKey, Suite, sha256};
use super::{cms, fitness, gost};
use crate::codec::digest::Digest;
use crate::codec::shape::Spot;
use crate::codec::xmldsig::{
    Detached, KeyInfo, Placement, Recipe, SignError, SignatureAlgorithm, enveloped_signature,
    sign_detached, sign_enveloped,
};
use crate::model::refusal::Refusal;

/// Most certificates of authorities beside the signer's: verification takes five in all.
const MAX_ISSUERS: usize = 4;

/// Why a key and a certificate do not make a signer.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// Not PEM, or not what it says.
    #[error("это не закрытый ключ или не сертификат, или пароль неверен")]
    Unreadable(#[source] ErrorStack),
    /// The certificate is for another key.
    #[error("сертификат выдан на другой ключ")]
    Mismatch,
    /// Neither RSA nor ECDSA on P-256 or P-384 nor GOST R 34.10-2012.
    #[error(
        "ключ должен быть RSA, ECDSA P-256 или P-384, или ГОСТ Р 34.10-2012 с модулем ГОСТ для OpenSSL"
    )]
    Kind,
    /// The token is not there, or does not have the key.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The key does not make signatures of the algorithm asked for.
    #[error("этот ключ не делает подписей такого алгоритма")]
    Algorithm,
}

impl From<ErrorStack> for SignerError {
    fn from(error: ErrorStack) -> Self {
        Self::Unreadable(error)
    }
}

/// A certificate, PEM or DER.
fn certificate_of(bytes: &[u8]) -> Result<X509, ErrorStack> {
    let pem = bytes.windows(11).any(|window| window == b"-----BEGIN ");
    if pem { X509::from_pem(bytes) } else { X509::from_der(bytes) }
}

/// The issuers of a certificate, its own first, as far as these certificates lead, roots left out.
fn issuers(leaf: &[u8], certificates: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let read = |der: &Vec<u8>| X509::from_der(der).ok();
    let others: Vec<X509> = certificates.iter().filter_map(read).collect();
    let mut found = Vec::new();
    let mut last = X509::from_der(leaf).ok();
    while let Some(one) = last.take()
        && found.len() < MAX_ISSUERS
    {
        let issuer = others.iter().find(|other| {
            let own = other.issued(other) == X509VerifyResult::OK;
            !own && other.issued(&one) == X509VerifyResult::OK
        });
        let Some(issuer) = issuer else { break };
        let Ok(der) = issuer.to_der() else { break };
        if found.contains(&der) {
            break;
        }
        found.push(der);
        last = Some(issuer.clone());
    }
    found
}

/// Why a key did not sign.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// OpenSSL's: the machine is out of something.
    #[error(transparent)]
    OpenSsl(#[from] ErrorStack),
    /// The token's.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// A key in the form that signs without a look-up.
#[derive(Clone, Debug)]
enum PrivateKey {
    Rsa(PKey<Private>),
    /// On P-256 or P-384, with the bytes of each of r and s.
    Ec(EcKey<Private>, i32),
    Gost(PKey<Private>),
    Token(Arc<Token>, ObjectHandle),
}

/// A private key with its certificate.
#[derive(Clone, Debug)]
pub struct Signer {
    key: PrivateKey,
    algorithm: SignatureAlgorithm,
    /// The signer's, then those that were added for whoever verifies; DER.
    certificates: Vec<Vec<u8>>,
}

impl Signer {
    /// Reads an unencrypted private key and its certificate.
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn from_pem(key: &[u8], certificate: &[u8]) -> Result<Self, SignerError> {
        openssl::init();
        // Without this OpenSSL asks at the terminal for the password of an encrypted key.
        let key = PKey::private_key_from_pem_callback(key, |_| Ok(0))?;
        Self::from_parts(key, &certificate_of(certificate)?)
    }

    /// The same with an encrypted key.
    ///
    /// # Errors
    /// [`SignerError`]; a wrong password is [`SignerError::Unreadable`].
    pub fn from_encrypted_pem(
        key: &[u8],
        password: &str,
        certificate: &[u8],
    ) -> Result<Self, SignerError> {
        openssl::init();
        let key = PKey::private_key_from_pem_passphrase(key, password.as_bytes())?;
        Self::from_parts(key, &certificate_of(certificate)?)
    }

    /// Reads a key and its certificate from a PKCS#12 file.
    ///
    /// # Errors
    /// [`SignerError`]; a wrong password is [`SignerError::Unreadable`].
    pub fn from_pkcs12(file: &[u8], password: &str) -> Result<Self, SignerError> {
        openssl::init();
        let parsed = Pkcs12::from_der(file)?.parse2(password)?;
        let key = parsed.pkey.ok_or(SignerError::Kind)?;
        Self::from_parts(key, &parsed.cert.ok_or(SignerError::Mismatch)?)
    }

    /// The other certificates of a PKCS#12 file, DER.
    ///
    /// # Errors
    /// OpenSSL's; a wrong password too.
    pub fn others_of_pkcs12(file: &[u8], password: &str) -> Result<Vec<Vec<u8>>, ErrorStack> {
        let parsed = Pkcs12::from_der(file)?.parse2(password)?;
        parsed.ca.iter().flatten().map(X509Ref::to_der).collect()
    }

    /// Takes a key of a token, whose certificate is given, PEM.
    ///
    /// # Errors
    /// [`SignerError`]; that the certificate is of another key shows when it signs here for the
    /// first time.
    pub fn from_token(locator: &Locator, certificate: &[u8]) -> Result<Self, SignerError> {
        let certificate = certificate_of(certificate)?;
        let token = Arc::new(Token::open(locator)?);
        let key = token.key(&locator.key)?;
        let public = PublicKey::admit(&certificate.public_key()?).map_err(|_| SignerError::Kind)?;
        let algorithm = match public {
            PublicKey::Rsa(_) => SignatureAlgorithm::RsaSha256,
            PublicKey::P256(_) => SignatureAlgorithm::EcdsaSha256,
            PublicKey::P384(_) => SignatureAlgorithm::EcdsaSha384,
            PublicKey::Gost(..) => return Err(SignerError::Kind),
        };
        let trial = token.sign(key, algorithm, b"trial")?;
        let right = OpenSsl.verify(algorithm, &public, b"trial", &trial);
        right.map_err(|_| SignerError::Mismatch)?;
        let key = PrivateKey::Token(token, key);
        Ok(Self { key, algorithm, certificates: vec![certificate.to_der()?] })
    }

    fn from_parts(key: PKey<Private>, certificate: &X509) -> Result<Self, SignerError> {
        if !certificate.public_key()?.public_eq(&key) {
            return Err(SignerError::Mismatch);
        }
        let (key, algorithm) = match key.id() {
            Id::RSA => (PrivateKey::Rsa(key), SignatureAlgorithm::RsaSha256),
            Id::EC => {
                let key = key.ec_key()?;
                match key.group().curve_name() {
                    Some(Nid::X9_62_PRIME256V1) => {
                        (PrivateKey::Ec(key, 32), SignatureAlgorithm::EcdsaSha256)
                    }
                    Some(Nid::SECP384R1) => {
                        (PrivateKey::Ec(key, 48), SignatureAlgorithm::EcdsaSha384)
                    }
                    _ => return Err(SignerError::Kind),
                }
            }
            other => match gost::algorithm_of(other) {
                Some(SignatureAlgorithm::Gost2001) | None => return Err(SignerError::Kind),
                Some(algorithm) => (PrivateKey::Gost(key), algorithm),
            },
        };
        Ok(Self { key, algorithm, certificates: vec![certificate.to_der()?] })
    }

    /// The same key with another algorithm: RSA keys make four kinds of signatures.
    ///
    /// # Errors
    /// [`SignerError::Algorithm`].
    pub fn with_algorithm(mut self, algorithm: SignatureAlgorithm) -> Result<Self, SignerError> {
        let rsa = matches!(
            algorithm,
            SignatureAlgorithm::RsaSha256
                | SignatureAlgorithm::RsaSha512
                | SignatureAlgorithm::RsaPssSha256
                | SignatureAlgorithm::RsaPssSha512
        );
        let of_rsa = self.algorithm == SignatureAlgorithm::RsaSha256;
        let fits = algorithm == self.algorithm || (rsa && of_rsa);
        self.algorithm = algorithm;
        if fits { Ok(self) } else { Err(SignerError::Algorithm) }
    }

    /// Sends along, with its own certificate, those of authorities on the way to an anchor: of these
    /// certificates, DER, the issuers one after another, without the root.
    #[must_use]
    pub fn with_issuers(mut self, certificates: &[Vec<u8>]) -> Self {
        let issuers = issuers(self.certificate_der(), certificates);
        self.certificates.truncate(1);
        self.certificates.extend(issuers);
        self
    }

    /// Whether `verify` would take what it signs, as far as its certificate says.
    ///
    /// # Errors
    /// `CERT_CONSTRAINT`, `SIG_ALGORITHM`.
    pub fn fitness(&self) -> Result<(), Refusal> {
        fitness::judge(self.certificate_der())
    }

    /// How it signs: by default RSA-SHA256, or the algorithm of its curve.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Its certificate, PEM.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn certificate_pem(&self) -> Result<Vec<u8>, ErrorStack> {
        X509::from_der(self.certificate_der())?.to_pem()
    }

    /// Its certificate, DER.
    pub fn certificate_der(&self) -> &[u8] {
        // The first is there from the beginning.
        self.certificates.first().map_or(&[], Vec::as_slice)
    }

    /// Signs a file of a message; gives a detached PKCS#7, DER, which a key in a token does not make.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn sign_file(&self, file: &[u8]) -> Result<Vec<u8>, KeyError> {
        let key = match &self.key {
            PrivateKey::Rsa(key) | PrivateKey::Gost(key) => key.clone(),
            PrivateKey::Ec(key, _) => PKey::from_ec_key(key.clone())?,
            PrivateKey::Token(..) => return Err(TokenError::Algorithm.into()),
        };
        Ok(cms::sign(&X509::from_der(self.certificate_der())?, &key, file)?)
    }

    /// Signs bytes; gives the raw value as XML signatures have it.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let digest = || Digest::of(self.algorithm.digest(), message);
        match &self.key {
            PrivateKey::Ec(key, half) => {
                let signature = match self.algorithm {
                    SignatureAlgorithm::EcdsaSha256 => EcdsaSig::sign(&sha256(message), key)?,
                    _ => EcdsaSig::sign(&digest(), key)?,
                };
                let padded = |number: &BigNumRef| number.to_vec_padded(*half);
                Ok([padded(signature.r())?, padded(signature.s())?].concat())
            }
            PrivateKey::Gost(key) => Ok(gost::sign(key, &digest())?),
            PrivateKey::Token(token, key) => Ok(token.sign(*key, self.algorithm, message)?),
            PrivateKey::Rsa(key) => {
                let (hash, pss) = match self.algorithm {
                    SignatureAlgorithm::RsaPssSha256 => (MessageDigest::sha256(), true),
                    SignatureAlgorithm::RsaPssSha512 => (MessageDigest::sha512(), true),
                    SignatureAlgorithm::RsaSha512 => (MessageDigest::sha512(), false),
                    _ => (MessageDigest::sha256(), false),
                };
                let mut signer = openssl::sign::Signer::new(hash, key)?;
                if pss {
                    signer.set_rsa_padding(Padding::PKCS1_PSS)?;
                    signer.set_rsa_mgf1_md(hash)?;
                    signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
                }
                Ok(signer.sign_oneshot_to_vec(message)?)
            }
        }
    }

    /// How it signs by default: exclusive canonicalisation and the hash of the algorithm.
    pub fn recipe(&self) -> Recipe {
        Recipe::new(self.algorithm)
    }

    /// Signs a document as a whole.
    ///
    /// # Errors
    /// The document is not well-formed or has a signature, or [`KeyError`].
    pub fn sign_enveloped(&self, xml: &[u8]) -> Result<Vec<u8>, SignError<KeyError>> {
        self.sign_enveloped_by(xml, &self.recipe())
    }

    /// The same by a recipe, whose algorithm must be the signer's.
    ///
    /// # Errors
    /// The document is not well-formed or has a signature, or [`KeyError`].
    pub fn sign_enveloped_by(
        &self,
        xml: &[u8],
        recipe: &Recipe,
    ) -> Result<Vec<u8>, SignError<KeyError>> {
        sign_enveloped(xml, recipe, &self.certificates, |bytes| self.sign(bytes))
    }

    /// The signature of a document as a whole, and the byte of the document where it goes; the
    /// document is read once, in constant memory.
    ///
    /// # Errors
    /// The document is not well-formed or has a signature, or [`KeyError`].
    pub fn enveloped_signature(
        &self,
        xml: impl Read,
    ) -> Result<(u64, String), SignError<KeyError>> {
        self.enveloped_signature_by(xml, &self.recipe())
    }

    /// The same by a recipe, whose algorithm must be the signer's.
    ///
    /// # Errors
    /// The document is not well-formed or has a signature, or [`KeyError`].
    pub fn enveloped_signature_by(
        &self,
        xml: impl Read,
        recipe: &Recipe,
    ) -> Result<(u64, String), SignError<KeyError>> {
        enveloped_signature(xml, recipe, &self.certificates, |bytes| self.sign(bytes))
    }

    /// Signs one element of a message by a recipe, whose algorithm must be the signer's.
    ///
    /// # Errors
    /// The message lacks the element or the holder, or [`KeyError`].
    pub fn sign_detached(
        &self,
        xml: &[u8],
        place: Detached<'_>,
        recipe: &Recipe,
    ) -> Result<Vec<u8>, SignError<KeyError>> {
        let key_info = KeyInfo::Certificates(&self.certificates);
        let sign = |bytes: &[u8]| self.sign(bytes);
        sign_detached(xml, place, Placement::default(), recipe, key_info, sign)
    }

    /// Signs what a shape says at the place that it says, by a recipe whose algorithm must be the
    /// signer's.
    ///
    /// # Errors
    /// The message lacks the element, its id or the holder, or [`KeyError`].
    pub fn sign_spot(
        &self,
        xml: &[u8],
        spot: &Spot,
        recipe: &Recipe,
    ) -> Result<Vec<u8>, SignError<KeyError>> {
        spot.sign(xml, recipe, &self.certificates, |bytes| self.sign(bytes))
    }
}
