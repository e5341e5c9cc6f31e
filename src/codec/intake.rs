//! Messages of the suppliers' SOAP service, `urn:kontingent:intake:1.0` (`wsdl/intake.wsdl`).

use std::io::{self, Read};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::codec::base64::{self, Decoder};
use crate::codec::inflate::Encoding;
use crate::codec::soap::{self, Envelope, FaultCode, SoapError, blank};
use crate::codec::xml::{Event, Limits, Reader, Writer};
use crate::model::ids::{PackageId, PackageNo};
use crate::model::package::{Fate, State};
use crate::model::refusal::{Refusal, RefusalCode};

/// Namespace of the messages.
pub const NAMESPACE: &str = "urn:kontingent:intake:1.0";

/// Namespace of `xop:Include`.
const XOP: &str = "http://www.w3.org/2004/08/xop/include";

/// Longest of the short values in a request, in bytes.
const VALUE_BYTES: usize = 256;

/// A request, its envelope read as far as needed.
pub enum Request<R: Read> {
    /// `SubmitPackage`.
    Submit(Submission<R>),
    /// `GetReceipt`.
    Receipt(Asked),
    /// `GetPackageStatus`.
    Status(Asked),
    /// `Ping`.
    Ping,
}

/// A package to be submitted.
pub struct Submission<R: Read> {
    /// The package id the supplier expects to find in the package's header.
    pub package: Option<PackageId>,
    /// How the content is compressed.
    pub encoding: Encoding,
    /// Where the content is.
    pub content: Content<R>,
}

/// Content of a package.
pub enum Content<R: Read> {
    /// In the envelope, to be read from here.
    Inline(Inline<R>),
    /// In the part of the MIME message with this `Content-ID`; the envelope is read to its end.
    Attached(String),
}

/// Which package a question is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Mnemonic of the supplier.
    pub supplier: String,
    /// The supplier's package id.
    pub package: PackageId,
}

/// Reads a request; `action` is the `SOAPAction` header.
///
/// # Errors
/// `OPERATION_UNKNOWN`, `ACTION_MISMATCH`, `REQUEST_INVALID`, `EMPTY_BODY`, `BASE64`, or what is
/// wrong with the envelope.
pub fn read<R: Read>(source: R, action: Option<&str>) -> Result<Request<R>, SoapError> {
    let mut envelope = Envelope::open(source, Limits::default(), &[])?;
    let operation = match envelope.operation() {
        (NAMESPACE, "SubmitPackageRequest") => "SubmitPackage",
        (NAMESPACE, "GetReceiptRequest") => "GetReceipt",
        (NAMESPACE, "GetPackageStatusRequest") => "GetPackageStatus",
        (NAMESPACE, "PingRequest") => "Ping",
        (namespace, local) => {
            let detail = format!("{{{namespace}}}{local}; поддерживается {NAMESPACE}");
            return Err(Refusal::new(RefusalCode::OperationUnknown).detail(detail).into());
        }
    };
    soap::check_action(action, &format!("{NAMESPACE}/{operation}"))?;
    let request = match operation {
        "SubmitPackage" => return Ok(Request::Submit(submission(envelope)?)),
        "GetReceipt" => Request::Receipt(asked(envelope.reader())?),
        "GetPackageStatus" => Request::Status(asked(envelope.reader())?),
        _ => {
            end(envelope.reader())?;
            Request::Ping
        }
    };
    envelope.finish()?;
    Ok(request)
}

fn submission<R: Read>(mut envelope: Envelope<R>) -> Result<Submission<R>, Refusal> {
    let reader = envelope.reader();
    let mut name = child(reader)?;
    let mut package = None;
    if name == "PackageId" {
        package = Some(package_id(reader)?);
        name = child(reader)?;
    }
    if name != "Encoding" {
        return Err(invalid(reader, "ожидался элемент Encoding"));
    }
    let encoding = match value(reader)?.as_str() {
        "plain" => Encoding::Plain,
        "gzip" => Encoding::Gzip,
        "zip" => Encoding::Zip,
        _ => return Err(invalid(reader, "Encoding: plain, gzip или zip")),
    };
    if child(reader)? != "Content" {
        return Err(invalid(reader, "ожидался элемент Content"));
    }
    Ok(Submission { package, encoding, content: content(envelope)? })
}

/// Reads on after the start tag of `Content`, until it is clear where the bytes are.
fn content<R: Read>(mut envelope: Envelope<R>) -> Result<Content<R>, Refusal> {
    envelope.reader().set_text_limit(u64::MAX);
    let (mut decoder, mut bytes, mut inline) = (Decoder::default(), Vec::new(), false);
    loop {
        let reader = envelope.reader();
        let include = match reader.next()? {
            Event::Text(text) => {
                inline = inline || !blank(text);
                decoder.push(text, &mut bytes)?;
                None
            }
            Event::Start(start) if start.is(XOP, "Include") && !inline => {
                Some(start.attribute("", "href").and_then(content_id))
            }
            Event::End(_) if !inline => return Err(RefusalCode::EmptyBody.into()),
            Event::End(_) => return Err(invalid(reader, "Content слишком короток")),
            _ => return Err(invalid(reader, "Content: base64 или xop:Include")),
        };
        if let Some(href) = include {
            let part = href.ok_or_else(|| {
                Refusal::new(RefusalCode::Mime).detail("href в xop:Include: ожидалось cid:…")
            })?;
            end(reader)?;
            end(reader)?;
            end(reader)?;
            envelope.finish()?;
            return Ok(Content::Attached(part));
        }
        if !bytes.is_empty() {
            return Ok(Content::Inline(Inline {
                envelope,
                decoder,
                bytes,
                given: 0,
                ended: false,
            }));
        }
    }
}

/// The `Content-ID` that a `cid:` URL points to.
fn content_id(href: &str) -> Option<String> {
    let escaped = href.strip_prefix("cid:").filter(|id| !id.is_empty())?;
    let mut id = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            id.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            id.push(byte);
        }
    }
    String::from_utf8(id).ok()
}

/// The bytes of a package inside an envelope, decoded as they are read.
/// `Ok(0)` says that the rest of the envelope is as it should be too.
pub struct Inline<R: Read> {
    envelope: Envelope<R>,
    decoder: Decoder,
    /// Decoded bytes, of which `given` are handed out.
    bytes: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R: Read> Inline<R> {
    fn more(&mut self) -> Result<(), Refusal> {
        self.bytes.clear();
        self.given = 0;
        let place = self.envelope.reader().position();
        let reader = self.envelope.reader();
        match reader.next()? {
            Event::Text(text) => {
                self.decoder.push(text, &mut self.bytes).map_err(|refusal| refusal.at(place))
            }
            Event::End(_) => {
                self.decoder.finish().map_err(|refusal| refusal.at(place))?;
                end(reader)?;
                self.envelope.finish()?;
                self.ended = true;
                Ok(())
            }
            _ => Err(invalid(reader, "в Content допустим только base64")),
        }
    }
}

impl<R: Read> Read for Inline<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.bytes.len() && !self.ended {
            self.more()?;
        }
        let rest = &self.bytes[self.given..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

fn asked<R: Read>(reader: &mut Reader<R>) -> Result<Asked, Refusal> {
    if child(reader)? != "Supplier" {
        return Err(invalid(reader, "ожидался элемент Supplier"));
    }
    let supplier = value(reader)?;
    if child(reader)? != "PackageId" {
        return Err(invalid(reader, "ожидался элемент PackageId"));
    }
    let package = package_id(reader)?;
    end(reader)?;
    Ok(Asked { supplier, package })
}

fn package_id<R: Read>(reader: &mut Reader<R>) -> Result<PackageId, Refusal> {
    let text = value(reader)?;
    PackageId::parse(&text).ok_or_else(|| invalid(reader, "PackageId: ожидался UUID"))
}

/// Reads to the next child of ours and says its local name; empty for the end of the parent.
fn child<R: Read>(reader: &mut Reader<R>) -> Result<String, Refusal> {
    loop {
        match reader.next()? {
            Event::Start(start) if start.namespace() == NAMESPACE => {
                return Ok(start.local().to_owned());
            }
            Event::Text(text) if blank(text) => {}
            Event::End(_) => return Ok(String::new()),
            _ => return Err(invalid(reader, "неожиданное содержимое")),
        }
    }
}

/// Reads the text of the element just started, through its end tag.
fn value<R: Read>(reader: &mut Reader<R>) -> Result<String, Refusal> {
    let mut text = String::new();
    let simple = reader.read_text(&mut text)?;
    if !simple || text.len() > VALUE_BYTES {
        return Err(invalid(reader, "ожидалось короткое текстовое значение"));
    }
    Ok(text.trim().to_owned())
}

/// Reads the end tag that must come now.
fn end<R: Read>(reader: &mut Reader<R>) -> Result<(), Refusal> {
    loop {
        match reader.next()? {
            Event::End(_) => return Ok(()),
            Event::Text(text) if blank(text) => {}
            _ => return Err(invalid(reader, "лишнее содержимое")),
        }
    }
}

fn invalid<R: Read>(reader: &Reader<R>, detail: &str) -> Refusal {
    Refusal::new(RefusalCode::RequestInvalid).detail(detail).at(reader.position())
}

/// Answers `SubmitPackage`; `receipt` is the signed document, byte for byte.
pub fn submit_response(package: PackageId, duplicate: bool, receipt: &[u8]) -> String {
    let mut writer = message("SubmitPackageResponse");
    writer.element("PackageId", &package.0.to_string());
    writer.element("Duplicate", flag(duplicate));
    writer.element("Receipt", &base64::encode(receipt));
    soap::envelope(&writer.finish())
}

/// Answers `GetReceipt`; `concluding` says that the receipt tells what became of the records.
pub fn receipt_response(package: PackageId, concluding: bool, receipt: &[u8]) -> String {
    let mut writer = message("GetReceiptResponse");
    writer.element("PackageId", &package.0.to_string());
    writer.element("Final", flag(concluding));
    writer.element("Receipt", &base64::encode(receipt));
    soap::envelope(&writer.finish())
}

/// Answers `Ping`.
pub fn ping_response(version: &str) -> String {
    let mut writer = message("PingResponse");
    writer.element("Version", version);
    soap::envelope(&writer.finish())
}

/// Where a package is, as `GetPackageStatus` says it.
#[derive(Clone, Debug)]
pub struct PackageStatus<'a> {
    /// The supplier's id.
    pub package: PackageId,
    /// Our number.
    pub number: PackageNo,
    /// Where it is.
    pub state: State,
    /// Why it waits, was rejected or failed: a finding code.
    pub reason: Option<&'a str>,
    /// When it was accepted.
    pub received_at: DateTime<Utc>,
    /// Since when it is in this state.
    pub state_at: DateTime<Utc>,
    /// Attempts so far.
    pub attempts: u64,
    /// Records in it.
    pub records: u64,
    /// Records the last attempt has applied.
    pub records_done: u64,
    /// What became of records that had to wait for a reference.
    pub fate: Fate,
}

/// Answers `GetPackageStatus`.
pub fn status_response(status: &PackageStatus<'_>) -> String {
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut writer = message("GetPackageStatusResponse");
    writer.element("PackageId", &status.package.to_string());
    writer.element("Number", &status.number.to_string());
    writer.element("State", status.state.as_str());
    writer.element("StateTitle", status.state.title());
    if let Some(reason) = status.reason {
        writer.element("Reason", reason);
    }
    writer.element("ReceivedAt", &instant(status.received_at));
    writer.element("StateAt", &instant(status.state_at));
    writer.element("Attempts", &status.attempts.to_string());
    writer.element("Records", &status.records.to_string());
    writer.element("RecordsDone", &status.records_done.to_string());
    writer.start("Deferred");
    writer.element("Waiting", &status.fate.waiting.to_string());
    writer.element("Applied", &status.fate.applied.to_string());
    writer.element("Expired", &status.fate.expired.to_string());
    writer.end();
    soap::envelope(&writer.finish())
}

fn message(name: &str) -> Writer {
    let mut writer = Writer::new();
    writer.start(name).attribute("xmlns", NAMESPACE);
    writer
}

fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Answers a request that is refused; `correlation` is the number of the request.
pub fn fault(refusal: &Refusal, correlation: &str) -> String {
    let code = refusal.code;
    let mut writer = message("Refusal");
    writer.element("Code", code.as_str());
    if let Some(detail) = &refusal.detail {
        writer.element("Detail", detail);
    }
    if let Some(place) = refusal.place {
        writer.element("Line", &place.line.to_string());
        writer.element("Column", &place.column.to_string());
        writer.element("Offset", &place.offset.to_string());
    }
    writer.element("CorrelationId", correlation);
    writer.element("Retryable", flag(code.retryable()));
    soap::fault(FaultCode::of(code), code.text(), &writer.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0196f2a0-0000-7000-8000-000000000001";

    fn soap(request: &str) -> String {
        soap::envelope(request)
    }

    fn submit(content: &str) -> String {
        soap(&format!(
            "<SubmitPackageRequest xmlns='{NAMESPACE}'><PackageId>{ID}</PackageId>\
             <Encoding>gzip</Encoding><Content>{content}</Content></SubmitPackageRequest>"
        ))
    }

    /// What came out of the content, or the part it is in, or the refusal.
    fn told(xml: &str) -> Result<String, &'static str> {
        let request = read(xml.as_bytes(), None).map_err(|error| error.refusal.code.as_str())?;
        let Request::Submit(submission) = request else { return Ok("another".to_owned()) };
        assert_eq!(submission.encoding, Encoding::Gzip);
        assert_eq!(submission.package.unwrap().0.to_string(), ID);
        match submission.content {
            Content::Attached(part) => Ok(format!("part {part}")),
            Content::Inline(mut inline) => {
                let mut text = String::new();
                inline.read_to_string(&mut text).map(|_| text).map_err(|error| {
                    crate::model::refusal::refusal_of(&error).unwrap().code.as_str()
                })
            }
        }
    }

    #[test]
    fn content_is_inline_or_attached() {
        assert_eq!(told(&submit(" SGVs\nbG8= ")), Ok("Hello".to_owned()));
        assert_eq!(told(&submit("<![CDATA[SGVs]]>bG8=")), Ok("Hello".to_owned()));
        let include = |href: &str| format!("\n<i:Include xmlns:i='{XOP}' href='{href}'/>\n");
        assert_eq!(told(&submit(&include("cid:a%40b"))), Ok("part a@b".to_owned()));
        assert_eq!(told(&submit(&include("http://a/b"))), Err("MIME_STRUCTURE"));
        assert_eq!(told(&submit(&include("cid:"))), Err("MIME_STRUCTURE"));
    }

    #[test]
    fn what_stands_around_the_content_counts_too() {
        let good = submit("SGVsbG8=");
        assert_eq!(told(&submit("")), Err("EMPTY_BODY"));
        assert_eq!(told(&submit("SGVs!")), Err("BASE64"));
        assert_eq!(told(&submit("SGVsbG8")), Err("BASE64"));
        assert_eq!(told(&submit("SGVs<b/>")), Err("REQUEST_INVALID"));
        let more = good.replace("</Content>", "</Content><More/>");
        assert_eq!(told(&more), Err("REQUEST_INVALID"));
        let two = good.replace("</soap:Body>", "</soap:Body><soap:Body/>");
        assert_eq!(told(&two), Err("SOAP_STRUCTURE"));
        let cut = &good[..good.len() - 20];
        assert_eq!(told(cut), Err("XML_MALFORMED"));
        assert_eq!(told(&good.replace(">gzip<", ">brotli<")), Err("REQUEST_INVALID"));
        assert_eq!(
            told(&good.replace(NAMESPACE, "urn:kontingent:intake:0.9")),
            Err("OPERATION_UNKNOWN")
        );
    }

    #[test]
    fn questions_name_supplier_and_package() {
        let question = format!(
            "<GetReceiptRequest xmlns='{NAMESPACE}'><Supplier>DIARY0001</Supplier>\
             <PackageId>{ID}</PackageId></GetReceiptRequest>"
        );
        let Ok(Request::Receipt(asked)) = read(soap(&question).as_bytes(), Some("\"\"")) else {
            panic!("a question")
        };
        assert_eq!(
            (asked.supplier.as_str(), asked.package.to_string().as_str()),
            ("DIARY0001", ID)
        );
        let wrong = question.replace(ID, "1");
        assert!(read(soap(&wrong).as_bytes(), None).is_err());
    }
}
