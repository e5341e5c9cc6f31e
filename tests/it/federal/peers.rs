//! Foreign clients, built from the descriptions that we serve: zeep in Python and npm's soap. Their
//! messages are theirs, and they verify our signatures by their own means.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontingent::codec::smev3::Version;
use kontingent::model::clock::Clock;
use kontingent::trust::Signer;
use kontingent::trust::authority::KeyKind;
use kontingent::trust::certificate::Facts;
use openssl::x509::X509;
use serde_json::{Value, json};

use super::message::{by_snils, new_id};
use super::world::{Person, World, signer, validity};
use crate::interop::{ask_node, ask_python};
use crate::signing::{Bench, goes_on_with_gost};
use crate::stack::Flavour;

const SNILS: &str = "11223344595";
const GOST_256: &str = "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102012-gostr34112012-256";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Library {
    Zeep,
    NodeSoap,
}

/// A system with a key, and the library that speaks for it.
#[derive(Clone)]
struct Peer {
    library: Library,
    key: String,
    certificate: String,
}

impl Peer {
    /// A registered system with a key of RSA, and the same key for us.
    async fn new(world: &World, mnemonic: &str, library: Library) -> (Self, Signer) {
        let issued = world.issue(mnemonic, KeyKind::Rsa(2048), validity(0, 10));
        world.register(mnemonic, &issued).await;
        let path = |end: &str| world.dir.path().join(format!("{mnemonic}.{end}"));
        fs::write(path("key"), issued.key_pem().unwrap()).unwrap();
        fs::write(path("crt"), issued.certificate_pem().unwrap()).unwrap();
        let name = |end: &str| path(end).display().to_string();
        (Self { library, key: name("key"), certificate: name("crt") }, signer(&issued))
    }

    /// Calls an operation; what the library made of the answer.
    async fn call(&self, world: &World, version: Version, operation: &str, more: Value) -> Value {
        let ask = self.ask(world, version, operation, &more);
        self.tell(vec![ask]).await.remove(0)
    }

    /// A call as the scripts take it.
    fn ask(&self, world: &World, version: Version, operation: &str, more: &Value) -> Value {
        let mut ask = json!({
            "url": world.url(version),
            "version": version.as_str(),
            "operation": operation,
            "key": self.key,
            "certificate": self.certificate,
        });
        ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask
    }

    /// Makes calls one after the other; what the library made of each answer.
    async fn tell(&self, asks: Vec<Value>) -> Vec<Value> {
        let (library, input) = (self.library, Value::Array(asks).to_string());
        let told = tokio::task::spawn_blocking(move || match library {
            Library::Zeep => ask_python("smev_peer.py", &[], input.as_bytes()),
            Library::NodeSoap => ask_node("smev_node.mjs", input.as_bytes()),
        });
        serde_json::from_slice(&told.await.unwrap()).unwrap()
    }

    /// Asks for a person by each version, pulls the answers and confirms them; a second confirmation
    /// is a fault. What was told of each question: when it was taken, and when it was answered.
    async fn ask_for_anna(&self, world: &World, versions: &[Version]) -> Vec<[Value; 2]> {
        let ids: Vec<String> = versions.iter().map(|_| new_id().to_string()).collect();
        let mut asks = Vec::new();
        for (version, id) in versions.iter().zip(&ids) {
            let question = json!({
                "ids": { "message": id },
                "content": by_snils(SNILS),
                "reference": id,
                "transaction": "код",
            });
            asks.push(self.ask(world, *version, "SendRequest", &question));
            asks.push(self.ask(world, *version, "GetResponse", &json!({})));
        }
        let told = self.tell(asks).await;
        let (mut acks, mut said) = (Vec::new(), Vec::new());
        for ((pair, version), asked) in told.chunks(2).zip(versions).zip(&ids) {
            let [taken, pulled] = pair else { unreachable!() };
            assert_eq!(taken["http"], 200, "{taken}");
            assert_eq!(taken["metadata"]["Status"], "requestIsQueued", "{taken}");
            let content = pulled["content"].as_str().unwrap_or_else(|| panic!("{pulled}"));
            assert!(content.contains("GetPersonBySnilsResponse"), "{content}");
            assert!(content.contains(SNILS), "{content}");
            assert!(pulled["answer"].to_string().contains(asked), "{pulled}");
            let id = pulled["metadata"]["MessageId"].as_str().unwrap();
            let ack = json!({ "ids": { "message": id }, "accepted": true });
            acks.extend([0; 2].map(|_| self.ask(world, *version, "Ack", &ack)));
            said.push(format!("Сообщение {id} не найдено среди неподтверждённых."));
        }
        for (pair, said) in self.tell(acks).await.chunks(2).zip(said) {
            let [first, again] = pair else { unreachable!() };
            assert_eq!((&first["http"], &first["fault"]), (&json!(200), &Value::Null));
            assert_eq!(again["http"], 500);
            assert_eq!(again["fault"]["name"], "TargetMessageIsNotFound", "{again}");
            assert_eq!(again["fault"]["faultstring"], json!(said), "{again}");
            assert_eq!(again["fault"]["description"], json!(format!("SMEV-501:{said}")), "{again}");
        }
        told.chunks(2).map(|pair| [pair[0].clone(), pair[1].clone()]).collect()
    }
}

async fn with_anna() -> World {
    let world = World::start(Flavour::Embedded).await;
    put_anna(&world).await;
    world
}

async fn put_anna(world: &World) {
    let mut tx = world.db.begin().await.unwrap();
    let name = ["Семёнова", "Анна", "Петровна"];
    let anna = Person { id: 10, name, born: "2015-03-01", snils: Some(SNILS) };
    world.put_person(&mut tx, &anna).await;
    tx.commit().await.unwrap();
}

/// Our signatures stand, and are made with our key.
fn judge_signatures(told: &[Value; 2], algorithm: Option<&str>, certificate: &[u8]) {
    let ours = X509::from_pem(certificate).unwrap().to_der().unwrap();
    let [taken, pulled] = told;
    for (message, holders) in [
        (taken, &["SMEVSignature"][..]),
        (pulled, &["SMEVSignature", "SenderInformationSystemSignature"]),
    ] {
        for holder in holders {
            let worth = &message["signatures"][holder];
            assert_eq!(worth["valid"], true, "{holder}: {worth}");
            assert_eq!(worth["certificate"], json!(STANDARD.encode(&ours)), "{holder}");
            assert!(algorithm.is_none_or(|known| worth["algorithm"] == known), "{worth}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zeep_asks_pulls_and_confirms_by_every_version_and_verifies_what_we_sign() {
    let world = with_anna().await;
    let (peer, _) = Peer::new(&world, "FNS00001", Library::Zeep).await;
    let ours = fs::read(world.dir.path().join("signing-certificate.pem")).unwrap();
    for told in peer.ask_for_anna(&world, &Version::ALL).await {
        judge_signatures(&told, None, &ours);
    }
    let counted = peer.call(&world, Version::V11, "GetIncomingQueueStatistics", json!({})).await;
    assert_eq!((&counted["http"], &counted["fault"]), (&json!(200), &Value::Null), "{counted}");
    world.finish_without_answers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_soap_asks_pulls_and_confirms_by_every_version() {
    let world = with_anna().await;
    let (peer, _) = Peer::new(&world, "FNS00001", Library::NodeSoap).await;
    peer.ask_for_anna(&world, &Version::ALL).await;
    let status = peer.call(&world, Version::V12, "GetStatus", json!({})).await;
    assert_eq!((&status["http"], &status["fault"]), (&json!(200), &Value::Null), "{status}");
    world.finish_without_answers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_foreign_libraries_exchange_files_in_parts_through_us() {
    let world = World::start(Flavour::Embedded).await;
    let (zeep, zeep_signer) = Peer::new(&world, "IS00001", Library::Zeep).await;
    let (node, node_signer) = Peer::new(&world, "IS000002", Library::NodeSoap).await;
    let namespace = "urn:example:pupil";
    world.kind("ToNode", "IS000002", namespace, true).await;
    world.kind("ToZeep", "IS00001", namespace, true).await;
    let octets: Vec<u8> = (0..70_000_u32).map(|n| (n % 253) as u8).chain(*b"\r\n--\r\n").collect();
    let attachment = |name: &str, signer: &Signer| {
        let (file, pkcs7) =
            (world.dir.path().join(name), world.dir.path().join(format!("{name}.p7")));
        fs::write(&file, &octets).unwrap();
        fs::write(&pkcs7, signer.sign_file(&octets).unwrap()).unwrap();
        json!([{ "id": "file", "mime": "application/zip", "file": file, "pkcs7": pkcs7, "mtom": true }])
    };
    for (kind, consumer, provider, version) in [
        ("ToNode", (&zeep, &zeep_signer), (&node, &node_signer), Version::V11),
        ("ToZeep", (&node, &node_signer), (&zeep, &zeep_signer), Version::V13),
    ] {
        let call = async |(peer, _): (&Peer, &Signer), operation: &str, more: Value| {
            let told = peer.call(&world, version, operation, more).await;
            assert_eq!((&told["http"], &told["multipart"]), (&json!(200), &json!(true)), "{told}");
            told
        };
        let same = |told: &Value, signer: &Signer| {
            let file = &told["attachments"][0];
            assert_eq!(file["content"], json!(STANDARD.encode(&octets)), "{kind}");
            assert_eq!((&file["id"], &file["mime"]), (&json!("file"), &json!("application/zip")));
            assert!(file["pkcs7"].as_str().unwrap().len() > 1000, "{:?}", signer.algorithm());
            if let Some(signatures) = told["signatures"].as_object() {
                assert!(signatures.values().all(|worth| worth["valid"] == true), "{signatures:?}");
                assert!(signatures.contains_key("SenderInformationSystemSignature"));
            }
        };
        let ask = json!({
            "ids": { "message": new_id() },
            "content": format!("<{kind}Request xmlns=\"{namespace}\"/>"),
            "attachments": attachment("request", consumer.1),
        });
        call(consumer, "SendRequest", ask).await;
        let selector = json!({ "namespace": namespace, "name": format!("{kind}Response") });
        let request = json!({ "mtom": true, "selector": selector });
        let request = call(provider, "GetRequest", request).await;
        same(&request, consumer.1);
        let to = find_text(&request["answer"], "ReplyTo").unwrap();
        let answer = json!({
            "ids": { "message": new_id() },
            "to": to,
            "content": format!("<{kind}Response xmlns=\"{namespace}\"/>"),
            "attachments": attachment("answer", provider.1),
        });
        call(provider, "SendResponse", answer).await;
        let response = call(consumer, "GetResponse", json!({ "mtom": true })).await;
        same(&response, provider.1);
        assert!(response["content"].as_str().unwrap().contains(&format!("{kind}Response")));
        for (who, message) in [(provider, &request), (consumer, &response)] {
            let ids = json!({ "message": message["metadata"]["MessageId"] });
            call(who, "Ack", json!({ "ids": ids, "accepted": true, "mtom": true })).await;
        }
    }
    world.finish_without_answers().await;
}

/// The first text of this name at any depth.
fn find_text(value: &Value, name: &str) -> Option<String> {
    match value {
        Value::Object(fields) => match fields.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            _ => fields.values().find_map(|below| find_text(below, name)),
        },
        Value::Array(items) => items.iter().find_map(|below| find_text(below, name)),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_gost_sign_on_both_sides() {
    if !goes_on_with_gost("federal::peers::keys_of_gost_sign_on_both_sides") {
        return;
    }
    let bench = Bench::new();
    bench.gost_key("ours", "256", "XA");
    bench.gost_key("theirs", "256", "A");
    let file = |name: &str| bench.path(name);
    let (key, certificate) = (file("ours.key"), file("ours.crt"));
    let world = World::start_with(Flavour::Embedded, Clock::System, |config| {
        config.signing.key_file = Some(key);
        config.signing.certificate_file = Some(certificate);
    })
    .await;
    put_anna(&world).await;
    let facts = |name: &str| Facts::read(&fs::read(file(name)).unwrap()).unwrap();
    world.admin().trust(&facts("trust/theirs.crt")).await.unwrap();
    world.enrol("FNS00001", &facts("theirs.crt")).await;
    let path = |name: &str| file(name).display().to_string();
    let ours = fs::read(file("ours.crt")).unwrap();
    for (library, version) in [(Library::Zeep, Version::V13), (Library::NodeSoap, Version::V12)] {
        let peer = Peer { library, key: path("theirs.key"), certificate: path("theirs.crt") };
        let told = peer.ask_for_anna(&world, &[version]).await;
        if library == Library::Zeep {
            judge_signatures(&told[0], Some(GOST_256), &ours);
        }
    }
    world.finish_without_answers().await;
}
