//! Broken documents: whatever our reader takes, quick-xml and libxml2 take too, and see the same.

use std::fmt::Write as _;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontingent::codec::form::{Form, octets};
use kontingent::codec::xml::{Event, Limits, Reader};
use kontingent::model::refusal::Refusal;
use quick_xml::escape::unescape;
use quick_xml::events::Event as Other;
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use crate::interop::python;
use crate::mutate::Mutator;

/// Documents tried.
const DOCUMENTS: usize = 6_000;

/// What libxml2 takes and we do not, on purpose.
const DELIBERATE: [&str; 12] = [
    "XML_DTD",
    "XML_PI",
    "XML_ENCODING",
    "XML_ENCODING_CONFLICT",
    "XML_VERSION",
    "XML_NS",
    "XML_TOKEN",
    "XML_ATTRS",
    "XML_DEPTH",
    "XML_NAME",
    "EMPTY_BODY",
    "XML_CHAR",
];

fn mutator() -> Mutator {
    let folders = ["fixtures/hostile/a", "fixtures/hostile/b", "fixtures/xmldsig/valid"];
    Mutator::new(20_261_124, &folders)
}

/// What our reader sees, a line an event; text as one.
fn ours(document: &[u8]) -> Result<String, &'static str> {
    let limits = Limits { instructions: 100, ..Limits::default() };
    let mut reader = Reader::new(document, limits);
    let (mut seen, mut text) = (String::new(), String::new());
    loop {
        let event = reader.next().map_err(|error| Refusal::from(error).code.as_str())?;
        if !matches!(event, Event::Text(_)) && !text.is_empty() {
            writeln!(seen, "{text:?}").unwrap();
            text.clear();
        }
        match event {
            Event::Start(start) => {
                write!(seen, "<{{{}}}{}", start.namespace(), start.local()).unwrap();
                for a in start.attributes() {
                    write!(seen, " {{{}}}{}={:?}", a.namespace, a.local, a.value).unwrap();
                }
                seen.push_str(">\n");
            }
            Event::Text(piece) => text.push_str(piece),
            Event::End(end) => writeln!(seen, "</{}>", end.local()).unwrap(),
            Event::Instruction(_) => {}
            Event::Eof => return Ok(seen),
        }
    }
}

/// The same by quick-xml, which leaves line ends and blanks in values to its user.
fn theirs(document: &str) -> Result<String, String> {
    let document =
        document.trim_start_matches('\u{FEFF}').replace("\r\n", "\n").replace('\r', "\n");
    let mut reader = NsReader::from_str(&document);
    reader.config_mut().expand_empty_elements = true;
    let (mut seen, mut text, mut depth) = (String::new(), String::new(), 0);
    let wrong = |error: &dyn std::fmt::Display| error.to_string();
    loop {
        let event = reader.read_event().map_err(|error| wrong(&error))?;
        if matches!(event, Other::Start(_) | Other::End(_) | Other::Eof | Other::PI(_))
            && !text.is_empty()
        {
            writeln!(seen, "{text:?}").unwrap();
            text.clear();
        }
        match event {
            Other::Start(start) => {
                depth += 1;
                let name = |found: ResolveResult<'_>| match found {
                    ResolveResult::Bound(ns) => {
                        let raw = String::from_utf8_lossy(ns.into_inner()).into_owned();
                        Ok(unescape(&raw).map_err(|error| wrong(&error))?.into_owned())
                    }
                    ResolveResult::Unbound => Ok(String::new()),
                    ResolveResult::Unknown(prefix) => Err(format!("{prefix:?} is not bound")),
                };
                let (namespace, local) = reader.resolve_element(start.name());
                let local = String::from_utf8_lossy(local.into_inner()).into_owned();
                write!(seen, "<{{{}}}{local}", name(namespace)?).unwrap();
                for attribute in start.attributes() {
                    let attribute = attribute.map_err(|error| wrong(&error))?;
                    if attribute.key.as_namespace_binding().is_some() {
                        continue;
                    }
                    let (namespace, local) = reader.resolve_attribute(attribute.key);
                    let local = String::from_utf8_lossy(local.into_inner()).into_owned();
                    let raw = String::from_utf8_lossy(&attribute.value).replace(['\t', '\n'], " ");
                    let value = unescape(&raw).map_err(|error| wrong(&error))?;
                    write!(seen, " {{{}}}{local}={value:?}", name(namespace)?).unwrap();
                }
                seen.push_str(">\n");
            }
            Other::End(end) => {
                depth -= 1;
                let local = String::from_utf8_lossy(end.local_name().into_inner()).into_owned();
                writeln!(seen, "</{local}>").unwrap();
            }
            Other::Text(piece) if depth > 0 => {
                text.push_str(&piece.unescape().map_err(|error| wrong(&error))?);
            }
            Other::CData(piece) => text.push_str(&String::from_utf8_lossy(&piece)),
            Other::Eof => return Ok(seen),
            _ => {}
        }
    }
}

#[test]
fn what_our_reader_takes_of_broken_documents_quick_xml_sees_the_same_way() {
    let mut mutator = mutator();
    let mut taken = 0;
    for _ in 0..DOCUMENTS {
        let document = mutator.next();
        let Ok(seen) = ours(&document) else { continue };
        taken += 1;
        let shown = String::from_utf8(document).unwrap();
        assert_eq!(Ok(seen), theirs(&shown), "{shown}");
    }
    assert!(taken > DOCUMENTS / 10, "{taken}");
}

#[test]
fn what_our_reader_takes_of_broken_documents_libxml2_canonicalises_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut mutator = mutator();
    let documents: Vec<Vec<u8>> = (0..DOCUMENTS).map(|_| mutator.next()).collect();
    let lines: Vec<String> = documents.iter().map(|document| STANDARD.encode(document)).collect();
    fs::write(path("documents"), lines.join("\n")).unwrap();
    python("xml_differential.py", &[folder.path().to_str().unwrap()]);
    let answers = fs::read_to_string(path("answers")).unwrap();
    let (mut both, mut wrong) = (0, Vec::new());
    for (document, answer) in documents.iter().zip(answers.lines()) {
        let shown = String::from_utf8_lossy(document);
        match (ours(document), answer) {
            (Ok(_), "-") => wrong.push(format!("taken by us only: {shown}")),
            (Ok(_), canonical) => {
                both += 1;
                let form = octets(document, &Form::default()).unwrap();
                // libxml2 leaves & in namespace names as it is.
                if STANDARD.encode(form) != canonical && !shown.contains("&amp;") {
                    wrong.push(format!("another form: {shown}"));
                }
            }
            (Err(code), canonical) if canonical != "-" && !DELIBERATE.contains(&code) => {
                wrong.push(format!("refused by us only, {code}: {shown}"));
            }
            (Err(_), _) => {}
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n----\n"));
    assert!(both > DOCUMENTS / 10, "{both}");
}
