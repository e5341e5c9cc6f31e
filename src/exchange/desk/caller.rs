//! Who calls: the signature is judged, the certificate leads to the system. An official's signature
//! over the content, and those over files, must stand too.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Desk;
use crate::codec::shape::{Plan, Role, Spot};
use crate::codec::xml::Limits;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::storage::federal_system::FederalSystem;
use crate::trust::SignerCertificate;
use crate::trust::TrustStore;
use crate::trust::certificate::Facts;

/// A system that has proved who it is.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The system.
    pub system: Arc<FederalSystem>,
    /// Distinguished name in its certificate.
    pub subject: String,
}

/// How a certificate is out of date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfDate {
    /// It was valid until then.
    Ended(DateTime<Utc>),
    /// It will be from then on.
    NotBegun(DateTime<Utc>),
}

/// Why the caller is not let in.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// A signature or its certificate does not stand: whose, and the dates of the certificate when it
    /// is out of date.
    #[error("the signature does not stand")]
    Signature(Role, #[source] Refusal, Option<OutOfDate>),
    /// The signature over the file of this id does not stand.
    #[error("the signature over a file does not stand")]
    File(String, #[source] Refusal),
    /// The certificate of an official is that of a system that has been denied access: whose.
    #[error("an official signs with the certificate of the blocked system {0}")]
    OfficialBlocked(String),
    /// The certificate signs for no registered system.
    #[error("the certificate belongs to no system")]
    NotRegistered,
    /// The system has been denied access.
    #[error("the system {0} is blocked")]
    Blocked(String),
}

impl Desk {
    /// Says who signed a message, all of whose signatures are judged.
    ///
    /// # Errors
    /// [`CallerError`].
    pub async fn caller(
        &self,
        message: &[u8],
        plan: &Plan,
        limits: Limits,
    ) -> Result<Caller, CallerError> {
        let ours = |refusal| CallerError::Signature(Role::System, refusal, None);
        let picture = self.picture().await.map_err(ours)?;
        let missing = || ours(RefusalCode::SigMissing.into());
        let (first, others) = plan.spots.split_first().ok_or_else(missing)?;
        let signer = self.signer(message, first, &picture.trust, limits)?;
        for spot in others {
            let official = self.signer(message, spot, &picture.trust, limits)?;
            // Else whom an operator has shut out would go on under the roof of another system.
            let known = picture.members.signer(&official.facts.sha256);
            if let Some(blocked) = known.filter(|system| !system.active) {
                return Err(CallerError::OfficialBlocked(blocked.mnemonic.clone()));
            }
        }
        for file in &plan.attachments {
            let unproved = |refusal| CallerError::File(file.id.clone(), refusal);
            // Files stand beside the signed data: nothing else covers them.
            let signature = file.signature.as_ref();
            let signature = signature.ok_or_else(|| unproved(RefusalCode::SigMissing.into()))?;
            let judged = picture.trust.verify_file(signature, &file.content, self.now());
            judged.map_err(unproved)?;
        }
        let facts = &signer.facts;
        let mut known = picture.members.signer(&facts.sha256).map(Arc::clone);
        if known.is_none() {
            self.admit(facts).await.map_err(ours)?;
            // Registered within the last second, perhaps.
            let fresh = self.0.parties.snapshot().await.map_err(ours)?;
            known = fresh.members.signer(&facts.sha256).map(Arc::clone);
        }
        let system = known.ok_or(CallerError::NotRegistered)?;
        if !system.active {
            return Err(CallerError::Blocked(system.mnemonic.clone()));
        }
        Ok(Caller { system, subject: facts.subject.clone() })
    }

    /// Who made one of the signatures of a message.
    fn signer(
        &self,
        message: &[u8],
        spot: &Spot,
        trust: &TrustStore,
        limits: Limits,
    ) -> Result<Arc<SignerCertificate>, CallerError> {
        let unproved = |refusal| CallerError::Signature(spot.role, refusal, None);
        let signature = spot.verify(message, limits).map_err(unproved)?;
        let now = self.now();
        trust.verify(&signature, now).map_err(|refusal| {
            let dated = refusal.code == RefusalCode::CertExpired;
            let first = signature.certificates.first().filter(|_| dated);
            let dates = first.and_then(|der| Facts::read(der).ok()).map(|facts| {
                let early = facts.not_before > now;
                if early {
                    OutOfDate::NotBegun(facts.not_before)
                } else {
                    OutOfDate::Ended(facts.not_after)
                }
            });
            CallerError::Signature(spot.role, refusal, dates)
        })
    }
}
