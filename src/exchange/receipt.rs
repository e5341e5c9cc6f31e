//! Signing our statements about packages.

use crate::codec::receipt::{Conclusion, Subject, accepted, concluded};
use crate::model::refusal::{Refusal, RefusalCode};
use crate::trust::Signer;

/// The signed first receipt.
///
/// # Errors
/// `INTERNAL` when our key does not sign.
pub(crate) fn first(signer: &Signer, subject: &Subject<'_>) -> Result<Vec<u8>, Refusal> {
    sign(signer, accepted(subject))
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
    sign(signer, concluded(subject, conclusion))
}

/// Puts the signature into the document where it stands: a receipt with many findings is not
/// copied.
fn sign(signer: &Signer, mut xml: String) -> Result<Vec<u8>, Refusal> {
    let signed = signer.enveloped_signature(xml.as_bytes());
    let (at, signature) = signed.map_err(|error| {
        tracing::error!(%error, "a receipt could not be signed");
        RefusalCode::Internal
    })?;
    let at = usize::try_from(at).map_err(|_| RefusalCode::Internal)?;
    xml.insert_str(at, &signature);
    Ok(xml.into_bytes())
}
