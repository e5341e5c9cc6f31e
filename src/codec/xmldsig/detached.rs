//! A signature beside what it signs, in one message: the way of SMEV. Messages are small and in memory.

use super::grammar::{Grammar, Ids, Parsed};
use super::{DSIG, EXCLUSIVE, EnvelopedSignature};
use crate::codec::c14n::{Canonicaliser, Digest, DigestAlgorithm};
use crate::codec::xml::{Event, Limits, Reader};
use crate::model::refusal::{Refusal, RefusalCode};

/// A name with its namespace.
type Name<'a> = (&'a str, &'a str);

/// Where the signed element and its signature stand: names from the root, namespace first.
/// The target of the signature is bound to this path, never searched by id alone.
#[derive(Clone, Copy, Debug)]
pub struct Detached<'a> {
    /// The signed element, which has an `Id`.
    pub signed: &'a [Name<'a>],
    /// The element that holds `ds:Signature` and nothing else.
    pub holder: &'a [Name<'a>],
}

/// Follows the names of open elements; an element counts as open through its end tag.
#[derive(Default)]
pub(super) struct Path {
    names: Vec<(String, String)>,
    ended: bool,
}

impl Path {
    pub(super) fn event(&mut self, event: &Event<'_>) {
        if std::mem::take(&mut self.ended) {
            self.names.pop();
        }
        match event {
            Event::Start(start) => {
                self.names.push((start.namespace().to_owned(), start.local().to_owned()));
            }
            Event::End(_) => self.ended = true,
            Event::Text(_) | Event::Eof => {}
        }
    }

    pub(super) fn is(&self, path: &[Name<'_>]) -> bool {
        self.names.len() == path.len() && self.within(path)
    }

    fn is_child_of(&self, path: &[Name<'_>]) -> bool {
        self.names.len() == path.len() + 1 && self.within(path)
    }

    /// Says whether the path is this one or leads on from it.
    fn within(&self, path: &[Name<'_>]) -> bool {
        let mut names = self.names.iter().map(|(namespace, local)| (&**namespace, &**local));
        path.iter().all(|&name| names.next() == Some(name))
    }
}

/// Judges the structure of a detached signature and compares its digest. Its one reference must be the
/// `Id` of the signed element and its only transform exclusive canonicalisation; the transform of SMEV takes its
/// place beside it when it comes.
pub fn verify_detached(
    document: &[u8],
    place: Detached<'_>,
    limits: Limits,
) -> Result<EnvelopedSignature, Refusal> {
    let ids = signed_ids(document, place, limits)?;
    let parsed = signature(document, place, limits, ids)?;
    if parsed.transforms != [EXCLUSIVE] {
        return Err(RefusalCode::SigTransform.into());
    }
    let digest = digest_of(document, place, limits, parsed.digest, parsed.prefixes)?;
    if digest != parsed.digest_value {
        return Err(RefusalCode::SigDigest.into());
    }
    Ok(EnvelopedSignature {
        signed_info: parsed.signed_info,
        algorithm: parsed.algorithm,
        value: parsed.value,
        certificates: parsed.certificates,
        digest,
    })
}

/// Ids of the document with that of the signed element, which must stand once.
fn signed_ids(document: &[u8], place: Detached<'_>, limits: Limits) -> Result<Ids, Refusal> {
    let mut found = None;
    let mut reader = Reader::new(document, limits);
    let mut path = Path::default();
    loop {
        let event = reader.next()?;
        path.event(&event);
        match event {
            Event::Start(start) if path.is(place.signed) => {
                if found.is_some() {
                    return Err(Refusal::new(RefusalCode::SigWrapping).at(start.place()));
                }
                found = Some(Ids::of(start)?);
            }
            Event::Eof => return found.ok_or_else(|| RefusalCode::SigCoverage.into()),
            _ => {}
        }
    }
}

/// Reads the signature at its place and judges what it refers to.
fn signature(
    document: &[u8],
    place: Detached<'_>,
    limits: Limits,
    mut ids: Ids,
) -> Result<Parsed, Refusal> {
    let mut reader = Reader::new(document, limits);
    let mut path = Path::default();
    let mut parsed = None;
    let mut elsewhere = false;
    loop {
        let (event, at) = reader.step()?;
        path.event(&event);
        let start = match event {
            Event::Start(start) => start,
            Event::Text(text) if path.is(place.holder) && !text.trim_ascii().is_empty() => {
                return Err(Refusal::new(RefusalCode::SigStructure).at(at.place()));
            }
            Event::Eof => break,
            _ => continue,
        };
        if !path.is(place.signed) {
            ids.see(start)?;
        }
        let held = path.is_child_of(place.holder);
        if start.is(DSIG, "Signature") && held && parsed.is_none() {
            parsed = Some(Grammar::read(&mut reader, &mut ids)?);
            path.ended = true;
        } else if held {
            return Err(Refusal::new(RefusalCode::SigStructure).at(start.place()));
        } else if start.is(DSIG, "Signature") {
            // Inside the signed content it is that content's own affair.
            elsewhere |= !path.within(place.signed);
        }
    }
    let missing = if elsewhere { RefusalCode::SigWrapping } else { RefusalCode::SigMissing };
    let parsed = parsed.ok_or(missing)?;
    ids.judge(&parsed.uri, false)?;
    Ok(parsed)
}

/// The digest of the signed element.
pub(super) fn digest_of(
    document: &[u8],
    place: Detached<'_>,
    limits: Limits,
    algorithm: DigestAlgorithm,
    prefixes: Vec<String>,
) -> Result<Vec<u8>, Refusal> {
    let mut reader = Reader::new(document, limits);
    let mut path = Path::default();
    let mut canonicaliser = Canonicaliser::with_prefixes(Digest::new(algorithm), prefixes);
    loop {
        let (event, at) = reader.step()?;
        path.event(&event);
        match &event {
            Event::Eof => return Ok(canonicaliser.into_sink().finish()),
            event if path.within(place.signed) => canonicaliser.event(event, at),
            _ => {}
        }
    }
}
