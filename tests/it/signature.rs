//! The signature workshop on the command line: the real binary, which loads the GOST engine itself.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use kontingent::codec::shape;
use kontingent::exchange::workshop::{Explanation, Profile, Source, Workshop};
use kontingent::trust::authority::{Authority, KeyKind, Request, Usage, Validity};
use kontingent::trust::crl::Stale;
use kontingent::trust::folder::Folder;
use kontingent::trust::{Signer, TrustStore};
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::interop::python;

/// Runs `kontingent signature …`.
fn workshop(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kontingent"))
        .arg("signature")
        .args(arguments)
        .env_remove("OPENSSL_CONF")
        .output()
        .unwrap()
}

/// The answers to files, in their order, and whether the command was content.
pub(crate) fn verify(files: &[String], options: &[&str]) -> (Vec<Value>, bool) {
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let output = workshop(&[&["verify"], &files[..], options].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), files.len(), "{}", String::from_utf8_lossy(&output.stderr));
    (answers, output.status.success())
}

/// Judges the documents of a table whose last column is the code; rows may name a profile.
fn judge_table(folder: &str, documents: &str, profiles: &[(&str, &str)], options: &[&str]) {
    let table = fs::read_to_string(format!("{folder}/expected.tsv")).unwrap();
    let mut wrong = Vec::new();
    for (word, profile) in profiles {
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split('\t').collect())
            .filter(|row: &Vec<&str>| row.len() == 2 || row[1] == *word)
            .collect();
        let files: Vec<String> =
            rows.iter().map(|row| format!("{folder}/{documents}{}.xml", row[0])).collect();
        let trust = format!("{folder}/trust");
        let judge = [&["--profile", profile, "--trust", &trust][..], options].concat();
        let (answers, content) = verify(&files, &judge);
        assert_eq!(content, answers.iter().all(|answer| answer["code"] == "OK"));
        assert!(files.len() > 10, "{}", files.len());
        for (row, answer) in rows.iter().zip(&answers) {
            let code = answer["code"].as_str().unwrap();
            assert_eq!(answer["verdict"] == "accept", code == "OK");
            let named = answer["signer"].is_string();
            assert!(if code == "OK" { named } else { !named || code.starts_with("CERT_") });
            if code != *row.last().unwrap() {
                wrong.push(format!("{}: {code}: {}", row[0], answer["reason"]));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn documents_signed_by_others_get_the_verdicts_written_beside_them() {
    let exchange = "detached:{urn:example:message-exchange:1.0}SendRequest";
    judge_table(
        "fixtures/xmldsig",
        "",
        &[("enveloped", "enveloped"), ("detached", exchange)],
        &["--crl", "fixtures/xmldsig/pki/rsa-ca.crl", "--at", "2027-01-01T00:00:00Z"],
    );
}

#[test]
fn messages_of_smev_get_the_verdicts_written_beside_them() {
    judge_table(
        "fixtures/smev",
        "messages/",
        &[("smev3", "smev3")],
        &["--crl", "fixtures/smev/certs/ca.crl.pem", "--at", "2024-09-01T06:00:00Z"],
    );
}

fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.to_str().unwrap().ends_with(end)).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

#[test]
fn the_transform_of_smev_gives_the_octets_of_its_examples_and_nothing_for_what_has_no_form() {
    let transform = |path: &Path| workshop(&["transform", path.to_str().unwrap()]);
    for path in files("fixtures/smev/transform", ".in.xml") {
        let output = transform(&path);
        let expected = path.to_str().unwrap().replace(".in.xml", ".out.xml");
        let expected = fs::read_to_string(expected).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}", path.display());
        assert!(output.status.success());
    }
    for path in files("fixtures/smev/transform/must_reject", ".xml") {
        let output = transform(&path);
        assert!(!output.status.success() && output.stdout.is_empty(), "{}", path.display());
        assert!(String::from_utf8_lossy(&output.stderr).contains("SIG_C14N"));
    }
}

#[test]
fn messages_of_smev_2_made_by_others_are_judged_by_header_body_and_application_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let keys = ["supplier-1.key", "supplier-1.crt", "supplier-2.crt"];
    let keys = keys.map(|name| format!("fixtures/keys/{name}"));
    python("smev2_messages.py", &[&[path], &keys.each_ref().map(String::as_str)[..]].concat());
    fs::create_dir(folder.path().join("trust")).unwrap();
    fs::copy("fixtures/keys/ca.crt", folder.path().join("trust/ca.crt")).unwrap();
    judge_table(path, "", &[("", "smev2")], &["--at", "2027-01-01T00:00:30Z"]);
}

/// Every stage of a document in memory.
fn explained(
    store: &Arc<TrustStore>,
    profile: &str,
    bytes: &[u8],
    at: DateTime<Utc>,
) -> Explanation {
    let profile: Profile = profile.parse().unwrap();
    let document = bytes.to_vec();
    let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(io::Cursor::new(document.clone()))) };
    Workshop::new(Arc::clone(store), at).explain(&profile, Source { open: &open, tail: bytes })
}

#[test]
fn every_refusal_is_that_of_a_stage_and_comes_with_advice() {
    let exchange = "detached:{urn:example:message-exchange:1.0}SendRequest";
    for (folder, documents, word, profile, at) in [
        ("fixtures/xmldsig", "", "enveloped", "enveloped", "2027-01-01T00:00:00Z"),
        ("fixtures/xmldsig", "", "detached", exchange, "2027-01-01T00:00:00Z"),
        ("fixtures/smev", "messages/", "smev3", "smev3", "2024-09-01T06:00:00Z"),
    ] {
        let trust = Folder::read(Path::new(&format!("{folder}/trust")), Stale::Accept).unwrap();
        let store = TrustStore::new(&trust.anchors).unwrap().with_crls(trust.crls);
        let (store, at) = (Arc::new(store), at.parse().unwrap());
        let table = fs::read_to_string(format!("{folder}/expected.tsv")).unwrap();
        for row in table.lines().map(|line| line.split('\t').collect::<Vec<_>>()) {
            if row.len() == 3 && row[1] != word {
                continue;
            }
            let bytes = fs::read(format!("{folder}/{documents}{}.xml", row[0])).unwrap();
            let told = explained(&store, profile, &bytes, at);
            let wrong: Vec<&str> = told
                .stages
                .iter()
                .filter_map(|stage| stage.refusal.as_ref())
                .map(|refusal| refusal.code.as_str())
                .collect();
            let Some(refusal) = &told.refusal else {
                assert!(wrong.is_empty() && told.hints.is_empty(), "{}: {told:?}", row[0]);
                continue;
            };
            let code = refusal.code.as_str();
            assert!(wrong.contains(&code), "{}: {code} is of no stage: {wrong:?}", row[0]);
            assert!(
                !told.stages.iter().any(|stage| stage.title == "Проверка в целом"),
                "{}",
                row[0]
            );
            assert!(!told.hints.is_empty(), "{}: {refusal:?}", row[0]);
            let changed = told.hints.iter().any(|hint| hint.contains("изменено после подписания"));
            assert!(!changed || code == "SIG_DIGEST", "{}: {code}: {:?}", row[0], told.hints);
        }
    }
}

/// An authority, and signers of theirs by kind of key.
struct Makers {
    store: Arc<TrustStore>,
    now: DateTime<Utc>,
    ends: DateTime<Utc>,
}

impl Makers {
    fn new() -> (Self, [Signer; 2]) {
        let random = &mut StdRng::seed_from_u64(21);
        let now: DateTime<Utc> = "2027-01-01T00:00:00Z".parse().unwrap();
        let (from, ends) = (now - TimeDelta::days(10), now + TimeDelta::days(10));
        let long = Validity { from, to: now + TimeDelta::days(100) };
        let root = Authority::create("Корень", long, random).unwrap();
        let anchors = [root.issued().certificate_der().unwrap()];
        let signers = [KeyKind::P256, KeyKind::Rsa(1024)].map(|key| {
            let validity = Validity { from, to: ends };
            let request = Request { name: "Школа", key, validity, usage: Usage::Signature };
            let issued = root.issue(&request, random).unwrap();
            let key = issued.key_pem().unwrap();
            Signer::from_pem(&key, &issued.certificate_pem().unwrap()).unwrap()
        });
        (Self { store: Arc::new(TrustStore::new(&anchors).unwrap()), now, ends }, signers)
    }

    /// The code, and everything that is said.
    fn told(&self, document: &[u8]) -> (String, String) {
        let told = explained(&self.store, "enveloped", document, self.now);
        let code = told.refusal.as_ref().map_or("OK", |refusal| refusal.code.as_str()).to_owned();
        let detail = told.refusal.and_then(|refusal| refusal.detail).unwrap_or_default();
        let lines = told.stages.into_iter().flat_map(|stage| stage.lines);
        let said: Vec<String> = lines.chain(told.hints).chain([detail]).collect();
        (code, said.join("\n"))
    }
}

/// The document with another signature value.
fn with_value(document: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let (before, rest) = document.split_once("<ds:SignatureValue>").unwrap();
    let (value, after) = rest.split_once('<').unwrap();
    let value = STANDARD.encode(change(STANDARD.decode(value).unwrap()));
    format!("{before}<ds:SignatureValue>{value}<{after}")
}

#[test]
fn the_workshop_names_the_real_cause() {
    let (makers, [ec, weak]) = Makers::new();
    let signed = |signer: &Signer| {
        String::from_utf8(signer.sign_enveloped(b"<a Id=\"x\"><b/></a>").unwrap()).unwrap()
    };
    let good = signed(&ec);
    let (begin, end) = ("</ds:KeyInfo>", "</ds:KeyInfo><ds:Object/>");
    let rsa = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
    let ecdsa = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256";
    let der = |value: Vec<u8>| {
        let [r, s] = [&value[..32], &value[32..]].map(|half| BigNum::from_slice(half).unwrap());
        EcdsaSig::from_private_components(r, s).unwrap().to_der().unwrap()
    };
    let halves = |value: Vec<u8>| {
        value.chunks(32).flat_map(|half| half.iter().rev().copied().collect::<Vec<u8>>()).collect()
    };
    for (document, code, said, unsaid) in [
        (good.clone(), "OK", "доверенный центр: CN=Корень", "Похоже"),
        (signed(&weak), "SIG_ALGORITHM", "ключ RSA 1024 бит", "другим ключом"),
        (good.replace(ecdsa, rsa), "SIG_ALGORITHM", "ECDSA P-256", "другим ключом"),
        (with_value(&good, der), "SIG_VALUE", "записано в DER", "другим ключом"),
        (with_value(&good, halves), "SIG_VALUE", "внутри каждой половины", "переставлены"),
        (good.replace(begin, end), "SIG_WRAPPING", "ds:Object", "подписан не тот"),
        (good.replace(" URI=\"#x\"", ""), "SIG_REFERENCE", "нет атрибута URI", "подписан не тот"),
        (good.replace("<b/>", "<b>1</b>"), "SIG_DIGEST", "изменено после подписания", "отступы"),
    ] {
        let (found, text) = makers.told(document.as_bytes());
        assert_eq!(found, code, "{text}");
        assert!(text.contains(said) && !text.contains(unsaid), "{said}: {text}");
    }
}

#[test]
fn the_last_second_of_a_certificate_is_its_own_and_the_next_one_says_when_it_was_over() {
    let (mut makers, [ec, _]) = Makers::new();
    let signed = ec.sign_enveloped(b"<a/>").unwrap();
    makers.now = makers.ends + TimeDelta::milliseconds(900);
    assert_eq!(makers.told(&signed).0, "OK");
    makers.now = makers.ends + TimeDelta::seconds(1);
    let (code, text) = makers.told(&signed);
    assert_eq!(code, "CERT_EXPIRED");
    assert!(text.contains("срок истёк 11.01.2027"), "{text}");
}

#[test]
fn a_blank_place_for_an_officials_signature_is_a_missing_signature_of_the_official() {
    let (makers, [ec, _]) = Makers::new();
    let types = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types";
    let message = format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
         <t:SendRequestRequest xmlns:t=\"{types}/1.2\" xmlns:b=\"{types}/basic/1.2\">\
         <t:SenderProvidedRequestData Id=\"data\">\
         <t:MessageID>7d0a1f4e-5c1b-11ee-8c99-0242ac120002</t:MessageID>\
         <b:MessagePrimaryContent><x:q xmlns:x=\"urn:x\" Id=\"q\"/></b:MessagePrimaryContent>\
         <t:PersonalSignature/></t:SenderProvidedRequestData>\
         <t:CallerInformationSystemSignature/></t:SendRequestRequest></s:Body></s:Envelope>"
    );
    let plan = shape::smev3(message.as_bytes()).unwrap();
    let recipe = ec.recipe().smev();
    let signed = ec.sign_spot(message.as_bytes(), &plan.spots[0], &recipe).unwrap();
    let told = explained(&makers.store, "smev3", &signed, makers.now);
    let refusal = told.refusal.unwrap();
    assert_eq!(refusal.code.as_str(), "SIG_MISSING");
    assert!(refusal.detail.unwrap().starts_with("ЭП-СП"));
    let wrong = told.stages.iter().find(|stage| stage.refusal.is_some()).unwrap();
    assert!(wrong.title.starts_with("ЭП-СП"), "{}", wrong.title);
}
