//! SendRequest and SendResponse: what a sender signs, and the files beside it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::files::{Attachment, FileReference, Files, attachments, files, unambiguous};
use super::{ID, Request, Version, instant, owned, uuid};
use crate::codec::node::{Flaw, Node, Sequence};
use crate::codec::xmldsig::DSIG;

/// A message of a sender, its content still to be judged.
#[derive(Clone, Debug)]
pub struct Send<D> {
    /// The sender's id of the message, as written.
    pub message_id: String,
    /// What only this kind of message has.
    pub data: D,
    /// Files in the message.
    pub attachments: Vec<Attachment>,
    /// Headers of files in the message: as many as there are files, else the message is refused.
    pub headers: Vec<String>,
    /// Files in the store.
    pub references: Vec<FileReference>,
}

/// A question.
#[derive(Clone, Debug)]
pub struct SendRequest {
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

/// An answer.
#[derive(Clone, Debug)]
pub struct SendResponse {
    /// Return address of the request.
    pub to: String,
    /// What is answered.
    pub content: Content,
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Content {
    /// Root element of the content.
    Primary(Node),
    /// The provider does not answer the question.
    Rejected(Vec<Rejection>),
    /// The provider is at work.
    Progress(Progress),
    /// A report of the exchange about itself, which no provider may send.
    OfTheExchange,
}

/// Why a provider does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// `ACCESS_DENIED`, `NO_DATA`, `UNKNOWN_REQUEST_DESCRIPTION` or `FAILURE`.
    pub code: String,
    /// In words.
    pub description: String,
}

/// How far a provider has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The provider's own code.
    pub code: i32,
    /// Its own parameters.
    pub parameters: Vec<(String, String)>,
    /// In words.
    pub description: String,
}

pub(super) fn request(
    version: Version,
    operation: &Node,
    flaws: &mut Vec<Flaw>,
) -> Option<Request> {
    let types = version.types();
    let mut parts = Sequence::of(operation, flaws);
    let data = parts.required_with(types, "SenderProvidedRequestData", ID);
    let attachments = attachments(version, &mut parts);
    unambiguous(&mut parts, data, &attachments);
    parts.optional(types, "CallerInformationSystemSignature");
    if version == Version::V13 {
        parts.optional(ROUTING, "Routing");
    }
    parts.finish();
    let sent = request_data(version, data?, attachments, flaws)?;
    Some(Request::SendRequest(Box::new(sent)))
}

/// What the sender of a question has signed.
pub(in crate::codec::smev3) fn request_data(
    version: Version,
    data: &Node,
    attachments: Vec<Attachment>,
    flaws: &mut Vec<Flaw>,
) -> Option<Send<SendRequest>> {
    let (types, basic) = (version.types(), version.basic());
    let mut fields = Sequence::of(data, flaws);
    let message_id = fields.required(types, "MessageID");
    let reference_id = fields.optional(types, "ReferenceMessageID");
    let transaction_code = fields.optional(types, "TransactionCode");
    let node_id = fields.optional(types, "NodeID");
    let end_of_life = fields.optional(types, "EOL");
    let content = fields.required(basic, "MessagePrimaryContent");
    official(version, &mut fields);
    let files = files(version, &mut fields);
    let metadata = fields.optional(types, "BusinessProcessMetadata");
    let test = fields.optional(types, "TestMessage");
    let message_id = message_id.and_then(|node| fields.exact(node, 200));
    let reference_id = reference_id.and_then(|node| uuid(&mut fields, node));
    let transaction_code = transaction_code.and_then(|node| fields.text(node, 1500));
    let node_id = node_id.and_then(|node| fields.text(node, 50));
    let end_of_life = end_of_life.and_then(|node| instant(&mut fields, node));
    let content = content.and_then(|node| root(version, &mut fields, node));
    if let Some(node) = metadata {
        let mut inside = fields.inside(node);
        while let Some(foreign) = inside.any() {
            of_others(types, &mut inside, foreign);
        }
    }
    // It says something by being there; nothing else may be carried in it.
    if let Some(node) = test {
        fields.inside(node).finish();
    }
    fields.finish();
    Some(Send {
        message_id: message_id?.to_owned(),
        data: SendRequest {
            reference_id,
            transaction_code: owned(transaction_code),
            node_id: owned(node_id),
            end_of_life,
            content: content?.clone(),
            test: test.is_some(),
        },
        attachments,
        headers: files.headers,
        references: files.references,
    })
}

/// Namespace of the routing of 1.3, which we read and do not follow.
const ROUTING: &str = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/routing/1.3";

pub(super) fn response(
    version: Version,
    operation: &Node,
    flaws: &mut Vec<Flaw>,
) -> Option<Request> {
    let types = version.types();
    let mut parts = Sequence::of(operation, flaws);
    let data = parts.required_with(types, "SenderProvidedResponseData", ID);
    let attachments = attachments(version, &mut parts);
    unambiguous(&mut parts, data, &attachments);
    parts.optional(types, "CallerInformationSystemSignature");
    parts.finish();
    let sent = response_data(version, data?, attachments, flaws)?;
    Some(Request::SendResponse(Box::new(sent)))
}

/// What the sender of an answer has signed.
pub(in crate::codec::smev3) fn response_data(
    version: Version,
    data: &Node,
    attachments: Vec<Attachment>,
    flaws: &mut Vec<Flaw>,
) -> Option<Send<SendResponse>> {
    let types = version.types();
    let mut fields = Sequence::of(data, flaws);
    let message_id = fields.required(types, "MessageID");
    let to = fields.required(types, "To");
    let (content, files) = answer(version, data, &mut fields)?;
    let message_id = message_id.and_then(|node| fields.exact(node, 200));
    let to = to.and_then(|node| fields.filled(node, 4000));
    fields.finish();
    Some(Send {
        message_id: message_id?.to_owned(),
        data: SendResponse { to: to?.to_owned(), content },
        attachments,
        headers: files.headers,
        references: files.references,
    })
}

/// The choice between content, rejections and progress.
fn answer(
    version: Version,
    data: &Node,
    fields: &mut Sequence<'_, '_>,
) -> Option<(Content, Files)> {
    let types = version.types();
    if let Some(node) = fields.optional(version.basic(), "MessagePrimaryContent") {
        let content = root(version, fields, node).cloned();
        official(version, fields);
        let files = files(version, fields);
        return content.map(|content| (Content::Primary(content), files));
    }
    let mut rejections = Vec::new();
    while let Some(node) = fields.optional(types, "RequestRejected") {
        let mut inside = fields.inside(node);
        let code = inside.required(types, "RejectionReasonCode");
        let description = inside.required(types, "RejectionReasonDescription");
        let code = code.and_then(|node| reason(&mut inside, node));
        let description = description.and_then(|node| inside.text(node, 4000));
        inside.finish();
        if let (Some(code), Some(description)) = (code, description) {
            rejections.push(Rejection { code, description: description.to_owned() });
        }
    }
    if !rejections.is_empty() {
        return Some((Content::Rejected(rejections), Files::default()));
    }
    if let Some(node) = fields.optional(types, "RequestStatus") {
        return progress(version, fields, node)
            .map(|progress| (Content::Progress(progress), Files::default()));
    }
    if fields.optional(types, "AsyncProcessingStatus").is_some() {
        return Some((Content::OfTheExchange, Files::default()));
    }
    fields.flaw(
        data.place,
        "Нужен один из элементов MessagePrimaryContent, RequestRejected, RequestStatus",
    );
    None
}

fn reason(fields: &mut Sequence<'_, '_>, node: &Node) -> Option<String> {
    const CODES: [&str; 4] = ["ACCESS_DENIED", "NO_DATA", "UNKNOWN_REQUEST_DESCRIPTION", "FAILURE"];
    let written = fields.exact(node, 50)?;
    if CODES.contains(&written) {
        return Some(written.to_owned());
    }
    fields.flaw(node.place, format!("RejectionReasonCode — одно из {}", CODES.join(", ")));
    None
}

fn progress(version: Version, fields: &mut Sequence<'_, '_>, node: &Node) -> Option<Progress> {
    let types = version.types();
    let mut inside = fields.inside(node);
    let code = inside.required(types, "StatusCode");
    let mut parameters = Vec::new();
    while let Some(node) = inside.optional(types, "StatusParameter") {
        let mut pair = inside.inside(node);
        let key = pair.required(types, "Key").and_then(|node| pair.text(node, 4000));
        let value = pair.required(types, "Value").and_then(|node| pair.text(node, 4000));
        pair.finish();
        parameters.extend(key.zip(value).map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    let description = inside.required(types, "StatusDescription");
    let code = code.and_then(|node| {
        let code = inside.filled(node, 20)?.parse().ok();
        if code.is_none() {
            inside.flaw(node.place, "StatusCode — целое число");
        }
        code
    });
    let description = description.and_then(|node| inside.text(node, 4000));
    inside.finish();
    Some(Progress { code: code?, parameters, description: description?.to_owned() })
}

/// Judges the holder of an official's signature; the signature itself is judged where it is verified.
fn official(version: Version, fields: &mut Sequence<'_, '_>) {
    let Some(node) = fields.optional(version.types(), "PersonalSignature") else { return };
    let mut inside = fields.inside(node);
    let signature = inside.any();
    if signature.is_none_or(|node| node.namespace != DSIG) {
        inside.flaw(node.place, "PersonalSignature содержит ровно один элемент ds:Signature");
    }
    inside.finish();
}

/// The one element of the content.
fn root<'n>(version: Version, fields: &mut Sequence<'_, '_>, node: &'n Node) -> Option<&'n Node> {
    let mut inside = fields.inside(node);
    if let [child] = node.children.as_slice() {
        of_others(version.basic(), &mut inside, child);
        return Some(child);
    }
    inside.flaw(node.place, format!("{} содержит ровно один элемент", node.local));
    None
}

/// Judges an element where the schema lets any stand that is in a namespace other than its own.
fn of_others(own: &str, fields: &mut Sequence<'_, '_>, node: &Node) {
    if node.namespace.is_empty() || node.namespace == own {
        let text = format!("Элемент {} должен быть в пространстве имён вида сведений", node.local);
        fields.flaw(node.place, text);
    }
}
