//! Answers of the operations: bodies, still to be signed and put into an envelope.

mod provided;

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use super::Version;
use crate::codec::xml::{Event, Limits, Reader, Writer};

pub(super) use provided::write_headers;
pub use provided::{AsyncStatus, Header, Provided, Told, provided_response, state};

/// `Id` of the element our exchange signs.
pub const SIGNED_BY_SMEV: &str = "SIGNED_BY_SMEV";

/// `Id` of the data we sign as the provider.
pub const SIGNED_BY_CALLER: &str = "SIGNED_BY_CALLER";

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

/// What a message handed out is.
#[derive(Clone, Debug)]
pub enum Kind<'a> {
    /// A question, to its provider.
    Request {
        /// Where the answer goes.
        reply_to: &'a str,
    },
    /// An answer, to who asked.
    Response {
        /// The request it answers.
        original_id: Uuid,
        /// Transaction code of the request.
        transaction_code: Option<&'a str>,
        /// First request of the business chain.
        reference_id: Uuid,
    },
}

/// A file handed out in the message.
#[derive(Clone, Debug)]
pub struct Attached<'a> {
    /// Its id in the message.
    pub id: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// How to fetch a file of the store.
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    /// Id of its folder.
    pub uuid: &'a str,
    /// Who fetches it.
    pub user: &'a str,
    /// With which word, once.
    pub password: &'a str,
    /// Its path in the folder.
    pub name: &'a str,
}

/// A message as it is handed out, not yet signed by the exchange.
#[derive(Clone, Debug)]
pub struct Delivery<'a> {
    /// Question or answer.
    pub kind: Kind<'a>,
    /// `SenderProvidedRequestData` or `SenderProvidedResponseData`, as the sender signed it.
    pub provided: &'a str,
    /// What the exchange says about it.
    pub metadata: Metadata<'a>,
    /// `ds:Signature` of the sender; none where it would not stand in this version.
    pub signature: Option<&'a str>,
    /// Files in the message.
    pub attachments: Vec<Attached<'a>>,
    /// Files of the store.
    pub files: Vec<Stored<'a>>,
    /// Whether files go into parts of their own, by MTOM.
    pub parts: bool,
}

impl Delivery<'_> {
    /// Name of the operation that hands it out.
    pub fn operation(&self) -> &'static str {
        match self.kind {
            Kind::Request { .. } => "GetRequest",
            Kind::Response { .. } => "GetResponse",
        }
    }
}

/// Names of the elements around a message handed out by GetRequest or GetResponse: the one in the
/// answer, and the one that the exchange signs in it.
pub fn delivery_names(operation: &str) -> [&'static str; 2] {
    match operation {
        "GetRequest" => ["RequestMessage", "Request"],
        _ => ["ResponseMessage", "Response"],
    }
}

/// The `Content-ID` of the part that holds the file at this place.
pub fn part_id(place: usize) -> String {
    format!("attachment-{place}@kontingent")
}

/// Body of the answer to SendRequest or SendResponse; `MessageMetadata` with the Id
/// [`SIGNED_BY_SMEV`] is to be signed, and the signature put into the empty `SMEVSignature` behind it.
pub fn send_answer(version: Version, operation: &str, metadata: &Metadata<'_>) -> String {
    let mut out = Writer::new();
    out.start(&format!("t:{operation}Response")).attribute("xmlns:t", version.types());
    write_metadata(&mut out, version, metadata, Some(SIGNED_BY_SMEV));
    out.element("t:SMEVSignature", "");
    out.finish()
}

/// Body of the answer to GetRequest or GetResponse when nothing waits.
pub fn empty_delivery(version: Version, operation: &str) -> String {
    let mut out = Writer::new();
    out.start(&format!("t:{operation}Response")).attribute("xmlns:t", version.types());
    out.finish()
}

/// Body of the answer to GetStatus when nothing is to be told.
pub fn empty_status(version: Version) -> String {
    empty_delivery(version, "GetStatus")
}

/// Body of the answer to Ack.
pub fn ack_response(version: Version) -> String {
    empty_delivery(version, "Ack")
}

/// Body of the answer to GetIncomingQueueStatistics: names of queues and how many messages wait.
pub fn queue_statistics(version: Version, queues: &[(String, i64)]) -> String {
    let mut out = Writer::new();
    out.start("t:GetIncomingQueueStatisticsResponse").attribute("xmlns:t", version.types());
    for (name, count) in queues {
        out.start("t:QueueStatistics").attribute("queueName", name);
        out.attribute("pendingMessageNumber", &count.to_string()).end();
    }
    out.finish()
}

/// Body of the answer to GetRequest or GetResponse; `Request` or `Response`, whose Id begins with
/// [`SIGNED_BY_SMEV`], is to be signed, and the signature put into the empty `SMEVSignature` behind it.
pub fn delivery(version: Version, message: &Delivery<'_>) -> String {
    let operation = message.operation();
    let [around, signed] = delivery_names(operation);
    let mut out = Writer::new();
    out.start(&format!("t:{operation}Response")).attribute("xmlns:t", version.types());
    out.attribute("xmlns:b", version.basic());
    out.start(&format!("t:{around}"));
    out.start(&format!("t:{signed}")).attribute("Id", &own_id(message));
    if let Kind::Response { original_id, transaction_code, reference_id } = &message.kind {
        out.element("t:OriginalMessageId", &original_id.to_string());
        if let Some(code) = transaction_code {
            out.element("t:OriginalTransactionCode", code);
        }
        out.element("t:ReferenceMessageID", &reference_id.to_string());
    }
    out.raw(message.provided);
    write_metadata(&mut out, version, &message.metadata, None);
    write_stored(&mut out, &message.files);
    if let Kind::Request { reply_to } = &message.kind {
        out.element("t:ReplyTo", reply_to);
    }
    if let Some(signature) = message.signature {
        out.start("t:SenderInformationSystemSignature").raw(signature).end();
    }
    out.end();
    write_files(&mut out, &message.attachments, message.parts);
    out.element("t:SMEVSignature", "");
    out.finish()
}

/// An Id for what the exchange signs that nothing of the sender's has: two of one value, and no
/// receiver could verify either signature.
fn own_id(message: &Delivery<'_>) -> String {
    let mut taken: HashSet<String> =
        message.attachments.iter().map(|file| file.id.to_owned()).collect();
    // Nothing covers the ids in the sender's signature, and it is handed on with the data.
    for part in [Some(message.provided), message.signature].into_iter().flatten() {
        let mut reader = Reader::new(part.as_bytes(), Limits::of_ours());
        // What was taken of the sender is well-formed; if it were not, signing would say so.
        while let Ok(event) = reader.next() {
            match event {
                Event::Start(start) => {
                    let ids = start.attributes().filter(|a| a.local.eq_ignore_ascii_case("id"));
                    taken.extend(ids.map(|attribute| attribute.value.to_owned()));
                }
                Event::Eof => break,
                _ => {}
            }
        }
    }
    let mut id = SIGNED_BY_SMEV.to_owned();
    while taken.contains(&id) {
        id.push('_');
    }
    id
}

fn write_stored(out: &mut Writer, files: &[Stored<'_>]) {
    if files.is_empty() {
        return;
    }
    out.start("b:FSAttachmentsList");
    for file in files {
        out.start("b:FSAttachment");
        out.element("b:uuid", file.uuid);
        out.element("b:UserName", file.user);
        out.element("b:Password", file.password);
        out.element("b:FileName", file.name);
        out.end();
    }
    out.end();
}

/// Files of a message: inside, or as references to parts of their own.
pub(super) fn write_files(out: &mut Writer, files: &[Attached<'_>], parts: bool) {
    const XOP: &str = "http://www.w3.org/2004/08/xop/include";
    if files.is_empty() {
        return;
    }
    out.start("b:AttachmentContentList");
    for (place, file) in files.iter().enumerate() {
        out.start("b:AttachmentContent");
        out.element("b:Id", file.id);
        out.start("b:Content");
        if parts {
            out.start("xop:Include").attribute("xmlns:xop", XOP);
            out.attribute("href", &format!("cid:{}", part_id(place))).end();
        } else {
            out.raw(&STANDARD.encode(file.bytes));
        }
        out.end().end();
    }
    out.end();
}

fn write_metadata(out: &mut Writer, version: Version, metadata: &Metadata<'_>, id: Option<&str>) {
    let named = version != Version::V12;
    out.start("t:MessageMetadata");
    if let Some(id) = id {
        out.attribute("Id", id);
    }
    out.element("t:MessageId", &metadata.message_id.to_string());
    out.element("t:MessageType", metadata.message_type);
    write_participant(out, "t:Sender", metadata.sender, named);
    out.element("t:SendingTimestamp", &instant(metadata.sent_at));
    if version == Version::V11 {
        out.element("t:DestinationName", "unknown");
    }
    write_participant(out, "t:Recipient", metadata.recipient, named);
    if version == Version::V11 {
        out.start("t:SupplementaryData");
        out.element("t:DetectedContentTypeName", "not detected");
        out.element("t:InteractionType", "NotDetected").end();
    }
    if let Some(at) = metadata.delivered_at {
        out.element("t:DeliveryTimestamp", &instant(at));
    }
    out.element("t:Status", metadata.status);
    out.end();
}

fn write_participant(out: &mut Writer, role: &str, participant: &Participant, named: bool) {
    out.start(role);
    out.element("t:Mnemonic", &participant.mnemonic);
    if named {
        out.element("t:HumanReadableName", &participant.name);
    }
    out.end();
}

/// An instant with milliseconds and its offset.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, false)
}
