//! GOST R 34.10 through OpenSSL: keys and signatures, where its GOST engine is loaded.
//!
//! The engine is found by OpenSSL itself, from its configuration (`OPENSSL_CONF`); without it these
//! keys cannot be read and signatures are refused as not allowed.

use openssl::error::ErrorStack;
use openssl::pkey::{HasPublic, Id, PKey, PKeyRef, Private};
use openssl::pkey_ctx::PkeyCtx;

use crate::codec::xmldsig::SignatureAlgorithm;

/// Numbers of OpenSSL for keys, `openssl/obj_mac.h`.
const GOST_2001: i32 = 811;
const GOST_2012_256: i32 = 979;
const GOST_2012_512: i32 = 980;

/// Says whether OpenSSL can work with these keys here.
pub fn available() -> bool {
    openssl::init();
    PkeyCtx::new_id(Id::from_raw(GOST_2012_256)).is_ok()
        && PkeyCtx::new_id(Id::from_raw(GOST_2012_512)).is_ok()
}

/// The algorithm that goes with a key; `None` for keys of other kinds.
pub(super) fn algorithm_of(id: Id) -> Option<SignatureAlgorithm> {
    match id.as_raw() {
        GOST_2001 => Some(SignatureAlgorithm::Gost2001),
        GOST_2012_256 => Some(SignatureAlgorithm::Gost256),
        GOST_2012_512 => Some(SignatureAlgorithm::Gost512),
        _ => None,
    }
}

/// Bytes of each of s and r.
fn half(algorithm: SignatureAlgorithm) -> usize {
    if algorithm == SignatureAlgorithm::Gost512 { 64 } else { 32 }
}

/// Checks s and r, big-endian, over a hash.
pub(super) fn verify<T: HasPublic>(
    algorithm: SignatureAlgorithm,
    key: &PKeyRef<T>,
    digest: &[u8],
    value: &[u8],
) -> Result<bool, ErrorStack> {
    if value.len() != 2 * half(algorithm) {
        return Ok(false);
    }
    let mut context = PkeyCtx::new(key)?;
    context.verify_init()?;
    context.verify(digest, value)
}

/// Signs a hash; gives s and r, big-endian.
pub(super) fn sign(key: &PKey<Private>, digest: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let mut context = PkeyCtx::new(key)?;
    context.sign_init()?;
    let mut value = Vec::new();
    context.sign_to_vec(digest, &mut value)?;
    Ok(value)
}
