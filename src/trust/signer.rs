//! Our own key: what signs receipts, answers, and packages of the simulator.

use std::io::Read;

use openssl::bn::BigNumRef;
use openssl::ec::EcKey;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::x509::X509;

use crate::codec::xmldsig::{
    Detached, SignError, SignatureAlgorithm, enveloped_signature, sign_detached, sign_enveloped,
};

use crate::trust::suite::sha256;

/// Why a key and a certificate do not make a signer.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// Not PEM, or not what it says.
    #[error("not a private key or certificate in PEM")]
    Unreadable(#[from] ErrorStack),
    /// The certificate is for another key.
    #[error("the certificate is not of this key")]
    Mismatch,
    /// Neither RSA nor ECDSA on P-256.
    #[error("the key must be RSA or ECDSA P-256")]
    Kind,
}

/// A key in the form that signs without a look-up.
#[derive(Clone, Debug)]
enum PrivateKey {
    Rsa(PKey<Private>),
    P256(EcKey<Private>),
}

/// A private key with its certificate.
#[derive(Clone, Debug)]
pub struct Signer {
    key: PrivateKey,
    algorithm: SignatureAlgorithm,
    certificate_der: Vec<u8>,
}

impl Signer {
    /// Reads an unencrypted private key and its certificate.
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn from_pem(key: &[u8], certificate: &[u8]) -> Result<Self, SignerError> {
        let key = PKey::private_key_from_pem(key)?;
        let certificate = X509::from_pem(certificate)?;
        if !certificate.public_key()?.public_eq(&key) {
            return Err(SignerError::Mismatch);
        }
        let (key, algorithm) = match key.id() {
            Id::RSA => (PrivateKey::Rsa(key), SignatureAlgorithm::RsaSha256),
            Id::EC if key.ec_key()?.group().curve_name() == Some(Nid::X9_62_PRIME256V1) => {
                (PrivateKey::P256(key.ec_key()?), SignatureAlgorithm::EcdsaSha256)
            }
            _ => return Err(SignerError::Kind),
        };
        Ok(Self { key, algorithm, certificate_der: certificate.to_der()? })
    }

    /// How it signs: RSA-SHA256, or ECDSA-SHA256.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Its certificate, DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate_der
    }

    /// Signs bytes; gives the raw value as XML signatures have it.
    ///
    /// # Errors
    /// OpenSSL's, when the machine is out of something.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        match &self.key {
            PrivateKey::P256(key) => {
                let signature = EcdsaSig::sign(&sha256(message), key)?;
                let padded = |number: &BigNumRef| number.to_vec_padded(32);
                Ok([padded(signature.r())?, padded(signature.s())?].concat())
            }
            PrivateKey::Rsa(key) => {
                let mut signer = openssl::sign::Signer::new(MessageDigest::sha256(), key)?;
                signer.sign_oneshot_to_vec(message)
            }
        }
    }

    /// Signs a document as a whole.
    ///
    /// # Errors
    /// The document is not well-formed or has a signature, or OpenSSL's.
    pub fn sign_enveloped(&self, xml: &[u8]) -> Result<Vec<u8>, SignError<ErrorStack>> {
        sign_enveloped(xml, self.algorithm, &self.certificate_der, |bytes| self.sign(bytes))
    }

    /// The signature of a document as a whole, and the byte of the document where it goes; the
    /// document is read once, in constant memory.
    ///
    /// # Errors
    /// The document is not well-formed or has a signature, or OpenSSL's.
    pub fn enveloped_signature(
        &self,
        xml: impl Read,
    ) -> Result<(u64, String), SignError<ErrorStack>> {
        enveloped_signature(xml, self.algorithm, &self.certificate_der, |bytes| self.sign(bytes))
    }

    /// Signs one element of a message.
    ///
    /// # Errors
    /// The message lacks the element or the holder, or OpenSSL's.
    pub fn sign_detached(
        &self,
        xml: &[u8],
        place: Detached<'_>,
    ) -> Result<Vec<u8>, SignError<ErrorStack>> {
        sign_detached(xml, place, self.algorithm, &self.certificate_der, |bytes| self.sign(bytes))
    }
}
