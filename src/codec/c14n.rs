//! Exclusive XML canonicalisation 1.0 without comments, event by event into a sink.
//!
//! It writes each whole element that it is given, from its start tag to its end tag, as
//! `http://www.w3.org/2001/10/xml-exc-c14n#` says; namespaces declared above the first element
//! are known through the reader.

use openssl::sha::{Sha256, Sha512};

use std::ops::Range;

use super::xml::{At, Attribute, Event, Limits, Reader, Start, XmlError};

/// Bytes gathered before they are hashed: many small pieces would cost more than their hash.
const GATHER: usize = 16 << 10;

/// Bytes after which a run is written.
const LONGEST_RUN: u64 = 32 << 10;

/// The binding of no namespace and the one of `xml`: never written.
const BUILT_IN: [bool; 2] = [true, true];

/// Where canonical bytes go.
pub trait Sink {
    /// Takes the next bytes.
    fn write(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Hashes that a reference may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// A hash being computed.
pub struct Digest {
    gathered: Vec<u8>,
    state: State,
}

enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Digest {
    /// Begins a hash.
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        let state = match algorithm {
            DigestAlgorithm::Sha256 => State::Sha256(Sha256::new()),
            DigestAlgorithm::Sha512 => State::Sha512(Sha512::new()),
        };
        Self { gathered: Vec::with_capacity(GATHER), state }
    }

    /// Ends the hash.
    pub fn finish(mut self) -> Vec<u8> {
        self.hash_gathered();
        match self.state {
            State::Sha256(state) => state.finish().to_vec(),
            State::Sha512(state) => state.finish().to_vec(),
        }
    }

    fn hash_gathered(&mut self) {
        let Self { gathered, state } = self;
        state.update(gathered);
        gathered.clear();
    }
}

impl State {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(state) => state.update(bytes),
            Self::Sha512(state) => state.update(bytes),
        }
    }
}

impl Sink for Digest {
    fn write(&mut self, bytes: &[u8]) {
        if bytes.len() > GATHER - self.gathered.len() {
            self.hash_gathered();
            if bytes.len() >= GATHER {
                return self.state.update(bytes);
            }
        }
        self.gathered.extend_from_slice(bytes);
    }
}

/// A namespace that an open element has written, or found written above it.
#[derive(Clone, Copy, Debug)]
struct Rendered {
    binding: usize,
    depth: usize,
}

/// Writes events canonically.
///
/// What stands in the document as it is to be written is not copied piece by piece: the longest
/// runs of it go to the sink at once.
#[derive(Debug)]
pub struct Canonicaliser<S> {
    sink: S,
    /// Part of the document that is to be written as it stands.
    run: Range<u64>,
    /// Whether there are runs: only one canonicaliser of a reader may hold its window.
    runs: bool,
    /// Depth of the element it all began with.
    apex: usize,
    /// Prefixes treated as inclusive canonicalisation would; the empty one is `#default`.
    inclusive: Vec<String>,
    rendered: Vec<Rendered>,
    /// By number of binding: an open element has rendered it.
    known: Vec<bool>,
    /// Namespaces to be written in this tag.
    fresh: Vec<usize>,
}

impl<S: Sink> Canonicaliser<S> {
    /// Begins at the start tag that comes first.
    pub fn new(sink: S) -> Self {
        Self::with_prefixes(sink, Vec::new())
    }

    /// The same with an `InclusiveNamespaces` list; the empty prefix stands for `#default`.
    pub fn with_prefixes(sink: S, inclusive: Vec<String>) -> Self {
        Self {
            sink,
            run: 0..0,
            runs: true,
            apex: 0,
            inclusive,
            rendered: Vec::new(),
            known: BUILT_IN.to_vec(),
            fresh: Vec::new(),
        }
    }

    /// The same, to run beside others on the same reader.
    pub fn beside(sink: S, inclusive: Vec<String>) -> Self {
        Self { runs: false, ..Self::with_prefixes(sink, inclusive) }
    }

    /// Hands the sink back; what was begun must have been ended, or [`Canonicaliser::pause`]d.
    pub fn into_sink(self) -> S {
        self.sink
    }

    /// Writes an event.
    #[inline]
    pub fn event(&mut self, event: &Event<'_>, at: At<'_>) {
        let known = match event {
            Event::Start(start) => self.uses_known(*start),
            _ => true,
        };
        if known && self.runs && at.verbatim() {
            self.extend(at);
        } else {
            self.write(event, at);
        }
        if let Event::End(end) = event {
            let depth = end.depth();
            if depth == self.apex || self.rendered.last().is_some_and(|last| last.depth == depth) {
                self.leave(depth, at);
            }
        }
    }

    /// Writes an event that does not stand in the document as it is to be written.
    fn write(&mut self, event: &Event<'_>, at: At<'_>) {
        self.pause(at);
        match event {
            Event::Start(start) => self.start(*start),
            Event::Text(text) => self.text(text),
            Event::End(end) => {
                self.sink.write(b"</");
                self.sink.write(end.qualified().as_bytes());
                self.sink.write(b">");
            }
            Event::Eof => {}
        }
    }

    /// Forgets the namespaces that the element at this depth has written.
    fn leave(&mut self, depth: usize, at: At<'_>) {
        while let Some(last) = self.rendered.last()
            && last.depth == depth
        {
            self.known[last.binding] = false;
            self.rendered.pop();
        }
        if depth == self.apex {
            self.pause(at);
        }
    }

    /// Writes what is due, before events that are not to be written.
    pub fn pause(&mut self, at: At<'_>) {
        if !self.run.is_empty() {
            self.sink.write(at.raw(&self.run));
            self.run = 0..0;
            at.hold(None);
        }
    }

    /// Adds an event to the run, or begins a new one with it.
    fn extend(&mut self, at: At<'_>) {
        let span = at.span();
        if self.run.end == span.start && self.run.end - self.run.start < LONGEST_RUN {
            self.run.end = span.end;
            return;
        }
        self.pause(at);
        at.hold(Some(span.start));
        self.run = span;
    }

    /// Says whether every namespace of the tag has been written; the first tag has none of them
    /// and is where all begins.
    fn uses_known(&mut self, start: Start<'_>) -> bool {
        if self.apex == 0 {
            self.apex = start.depth();
        }
        let known = |binding: usize| self.known.get(binding).is_some_and(|&known| known);
        self.inclusive.is_empty() && known(start.binding()) && start.attribute_bindings().all(known)
    }

    fn start(&mut self, start: Start<'_>) {
        self.fresh.clear();
        self.utilise(start, start.binding());
        for binding in start.attribute_bindings() {
            self.utilise(start, binding);
        }
        for number in 0..self.inclusive.len() {
            if let Some(binding) = start.lookup(&self.inclusive[number]) {
                self.utilise(start, binding);
            }
        }
        self.sink.write(b"<");
        self.sink.write(start.qualified().as_bytes());
        self.fresh.sort_unstable_by_key(|&binding| start.bound(binding).0);
        for &binding in &self.fresh {
            let (prefix, uri) = start.bound(binding);
            self.sink.write(if prefix.is_empty() { b" xmlns" } else { b" xmlns:" });
            self.sink.write(prefix.as_bytes());
            write_value(&mut self.sink, uri);
        }
        self.attributes(start);
        self.sink.write(b">");
    }

    /// Takes note that the tag uses a binding, and whether it has to declare it.
    fn utilise(&mut self, start: Start<'_>, binding: usize) {
        if self.known.get(binding).is_some_and(|&known| known) {
            return;
        }
        // A binding that is not 0 and shadows nothing written is new even when it undeclares.
        let (prefix, uri) = start.bound(binding);
        let mut written = self.rendered.iter().rev().map(|rendered| start.bound(rendered.binding));
        let above = written.find(|(written, _)| *written == prefix).map_or("", |(_, uri)| uri);
        if above != uri {
            self.fresh.push(binding);
        }
        if self.known.len() <= binding {
            self.known.resize(binding + 1, false);
        }
        self.known[binding] = true;
        self.rendered.push(Rendered { binding, depth: start.depth() });
    }

    fn attributes(&mut self, start: Start<'_>) {
        let mut attributes: Vec<_> = start.attributes().collect();
        attributes.sort_unstable_by_key(|attribute| (attribute.namespace, attribute.local));
        for attribute in attributes {
            write_attribute(&mut self.sink, attribute);
        }
    }

    fn text(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'&' | b'<' | b'>' | b'\r'))
        {
            self.sink.write(&rest[..at]);
            self.sink.write(match rest[at] {
                b'&' => b"&amp;",
                b'<' => b"&lt;",
                b'>' => b"&gt;",
                _ => b"&#xD;",
            });
            rest = &rest[at + 1..];
        }
        self.sink.write(rest);
    }
}

fn write_attribute(sink: &mut impl Sink, attribute: Attribute<'_>) {
    sink.write(b" ");
    if !attribute.prefix.is_empty() {
        sink.write(attribute.prefix.as_bytes());
        sink.write(b":");
    }
    sink.write(attribute.local.as_bytes());
    write_value(sink, attribute.value);
}

/// Writes `="…"` with the value escaped.
fn write_value(sink: &mut impl Sink, value: &str) {
    sink.write(b"=\"");
    let special = |byte: &u8| matches!(byte, b'&' | b'<' | b'"' | b'\t' | b'\n' | b'\r');
    let mut rest = value.as_bytes();
    while let Some(at) = rest.iter().position(special) {
        sink.write(&rest[..at]);
        sink.write(match rest[at] {
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'"' => b"&quot;",
            b'\t' => b"&#x9;",
            b'\n' => b"&#xA;",
            _ => b"&#xD;",
        });
        rest = &rest[at + 1..];
    }
    sink.write(rest);
    sink.write(b"\"");
}

/// The canonical form of a whole document.
pub fn canonicalise(document: &[u8], inclusive: Vec<String>) -> Result<Vec<u8>, XmlError> {
    let mut reader = Reader::new(document, Limits::default());
    let mut canonicaliser = Canonicaliser::with_prefixes(Vec::new(), inclusive);
    loop {
        match reader.step()? {
            (Event::Eof, _) => return Ok(canonicaliser.into_sink()),
            (event, at) => canonicaliser.event(&event, at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::canonicalise;

    #[test]
    fn namespaces_are_written_where_they_are_first_used_and_listed_prefixes_where_they_are_declared()
     {
        let document = "<a xmlns='urn:a' xmlns:p='urn:p' xmlns:q='urn:q' z='1' q:y=\"'&#x9;&quot;\">\
                        <b xmlns=''><p:c xmlns:p='urn:p'/><c xmlns='urn:a'/></b>\r\n&gt;&#xD;<p:d xmlns:p='urn:2'\
                        ><p:e/></p:d></a>";
        let plain = "<a xmlns=\"urn:a\" xmlns:q=\"urn:q\" z=\"1\" q:y=\"'&#x9;&quot;\">\
                     <b xmlns=\"\"><p:c xmlns:p=\"urn:p\"></p:c><c xmlns=\"urn:a\"></c></b>\n&gt;&#xD;\
                     <p:d xmlns:p=\"urn:2\"><p:e></p:e></p:d></a>";
        let canonical = |prefixes: &[&str]| {
            let prefixes = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
            String::from_utf8(canonicalise(document.as_bytes(), prefixes).unwrap()).unwrap()
        };
        assert_eq!(canonical(&[]), plain);
        let listed = plain
            .replace("xmlns:q", "xmlns:p=\"urn:p\" xmlns:q")
            .replace("c xmlns:p=\"urn:p\"", "c");
        assert_eq!(canonical(&["p"]), listed);
        let apex = "<p:a xmlns='urn:a' xmlns:p='urn:p'/>";
        let with = |prefix: &str| canonicalise(apex.as_bytes(), vec![prefix.to_owned()]).unwrap();
        assert_eq!(with(""), b"<p:a xmlns=\"urn:a\" xmlns:p=\"urn:p\"></p:a>");
        assert_eq!(with("none"), b"<p:a xmlns:p=\"urn:p\"></p:a>");
    }
}
