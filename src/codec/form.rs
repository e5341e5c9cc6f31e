//! What a signature hashes: an element in canonical form, with the transform of SMEV or without.

use super::c14n::{Canonicaliser, Inherited, Method, Sink};
use super::digest::{Digest, DigestAlgorithm};
use super::smev_transform::SmevTransform;
use super::xml::{At, Event, Limits, Reader};
use crate::model::refusal::{Refusal, RefusalCode};

/// Namespace of signatures.
const SIGNATURES: &str = "http://www.w3.org/2000/09/xmldsig#";

/// How an element becomes octets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Canonicalisation.
    pub method: Method,
    /// Whether the transform of SMEV follows.
    pub smev: bool,
}

/// Writes events in a form. Either half sees whole elements, from their start tag to their end.
pub struct FormWriter<S>(Half<S>);

enum Half<S> {
    Canonical(Canonicaliser<S>),
    Smev(SmevTransform<S>),
}

impl<S: Sink> FormWriter<S> {
    /// Begins at the start tag that comes first.
    pub fn new(sink: S, form: &Form) -> Self {
        Self(if form.smev {
            Half::Smev(SmevTransform::new(sink))
        } else {
            Half::Canonical(Canonicaliser::new(sink, form.method.clone()))
        })
    }

    /// Begins at an element inside another.
    ///
    /// # Errors
    /// `SIG_C14N` when what stands above has no canonical form here.
    pub fn within(sink: S, form: &Form, above: &Inherited) -> Result<Self, Refusal> {
        if form.smev {
            return Ok(Self::new(sink, form));
        }
        let canonicaliser = Canonicaliser::within(sink, form.method.clone(), above);
        canonicaliser
            .map(|inner| Self(Half::Canonical(inner)))
            .map_err(|error| Refusal::new(RefusalCode::SigC14n).detail(error.to_string()))
    }

    /// Writes an event.
    ///
    /// # Errors
    /// `SIG_C14N` with the place, for content that has no such form.
    #[inline]
    pub fn event(&mut self, event: &Event<'_>, at: At<'_>) -> Result<(), Refusal> {
        match &mut self.0 {
            Half::Canonical(canonicaliser) => {
                canonicaliser.event(event, at);
                Ok(())
            }
            Half::Smev(transform) => transform.event(event).map_err(|unfit| {
                Refusal::new(RefusalCode::SigC14n).detail(unfit.to_string()).at(at.place())
            }),
        }
    }

    /// Writes what is due, before events that are not to be written.
    pub fn pause(&mut self, at: At<'_>) {
        if let Half::Canonical(canonicaliser) = &mut self.0 {
            canonicaliser.pause(at);
        }
    }

    /// Writes bytes that are in the form already.
    pub fn raw(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Half::Canonical(canonicaliser) => canonicaliser.raw(bytes),
            Half::Smev(_) => {}
        }
    }

    /// Hands the sink back.
    pub fn into_sink(self) -> S {
        match self.0 {
            Half::Canonical(canonicaliser) => canonicaliser.into_sink(),
            Half::Smev(transform) => transform.into_sink(),
        }
    }
}

impl FormWriter<Digest> {
    /// Begins a hash of the form.
    pub fn hashing(algorithm: DigestAlgorithm, form: &Form) -> Self {
        Self::new(Digest::new(algorithm), form)
    }

    /// Ends the hash.
    pub fn finish(self) -> Vec<u8> {
        self.into_sink().finish()
    }
}

/// Writes the root element of a document in a form, in constant memory.
///
/// # Errors
/// What is wrong with the document, or `SIG_C14N`.
pub fn write_form(
    document: impl std::io::Read,
    limits: Limits,
    form: &Form,
    sink: impl Sink,
) -> Result<(), Refusal> {
    let mut reader = Reader::new(document, limits);
    let mut writer = FormWriter::new(sink, form);
    let mut inside = false;
    loop {
        let (event, at) = reader.step()?;
        match &event {
            Event::Eof => return Ok(()),
            Event::Instruction(_) if !inside => continue,
            Event::Start(_) => inside = true,
            Event::End(end) if end.depth() == 1 => inside = false,
            _ => {}
        }
        writer.event(&event, at)?;
    }
}

/// Which element of a document is to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Element<'a> {
    /// The element of this `Id`, whatever its case; the root by default.
    pub id: Option<&'a str>,
    /// Without the signatures that are its children (`enveloped-signature`).
    pub unsigned: bool,
}

/// Writes one element of a document in a form, in constant memory.
///
/// # Errors
/// What is wrong with the document, `SIG_C14N`; `SIG_REFERENCE` when there is no such element.
pub fn write_chosen(
    document: impl std::io::Read,
    limits: Limits,
    form: &Form,
    chosen: Element<'_>,
    sink: impl Sink,
) -> Result<(), Refusal> {
    let mut reader = Reader::new(document, limits);
    let mut inherited = Inherited::default();
    let mut sink = Some(sink);
    let mut writer = None;
    // Depths of the element, and of a signature in it that is left out.
    let (mut inside, mut leaving) = (None, None);
    loop {
        let (event, at) = reader.step()?;
        if let Event::Start(start) = &event
            && writer.is_none()
        {
            let named = |id: &str| {
                let mut ids = start.attributes().filter(|a| a.local.eq_ignore_ascii_case("id"));
                ids.any(|attribute| attribute.value == id)
            };
            if chosen.id.is_none_or(named)
                && let Some(sink) = sink.take()
            {
                inside = Some(start.depth());
                writer = Some(FormWriter::within(sink, form, &inherited)?);
            }
        }
        let (Some(depth), Some(writer)) = (inside, &mut writer) else {
            inherited.event(&event);
            match event {
                Event::Eof if sink.is_some() => return Err(RefusalCode::SigReference.into()),
                Event::Eof => return Ok(()),
                _ => continue,
            }
        };
        match &event {
            Event::Start(start)
                if chosen.unsigned
                    && leaving.is_none()
                    && start.depth() == depth + 1
                    && start.is(SIGNATURES, "Signature") =>
            {
                writer.pause(at);
                leaving = Some(start.depth());
            }
            Event::End(end) if leaving == Some(end.depth()) => leaving = None,
            _ if leaving.is_some() => {}
            event => writer.event(event, at)?,
        }
        if matches!(&event, Event::End(end) if end.depth() == depth) {
            inside = None;
        }
    }
}

/// The root element of a document in memory, in the form that it has inside another document, whose
/// attributes of the prefix `xml` are given. Its text may be of any length.
///
/// # Errors
/// Those of [`write_form`].
pub fn octets_within(document: &[u8], form: &Form, above: &Inherited) -> Result<Vec<u8>, Refusal> {
    let limits = Limits { text: u64::MAX, ..Limits::of_ours() };
    let mut reader = Reader::new(document, limits);
    let mut writer = FormWriter::within(Vec::new(), form, above)?;
    loop {
        let (event, at) = reader.step()?;
        if matches!(event, Event::Eof) {
            return Ok(writer.into_sink());
        }
        writer.event(&event, at)?;
    }
}

/// The root element of a document in memory, in a form. Its text may be of any length.
///
/// # Errors
/// Those of [`write_form`].
pub fn octets(document: &[u8], form: &Form) -> Result<Vec<u8>, Refusal> {
    let limits = Limits { instructions: u32::MAX, text: u64::MAX, ..Limits::default() };
    let mut octets = Vec::new();
    write_form(document, limits, form, &mut octets)?;
    Ok(octets)
}
