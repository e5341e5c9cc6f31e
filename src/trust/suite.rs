//! Signature suites: who checks a value over bytes with a public key.
//!
//! [`OpenSsl`] does RSA, ECDSA and, where its GOST engine is loaded, GOST R 34.10. A means that the
//! law asks for joins as another suite, over PKCS#11; neither changes a caller.

use openssl::bn::BigNum;
use openssl::ec::EcKey;
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::md::{Md, MdRef};
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::{Padding, Rsa};
use openssl::sha::{Sha256, sha512};
use openssl::sign::RsaPssSaltlen;

use super::gost;
use crate::codec::digest::Digest;
use crate::codec::xmldsig::SignatureAlgorithm;
use crate::model::refusal::RefusalCode;

/// Shortest RSA key, bits.
pub(super) const MIN_RSA_BITS: u32 = 2048;
/// Longest RSA key, bits: longer ones only cost time.
pub(super) const MAX_RSA_BITS: u32 = 8192;
/// DER of the `DigestInfo` of a SHA-256 up to the hash, RFC 8017 9.2.
pub(super) const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];
/// The same of a SHA-512.
pub(super) const SHA512_INFO: [u8; 19] = [
    0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05,
    0x00, 0x04, 0x40,
];
/// Bytes of each of r and s.
const P256_BYTES: usize = 32;
const P384_BYTES: usize = 48;

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
    /// A point of P-384.
    P384(EcKey<Public>),
    /// GOST R 34.10, with the only algorithm that it is for.
    Gost(PKey<Public>, SignatureAlgorithm),
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
                match key.group().curve_name() {
                    Some(Nid::X9_62_PRIME256V1) => Ok(Self::P256(key)),
                    Some(Nid::SECP384R1) => Ok(Self::P384(key)),
                    _ => Err(RefusalCode::SigAlgorithm),
                }
            }
            other => match gost::algorithm_of(other) {
                Some(algorithm) => Ok(Self::Gost(key.clone(), algorithm)),
                None => Err(RefusalCode::SigAlgorithm),
            },
        }
    }
}

/// RSA, ECDSA and GOST R 34.10 by OpenSSL.
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
            (SignatureAlgorithm::RsaPssSha256, PublicKey::Rsa(key)) => {
                verify_pss(key, Md::sha256(), &sha256(message), value)
            }
            (SignatureAlgorithm::RsaPssSha512, PublicKey::Rsa(key)) => {
                verify_pss(key, Md::sha512(), &sha512(message), value)
            }
            (SignatureAlgorithm::EcdsaSha256, PublicKey::P256(key)) => {
                verify_ecdsa(key, P256_BYTES, &sha256(message), value)
            }
            (SignatureAlgorithm::EcdsaSha384, PublicKey::P384(key)) => {
                verify_ecdsa(key, P384_BYTES, &Digest::of(algorithm.digest(), message), value)
            }
            (algorithm, PublicKey::Gost(key, own)) if algorithm == *own => {
                gost::verify(algorithm, key, &Digest::of(algorithm.digest(), message), value)
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

fn verify_pss(
    key: &Rsa<Public>,
    hash: &MdRef,
    digest: &[u8],
    value: &[u8],
) -> Result<bool, ErrorStack> {
    let key = PKey::from_rsa(key.clone())?;
    let mut context = PkeyCtx::new(&key)?;
    context.verify_init()?;
    context.set_rsa_padding(Padding::PKCS1_PSS)?;
    context.set_signature_md(hash)?;
    context.set_rsa_mgf1_md(hash)?;
    context.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
    context.verify(digest, value)
}

fn verify_ecdsa(
    key: &EcKey<Public>,
    half: usize,
    digest: &[u8],
    value: &[u8],
) -> Result<bool, ErrorStack> {
    if value.len() != 2 * half {
        return Ok(false);
    }
    let (r, s) = value.split_at(half);
    let signature =
        EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
    signature.verify(digest, key)
}

/// The value of ECDSA as XML signatures have it, made of one that is written in DER; nothing for
/// what is not.
pub fn plain_ecdsa(algorithm: SignatureAlgorithm, value: &[u8]) -> Option<Vec<u8>> {
    let half = match algorithm {
        SignatureAlgorithm::EcdsaSha256 => P256_BYTES,
        SignatureAlgorithm::EcdsaSha384 => P384_BYTES,
        _ => return None,
    };
    let half = i32::try_from(half).ok()?;
    let signature = EcdsaSig::from_der(value).ok()?;
    let padded = |number: &openssl::bn::BigNumRef| number.to_vec_padded(half).ok();
    Some([padded(signature.r())?, padded(signature.s())?].concat())
}
