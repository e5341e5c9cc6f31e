//! SMEV 2: WS-Security over the body, and an official's enveloped signature over `AppData`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};

use super::{Path, Plan, Role, Spot, below, below_name, body_path, operation, operation_path};
use crate::codec::node::Node;
use crate::codec::soap;
use crate::codec::xmldsig::{DSIG, WSSE, X509_TOKEN};
use crate::model::refusal::{Refusal, RefusalCode};

const WSU: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const BASE64: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";
/// Whom a security header is for.
const ACTORS: [&str; 3] =
    ["", "http://smev.gosuslugi.ru/actors/smev", "http://smev.gosuslugi.ru/actors/recipient"];
/// The exchange, to which messages are sent.
const EXCHANGE: &str = ACTORS[1];
/// Namespaces of the messages of the revisions.
const REVISIONS: [&str; 3] = [
    "http://smev.gosuslugi.ru/rev110801",
    "http://smev.gosuslugi.ru/rev111111",
    "http://smev.gosuslugi.ru/rev120315",
];
/// Ids of what we sign and of our certificate.
const BODY: &str = "body";
const TOKEN: &str = "certificate";
/// Most security headers.
const MOST_HEADERS: usize = 16;
/// Longest life of a message, and how far a clock may be ahead of ours.
const MAX_LIFE: TimeDelta = TimeDelta::seconds(300);
const SKEW: TimeDelta = TimeDelta::seconds(60);

/// Finds the signatures of a message.
pub(super) fn plan(root: &Node, at: DateTime<Utc>) -> Result<Plan, Refusal> {
    operation(root)?;
    let header = root.child(soap::ENVELOPE, "Header").ok_or(RefusalCode::SigMissing)?;
    let stamp = judge_timestamp(security(header)?, at)?;
    let mut plan = undated(root)?;
    if let Some(stamp) = stamp {
        // The one reference there may be is to the body: whoever forwards the message could renew it.
        let refusal = Refusal::new(RefusalCode::SigCoverage).at(stamp.place);
        plan.flaw = Some(
            refusal
                .detail("wsu:Timestamp не подписан: в СМЭВ 2 подписывают soap:Body, уберите его"),
        );
    }
    Ok(plan)
}

/// The same whenever the message was sent.
pub(super) fn undated(root: &Node) -> Result<Plan, Refusal> {
    let operation = operation(root)?;
    let header = root.child(soap::ENVELOPE, "Header").ok_or(RefusalCode::SigMissing)?;
    let security = security(header)?;
    let header_path: Path =
        ["Envelope", "Header"].map(|local| (soap::ENVELOPE.to_owned(), local.to_owned())).into();
    let body = Spot {
        shared: true,
        smev: Some(false),
        id_namespace: WSU,
        tokens: Some(tokens(security)?),
        ..Spot::new(Role::System, body_path(), below(&header_path, security))
    };
    let mut plan = Plan { spots: vec![body], ..Plan::default() };
    app_data(&mut plan, &operation_path(operation), operation);
    Ok(plan)
}

/// Makes a message ready to be signed by a system: gives it a security header with its certificate
/// as a token, and the body an id where it has none. Tells what is to be signed.
pub(super) fn prepared(
    document: &[u8],
    root: &Node,
    certificate_der: &[u8],
) -> Result<(Vec<u8>, Spot), Refusal> {
    operation(root)?;
    let header = root.child(soap::ENVELOPE, "Header");
    let structure = |node: &Node, what: &str| {
        Err(Refusal::new(RefusalCode::SigStructure).at(node.place).detail(what))
    };
    let theirs = |node: &&Node| node.is(WSSE, "Security") && actor(node) == EXCHANGE;
    if let Some(other) = header.and_then(|header| header.children.iter().find(theirs)) {
        return structure(other, "заголовок wsse:Security для СМЭВ уже есть");
    }
    let Some(body) = root.child(soap::ENVELOPE, "Body") else {
        return structure(root, "нет soap:Body");
    };
    let security = format!(
        "<wsse:Security xmlns:wsse=\"{WSSE}\" xmlns:k=\"{}\" k:actor=\"{EXCHANGE}\">\
         <wsse:BinarySecurityToken xmlns:wsu=\"{WSU}\" wsu:Id=\"{TOKEN}\" EncodingType=\"{BASE64}\" \
         ValueType=\"{X509_TOKEN}\">{}</wsse:BinarySecurityToken></wsse:Security>",
        soap::ENVELOPE,
        STANDARD.encode(certificate_der)
    );
    let body_tag = Tag::at(document, body)?;
    // From the end, so that the places before stay what they are.
    let mut message = document.to_vec();
    if !body.attributes.iter().any(|(namespace, local, _)| namespace == WSU && local == "Id") {
        let id = format!(" xmlns:kwsu=\"{WSU}\" kwsu:Id=\"{BODY}\"");
        message.splice(body_tag.name_end..body_tag.name_end, id.into_bytes());
    }
    if let Some(header) = header {
        Tag::at(document, header)?.put_inside(&mut message, &security);
    } else {
        let prefix = body_tag.prefix(document);
        let header = format!("<{prefix}Header>{security}</{prefix}Header>");
        message.splice(body_tag.begin..body_tag.begin, header.into_bytes());
    }
    let holder = ["Envelope", "Header"].map(|local| (soap::ENVELOPE.to_owned(), local.to_owned()));
    let holder = below_name(&holder.into(), WSSE, "Security");
    let spot = Spot {
        shared: true,
        smev: Some(false),
        id_namespace: WSU,
        tokens: Some(vec![(TOKEN.to_owned(), certificate_der.to_vec())]),
        ..Spot::new(Role::System, body_path(), holder)
    };
    Ok((message, spot))
}

/// A start tag in the bytes of a document.
struct Tag {
    begin: usize,
    name_end: usize,
    /// Of its `>`, or of the `/` before it.
    end: usize,
    empty: bool,
}

impl Tag {
    fn at(document: &[u8], node: &Node) -> Result<Self, Refusal> {
        let begin = usize::try_from(node.place.offset).map_err(|_| RefusalCode::LimitBytes)?;
        let (mut quote, mut name_end) = (None, None);
        for (at, &byte) in document.iter().enumerate().skip(begin + 1) {
            if quote.is_none() && (byte.is_ascii_whitespace() || b"/>".contains(&byte)) {
                name_end = name_end.or(Some(at));
            }
            match quote {
                None if byte == b'>' || byte == b'/' => {
                    let (empty, name_end) = (byte == b'/', name_end.unwrap_or(at));
                    return Ok(Self { begin, name_end, end: at, empty });
                }
                None if byte == b'"' || byte == b'\'' => quote = Some(byte),
                Some(open) if open == byte => quote = None,
                _ => {}
            }
        }
        Err(Refusal::new(RefusalCode::XmlMalformed).at(node.place))
    }

    fn name<'a>(&self, document: &'a [u8]) -> &'a [u8] {
        &document[self.begin + 1..self.name_end]
    }

    /// The prefix of its name with the colon; empty when it has none.
    fn prefix(&self, document: &[u8]) -> String {
        let name = String::from_utf8_lossy(self.name(document));
        name.split_once(':').map_or_else(String::new, |(prefix, _)| format!("{prefix}:"))
    }

    /// Puts markup in front of what is inside the element.
    fn put_inside(&self, document: &mut Vec<u8>, markup: &str) {
        if self.empty {
            let name = String::from_utf8_lossy(self.name(document)).into_owned();
            let inside = format!(">{markup}</{name}");
            document.splice(self.end..=self.end, inside.into_bytes());
        } else {
            document.splice(self.end + 1..=self.end, markup.bytes());
        }
    }
}

/// Whom a security header is for; empty for whoever gets the message.
fn actor(security: &Node) -> &str {
    let mut attributes = security.attributes.iter();
    let found = attributes.find(|(ns, local, _)| ns == soap::ENVELOPE && local == "actor");
    found.map_or("", |(_, _, value)| value)
}

/// The header that holds the signature. There may be headers for others, one for each.
fn security(header: &Node) -> Result<&Node, Refusal> {
    let headers: Vec<&Node> =
        header.children.iter().filter(|node| node.is(WSSE, "Security")).collect();
    let structure = |node: &Node| Refusal::new(RefusalCode::SigStructure).at(node.place);
    if let Some(beyond) = headers.get(MOST_HEADERS) {
        return Err(structure(beyond).detail("слишком много wsse:Security"));
    }
    for (number, node) in headers.iter().enumerate() {
        if headers[..number].iter().any(|other| actor(other) == actor(node)) {
            return Err(structure(node).detail("два wsse:Security для одного получателя"));
        }
    }
    let mut signed = headers
        .into_iter()
        .filter(|node| ACTORS.contains(&actor(node)) && node.child(DSIG, "Signature").is_some());
    match (signed.next(), signed.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(other)) => Err(structure(other).detail("подписей ЭП-ОВ больше одной")),
        (None, _) => Err(RefusalCode::SigMissing.into()),
    }
}

/// Certificates of the tokens with their ids.
fn tokens(security: &Node) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
    let mut tokens = Vec::new();
    for node in security.children.iter().filter(|node| node.is(WSSE, "BinarySecurityToken")) {
        let what = "wsse:BinarySecurityToken должен быть X509v3 в Base64Binary и иметь wsu:Id";
        let wrong = || Refusal::new(RefusalCode::SigKeyInfo).at(node.place).detail(what);
        let encoding = node.attribute("EncodingType").unwrap_or(BASE64);
        if node.attribute("ValueType") != Some(X509_TOKEN) || encoding != BASE64 {
            return Err(wrong());
        }
        let id = node.attributes.iter().find(|(ns, local, _)| ns == WSU && local == "Id");
        let text: String = node.text.split_ascii_whitespace().collect();
        let certificate = STANDARD.decode(text).map_err(|_| wrong())?;
        tokens.push((id.map(|(_, _, value)| value.clone()).ok_or_else(wrong)?, certificate));
    }
    Ok(tokens)
}

/// Judges a `wsu:Timestamp`, which messages of SMEV need not have; gives it.
fn judge_timestamp(security: &Node, at: DateTime<Utc>) -> Result<Option<&Node>, Refusal> {
    let mut stamps = security.children.iter().filter(|node| node.is(WSU, "Timestamp"));
    let (Some(stamp), more) = (stamps.next(), stamps.next()) else { return Ok(None) };
    if let Some(more) = more {
        return Err(Refusal::new(RefusalCode::SigStructure)
            .at(more.place)
            .detail("два wsu:Timestamp"));
    }
    let expired = || Refusal::new(RefusalCode::MessageExpired).at(stamp.place);
    let time = |name| {
        let text = stamp.child(WSU, name).map(|node| node.text.trim())?;
        DateTime::parse_from_rfc3339(text).ok().filter(|_| !text.contains(":60"))
    };
    let created = time("Created").ok_or_else(expired)?.to_utc();
    let expires = time("Expires").map_or(created + MAX_LIFE, |expires| expires.to_utc());
    let alive = created <= expires
        && created <= at + SKEW
        && at <= expires
        && expires - created <= MAX_LIFE;
    if alive { Ok(Some(stamp)) } else { Err(expired()) }
}

/// The signature inside `AppData`, wherever the operation has it.
fn app_data(plan: &mut Plan, path: &Path, node: &Node) {
    if is_app_data(node) {
        if node.child(DSIG, "Signature").is_some() {
            plan.spots.push(personal(path, node));
        }
        return;
    }
    for child in &node.children {
        app_data(plan, &below(path, child), child);
    }
}

fn is_app_data(node: &Node) -> bool {
    REVISIONS.contains(&node.namespace.as_str()) && node.local == "AppData"
}

/// An official's signature over `AppData`, inside it.
fn personal(path: &Path, node: &Node) -> Spot {
    let id_namespace = if node.attribute("Id").is_some() { "" } else { WSU };
    let spot = Spot::new(Role::Personal, path.clone(), path.clone());
    Spot { shared: true, smev: Some(false), id_namespace, ..spot }
}

/// Where an official's signature goes in a message without one: into the only `AppData`.
pub(super) fn unsigned_personal(root: &Node) -> Result<Spot, Refusal> {
    fn walk(path: &Path, node: &Node, found: &mut Vec<Spot>) {
        if is_app_data(node) {
            found.push(personal(path, node));
        } else {
            node.children.iter().for_each(|child| walk(&below(path, child), child, found));
        }
    }
    let operation = operation(root)?;
    let mut found = Vec::new();
    walk(&operation_path(operation), operation, &mut found);
    match found.len() {
        1 => found.pop().ok_or_else(|| RefusalCode::SigCoverage.into()),
        _ => Err(Refusal::new(RefusalCode::SigCoverage).detail("нужен ровно один AppData")),
    }
}
