//! Signing our statements about packages.

use crate::codec::receipt::{Conclusion, Subject, accepted, concluded};
use crate::model::refusal::{Refusal, RefusalCode};
use crate::trust::Signer;

/// The signed first receipt.
///
/// # Errors
/// `INTERNAL` when our key does not sign.
pub(crate) fn first(signer: &Signer, subject: &Subject<'_>) -> Result<Vec<u8>, Refusal> {
    sign(signer, &accepted(subject))
}

/// The signed final receipt.
///
/// # Errors
/// `INTERNAL` when our key does not sign.
pub(crate) fn last(
    signer: &Signer,
    subject: &Subject<'_>,
    conclusion: &Conclusion<'_>,
) -> Result<Vec<u8>, Refusal> {
    sign(signer, &concluded(subject, conclusion))
}

fn sign(signer: &Signer, xml: &str) -> Result<Vec<u8>, Refusal> {
    signer.sign_enveloped(xml.as_bytes()).map_err(|error| {
        tracing::error!(%error, "a receipt could not be signed");
        RefusalCode::Internal.into()
    })
}
