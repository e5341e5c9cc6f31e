//! What we answer: bodies of the operations, still to be signed and put into an envelope.

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use super::{BASIC, TYPES};
use crate::codec::xml::Writer;

/// `Id` of the element our exchange signs.
pub const SIGNED_BY_SMEV: &str = "SIGNED_BY_SMEV";

/// `Id` of the data we sign as the provider.
pub const SIGNED_BY_CALLER: &str = "SIGNED_BY_CALLER";

/// Body of the answer to Ack.
pub const ACK_RESPONSE: &str = "<t:AckResponse \
    xmlns:t=\"urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.3\"/>";

/// A system that takes part in the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Its mnemonic.
    pub mnemonic: String,
    /// Name for people.
    pub name: String,
}

/// What the exchange adds to a message.
#[derive(Clone, Debug)]
pub struct Metadata<'a> {
    /// Id of the message it is about.
    pub message_id: Uuid,
    /// `REQUEST` or `RESPONSE`.
    pub message_type: &'static str,
    /// Who sent the message.
    pub sender: &'a Participant,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// Who gets it.
    pub recipient: &'a Participant,
    /// When it was handed out.
    pub delivered_at: Option<DateTime<Utc>>,
    /// State of the conversation.
    pub status: &'static str,
}

/// Data of an answer, signed by the provider as a whole.
#[derive(Clone, Debug)]
pub struct Provided<'a> {
    /// Id of the answer.
    pub message_id: Uuid,
    /// Return address of the request.
    pub to: &'a str,
    /// The one element of the content, with its namespace declarations.
    pub content: &'a str,
}

/// An answer as it is handed out, not yet signed by the exchange.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// The request it answers.
    pub original_id: Uuid,
    /// Transaction code of the request.
    pub transaction_code: Option<&'a str>,
    /// First request of the business chain.
    pub reference_id: Option<Uuid>,
    /// `SenderProvidedResponseData`, as signed by the provider.
    pub provided: &'a str,
    /// What the exchange says about it.
    pub metadata: Metadata<'a>,
    /// `ds:Signature` of the provider.
    pub signature: &'a str,
}

/// Body of the answer to SendRequest; `MessageMetadata` with the Id [`SIGNED_BY_SMEV`] is to be
/// signed, and the signature put into the empty `SMEVSignature` behind it.
pub fn send_request_response(metadata: &Metadata<'_>) -> String {
    let mut out = Writer::new();
    out.start("t:SendRequestResponse").attribute("xmlns:t", TYPES);
    write_metadata(&mut out, metadata, Some(SIGNED_BY_SMEV));
    out.element("t:SMEVSignature", "");
    out.finish()
}

/// `SenderProvidedResponseData` with the Id [`SIGNED_BY_CALLER`].
pub fn provided_response(provided: &Provided<'_>) -> String {
    let mut out = Writer::new();
    out.start("t:SenderProvidedResponseData").attribute("xmlns:t", TYPES);
    out.attribute("Id", SIGNED_BY_CALLER);
    out.element("t:MessageID", &provided.message_id.to_string());
    out.element("t:To", provided.to);
    out.start("b:MessagePrimaryContent").attribute("xmlns:b", BASIC);
    out.raw(provided.content);
    out.finish()
}

/// Body of the answer to GetResponse when nothing waits.
pub fn empty_get_response() -> String {
    let mut out = Writer::new();
    out.start("t:GetResponseResponse").attribute("xmlns:t", TYPES);
    out.finish()
}

/// Body of the answer to GetResponse; `Response` with the Id [`SIGNED_BY_SMEV`] is to be
/// signed, and the signature put into the empty `SMEVSignature` behind it.
pub fn get_response(response: &Response<'_>) -> String {
    let mut out = Writer::new();
    out.start("t:GetResponseResponse").attribute("xmlns:t", TYPES);
    out.start("t:ResponseMessage");
    out.start("t:Response").attribute("Id", SIGNED_BY_SMEV);
    out.element("t:OriginalMessageId", &response.original_id.to_string());
    if let Some(code) = response.transaction_code {
        out.element("t:OriginalTransactionCode", code);
    }
    if let Some(id) = response.reference_id {
        out.element("t:ReferenceMessageID", &id.to_string());
    }
    out.raw(response.provided);
    write_metadata(&mut out, &response.metadata, None);
    out.start("t:SenderInformationSystemSignature").raw(response.signature).end();
    out.end();
    out.element("t:SMEVSignature", "");
    out.finish()
}

fn write_metadata(out: &mut Writer, metadata: &Metadata<'_>, id: Option<&str>) {
    out.start("t:MessageMetadata");
    if let Some(id) = id {
        out.attribute("Id", id);
    }
    out.element("t:MessageId", &metadata.message_id.to_string());
    out.element("t:MessageType", metadata.message_type);
    write_participant(out, "t:Sender", metadata.sender);
    out.element("t:SendingTimestamp", &instant(metadata.sent_at));
    write_participant(out, "t:Recipient", metadata.recipient);
    if let Some(at) = metadata.delivered_at {
        out.element("t:DeliveryTimestamp", &instant(at));
    }
    out.element("t:Status", metadata.status);
    out.end();
}

fn write_participant(out: &mut Writer, role: &str, participant: &Participant) {
    out.start(role);
    out.element("t:Mnemonic", &participant.mnemonic);
    out.element("t:HumanReadableName", &participant.name);
    out.end();
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, false)
}
