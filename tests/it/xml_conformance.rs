//! The W3C conformance suite's cases of well-formedness against our reader.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read as _};

use kontingent::codec::xml::{Event, Limits, Reader, Transcoder};
use kontingent::model::refusal::Refusal;

/// Why a well-formed document may be refused: what we do not take on purpose.
const DELIBERATE: [&str; 4] = ["XML_DTD", "XML_ENCODING", "XML_VERSION", "XML_NS"];

/// Reads to the end: `OK` or the code of the refusal. Instructions may be there.
fn verdict(document: &[u8]) -> &'static str {
    let limits = Limits { instructions: u32::MAX, ..Limits::default() };
    let mut reader = Reader::new(Transcoder::new(document), limits);
    loop {
        match reader.next() {
            Ok(Event::Eof) => return "OK",
            Ok(_) => {}
            Err(error) => return Refusal::from(error).code.as_str(),
        }
    }
}

#[test]
fn what_is_not_well_formed_is_refused_and_what_is_well_formed_only_for_what_we_never_take() {
    let folder = "fixtures/xml-conformance";
    let archive = fs::read(format!("{folder}/documents.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let cases = fs::read_to_string(format!("{folder}/cases.tsv")).unwrap();
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for line in cases.lines() {
        let [number, kind, doctype, namespaces, name] =
            line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let mut document = Vec::new();
        archive.by_name(number).unwrap().read_to_end(&mut document).unwrap();
        let word = verdict(&document);
        *counts.entry((kind.to_owned(), word)).or_default() += 1;
        let right = match (kind, doctype, namespaces) {
            ("not-wf", _, _) => word != "OK",
            // A document type is refused where it stands, unless something before it is.
            (_, "doctype", _) => DELIBERATE.contains(&word),
            (_, _, "no-namespaces") => matches!(word, "OK" | "XML_NS" | "XML_MALFORMED"),
            _ => word == "OK" || word == "XML_ENCODING",
        };
        if !right {
            wrong.push(format!("{kind}\t{doctype}\t{name}: {word}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n{counts:#?}", wrong.join("\n"));
    let sum = |kind: &str, ok: bool| -> usize {
        let found = counts.iter().filter(|((k, word), _)| k == kind && (*word == "OK") == ok);
        found.map(|(_, count)| count).sum()
    };
    // The suite is old enough for nearly all of its good documents to have a document type.
    assert_eq!(sum("not-wf", true), 0);
    assert!(sum("not-wf", false) > 700 && sum("wf", true) > 10, "{counts:#?}");
}
