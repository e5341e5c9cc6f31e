//! XML signatures: strict profiles of XMLDSig, verified in one pass and made to the same profiles.
//!
//! Codec judges structure, algorithms and digests. Whether the value over `SignedInfo` is right,
//! and whether its certificate may be trusted, is `trust`'s to say.
//!
//! What is allowed is listed; all else is refused: one reference to one element, canonicalisation
//! without comments, the transform of SMEV after it, SHA-2 and GOST hashes, RSA, ECDSA and GOST
//! signatures, certificates in `X509Data` or in the token of WS-Security.

mod algorithm;
mod child;
mod detached;
mod enveloped;
mod grammar;
mod ids;
mod octets;
mod parsed;
mod sign;

pub use super::digest::DigestAlgorithm;
pub use algorithm::{SignatureAlgorithm, digest_uri};
pub use detached::{
    Detached, Look, Name, Placement, look, octets_of, verify_detached, verify_with_token,
};
pub use enveloped::{Envelope, Outcome, Profile, TAIL, verify_bytes, verify_enveloped};
pub use sign::{KeyInfo, Recipe, SignError, enveloped_signature, sign_detached, sign_enveloped};

/// Namespace of XML signatures.
pub const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";

/// Namespace of security headers of SOAP messages and of what refers to their tokens.
pub(super) const WSSE: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";

/// Type of a token that is a certificate.
pub(super) const X509_TOKEN: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3";

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
    /// Hash and form of what is signed.
    pub profile: Profile,
    /// The digest of what is signed.
    pub digest: Vec<u8>,
}
