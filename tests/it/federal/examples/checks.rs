//! What must hold of the examples as they are in the folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use kontingent::codec::node::Node;
use kontingent::codec::smev3::Version;
use kontingent::codec::soap::Envelope;
use kontingent::codec::xml::Limits;
use serde_json::Value;

use super::super::world::{World, find, roomy};
use super::book::{Book, Example, FOLDER};
use crate::interop::{ask_python, python};

const FEDERAL: &str = "schemas/federal/1.0/federal-1.0.xsd";

/// Elements of the messages of each version's operations, as the descriptions that we serve have them.
pub(super) async fn operations(world: &World) -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for version in Version::ALL {
        let (status, wsdl) = world.get(&format!("/ws/smev/{}?wsdl", version.as_str())).await;
        assert_eq!(status, 200);
        let root = Node::document(wsdl.as_bytes(), Limits::default()).unwrap();
        let port = find(&root, "portType").children.iter();
        for operation in port.filter(|node| node.local == "operation") {
            for way in ["Request", "Response"] {
                let element = format!("{}{way}", operation.attribute("name").unwrap());
                all.insert((version.types().to_owned(), element));
            }
        }
    }
    assert!(all.len() > 36, "{all:?}");
    all
}

/// Every operation, every element of the schema of questions, and every fault that can be, has an example.
pub(super) fn nothing_is_missing(
    book: &Book,
    operations: &BTreeSet<(String, String)>,
    faults: &BTreeSet<String>,
) {
    let (questions, messages): (Vec<&Example>, Vec<&Example>) =
        xml(book).partition(|example| example.name.starts_with("questions/"));
    let root = |text: &str| {
        let node = Node::document(text.as_bytes(), roomy()).unwrap();
        (node.namespace, node.local)
    };
    let said: BTreeSet<_> = messages
        .iter()
        .map(|message| {
            let text = message.whole();
            let envelope = Envelope::open(text.as_bytes(), roomy(), &[]).unwrap();
            let (namespace, local) = envelope.operation();
            (namespace.to_owned(), local.to_owned())
        })
        .collect();
    let missing: Vec<_> = operations.difference(&said).collect();
    assert!(missing.is_empty(), "no example of {missing:?}");

    let schema = fs::read(FEDERAL).unwrap();
    let schema = Node::document(&schema, Limits::default()).unwrap();
    let target = schema.attribute("targetNamespace").unwrap();
    let elements = schema.children.iter().filter(|node| node.local == "element");
    let elements: BTreeSet<_> = elements
        .map(|node| (target.to_owned(), node.attribute("name").unwrap().to_owned()))
        .collect();
    let asked: BTreeSet<_> = questions.iter().map(|content| root(&content.whole())).collect();
    let missing: Vec<_> = elements.difference(&asked).collect();
    assert!(missing.is_empty() && elements.len() > 20, "no example of {missing:?}");

    let there: BTreeSet<String> = messages.iter().map(|message| message.name.clone()).collect();
    let missing: Vec<_> = faults.difference(&there).collect();
    assert!(missing.is_empty() && faults.len() > 40, "no example of {missing:?}");
}

/// Every message follows the schemas that we serve, and every content that of the questions.
pub(super) fn all_are_valid(book: &Book) {
    let folder = tempfile::tempdir().unwrap();
    unfold(book, folder.path());
    python("validate_smev.py", &[FOLDER, folder.path().to_str().unwrap()]);
}

/// Every signature stands, as we see it by the command that the index tells and as another verifier does.
pub(super) fn signatures_stand(book: &Book) {
    let signed: Vec<&Example> =
        xml(book).filter(|example| example.whole().contains("<ds:SignatureValue>")).collect();
    let index = String::from_utf8(book.examples.last().unwrap().bytes.clone()).unwrap();
    let line = index.lines().find(|line| line.starts_with("kontingent signature verify")).unwrap();
    let line = line.replacen("kontingent", env!("CARGO_BIN_EXE_kontingent"), 1);
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let refused: Vec<&str> = told.lines().filter(|line| !line.contains("\"accept\"")).collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}{errors}", refused.join("\n"));
    assert_eq!(told.lines().count(), signed.len(), "each signed message is judged");

    let folder = tempfile::tempdir().unwrap();
    unfold(book, folder.path());
    let path = |example: &&Example| {
        if example.in_parts() {
            return folder.path().join(unfolded(example)).display().to_string();
        }
        format!("{FOLDER}/{}", example.name)
    };
    let arguments: Vec<String> = signed.iter().map(path).collect();
    let arguments: Vec<&str> =
        std::iter::once("verify").chain(arguments.iter().map(String::as_str)).collect();
    let worth: Vec<Value> =
        serde_json::from_slice(&ask_python("smev_sign.py", &arguments, b"")).unwrap();
    let mut holders = 0;
    for (example, worth) in signed.iter().zip(&worth) {
        for (holder, worth) in worth.as_object().unwrap() {
            assert_eq!(worth["valid"], true, "{} {holder}: {worth}", example.name);
            holders += 1;
        }
    }
    let all: usize =
        signed.iter().map(|one| one.whole().matches("<ds:SignatureValue>").count()).sum();
    assert_eq!(holders, all, "each signature is judged");
}

/// All but the index and the certificate.
fn xml(book: &Book) -> impl Iterator<Item = &Example> {
    book.examples.iter().filter(|example| example.name.contains('/'))
}

/// Writes messages in parts, put together, into a folder.
fn unfold(book: &Book, folder: &Path) {
    for example in xml(book).filter(|example| example.in_parts()) {
        fs::write(folder.join(unfolded(example)), example.whole()).unwrap();
    }
}

fn unfolded(example: &Example) -> String {
    format!("{}.xml", example.name.replace('/', "-"))
}
