//! Messages as systems make them, of any version and operation.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontingent::codec::smev3::Version;
use kontingent::codec::soap::ENVELOPE;
use kontingent::codec::xmldsig::{Detached, Name};
use kontingent::model::clock::Clock;
use kontingent::trust::Signer;
use uuid::{ContextV1, Timestamp, Uuid};

static SEQUENCE: LazyLock<ContextV1> = LazyLock::new(|| ContextV1::new(42));

/// A new message id.
pub(super) fn new_id() -> Uuid {
    let now = Clock::System.now();
    let seconds = now.timestamp().unsigned_abs();
    let at = Timestamp::from_unix(&*SEQUENCE, seconds, now.timestamp_subsec_nanos());
    Uuid::new_v1(at, &[3, 2, 1, 4, 5, 6])
}

/// In which of the namespaces of a version an element is.
#[derive(Clone, Copy, Debug)]
enum Of {
    Types,
    Basic,
}

/// A message to be signed: which operation, which child of it, and their XML.
#[derive(Clone, Debug)]
pub(super) struct Message {
    version: Version,
    operation: &'static str,
    signed: (Of, &'static str),
    data: String,
    /// Stands behind the signed element.
    beside: String,
    /// An official who signs the content, whose root has this name.
    official: Option<(Signer, String, String)>,
}

/// A file inside a message.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) id: &'static str,
    pub(super) bytes: Vec<u8>,
    /// Detached, over the bytes.
    pub(super) pkcs7: Vec<u8>,
}

impl File {
    pub(super) fn new(id: &'static str, bytes: &[u8], signer: &Signer) -> Self {
        Self { id, bytes: bytes.to_vec(), pkcs7: signer.sign_file(bytes).unwrap() }
    }

    /// Its header, with what only a version may have after the id.
    fn header(&self, more: &str) -> String {
        let Self { id, pkcs7, .. } = self;
        let pkcs7 = STANDARD.encode(pkcs7);
        format!(
            "<b:AttachmentHeader><b:contentId>{id}</b:contentId>{more}\
             <b:MimeType>application/zip</b:MimeType><b:SignaturePKCS7>{pkcs7}</b:SignaturePKCS7>\
             </b:AttachmentHeader>"
        )
    }

    fn content(&self) -> String {
        let content = STANDARD.encode(&self.bytes);
        let id = self.id;
        format!(
            "<b:AttachmentContent><b:Id>{id}</b:Id><b:Content>{content}</b:Content>\
             </b:AttachmentContent>"
        )
    }
}

/// Headers of files, as the data of a sender have them.
pub(super) fn headers(files: &[File], more: &str) -> String {
    let headers: String = files.iter().map(|file| file.header(more)).collect();
    format!("<b:AttachmentHeaderList>{headers}</b:AttachmentHeaderList>")
}

impl Message {
    fn new(operation: &'static str, signed: (Of, &'static str), data: String) -> Self {
        let (beside, official) = (String::new(), None);
        Self { version: Version::V13, operation, signed, data, beside, official }
    }

    /// A question; `fields` stand between MessageID and the content.
    pub(super) fn ask(id: &str, fields: &str, content: &str) -> Self {
        let data = format!(
            "<t:SenderProvidedRequestData Id=\"SIGNED_BY_CONSUMER\"><t:MessageID>{id}</t:MessageID>\
             {fields}<b:MessagePrimaryContent>{content}</b:MessagePrimaryContent>\
             </t:SenderProvidedRequestData>"
        );
        Self::new("SendRequestRequest", (Of::Types, "SenderProvidedRequestData"), data)
    }

    /// An answer: what is told, elements after `To`.
    pub(super) fn tell(id: &str, to: &str, told: &str) -> Self {
        let data = format!(
            "<t:SenderProvidedResponseData Id=\"SIGNED_BY_PROVIDER\"><t:MessageID>{id}</t:MessageID>\
             <t:To>{to}</t:To>{told}</t:SenderProvidedResponseData>"
        );
        Self::new("SendResponseRequest", (Of::Types, "SenderProvidedResponseData"), data)
    }

    /// An answer with content.
    pub(super) fn answer(id: &str, to: &str, content: &str) -> Self {
        let told = format!("<b:MessagePrimaryContent>{content}</b:MessagePrimaryContent>");
        Self::tell(id, to, &told)
    }

    /// A provider's word that it is at work.
    pub(super) fn progress(id: &str, to: &str) -> Self {
        let told = "<t:RequestStatus><t:StatusCode>7</t:StatusCode><t:StatusParameter><t:Key>k</t:Key>\
            <t:Value>v</t:Value></t:StatusParameter><t:StatusDescription>в работе</t:StatusDescription>\
            </t:RequestStatus>";
        Self::tell(id, to, told)
    }

    /// A question marked as a test.
    pub(super) fn test(id: &str, content: &str) -> Self {
        let ask = Self::ask(id, "", content);
        let mark = "<t:TestMessage/></t:SenderProvidedRequestData>";
        Self { data: ask.data.replace("</t:SenderProvidedRequestData>", mark), ..ask }
    }

    /// A call for the next answer.
    pub(super) fn pull(selector: &str, node: &str) -> Self {
        Self::get("GetResponseRequest", selector, node)
    }

    /// A call for the next request.
    pub(super) fn take(selector: &str) -> Self {
        Self::get("GetRequestRequest", selector, "")
    }

    fn get(operation: &'static str, selector: &str, node: &str) -> Self {
        let data = format!(
            "<b:MessageTypeSelector Id=\"SIGNED_BY_CALLER\">{selector}\
             <b:Timestamp>{}</b:Timestamp>{node}</b:MessageTypeSelector>",
            Clock::System.now().to_rfc3339()
        );
        Self::new(operation, (Of::Basic, "MessageTypeSelector"), data)
    }

    /// A confirmation.
    pub(super) fn ack(id: &str) -> Self {
        Self::confirm(id, true)
    }

    /// A confirmation that says whether the signature of the exchange was accepted.
    pub(super) fn confirm(id: &str, accepted: bool) -> Self {
        let data = format!(
            "<b:AckTargetMessage Id=\"SIGNED_BY_CALLER\" accepted=\"{accepted}\">{id}\
             </b:AckTargetMessage>"
        );
        Self::new("AckRequest", (Of::Basic, "AckTargetMessage"), data)
    }

    /// A call for what became of messages.
    pub(super) fn status() -> Self {
        let now = Clock::System.now().to_rfc3339();
        let data = format!("<b:Timestamp Id=\"SIGNED_BY_CALLER\">{now}</b:Timestamp>");
        Self::new("GetStatusRequest", (Of::Basic, "Timestamp"), data)
    }

    /// A call for the lengths of queues, which 1.3 does not have; `node` stands before the time.
    pub(super) fn statistics(node: &str) -> Self {
        let status = Self::status();
        let data = format!("{node}{}", status.data);
        Self { operation: "GetIncomingQueueStatisticsRequest", data, ..status }
    }

    /// The same call made at another time.
    pub(super) fn dated(mut self, at: &str) -> Self {
        let end = self.data.find("</b:Timestamp>").unwrap();
        let begin = self.data[..end].rfind('>').unwrap() + 1;
        self.data.replace_range(begin..end, at);
        self
    }

    /// The same message of another version.
    pub(super) fn by(self, version: Version) -> Self {
        Self { version, ..self }
    }

    /// The same with files inside.
    pub(super) fn with(self, files: &[File]) -> Self {
        let headers = headers(files, "");
        self.with_headers(&headers, files)
    }

    /// The same with files inside, and other headers than theirs.
    pub(super) fn with_headers(self, headers: &str, files: &[File]) -> Self {
        let end = format!("</t:{}>", self.signed.1);
        let data = self.data.replace(&end, &format!("{headers}{end}"));
        let contents: String = files.iter().map(File::content).collect();
        let beside = format!("<b:AttachmentContentList>{contents}</b:AttachmentContentList>");
        Self { data, beside: if files.is_empty() { String::new() } else { beside }, ..self }
    }

    /// The same with the signature of an official over the content, whose root has this name and an Id.
    pub(super) fn official(self, signer: &Signer, (namespace, local): Name<'_>) -> Self {
        let end = "</b:MessagePrimaryContent>";
        let empty = format!("{end}<t:PersonalSignature></t:PersonalSignature>");
        let data = self.data.replacen(end, &empty, 1);
        let official = Some((signer.clone(), namespace.to_owned(), local.to_owned()));
        Self { data, official, ..self }
    }

    /// Name of the operation as its SOAP action has it.
    pub(super) fn operation(&self) -> &'static str {
        self.operation.strip_suffix("Request").unwrap()
    }

    /// Local name of the element that its signature covers.
    pub(super) fn target(&self) -> &'static str {
        self.signed.1
    }

    /// The envelope with an empty holder for the signature.
    pub(super) fn unsigned(&self) -> String {
        let Self { operation, data, beside, version, .. } = self;
        let (types, basic) = (version.types(), version.basic());
        format!(
            "<soap:Envelope xmlns:soap=\"{ENVELOPE}\"><soap:Header/><soap:Body>\
             <t:{operation} xmlns:t=\"{types}\" xmlns:b=\"{basic}\">{data}{beside}\
             <t:CallerInformationSystemSignature></t:CallerInformationSystemSignature>\
             </t:{operation}></soap:Body></soap:Envelope>"
        )
    }

    /// The envelope with the signature of this system.
    pub(super) fn signed(&self, signer: &Signer) -> String {
        self.sealed(self.unsigned(), signer)
    }

    /// The same with another text in the place of one that stands in its data.
    pub(super) fn rewritten(self, from: &str, to: &str) -> Self {
        let data = self.data.replacen(from, to, 1);
        assert_ne!(data, self.data, "{from}");
        Self { data, ..self }
    }

    /// The envelope, changed before it is signed.
    pub(super) fn sealed(&self, envelope: String, signer: &Signer) -> String {
        let (types, basic) = (self.version.types(), self.version.basic());
        let above = [(ENVELOPE, "Envelope"), (ENVELOPE, "Body"), (types, self.operation)];
        let namespace = if matches!(self.signed.0, Of::Types) { types } else { basic };
        let signed = [&above[..], &[(namespace, self.signed.1)]].concat();
        let holder = [&above[..], &[(types, "CallerInformationSystemSignature")]].concat();
        let mut envelope = envelope;
        if let Some((official, namespace, local)) = &self.official {
            let root = [(basic, "MessagePrimaryContent"), (namespace.as_str(), local.as_str())];
            let root = [&signed[..], &root].concat();
            let personal = [&signed[..], &[(types, "PersonalSignature")]].concat();
            envelope = sign(&envelope, official, &root, &personal);
        }
        sign(&envelope, signer, &signed, &holder)
    }
}

/// The message with an attribute more in what its sender has signed, one that any element may have.
pub(super) fn altered(signed: &str) -> String {
    let more =
        "xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" i:schemaLocation=\"urn:x x.xsd\" ";
    let altered = signed.replacen("Id=\"SIGNED_BY_", &format!("{more}Id=\"SIGNED_BY_"), 1);
    assert_ne!(altered, signed);
    altered
}

fn sign(envelope: &str, signer: &Signer, signed: &[Name<'_>], holder: &[Name<'_>]) -> String {
    let place = Detached { signed, holder };
    let signed = signer.sign_detached(envelope.as_bytes(), place, &signer.recipe().smev()).unwrap();
    String::from_utf8(signed).unwrap()
}

/// A message whose files, with their signatures, are parts of their own, by MTOM: its content type and
/// its body.
pub(super) fn in_parts(envelope: &str, files: &[File]) -> (String, Vec<u8>) {
    let mut envelope = envelope.to_owned();
    let mut parts = Vec::new();
    for file in files {
        for bytes in [&file.pkcs7, &file.bytes] {
            let id = format!("{}@urn://client", parts.len());
            let href = id.replace(':', "%3A").replace('/', "%2F");
            let include = format!(
                "><x:Include xmlns:x=\"http://www.w3.org/2004/08/xop/include\" href=\"cid:{href}\"/><"
            );
            let whole = format!(">{}<", STANDARD.encode(bytes));
            assert!(envelope.contains(&whole), "{id}");
            envelope = envelope.replacen(&whole, &include, 1);
            parts.push((id, bytes.clone()));
        }
    }
    let root = "application/xop+xml; charset=UTF-8; type=\"text/xml\"";
    let mut all = vec![(root, "root@client".to_owned(), envelope.into_bytes())];
    all.extend(parts.into_iter().map(|(id, bytes)| ("application/octet-stream", id, bytes)));
    (RELATED.to_owned(), multipart(&all))
}

/// The type of messages in parts, as [`multipart`] writes them.
pub(super) const RELATED: &str = "multipart/related; type=\"application/xop+xml\"; boundary=\"MIME\"; \
    start=\"<root@client>\"; start-info=\"text/xml\"";

/// Parts: type, Content-ID, content.
pub(super) fn multipart(parts: &[(&str, String, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, id, bytes) in parts {
        let head = format!(
            "--MIME\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\n\
             Content-ID: <{id}>\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--MIME--\r\n");
    body
}

/// A selector of messages by the root of their content.
pub(super) fn selector(namespace: &str, root: &str) -> String {
    format!(
        "<b:NamespaceURI>{namespace}</b:NamespaceURI>\
         <b:RootElementLocalName>{root}</b:RootElementLocalName>"
    )
}

/// Content of a question, in our namespace.
pub(super) fn content(root: &str, inside: &str) -> String {
    format!(
        "<{root} xmlns=\"urn:kontingent:federal:1.0\"><Purpose>проверка</Purpose>{inside}</{root}>"
    )
}

/// The question for a person by insurance number.
pub(super) fn by_snils(snils: &str) -> String {
    content("GetPersonBySnilsRequest", &format!("<Snils>{snils}</Snils>"))
}
