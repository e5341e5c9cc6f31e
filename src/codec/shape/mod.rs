//! Shapes of signed messages: which signatures a message has, each bound to the place of its own
//! and to the place of what it must sign.
//!
//! What a signature refers to is never searched by id alone: the id must lead to the element that
//! the shape names.

mod smev2;
mod smev3;

use chrono::{DateTime, Utc};

use super::node::Node;
use super::soap;
use super::xml::Limits;
use super::xmldsig::{
    DSIG, Detached, EnvelopedSignature, Name, Placement, verify_detached, verify_with_token,
};
use crate::model::refusal::{Refusal, RefusalCode};

/// Whose signature it is, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The system that sent the message: ЭП-ОВ.
    System,
    /// The exchange itself: ЭП-СМЭВ.
    Smev,
    /// An official, over the content: ЭП-СП.
    Personal,
}

impl Role {
    /// The name that officials know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "ЭП-ОВ",
            Self::Smev => "ЭП-СМЭВ",
            Self::Personal => "ЭП-СП",
        }
    }
}

/// Names from the root to an element.
pub type Path = Vec<(String, String)>;

/// A signature that a message has, or must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Whose it is.
    pub role: Role,
    /// What it must sign.
    pub signed: Path,
    /// What holds it.
    pub holder: Path,
    /// The holder may hold other elements too.
    shared: bool,
    /// Namespace of the id of the signed element.
    id_namespace: &'static str,
    /// Certificates by id, when the signature refers to a token of its header.
    tokens: Option<Vec<(String, Vec<u8>)>>,
}

/// A file sent inside a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its id in the message.
    pub id: String,
    /// Its bytes.
    pub content: Vec<u8>,
    /// Detached PKCS#7 over them, DER; none was sent.
    pub signature: Option<Vec<u8>>,
}

/// What a message has to be verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Signatures, the one of the outermost element first.
    pub spots: Vec<Spot>,
    /// Files inside.
    pub attachments: Vec<Attachment>,
    /// What the message itself does wrong, told only when its signatures are right.
    pub flaw: Option<RefusalCode>,
}

/// A message of the SMEV 3 exchange, 1.1 to 1.3: a request to it or its answer.
///
/// # Errors
/// What is wrong with the XML or the envelope; `OPERATION_UNKNOWN`; `SIG_MISSING` for an answer
/// that has nothing to sign.
pub fn smev3(document: &[u8]) -> Result<Plan, Refusal> {
    smev3::plan(&Node::document(document, limits())?)
}

/// A message of SMEV 2: WS-Security over the body, and an enveloped signature over `AppData` where
/// there is one.
///
/// # Errors
/// What is wrong with the XML, the envelope or its security header; `MESSAGE_EXPIRED`.
pub fn smev2(document: &[u8], at: DateTime<Utc>) -> Result<Plan, Refusal> {
    smev2::plan(&Node::document(document, limits())?, at)
}

/// A SOAP message whose operation has this name: the first child of the operation is signed, and
/// the signature stands beside it, by itself or in a holder.
///
/// # Errors
/// What is wrong with the XML or the envelope; `OPERATION_UNKNOWN`; `SIG_MISSING`.
pub fn detached(document: &[u8], namespace: &str, local: &str) -> Result<Plan, Refusal> {
    let root = Node::document(document, limits())?;
    let operation = operation(&root)?;
    if !operation.is(namespace, local) {
        return Err(RefusalCode::OperationUnknown.into());
    }
    let path = operation_path(operation);
    let [first, beside @ ..] = operation.children.as_slice() else {
        return Err(RefusalCode::SigMissing.into());
    };
    let alone = beside.iter().any(|node| node.is(DSIG, "Signature"));
    let holder = beside.iter().find(|node| node.child(DSIG, "Signature").is_some());
    let holder = match (alone, holder) {
        (true, _) => path.clone(),
        (false, Some(holder)) => below(&path, holder),
        // Reading it as if it were there says what is wrong.
        (false, None) => {
            below_name(&path, "", if contains_signature(&root) { "?" } else { "Signature" })
        }
    };
    let spot = Spot { shared: alone, ..Spot::new(Role::System, below(&path, first), holder) };
    Ok(Plan { spots: vec![spot], ..Plan::default() })
}

/// Limits of messages, which are small and in memory: instructions may stand in them, and a file
/// in base64 is one text.
pub fn limits() -> Limits {
    Limits { instructions: 1024, text: 16 << 20, ..Limits::default() }
}

impl Spot {
    fn new(role: Role, signed: Path, holder: Path) -> Self {
        Self { role, signed, holder, shared: false, id_namespace: "", tokens: None }
    }

    /// Judges the structure of the signature and compares its digest.
    ///
    /// # Errors
    /// `SIG_…`, with the place where one can be told.
    pub fn verify(&self, document: &[u8], limits: Limits) -> Result<EnvelopedSignature, Refusal> {
        let (signed, holder) = (names(&self.signed), names(&self.holder));
        let place = Detached { signed: &signed, holder: &holder };
        let placement = Placement { shared: self.shared, id_namespace: self.id_namespace };
        let Some(tokens) = &self.tokens else {
            return verify_detached(document, place, placement, limits);
        };
        let (mut signature, id) = verify_with_token(document, place, placement, limits)?;
        let mut found = tokens.iter().filter(|(token, _)| *token == id);
        match (found.next(), found.next()) {
            (Some((_, certificate)), None) => signature.certificates = vec![certificate.clone()],
            (Some(_), Some(_)) => return Err(RefusalCode::SigDuplicateId.into()),
            (None, _) => return Err(RefusalCode::SigKeyInfo.into()),
        }
        Ok(signature)
    }

    /// The paths as names.
    pub fn signed_names(&self) -> Vec<Name<'_>> {
        names(&self.signed)
    }
}

fn names(path: &Path) -> Vec<Name<'_>> {
    path.iter().map(|(namespace, local)| (namespace.as_str(), local.as_str())).collect()
}

/// The only element of the body of a SOAP 1.1 envelope that has nothing else beside it.
fn operation(root: &Node) -> Result<&Node, Refusal> {
    let wrong = |place| Refusal::new(RefusalCode::SoapStructure).at(place);
    if !root.is(soap::ENVELOPE, "Envelope") {
        return Err(wrong(root.place));
    }
    let is = |node: &Node, local| node.is(soap::ENVELOPE, local);
    let body = match root.children.as_slice() {
        [body] if is(body, "Body") => body,
        [header, body] if is(header, "Header") && is(body, "Body") => body,
        _ => return Err(wrong(root.place)),
    };
    match body.children.as_slice() {
        [operation] => Ok(operation),
        _ => Err(wrong(body.place)),
    }
}

fn body_path() -> Path {
    ["Envelope", "Body"].map(|local| (soap::ENVELOPE.to_owned(), local.to_owned())).into()
}

fn operation_path(operation: &Node) -> Path {
    below(&body_path(), operation)
}

/// The path of a child.
fn below(path: &Path, child: &Node) -> Path {
    below_name(path, &child.namespace, &child.local)
}

fn below_name(path: &Path, namespace: &str, local: &str) -> Path {
    let mut path = path.clone();
    path.push((namespace.to_owned(), local.to_owned()));
    path
}

/// Whether there is a signature anywhere.
fn contains_signature(node: &Node) -> bool {
    node.is(DSIG, "Signature") || node.children.iter().any(contains_signature)
}
