//! Messages signed by OpenSSL's GOST engine, through the door of their version: the fixtures of
//! `fixtures/smev` and their verdicts. Without GOST here this fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use kontingent::codec::smev3::Version;
use kontingent::exchange::admin::{Admin, NewKind};
use kontingent::model::clock::Clock;
use kontingent::trust::certificate::Facts;

use super::world::{Answered, World, find, try_find, worth};
use crate::signing::goes_on_with_gost;
use crate::stack::flavours;

const FOLDER: &str = "fixtures/smev";
const NOW: &str = "2024-09-01T06:00:00Z";
const NAMESPACE: &str = "urn://example-contingent/heldout/1.0.0";

/// What becomes of a message.
#[derive(Clone, Copy)]
enum Fate {
    /// It is taken, with this id.
    Taken(&'static str),
    /// What waits is handed out.
    Served,
    /// A fault, and what it says of the signature.
    Fault(&'static str, &'static str),
    /// A fault of SOAP.
    Client,
}

const SIGNATURE: &str = "SignatureVerificationFault";
const P03: &str = "6dfbb380-6827-11ef-9a3b-0242ac110002";

/// Every message that is a request, in the order in which they are sent.
const MESSAGES: &[(&str, Version, Fate)] = {
    use Fate::{Client, Fault, Served, Taken};
    use Version::{V11, V13};
    &[
        ("negative/n01_content_tampered", V13, Fault(SIGNATURE, "SignatureIsInvalid")),
        ("negative/n03_cert_swapped", V13, Fault(SIGNATURE, "SignatureIsInvalid")),
        ("negative/n05_cert_expired", V13, Fault(SIGNATURE, "CertificateIsExpired")),
        ("negative/n07_cert_untrusted_ca", V13, Fault(SIGNATURE, "CertificateIsNotFound")),
        ("negative/n08_no_signature", V13, Fault(SIGNATURE, "NoSignatureFound")),
        ("negative/n09_wrong_target_inner", V13, Fault(SIGNATURE, "IncorrectSignatureTarget")),
        ("negative/n10_xsw_header_wrapper", V13, Fault(SIGNATURE, "IncorrectSignatureTarget")),
        ("negative/n11_xsw_duplicate_id", V13, Fault(SIGNATURE, "IncorrectSignatureTarget")),
        ("negative/n14_whitespace_in_signedinfo", V13, Fault(SIGNATURE, "SignatureIsInvalid")),
        ("negative/n21_two_references", V13, Fault(SIGNATURE, "SignatureIsInvalid")),
        ("negative/n24_xxe_doctype", V13, Client),
        ("negative/n26_messageid_uuid4", V13, Fault("InvalidMessageIdFormat", "")),
        ("positive/p06_v13_GetResponse_noselector", V13, Served),
        ("positive/p05_v13_GetRequest_selector", V13, Served),
        ("positive/p01_v11_SendRequest_256", V11, Taken("6cca8680-6827-11ef-9a3b-0242ac110002")),
        ("positive/p03_v13_SendRequest_256", V13, Taken(P03)),
        // The same message in other words.
        ("positive/p14_v13_same_digest_other_prefixes", V13, Fault("MessageIsAlreadySent", "")),
        ("positive/p04_v13_SendRequest_512", V13, Taken("6e944a00-6827-11ef-9a3b-0242ac110002")),
        (
            "positive/p04c_v13_SendRequest_256_tc26A",
            V13,
            Taken("853aa100-6827-11ef-9a3b-0242ac110002"),
        ),
        ("positive/p13_v13_escapes", V13, Taken("73f19480-6827-11ef-9a3b-0242ac110002")),
        ("positive/p16_v13_personal_signature", V13, Taken("75bb5800-6827-11ef-9a3b-0242ac110002")),
        ("positive/p17_v11_inline_attachment", V11, Taken("7653ee80-6827-11ef-9a3b-0242ac110002")),
        // They refer to messages that were never here.
        ("positive/p07_v13_Ack_true", V13, Fault("TargetMessageIsNotFound", "")),
        ("positive/p09_v13_SendResponse_rejected", V13, Fault("RecipientIsNotFound", "")),
    ]
};

#[tokio::test(flavor = "multi_thread")]
async fn messages_signed_by_the_gost_engine_get_their_verdicts_and_their_signatures_pass_on() {
    let name = "messages_signed_by_the_gost_engine_get_their_verdicts_and_their_signatures_pass_on";
    if !goes_on_with_gost(&format!("federal::vectors::{name}")) {
        return;
    }
    for flavour in flavours() {
        let trust = tempfile::tempdir().unwrap();
        fs::copy(format!("{FOLDER}/trust/ca.pem"), trust.path().join("ca.pem")).unwrap();
        fs::copy(format!("{FOLDER}/certs/ca.crl.pem"), trust.path().join("ca.crl.pem")).unwrap();
        let folder = trust.path().to_owned();
        let clock = Clock::Fixed(NOW.parse().unwrap());
        let world = World::start_with(flavour, clock, |config| {
            config.trust.folder = Some(folder);
        })
        .await;
        register(&world).await;
        let mut taken = BTreeSet::new();
        for (name, version, fate) in MESSAGES {
            let message = fs::read(format!("{FOLDER}/messages/{name}.xml")).unwrap();
            let answered = world.send_by(*version, message).await;
            judge(name, &answered, *fate);
            if let Fate::Taken(id) = fate {
                taken.insert((*id).to_owned());
            }
        }
        assert_eq!(hand_out(&world).await, taken);
        world.finish().await;
    }
}

#[test]
fn every_request_of_the_fixtures_is_sent() {
    let table = fs::read_to_string(format!("{FOLDER}/expected.tsv")).unwrap();
    let known: BTreeSet<&str> = table.lines().map(|row| row.split('\t').next().unwrap()).collect();
    let answer = "positive/p18_v11_GetRequestResponse_smev";
    let sent = MESSAGES.iter().map(|(name, ..)| *name).chain([answer]).collect();
    assert_eq!(known, sent);
}

/// All signers of requests, the official excepted, and the kinds of their messages.
async fn register(world: &World) {
    let clock = Clock::Fixed(NOW.parse().unwrap());
    let admin = Admin::new(world.db.clone(), clock, "test".to_owned());
    for name in ["school256", "college512", "tc26a256", "fed256", "expired256"] {
        let facts = Facts::read(&fs::read(format!("{FOLDER}/certs/{name}.pem")).unwrap()).unwrap();
        world.enrol(&name.to_uppercase(), &facts).await;
    }
    for (request, response) in [("StudentRecord", "StudentAnswer"), ("R", "A")] {
        let kind = NewKind {
            code: request,
            title: request,
            provider: "FED256",
            namespace: NAMESPACE,
            request,
            response,
            open_to_all: true,
        };
        admin.register_kind(kind).await.unwrap();
    }
}

fn judge(name: &str, answered: &Answered, fate: Fate) {
    match fate {
        Fate::Taken(id) => assert_eq!(answered.id(), id, "{name}"),
        Fate::Served => assert!(answered.body().local.ends_with("Response"), "{name}"),
        Fate::Fault(fault, reason) => {
            let told = answered.fault();
            let said = try_find(&told, SIGNATURE).map_or("", |node| &node.text);
            assert_eq!((told.local.as_str(), said), (fault, reason), "{name}: {}", answered.xml);
        }
        Fate::Client => {
            let fault = answered.soap_fault();
            assert_eq!(find(&fault, "faultcode").text, "soap:Client", "{name}");
            assert!(!answered.xml.contains("root:"), "{name} was read");
        }
    }
}

/// Pulls all requests by the fixture that does, which may be sent any number of times; ids of those
/// handed out. Signatures must stand as another verifier sees them.
async fn hand_out(world: &World) -> BTreeSet<String> {
    let pull = fs::read(format!("{FOLDER}/messages/positive/p05_v13_GetRequest_selector.xml"));
    let pull = pull.unwrap();
    // It wants StudentRecord: let the other kind be one more version of that.
    let sql = "UPDATE mailbox_message SET message_type = 'StudentRecord'";
    world.db.execute(sql, vec![]).await.unwrap();
    let mut found = BTreeMap::new();
    loop {
        let answered = world.send(pull.clone()).await;
        if answered.body().children.is_empty() {
            break;
        }
        found.insert(answered.id(), answered);
    }
    let told = worth(found.values());
    for ((id, answered), worth) in found.iter().zip(&told) {
        assert_eq!(worth["SMEVSignature"]["valid"], true, "{id}: {worth}");
        let sender = &worth["SenderInformationSystemSignature"];
        // Of a message of 1.1, handed out by 1.3, only the official's signature would stand.
        if answered.xml.contains("<t:SenderInformationSystemSignature>") {
            assert_eq!(sender["valid"], true, "{id}: {worth}");
        } else {
            assert!(sender.is_null());
            assert!(["6cca8680", "7653ee80"].iter().any(|old| id.starts_with(old)), "{id}");
        }
        if let Some(personal) = worth.get("PersonalSignature") {
            assert_eq!(personal["valid"], true, "{id}: {worth}");
        }
    }
    assert!(told.iter().any(|worth| worth.get("PersonalSignature").is_some()));
    found.into_keys().collect()
}
