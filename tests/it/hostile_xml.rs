//! Hostile documents against the reader, the signature grammar and the trust store, by table.

use std::fs;
use std::io::{Read, repeat};
use std::path::Path;

use chrono::{DateTime, TimeZone as _, Utc};
use kontingent::codec::xml::{Event, Limits, Reader};
use kontingent::codec::xmldsig::{
    Detached, Envelope, EnvelopedSignature, Outcome, Placement, Profile, verify_bytes,
    verify_detached, verify_enveloped,
};
use kontingent::model::refusal::{Refusal, RefusalCode};
use kontingent::trust::certificate::Facts;
use kontingent::trust::{Signer, TrustStore};

const FIXTURES: &str = "fixtures/hostile";

fn at() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2027, 1, 1, 0, 0, 0).unwrap()
}

fn package() -> Envelope {
    Envelope::package(Limits::default())
}

fn verify_package(document: &[u8]) -> Result<EnvelopedSignature, Refusal> {
    verify_bytes(document, package())
}

fn detached(document: &[u8], place: Detached<'_>) -> Result<EnvelopedSignature, Refusal> {
    verify_detached(document, place, Placement::default(), Limits::default())
}

fn facts(path: &str) -> Facts {
    Facts::read(&fs::read(path).unwrap()).unwrap()
}

fn trust(anchors: &[&str]) -> TrustStore {
    let anchors: Vec<Vec<u8>> = anchors.iter().map(|path| facts(path).der).collect();
    TrustStore::new(&anchors).unwrap()
}

fn ours() -> TrustStore {
    trust(&["fixtures/keys/ca.crt"])
}

/// Rows of `expected.tsv`: name, verdict, document.
fn table(folder: &str) -> Vec<(String, String, Vec<u8>)> {
    let folder = Path::new(folder);
    let rows = fs::read_to_string(folder.join("expected.tsv")).unwrap();
    rows.lines()
        .map(|row| {
            let (name, verdict) = row.split_once('\t').unwrap();
            let document = fs::read(folder.join(format!("{name}.xml"))).unwrap();
            (name.to_owned(), verdict.to_owned(), document)
        })
        .collect()
}

/// The verdict as a word, and the hash of the signer's certificate.
fn verdict(
    signature: Result<EnvelopedSignature, Refusal>,
    store: &TrustStore,
) -> (&'static str, String) {
    match signature.and_then(|signature| store.verify(&signature, at())) {
        Ok(signer) => ("OK", signer.facts.sha256.clone()),
        Err(refusal) => (refusal.code.as_str(), String::new()),
    }
}

#[test]
fn each_hostile_document_gets_its_code_and_each_good_one_passes() {
    let store = ours();
    let mut wrong = Vec::new();
    for group in ["a", "b"] {
        let rows = table(&format!("{FIXTURES}/{group}"));
        assert!(rows.len() > 40);
        for (name, expected, document) in rows {
            let (word, signer) = verdict(verify_package(&document), &store);
            let word = match expected.as_str() {
                // Who may sign for whom is not a question of XML; that another signed is.
                "SIGNER_MISMATCH" if signer == facts("fixtures/keys/supplier-2.crt").sha256 => {
                    "SIGNER_MISMATCH"
                }
                _ => word,
            };
            if word != expected {
                wrong.push(format!("{group}/{name}: {word}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_package_may_do_less_than_other_documents_signed_as_a_whole() {
    let store = trust(&["fixtures/xmldsig/trust/rsa-ca.crt", "fixtures/xmldsig/trust/ec-ca.crt"]);
    for (name, expected) in [
        ("valid/rsa-sha256", "OK"),
        ("valid/ecdsa-p256-sha256", "OK"),
        ("valid/sig-first-child", "SIG_STRUCTURE"),
        ("valid/pi-inside", "XML_PI"),
        ("valid/win1251", "XML_ENCODING"),
        ("hostile/comment-in-text", "OK"),
    ] {
        let document = fs::read(format!("fixtures/xmldsig/{name}.xml")).unwrap();
        assert_eq!(verdict(verify_package(&document), &store).0, expected, "{name}");
    }
}

/// Reads to the end or the refusal.
fn read(source: impl Read) -> Result<(), RefusalCode> {
    let mut reader = Reader::new(source, Limits::default());
    loop {
        match reader.next() {
            Ok(Event::Eof) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(Refusal::from(error).code),
        }
    }
}

/// A source that gives out `count` copies of `unit` after `head`, and tells how much was taken.
struct Endless<'a> {
    head: &'a [u8],
    unit: &'a [u8],
    rest: &'a [u8],
    taken: &'a mut u64,
}

impl Read for Endless<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.head.is_empty() {
            self.head = std::mem::replace(&mut self.rest, self.unit);
        }
        let count = self.head.read(into)?;
        *self.taken += count as u64;
        Ok(count)
    }
}

#[test]
fn what_has_no_end_is_refused_after_a_bounded_part_of_it() {
    let cases: [(&str, &str, RefusalCode); 12] = [
        ("", "<a>", RefusalCode::XmlDepth),
        ("<a ", "b1='' ", RefusalCode::XmlAttrs),
        ("<a", " xmlns:b='urn:b'", RefusalCode::XmlNs),
        ("<", "a", RefusalCode::XmlName),
        ("<a ", "b", RefusalCode::XmlName),
        ("<a b='", "c", RefusalCode::XmlToken),
        ("<a>", "text ", RefusalCode::XmlToken),
        ("<a>", "&#65;", RefusalCode::XmlToken),
        ("<a><![CDATA[", "]] ", RefusalCode::XmlToken),
        ("<a><!--", "- ", RefusalCode::XmlToken),
        ("<a ", " ", RefusalCode::XmlToken),
        ("<a>&", "x", RefusalCode::XmlMalformed),
    ];
    for (head, unit, expected) in cases {
        let mut taken = 0;
        let head = head.as_bytes();
        let unit = unit.as_bytes().repeat(1000);
        let source = Endless { head, unit: &unit, rest: &unit, taken: &mut taken };
        let refused = read(source).unwrap_err();
        let shown = String::from_utf8_lossy(head);
        assert_eq!(refused, expected, "{shown}");
        assert!(taken < 3 << 20, "{shown}: {taken}");
    }
    let open = &b"<a b='"[..];
    assert_eq!(read(open.chain(repeat(b'x').take(1 << 30))), Err(RefusalCode::XmlToken));
    let attributes: String =
        (0..1_000_000).flat_map(|n| [" a".to_owned(), n.to_string(), "=''".to_owned()]).collect();
    let document = format!("<a{attributes}/>");
    assert_eq!(read(document.as_bytes()), Err(RefusalCode::XmlAttrs));
}

#[test]
fn ten_thousand_references_or_transforms_are_refused_at_once() {
    let good = fs::read_to_string(format!("{FIXTURES}/b/00-rsa-sha256.xml")).unwrap();
    let between = |from: &str, to: &str| {
        let start = good.find(from).unwrap();
        &good[start..start + good[start..].find(to).unwrap() + to.len()]
    };
    for part in [
        between("<ds:Reference ", "</ds:Reference>"),
        between("<ds:Transform Algorithm=\"http://www.w3.org/2001/10", "</ds:Transform>"),
        between("<ds:X509Certificate>", "</ds:X509Certificate>"),
    ] {
        let code =
            if part.contains("X509") { RefusalCode::SigKeyInfo } else { RefusalCode::SigLimit };
        let document = good.replace(part, &part.repeat(10_000));
        assert_eq!(verify_package(document.as_bytes()).unwrap_err().code, code);
    }
}

#[test]
fn the_observer_sees_what_is_signed_and_nothing_of_the_signature() {
    let mut seen = String::new();
    for name in
        ["a/20-crlf", "a/20-cdata-and-references", "a/20-comment-in-text", "b/00-prefix-lists"]
    {
        let document = fs::read(format!("{FIXTURES}/{name}.xml")).unwrap();
        seen.clear();
        let mut observe = |event: &Event<'_>, _: kontingent::codec::xml::At<'_>| {
            match event {
                Event::Start(start) => seen.extend(["<", start.local(), ">"]),
                Event::Text(text) => seen.extend(text.chars().filter(|c| !c.is_whitespace())),
                Event::End(_) => seen.push('/'),
                Event::Instruction(_) | Event::Eof => unreachable!("the end is not signed"),
            }
            Ok(())
        };
        let outcome = verify_enveloped(&document[..], package(), &Profile::default(), &mut observe);
        assert!(matches!(outcome, Ok(Outcome::Signed(_) | Outcome::Again(_))), "{name}");
        let text = if name.contains("cdata") { "О'Нил&<сын>x" } else { "Иванов" };
        let expected =
            format!("<Package><Header><Supplier>supplier-1//<Data><Person><LastName>{text}////");
        assert_eq!(seen, expected, "{name}");
    }
    let document = fs::read(format!("{FIXTURES}/b/00-rsa-sha256.xml")).unwrap();
    let mut refuse = |_: &Event<'_>, _: kontingent::codec::xml::At<'_>| {
        Err(Refusal::new(RefusalCode::PackageRoot))
    };
    let refused = verify_enveloped(&document[..], package(), &Profile::default(), &mut refuse);
    assert_eq!(refused.unwrap_err().code, RefusalCode::PackageRoot);
}

#[test]
fn a_detached_signature_is_bound_to_the_path_of_what_it_signs() {
    let (soap, message) = ("urn:soap", "urn:message");
    let body = [(soap, "Envelope"), (soap, "Body"), (message, "Request")];
    let signed = [&body[..], &[(message, "Data")]].concat();
    let holder = [&body[..], &[(message, "Signature")]].concat();
    let place = Detached { signed: &signed, holder: &holder };
    let key = |end: &str| fs::read(format!("fixtures/keys/supplier-3.{end}")).unwrap();
    let signer = Signer::from_pem(&key("key"), &key("crt")).unwrap();
    let data = "<m:Data Id=\"d\"><m:Text>два</m:Text> </m:Data>";
    let envelope = |header: &str, inside: &str| {
        format!(
            "<s:Envelope xmlns:s=\"{soap}\" xmlns:m=\"{message}\">{header}<s:Body><m:Request>{inside}\
             </m:Request></s:Body></s:Envelope>"
        )
    };
    for bare in [
        envelope("", &format!("{data} <m:Signature/>")),
        envelope("<s:Header/>", &format!("<m:Signature></m:Signature>{data}")),
    ] {
        let good = signer.sign_detached(bare.as_bytes(), place, &signer.recipe()).unwrap();
        let good = String::from_utf8(good).unwrap();
        let judge = |document: &str| verdict(detached(document.as_bytes(), place), &ours()).0;
        assert_eq!(judge(&good), "OK");
        let forged = "<m:Data><m:Text>три</m:Text></m:Data>";
        let moved = |forged: &str| {
            let header = format!("<s:Header><x>{data}</x></s:Header>");
            good.replace("<s:Header/>", "")
                .replace(data, forged)
                .replace("<s:Body>", &format!("{header}<s:Body>"))
        };
        assert_eq!(judge(&good.replace("два", "три")), "SIG_DIGEST");
        assert_eq!(judge(&good.replace(data, "")), "SIG_COVERAGE");
        assert_eq!(judge(&moved("")), "SIG_COVERAGE");
        assert_eq!(judge(&moved(forged)), "SIG_WRAPPING");
        assert_eq!(judge(&moved(&forged.replace("<m:Data>", "<m:Data Id=\"e\">"))), "SIG_WRAPPING");
        assert_eq!(
            judge(&moved(&forged.replace("<m:Data>", "<m:Data id=\"d\">"))),
            "SIG_DUPLICATE_ID"
        );
        assert_eq!(judge(&good.replace(data, &format!("{data}{forged}"))), "SIG_WRAPPING");
        assert_eq!(judge(&bare), "SIG_MISSING");
    }
}
