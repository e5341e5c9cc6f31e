//! What the exchange answers to a caller.

use uuid::Uuid;

use super::NodeFault;
use crate::codec::node::{Flaw, Node, Sequence};
use crate::codec::smev3::read::{attachments, request_data, response_data};
use crate::codec::smev3::{
    Attachment, Participant, Send, SendRequest, SendResponse, Version, delivery_names,
};
use crate::codec::soap;
use crate::codec::xml;

/// Why a document is not the answer that was waited for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The node does not carry out the operation.
    #[error("the node answers with the fault {}: {}", .0.element, .0.text)]
    Fault(Box<NodeFault>),
    /// It is none of the exchange, or the answer to something else: what it is, in Russian.
    #[error("{0}")]
    Foreign(String),
}

/// What the exchange says of a message that it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The message that it speaks of.
    pub message_id: Option<Uuid>,
    /// State of the conversation.
    pub status: String,
    /// Whether the exchange has signed what it says.
    pub signed: bool,
}

/// A question that the exchange hands out.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Id of the message, by which it is confirmed.
    pub message_id: Uuid,
    /// `REQUEST` or `BROADCAST`.
    pub message_type: String,
    /// Who asks; nobody when the exchange does not tell.
    pub sender: Option<Participant>,
    /// Mnemonic of who is asked; none when the exchange does not tell.
    pub recipient: Option<String>,
    /// Where the answer goes; nowhere when none is wanted.
    pub reply_to: Option<String>,
    /// What its sender says; else everything that does not follow the schema.
    pub sent: Result<Send<SendRequest>, Vec<Flaw>>,
}

/// An answer that the exchange hands out.
#[derive(Clone, Debug)]
pub struct Returned {
    /// Id of the message, by which it is confirmed.
    pub message_id: Uuid,
    /// The question that it answers, unless the exchange speaks of itself.
    pub original_id: Option<Uuid>,
    /// Who answers; nobody when the exchange does not tell.
    pub sender: Option<Participant>,
    /// Mnemonic of who is answered; none when the exchange does not tell.
    pub recipient: Option<String>,
    /// The data of its sender, as sent.
    pub provided: Node,
    /// What they say; else everything that does not follow the schema.
    pub sent: Result<Send<SendResponse>, Vec<Flaw>>,
}

/// The element in the body of an answer to an operation; `None` for an empty body, which Ack may have.
///
/// # Errors
/// [`AnswerError`].
pub fn body(
    document: &[u8],
    version: Version,
    operation: &str,
) -> Result<Option<Node>, AnswerError> {
    let limits = xml::Limits { comments: true, ..xml::Limits::of_ours() };
    let root = Node::document(document, limits);
    let root = root.map_err(|refusal| foreign(refusal.code.text()))?;
    if !root.is(soap::ENVELOPE, "Envelope") {
        return Err(foreign(&format!("корневой элемент {}", root.local)));
    }
    let body = root.children.iter().find(|child| child.is(soap::ENVELOPE, "Body"));
    let body = body.ok_or_else(|| foreign("нет Body"))?;
    let element = match body.children.as_slice() {
        [] if operation == "Ack" => return Ok(None),
        [element] => element,
        other => return Err(foreign(&format!("элементов в Body: {}", other.len()))),
    };
    if let Some(fault) = NodeFault::read(element) {
        return Err(AnswerError::Fault(Box::new(fault)));
    }
    if !element.is(version.types(), &format!("{operation}Response")) {
        let (namespace, local) = (&element.namespace, &element.local);
        return Err(foreign(&format!("на {operation} пришёл {{{namespace}}}{local}")));
    }
    Ok(Some(element.clone()))
}

/// Reads the answer to SendRequest or SendResponse.
///
/// # Errors
/// [`AnswerError::Foreign`].
pub fn taken(version: Version, answer: &Node) -> Result<Taken, AnswerError> {
    let types = version.types();
    let metadata = answer.child(types, "MessageMetadata");
    let metadata = metadata.ok_or_else(|| foreign("в ответе нет MessageMetadata"))?;
    let status = metadata.child(types, "Status").map(|node| node.text.trim().to_owned());
    let signature = answer.child(types, "SMEVSignature");
    Ok(Taken {
        message_id: id(metadata.child(types, "MessageId")),
        status: status.unwrap_or_default(),
        signed: signature.is_some_and(|holder| !holder.children.is_empty()),
    })
}

/// Reads the answer to GetRequest; `None` when nothing waits.
///
/// # Errors
/// [`AnswerError::Foreign`] when it cannot even be confirmed.
pub fn incoming(version: Version, answer: &Node) -> Result<Option<Incoming>, AnswerError> {
    let Some(message) = handed_out(version, answer, "GetRequest")? else { return Ok(None) };
    let (types, inner) = (version.types(), message.inner);
    let data = inner.child(types, "SenderProvidedRequestData");
    let data = data.ok_or_else(|| foreign("в Request нет SenderProvidedRequestData"))?;
    let mut flaws = Vec::new();
    let files = message.files(version, &mut flaws);
    let sent = request_data(version, data, files, &mut flaws).filter(|_| flaws.is_empty());
    let reply_to = inner.child(types, "ReplyTo").map(|node| node.text.trim().to_owned());
    let metadata = message.metadata;
    let kind = metadata.and_then(|node| node.child(types, "MessageType"));
    Ok(Some(Incoming {
        message_id: message.id(version, data)?,
        message_type: kind.map(|node| node.text.trim().to_owned()).unwrap_or_default(),
        sender: metadata.and_then(|node| sender(version, node)),
        recipient: metadata.and_then(|node| recipient(version, node)),
        reply_to: reply_to.filter(|address| !address.is_empty()),
        sent: sent.ok_or(flaws),
    }))
}

/// Reads the answer to GetResponse; `None` when nothing waits.
///
/// # Errors
/// [`AnswerError::Foreign`] when it cannot even be confirmed.
pub fn returned(version: Version, answer: &Node) -> Result<Option<Returned>, AnswerError> {
    let Some(message) = handed_out(version, answer, "GetResponse")? else { return Ok(None) };
    let (types, inner) = (version.types(), message.inner);
    let data = inner.child(types, "SenderProvidedResponseData");
    let data = data.ok_or_else(|| foreign("в Response нет SenderProvidedResponseData"))?;
    let mut flaws = Vec::new();
    let files = message.files(version, &mut flaws);
    let sent = response_data(version, data, files, &mut flaws).filter(|_| flaws.is_empty());
    Ok(Some(Returned {
        message_id: message.id(version, data)?,
        original_id: id(inner.child(types, "OriginalMessageId")),
        sender: message.metadata.and_then(|node| sender(version, node)),
        recipient: message.metadata.and_then(|node| recipient(version, node)),
        provided: data.clone(),
        sent: sent.ok_or(flaws),
    }))
}

/// A message in the answer that hands it out.
struct HandedOut<'a> {
    /// `Request` or `Response`, which the exchange has signed.
    inner: &'a Node,
    /// What stands around it, files among them.
    around: &'a Node,
    metadata: Option<&'a Node>,
}

impl HandedOut<'_> {
    /// The id by which the message is confirmed: the exchange's word for it, else its sender's.
    fn id(&self, version: Version, data: &Node) -> Result<Uuid, AnswerError> {
        let types = version.types();
        let told = self.metadata.and_then(|node| id(node.child(types, "MessageId")));
        let own = || id(data.child(types, "MessageID"));
        told.or_else(own).ok_or_else(|| foreign("у сообщения нет идентификатора"))
    }

    /// Files in the message.
    fn files(&self, version: Version, flaws: &mut Vec<Flaw>) -> Vec<Attachment> {
        let mut parts = Sequence::of(self.around, flaws);
        parts.required_with(version.types(), &self.inner.local, &["Id"]);
        attachments(version, &mut parts)
    }
}

fn handed_out<'a>(
    version: Version,
    answer: &'a Node,
    operation: &str,
) -> Result<Option<HandedOut<'a>>, AnswerError> {
    let types = version.types();
    let [around, signed] = delivery_names(operation);
    let Some(message) = only(answer, types, around)? else { return Ok(None) };
    let inner = only(message, types, signed)?;
    let inner = inner.ok_or_else(|| foreign(&format!("в {around} нет {signed}")))?;
    for name in ["SenderProvidedRequestData", "SenderProvidedResponseData", "ReplyTo"] {
        only(inner, types, name)?;
    }
    let metadata = only(inner, types, "MessageMetadata")?;
    Ok(Some(HandedOut { inner, around: message, metadata }))
}

/// The child of this name, which must not stand twice: who would know which of them is meant.
fn only<'a>(node: &'a Node, types: &str, name: &str) -> Result<Option<&'a Node>, AnswerError> {
    let mut found = node.children.iter().filter(|child| child.is(types, name));
    match (found.next(), found.next()) {
        (one, None) => Ok(one),
        _ => Err(foreign(&format!("{name} стоит дважды"))),
    }
}

fn sender(version: Version, metadata: &Node) -> Option<Participant> {
    let types = version.types();
    let sender = metadata.child(types, "Sender")?;
    let text = |local| {
        let found = sender.child(types, local).map(|node| node.text.trim().to_owned());
        found.filter(|text| !text.is_empty())
    };
    let mnemonic = text("Mnemonic")?;
    Some(Participant { name: text("HumanReadableName").unwrap_or_default(), mnemonic })
}

fn recipient(version: Version, metadata: &Node) -> Option<String> {
    let types = version.types();
    let mnemonic = metadata.child(types, "Recipient")?.child(types, "Mnemonic")?;
    Some(mnemonic.text.trim().to_owned()).filter(|mnemonic| !mnemonic.is_empty())
}

pub(super) fn id(node: Option<&Node>) -> Option<Uuid> {
    Uuid::try_parse(node?.text.trim()).ok()
}

pub(super) fn foreign(what: &str) -> AnswerError {
    AnswerError::Foreign(format!("Это не ответ узла обмена: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::shape;
    use crate::codec::smev3::{Fault, SignatureFault, empty_delivery};

    fn read(operation: &str, document: &str) -> Result<Option<Node>, AnswerError> {
        body(document.as_bytes(), Version::V13, operation)
    }

    #[test]
    fn a_question_is_read_with_all_its_parts() {
        let path = "fixtures/smev/messages/positive/p18_v11_GetRequestResponse_smev.xml";
        let document = std::fs::read(path).unwrap();
        let answer = body(&document, Version::V11, "GetRequest").unwrap().unwrap();
        let question = incoming(Version::V11, &answer).unwrap().unwrap();
        assert_eq!(question.message_type, "REQUEST");
        assert!(question.sender.is_some() && question.reply_to.is_some());
        let sent = question.sent.unwrap();
        assert_eq!(sent.message_id, question.message_id.to_string());
        assert!(
            shape::smev3_of_exchange(&document).unwrap().verify(&document, shape::limits()).is_ok()
        );
        let other = body(&document, Version::V11, "GetResponse");
        assert!(matches!(other, Err(AnswerError::Foreign(_))), "it answers something else");
    }

    #[test]
    fn empty_answers_are_told_from_what_is_none() {
        let empty = soap::envelope(&empty_delivery(Version::V13, "GetRequest"));
        let answer = read("GetRequest", &empty).unwrap().unwrap();
        assert!(incoming(Version::V13, &answer).unwrap().is_none());
        assert_eq!(read("Ack", &soap::envelope("")), Ok(None));
        for (operation, document) in [
            ("GetRequest", soap::envelope("").as_str()),
            ("Ack", &empty),
            ("Ack", ""),
            ("Ack", "<html><body>503</body></html>"),
            ("GetRequest", &empty[..empty.len() - 3]),
        ] {
            let told = read(operation, document);
            assert!(matches!(told, Err(AnswerError::Foreign(_))), "{document}");
        }
    }

    #[test]
    fn a_fault_tells_its_element_and_its_words() {
        let invalid = SignatureFault::SignatureIsInvalid;
        let signature = Fault::SignatureVerification(invalid, "не та".to_owned());
        for (fault, words, server) in [
            (Fault::SmevFailure, Fault::SmevFailure.text(), true),
            (signature, "SMEV-100:не та; SignatureIsInvalid".to_owned(), false),
            (Fault::AccessDenied, "Доступ запрещён".to_owned(), false),
        ] {
            let Err(AnswerError::Fault(told)) = read("Ack", &fault.to_xml(Version::V13, "7"))
            else {
                panic!("{fault:?}");
            };
            let (element, code) = (fault.element().to_owned(), Some("7".to_owned()));
            assert_eq!(*told, NodeFault { element, code, text: words, server });
        }
        let bare = "<soap:Fault xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\">\
            <faultcode>SOAP-ENV:Client</faultcode><faultstring>no</faultstring></soap:Fault>";
        let Err(AnswerError::Fault(told)) = read("Ack", &soap::envelope(bare)) else { panic!() };
        assert_eq!((told.element.as_str(), told.text.as_str(), told.server), ("", "no", false));
    }
}
