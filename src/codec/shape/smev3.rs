//! SMEV 3: four signatures, each a schema-mandated sibling of what it signs.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Attachment, Path, Plan, Role, Spot, below, below_name, operation, operation_path};
use crate::codec::node::Node;
use crate::codec::smev3::{delivery_names, parse_uuid};
use crate::model::refusal::{Refusal, RefusalCode};

/// Beginning of the namespaces of types; the version follows.
const TYPES: &str = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/";

/// Namespaces of one version of the schemas.
struct Version {
    types: String,
    basic: String,
}

/// Finds the signatures of a message by its operation.
pub(super) fn plan(root: &Node) -> Result<Plan, Refusal> {
    plan_of(operation(root)?)
}

/// Finds the signatures of an operation.
pub(super) fn plan_of(operation: &Node) -> Result<Plan, Refusal> {
    let unknown = || Refusal::new(RefusalCode::OperationUnknown).at(operation.place);
    let version = operation.namespace.strip_prefix(TYPES).ok_or_else(unknown)?;
    if !["1.1", "1.2", "1.3"].contains(&version) {
        return Err(unknown());
    }
    let version =
        Version { types: operation.namespace.clone(), basic: format!("{TYPES}basic/{version}") };
    let path = operation_path(operation);
    let types = version.types.as_str();
    let caller = |signed: (&str, &str)| {
        let holder = below_name(&path, types, "CallerInformationSystemSignature");
        spot(Role::System, below_name(&path, signed.0, signed.1), holder)
    };
    let mut plan = Plan::default();
    match operation.local.as_str() {
        "SendRequestRequest" | "SendResponseRequest" => {
            let data = match operation.local.as_str() {
                "SendRequestRequest" => "SenderProvidedRequestData",
                _ => "SenderProvidedResponseData",
            };
            plan.spots.push(caller((types, data)));
            sent(&mut plan, &path, operation, data, &version)?;
        }
        "GetRequestRequest" | "GetResponseRequest" => {
            plan.spots.push(caller((&version.basic, "MessageTypeSelector")));
        }
        "GetStatusRequest" | "GetIncomingQueueStatisticsRequest" => {
            plan.spots.push(caller((&version.basic, "Timestamp")));
        }
        "AckRequest" => plan.spots.push(caller((&version.basic, "AckTargetMessage"))),
        "SendRequestResponse" | "SendResponseResponse" => {
            plan.spots.push(exchange(&path, types, "MessageMetadata"));
        }
        "GetRequestResponse" => {
            received(&mut plan, &path, operation, ["RequestMessage", "Request"], &version)?;
        }
        "GetResponseResponse" => {
            received(&mut plan, &path, operation, ["ResponseMessage", "Response"], &version)?;
        }
        "GetStatusResponse" => {
            let message = "SmevAsyncProcessingMessage";
            operation.child(types, message).ok_or(RefusalCode::SigMissing)?;
            let path = below_name(&path, types, message);
            plan.spots.push(exchange(&path, types, "AsyncProcessingStatusData"));
        }
        _ => return Err(unknown()),
    }
    Ok(plan)
}

/// A signature, which has the transform of SMEV.
fn spot(role: Role, signed: Path, holder: Path) -> Spot {
    Spot { smev: Some(true), ..Spot::new(role, signed, holder) }
}

/// The signature of the exchange in its answer, whatever else is in it.
pub(super) fn of_exchange(root: &Node) -> Result<Spot, Refusal> {
    let operation = operation(root)?;
    let types = operation.namespace.as_str();
    let path = operation_path(operation);
    let name = operation.local.strip_suffix("Response").unwrap_or_default();
    match name {
        _ if !types.starts_with(TYPES) => Err(RefusalCode::OperationUnknown.into()),
        "SendRequest" | "SendResponse" => Ok(exchange(&path, types, "MessageMetadata")),
        "GetRequest" | "GetResponse" => {
            let [around, signed] = delivery_names(name);
            Ok(exchange(&below_name(&path, types, around), types, signed))
        }
        "GetStatus" => {
            let around = below_name(&path, types, "SmevAsyncProcessingMessage");
            Ok(exchange(&around, types, "AsyncProcessingStatusData"))
        }
        _ => Err(RefusalCode::OperationUnknown.into()),
    }
}

/// The signature of the exchange beside what it signs.
fn exchange(path: &Path, types: &str, signed: &str) -> Spot {
    let holder = below_name(path, types, "SMEVSignature");
    spot(Role::Smev, below_name(path, types, signed), holder)
}

/// What is inside a message of a sender: the id, an official's signature, files.
fn sent(
    plan: &mut Plan,
    path: &Path,
    around: &Node,
    data: &str,
    version: &Version,
) -> Result<(), Refusal> {
    let Some(data) = around.child(&version.types, data) else { return Ok(()) };
    personal(plan, &below(path, data), data, version);
    let id = data.child(&version.types, "MessageID");
    let right = id.and_then(|id| parse_uuid(&id.text)).is_some_and(|id| id.get_version_num() == 1);
    if !right {
        let place = id.map_or(data.place, |id| id.place);
        plan.flaw = Some(Refusal::new(RefusalCode::MessageId).at(place));
    }
    attachments(plan, around, data, version)
}

/// What the exchange hands on: its own signature, and the sender's inside.
fn received(
    plan: &mut Plan,
    path: &Path,
    operation: &Node,
    [message, inner]: [&str; 2],
    version: &Version,
) -> Result<(), Refusal> {
    let types = version.types.as_str();
    let envelope = operation.child(types, message).ok_or(RefusalCode::SigMissing)?;
    let path = below(path, envelope);
    plan.spots.push(exchange(&path, types, inner));
    let Some(content) = envelope.child(types, inner) else { return Ok(()) };
    let path = below(&path, content);
    let provided = ["SenderProvidedRequestData", "SenderProvidedResponseData"];
    let data = provided.iter().find_map(|name| content.child(types, name));
    let Some(data) = data else { return Ok(()) };
    // What came in another version has none, as it would not stand, nor has what the exchange itself says.
    // Taken away from others it is missed all the same: the exchange has signed it too.
    let holder = "SenderInformationSystemSignature";
    if content.child(types, holder).is_some() {
        let holder = below_name(&path, types, holder);
        plan.spots.push(spot(Role::System, below(&path, data), holder));
    }
    personal(plan, &below(&path, data), data, version);
    attachments(plan, envelope, data, version)
}

/// An official's signature over the content, where there is one.
fn personal(plan: &mut Plan, path: &Path, data: &Node, version: &Version) {
    let Some(holder) = data.child(&version.types, "PersonalSignature") else { return };
    let content = data.child(&version.basic, "MessagePrimaryContent");
    if content.is_some_and(|content| content.children.len() > 1 || !content.text.trim().is_empty())
    {
        let what = "под ЭП-СП в MessagePrimaryContent должен быть ровно один элемент: подписан только первый";
        plan.flaw = Some(Refusal::new(RefusalCode::SigCoverage).at(data.place).detail(what));
    }
    let signed = match content {
        Some(content) => match content.children.first() {
            Some(root) => below(&below(path, content), root),
            None => below(path, content),
        },
        None => below_name(path, &version.basic, "MessagePrimaryContent"),
    };
    plan.spots.push(spot(Role::Personal, signed, below(path, holder)));
}

/// Files in the message with the signatures that their headers carry.
fn attachments(
    plan: &mut Plan,
    around: &Node,
    data: &Node,
    version: &Version,
) -> Result<(), Refusal> {
    let basic = version.basic.as_str();
    let wrong = |node: &Node| Refusal::new(RefusalCode::AttachmentHeaders).at(node.place);
    // All items of the only list of this name.
    let list = |node: &'_ Node, name: &str, item: &str| -> Result<Vec<Node>, Refusal> {
        let mut lists = node.children.iter().filter(|child| child.is(basic, name));
        let (list, another) = (lists.next(), lists.next());
        if let Some(another) = another {
            return Err(wrong(another));
        }
        let items = list.map(|list| list.children.clone()).unwrap_or_default();
        match items.iter().find(|child| !child.is(basic, item)) {
            Some(other) => Err(wrong(other)),
            None => Ok(items),
        }
    };
    let headers = list(data, "AttachmentHeaderList", "AttachmentHeader")?;
    let contents = list(around, "AttachmentContentList", "AttachmentContent")?;
    if headers.len() != contents.len() {
        return Err(RefusalCode::AttachmentHeaders.into());
    }
    // The text of the only child of this name, which holds nothing else.
    let text = |node: &Node, name: &str| -> Result<String, Refusal> {
        let mut found = node.children.iter().filter(|child| child.is(basic, name));
        match (found.next(), found.next()) {
            (Some(one), None) if one.children.is_empty() => Ok(one.text.trim().to_owned()),
            _ => Err(wrong(node)),
        }
    };
    let mut by_id: HashMap<String, &Node> = HashMap::new();
    for header in &headers {
        if by_id.insert(text(header, "contentId")?, header).is_some() {
            return Err(wrong(header));
        }
    }
    for content in &contents {
        let id = text(content, "Id")?;
        let header = by_id.remove(&id);
        let header =
            header.ok_or_else(|| Refusal::new(RefusalCode::AttachmentHeaders).detail(&*id))?;
        let signature = header.child(basic, "SignaturePKCS7");
        plan.attachments.push(Attachment {
            content: decode(&text(content, "Content")?)?,
            signature: signature.map(|node| decode(&node.text)).transpose()?,
            id,
        });
    }
    Ok(())
}

fn decode(text: &str) -> Result<Vec<u8>, Refusal> {
    let packed: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(packed).map_err(|_| RefusalCode::Base64.into())
}
