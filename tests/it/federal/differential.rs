//! Messages changed at random: what is read of a sender is what the schemas let it say, as lxml says too.

use std::fmt::Write as _;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontingent::codec::node::Node;
use kontingent::codec::smev3::{Request, Version, parse_uuid, read};
use kontingent::codec::soap::ENVELOPE;
use kontingent::codec::xml::{Limits, escape_attribute, escape_text};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::interop::python;

/// Messages tried.
const MESSAGES: usize = 6_000;

/// What the schemas let be and we do not: ids that stand twice and what is no base64, which libxml2 does
/// not look for, and answers to nobody.
const DELIBERATE: [&str; 3] = ["уже есть в сообщении", "не base64", "Не заполнено To"];

const ID: &str = "6dfbb380-6827-11ef-9a3b-0242ac110002";
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Right ones, with all that a sender may say but what others than the exchange write.
fn seeds(version: Version) -> Vec<Node> {
    let (types, basic) = (version.types(), version.basic());
    let only_13 = |text: &'static str| if version == Version::V13 { text } else { "" };
    let uri = only_13("<b:NamespaceUri>urn:a</b:NamespaceUri>");
    let name = only_13("<b:FileName>f</b:FileName>");
    let archive = only_13(
        "<b:Archive><b:File><b:Name>n</b:Name><b:NamespaceUri>urn:a</b:NamespaceUri></b:File></b:Archive>",
    );
    let kind = "<b:MimeType>text/plain</b:MimeType><b:SignaturePKCS7>MA==</b:SignaturePKCS7>";
    let files = format!(
        "<b:AttachmentHeaderList><b:AttachmentHeader><b:contentId>a</b:contentId>{uri}{kind}{archive}\
         </b:AttachmentHeader></b:AttachmentHeaderList><b:RefAttachmentHeaderList><b:RefAttachmentHeader>\
         <b:uuid>u</b:uuid>{name}{uri}<b:Hash>h</b:Hash>{kind}{archive}</b:RefAttachmentHeader>\
         </b:RefAttachmentHeaderList>"
    );
    let content = "<b:MessagePrimaryContent><x:X xmlns:x=\"urn:x\"/></b:MessagePrimaryContent>";
    let message = |operation: &str, data: &str, told: &str| {
        let document = format!(
            "<t:{operation}Request xmlns:t=\"{types}\" xmlns:b=\"{basic}\"><t:SenderProvided{data} Id=\"D\">\
             <t:MessageID>{ID}</t:MessageID>{told}</t:SenderProvided{data}><b:AttachmentContentList>\
             <b:AttachmentContent><b:Id>a</b:Id><b:Content>AA==</b:Content></b:AttachmentContent>\
             </b:AttachmentContentList></t:{operation}Request>"
        );
        Node::document(document.as_bytes(), Limits::default()).unwrap()
    };
    let ask = format!(
        "<t:ReferenceMessageID>{ID}</t:ReferenceMessageID><t:TransactionCode>c</t:TransactionCode>\
         <t:NodeID>n</t:NodeID><t:EOL>2090-01-01T00:00:00Z</t:EOL>{content}{files}\
         <t:BusinessProcessMetadata><x:X xmlns:x=\"urn:x\"/></t:BusinessProcessMetadata><t:TestMessage/>"
    );
    let rejected = "<t:To>t</t:To><t:RequestRejected><t:RejectionReasonCode>NO_DATA</t:RejectionReasonCode>\
        <t:RejectionReasonDescription>d</t:RejectionReasonDescription></t:RequestRejected>";
    let progress = "<t:To>t</t:To><t:RequestStatus><t:StatusCode>7</t:StatusCode><t:StatusParameter>\
        <t:Key>k</t:Key><t:Value>v</t:Value></t:StatusParameter><t:StatusDescription>d\
        </t:StatusDescription></t:RequestStatus>";
    let answer = format!("<t:To>t</t:To>{content}{files}");
    let mut seeds = vec![message("SendRequest", "RequestData", &ask)];
    let told = [&answer, rejected, progress];
    seeds.extend(told.map(|told| message("SendResponse", "ResponseData", told)));
    seeds
}

/// Changes one place of a tree.
struct Changer {
    random: StdRng,
    /// Elements of all seeds.
    known: Vec<Node>,
}

impl Changer {
    fn change(&mut self, root: &mut Node) {
        let depth = self.random.random_range(0..6);
        let mut node = root;
        for _ in 0..depth {
            let count = node.children.len();
            if count == 0 || node.namespace == "urn:x" {
                break;
            }
            node = &mut node.children[self.random.random_range(0..count)];
        }
        let at = self.random.random_range(0..=node.children.len());
        match self.random.random_range(0..8) {
            0 if at < node.children.len() => drop(node.children.remove(at)),
            1 if at < node.children.len() => node.children.insert(at, node.children[at].clone()),
            2 if at > 1 => node.children.swap(at - 1, at - 2),
            3 => node.children.insert(at, self.known.choose(&mut self.random).unwrap().clone()),
            4 => {
                let names = [("", "Id"), ("", "x"), (XSI, "nil"), (XSI, "schemaLocation")];
                let (namespace, name) = *names.choose(&mut self.random).unwrap();
                let value = *["E", "true", "urn:x x", "7"].choose(&mut self.random).unwrap();
                if !node.attributes.iter().any(|held| (&*held.0, &*held.1) == (namespace, name)) {
                    node.attributes.push((namespace.into(), name.into(), value.into()));
                }
            }
            5 => {
                let texts = [" ", "a", "\u{a0}", "a b", " a", "7", "NO_DATA", ID, "AA==", "text/x"];
                node.text = (*texts.choose(&mut self.random).unwrap()).into();
            }
            6 if !node.local.ends_with("Request") => {
                node.namespace = (*["urn:y", "urn:x"].choose(&mut self.random).unwrap()).into();
            }
            _ => node.attributes.clear(),
        }
    }
}

/// All elements of a tree.
fn elements(node: &Node, found: &mut Vec<Node>) {
    found.push(node.clone());
    for child in &node.children {
        elements(child, found);
    }
}

fn element(node: &Node, out: &mut String) {
    let mut attributes = String::new();
    for (namespace, name, value) in &node.attributes {
        let prefix = if namespace.is_empty() { "" } else { "i:" };
        attributes.extend([" ", prefix, name, "=\""]);
        escape_attribute(value, &mut attributes);
        attributes.push('"');
    }
    let Node { namespace, local, .. } = node;
    write!(out, "<{local} xmlns=\"{namespace}\" xmlns:i=\"{XSI}\"{attributes}>").unwrap();
    escape_text(&node.text, out);
    for child in &node.children {
        element(child, out);
    }
    write!(out, "</{local}>").unwrap();
}

/// What is wrong with a message in our eyes.
fn ours(message: &str, version: Version) -> Result<(), String> {
    let (request, _) = read(message.as_bytes(), version, Limits::default())
        .map_err(|error| format!("{error:?}"))?;
    let id = match &request {
        Request::SendRequest(sent) => &sent.message_id,
        Request::SendResponse(sent) => &sent.message_id,
        other => panic!("{other:?}"),
    };
    // It has a fault of its own.
    parse_uuid(id).map(|_| ()).ok_or_else(|| format!("MessageID {id}"))
}

#[test]
fn what_is_read_of_a_sender_is_what_the_schemas_let_it_say() {
    let folder = tempfile::tempdir().unwrap();
    let (mut messages, mut read_as) = (Vec::new(), Vec::new());
    for (seed, version) in (20_261_130..).zip(Version::ALL) {
        let seeds = seeds(version);
        let mut known = Vec::new();
        for seed in &seeds {
            elements(seed, &mut known);
        }
        let mut changer = Changer { random: StdRng::seed_from_u64(seed), known };
        for number in 0..MESSAGES / 3 {
            let mut root = seeds[number % seeds.len()].clone();
            for _ in 0..number / seeds.len() % 3 {
                changer.change(&mut root);
            }
            let mut body = String::new();
            element(&root, &mut body);
            let message =
                format!("<s:Envelope xmlns:s=\"{ENVELOPE}\"><s:Body>{body}</s:Body></s:Envelope>");
            read_as.push(ours(&message, version));
            messages.push(message);
        }
    }
    let lines: Vec<String> = messages.iter().map(|message| STANDARD.encode(message)).collect();
    fs::write(folder.path().join("messages"), lines.join("\n")).unwrap();
    python("smev_differential.py", &[folder.path().to_str().unwrap()]);
    let verdicts = fs::read_to_string(folder.path().join("verdicts")).unwrap();
    let verdicts: Vec<&str> = verdicts.lines().collect();
    assert_eq!(verdicts.len(), messages.len());
    let (mut taken, mut refused) = (0, 0);
    let mut differ = Vec::new();
    for ((message, ours), theirs) in messages.iter().zip(&read_as).zip(verdicts) {
        match (ours, theirs) {
            (Ok(()), "+") => taken += 1,
            (Err(_), theirs) if theirs != "+" => refused += 1,
            // Beginning with a digit, as many do that the exchange carries.
            (Ok(()), theirs) if theirs.ends_with("atomic type 'xs:ID'.") => {}
            (Err(flaw), _) if DELIBERATE.iter().any(|known| flaw.contains(known)) => {}
            _ => differ.push(format!("{ours:?}\n{theirs}\n{message}")),
        }
    }
    assert!(differ.is_empty(), "{}", differ[..differ.len().min(5)].join("\n\n"));
    assert!(taken > MESSAGES / 5 && refused > MESSAGES / 5, "{taken} {refused}");
}
