//! A signature at a place of its own in a message, bound to the element that it must sign: the way
//! of SMEV. Messages are small and in memory.

use super::grammar::Grammar;
use super::ids::Ids;
use super::octets::Octets;
use super::parsed::{Parsed, has_token};
use super::{DSIG, EnvelopedSignature, Profile};
use crate::codec::c14n::{Inherited, Sink};
use crate::codec::digest::{Digest, DigestAlgorithm};
use crate::codec::form::Form;
use crate::codec::xml::{Event, Limits, Reader};
use crate::model::refusal::{Refusal, RefusalCode};

/// A name with its namespace.
pub type Name<'a> = (&'a str, &'a str);

/// Where the signed element and its signature stand: names from the root, namespace first.
/// The target of the signature is bound to this path, never searched by id alone.
#[derive(Clone, Copy, Debug)]
pub struct Detached<'a> {
    /// The signed element, which has an id.
    pub signed: &'a [Name<'a>],
    /// The element that holds `ds:Signature`.
    pub holder: &'a [Name<'a>],
}

/// What else a shape says of its signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placement<'a> {
    /// The holder may hold other elements too.
    pub shared: bool,
    /// Namespace of the attribute that is the id of the signed element; none by default.
    pub id_namespace: &'a str,
    /// The reference may be to the document as a whole.
    pub whole: bool,
}

/// Follows whether the open elements are those of a path; an element counts as open through its end
/// tag.
pub(super) struct Track<'a> {
    path: &'a [Name<'a>],
    depth: usize,
    /// How many names of the path the open elements have.
    matched: usize,
    ended: bool,
}

impl<'a> Track<'a> {
    pub(super) fn of(path: &'a [Name<'a>]) -> Self {
        Self { path, depth: 0, matched: 0, ended: false }
    }

    pub(super) fn event(&mut self, event: &Event<'_>) {
        if std::mem::take(&mut self.ended) {
            self.depth -= 1;
            self.matched = self.matched.min(self.depth);
        }
        match event {
            Event::Start(start) => {
                let next = self.path.get(self.depth).filter(|_| self.matched == self.depth);
                if next.is_some_and(|&(namespace, local)| start.is(namespace, local)) {
                    self.matched += 1;
                }
                self.depth += 1;
            }
            Event::End(_) => self.ended = true,
            Event::Text(_) | Event::Instruction(_) | Event::Eof => {}
        }
    }

    /// Whether the innermost open element is that of the path.
    pub(super) fn is_there(&self) -> bool {
        self.within() && self.depth == self.path.len()
    }

    /// Whether the parent of the innermost open element is that of the path.
    pub(super) fn is_below(&self) -> bool {
        self.within() && self.depth == self.path.len() + 1
    }

    /// Whether the element of the path is open.
    pub(super) fn within(&self) -> bool {
        self.matched == self.path.len()
    }

    /// The innermost open element has been read through its end tag by somebody else.
    fn end(&mut self) {
        self.ended = true;
    }
}

/// Judges the structure of a detached signature and compares its digest. Its one reference must be
/// the id of the signed element.
pub fn verify_detached(
    document: &[u8],
    place: Detached<'_>,
    placement: Placement<'_>,
    limits: Limits,
) -> Result<EnvelopedSignature, Refusal> {
    let (parsed, (enveloped, form)) = found(document, place, placement, limits)?;
    if parsed.token.is_some() {
        return Err(has_token());
    }
    let leave_out = enveloped.then_some(place.holder);
    let digest = digest_of(document, place.signed, leave_out, limits, parsed.digest, &form)?;
    let profile = Profile { digest: parsed.digest, form, document: false };
    parsed.signed(digest, profile)
}

/// [`verify_detached`] where the certificate is in a token of the same header; gives its id.
pub fn verify_with_token(
    document: &[u8],
    place: Detached<'_>,
    placement: Placement<'_>,
    limits: Limits,
) -> Result<(EnvelopedSignature, String), Refusal> {
    let (mut parsed, (enveloped, form)) = found(document, place, placement, limits)?;
    let token = parsed.token.take().ok_or_else(|| {
        let what =
            "нужна wsse:SecurityTokenReference на wsse:BinarySecurityToken того же заголовка";
        Refusal::new(RefusalCode::SigKeyInfo).detail(what)
    })?;
    let leave_out = enveloped.then_some(place.holder);
    let digest = digest_of(document, place.signed, leave_out, limits, parsed.digest, &form)?;
    let profile = Profile { digest: parsed.digest, form, document: false };
    parsed.signed(digest, profile).map(|signature| (signature, token))
}

/// What a signature says, before anything of it is compared: for those who want to know why it is
/// refused.
#[derive(Clone, Debug)]
pub struct Look {
    /// The signature; `digest` is the one it claims.
    pub signature: EnvelopedSignature,
    /// What it refers to.
    pub uri: String,
    /// It leaves itself out of what it signs.
    pub enveloped: bool,
    /// Id of the token that has its certificate.
    pub token: Option<String>,
}

/// Reads a signature and judges its structure and where it refers to.
///
/// # Errors
/// As [`verify_detached`], but for a digest.
pub fn look(
    document: &[u8],
    place: Detached<'_>,
    placement: Placement<'_>,
    limits: Limits,
) -> Result<Look, Refusal> {
    let (mut parsed, (enveloped, form)) = found(document, place, placement, limits)?;
    let profile = Profile { digest: parsed.digest, form, document: false };
    let (uri, token) = (std::mem::take(&mut parsed.uri), parsed.token.take());
    let claimed = parsed.digest_value.clone();
    Ok(Look { signature: parsed.signed(claimed, profile)?, uri, enveloped, token })
}

/// The octets that are hashed of an element, the signature in `leave_out` excepted.
///
/// # Errors
/// What is wrong with the document; `SIG_C14N`.
pub fn octets_of(
    document: &[u8],
    signed: &[Name<'_>],
    leave_out: Option<&[Name<'_>]>,
    limits: Limits,
    form: &Form,
) -> Result<Vec<u8>, Refusal> {
    let mut octets = Vec::new();
    write_signed(document, signed, leave_out, limits, form, &mut octets)?;
    Ok(octets)
}

fn found(
    document: &[u8],
    place: Detached<'_>,
    placement: Placement<'_>,
    limits: Limits,
) -> Result<(Parsed, (bool, Form)), Refusal> {
    let parsed = signature(document, place, placement, limits)?;
    let form = parsed.form()?;
    Ok((parsed, form))
}

/// Reads the signature at its place and judges what it refers to: the signed element, which must
/// stand once.
fn signature(
    document: &[u8],
    place: Detached<'_>,
    placement: Placement<'_>,
    limits: Limits,
) -> Result<Parsed, Refusal> {
    let mut reader = Reader::new(document, limits);
    let (mut signed, mut holder) = (Track::of(place.signed), Track::of(place.holder));
    let (mut ids, mut inherited) = (Ids::default(), Inherited::default());
    let (mut parsed, mut elsewhere) = (None, false);
    // The first holder is there, and nothing is in it.
    let mut empty = false;
    loop {
        let (event, at) = reader.step()?;
        signed.event(&event);
        holder.event(&event);
        inherited.event(&event);
        let start = match event {
            Event::Start(start) => start,
            Event::Text(text) if holder.is_there() && !text.trim_ascii().is_empty() => {
                if placement.shared {
                    continue;
                }
                let what = "рядом с ds:Signature стоит текст";
                return Err(Refusal::new(RefusalCode::SigStructure).at(at.place()).detail(what));
            }
            Event::Eof => break,
            _ => continue,
        };
        if signed.is_there() {
            ids.target(start, placement.id_namespace)?;
        } else {
            ids.see(start)?;
        }
        let held = holder.is_below();
        empty = holder.is_there() || (empty && !held);
        let signature = start.is(DSIG, "Signature");
        if signature && held && parsed.is_none() {
            parsed = Some(Grammar::read(&mut reader, &mut ids, &inherited)?);
            signed.end();
            holder.end();
        } else if held && (signature || !placement.shared) {
            let what = "рядом с ds:Signature стоит ещё элемент";
            return Err(Refusal::new(RefusalCode::SigStructure).at(start.place()).detail(what));
        } else if signature {
            // Inside the signed content it is that content's own affair.
            elsewhere |= !signed.within();
        }
    }
    if !ids.has_target() {
        let what = "в сообщении нет элемента, который должен быть подписан";
        return Err(Refusal::new(RefusalCode::SigCoverage).detail(what));
    }
    let parsed = parsed.ok_or_else(|| missing(elsewhere, empty))?;
    ids.judge(&parsed.uri, placement.whole)?;
    Ok(parsed)
}

/// Why there is no signature at its place: one stands elsewhere, or nothing is in its holder.
fn missing(elsewhere: bool, empty: bool) -> Refusal {
    match (elsewhere, empty) {
        // Nobody moved a signature away from a place that was left blank.
        (_, true) => Refusal::new(RefusalCode::SigMissing).detail("элемент подписи пуст"),
        (true, _) => {
            let what = "ds:Signature есть, но не на своём месте";
            Refusal::new(RefusalCode::SigWrapping).detail(what)
        }
        _ => RefusalCode::SigMissing.into(),
    }
}

/// The digest of the signed element, its own signature left out when a holder is named. The document
/// must have been read to its end before.
pub(super) fn digest_of(
    document: &[u8],
    signed: &[Name<'_>],
    leave_out: Option<&[Name<'_>]>,
    limits: Limits,
    algorithm: DigestAlgorithm,
    form: &Form,
) -> Result<Vec<u8>, Refusal> {
    let mut hash = Digest::new(algorithm);
    write_signed(document, signed, leave_out, limits, form, &mut hash)?;
    Ok(hash.finish())
}

/// Writes what is hashed of the first such element, its own signature left out when a holder is named;
/// what follows it is not read.
fn write_signed(
    document: &[u8],
    signed: &[Name<'_>],
    leave_out: Option<&[Name<'_>]>,
    limits: Limits,
    form: &Form,
    sink: impl Sink,
) -> Result<(), Refusal> {
    let mut reader = Reader::new(document, limits);
    let mut octets = Octets::new(sink, signed, leave_out, form);
    loop {
        let (event, at) = reader.step()?;
        octets.event(&event, at)?;
        if octets.done() || matches!(event, Event::Eof) {
            return Ok(());
        }
    }
}
