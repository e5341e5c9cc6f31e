//! Lists of revoked certificates: read from files, judged for each certificate of a path.

use chrono::{DateTime, Utc};
use openssl::x509::{CrlStatus, X509Crl, X509Ref};

use super::certificate::instant;
use crate::model::refusal::{Refusal, RefusalCode};

/// What a list whose next issue is overdue is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stale {
    /// What it revokes stays revoked, and nothing else is concluded from its age.
    #[default]
    Accept,
    /// No signer of its issuer is trusted until a fresh one comes.
    Refuse,
}

/// A file does not hold a list of revoked certificates.
#[derive(Debug, thiserror::Error)]
#[error("это не список отозванных сертификатов (PEM или DER)")]
pub struct NotACrl;

/// Lists of revoked certificates.
#[derive(Default)]
pub struct Crls {
    lists: Vec<X509Crl>,
    stale: Stale,
}

impl Crls {
    /// No lists, and what stale ones would be worth.
    pub fn new(stale: Stale) -> Self {
        Self { lists: Vec::new(), stale }
    }

    /// Adds the lists of a file: PEM with any number of them, or one DER.
    ///
    /// # Errors
    /// [`NotACrl`].
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), NotACrl> {
        const END: &str = "-----END X509 CRL-----";
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        if !text.contains("-----BEGIN ") {
            self.lists.push(X509Crl::from_der(bytes).map_err(|_| NotACrl)?);
            return Ok(());
        }
        let parts = text.split_inclusive(END).filter(|part| part.ends_with(END));
        let before = self.lists.len();
        for part in parts {
            self.lists.push(X509Crl::from_pem(part.as_bytes()).map_err(|_| NotACrl)?);
        }
        if self.lists.len() > before { Ok(()) } else { Err(NotACrl) }
    }

    /// How many lists there are.
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// When the next issue of the list that is overdue first is or was due.
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        let due = |list: &X509Crl| list.next_update().and_then(|time| instant(time).ok());
        self.lists.iter().filter_map(due).min()
    }

    /// Judges a certificate by the lists of its issuer. Gives until when the verdict holds, and until
    /// when the lists tell that it is not revoked: for ever where there is no list.
    ///
    /// A listed certificate is revoked whatever the date beside it: whoever holds a stolen key can
    /// date a signature back.
    ///
    /// # Errors
    /// `CERT_REVOKED`; `CERT_STATUS` for a stale list where these are refused.
    pub(super) fn judge(
        &self,
        certificate: &X509Ref,
        issuer: &X509Ref,
        at: DateTime<Utc>,
    ) -> Result<[DateTime<Utc>; 2], Refusal> {
        let mut until = [DateTime::<Utc>::MAX_UTC; 2];
        for list in &self.lists {
            let same = list.issuer_name().try_cmp(issuer.subject_name());
            if !same.is_ok_and(std::cmp::Ordering::is_eq) || !signed_by(list, issuer) {
                continue;
            }
            if matches!(list.get_by_serial(certificate.serial_number()), CrlStatus::Revoked(_)) {
                return Err(RefusalCode::CertRevoked.into());
            }
            let next = list.next_update().and_then(|time| instant(time).ok());
            let next = next.unwrap_or(DateTime::<Utc>::MAX_UTC);
            if self.stale == Stale::Refuse {
                if next < at {
                    return Err(RefusalCode::CertStatus.into());
                }
                until[0] = until[0].min(next);
            }
            until[1] = until[1].min(next);
        }
        Ok(until)
    }
}

/// Whether the issuer's key signed the list: one that somebody else made says nothing.
fn signed_by(list: &X509Crl, issuer: &X509Ref) -> bool {
    issuer.public_key().is_ok_and(|key| list.verify(&key).unwrap_or(false))
}
