//! Reading the requests we serve: envelope, operation, its fields in the order of the schema.

use chrono::{DateTime, NaiveDateTime, Utc};
use uuid::Uuid;

use super::{BASIC, TYPES};
use crate::codec::node::{Flaw, Node, Sequence};
use crate::codec::soap::{Envelope, SoapError};
use crate::codec::xml::Limits;

/// A request of one of the operations.
#[derive(Clone, Debug)]
pub enum Request {
    /// A question.
    SendRequest(Box<SendRequest>),
    /// A call for the next answer.
    GetResponse(GetResponse),
    /// A confirmation.
    Ack(Ack),
}

/// A question in its envelope; the content is still to be judged.
#[derive(Clone, Debug)]
pub struct SendRequest {
    /// The sender's id of the message, as written.
    pub message_id: String,
    /// First request of the business chain.
    pub reference_id: Option<Uuid>,
    /// Code of the state service.
    pub transaction_code: Option<String>,
    /// Node of the sender whose queue gets the answer.
    pub node_id: Option<String>,
    /// When the message is of no more use.
    pub end_of_life: Option<DateTime<Utc>>,
    /// Root element of the content.
    pub content: Node,
    /// Marked as a test.
    pub test: bool,
}

/// Which answer is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetResponse {
    /// Namespace and local name of a root element; absent for any.
    pub root: Option<(String, String)>,
    /// Node whose queue is meant.
    pub node_id: Option<String>,
}

/// Which answer was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Id of the answer, as written.
    pub message_id: String,
    /// Whether the receiver accepted our signature.
    pub accepted: bool,
}

/// Why a message is not one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// Not XML, or not a SOAP 1.1 envelope.
    Envelope(SoapError),
    /// None of the operations of this version.
    Operation,
    /// Recognised, but not as the schema has it.
    Invalid(Vec<Flaw>),
}

impl From<SoapError> for ReadError {
    fn from(error: SoapError) -> Self {
        Self::Envelope(error)
    }
}

/// Reads a message.
///
/// # Errors
/// A [`ReadError`] by what can be answered to it.
pub fn read(document: &[u8], limits: Limits) -> Result<Request, ReadError> {
    let mut envelope = Envelope::open(document, limits, &[])?;
    let (namespace, local) = envelope.operation();
    let parse = match (namespace, local) {
        (TYPES, "SendRequestRequest") => send_request,
        (TYPES, "GetResponseRequest") => get_response,
        (TYPES, "AckRequest") => ack,
        _ => return Err(ReadError::Operation),
    };
    let name = local.to_owned();
    let operation = Node::rest(envelope.reader(), TYPES, &name).map_err(SoapError::from)?;
    envelope.finish().map_err(SoapError::from)?;
    let mut flaws = Vec::new();
    let request = parse(&operation, &mut flaws);
    request.filter(|_| flaws.is_empty()).ok_or(ReadError::Invalid(flaws))
}

fn send_request(operation: &Node, flaws: &mut Vec<Flaw>) -> Option<Request> {
    let mut parts = Sequence::of(operation, flaws);
    let data = parts.required(TYPES, "SenderProvidedRequestData");
    parts.optional(TYPES, "CallerInformationSystemSignature");
    parts.finish();
    let mut fields = Sequence::of(data?, flaws);
    let message_id = fields.required(TYPES, "MessageID");
    let reference_id = fields.optional(TYPES, "ReferenceMessageID");
    let transaction_code = fields.optional(TYPES, "TransactionCode");
    let node_id = fields.optional(TYPES, "NodeID");
    let end_of_life = fields.optional(TYPES, "EOL");
    let content = fields.required(BASIC, "MessagePrimaryContent");
    fields.optional(TYPES, "PersonalSignature");
    fields.optional(TYPES, "BusinessProcessMetadata");
    let test = fields.optional(TYPES, "TestMessage").is_some();
    let message_id = message_id.and_then(|node| fields.text(node, 200));
    let reference_id = reference_id.and_then(|node| uuid(&mut fields, node));
    let transaction_code = transaction_code.and_then(|node| fields.text(node, 1500));
    let node_id = node_id.and_then(|node| fields.text(node, 50));
    let end_of_life = end_of_life.and_then(|node| instant(&mut fields, node));
    let content = content.and_then(|node| only_child(&mut fields, node));
    fields.finish();
    Some(Request::SendRequest(Box::new(SendRequest {
        message_id: message_id?.to_owned(),
        reference_id,
        transaction_code: owned(transaction_code),
        node_id: owned(node_id),
        end_of_life,
        content: content?.clone(),
        test,
    })))
}

fn get_response(operation: &Node, flaws: &mut Vec<Flaw>) -> Option<Request> {
    let mut parts = Sequence::of(operation, flaws);
    let selector = parts.required(BASIC, "MessageTypeSelector");
    parts.optional(TYPES, "CallerInformationSystemSignature");
    parts.finish();
    let mut fields = Sequence::of(selector?, flaws);
    let namespace = fields.optional(BASIC, "NamespaceURI");
    let local = match namespace {
        Some(_) => fields.required(BASIC, "RootElementLocalName"),
        None => None,
    };
    let timestamp = fields.required(BASIC, "Timestamp");
    let node_id = fields.optional(BASIC, "NodeID");
    if let Some(node) = timestamp
        && let Some(written) = fields.filled(node, 100)
        && DateTime::parse_from_rfc3339(written).is_err()
        && NaiveDateTime::parse_from_str(written, "%Y-%m-%dT%H:%M:%S%.f").is_err()
    {
        fields.flaw(node.place, "Timestamp — дата и время");
    }
    let namespace = namespace.and_then(|node| fields.text(node, 1000));
    let local = local.and_then(|node| fields.filled(node, 250));
    let node_id = node_id.and_then(|node| fields.text(node, 50));
    fields.finish();
    Some(Request::GetResponse(GetResponse {
        root: namespace.zip(local).map(|(ns, local)| (ns.to_owned(), local.to_owned())),
        node_id: owned(node_id),
    }))
}

fn ack(operation: &Node, flaws: &mut Vec<Flaw>) -> Option<Request> {
    let mut parts = Sequence::of(operation, flaws);
    let target = parts.required(BASIC, "AckTargetMessage");
    parts.optional(TYPES, "CallerInformationSystemSignature");
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

/// A value that is there and not empty.
fn owned(value: Option<&str>) -> Option<String> {
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}

fn only_child<'n>(fields: &mut Sequence<'_, '_>, node: &'n Node) -> Option<&'n Node> {
    if let [child] = node.children.as_slice() {
        return Some(child);
    }
    fields.flaw(node.place, format!("{} содержит ровно один элемент", node.local));
    None
}

fn uuid(fields: &mut Sequence<'_, '_>, node: &Node) -> Option<Uuid> {
    let written = fields.filled(node, 200)?;
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
    let at = DateTime::parse_from_rfc3339(written).ok();
    if at.is_none() {
        fields.flaw(node.place, format!("{} — дата и время с часовым поясом", node.local));
    }
    at.map(|at| at.with_timezone(&Utc))
}
