//! Shapes of signed messages: which signatures a message has, each bound to the place of its own
//! and to the place of what it must sign.
//!
//! What a signature refers to is never searched by id alone: the id must lead to the element that
//! the shape names.

mod smev2;
mod smev3;

use chrono::{DateTime, Utc};

use super::form::Form;
use super::node::Node;
use super::soap;
use super::xml::Limits;
use super::xmldsig::{
    DSIG, Detached, EnvelopedSignature, KeyInfo, Look, Name, Placement, Recipe, SignError, look,
    octets_of, sign_detached, verify_detached, verify_with_token,
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
    /// The reference may be to the document as a whole.
    whole: bool,
    /// Certificates by id, when the signature refers to a token of its header.
    tokens: Option<Vec<(String, Vec<u8>)>>,
    /// Whether the transform of SMEV must or may not be used; either, when nothing is said.
    smev: Option<bool>,
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
    pub flaw: Option<Refusal>,
}

/// A message of the SMEV 3 exchange, 1.1 to 1.3: a request to it or its answer.
///
/// # Errors
/// What is wrong with the XML or the envelope; `OPERATION_UNKNOWN`; `SIG_MISSING` for an answer
/// that has nothing to sign.
pub fn smev3(document: &[u8]) -> Result<Plan, Refusal> {
    smev3::plan(&Node::document(document, limits())?)
}

/// The same of a message that has been read, by the only child of its `Body`.
///
/// # Errors
/// As [`smev3`], but for the XML and the envelope.
pub fn smev3_of(operation: &Node) -> Result<Plan, Refusal> {
    smev3::plan_of(operation)
}

/// The signature of the exchange in its answer to SendRequest, SendResponse, GetRequest or GetResponse: by
/// it whoever gets the answer knows that the exchange vouches for what is in it.
///
/// # Errors
/// What is wrong with the XML or the envelope; `OPERATION_UNKNOWN`.
pub fn smev3_of_exchange(document: &[u8]) -> Result<Spot, Refusal> {
    let limits = Limits { comments: true, ..Limits::of_ours() };
    smev3::of_exchange(&Node::document(document, limits)?)
}

/// A message of SMEV 2: WS-Security over the body, and an enveloped signature over `AppData` where
/// there is one.
///
/// # Errors
/// What is wrong with the XML, the envelope or its security header; `MESSAGE_EXPIRED`.
pub fn smev2(document: &[u8], at: DateTime<Utc>) -> Result<Plan, Refusal> {
    smev2::plan(&Node::document(document, limits())?, at)
}

/// The same whenever it was or will be sent.
///
/// # Errors
/// As [`smev2`], but for dates.
pub fn smev2_undated(document: &[u8]) -> Result<Plan, Refusal> {
    smev2::undated(&Node::document(document, limits())?)
}

/// Makes a message of SMEV 2 ready to be signed by the system of this certificate, DER: a security
/// header, an id of the body. Gives the message and where the signature goes.
///
/// # Errors
/// What is wrong with the XML or the envelope; `SIG_STRUCTURE` when it has such a header.
pub fn smev2_prepared(document: &[u8], certificate: &[u8]) -> Result<(Vec<u8>, Spot), Refusal> {
    smev2::prepared(document, &Node::document(document, limits())?, certificate)
}

/// Where an official's signature goes in a message of SMEV 2: into its `AppData`.
///
/// # Errors
/// What is wrong with the XML or the envelope; `SIG_COVERAGE` without exactly one `AppData`.
pub fn smev2_personal(document: &[u8]) -> Result<Spot, Refusal> {
    smev2::unsigned_personal(&Node::document(document, limits())?)
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

/// Where the signature of [`detached`] goes in a message that has none yet: into the second child of
/// the operation, which must be empty.
///
/// # Errors
/// What is wrong with the XML or the envelope; `OPERATION_UNKNOWN`; `SIG_STRUCTURE` without two
/// children.
pub fn unsigned(document: &[u8], namespace: &str, local: &str) -> Result<Spot, Refusal> {
    let root = Node::document(document, limits())?;
    let operation = operation(&root)?;
    if !operation.is(namespace, local) {
        return Err(RefusalCode::OperationUnknown.into());
    }
    let path = operation_path(operation);
    match operation.children.as_slice() {
        [signed, holder] if holder.children.is_empty() => {
            Ok(Spot::new(Role::System, below(&path, signed), below(&path, holder)))
        }
        _ => Err(Refusal::new(RefusalCode::SigStructure).at(operation.place)),
    }
}

/// Limits of messages, which are small and in memory: instructions may stand in them, and a file
/// in base64 is one text.
pub fn limits() -> Limits {
    Limits { instructions: 1024, text: 16 << 20, ..Limits::default() }
}

impl Spot {
    fn new(role: Role, signed: Path, holder: Path) -> Self {
        Self {
            role,
            signed,
            holder,
            shared: false,
            id_namespace: "",
            whole: false,
            tokens: None,
            smev: None,
        }
    }

    /// Judges the structure of the signature and compares its digest.
    ///
    /// # Errors
    /// `SIG_…`, with the place where one can be told.
    pub fn verify(&self, document: &[u8], limits: Limits) -> Result<EnvelopedSignature, Refusal> {
        let (signed, holder) = (names(&self.signed), names(&self.holder));
        let place = Detached { signed: &signed, holder: &holder };
        let placement = self.placement();
        let Some(tokens) = &self.tokens else {
            let signature = verify_detached(document, place, placement, limits)?;
            return self.transformed(signature);
        };
        let (mut signature, id) = verify_with_token(document, place, placement, limits)?;
        signature.certificates = vec![of_token(tokens, &id)?];
        self.transformed(signature)
    }

    /// The signature, if its transforms are those of the shape.
    fn transformed(&self, signature: EnvelopedSignature) -> Result<EnvelopedSignature, Refusal> {
        let what = match (self.smev, signature.profile.form.smev) {
            (Some(true), false) => "нет преобразования СМЭВ",
            (Some(false), true) => "преобразования СМЭВ здесь быть не должно",
            _ => return Ok(signature),
        };
        Err(Refusal::new(RefusalCode::SigTransform).detail(what))
    }

    /// Signs what must be signed; the signature becomes the last child of its holder.
    ///
    /// # Errors
    /// The document lacks the element, its id or the holder, or what `sign` gives.
    pub fn sign<E>(
        &self,
        document: &[u8],
        recipe: &Recipe,
        certificates: &[Vec<u8>],
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, SignError<E>> {
        let (signed, holder) = (names(&self.signed), names(&self.holder));
        let place = Detached { signed: &signed, holder: &holder };
        let token = self.tokens.as_ref().and_then(|tokens| tokens.first());
        let key_info =
            token.map_or(KeyInfo::Certificates(certificates), |(id, _)| KeyInfo::Token(id));
        sign_detached(document, place, self.placement(), recipe, key_info, sign)
    }

    /// The signature of a document as a whole, a child of its root, whose name is given.
    pub fn of_root(namespace: &str, local: &str) -> Self {
        let root = vec![(namespace.to_owned(), local.to_owned())];
        Self { shared: true, whole: true, ..Self::new(Role::System, root.clone(), root) }
    }

    /// Reads what the signature says, before anything of it is compared.
    ///
    /// # Errors
    /// What is wrong with its structure or with what it refers to.
    pub fn look(&self, document: &[u8], limits: Limits) -> Result<Look, Refusal> {
        let (signed, holder) = (names(&self.signed), names(&self.holder));
        let place = Detached { signed: &signed, holder: &holder };
        let mut look = look(document, place, self.placement(), limits)?;
        if let (Some(id), Some(tokens)) = (&look.token, &self.tokens) {
            look.signature.certificates = vec![of_token(tokens, id)?];
        }
        Ok(look)
    }

    /// The octets that are hashed of what must be signed.
    ///
    /// # Errors
    /// What is wrong with the document; `SIG_C14N`.
    pub fn octets(
        &self,
        document: &[u8],
        enveloped: bool,
        limits: Limits,
        form: &Form,
    ) -> Result<Vec<u8>, Refusal> {
        let (signed, holder) = (names(&self.signed), names(&self.holder));
        octets_of(document, &signed, enveloped.then_some(&holder[..]), limits, form)
    }

    /// The same signature over another element.
    #[must_use]
    pub fn signing(&self, signed: Path) -> Self {
        Self { signed, ..self.clone() }
    }

    /// Names from the root to what must be signed.
    pub fn signed_names(&self) -> Vec<Name<'_>> {
        names(&self.signed)
    }

    /// Names from the root to what holds the signature.
    pub fn holder_names(&self) -> Vec<Name<'_>> {
        names(&self.holder)
    }

    fn placement(&self) -> Placement<'_> {
        let Self { shared, id_namespace, whole, .. } = *self;
        Placement { shared, id_namespace, whole }
    }
}

/// The certificate of the only token with this id.
fn of_token(tokens: &[(String, Vec<u8>)], id: &str) -> Result<Vec<u8>, Refusal> {
    let mut found = tokens.iter().filter(|(token, _)| token == id);
    match (found.next(), found.next()) {
        (Some((_, certificate)), None) => Ok(certificate.clone()),
        (Some(_), Some(_)) => Err(RefusalCode::SigDuplicateId.into()),
        (None, _) => {
            let what = "токена с Id, на который ссылается KeyInfo, в заголовке нет";
            Err(Refusal::new(RefusalCode::SigKeyInfo).detail(what))
        }
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
