//! XML canonicalisation without comments, event by event into a sink: exclusive 1.0, inclusive
//! 1.0 and 1.1.
//!
//! It writes each whole element that it is given, from its start tag to its end tag, and
//! processing instructions; namespaces declared above the first element are known through the
//! reader, attributes of the prefix `xml` above it through [`Inherited`].

use std::ops::Range;

use super::xml::{At, Attribute, Event, Instruction, Start, XML_NAMESPACE};

/// Bytes after which a run is written.
const LONGEST_RUN: u64 = 32 << 10;

/// The binding of no namespace and the one of `xml`: never written.
const BUILT_IN: [bool; 2] = [true, true];

/// Where canonical bytes go.
pub trait Sink {
    /// Takes the next bytes.
    fn write(&mut self, bytes: &[u8]);
}

impl<S: Sink> Sink for &mut S {
    fn write(&mut self, bytes: &[u8]) {
        (**self).write(bytes);
    }
}

impl Sink for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A method of canonicalisation, always without comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// `http://www.w3.org/2001/10/xml-exc-c14n#` with the prefixes of `InclusiveNamespaces`; the
    /// empty one stands for `#default`.
    Exclusive(Vec<String>),
    /// `http://www.w3.org/TR/2001/REC-xml-c14n-20010315`.
    Inclusive,
    /// `http://www.w3.org/2006/12/xml-c14n11`.
    Inclusive11,
}

impl Default for Method {
    fn default() -> Self {
        Self::Exclusive(Vec::new())
    }
}

/// Attributes of the prefix `xml` of the elements that are open.
#[derive(Clone, Debug, Default)]
pub struct Inherited(Vec<(usize, String, String)>);

impl Inherited {
    /// Looks at an event above what is to be canonicalised.
    pub fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(start) => {
                for attribute in start.attributes().filter(|a| a.namespace == XML_NAMESPACE) {
                    let (local, value) = (attribute.local.to_owned(), attribute.value.to_owned());
                    self.0.push((start.depth(), local, value));
                }
            }
            Event::End(end) => {
                while self.0.last().is_some_and(|(depth, ..)| *depth >= end.depth()) {
                    self.0.pop();
                }
            }
            Event::Text(_) | Event::Instruction(_) | Event::Eof => {}
        }
    }

    /// What an element below takes over, by method.
    fn under(&self, method: &Method) -> Result<Vec<(String, String)>, OuterBase> {
        let mut taken: Vec<(String, String)> = Vec::new();
        // The nearest counts.
        for (_, local, value) in self.0.iter().rev() {
            match (method, local.as_str()) {
                (Method::Exclusive(_), _) | (Method::Inclusive11, "id") => {}
                (Method::Inclusive11, "base") => return Err(OuterBase),
                _ if taken.iter().any(|(known, _)| known == local) => {}
                _ => taken.push((local.clone(), value.clone())),
            }
        }
        Ok(taken)
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
    method: Method,
    /// Attributes of the prefix `xml` that the first element takes over: local name and value.
    outer: Vec<(String, String)>,
    rendered: Vec<Rendered>,
    /// By number of binding: an open element has rendered it.
    known: Vec<bool>,
    /// Namespaces to be written in this tag.
    fresh: Vec<usize>,
}

impl<S: Sink> Canonicaliser<S> {
    /// Begins at the start tag that comes first.
    pub fn new(sink: S, method: Method) -> Self {
        Self {
            sink,
            run: 0..0,
            runs: true,
            apex: 0,
            method,
            outer: Vec::new(),
            rendered: Vec::new(),
            known: BUILT_IN.to_vec(),
            fresh: Vec::new(),
        }
    }

    /// The same, to run beside others on the same reader.
    pub fn beside(sink: S, method: Method) -> Self {
        Self::new(sink, method).alone()
    }

    /// Writes each event by itself, so that others can run on the same reader.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.runs = false;
        self
    }

    /// Begins at an element inside another: inclusive methods write there the attributes of the
    /// prefix `xml` that stand above.
    ///
    /// # Errors
    /// [`OuterBase`].
    pub fn within(sink: S, method: Method, above: &Inherited) -> Result<Self, OuterBase> {
        let outer = above.under(&method)?;
        Ok(Self { outer, ..Self::new(sink, method) })
    }

    /// The sink.
    pub fn sink(&self) -> &S {
        &self.sink
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
            Event::Instruction(instruction) => write_instruction(&mut self.sink, *instruction),
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

    /// Writes bytes that are canonical already; nothing may be due.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.sink.write(bytes);
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
        let length = self.run.end - self.run.start;
        if self.run.end == span.start && (1..LONGEST_RUN).contains(&length) {
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
        let first = self.apex == 0;
        if first {
            self.apex = start.depth();
        }
        let known = |binding: usize| self.known.get(binding).is_some_and(|&known| known);
        match &self.method {
            Method::Exclusive(listed) => {
                listed.is_empty() && known(start.binding()) && start.attribute_bindings().all(known)
            }
            // What was in scope before is written; a tag that declares does not stand as it is
            // to be written.
            Method::Inclusive | Method::Inclusive11 => !first,
        }
    }

    fn start(&mut self, start: Start<'_>) {
        self.fresh.clear();
        // What is in scope at the first element is looked through there; further in only what a tag
        // itself declares is new.
        let first = start.depth() == self.apex;
        let candidates = if first { BUILT_IN.len()..start.bindings() } else { start.declared() };
        let in_force = |binding: &usize| start.lookup(start.bound(*binding).0) == Some(*binding);
        match &self.method {
            Method::Exclusive(listed) => {
                let listed: Vec<usize> = if listed.is_empty() {
                    Vec::new()
                } else {
                    let listed = |binding: &usize| {
                        let prefix = start.bound(*binding).0;
                        listed.iter().any(|listed| listed == prefix)
                    };
                    candidates.filter(listed).filter(in_force).collect()
                };
                self.utilise(start, start.binding());
                start.attribute_bindings().for_each(|binding| self.utilise(start, binding));
                for binding in listed {
                    self.utilise(start, binding);
                }
            }
            Method::Inclusive | Method::Inclusive11 => {
                for binding in candidates.filter(in_force) {
                    self.utilise(start, binding);
                }
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
        if start.depth() == self.apex {
            let namespace = XML_NAMESPACE;
            for (local, value) in &self.outer {
                if !attributes.iter().any(|a| a.namespace == namespace && a.local == local) {
                    attributes.push(Attribute { namespace, prefix: "xml", local, value });
                }
            }
        }
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

/// `xml:base` stands above what is to be canonicalised by 1.1, and would have to be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("над подписанным элементом стоит xml:base: по inclusive c14n 1.1 его не складываем")]
pub struct OuterBase;

/// Writes a processing instruction. Line ends have been normalised, so nothing is special in it.
pub fn write_instruction(sink: &mut impl Sink, instruction: Instruction<'_>) {
    sink.write(b"<?");
    sink.write(instruction.target.as_bytes());
    if !instruction.data.is_empty() {
        sink.write(b" ");
        sink.write(instruction.data.as_bytes());
    }
    sink.write(b"?>");
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

#[cfg(test)]
mod tests {
    use super::Method;
    use crate::codec::form::{Form, octets};

    #[test]
    fn namespaces_are_written_where_they_are_first_used_and_listed_prefixes_where_they_are_declared()
     {
        let document = "<a xmlns='urn:a' xmlns:p='urn:p' xmlns:q='urn:q' z='1' q:y=\"'&#x9;&quot;\">\
                        <b xmlns=''><p:c xmlns:p='urn:p'/><c xmlns='urn:a'/></b>\r\n&gt;&#xD;<p:d xmlns:p='urn:2'\
                        ><p:e/></p:d></a>";
        let plain = "<a xmlns=\"urn:a\" xmlns:q=\"urn:q\" z=\"1\" q:y=\"'&#x9;&quot;\">\
                     <b xmlns=\"\"><p:c xmlns:p=\"urn:p\"></p:c><c xmlns=\"urn:a\"></c></b>\n&gt;&#xD;\
                     <p:d xmlns:p=\"urn:2\"><p:e></p:e></p:d></a>";
        let form = |method| {
            String::from_utf8(octets(document.as_bytes(), &Form { method, smev: false }).unwrap())
                .unwrap()
        };
        let listed = |prefix: &str| Method::Exclusive(vec![prefix.to_owned()]);
        assert_eq!(form(Method::default()), plain);
        let with_p = plain
            .replace("xmlns:q", "xmlns:p=\"urn:p\" xmlns:q")
            .replace("c xmlns:p=\"urn:p\"", "c");
        assert_eq!(form(listed("p")), with_p);
        // All that is in scope is used here but in the one element that would show it.
        assert_eq!(form(Method::Inclusive), with_p);
        assert_eq!(form(Method::Inclusive11), with_p);
        let apex = "<p:a xmlns='urn:a' xmlns:p='urn:p'/>";
        let with = |method| octets(apex.as_bytes(), &Form { method, smev: false }).unwrap();
        assert_eq!(with(listed("")), b"<p:a xmlns=\"urn:a\" xmlns:p=\"urn:p\"></p:a>");
        assert_eq!(with(listed("none")), b"<p:a xmlns:p=\"urn:p\"></p:a>");
        assert_eq!(with(Method::Inclusive), with(listed("")));
    }

    #[test]
    fn a_document_longer_than_the_window_that_is_canonical_already_is_its_own_form() {
        for count in [1, 1_000, 3_000, 20_000, 60_000] {
            for piece in ["xxxxxxxx", "<b>y</b>", "&amp;\u{44f}z"] {
                let document = format!("<a>{}</a>", piece.repeat(count));
                let form = Form { method: Method::default(), smev: false };
                let found = octets(document.as_bytes(), &form).unwrap();
                assert!(found == document.as_bytes(), "{count} times {piece}");
            }
        }
    }
}
