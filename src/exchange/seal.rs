//! Our signature under messages of the federal exchange, as the exchange and as the provider.

use std::sync::Arc;

use crate::codec::smev3::{self, Participant};
use crate::codec::soap;
use crate::codec::xmldsig::{Detached, SignError};
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

/// Name of an element: namespace and local name.
type Name = (&'static str, &'static str);

const ENVELOPE: Name = (soap::ENVELOPE, "Envelope");
const BODY: Name = (soap::ENVELOPE, "Body");
const RESPONSE: Name = (smev3::TYPES, "Response");

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

    /// Signs `MessageMetadata` in an envelope with a SendRequestResponse.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn send_request_response(&self, envelope: &str) -> Result<Vec<u8>, SealError> {
        let operation = (smev3::TYPES, "SendRequestResponse");
        self.sign(
            envelope,
            &[ENVELOPE, BODY, operation, (smev3::TYPES, "MessageMetadata")],
            &[ENVELOPE, BODY, operation, (smev3::TYPES, "SMEVSignature")],
        )
    }

    /// Signs `Response` in an envelope with a GetResponseResponse.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn get_response_response(&self, envelope: &str) -> Result<Vec<u8>, SealError> {
        let operation = (smev3::TYPES, "GetResponseResponse");
        let message = (smev3::TYPES, "ResponseMessage");
        self.sign(
            envelope,
            &[ENVELOPE, BODY, operation, message, RESPONSE],
            &[ENVELOPE, BODY, operation, message, (smev3::TYPES, "SMEVSignature")],
        )
    }

    /// Our `ds:Signature` over `SenderProvidedResponseData` as its provider.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn provided(&self, data: &str) -> Result<String, SealError> {
        let before = format!("<t:Response xmlns:t=\"{}\">", smev3::TYPES);
        let signed = self.sign(
            &[&before, data, HOLDER, AFTER].concat(),
            &[RESPONSE, (smev3::TYPES, "SenderProvidedResponseData")],
            &[RESPONSE, (smev3::TYPES, "SenderInformationSystemSignature")],
        )?;
        let begin = before.len() + data.len() + HOLDER.len();
        let signature = &signed[begin..signed.len() - AFTER.len()];
        Ok(String::from_utf8_lossy(signature).into_owned())
    }

    fn sign(&self, message: &str, signed: &[Name], holder: &[Name]) -> Result<Vec<u8>, SealError> {
        let place = Detached { signed, holder };
        let signed = self.signer.sign_detached(message.as_bytes(), place);
        signed.map_err(|error| SealError(Box::new(error)))
    }
}
