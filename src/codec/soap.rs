//! SOAP 1.1 envelopes: opened as a stream up to the request in the body, and written.
//!
//! An envelope is judged strictly: at most one `Header`, then exactly one `Body` with exactly one
//! child, then nothing. Operations are told apart by the name of that child; `SOAPAction` is only
//! a hint that must not disagree.

use std::io::Read;

use crate::codec::xml::{Event, Limits, Reader, Start, Writer};
use crate::model::refusal::{Refusal, RefusalCode};

/// Namespace of SOAP 1.1 envelopes.
pub const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// Media type of SOAP 1.1 messages, as we write them.
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// A header for the next node on the way is for us.
const ACTOR_NEXT: &str = "http://schemas.xmlsoap.org/soap/actor/next";

/// Why a message was not taken, and whether it was a SOAP message at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{refusal}")]
pub struct SoapError {
    /// What is wrong.
    pub refusal: Refusal,
    /// Whether an envelope was recognised: only then the answer is a fault.
    pub recognised: bool,
}

impl From<Refusal> for SoapError {
    /// A refusal of a message whose envelope was recognised.
    fn from(refusal: Refusal) -> Self {
        Self { refusal, recognised: true }
    }
}

/// An envelope read as far as the start tag of the request in its body.
#[derive(Debug)]
pub struct Envelope<R: Read> {
    reader: Reader<R>,
    namespace: String,
    local: String,
    attributes: Vec<(String, String, String)>,
}

impl<R: Read> Envelope<R> {
    /// Reads up to the start tag of the only child of `Body`.
    /// `understood` are the expanded names of header entries that the caller honours.
    ///
    /// # Errors
    /// `SOAP_STRUCTURE`, `SOAP_VERSION`, `SOAP_MUST_UNDERSTAND`, or what is wrong with the XML.
    pub fn open(source: R, limits: Limits, understood: &[(&str, &str)]) -> Result<Self, SoapError> {
        let mut reader = Reader::new(source, limits);
        recognise(&mut reader)?;
        to_body(&mut reader, understood)?;
        let (namespace, local, attributes) = loop {
            match reader.next().map_err(Refusal::from)? {
                Event::Start(start) => {
                    let (namespace, local) =
                        (start.namespace().to_owned(), start.local().to_owned());
                    break (namespace, local, start.owned_attributes());
                }
                Event::Text(text) if blank(text) => {}
                _ => return Err(structure(&reader, "в Body нет элемента запроса").into()),
            }
        };
        Ok(Self { reader, namespace, local, attributes })
    }

    /// Namespace and local name of the request.
    pub fn operation(&self) -> (&str, &str) {
        (&self.namespace, &self.local)
    }

    /// Attributes of the request: namespace name, local name, value.
    pub fn attributes(&self) -> &[(String, String, String)] {
        &self.attributes
    }

    /// The reader: at first just after the start tag of the request; the caller reads on through
    /// the request's end tag and then calls [`Envelope::finish`].
    pub fn reader(&mut self) -> &mut Reader<R> {
        &mut self.reader
    }

    /// Checks that nothing follows the request but the ends of `Body` and `Envelope`.
    ///
    /// # Errors
    /// `SOAP_STRUCTURE`, or what is wrong with the XML.
    pub fn finish(&mut self) -> Result<(), Refusal> {
        let mut open = 2;
        loop {
            match self.reader.next()? {
                Event::End(_) => open -= 1,
                Event::Text(text) if blank(text) => {}
                Event::Eof => return Ok(()),
                _ if open == 2 => {
                    return Err(structure(&self.reader, "в Body больше одного элемента"));
                }
                _ => return Err(structure(&self.reader, "после Body ничего быть не должно")),
            }
        }
    }
}

/// Reads the root: from here on answers are faults, if it is ours.
fn recognise<R: Read>(reader: &mut Reader<R>) -> Result<(), SoapError> {
    // A document type is what SOAP itself forbids a message (SOAP 1.1, 3): whoever sends one speaks SOAP.
    let unrecognised =
        |refusal: Refusal| SoapError { recognised: refusal.code == RefusalCode::XmlDtd, refusal };
    let place = reader.position();
    let root = match reader.next().map_err(|error| unrecognised(error.into()))? {
        Event::Start(start) if start.is(ENVELOPE, "Envelope") => return Ok(()),
        Event::Start(start) => start.local() == "Envelope",
        _ => false,
    };
    if root {
        return Err(Refusal::new(RefusalCode::SoapVersion).at(place).into());
    }
    let refusal = Refusal::new(RefusalCode::SoapStructure);
    Err(unrecognised(refusal.detail("корневой элемент не soap:Envelope").at(place)))
}

/// Reads through the start tag of `Body`, judging headers on the way.
fn to_body<R: Read>(reader: &mut Reader<R>, understood: &[(&str, &str)]) -> Result<(), Refusal> {
    let mut header_seen = false;
    loop {
        match reader.next()? {
            Event::Start(start) if start.is(ENVELOPE, "Body") => return Ok(()),
            Event::Start(start) if start.is(ENVELOPE, "Header") && !header_seen => {
                header_seen = true;
                judge_header(reader, understood)?;
            }
            Event::Start(start) if start.is(ENVELOPE, "Header") => {
                return Err(structure(reader, "больше одного Header"));
            }
            Event::Text(text) if blank(text) => {}
            Event::End(_) | Event::Eof => return Err(structure(reader, "нет Body")),
            _ => return Err(structure(reader, "перед Body допустим только Header")),
        }
    }
}

/// Reads through the end of `Header`.
fn judge_header<R: Read>(
    reader: &mut Reader<R>,
    understood: &[(&str, &str)],
) -> Result<(), Refusal> {
    loop {
        match reader.next()? {
            Event::Start(entry) => {
                let name = (entry.namespace(), entry.local());
                if is_mandatory(entry) && !understood.contains(&name) {
                    let detail = format!("{{{}}}{}", name.0, name.1);
                    let refusal = Refusal::new(RefusalCode::SoapMustUnderstand);
                    return Err(refusal.detail(detail).at(entry.place()));
                }
                reader.skip_element()?;
            }
            Event::Text(text) if blank(text) => {}
            Event::End(_) => return Ok(()),
            _ => return Err(structure(reader, "в Header допустимы только элементы")),
        }
    }
}

/// Whether a header entry is meant for us and must not be ignored.
fn is_mandatory(entry: Start<'_>) -> bool {
    let demanded = matches!(entry.attribute(ENVELOPE, "mustUnderstand"), Some("1" | "true"));
    let actor = entry.attribute(ENVELOPE, "actor").unwrap_or_default();
    demanded && (actor.is_empty() || actor == ACTOR_NEXT)
}

fn structure<R: Read>(reader: &Reader<R>, detail: &str) -> Refusal {
    Refusal::new(RefusalCode::SoapStructure).detail(detail).at(reader.position())
}

/// Whether text is XML whitespace only.
pub fn blank(text: &str) -> bool {
    text.bytes().all(|byte| b" \t\r\n".contains(&byte))
}

/// Checks the `SOAPAction` header against the action of the operation found in the body.
/// Absent, empty, quoted and unquoted values are taken.
///
/// # Errors
/// `ACTION_MISMATCH`.
pub fn check_action(header: Option<&str>, action: &str) -> Result<(), Refusal> {
    let said = header.unwrap_or_default().trim();
    let said = said.strip_prefix('"').and_then(|said| said.strip_suffix('"')).unwrap_or(said);
    if said.is_empty() || said == action {
        return Ok(());
    }
    Err(Refusal::new(RefusalCode::ActionMismatch).detail(format!("ожидалось {action}")))
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultCode {
    /// The envelope is of another version of SOAP.
    VersionMismatch,
    /// A mandatory header entry is not honoured.
    MustUnderstand,
    /// The message is wrong: the same bytes will not succeed.
    Client,
    /// We could not: the same bytes may succeed later.
    Server,
}

impl FaultCode {
    /// The fault code of a refusal.
    pub fn of(code: RefusalCode) -> Self {
        match code {
            RefusalCode::SoapVersion => Self::VersionMismatch,
            RefusalCode::SoapMustUnderstand => Self::MustUnderstand,
            _ if code.status() >= 500 => Self::Server,
            _ => Self::Client,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::VersionMismatch => "soap:VersionMismatch",
            Self::MustUnderstand => "soap:MustUnderstand",
            Self::Client => "soap:Client",
            Self::Server => "soap:Server",
        }
    }
}

/// Writes an envelope around a body that is already XML.
pub fn envelope(body: &str) -> String {
    let mut writer = Writer::document();
    writer.start("soap:Envelope").attribute("xmlns:soap", ENVELOPE).start("soap:Body").raw(body);
    writer.finish()
}

/// Writes an envelope with a fault; `detail` is XML, with all namespaces it needs declared.
/// HTTP status is 500 always.
pub fn fault(code: FaultCode, text: &str, detail: &str) -> String {
    let mut writer = Writer::new();
    writer.start("soap:Fault");
    writer.element("faultcode", code.as_str());
    writer.start("faultstring").attribute("xml:lang", "ru").text(text).end();
    writer.start("detail").raw(detail);
    envelope(&writer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(xml: &str) -> Result<(String, String), String> {
        let told =
            |error: SoapError| format!("{} {}", error.refusal.code.as_str(), error.recognised);
        let understood = [("urn:x", "Known")];
        let mut envelope =
            Envelope::open(xml.as_bytes(), Limits::default(), &understood).map_err(told)?;
        envelope.reader().skip_element().map_err(|error| told(Refusal::from(error).into()))?;
        envelope.finish().map_err(|refusal| told(refusal.into()))?;
        let (namespace, local) = envelope.operation();
        Ok((namespace.to_owned(), local.to_owned()))
    }

    fn soap(content: &str) -> String {
        format!("<s:Envelope xmlns:s='{ENVELOPE}' xmlns:x='urn:x'>{content}</s:Envelope>")
    }

    #[test]
    fn the_request_is_the_only_child_of_the_only_body() {
        let good = Ok(("urn:x".to_owned(), "Ping".to_owned()));
        assert_eq!(open(&soap("<s:Body><x:Ping/></s:Body>")), good);
        assert_eq!(open(&soap(" <s:Header/>\n<s:Body> <x:Ping>1</x:Ping> </s:Body> ")), good);
        for content in [
            "",
            "<s:Body/>",
            "<s:Body>text</s:Body>",
            "<s:Body><x:Ping/></s:Body><s:Body><x:Ping/></s:Body>",
            "<s:Body><x:Ping/><x:Ping/></s:Body>",
            "<s:Header/><s:Header/><s:Body><x:Ping/></s:Body>",
            "<s:Body><x:Ping/></s:Body><s:Header/>",
            "<x:Body><x:Ping/></x:Body>",
            "<s:Body><x:Ping/></s:Body>text",
        ] {
            assert_eq!(open(&soap(content)), Err("SOAP_STRUCTURE true".to_owned()), "{content}");
        }
    }

    #[test]
    fn another_version_is_a_fault_and_another_document_is_none() {
        let other = "<e:Envelope xmlns:e='http://www.w3.org/2003/05/soap-envelope'/>";
        assert_eq!(open(other), Err("SOAP_VERSION true".to_owned()));
        assert_eq!(open("<html/>"), Err("SOAP_STRUCTURE false".to_owned()));
        assert_eq!(open("<!DOCTYPE a [<!ENTITY e 'e'>]><a/>"), Err("XML_DTD true".to_owned()));
        assert_eq!(open("GET"), Err("XML_MALFORMED false".to_owned()));
        assert_eq!(open(&soap("<s:Body><x:Ping></s:Body>")), Err("XML_MALFORMED true".to_owned()));
    }

    #[test]
    fn mandatory_headers_are_understood_or_refused() {
        let message = |entry: &str| {
            open(&soap(&format!("<s:Header>{entry}</s:Header><s:Body><x:Ping/></s:Body>")))
        };
        let refused = Err("SOAP_MUST_UNDERSTAND true".to_owned());
        assert_eq!(message("<x:New s:mustUnderstand='1'/>"), refused);
        assert_eq!(
            message(&format!("<x:New s:mustUnderstand='1' s:actor='{ACTOR_NEXT}'/>")),
            refused
        );
        assert!(message("<x:New s:mustUnderstand='0'><x:Deep/></x:New>").is_ok());
        assert!(message("<x:New s:mustUnderstand='1' s:actor='urn:another'/>").is_ok());
        assert!(message("<x:Known s:mustUnderstand='1'/>").is_ok());
    }

    #[test]
    fn the_action_is_a_hint_that_must_not_lie() {
        for good in [None, Some(""), Some("\"\""), Some("urn:a"), Some("\"urn:a\"")] {
            assert_eq!(check_action(good, "urn:a"), Ok(()), "{good:?}");
        }
        assert!(check_action(Some("\"urn:b\""), "urn:a").is_err());
    }
}
