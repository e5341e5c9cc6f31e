//! Writing small documents by hand: escaping, and a writer that keeps tags balanced.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::chars::first_forbidden;

/// Appends text escaped for element content, as canonicalisation writes it.
pub fn escape_text(text: &str, into: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '\r']) {
        into.push_str(&rest[..at]);
        into.push_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            _ => "&#xD;",
        });
        rest = &rest[at + 1..];
    }
    into.push_str(rest);
}

/// Appends text escaped for an attribute value in double quotes, as canonicalisation writes it.
pub fn escape_attribute(value: &str, into: &mut String) {
    let mut rest = value;
    while let Some(at) = rest.find(['&', '<', '"', '\t', '\n', '\r']) {
        into.push_str(&rest[..at]);
        into.push_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'"' => "&quot;",
            b'\t' => "&#x9;",
            b'\n' => "&#xA;",
            _ => "&#xD;",
        });
        rest = &rest[at + 1..];
    }
    into.push_str(rest);
}

/// Writes a document element by element into a string.
/// Names are taken as they are, with their prefixes; declare namespaces as attributes.
/// Characters that XML does not have are left out of values.
#[derive(Debug, Default)]
pub struct Writer {
    out: String,
    /// Names of open elements.
    open: Vec<String>,
    /// The last start tag still lacks its `>`.
    pending: bool,
}

impl Writer {
    /// Begins a document without a declaration.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a document with an XML declaration.
    pub fn document() -> Self {
        let out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        Self { out, ..Self::default() }
    }

    /// Makes room for so many more bytes at once: a long text that grows by doubling takes twice
    /// its size.
    pub fn reserve(&mut self, bytes: usize) -> &mut Self {
        self.out.reserve_exact(bytes);
        self
    }

    /// Opens an element; attributes may follow.
    pub fn start(&mut self, name: &str) -> &mut Self {
        self.finish_tag();
        self.out.push('<');
        self.out.push_str(name);
        self.open.push(name.to_owned());
        self.pending = true;
        self
    }

    /// Adds an attribute or a namespace declaration to the element just opened.
    pub fn attribute(&mut self, name: &str, value: &str) -> &mut Self {
        debug_assert!(self.pending, "attributes follow their start tag");
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("=\"");
        escape_attribute(&clean(value), &mut self.out);
        self.out.push('"');
        self
    }

    /// Adds text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.finish_tag();
        escape_text(&clean(text), &mut self.out);
        self
    }

    /// Adds the display form of a value as text.
    pub fn display(&mut self, value: impl std::fmt::Display) -> &mut Self {
        let text = value.to_string();
        self.text(&text)
    }

    /// Adds markup that is already XML.
    pub fn raw(&mut self, xml: &str) -> &mut Self {
        self.finish_tag();
        self.out.push_str(xml);
        self
    }

    /// Closes the innermost element; one without content becomes an empty-element tag.
    pub fn end(&mut self) -> &mut Self {
        let Some(name) = self.open.pop() else {
            debug_assert!(false, "an end for every start");
            return self;
        };
        if self.pending {
            self.out.push_str("/>");
            self.pending = false;
        } else {
            // Writing to a string cannot fail.
            write!(self.out, "</{name}>").unwrap_or_default();
        }
        self
    }

    /// Adds an element with text only.
    pub fn element(&mut self, name: &str, text: &str) -> &mut Self {
        self.start(name).text(text).end()
    }

    /// Closes what is open and hands the document over.
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.end();
        }
        self.out
    }

    fn finish_tag(&mut self) {
        if std::mem::take(&mut self.pending) {
            self.out.push('>');
        }
    }
}

/// The text without characters that XML does not have.
fn clean(text: &str) -> Cow<'_, str> {
    if first_forbidden(text.as_bytes()).is_none() {
        return text.into();
    }
    let allowed = |c: &char| first_forbidden(c.encode_utf8(&mut [0; 4]).as_bytes()).is_none();
    text.chars().filter(allowed).collect::<String>().into()
}
