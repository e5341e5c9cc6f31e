//! SMEV 2: WS-Security over the body, and an official's enveloped signature over `AppData`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};

use super::{Path, Plan, Role, Spot, below, body_path, operation, operation_path};
use crate::codec::node::Node;
use crate::codec::soap;
use crate::codec::xmldsig::DSIG;
use crate::model::refusal::{Refusal, RefusalCode};

const WSSE: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const WSU: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const X509: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3";
const BASE64: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";
/// Whom a security header is for.
const ACTORS: [&str; 3] =
    ["", "http://smev.gosuslugi.ru/actors/smev", "http://smev.gosuslugi.ru/actors/recipient"];
/// Namespaces of the messages of the revisions.
const REVISIONS: [&str; 3] = [
    "http://smev.gosuslugi.ru/rev110801",
    "http://smev.gosuslugi.ru/rev111111",
    "http://smev.gosuslugi.ru/rev120315",
];
/// Longest life of a message, and how far a clock may be ahead of ours.
const MAX_LIFE: TimeDelta = TimeDelta::seconds(300);
const SKEW: TimeDelta = TimeDelta::seconds(60);

/// Finds the signatures of a message.
pub(super) fn plan(root: &Node, at: DateTime<Utc>) -> Result<Plan, Refusal> {
    let operation = operation(root)?;
    let header = root.child(soap::ENVELOPE, "Header").ok_or(RefusalCode::SigMissing)?;
    let security = security(header)?;
    judge_timestamp(security, at)?;
    let header_path: Path =
        ["Envelope", "Header"].map(|local| (soap::ENVELOPE.to_owned(), local.to_owned())).into();
    let body = Spot {
        shared: true,
        id_namespace: WSU,
        tokens: Some(tokens(security)?),
        ..Spot::new(Role::System, body_path(), below(&header_path, security))
    };
    let mut plan = Plan { spots: vec![body], ..Plan::default() };
    app_data(&mut plan, &operation_path(operation), operation);
    Ok(plan)
}

/// The header that holds the signature. There may be headers for others, one for each.
fn security(header: &Node) -> Result<&Node, Refusal> {
    let headers: Vec<&Node> =
        header.children.iter().filter(|node| node.is(WSSE, "Security")).collect();
    let actor = |node: &Node| {
        let mut attributes = node.attributes.iter();
        let found = attributes.find(|(ns, local, _)| ns == soap::ENVELOPE && local == "actor");
        found.map_or_else(String::new, |(_, _, value)| value.clone())
    };
    let structure = |node: &Node| Refusal::new(RefusalCode::SigStructure).at(node.place);
    for (number, node) in headers.iter().enumerate() {
        if headers[..number].iter().any(|other| actor(other) == actor(node)) {
            return Err(structure(node).detail("два wsse:Security для одного получателя"));
        }
    }
    let mut signed = headers.into_iter().filter(|node| {
        ACTORS.contains(&actor(node).as_str()) && node.child(DSIG, "Signature").is_some()
    });
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
        let wrong = || Refusal::new(RefusalCode::SigKeyInfo).at(node.place);
        let encoding = node.attribute("EncodingType").unwrap_or(BASE64);
        if node.attribute("ValueType") != Some(X509) || encoding != BASE64 {
            return Err(wrong());
        }
        let id = node.attributes.iter().find(|(ns, local, _)| ns == WSU && local == "Id");
        let text: String = node.text.split_ascii_whitespace().collect();
        let certificate = STANDARD.decode(text).map_err(|_| wrong())?;
        tokens.push((id.map(|(_, _, value)| value.clone()).ok_or_else(wrong)?, certificate));
    }
    Ok(tokens)
}

/// Judges a `wsu:Timestamp`, which messages of SMEV need not have.
fn judge_timestamp(security: &Node, at: DateTime<Utc>) -> Result<(), Refusal> {
    let mut stamps = security.children.iter().filter(|node| node.is(WSU, "Timestamp"));
    let (Some(stamp), more) = (stamps.next(), stamps.next()) else { return Ok(()) };
    if let Some(more) = more {
        return Err(Refusal::new(RefusalCode::SigStructure).at(more.place));
    }
    let expired = || Refusal::new(RefusalCode::MessageExpired).at(stamp.place);
    let time = |name| {
        let text = stamp.child(WSU, name).map(|node| node.text.trim())?;
        DateTime::parse_from_rfc3339(text).ok().filter(|_| !text.contains(":60"))
    };
    let created = time("Created").ok_or_else(expired)?.to_utc();
    let expires = time("Expires").map_or(created + MAX_LIFE, |expires| expires.to_utc());
    let alive = created <= at + SKEW && at <= expires && expires - created <= MAX_LIFE;
    if alive { Ok(()) } else { Err(expired()) }
}

/// The signature inside `AppData`, wherever the operation has it.
fn app_data(plan: &mut Plan, path: &Path, node: &Node) {
    let ours = REVISIONS.contains(&node.namespace.as_str()) && node.local == "AppData";
    if ours && node.child(DSIG, "Signature").is_some() {
        let id_namespace = if node.attribute("Id").is_some() { "" } else { WSU };
        let spot = Spot::new(Role::Personal, path.clone(), path.clone());
        plan.spots.push(Spot { shared: true, id_namespace, ..spot });
        return;
    }
    if !ours {
        for child in &node.children {
            app_data(plan, &below(path, child), child);
        }
    }
}
