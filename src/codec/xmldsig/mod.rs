//! XML signatures: a strict profile of XMLDSig, verified in one pass and made to the same profile.
//!
//! Codec judges structure, algorithms and digests. Whether the value over `SignedInfo` is right,
//! and whether its certificate may be trusted, is `trust`'s to say.
//!
//! What is allowed is listed; all else is refused: exclusive canonicalisation without comments,
//! SHA-256 and SHA-512, RSA PKCS#1 and ECDSA P-256, one reference, certificates in `X509Data`.
//! GOST and the transform of SMEV get their identifiers here when they come.

mod detached;
mod enveloped;
mod grammar;
mod sign;

use crate::model::refusal::RefusalCode;

pub use super::c14n::DigestAlgorithm;
pub use detached::{Detached, verify_detached};
pub use enveloped::{Outcome, Profile, verify_bytes, verify_enveloped};
pub use sign::{SignError, enveloped_signature, sign_detached, sign_enveloped};

/// Namespace of XML signatures.
pub const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";

/// Exclusive canonicalisation; also the namespace of `InclusiveNamespaces`.
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// The transform that leaves the signature itself out.
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

/// How a signature is made of `SignedInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSA PKCS#1 v1.5 over SHA-256.
    RsaSha256,
    /// RSA PKCS#1 v1.5 over SHA-512.
    RsaSha512,
    /// ECDSA over SHA-256; the value is r and s, each of the curve's length.
    EcdsaSha256,
}

impl SignatureAlgorithm {
    /// Its identifier in documents.
    pub fn uri(self) -> &'static str {
        match self {
            Self::RsaSha256 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            Self::RsaSha512 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
            Self::EcdsaSha256 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
        }
    }

    fn from_uri(uri: &str) -> Result<Self, RefusalCode> {
        [Self::RsaSha256, Self::RsaSha512, Self::EcdsaSha256]
            .into_iter()
            .find(|algorithm| algorithm.uri() == uri)
            .ok_or(RefusalCode::SigAlgorithm)
    }
}

fn digest_uri(digest: DigestAlgorithm) -> &'static str {
    match digest {
        DigestAlgorithm::Sha256 => "http://www.w3.org/2001/04/xmlenc#sha256",
        DigestAlgorithm::Sha512 => "http://www.w3.org/2001/04/xmlenc#sha512",
    }
}

fn digest_from_uri(uri: &str) -> Result<DigestAlgorithm, RefusalCode> {
    [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512]
        .into_iter()
        .find(|&digest| digest_uri(digest) == uri)
        .ok_or(RefusalCode::SigAlgorithm)
}

/// A signature whose digest was right. Its value is not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopedSignature {
    /// Canonical bytes of `SignedInfo`, which the value signs.
    pub signed_info: Vec<u8>,
    /// How it is signed.
    pub algorithm: SignatureAlgorithm,
    /// The value, raw.
    pub value: Vec<u8>,
    /// Certificates as found, DER, 1 to 5; the signer's is usually the first.
    pub certificates: Vec<Vec<u8>>,
    /// The digest of what is signed.
    pub digest: Vec<u8>,
}
