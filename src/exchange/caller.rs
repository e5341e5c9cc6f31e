//! Who calls the federal door: the signature is judged, the certificate leads to the system.

use crate::codec::xml::Limits;
use crate::codec::xmldsig::{Detached, Placement, verify_detached};
use crate::exchange::answer::Desk;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::storage::db::DbError;
use crate::storage::federal_system::{self, FederalSystem};
use crate::trust::certificate::Facts;

/// A system that has proved who it is.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The system.
    pub system: FederalSystem,
    /// Distinguished name in its certificate.
    pub subject: String,
}

/// Why the caller is not let in.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// Its signature or certificate does not stand; facts of the certificate where it could be read.
    #[error("the signature does not stand")]
    Signature(#[source] Refusal, Option<Box<Facts>>),
    /// The certificate signs for no registered system.
    #[error("the certificate belongs to no federal system")]
    NotRegistered,
    /// The system has been denied access.
    #[error("the federal system {0} is blocked")]
    Blocked(String),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Desk {
    /// Says who signed the element at this place of a message.
    ///
    /// # Errors
    /// [`CallerError`].
    pub async fn caller(
        &self,
        message: &[u8],
        place: Detached<'_>,
        limits: Limits,
    ) -> Result<Caller, CallerError> {
        let unproved = |refusal| CallerError::Signature(refusal, None);
        let signature =
            verify_detached(message, place, Placement::default(), limits).map_err(unproved)?;
        let picture = self.picture().await.map_err(unproved)?;
        let signer = picture.trust.verify(&signature, self.now()).map_err(|refusal| {
            let dated = refusal.code == RefusalCode::CertExpired;
            let first = signature.certificates.first().filter(|_| dated);
            let facts = first.and_then(|der| Facts::read(der).ok()).map(Box::new);
            CallerError::Signature(refusal, facts)
        })?;
        let facts = &signer.facts;
        let system = federal_system::by_certificate(self.db(), &facts.sha256).await?;
        let system = system.ok_or(CallerError::NotRegistered)?;
        if !system.active {
            return Err(CallerError::Blocked(system.mnemonic));
        }
        Ok(Caller { system, subject: facts.subject.clone() })
    }
}
