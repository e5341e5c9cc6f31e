//! Making signatures to the profile that [`super::verify_enveloped`] and [`super::verify_detached`] accept.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::algorithm::{ENVELOPED, EXCLUSIVE, SMEV, SignatureAlgorithm, digest_uri, method_uri};
use super::detached::{Detached, Placement, Track};
use super::octets::Octets;
use super::{DSIG, DigestAlgorithm, WSSE, X509_TOKEN};
use crate::codec::digest::Digest;
use crate::codec::form::{Form, FormWriter, octets};
use crate::codec::xml::{Event, Limits, Reader, Start, escape_attribute};
use crate::model::refusal::{Refusal, RefusalCode};

/// Why a document was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError<E> {
    /// The document is not one that can be signed.
    #[error("the document cannot be signed")]
    Document(#[source] Refusal),
    /// The key did not sign.
    #[error("the key did not sign")]
    Key(#[source] E),
}

/// How a signature is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// How the value is made.
    pub algorithm: SignatureAlgorithm,
    /// Hash of the reference.
    pub digest: DigestAlgorithm,
    /// What is hashed of the signed element. A list of prefixes is not written: it must be empty.
    pub form: Form,
}

impl Recipe {
    /// Exclusive canonicalisation and the hash that goes with the algorithm.
    pub fn new(algorithm: SignatureAlgorithm) -> Self {
        Self { algorithm, digest: algorithm.digest(), form: Form::default() }
    }

    /// The same with the transform of SMEV.
    #[must_use]
    pub fn smev(mut self) -> Self {
        self.form.smev = true;
        self
    }

    /// Identifiers of the transforms.
    fn transforms(&self, enveloped: bool) -> Vec<&'static str> {
        let mut transforms = vec![method_uri(&self.form.method)];
        if enveloped {
            transforms.insert(0, ENVELOPED);
        }
        if self.form.smev {
            transforms.push(SMEV);
        }
        transforms
    }
}

/// Where the certificate of a signature is told.
#[derive(Clone, Copy, Debug)]
pub enum KeyInfo<'a> {
    /// In the signature, DER: the signer's first, then those of authorities that lead to an anchor.
    Certificates(&'a [Vec<u8>]),
    /// In a token of the same security header, by its id.
    Token(&'a str),
}

impl KeyInfo<'_> {
    /// The content of `ds:KeyInfo`.
    fn markup(self) -> String {
        match self {
            Self::Certificates(chain) => {
                let mut data = String::new();
                for der in chain {
                    let text = STANDARD.encode(der);
                    data.extend(["<ds:X509Certificate>", &text, "</ds:X509Certificate>"]);
                }
                format!("<ds:X509Data>{data}</ds:X509Data>")
            }
            Self::Token(id) => format!(
                "<wsse:SecurityTokenReference xmlns:wsse=\"{WSSE}\"><wsse:Reference URI=\"#{id}\" \
                 ValueType=\"{X509_TOKEN}\"/></wsse:SecurityTokenReference>"
            ),
        }
    }
}

/// Where the signature goes, and what it says.
struct Plan {
    /// Byte of the document where the signature is put in.
    at: usize,
    /// An empty-element tag begins there, which must be opened first.
    empty: bool,
    uri: String,
    digest: Vec<u8>,
}

/// Signs a document as a whole: `ds:Signature` becomes the last child of the root.
/// The reference is the root's `Id`, `ID` or `id`, or `""` when it has none. `sign` gets the
/// canonical `SignedInfo` and gives the raw value.
pub fn sign_enveloped<E>(
    xml: &[u8],
    recipe: &Recipe,
    certificates: &[Vec<u8>],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, SignError<E>> {
    let plan = plan_enveloped(xml, recipe).map_err(SignError::Document)?;
    put(xml, &plan, true, recipe, KeyInfo::Certificates(certificates), sign)
}

/// The signature of a document read once in constant memory, and the byte of the document where
/// it is to be put in. The root must not be an empty-element tag. Otherwise as [`sign_enveloped`].
pub fn enveloped_signature<E>(
    xml: impl Read,
    recipe: &Recipe,
    certificates: &[Vec<u8>],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<(u64, String), SignError<E>> {
    let plan = plan_enveloped(xml, recipe).map_err(SignError::Document)?;
    if plan.empty {
        return Err(SignError::Document(RefusalCode::SigStructure.into()));
    }
    let text = signature(&plan, true, recipe, KeyInfo::Certificates(certificates), sign)?;
    Ok((plan.at as u64, text))
}

/// Signs one element of a message: `ds:Signature` becomes the last child of the holder. The signed
/// element must have an id as `placement` says; a holder that is the signed element itself is left
/// out of what is signed only as far as the signature goes (`enveloped`).
pub fn sign_detached<E>(
    xml: &[u8],
    place: Detached<'_>,
    placement: Placement<'_>,
    recipe: &Recipe,
    key_info: KeyInfo<'_>,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, SignError<E>> {
    let plan = plan_detached(xml, place, placement, recipe).map_err(SignError::Document)?;
    put(xml, &plan, place.signed == place.holder, recipe, key_info, sign)
}

fn plan_enveloped(xml: impl Read, recipe: &Recipe) -> Result<Plan, Refusal> {
    let mut reader = Reader::new(xml, Limits::default());
    let mut writer = FormWriter::for_signing(recipe.digest, &recipe.form);
    let (mut uri, mut begin, mut end) = (String::new(), 0, 0);
    loop {
        let (event, at) = reader.step()?;
        match &event {
            Event::Start(start) if start.depth() == 1 => {
                uri = id(*start).map(|id| format!("#{id}")).unwrap_or_default();
                begin = at.place().offset;
            }
            Event::Start(start) if start.is(DSIG, "Signature") => {
                return Err(RefusalCode::SigStructure.into());
            }
            Event::End(tag) if tag.depth() == 1 => end = at.place().offset,
            Event::Eof => break,
            _ => {}
        }
        writer.event(&event, at)?;
    }
    let digest = writer.finish();
    Ok(Plan { at: index(end)?, empty: begin == end, uri, digest })
}

fn plan_detached(
    xml: &[u8],
    place: Detached<'_>,
    placement: Placement<'_>,
    recipe: &Recipe,
) -> Result<Plan, Refusal> {
    let mut reader = Reader::new(xml, Limits::of_ours());
    let (mut signed, mut holder) = (Track::of(place.signed), Track::of(place.holder));
    let mut hash = Digest::new(recipe.digest);
    let mut octets = Octets::new(&mut hash, place.signed, None, &recipe.form);
    let (mut target, mut begin, mut end) = (None, 0, None);
    loop {
        let (event, at) = reader.step()?;
        signed.event(&event);
        holder.event(&event);
        octets.event(&event, at)?;
        match event {
            Event::Start(start) => {
                if signed.is_there() {
                    let id = || id_in(start, placement.id_namespace).map(|id| format!("#{id}"));
                    target.get_or_insert_with(id);
                }
                if holder.is_there() && end.is_none() {
                    begin = at.place().offset;
                }
            }
            // The first of several of one name, as in verification.
            Event::End(_) if holder.is_there() && end.is_none() => {
                end = Some(at.place().offset);
            }
            Event::Eof => break,
            _ => {}
        }
    }
    let uri = target.flatten().ok_or(RefusalCode::SigReference)?;
    let end = end.ok_or_else(|| {
        let name = place.holder.last().map_or("", |name| name.1);
        let what = format!("в сообщении нет места для подписи: поставьте пустой элемент {name}");
        Refusal::new(RefusalCode::SigMissing).detail(what)
    })?;
    Ok(Plan { at: index(end)?, empty: begin == end, uri, digest: hash.finish() })
}

fn id(start: Start<'_>) -> Option<&str> {
    id_in(start, "")
}

fn id_in<'a>(start: Start<'a>, namespace: &str) -> Option<&'a str> {
    ["Id", "ID", "id"].iter().find_map(|name| start.attribute(namespace, name))
}

/// A byte offset of a document in memory.
fn index(offset: u64) -> Result<usize, Refusal> {
    usize::try_from(offset).map_err(|_| RefusalCode::LimitBytes.into())
}

fn put<E>(
    xml: &[u8],
    plan: &Plan,
    enveloped: bool,
    recipe: &Recipe,
    key_info: KeyInfo<'_>,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, SignError<E>> {
    let signature = signature(plan, enveloped, recipe, key_info, sign)?;
    let mut signed = Vec::with_capacity(xml.len() + signature.len() + 256);
    if !plan.empty {
        signed.extend_from_slice(&xml[..plan.at]);
        signed.extend_from_slice(signature.as_bytes());
        signed.extend_from_slice(&xml[plan.at..]);
        return Ok(signed);
    }
    let slash = empty_tag_slash(xml, plan.at);
    let name = xml[plan.at + 1..slash].split(u8::is_ascii_whitespace).next().unwrap_or_default();
    signed.extend_from_slice(&xml[..slash]);
    signed.push(b'>');
    signed.extend_from_slice(signature.as_bytes());
    signed.extend_from_slice(b"</");
    signed.extend_from_slice(name);
    signed.extend_from_slice(&xml[slash + 1..]);
    Ok(signed)
}

/// The `ds:Signature` element.
fn signature<E>(
    plan: &Plan,
    enveloped: bool,
    recipe: &Recipe,
    key_info: KeyInfo<'_>,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, SignError<E>> {
    let signed_info = signed_info(plan, enveloped, recipe);
    let alone = signed_info.replacen('>', &format!(" xmlns:ds=\"{DSIG}\">"), 1);
    let canonical = octets(alone.as_bytes(), &Form::default()).map_err(SignError::Document)?;
    let value = STANDARD.encode(sign(&canonical).map_err(SignError::Key)?);
    Ok(format!(
        "<ds:Signature xmlns:ds=\"{DSIG}\">{signed_info}<ds:SignatureValue>{value}</ds:SignatureValue>\
         <ds:KeyInfo>{}</ds:KeyInfo></ds:Signature>",
        key_info.markup()
    ))
}

/// The slash of the empty-element tag that begins at `begin`: the first outside quotes.
fn empty_tag_slash(xml: &[u8], begin: usize) -> usize {
    let mut quote = None;
    for (at, &byte) in xml.iter().enumerate().skip(begin) {
        match quote {
            None if byte == b'/' => return at,
            None if byte == b'"' || byte == b'\'' => quote = Some(byte),
            Some(open) if open == byte => quote = None,
            _ => {}
        }
    }
    xml.len()
}

/// `SignedInfo` as it stands in the document, its namespace declared above.
fn signed_info(plan: &Plan, enveloped: bool, recipe: &Recipe) -> String {
    let mut uri = String::new();
    escape_attribute(&plan.uri, &mut uri);
    let mut wanted = String::new();
    for transform in recipe.transforms(enveloped) {
        wanted.extend(["<ds:Transform Algorithm=\"", transform, "\"/>"]);
    }
    format!(
        "<ds:SignedInfo><ds:CanonicalizationMethod Algorithm=\"{EXCLUSIVE}\"/>\
         <ds:SignatureMethod Algorithm=\"{}\"/><ds:Reference URI=\"{uri}\"><ds:Transforms>{wanted}\
         </ds:Transforms><ds:DigestMethod Algorithm=\"{}\"/><ds:DigestValue>{}</ds:DigestValue>\
         </ds:Reference></ds:SignedInfo>",
        recipe.algorithm.uri(),
        digest_uri(recipe.digest),
        STANDARD.encode(&plan.digest),
    )
}
