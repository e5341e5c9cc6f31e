//! An element inside `ds:Signature`, with what it may not have.

use super::algorithm::EXCLUSIVE;
use super::{DSIG, WSSE};
use crate::codec::xml::Start;
use crate::model::refusal::{Refusal, RefusalCode};

/// A refusal without its place, or one that has it.
pub(super) enum Fault {
    Code(RefusalCode),
    Told(RefusalCode, String),
    Placed(Refusal),
}

impl Fault {
    /// A refusal that says in Russian what exactly is wrong.
    pub(super) fn told(code: RefusalCode, what: impl Into<String>) -> Self {
        Self::Told(code, what.into())
    }

    /// The same of the structure.
    pub(super) fn structure(what: impl Into<String>) -> Self {
        Self::told(RefusalCode::SigStructure, what)
    }

    /// The same of what leads to the certificate.
    pub(super) fn key_info(what: impl Into<String>) -> Self {
        Self::told(RefusalCode::SigKeyInfo, what)
    }
}

impl From<RefusalCode> for Fault {
    fn from(code: RefusalCode) -> Self {
        Self::Code(code)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Placed(refusal)
    }
}

/// An element inside a signature.
pub(super) struct Child {
    pub(super) name: &'static str,
    pub(super) attributes: Vec<(String, String)>,
}

/// The elements of the grammar; `InclusiveNamespaces` is of another namespace.
const NAMES: [&str; 18] = [
    "SignedInfo",
    "CanonicalizationMethod",
    "SignatureMethod",
    "Reference",
    "Transforms",
    "Transform",
    "DigestMethod",
    "DigestValue",
    "SignatureValue",
    "KeyInfo",
    "X509Data",
    "X509Certificate",
    "X509IssuerSerial",
    "X509IssuerName",
    "X509SerialNumber",
    "X509SubjectName",
    "X509SKI",
    "Object",
];
pub(super) const INCLUSIVE_NAMESPACES: &str = "InclusiveNamespaces";
/// Namespace of WS-Security, and the elements of it that lead to a certificate.
pub(super) const TOKEN_REFERENCE: &str = "SecurityTokenReference";
pub(super) const TOKEN_LINK: &str = "wsse:Reference";
/// An element that is none of these.
const FOREIGN: &str = "";
/// One with a name of these in another namespace, or another name in theirs.
const LOOKALIKE: &str = "?";

impl Child {
    /// Takes the value of an attribute out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.attributes.iter().position(|(attribute, _)| attribute == name)?;
        Some(self.attributes.swap_remove(at).1)
    }

    /// Refuses attributes that were not taken.
    pub(super) fn nothing_else(&self) -> Result<(), Fault> {
        match self.attributes.first() {
            None => Ok(()),
            Some((attribute, _)) => {
                Err(Fault::structure(format!("лишний атрибут {attribute} у {}", self.shown())))
            }
        }
    }

    /// Lets an `Id` be there and nothing else.
    pub(super) fn only_id(mut self) -> Result<(), Fault> {
        self.take("Id");
        self.nothing_else()
    }

    /// What an element is that should not be where it is: something carried in the signature,
    /// or the grammar broken.
    pub(super) fn misplaced(&self) -> Fault {
        let code = match self.name {
            FOREIGN | "Object" => RefusalCode::SigWrapping,
            _ => RefusalCode::SigStructure,
        };
        Fault::told(code, format!("{} здесь быть не может", self.shown()))
    }

    /// The name for people.
    fn shown(&self) -> String {
        match self.name {
            FOREIGN => "элемента другого пространства имён".to_owned(),
            LOOKALIKE => "элемента с чужим именем или пространством имён".to_owned(),
            TOKEN_LINK | INCLUSIVE_NAMESPACES | TOKEN_REFERENCE => self.name.to_owned(),
            name => format!("ds:{name}"),
        }
    }

    /// Takes the identifier of an algorithm, the only attribute.
    pub(super) fn algorithm(&mut self) -> Result<String, Fault> {
        let missing = Fault::structure(format!("у {} нет Algorithm", self.shown()));
        let algorithm = self.take("Algorithm").ok_or(missing)?;
        self.nothing_else().map(|()| algorithm)
    }
}

/// The name of an element of the grammar.
pub(super) fn known_name(start: Start<'_>) -> &'static str {
    let known = NAMES.iter().find(|&&name| name == start.local());
    match (start.namespace(), known) {
        (DSIG, Some(name)) => name,
        (EXCLUSIVE, _) if start.local() == INCLUSIVE_NAMESPACES => INCLUSIVE_NAMESPACES,
        (WSSE, _) if start.local() == TOKEN_REFERENCE => TOKEN_REFERENCE,
        (WSSE, _) if start.local() == "Reference" => TOKEN_LINK,
        (DSIG, None) | (_, Some(_)) => LOOKALIKE,
        _ => FOREIGN,
    }
}
