//! Identifiers of algorithms: the lists of what is allowed.

use crate::codec::c14n::Method;
use crate::codec::digest::DigestAlgorithm;
use crate::model::refusal::RefusalCode;

/// Exclusive canonicalisation; also the namespace of `InclusiveNamespaces`.
pub(super) const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
/// Inclusive canonicalisation 1.0.
pub(super) const INCLUSIVE: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
/// Inclusive canonicalisation 1.1.
pub(super) const INCLUSIVE_11: &str = "http://www.w3.org/2006/12/xml-c14n11";
/// The transform that leaves the signature itself out.
pub(super) const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// The transform of SMEV 3.
pub(super) const SMEV: &str = "urn://smev-gov-ru/xmldsig/transform";

/// How a signature is made of `SignedInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSA PKCS#1 v1.5 over SHA-256.
    RsaSha256,
    /// RSA PKCS#1 v1.5 over SHA-512.
    RsaSha512,
    /// RSA-PSS over SHA-256 with MGF1 of it and a salt of its length, RFC 6931.
    RsaPssSha256,
    /// RSA-PSS over SHA-512.
    RsaPssSha512,
    /// ECDSA P-256 over SHA-256; the value is r and s, each of the curve's length.
    EcdsaSha256,
    /// ECDSA P-384 over SHA-384.
    EcdsaSha384,
    /// GOST R 34.10-2012 of 256 bits over Streebog-256; the value is s and r, big-endian.
    Gost256,
    /// GOST R 34.10-2012 of 512 bits over Streebog-512.
    Gost512,
    /// GOST R 34.10-2001 over GOST R 34.11-94: withdrawn, for archives only.
    Gost2001,
}

/// Identifiers of signatures; the first of an algorithm is the one that we write.
const SIGNATURES: [(&str, SignatureAlgorithm); 10] = [
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", SignatureAlgorithm::RsaSha256),
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", SignatureAlgorithm::RsaSha512),
    ("http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1", SignatureAlgorithm::RsaPssSha256),
    ("http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1", SignatureAlgorithm::RsaPssSha512),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", SignatureAlgorithm::EcdsaSha256),
    ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384", SignatureAlgorithm::EcdsaSha384),
    (
        "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102012-gostr34112012-256",
        SignatureAlgorithm::Gost256,
    ),
    (
        "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102012-gostr34112012-512",
        SignatureAlgorithm::Gost512,
    ),
    (
        "http://www.w3.org/2001/04/xmldsig-more#gostr34102001-gostr3411",
        SignatureAlgorithm::Gost2001,
    ),
    (
        "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102001-gostr3411",
        SignatureAlgorithm::Gost2001,
    ),
];

/// Identifiers of hashes, in the same way.
const DIGESTS: [(&str, DigestAlgorithm); 7] = [
    ("http://www.w3.org/2001/04/xmlenc#sha256", DigestAlgorithm::Sha256),
    ("http://www.w3.org/2001/04/xmldsig-more#sha384", DigestAlgorithm::Sha384),
    ("http://www.w3.org/2001/04/xmlenc#sha512", DigestAlgorithm::Sha512),
    ("urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34112012-256", DigestAlgorithm::Streebog256),
    ("urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34112012-512", DigestAlgorithm::Streebog512),
    ("http://www.w3.org/2001/04/xmldsig-more#gostr3411", DigestAlgorithm::Gost94),
    ("urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr3411", DigestAlgorithm::Gost94),
];

impl SignatureAlgorithm {
    /// Its identifier in documents.
    pub fn uri(self) -> &'static str {
        uri_of(&SIGNATURES, self)
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::RsaSha256 => "RSA-SHA256",
            Self::RsaSha512 => "RSA-SHA512",
            Self::RsaPssSha256 => "RSA-PSS-SHA256",
            Self::RsaPssSha512 => "RSA-PSS-SHA512",
            Self::EcdsaSha256 => "ECDSA-SHA256",
            Self::EcdsaSha384 => "ECDSA-SHA384",
            Self::Gost256 => "ГОСТ Р 34.10-2012 256 бит",
            Self::Gost512 => "ГОСТ Р 34.10-2012 512 бит",
            Self::Gost2001 => "ГОСТ Р 34.10-2001",
        }
    }

    /// The algorithm of an identifier.
    ///
    /// # Errors
    /// `SIG_ALGORITHM`.
    pub(super) fn from_uri(uri: &str) -> Result<Self, RefusalCode> {
        known(&SIGNATURES, uri)
    }

    /// The hash of the message that is signed.
    pub fn digest(self) -> DigestAlgorithm {
        match self {
            Self::RsaSha256 | Self::RsaPssSha256 | Self::EcdsaSha256 => DigestAlgorithm::Sha256,
            Self::RsaSha512 | Self::RsaPssSha512 => DigestAlgorithm::Sha512,
            Self::EcdsaSha384 => DigestAlgorithm::Sha384,
            Self::Gost256 => DigestAlgorithm::Streebog256,
            Self::Gost512 => DigestAlgorithm::Streebog512,
            Self::Gost2001 => DigestAlgorithm::Gost94,
        }
    }
}

/// The identifier of a hash.
pub fn digest_uri(digest: DigestAlgorithm) -> &'static str {
    uri_of(&DIGESTS, digest)
}

/// The hash of an identifier.
pub(super) fn digest_from_uri(uri: &str) -> Result<DigestAlgorithm, RefusalCode> {
    known(&DIGESTS, uri)
}

/// The identifier of a canonicalisation.
pub(super) fn method_uri(method: &Method) -> &'static str {
    match method {
        Method::Exclusive(_) => EXCLUSIVE,
        Method::Inclusive => INCLUSIVE,
        Method::Inclusive11 => INCLUSIVE_11,
    }
}

fn known<T: Copy>(list: &[(&str, T)], uri: &str) -> Result<T, RefusalCode> {
    let found = list.iter().find(|(known, _)| *known == uri);
    found.map(|&(_, algorithm)| algorithm).ok_or(RefusalCode::SigAlgorithm)
}

fn uri_of<T: Copy + PartialEq>(list: &'static [(&'static str, T)], wanted: T) -> &'static str {
    // Every algorithm is in its list.
    list.iter().find(|(_, algorithm)| *algorithm == wanted).map_or("", |(uri, _)| uri)
}
