//! Messages to the exchange, to be signed by the caller's system.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::codec::smev3::write::{instant, write_files, write_headers};
use crate::codec::smev3::{
    Attached, Header, Provided, SIGNED_BY_CALLER, Version, provided_response,
};
use crate::codec::soap;
use crate::codec::xml::Writer;

/// What holds the signature of the caller.
const HOLDER: &str = "t:CallerInformationSystemSignature";

/// Which message is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Selector<'a> {
    /// Namespace and local name of a root element; none for any.
    pub root: Option<(&'a str, &'a str)>,
    /// Node whose queue is meant.
    pub node: Option<&'a str>,
    /// When it is asked for.
    pub at: DateTime<Utc>,
}

/// A question to a system of the exchange.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Id of the message.
    pub message_id: Uuid,
    /// First request of the business chain: this one, when there was none before.
    pub reference_id: Uuid,
    /// Code of the state service.
    pub transaction_code: Option<&'a str>,
    /// Node whose queue gets the answer.
    pub node: Option<&'a str>,
    /// When it is of no more use.
    pub end_of_life: Option<DateTime<Utc>>,
    /// The one element of the content, with its namespace declarations …
    pub content: &'a str,
    /// … and files beside it.
    pub headers: &'a [Header<'a>],
    /// Marked as a test.
    pub test: bool,
}

/// A call for the next question to us.
pub fn get_request(version: Version, selector: &Selector<'_>) -> String {
    envelope(version, "GetRequest", &selected(version, selector), &[])
}

/// A call for the next answer to us.
pub fn get_response(version: Version, selector: &Selector<'_>) -> String {
    envelope(version, "GetResponse", &selected(version, selector), &[])
}

/// A call for what became of messages of ours.
pub fn get_status(version: Version, at: DateTime<Utc>) -> String {
    let mut out = Writer::new();
    out.start("b:Timestamp").attribute("xmlns:b", version.basic());
    out.attribute("Id", SIGNED_BY_CALLER);
    out.text(&instant(at));
    envelope(version, "GetStatus", &out.finish(), &[])
}

/// A confirmation that a message was received; `accepted` says whether the signature of the exchange stands.
pub fn ack(version: Version, message_id: Uuid, accepted: bool) -> String {
    let mut out = Writer::new();
    out.start("b:AckTargetMessage").attribute("xmlns:b", version.basic());
    out.attribute("Id", SIGNED_BY_CALLER);
    out.attribute("accepted", if accepted { "true" } else { "false" });
    out.text(&message_id.to_string());
    envelope(version, "Ack", &out.finish(), &[])
}

/// A question, with the files that its headers name.
pub fn send_request(version: Version, question: &Question<'_>, files: &[Attached<'_>]) -> String {
    let mut out = Writer::new();
    out.start("t:SenderProvidedRequestData").attribute("xmlns:t", version.types());
    out.attribute("xmlns:b", version.basic()).attribute("Id", SIGNED_BY_CALLER);
    out.element("t:MessageID", &question.message_id.to_string());
    out.element("t:ReferenceMessageID", &question.reference_id.to_string());
    if let Some(code) = question.transaction_code {
        out.element("t:TransactionCode", code);
    }
    if let Some(node) = question.node {
        out.element("t:NodeID", node);
    }
    if let Some(end) = question.end_of_life {
        out.element("t:EOL", &instant(end));
    }
    out.start("b:MessagePrimaryContent").raw(question.content).end();
    write_headers(&mut out, question.headers);
    if question.test {
        out.start("t:TestMessage").end();
    }
    envelope(version, "SendRequest", &out.finish(), files)
}

/// An answer, with the files that its headers name.
pub fn send_response(version: Version, provided: &Provided<'_>, files: &[Attached<'_>]) -> String {
    envelope(version, "SendResponse", &provided_response(version, provided), files)
}

/// A signed message that [`send_request`] or [`send_response`] made, under another id and to be signed
/// again; `None` when it is not one with the id `from`.
pub fn renumbered(message: &str, from: Uuid, to: Uuid) -> Option<String> {
    let (open, close) = (format!("<{HOLDER}>"), format!("</{HOLDER}>"));
    // The holder is the last element of the operation, and the id the first of the data.
    let begin = message.rfind(&open)?;
    let end = begin + message[begin..].find(&close)? + close.len();
    let unsigned = [&message[..begin], "<", HOLDER, "/>", &message[end..]].concat();
    let id = |id: Uuid| format!("<t:MessageID>{id}</t:MessageID>");
    let first = unsigned.find("<t:MessageID>")?;
    let (before, rest) = unsigned.split_at(first);
    let rest = rest.strip_prefix(&id(from))?;
    Some([before, &id(to), rest].concat())
}

fn selected(version: Version, selector: &Selector<'_>) -> String {
    let mut out = Writer::new();
    out.start("b:MessageTypeSelector").attribute("xmlns:b", version.basic());
    out.attribute("Id", SIGNED_BY_CALLER);
    if let Some((namespace, local)) = selector.root {
        out.element("b:NamespaceURI", namespace).element("b:RootElementLocalName", local);
    }
    out.element("b:Timestamp", &instant(selector.at));
    if let Some(node) = selector.node {
        out.element("b:NodeID", node);
    }
    out.finish()
}

fn envelope(version: Version, operation: &str, data: &str, files: &[Attached<'_>]) -> String {
    let mut out = Writer::new();
    out.start(&format!("t:{operation}Request")).attribute("xmlns:t", version.types());
    out.attribute("xmlns:b", version.basic());
    out.raw(data);
    write_files(&mut out, files, false);
    out.start(HOLDER).end();
    soap::envelope(&out.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::shape;
    use crate::codec::smev3::{Content, Request, Told, read};

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn the_exchange_reads_what_its_clients_write() {
        let at = DateTime::UNIX_EPOCH;
        for version in Version::ALL {
            let take =
                |message: &str| read(message.as_bytes(), version, shape::limits()).unwrap().0;
            let selector =
                Selector { root: Some(("urn:x", "Вопрос")), node: Some("узел & 1"), at };
            for message in [get_request(version, &selector), get_response(version, &selector)] {
                let (Request::GetRequest(get) | Request::GetResponse(get)) = take(&message) else {
                    panic!("{message}");
                };
                assert_eq!(get.root.unwrap().1, "Вопрос");
                assert_eq!(get.node_id.unwrap(), "узел & 1");
            }
            let Request::Ack(ack) = take(&ack(version, id(7), false)) else { panic!() };
            assert_eq!((ack.message_id, ack.accepted), (id(7).to_string(), false));
            let header = Header { id: "F", mime: "application/pdf", signature: Some(b"pkcs") };
            let file = Attached { id: "F", bytes: b"file" };
            let question = Question {
                message_id: id(1),
                reference_id: id(2),
                transaction_code: Some("код"),
                node: None,
                end_of_life: Some(at),
                content: "<q xmlns=\"urn:x\"/>",
                headers: &[header],
                test: true,
            };
            let message = send_request(version, &question, &[file]);
            let Request::SendRequest(sent) = take(&message) else { panic!() };
            assert_eq!(sent.data.reference_id, Some(id(2)));
            assert_eq!((sent.data.test, sent.attachments.len()), (true, 1));
            assert_eq!(sent.headers, ["F"]);
            assert_eq!(shape::smev3(message.as_bytes()).unwrap().attachments.len(), 1);
        }
    }

    #[test]
    fn a_renumbered_answer_is_the_one_that_would_have_been_written() {
        let written = |number| {
            let content = "<t:MessageID xmlns:t=\"urn:x\">00000000</t:MessageID>";
            let told = Told::Content(content, &[]);
            let provided = Provided { message_id: id(number), to: "a<b", told };
            send_response(Version::V12, &provided, &[])
        };
        let holder = format!("<{HOLDER}/>");
        let signed = written(1).replace(&holder, &format!("<{HOLDER}><s>x</s></{HOLDER}>"));
        assert_eq!(renumbered(&signed, id(1), id(2)).unwrap(), written(2));
        assert_eq!(renumbered(&signed, id(3), id(2)), None);
        assert_eq!(renumbered(&written(1), id(1), id(2)), None, "it was not signed");
        let Request::SendResponse(sent) =
            read(written(2).as_bytes(), Version::V12, shape::limits()).unwrap().0
        else {
            panic!()
        };
        assert!(matches!(sent.data.content, Content::Primary(_)));
    }
}
