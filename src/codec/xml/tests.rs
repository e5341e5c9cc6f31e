//! What the reader says of small documents, whole and cut by the window at every byte.

use std::fmt::Write as _;

use super::{Event, Limits, Reader, Writer};
use crate::model::refusal::Refusal;
use crate::model::refusal::RefusalCode::{self, *};

/// Events one a line; pieces of text joined, as they may be cut anywhere.
fn dump(document: &[u8]) -> Result<String, Refusal> {
    let mut reader = Reader::new(document, Limits::default());
    let mut out = String::new();
    let mut text = String::new();
    loop {
        let event = reader.next()?;
        if !matches!(event, Event::Text(_)) && !text.is_empty() {
            writeln!(out, "{text:?}").unwrap();
            text.clear();
        }
        match event {
            Event::Start(start) => {
                write!(out, "<{{{}}}{}", start.namespace(), start.local()).unwrap();
                for a in start.attributes() {
                    write!(out, " {{{}}}{}={:?}", a.namespace, a.local, a.value).unwrap();
                }
                out.push_str(">\n");
            }
            Event::Text(piece) => {
                assert!(!piece.is_empty());
                text.push_str(piece);
            }
            Event::End(end) => writeln!(out, "</{}>", end.local()).unwrap(),
            Event::Instruction(instruction) => {
                writeln!(out, "<?{}|{}?>", instruction.target, instruction.data).unwrap();
            }
            Event::Eof => return Ok(out),
        }
    }
}

#[test]
fn a_document_gives_the_same_events_wherever_the_window_cuts_it() {
    let tail = concat!(
        "<p:b xmlns:p=\"urn:p\" p:x='1&#x9;2' y=\"a\tb\r\nc\">Ы&amp;&lt;\r\n]] ]><![CDATA[<&]]]>",
        "]]</p:b><!-- - --><e/>хвост</a>\n<!--end-->\n",
    );
    let expected = concat!(
        "<{urn:p}b {urn:p}x=\"1\\t2\" {}y=\"a b c\">\n\"Ы&<\\n]] ]><&]]]\"\n</b>\n",
        "<{}e>\n</e>\n\"хвост\"\n</a>\n",
    );
    for cut in 0..=tail.len() {
        let filler = "z".repeat(16_384 - 3 - cut);
        let document = format!("<a>{filler}{tail}");
        let events = dump(document.as_bytes()).unwrap();
        assert_eq!(events, format!("<{{}}a>\n\"{filler}\"\n{expected}"), "cut {cut}");
    }
}

/// Small documents, each with what is wrong with it.
const WRONG: &[(&str, RefusalCode)] = &[
    ("", EmptyBody),
    ("\u{FEFF}", EmptyBody),
    (" \n\t", EmptyBody),
    ("<!-- -->", XmlMalformed),
    ("<a>", XmlMalformed),
    ("<a", XmlMalformed),
    ("<a><b></a></b>", XmlMalformed),
    ("<a/><b/>", XmlMalformed),
    ("<a/>x", XmlMalformed),
    ("x<a/>", XmlMalformed),
    ("<a/><![CDATA[]]>", XmlMalformed),
    ("<a>]]></a>", XmlMalformed),
    ("<a b='<'/>", XmlMalformed),
    ("<a b=1/>", XmlMalformed),
    ("<a b='1'c='2'/>", XmlMalformed),
    ("<a b='1' b='2'/>", XmlMalformed),
    ("<a xmlns:p='u:1' xmlns:q='u:1' p:b='1' q:b='2'/>", XmlMalformed),
    ("<a><!-- -- --></a>", XmlMalformed),
    ("<a>&unknown;</a>", XmlMalformed),
    ("<a>&amp</a>", XmlMalformed),
    ("<a>& b</a>", XmlMalformed),
    ("<1/>", XmlMalformed),
    ("<a/ >", XmlMalformed),
    ("< a/>", XmlMalformed),
    ("<?xml encoding='UTF-8'?><a/>", XmlMalformed),
    ("<?xml version='1.0'?", XmlMalformed),
    ("<a>&#0;</a>", XmlChar),
    ("<a>&#xD800;</a>", XmlChar),
    ("<a>&#xFFFE;</a>", XmlChar),
    ("<a>&#x1F;</a>", XmlChar),
    ("<a>\u{1}</a>", XmlChar),
    ("<a>\u{FFFF}</a>", XmlChar),
    ("<a xmlns:p=''/>", XmlNs),
    ("<a xmlns:xml='urn:other'/>", XmlNs),
    ("<a xmlns:xmlns='urn:other'/>", XmlNs),
    ("<a xmlns:p='http://www.w3.org/2000/xmlns/'/>", XmlNs),
    ("<a xmlns='http://www.w3.org/XML/1998/namespace'/>", XmlNs),
    ("<p:a/>", XmlNs),
    ("<a p:b=''/>", XmlNs),
    ("<a:b:c/>", XmlNs),
    ("<!DOCTYPE a><a/>", XmlDtd),
    ("<a><?pi?></a>", XmlPi),
    ("<?xml-stylesheet href='x'?><a/>", XmlPi),
    ("<?xml version='1.1'?><a/>", XmlVersion),
    ("<?xml version='1.0' encoding='windows-1251'?><a/>", XmlEncoding),
    ("\u{FEFF}<?xml version='1.0' encoding='windows-1251'?><a/>", XmlEncodingConflict),
];

#[test]
fn what_is_not_well_formed_is_refused_with_its_code() {
    let deep = format!("{}{}", "<a>".repeat(65), "</a>".repeat(65));
    let many = |what: &str, count: usize| -> String {
        let attributes: String = (0..count).map(|n| what.replace('N', &n.to_string())).collect();
        format!("<a{attributes}/>")
    };
    let over_limits = [
        (deep, XmlDepth),
        (many(" aN='1'", 65), XmlAttrs),
        (many(" xmlns:aN='u:1'", 33), XmlNs),
        (format!("<{}/>", "n".repeat(257)), XmlName),
        (format!("<{}", "n".repeat(100_000)), XmlName),
        (format!("<a b='{}'/>", "v".repeat(2 << 20)), XmlToken),
        (format!("<a>{}</a>", "v".repeat((1 << 20) + 1)), XmlToken),
        (format!("<a><!--{}--></a>", "v".repeat(2 << 20)), XmlToken),
    ];
    let small = WRONG.iter().map(|(document, code)| ((*document).to_owned(), *code));
    for (document, code) in small.chain(over_limits) {
        let shown: String = document.chars().take(80).collect();
        let refusal = dump(document.as_bytes()).expect_err(&shown);
        assert_eq!(refusal.code, code, "{shown}");
    }
    for bytes in [&b"<a>\xC0\x80</a>"[..], b"<a>\xED\xA0\x80</a>", b"\xFF\xFE<\0a\0", b"<a>\xD0"] {
        assert_eq!(dump(bytes).unwrap_err().code, XmlEncoding);
    }
}

#[test]
fn a_refusal_names_offset_line_and_column_in_the_source() {
    for filler in [0, 20_000, 70_000] {
        let document = format!("\u{FEFF}<a>\r\n{}\r\n  Ыы <b></c>", "x\r\n".repeat(filler));
        let place = dump(document.as_bytes()).unwrap_err().place.unwrap();
        assert_eq!(place.offset, document.find("</c>").unwrap() as u64);
        assert_eq!((place.line, place.column), (filler as u64 + 3, 9));
    }
}

#[test]
fn what_the_writer_writes_the_reader_reads() {
    let mut writer = Writer::document();
    writer.start("a").attribute("xmlns", "urn:a").attribute("b", "<\"&\t\n>");
    writer.element("c", "x<y>&\r\u{0}").start("d");
    let document = writer.finish();
    let expected = "<{urn:a}a {}b=\"<\\\"&\\t\\n>\">\n<{urn:a}c>\n\"x<y>&\\r\"\n</c>\n<{urn:a}d>\n</d>\n</a>\n";
    assert_eq!(dump(document.as_bytes()).unwrap(), expected);
}
