//! What a signature hashes: an element in canonical form, with the transform of SMEV or without.

use super::c14n::{Canonicaliser, Inherited, Method, Sink};
use super::digest::{Digest, DigestAlgorithm};
use super::smev_transform::SmevTransform;
use super::xml::{At, Event, Limits, Reader, Start};
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

/// How many octets a document may become for each of its own: namespaces are written again wherever
/// they are not in force, which can make a hundred of one.
const MOST_TIMES: u64 = 16;

/// Octets that any document may become.
const SMALL: u64 = 1 << 20;

/// Writes events in a form. Either half sees whole elements, from their start tag to their end.
pub struct FormWriter<S> {
    half: Half<Counted<S>>,
    /// Where in the document it began.
    begun: Option<u64>,
    /// How many octets may come of one.
    times: u64,
}

enum Half<S> {
    Canonical(Canonicaliser<S>),
    Smev(SmevTransform<S>),
}

/// Counts what goes into a sink.
struct Counted<S> {
    sink: S,
    octets: u64,
}

impl<S: Sink> Sink for Counted<S> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.octets += bytes.len() as u64;
        self.sink.write(bytes);
    }
}

impl<S: Sink> FormWriter<S> {
    /// Begins at the start tag that comes first.
    pub fn new(sink: S, form: &Form) -> Self {
        let sink = Counted { sink, octets: 0 };
        Self::begin(if form.smev {
            Half::Smev(SmevTransform::new(sink).whole_texts())
        } else {
            Half::Canonical(Canonicaliser::new(sink, form.method.clone()))
        })
    }

    /// The same for whoever wants the octets of any document, those that no signature may have too.
    pub fn of_any(sink: S, form: &Form) -> Self {
        let sink = Counted { sink, octets: 0 };
        Self::begin(if form.smev {
            Half::Smev(SmevTransform::new(sink))
        } else {
            Half::Canonical(Canonicaliser::new(sink, form.method.clone()))
        })
    }

    fn begin(half: Half<Counted<S>>) -> Self {
        Self { half, begun: None, times: MOST_TIMES }
    }

    /// Begins at an element inside another.
    ///
    /// # Errors
    /// `SIG_C14N` when what stands above has no canonical form here.
    pub fn within(sink: S, form: &Form, above: &Inherited) -> Result<Self, Refusal> {
        if form.smev {
            return Ok(Self::new(sink, form));
        }
        let sink = Counted { sink, octets: 0 };
        let canonicaliser = Canonicaliser::within(sink, form.method.clone(), above);
        canonicaliser
            .map(|inner| Self::begin(Half::Canonical(inner)))
            .map_err(|error| Refusal::new(RefusalCode::SigC14n).detail(error.to_string()))
    }

    /// Writes an event.
    ///
    /// # Errors
    /// `SIG_C14N` with the place, for content that has no such form; `SIG_LIMIT` when the form has many
    /// times the octets of the document.
    #[inline]
    pub fn event(&mut self, event: &Event<'_>, at: At<'_>) -> Result<(), Refusal> {
        let span = at.span();
        let begun = *self.begun.get_or_insert(span.start);
        let octets = match &mut self.half {
            Half::Canonical(canonicaliser) => {
                canonicaliser.event(event, at);
                canonicaliser.sink().octets
            }
            Half::Smev(transform) => {
                transform.event(event).map_err(|unfit| {
                    Refusal::new(RefusalCode::SigC14n).detail(unfit.to_string()).at(at.place())
                })?;
                transform.sink().octets
            }
        };
        // Of what is signed, not of what stands before it.
        if octets > self.times * (span.end - begun) + SMALL {
            return Err(Refusal::new(RefusalCode::SigLimit).at(at.place()));
        }
        Ok(())
    }

    /// Writes what is due, before events that are not to be written.
    pub fn pause(&mut self, at: At<'_>) {
        if let Half::Canonical(canonicaliser) = &mut self.half {
            canonicaliser.pause(at);
        }
    }

    /// Writes bytes that are in the form already.
    pub fn raw(&mut self, bytes: &[u8]) {
        match &mut self.half {
            Half::Canonical(canonicaliser) => canonicaliser.raw(bytes),
            Half::Smev(_) => {}
        }
    }

    /// Hands the sink back.
    pub fn into_sink(self) -> S {
        match self.half {
            Half::Canonical(canonicaliser) => canonicaliser.into_sink().sink,
            Half::Smev(transform) => transform.into_sink().sink,
        }
    }
}

impl FormWriter<Digest> {
    /// Begins a hash of the form.
    pub fn hashing(algorithm: DigestAlgorithm, form: &Form) -> Self {
        Self::new(Digest::new(algorithm), form)
    }

    /// The same for our own signature: what was taken of others must never be too much for it.
    pub fn for_signing(algorithm: DigestAlgorithm, form: &Form) -> Self {
        Self { times: 4 * MOST_TIMES, ..Self::hashing(algorithm, form) }
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
    let mut writer = FormWriter::of_any(sink, form);
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

impl Element<'_> {
    /// Whether this is its start tag, the first that fits.
    fn begins_at(&self, start: Start<'_>) -> bool {
        self.id.is_none_or(|id| {
            let mut ids = start.attributes().filter(|a| a.local.eq_ignore_ascii_case("id"));
            ids.any(|attribute| attribute.value == id)
        })
    }
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
    loop {
        let (event, at) = reader.step()?;
        match &event {
            Event::Eof => return Err(RefusalCode::SigReference.into()),
            Event::Start(start) if chosen.begins_at(*start) => {
                // Here the transform is shown, not a signature judged.
                let mut writer = if form.smev {
                    FormWriter::of_any(sink, form)
                } else {
                    FormWriter::within(sink, form, &inherited)?
                };
                let depth = start.depth();
                writer.event(&event, at)?;
                write_rest(&mut reader, depth, chosen.unsigned, &mut writer)?;
                break;
            }
            event => inherited.event(event),
        }
    }
    // What follows the element must be well-formed too.
    while !matches!(reader.step()?.0, Event::Eof) {}
    Ok(())
}

/// Writes an element behind its start tag, without the signatures that are its children if so asked.
fn write_rest<S: Sink>(
    reader: &mut Reader<impl std::io::Read>,
    depth: usize,
    unsigned: bool,
    writer: &mut FormWriter<S>,
) -> Result<(), Refusal> {
    let mut leaving = false;
    loop {
        let (event, at) = reader.step()?;
        match &event {
            Event::Start(start)
                if unsigned
                    && !leaving
                    && start.depth() == depth + 1
                    && start.is(SIGNATURES, "Signature") =>
            {
                writer.pause(at);
                leaving = true;
            }
            Event::End(end) if leaving => leaving = end.depth() != depth + 1,
            _ if leaving => {}
            event => writer.event(event, at)?,
        }
        if matches!(&event, Event::End(end) if end.depth() == depth) {
            return Ok(());
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

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn judged(document: &str, smev: bool) -> Result<(), RefusalCode> {
        let limits = Limits { instructions: 10, ..Limits::default() };
        let form = Form { smev, ..Form::default() };
        let mut reader = Reader::new(document.as_bytes(), limits);
        let mut writer = FormWriter::new(Vec::new(), &form);
        loop {
            let (event, at) = reader.step().map_err(|error| Refusal::from(error).code)?;
            if matches!(event, Event::Eof) {
                return Ok(());
            }
            writer.event(&event, at).map_err(|refusal| refusal.code)?;
        }
    }

    #[test]
    fn nothing_that_is_read_as_text_may_be_split_by_instructions_under_the_transform_of_smev() {
        for text in ["Ива<?x?> <?x?>нов", "<?x?>Иванов", "Иванов<?x?>", "<?x?> <?x?>Иванов"]
        {
            let document = format!("<a xmlns='urn:a'><b>{text}</b></a>");
            assert_eq!(judged(&document, true), Err(RefusalCode::SigC14n), "{text}");
            assert_eq!(judged(&document, false), Ok(()), "hashed as it stands: {text}");
        }
        let between = "<a xmlns='urn:a'> <?x?> <b>Иванов</b> <?x?> <b/> </a>";
        assert_eq!(judged(between, true), Ok(()));
    }

    #[test]
    fn a_document_does_not_become_many_times_its_own_octets() {
        let mut document = String::from("<r xmlns='urn:r'");
        for at in 0..30 {
            write!(document, " xmlns:p{at}='urn:{at}:{}'", "x".repeat(450)).unwrap();
        }
        document.push('>');
        let tag: String =
            (0..30).fold("<a".to_owned(), |tag, at| format!("{tag} p{at}:a=''")) + "/>";
        let few = format!("{document}{}</r>", tag.repeat(50));
        assert_eq!(judged(&few, false), Ok(()));
        let many = format!("{document}{}</r>", tag.repeat(1_000));
        assert_eq!(judged(&many, false), Err(RefusalCode::SigLimit));
        // What stands before it gives it no room.
        let padded = format!("<!--{}-->{many}", "x".repeat(1_000_000));
        assert_eq!(judged(&padded, false), Err(RefusalCode::SigLimit));
    }
}
