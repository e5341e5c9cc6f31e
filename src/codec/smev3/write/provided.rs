//! What we say ourselves in an answer: as the provider of our own data, or as the exchange.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::{SIGNED_BY_CALLER, SIGNED_BY_SMEV, Version};
use crate::codec::xml::Writer;

/// Data of an answer, signed by the provider as a whole.
#[derive(Clone, Debug)]
pub struct Provided<'a> {
    /// Id of the answer.
    pub message_id: Uuid,
    /// Return address of the request.
    pub to: &'a str,
    /// What is answered.
    pub told: Told<'a>,
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Told<'a> {
    /// The one element of the content, with its namespace declarations, and files beside it.
    Content(&'a str, &'a [Header<'a>]),
    /// There is no answer, for this reason: one of the codes of the protocol, and words.
    Rejected(&'static str, &'a str),
    /// The answer is still to come: the provider's own code, and words.
    Progress(i32, &'a str),
    /// The exchange tells what became of a message.
    Async(AsyncStatus<'a>),
}

/// A file beside the content.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    /// Its id in the message.
    pub id: &'a str,
    /// Its type.
    pub mime: &'static str,
    /// Detached PKCS#7 over it, DER; none where the key does not make one.
    pub signature: Option<&'a [u8]>,
}

/// What became of a message after it was taken.
#[derive(Clone, Debug)]
pub struct AsyncStatus<'a> {
    /// The message.
    pub original_id: Uuid,
    /// One of the states of the protocol.
    pub category: &'static str,
    /// Why, in words.
    pub details: &'a str,
    /// The code under which our log has it, and the wording of the fault that it would have been.
    pub fault: Option<(&'a str, &'a str)>,
}

/// `SenderProvidedResponseData` with the Id [`SIGNED_BY_CALLER`].
pub fn provided_response(version: Version, provided: &Provided<'_>) -> String {
    let mut out = Writer::new();
    out.start("t:SenderProvidedResponseData").attribute("xmlns:t", version.types());
    out.attribute("xmlns:b", version.basic());
    out.attribute("Id", SIGNED_BY_CALLER);
    out.element("t:MessageID", &provided.message_id.to_string());
    out.element("t:To", provided.to);
    match &provided.told {
        Told::Content(content, headers) => {
            out.start("b:MessagePrimaryContent").raw(content).end();
            write_headers(&mut out, headers);
        }
        Told::Rejected(code, description) => {
            out.start("t:RequestRejected");
            out.element("t:RejectionReasonCode", code);
            out.element("t:RejectionReasonDescription", description).end();
        }
        Told::Progress(code, description) => {
            out.start("t:RequestStatus");
            out.element("t:StatusCode", &code.to_string());
            out.element("t:StatusDescription", description).end();
        }
        Told::Async(status) => write_async(&mut out, status),
    }
    out.finish()
}

/// Body of the answer to GetStatus; `AsyncProcessingStatusData` with the Id [`SIGNED_BY_SMEV`] is to be
/// signed, and the signature put into the empty `SMEVSignature` behind it.
pub fn state(version: Version, status: &AsyncStatus<'_>) -> String {
    let mut out = Writer::new();
    out.start("t:GetStatusResponse").attribute("xmlns:t", version.types());
    out.attribute("xmlns:b", version.basic());
    out.start("t:SmevAsyncProcessingMessage");
    out.start("t:AsyncProcessingStatusData").attribute("Id", SIGNED_BY_SMEV);
    write_async(&mut out, status);
    out.end();
    out.element("t:SMEVSignature", "");
    out.finish()
}

/// Headers of files in the message.
pub(in crate::codec::smev3) fn write_headers(out: &mut Writer, headers: &[Header<'_>]) {
    if headers.is_empty() {
        return;
    }
    out.start("b:AttachmentHeaderList");
    for header in headers {
        out.start("b:AttachmentHeader");
        out.element("b:contentId", header.id);
        out.element("b:MimeType", header.mime);
        if let Some(signature) = header.signature {
            out.element("b:SignaturePKCS7", &STANDARD.encode(signature));
        }
        out.end();
    }
    out.end();
}

fn write_async(out: &mut Writer, status: &AsyncStatus<'_>) {
    out.start("t:AsyncProcessingStatus");
    out.element("t:OriginalMessageId", &status.original_id.to_string());
    out.element("t:StatusCategory", status.category);
    let details: String = status.details.chars().take(500).collect();
    out.element("t:StatusDetails", &details);
    if let Some((code, description)) = status.fault {
        out.start("t:SmevFault");
        out.element("b:Code", code).element("b:Description", description).end();
    }
    out.end();
}
