//! Reading requests of the operations: envelope, operation, its fields in the order of the schema.

mod files;
mod send;

use chrono::{DateTime, NaiveDateTime, Timelike, Utc};
use uuid::Uuid;

use super::Version;
use crate::codec::node::{Flaw, Node, Sequence};
use crate::codec::soap::{Envelope, SoapError};
use crate::codec::xml::Limits;
use crate::model::refusal::Place;

pub(super) use files::attachments;
pub use files::{Attachment, FileReference};
pub use send::{Content, Progress, Rejection, Send, SendRequest, SendResponse};
pub(super) use send::{request_data, response_data};

/// A request of one of the operations.
#[derive(Clone, Debug)]
pub enum Request {
    /// A consumer's question.
    SendRequest(Box<Send<SendRequest>>),
    /// A provider's answer.
    SendResponse(Box<Send<SendResponse>>),
    /// A provider's call for the next question.
    GetRequest(Get),
    /// A consumer's call for the next answer.
    GetResponse(Get),
    /// A call for what became of messages that could not be delivered.
    GetStatus(Stamp),
    /// A confirmation.
    Ack(Ack),
    /// A call for the lengths of queues.
    Statistics(Statistics),
}

impl Request {
    /// Name of the operation.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::SendRequest(_) => "SendRequest",
            Self::SendResponse(_) => "SendResponse",
            Self::GetRequest(_) => "GetRequest",
            Self::GetResponse(_) => "GetResponse",
            Self::GetStatus(_) => "GetStatus",
            Self::Ack(_) => "Ack",
            Self::Statistics(_) => "GetIncomingQueueStatistics",
        }
    }
}

/// When a call was made, as its caller has signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When; without a time zone, as if it were of UTC.
    pub at: DateTime<Utc>,
    /// Whether it has a time zone.
    pub zoned: bool,
    /// Where it stands.
    pub place: Place,
}

/// Which message is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    /// Namespace and local name of a root element; absent for any.
    pub root: Option<(String, String)>,
    /// Node whose queue is meant.
    pub node_id: Option<String>,
    /// When it was called for.
    pub stamp: Stamp,
}

/// Which message was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Id of the message, as written.
    pub message_id: String,
    /// Whether the receiver accepted the signature of the exchange.
    pub accepted: bool,
}

/// Whose queues are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Node whose queues are meant; all by default.
    pub node_id: Option<String>,
    /// When it was called for.
    pub stamp: Stamp,
}

/// Why a message is not one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// Not XML, or not a SOAP 1.1 envelope.
    Envelope(SoapError),
    /// None of the operations of this version: namespace and name.
    Operation(String, String),
    /// Recognised, but not as the schema has it.
    Invalid(Vec<Flaw>),
}

impl From<SoapError> for ReadError {
    fn from(error: SoapError) -> Self {
        Self::Envelope(error)
    }
}

/// Reads a message: what it wants, and its operation as it stands there, the only child of `Body`.
///
/// # Errors
/// A [`ReadError`] by what can be answered to it.
pub fn read(
    document: &[u8],
    version: Version,
    limits: Limits,
) -> Result<(Request, Node), ReadError> {
    let mut envelope = Envelope::open(document, limits, &[])?;
    let (namespace, local) = envelope.operation();
    let name = local.to_owned();
    let unknown = || ReadError::Operation(namespace.to_owned(), name.clone());
    let parse = match local {
        _ if namespace != version.types() => return Err(unknown()),
        "SendRequestRequest" => send::request,
        "SendResponseRequest" => send::response,
        "GetRequestRequest" => get_request,
        "GetResponseRequest" => get_response,
        "GetStatusRequest" => get_status,
        "AckRequest" => ack,
        "GetIncomingQueueStatisticsRequest" if version.has_queue_statistics() => statistics,
        _ => return Err(unknown()),
    };
    let operation = Node::rest(envelope.reader(), version.types(), &name);
    let operation = operation.map_err(SoapError::from)?;
    let operation = Node { attributes: envelope.attributes().to_vec(), ..operation };
    envelope.finish().map_err(SoapError::from)?;
    let mut flaws = Vec::new();
    operation.judge_attributes(&[], &mut flaws);
    let request = parse(version, &operation, &mut flaws);
    match request.filter(|_| flaws.is_empty()) {
        Some(request) => Ok((request, operation)),
        None => Err(ReadError::Invalid(flaws)),
    }
}

fn get_request(version: Version, operation: &Node, flaws: &mut Vec<Flaw>) -> Option<Request> {
    get(version, operation, flaws).map(Request::GetRequest)
}

fn get_response(version: Version, operation: &Node, flaws: &mut Vec<Flaw>) -> Option<Request> {
    get(version, operation, flaws).map(Request::GetResponse)
}

fn get(version: Version, operation: &Node, flaws: &mut Vec<Flaw>) -> Option<Get> {
    let basic = version.basic();
    let mut parts = Sequence::of(operation, flaws);
    let selector = parts.required_with(basic, "MessageTypeSelector", ID);
    parts.optional(version.types(), "CallerInformationSystemSignature");
    parts.finish();
    let mut fields = Sequence::of(selector?, flaws);
    let namespace = fields.optional(basic, "NamespaceURI");
    let local = match namespace {
        Some(_) => fields.required(basic, "RootElementLocalName"),
        None => None,
    };
    let timestamp = fields.required(basic, "Timestamp");
    let node_id = fields.optional(basic, "NodeID");
    let stamp = timestamp.and_then(|node| stamp(&mut fields, node));
    let namespace = namespace.and_then(|node| fields.text(node, 1000));
    let local = local.and_then(|node| fields.filled(node, 250));
    let node_id = node_id.and_then(|node| fields.text(node, 50));
    fields.finish();
    Some(Get {
        root: namespace.zip(local).map(|(ns, local)| (ns.to_owned(), local.to_owned())),
        node_id: owned(node_id),
        stamp: stamp?,
    })
}

fn get_status(version: Version, operation: &Node, flaws: &mut Vec<Flaw>) -> Option<Request> {
    let mut parts = Sequence::of(operation, flaws);
    let timestamp = parts.required_with(version.basic(), "Timestamp", ID);
    parts.optional(version.types(), "CallerInformationSystemSignature");
    let stamp = stamp(&mut parts, timestamp?);
    parts.finish();
    Some(Request::GetStatus(stamp?))
}

fn statistics(version: Version, operation: &Node, flaws: &mut Vec<Flaw>) -> Option<Request> {
    let mut parts = Sequence::of(operation, flaws);
    let node_id = parts.optional(version.types(), "NodeID");
    let timestamp = parts.required_with(version.basic(), "Timestamp", ID);
    parts.optional(version.types(), "CallerInformationSystemSignature");
    let node_id = node_id.and_then(|node| parts.text(node, 50));
    let stamp = stamp(&mut parts, timestamp?);
    parts.finish();
    Some(Request::Statistics(Statistics { node_id: owned(node_id), stamp: stamp? }))
}

fn ack(version: Version, operation: &Node, flaws: &mut Vec<Flaw>) -> Option<Request> {
    let mut parts = Sequence::of(operation, flaws);
    let attributes = [ID, &["accepted"]].concat();
    let target = parts.required_with(version.basic(), "AckTargetMessage", &attributes);
    parts.optional(version.types(), "CallerInformationSystemSignature");
    let message_id = target.and_then(|node| parts.filled(node, 200));
    let accepted = match target.and_then(|node| node.attribute("accepted")).map(str::trim) {
        None | Some("true" | "1") => true,
        Some("false" | "0") => false,
        Some(_) => {
            let place = target.map_or(operation.place, |node| node.place);
            parts.flaw(place, "Атрибут accepted — true или false");
            false
        }
    };
    parts.finish();
    Some(Request::Ack(Ack { message_id: message_id?.to_owned(), accepted }))
}

fn stamp(fields: &mut Sequence<'_, '_>, node: &Node) -> Option<Stamp> {
    let (written, place) = (fields.filled(node, 100)?, node.place);
    if let Ok(at) = DateTime::parse_from_rfc3339(written) {
        return Some(Stamp { at: at.with_timezone(&Utc), zoned: true, place });
    }
    let local = NaiveDateTime::parse_from_str(written, "%Y-%m-%dT%H:%M:%S%.f");
    if local.is_err() {
        fields.flaw(place, "Timestamp — дата и время");
    }
    Some(Stamp { at: local.ok()?.and_utc(), zoned: false, place })
}

/// Attributes of what may be signed.
const ID: &[&str] = &["Id"];

/// A value that is there and not empty.
fn owned(value: Option<&str>) -> Option<String> {
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}

fn uuid(fields: &mut Sequence<'_, '_>, node: &Node) -> Option<Uuid> {
    let written = fields.exact(node, 200)?;
    let id = parse_uuid(written);
    if id.is_none() {
        fields.flaw(node.place, format!("{} — UUID строчными буквами", node.local));
    }
    id
}

/// Reads a UUID written as the schema has it: hyphens, lower case.
pub fn parse_uuid(written: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(written).ok()?;
    (id.to_string() == written).then_some(id)
}

fn instant(fields: &mut Sequence<'_, '_>, node: &Node) -> Option<DateTime<Utc>> {
    let written = fields.filled(node, 100)?;
    // RFC 3339 lets a space or small letters stand there, and a second 60; the schema does not.
    let of_schema = written.as_bytes().get(10) == Some(&b'T') && !written.ends_with('z');
    let at = DateTime::parse_from_rfc3339(written).ok();
    let at = at.filter(|at| of_schema && at.nanosecond() < 1_000_000_000);
    if at.is_none() {
        fields.flaw(node.place, format!("{} — дата и время с часовым поясом", node.local));
    }
    at.map(|at| at.with_timezone(&Utc))
}
