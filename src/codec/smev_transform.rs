//! The transform `urn://smev-gov-ru/xmldsig/transform`, event by event into a sink.
//!
//! It rewrites every prefix, drops blank text, comments and instructions, sorts attributes, and
//! escapes as the writer of SMEV (Woodstox) does. It is blind to what canonicalisation changes, so
//! it reads the events of the document itself, wherever a signature lists canonicalisation first.
//! Source: methodical recommendations of SMEV 3, appendix 4; rule 9 of 3.5.0.27.

use std::io::Write as _;

use super::c14n::Sink;
use super::xml::{Attribute, Event, Start, XML_NAMESPACE};

/// Text of so many UTF-16 units or more is escaped in chunks.
const LONG: usize = 12;

/// UTF-16 units of a chunk.
const CHUNK: usize = 512;

/// Why a document has no form under this transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The transform gives every element a prefix, which needs a namespace.
    #[error("элемент без пространства имён")]
    NoNamespace,
    /// The namespace of `xml` cannot be bound to another prefix.
    #[error("атрибут с префиксом xml")]
    XmlAttribute,
    /// An instruction stands inside a text: blanks beside it would be read and not signed.
    #[error("инструкция обработки внутри текста")]
    SplitText,
}

/// A namespace with the prefix that was allotted to it.
#[derive(Debug)]
struct Allotted {
    namespace: String,
    /// N of `nsN`.
    number: u32,
}

/// Text since the last tag.
#[derive(Debug)]
enum Run {
    /// Neither known to be more than blanks nor known to be long.
    Pending,
    /// Long and not blank: written as it comes, this many units so far.
    Long { units: usize, last: Last },
}

/// What was written last in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Plain,
    Bracket,
    Escaped,
}

/// What stands since the last tag.
#[derive(Clone, Copy, Debug, Default)]
struct Split {
    instruction: bool,
    text: bool,
}

/// Writes events as the transform has them.
#[derive(Debug)]
pub struct SmevTransform<S> {
    sink: S,
    scope: Vec<Allotted>,
    /// Of each open element: its number, and how many of `scope` were before it.
    open: Vec<(u32, usize)>,
    /// Numbers allotted so far; none is used again.
    allotted: u32,
    run: Run,
    pending: String,
    /// Nothing but blanks is pending.
    blank: bool,
    /// What a text split by instructions has been so far; none where such texts are written.
    split: Option<Split>,
    /// The tag at hand.
    tag: Vec<u8>,
}

impl<S: Sink> SmevTransform<S> {
    /// Begins at the start tag that comes first.
    pub fn new(sink: S) -> Self {
        Self {
            sink,
            scope: Vec::new(),
            open: Vec::new(),
            allotted: 0,
            run: Run::Pending,
            pending: String::new(),
            blank: true,
            split: None,
            tag: Vec::new(),
        }
    }

    /// Refuses texts with instructions inside. The transform drops the blank pieces between them,
    /// and whoever reads the text has these.
    #[must_use]
    pub fn whole_texts(mut self) -> Self {
        self.split = Some(Split::default());
        self
    }

    /// The sink.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// Hands the sink back.
    pub fn into_sink(self) -> S {
        self.sink
    }

    /// Writes an event.
    ///
    /// # Errors
    /// [`Unfit`]; the sink is of no more use.
    #[inline]
    pub fn event(&mut self, event: &Event<'_>) -> Result<(), Unfit> {
        self.judge_split(event)?;
        match event {
            Event::Text(text) => self.text(text),
            Event::Start(start) => {
                self.end_run();
                return self.start(*start);
            }
            Event::End(end) => {
                self.end_run();
                let Some((number, scope)) = self.open.pop() else { return Ok(()) };
                self.tag.clear();
                // Writing to memory cannot fail.
                let _ = write!(self.tag, "</ns{number}:{}>", end.local());
                self.sink.write(&self.tag);
                self.scope.truncate(scope);
            }
            Event::Instruction(_) | Event::Eof => self.end_run(),
        }
        Ok(())
    }

    fn judge_split(&mut self, event: &Event<'_>) -> Result<(), Unfit> {
        let Some(split) = &mut self.split else { return Ok(()) };
        match event {
            Event::Text(text) => split.text |= !is_blank(text),
            Event::Instruction(_) => split.instruction = true,
            Event::Start(_) | Event::End(_) | Event::Eof => *split = Split::default(),
        }
        if split.instruction && split.text { Err(Unfit::SplitText) } else { Ok(()) }
    }

    fn start(&mut self, start: Start<'_>) -> Result<(), Unfit> {
        if start.namespace().is_empty() {
            return Err(Unfit::NoNamespace);
        }
        let scope = self.scope.len();
        let number = self.number_of(start.namespace());
        let mut attributes: Vec<_> = start.attributes().collect();
        if attributes.len() > 1 {
            attributes.sort_unstable_by(|one, other| order(one, other));
        }
        self.tag.clear();
        let _ = write!(self.tag, "<ns{number}:{}", start.local());
        let mut numbers = Vec::new();
        for attribute in &attributes {
            if attribute.namespace == XML_NAMESPACE {
                return Err(Unfit::XmlAttribute);
            }
            let bare = attribute.namespace.is_empty();
            numbers.push(if bare { 0 } else { self.number_of(attribute.namespace) });
        }
        for Allotted { namespace, number } in &self.scope[scope..] {
            let _ = write!(self.tag, " xmlns:ns{number}");
            write_value(&mut self.tag, namespace);
        }
        for (attribute, number) in attributes.iter().zip(numbers) {
            let _ = match number {
                0 => write!(self.tag, " {}", attribute.local),
                number => write!(self.tag, " ns{number}:{}", attribute.local),
            };
            write_value(&mut self.tag, attribute.value);
        }
        self.tag.push(b'>');
        self.sink.write(&self.tag);
        self.open.push((number, scope));
        Ok(())
    }

    /// The number of a namespace, allotted here when no element around has one for it.
    fn number_of(&mut self, namespace: &str) -> u32 {
        let known = self.scope.iter().rev().find(|allotted| allotted.namespace == namespace);
        if let Some(known) = known {
            return known.number;
        }
        self.allotted += 1;
        self.scope.push(Allotted { namespace: namespace.to_owned(), number: self.allotted });
        self.allotted
    }

    fn text(&mut self, text: &str) {
        if let Run::Long { units, last } = self.run {
            self.run = write_chunked(&mut self.sink, text, units, last);
            return;
        }
        self.pending.push_str(text);
        // Each piece is looked at once: a run of blanks may come in a million of them.
        self.blank &= is_blank(text);
        if !self.blank && self.pending.len() >= LONG && units_of(&self.pending) >= LONG {
            self.run = write_chunked(&mut self.sink, &self.pending, 0, Last::Plain);
            self.pending.clear();
            self.blank = true;
        }
    }

    fn end_run(&mut self) {
        self.run = Run::Pending;
        if !std::mem::replace(&mut self.blank, true) {
            write_short(&mut self.sink, &self.pending);
        }
        self.pending.clear();
    }
}

/// Says whether Java's `trim` would leave nothing.
fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| byte <= b' ')
}

/// UTF-16 units of a text.
fn units_of(text: &str) -> usize {
    text.bytes().map(|byte| usize::from(byte & 0xC0 != 0x80) + usize::from(byte >= 0xF0)).sum()
}

/// The order of attributes: those with a namespace first, by it and then by local name, as Java
/// compares strings.
fn order(one: &Attribute<'_>, other: &Attribute<'_>) -> std::cmp::Ordering {
    // Bytes have the order of UTF-16 but for what is beyond the first plane and the end of that.
    let beyond = |text: &str| text.bytes().any(|byte| byte >= 0xEE);
    let java = |one: &str, other: &str| {
        if beyond(one) || beyond(other) {
            one.encode_utf16().cmp(other.encode_utf16())
        } else {
            one.cmp(other)
        }
    };
    let bare = one.namespace.is_empty().cmp(&other.namespace.is_empty());
    bare.then_with(|| java(one.namespace, other.namespace))
        .then_with(|| java(one.local, other.local))
}

/// How a character is always written in text, when not as it is.
fn always_escaped(character: char) -> Option<&'static str> {
    /// From U+007F to U+009F.
    const CONTROLS: [&str; 33] = [
        "&#x7f;", "&#x80;", "&#x81;", "&#x82;", "&#x83;", "&#x84;", "&#x85;", "&#x86;", "&#x87;",
        "&#x88;", "&#x89;", "&#x8a;", "&#x8b;", "&#x8c;", "&#x8d;", "&#x8e;", "&#x8f;", "&#x90;",
        "&#x91;", "&#x92;", "&#x93;", "&#x94;", "&#x95;", "&#x96;", "&#x97;", "&#x98;", "&#x99;",
        "&#x9a;", "&#x9b;", "&#x9c;", "&#x9d;", "&#x9e;", "&#x9f;",
    ];
    match character {
        '<' => Some("&lt;"),
        '&' => Some("&amp;"),
        '\r' => Some("&#xd;"),
        '\u{7F}'..='\u{9F}' => Some(CONTROLS[character as usize - 0x7F]),
        _ => None,
    }
}

/// Whether text may have to be written otherwise at a byte: at a character of which this one is
/// the first byte, or after it.
fn special(byte: u8) -> bool {
    matches!(byte, b'<' | b'>' | b'&' | b'\r' | b']' | 0x7F | 0xC2)
}

/// Writes a text of fewer than [`LONG`] units.
fn write_short(sink: &mut impl Sink, text: &str) {
    if !text.bytes().any(special) {
        return sink.write(text.as_bytes());
    }
    let mut last = None;
    for character in text.chars() {
        if character == '>' && matches!(last, None | Some(']')) {
            sink.write(b"&gt;");
        } else {
            write_character(sink, character);
        }
        last = Some(character);
    }
}

/// Writes a character, `>` as it is; says whether it was escaped.
fn write_character(sink: &mut impl Sink, character: char) -> bool {
    let escaped = always_escaped(character);
    match escaped {
        Some(escaped) => sink.write(escaped.as_bytes()),
        None => sink.write(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
    escaped.is_some()
}

/// Writes a piece of a long text, of which `units` and `last` came before.
fn write_chunked(sink: &mut impl Sink, text: &str, mut units: usize, mut last: Last) -> Run {
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let plain = rest.bytes().position(special).unwrap_or(rest.len());
        if plain > 0 {
            let (before, after) = rest.split_at(plain);
            sink.write(before.as_bytes());
            units += units_of(before);
            last = Last::Plain;
            rest = after;
            continue;
        }
        last = if character == '>' && (units.is_multiple_of(CHUNK) || last != Last::Plain) {
            sink.write(b"&gt;");
            Last::Escaped
        } else if write_character(sink, character) {
            Last::Escaped
        } else if character == ']' {
            Last::Bracket
        } else {
            Last::Plain
        };
        units += character.len_utf16();
        rest = &rest[character.len_utf8()..];
    }
    Run::Long { units, last }
}

/// Writes `="…"` with the value escaped.
fn write_value(tag: &mut Vec<u8>, value: &str) {
    tag.extend_from_slice(b"=\"");
    let mut rest = value.as_bytes();
    let escaped = |byte: &u8| matches!(byte, b'<' | b'&' | b'"' | b'\r' | b'\n' | b'\t');
    while let Some(at) = rest.iter().position(escaped) {
        tag.extend_from_slice(&rest[..at]);
        tag.extend_from_slice(match rest[at] {
            b'<' => b"&lt;",
            b'&' => b"&amp;",
            b'"' => b"&quot;",
            b'\r' => b"&#xd;",
            b'\n' => b"&#xa;",
            _ => b"&#x9;",
        });
        rest = &rest[at + 1..];
    }
    tag.extend_from_slice(rest);
    tag.push(b'"');
}
