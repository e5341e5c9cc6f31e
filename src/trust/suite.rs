//! Signature suites: who checks a value over bytes with a public key.
//!
//! [`OpenSsl`] does RSA and ECDSA. GOST R 34.10-2012 joins it through the GOST engine or provider
//! of OpenSSL, or comes as a suite of its own over PKCS#11 where the law asks for a certified
//! means; neither changes a caller.

use openssl::bn::BigNum;
use openssl::ec::EcKey;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::sha::{Sha256, sha512};

use crate::codec::xmldsig::SignatureAlgorithm;
use crate::model::refusal::RefusalCode;

/// Shortest RSA key, bits.
const MIN_RSA_BITS: u32 = 2048;
/// Longest RSA key, bits: longer ones only cost time.
const MAX_RSA_BITS: u32 = 8192;
/// DER of the `DigestInfo` of a SHA-256 up to the hash, RFC 8017 9.2.
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];
/// The same of a SHA-512.
const SHA512_INFO: [u8; 19] = [
    0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05,
    0x00, 0x04, 0x40,
];
/// Bytes of each of r and s on P-256.
const P256_BYTES: usize = 32;

/// Checks values of signatures.
pub trait Suite: Send + Sync {
    /// Checks the raw value over the bytes.
    ///
    /// # Errors
    /// `SIG_ALGORITHM` for a key that this suite does not admit or that is not of the algorithm,
    /// `SIG_VALUE` when the value is wrong.
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        key: &PublicKey,
        message: &[u8],
        value: &[u8],
    ) -> Result<(), RefusalCode>;
}

/// A public key that is strong enough, ready for use.
#[derive(Clone, Debug)]
pub enum PublicKey {
    /// RSA of 2048 bits or more.
    Rsa(Rsa<Public>),
    /// A point of P-256.
    P256(EcKey<Public>),
}

impl PublicKey {
    /// Admits a key.
    ///
    /// # Errors
    /// `SIG_ALGORITHM` for kinds, curves and sizes that are not allowed.
    pub fn admit(key: &PKey<Public>) -> Result<Self, RefusalCode> {
        match key.id() {
            Id::RSA if (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&key.bits()) => {
                key.rsa().map(Self::Rsa).map_err(|_| RefusalCode::SigAlgorithm)
            }
            Id::EC => {
                let key = key.ec_key().map_err(|_| RefusalCode::SigAlgorithm)?;
                if key.group().curve_name() != Some(Nid::X9_62_PRIME256V1) {
                    return Err(RefusalCode::SigAlgorithm);
                }
                Ok(Self::P256(key))
            }
            _ => Err(RefusalCode::SigAlgorithm),
        }
    }
}

/// RSA PKCS#1 v1.5 and ECDSA P-256 by OpenSSL.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenSsl;

impl Suite for OpenSsl {
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        key: &PublicKey,
        message: &[u8],
        value: &[u8],
    ) -> Result<(), RefusalCode> {
        let right = match (algorithm, key) {
            (SignatureAlgorithm::RsaSha256, PublicKey::Rsa(key)) => {
                verify_rsa(key, &SHA256_INFO, &sha256(message), value)
            }
            (SignatureAlgorithm::RsaSha512, PublicKey::Rsa(key)) => {
                verify_rsa(key, &SHA512_INFO, &sha512(message), value)
            }
            (SignatureAlgorithm::EcdsaSha256, PublicKey::P256(key)) => {
                verify_p256(key, &sha256(message), value)
            }
            _ => return Err(RefusalCode::SigAlgorithm),
        };
        // An error of OpenSSL is about this value, as the key has been admitted.
        if right.unwrap_or(false) { Ok(()) } else { Err(RefusalCode::SigValue) }
    }
}

/// SHA-256 without the look-up by name that OpenSSL's one-call form makes each time.
pub(super) fn sha256(message: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(message);
    hash.finish()
}

/// Undoes the signature and compares it with the only encoding that this hash may have: nothing
/// of what the signer sent is parsed. OpenSSL's own verification finds the same, but looks up its
/// algorithms by name each time, which takes longer than the arithmetic.
fn verify_rsa(
    key: &Rsa<Public>,
    info: &[u8],
    digest: &[u8],
    value: &[u8],
) -> Result<bool, ErrorStack> {
    let size = key.size() as usize;
    if value.len() != size {
        return Ok(false);
    }
    let mut encoded = vec![0; size];
    let length = key.public_decrypt(value, &mut encoded, Padding::NONE)?;
    let hash = [info, digest].concat();
    let padding = size - hash.len() - 3;
    let expected = [&[0, 1][..], &vec![0xff; padding], &[0], &hash].concat();
    Ok(length == size && encoded == expected)
}

fn verify_p256(key: &EcKey<Public>, digest: &[u8], value: &[u8]) -> Result<bool, ErrorStack> {
    if value.len() != 2 * P256_BYTES {
        return Ok(false);
    }
    let (r, s) = value.split_at(P256_BYTES);
    let signature =
        EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
    signature.verify(digest, key)
}
