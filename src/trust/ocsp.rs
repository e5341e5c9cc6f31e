//! OCSP: what a responder says of a certificate, asked in the background and kept until it is old.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use openssl::asn1::Asn1GeneralizedTimeRef;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::ocsp::{OcspCertId, OcspCertStatus, OcspFlag, OcspRequest, OcspResponse};
use openssl::stack::Stack;
use openssl::x509::X509;

use super::TrustStore;

/// Longest answer of a responder, in bytes.
pub const MAX_ANSWER: usize = 64 << 10;

/// How far a responder's clock may be from ours, and how old an answer may be, in seconds.
const SKEW: u32 = 300;
const MAX_AGE: u32 = 7 * 86_400;

/// How long an answer counts that does not say when the next one is due.
const DEFAULT_LIFE: TimeDelta = TimeDelta::hours(1);

/// What is known of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// It has been revoked.
    pub revoked: bool,
    /// The statement counts until then; that of a revocation for ever.
    pub until: DateTime<Utc>,
}

/// Why an answer says nothing.
#[derive(Debug, thiserror::Error)]
pub enum OcspError {
    /// Not an answer, or one without a verdict.
    #[error("the responder does not answer the question")]
    NoVerdict,
    /// Neither the issuer nor somebody authorised by it signed the answer, or no longer may.
    #[error("the answer is not signed by the issuer's responder")]
    Signature(#[source] ErrorStack),
    /// It is out of date.
    #[error("the answer is out of date")]
    Stale(#[source] ErrorStack),
    /// The responder does not know the certificate.
    #[error("the responder does not know the certificate")]
    Unknown,
    /// OpenSSL's.
    #[error(transparent)]
    OpenSsl(#[from] ErrorStack),
}

/// A question about one certificate.
pub struct Query {
    certificate: X509,
    issuer: X509,
}

impl Query {
    /// Asks about a certificate of this issuer, both DER.
    ///
    /// # Errors
    /// OpenSSL's, for what is no certificate.
    pub fn new(certificate: &[u8], issuer: &[u8]) -> Result<Self, ErrorStack> {
        let (certificate, issuer) = (X509::from_der(certificate)?, X509::from_der(issuer)?);
        Ok(Self { certificate, issuer })
    }

    /// The request, DER.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn der(&self) -> Result<Vec<u8>, ErrorStack> {
        let mut request = OcspRequest::new()?;
        request.add_id(self.id()?)?;
        request.to_der()
    }

    /// SHA-1 is what every responder knows; it only names the certificate, and protects nothing.
    fn id(&self) -> Result<OcspCertId, ErrorStack> {
        OcspCertId::from_cert(MessageDigest::sha1(), &self.certificate, &self.issuer)
    }

    /// Judges an answer, whose signer `trust` must lead to.
    ///
    /// # Errors
    /// [`OcspError`].
    pub fn judge(
        &self,
        answer: &[u8],
        trust: &TrustStore,
        at: DateTime<Utc>,
    ) -> Result<Status, OcspError> {
        let answer = OcspResponse::from_der(answer).map_err(|_| OcspError::NoVerdict)?;
        let basic = answer.basic().map_err(|_| OcspError::NoVerdict)?;
        let mut others = Stack::new()?;
        others.push(self.issuer.clone())?;
        let verified = basic.verify(&others, &*trust.store(at)?, OcspFlag::empty());
        verified.map_err(OcspError::Signature)?;
        let found = basic.find_status(&*self.id()?).ok_or(OcspError::NoVerdict)?;
        found.check_validity(SKEW, Some(MAX_AGE)).map_err(OcspError::Stale)?;
        match found.status {
            OcspCertStatus::REVOKED => {
                Ok(Status { revoked: true, until: DateTime::<Utc>::MAX_UTC })
            }
            OcspCertStatus::GOOD => {
                let until = found.next_update().and_then(instant).unwrap_or(at + DEFAULT_LIFE);
                Ok(Status { revoked: false, until })
            }
            _ => Err(OcspError::Unknown),
        }
    }
}

/// A generalised time, which OpenSSL only prints.
fn instant(time: &Asn1GeneralizedTimeRef) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(&time.to_string(), "%b %e %H:%M:%S %Y GMT")
        .ok()
        .map(|time| time.and_utc())
}

/// What is known of certificates, by lower-case hex of their SHA-256. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Statuses(Arc<RwLock<HashMap<String, Status>>>);

impl Statuses {
    /// Keeps what a responder said.
    pub fn keep(&self, sha256: &str, status: Status) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(sha256.to_owned(), status);
    }

    /// What is known at an instant.
    pub fn get(&self, sha256: &str, at: DateTime<Utc>) -> Option<Status> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(sha256).copied().filter(|status| at <= status.until)
    }
}
