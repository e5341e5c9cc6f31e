//! Our signature under messages of the exchange, as the exchange and as the provider: detached, with
//! the transform of SMEV.

use std::sync::Arc;

use crate::codec::shape;
use crate::codec::smev3::{Participant, Version, delivery_names};
use crate::codec::soap;
use crate::codec::xmldsig::{Detached, Name, SignError};
use crate::model::refusal::RefusalCode;
use crate::trust::Signer;
use crate::trust::signer::KeyError;

/// Why a message was not signed.
#[derive(Debug, thiserror::Error)]
#[error("a message could not be signed")]
pub struct SealError(#[source] Box<SignError<KeyError>>);

/// Our key and our name in the exchange. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Seal {
    signer: Arc<Signer>,
    own: Arc<Participant>,
}

const ENVELOPE: Name<'static> = (soap::ENVELOPE, "Envelope");
const BODY: Name<'static> = (soap::ENVELOPE, "Body");

/// Signs a message to another node as the system that calls it.
///
/// # Errors
/// [`SealError`].
pub fn sign_call(signer: &Signer, envelope: &str) -> Result<Vec<u8>, SealError> {
    let failed = |error| SealError(Box::new(error));
    let plan = shape::smev3(envelope.as_bytes()).map_err(SignError::Document).map_err(failed)?;
    let missing = || failed(SignError::Document(RefusalCode::SigReference.into()));
    let spot = plan.spots.first().ok_or_else(missing)?;
    signer.sign_spot(envelope.as_bytes(), spot, &signer.recipe().smev()).map_err(failed)
}

/// What stands around the data of an answer while we sign it as its provider.
const HOLDER: &str = "<t:SenderInformationSystemSignature>";
const AFTER: &str = "</t:SenderInformationSystemSignature></t:Response>";

impl Seal {
    /// Signs with this key under this name.
    pub fn new(signer: Arc<Signer>, own: Participant) -> Self {
        Self { signer, own: Arc::new(own) }
    }

    /// Our name in the exchange.
    pub fn own(&self) -> &Participant {
        &self.own
    }

    /// The key.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Signs `MessageMetadata` in an envelope with the answer to SendRequest or SendResponse.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn send_answer(
        &self,
        version: Version,
        operation: &str,
        envelope: &str,
    ) -> Result<Vec<u8>, SealError> {
        let types = version.types();
        let answer = format!("{operation}Response");
        let above = [ENVELOPE, BODY, (types, answer.as_str())];
        let [envelope_name, body, answer] = above;
        self.sign(
            envelope,
            &[envelope_name, body, answer, (types, "MessageMetadata")],
            &[envelope_name, body, answer, (types, "SMEVSignature")],
        )
    }

    /// Signs `Request` or `Response` in an envelope with the answer to GetRequest or GetResponse.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn delivery(
        &self,
        version: Version,
        operation: &str,
        envelope: &str,
    ) -> Result<Vec<u8>, SealError> {
        let types = version.types();
        let answer = format!("{operation}Response");
        let [message, signed] = delivery_names(operation).map(|name| (types, name));
        self.sign(
            envelope,
            &[ENVELOPE, BODY, (types, &answer), message, signed],
            &[ENVELOPE, BODY, (types, &answer), message, (types, "SMEVSignature")],
        )
    }

    /// Signs `AsyncProcessingStatusData` in an envelope with the answer to GetStatus.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn state(&self, version: Version, envelope: &str) -> Result<Vec<u8>, SealError> {
        let types = version.types();
        let [answer, around, data, holder] = [
            "GetStatusResponse",
            "SmevAsyncProcessingMessage",
            "AsyncProcessingStatusData",
            "SMEVSignature",
        ]
        .map(|name| (types, name));
        self.sign(
            envelope,
            &[ENVELOPE, BODY, answer, around, data],
            &[ENVELOPE, BODY, answer, around, holder],
        )
    }

    /// Our `ds:Signature` over `SenderProvidedResponseData` as its provider.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn provided(&self, version: Version, data: &str) -> Result<String, SealError> {
        let types = version.types();
        let before = format!("<t:Response xmlns:t=\"{types}\">");
        let response = (types, "Response");
        let signed = self.sign(
            &[&before, data, HOLDER, AFTER].concat(),
            &[response, (types, "SenderProvidedResponseData")],
            &[response, (types, "SenderInformationSystemSignature")],
        )?;
        let begin = before.len() + data.len() + HOLDER.len();
        let signature = &signed[begin..signed.len() - AFTER.len()];
        Ok(String::from_utf8_lossy(signature).into_owned())
    }

    fn sign(
        &self,
        message: &str,
        signed: &[Name<'_>],
        holder: &[Name<'_>],
    ) -> Result<Vec<u8>, SealError> {
        let place = Detached { signed, holder };
        let recipe = self.signer.recipe().smev();
        let signed = self.signer.sign_detached(message.as_bytes(), place, &recipe);
        signed.map_err(|error| SealError(Box::new(error)))
    }
}
