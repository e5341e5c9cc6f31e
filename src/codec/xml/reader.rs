//! The pull reader: tags, text, CDATA, comments, and the order they must come in.

use std::io::Read;
use std::ops::Range;

use super::chars::{plain_length, plain_name};
use super::event::{At, End, Event, Instruction, Start};
use super::tag::{Stop, Tag};
use super::window::Window;
use super::{Limits, XML_NAMESPACE, XmlError};
use crate::model::refusal::{Place, Refusal, RefusalCode};

/// A strict pull reader in constant memory.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    core: Box<Core>,
}

impl<R: Read> Reader<R> {
    /// Reads a document from its first byte.
    pub fn new(source: R, limits: Limits) -> Self {
        Self { source, core: Box::new(Core::new(limits)) }
    }

    /// The next event; after [`Event::Eof`] always that one.
    /// After an error the reader is of no more use.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "events borrow from the reader")]
    pub fn next(&mut self) -> Result<Event<'_>, XmlError> {
        self.step().map(|(event, _)| event)
    }

    /// The next event, and where it is.
    #[inline]
    pub fn step(&mut self) -> Result<(Event<'_>, At<'_>), XmlError> {
        let found = self.core.advance(&mut self.source)?;
        let core = &*self.core;
        let event = match found {
            Found::Start => Event::Start(Start { core }),
            Found::End => Event::End(End { core }),
            Found::Text => Event::Text(&core.window.text[core.event..core.text_end]),
            Found::Resolved => Event::Text(&core.scratch),
            Found::Instruction => {
                let (target, data) = core.instruction();
                Event::Instruction(Instruction { target, data })
            }
            Found::Eof => Event::Eof,
        };
        Ok((event, At { core }))
    }

    /// Where the last event begins.
    pub fn position(&self) -> Place {
        self.core.place()
    }

    /// How many elements are open; the one just ended still counts.
    pub fn depth(&self) -> usize {
        self.core.depth()
    }

    /// What a document may need.
    pub fn limits(&self) -> Limits {
        self.core.limits
    }

    /// Sets another limit for the bytes of text between two tags, for instance before base64.
    pub fn set_text_limit(&mut self, bytes: u64) {
        self.core.limits.text = bytes;
    }

    /// From now on refuses comments, CDATA and processing instructions with this code;
    /// `None` lets comments and CDATA pass again.
    pub fn refuse_markup(&mut self, code: Option<RefusalCode>) {
        self.core.no_markup = code;
    }

    /// Gathers the text of the element whose start was the last event, through its end tag.
    /// Returns false, in the middle of it, when the element holds another one.
    pub fn read_text(&mut self, into: &mut String) -> Result<bool, XmlError> {
        loop {
            match self.next()? {
                Event::Text(piece) => into.push_str(piece),
                Event::End(_) => return Ok(true),
                Event::Start(_) | Event::Instruction(_) | Event::Eof => return Ok(false),
            }
        }
    }

    /// Reads on through the end tag of the element whose start was the last event.
    pub fn skip_element(&mut self) -> Result<(), XmlError> {
        let depth = self.depth();
        loop {
            match self.next()? {
                Event::End(end) if end.depth() == depth => return Ok(()),
                Event::Eof => return Ok(()),
                _ => {}
            }
        }
    }
}

/// What was found; the views are made of it and of what the core has noted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    Start,
    End,
    /// From the place of the event to [`Core::text_end`].
    Text,
    /// In the scratch.
    Resolved,
    /// From the place of the event to [`Core::text_end`], its marks included.
    Instruction,
    Eof,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing read yet.
    Fresh,
    /// Before the root.
    Prolog,
    /// Inside the root.
    Content,
    /// Inside a CDATA section.
    Cdata,
    /// After the root.
    Epilog,
}

/// A namespace in scope; ranges of [`Core::bound`].
#[derive(Clone, Debug)]
pub(super) struct Binding {
    prefix: Range<usize>,
    uri: Range<usize>,
}

impl Binding {
    pub(super) fn prefix<'a>(&self, bound: &'a str) -> &'a str {
        &bound[self.prefix.clone()]
    }
}

/// An open element.
#[derive(Clone, Debug)]
pub(super) struct Element {
    /// Where its name stands in the stream of normalised text …
    name: u64,
    /// … and in [`Core::rescued`], when the window no longer has it.
    rescued: usize,
    /// Bytes of its name.
    length: usize,
    /// Bytes of its prefix.
    prefix: usize,
    /// Its namespace.
    pub(super) binding: usize,
    /// The default namespace inside it.
    default: usize,
    /// Bindings in scope before it.
    pub(super) bindings: usize,
}

/// The reader without its source, so that it is compiled once.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) window: Window,
    pub(super) limits: Limits,
    pub(super) tag: Tag,
    /// Values and text that had to be written anew.
    pub(super) scratch: String,
    /// 0 is no namespace, 1 is `xml`; then what is declared.
    pub(super) bindings: Vec<Binding>,
    /// Prefixes and namespace names of `bindings`.
    pub(super) bound: String,
    elements: Vec<Element>,
    /// Names of the outer elements that have left the window, and how many these are.
    rescued: String,
    outside: usize,
    pub(super) stage: Stage,
    /// Where the last event begins in the window.
    pub(super) event: usize,
    /// Where the last piece of text ends in the window.
    pub(super) text_end: usize,
    /// The last event was an end: its element is still on the stack.
    pub(super) closing: bool,
    /// The last start tag was an empty-element tag.
    pub(super) empty: bool,
    /// The last event stands in the window as a canonicaliser would write it, if it uses no
    /// namespace that is still to be declared.
    pub(super) verbatim: bool,
    /// Bytes of text since the last tag.
    pub(super) run: u64,
    /// Processing instructions met.
    pub(super) instructions: u32,
    pub(super) no_markup: Option<RefusalCode>,
    /// Something other than blanks was seen.
    pub(super) begun: bool,
}

impl Core {
    fn new(limits: Limits) -> Self {
        let mut core = Self {
            window: Window::new(),
            limits,
            tag: Tag::default(),
            scratch: String::new(),
            bindings: Vec::new(),
            bound: String::new(),
            elements: Vec::new(),
            rescued: String::new(),
            outside: 0,
            stage: Stage::Fresh,
            event: 0,
            text_end: 0,
            closing: false,
            empty: false,
            verbatim: false,
            run: 0,
            instructions: 0,
            no_markup: None,
            begun: false,
        };
        core.bind("", "");
        core.bind("xml", XML_NAMESPACE);
        core
    }

    /// Finds the next event, reading on as it must.
    fn advance(&mut self, source: &mut dyn Read) -> Result<Found, XmlError> {
        if self.closing {
            self.close();
        }
        if self.empty {
            self.empty = false;
            self.closing = true;
            self.verbatim = false;
            return Ok(Found::End);
        }
        if let Some(found) = self.quick() {
            return Ok(found);
        }
        loop {
            match self.scan() {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::More) => {
                    if self.window.text.len() - self.window.pos > self.limits.token {
                        return Err(self.error(RefusalCode::XmlToken, self.window.pos));
                    }
                    self.rescue();
                    if !self.window.fill(source)? && !self.exhausted()? {
                        return Ok(Found::Eof);
                    }
                }
            }
        }
    }

    /// The source has no more and the token at hand is not whole. Returns false when the
    /// document is.
    fn exhausted(&mut self) -> Result<bool, XmlError> {
        let end = self.window.text.len();
        match self.stage {
            Stage::Epilog if self.window.pos == end => Ok(false),
            Stage::Fresh if !self.window.text.starts_with("<?xml") && end > 0 => {
                self.stage = Stage::Prolog;
                Ok(true)
            }
            Stage::Fresh | Stage::Prolog if !self.begun && self.window.pos == end => {
                Err(self.error(RefusalCode::EmptyBody, end))
            }
            _ => Err(self.error(RefusalCode::XmlMalformed, end)),
        }
    }

    /// An error at a byte of the window.
    pub(super) fn error(&self, code: RefusalCode, at: usize) -> XmlError {
        Refusal::new(code).at(self.window.place(at)).into()
    }

    /// Where the last event begins.
    pub(super) fn place(&self) -> Place {
        self.window.place(self.event)
    }

    /// Open elements.
    pub(super) fn depth(&self) -> usize {
        self.elements.len()
    }

    /// The innermost open element.
    ///
    /// # Panics
    /// When there is none: views exist only while their element is open.
    pub(super) fn element(&self) -> &Element {
        &self.elements[self.elements.len() - 1]
    }

    /// Its name as written.
    pub(super) fn qualified(&self) -> &str {
        self.name_of(self.element())
    }

    /// The same, or nothing when no element is open.
    pub(super) fn open_name(&self) -> &str {
        self.elements.last().map_or("", |element| self.name_of(element))
    }

    #[inline]
    fn name_of(&self, element: &Element) -> &str {
        match self.window.index(element.name) {
            Some(at) => &self.window.text[at..at + element.length],
            None => &self.rescued[element.rescued..element.rescued + element.length],
        }
    }

    /// Copies the names that the window is about to forget.
    fn rescue(&mut self) {
        let kept = self.window.kept();
        while let Some(element) = self.elements.get_mut(self.outside)
            && let Some(at) = self.window.index(element.name)
            && at < kept
        {
            element.rescued = self.rescued.len();
            self.rescued.push_str(&self.window.text[at..at + element.length]);
            self.outside += 1;
        }
    }

    /// Its prefix and local name.
    pub(super) fn element_name(&self) -> (&str, &str) {
        let name = self.qualified();
        match self.element().prefix {
            0 => ("", name),
            prefix => (&name[..prefix], &name[prefix + 1..]),
        }
    }

    /// Opens the element whose name stands at `name`; `declared` is the number of bindings
    /// before its own.
    pub(super) fn open(
        &mut self,
        name: Range<usize>,
        prefix: usize,
        declared: usize,
    ) -> Result<(), XmlError> {
        if self.elements.len() >= self.limits.depth {
            return Err(self.error(RefusalCode::XmlDepth, name.start));
        }
        let mut default = self.elements.last().map_or(0, |element| element.default);
        if self.bindings.len() > declared {
            default = self.lookup("").unwrap_or_default();
        }
        let mut binding = default;
        if prefix > 0 {
            let prefix = &self.window.text[name.start..name.start + prefix];
            let found = self.lookup(prefix);
            binding = found.ok_or_else(|| self.error(RefusalCode::XmlNs, name.start))?;
        }
        self.elements.push(Element {
            name: self.window.origin + name.start as u64,
            rescued: 0,
            length: name.len(),
            prefix,
            binding,
            default,
            bindings: declared,
        });
        Ok(())
    }

    /// Recognises what most of a document is made of: text without anything special, plain start
    /// tags without attributes, plain end tags. Changes nothing and says `None` for anything else,
    /// limits and the end of the window included, and [`Core::scan`] will see to it.
    fn quick(&mut self) -> Option<Found> {
        let at = self.window.pos;
        let bytes = self.window.text.as_bytes();
        if self.stage != Stage::Content {
            return None;
        }
        let outer = self.elements.last()?;
        let (found, end, run) = match bytes.get(at..at + 2)? {
            [b'<', b'/'] => {
                let open = self.name_of(outer).as_bytes();
                let rest = bytes.get(at + 2..at + 3 + open.len())?;
                if rest[open.len()] != b'>' || &rest[..open.len()] != open {
                    return None;
                }
                let end = at + 3 + open.len();
                self.closing = true;
                (Found::End, end, 0)
            }
            [b'<', b'a'..=b'z' | b'A'..=b'Z' | b'_'] => {
                let name = at + 1..at + 1 + plain_name(&bytes[at + 1..]);
                if bytes.get(name.end) != Some(&b'>')
                    || name.len() > self.limits.name
                    || self.elements.len() >= self.limits.depth
                {
                    return None;
                }
                let default = outer.default;
                self.tag.attributes.clear();
                self.elements.push(Element {
                    name: self.window.origin + name.start as u64,
                    rescued: 0,
                    length: name.len(),
                    prefix: 0,
                    binding: default,
                    default,
                    bindings: self.bindings.len(),
                });
                (Found::Start, name.end + 1, 0)
            }
            [b'<', _] => return None,
            _ => {
                let end = at + plain_length(&bytes[at..]);
                let run = self.run + (end - at) as u64;
                if end == at || bytes.get(end) != Some(&b'<') || run > self.limits.text {
                    return None;
                }
                self.text_end = end;
                (Found::Text, end, run)
            }
        };
        self.event = at;
        self.run = run;
        self.verbatim = true;
        self.window.pos = end;
        Some(found)
    }

    /// Closes the innermost element.
    fn close(&mut self) {
        self.closing = false;
        let Some(element) = self.elements.pop() else { return };
        if self.elements.len() < self.outside {
            self.outside = self.elements.len();
            self.rescued.truncate(element.rescued);
        }
        if let Some(first) = self.bindings.get(element.bindings) {
            self.bound.truncate(first.prefix.start);
            self.bindings.truncate(element.bindings);
        }
        if self.elements.is_empty() {
            self.stage = Stage::Epilog;
        }
    }

    /// Brings a namespace into scope.
    pub(super) fn bind(&mut self, prefix: &str, uri: &str) {
        let start = self.bound.len();
        self.bound.push_str(prefix);
        let middle = self.bound.len();
        self.bound.push_str(uri);
        self.bindings.push(Binding { prefix: start..middle, uri: middle..self.bound.len() });
    }

    /// The binding of a prefix; the empty one is always bound.
    pub(super) fn lookup(&self, prefix: &str) -> Option<usize> {
        self.bindings.iter().rposition(|binding| &self.bound[binding.prefix.clone()] == prefix)
    }

    /// Namespace name of a binding.
    pub(super) fn uri(&self, binding: usize) -> &str {
        &self.bound[self.bindings[binding].uri.clone()]
    }

    /// Prefix of a binding.
    pub(super) fn bound_prefix(&self, binding: usize) -> &str {
        &self.bound[self.bindings[binding].prefix.clone()]
    }
}
