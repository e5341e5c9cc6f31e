//! What the reader hands out: views into its window, valid until the next call.

use std::ops::Range;

use super::reader::Core;
use crate::model::refusal::Place;

/// A piece of a document. Everything borrowed is gone with the next call of the reader.
#[derive(Debug)]
pub enum Event<'a> {
    /// A start tag; an empty-element tag gives this and then [`Event::End`].
    Start(Start<'a>),
    /// Text inside the root, never empty, references and CDATA resolved, line ends normalised.
    /// Text between two tags may come in several pieces.
    Text(&'a str),
    /// An end tag.
    End(End<'a>),
    /// A processing instruction, before, inside or after the root. Comes only where
    /// [`super::Limits::instructions`] lets it.
    Instruction(Instruction<'a>),
    /// The root is closed and only blanks followed.
    Eof,
}

/// A start tag.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    pub(super) core: &'a Core,
}

/// An end tag.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    pub(super) core: &'a Core,
}

/// A processing instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction<'a> {
    /// Name of the application it is for.
    pub target: &'a str,
    /// What follows the name, without the blanks between.
    pub data: &'a str,
}

/// Where the event lies; works it out only when asked.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    pub(super) core: &'a Core,
}

/// An attribute that is not a namespace declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Namespace name; empty for a name without a prefix.
    pub namespace: &'a str,
    /// Prefix; empty when there is none.
    pub prefix: &'a str,
    /// Local name.
    pub local: &'a str,
    /// Value, normalised.
    pub value: &'a str,
}

macro_rules! element {
    ($view:ident) => {
        impl<'a> $view<'a> {
            /// Namespace name of the element; empty when it has none.
            pub fn namespace(self) -> &'a str {
                self.core.uri(self.core.element().binding)
            }

            /// Local name.
            pub fn local(self) -> &'a str {
                self.core.element_name().1
            }

            /// Prefix; empty when there is none.
            pub fn prefix(self) -> &'a str {
                self.core.element_name().0
            }

            /// Says whether the element has this expanded name.
            pub fn is(self, namespace: &str, local: &str) -> bool {
                self.local() == local && self.namespace() == namespace
            }

            /// How many elements are open, this one included: the root has 1.
            pub fn depth(self) -> usize {
                self.core.depth()
            }

            /// Where the tag begins.
            pub fn place(self) -> Place {
                self.core.place()
            }

            /// Line of the tag, from 1.
            pub fn line(self) -> u64 {
                self.core.place().line
            }
        }
    };
}

element!(Start);
element!(End);

impl<'a> Start<'a> {
    /// Attributes in document order, without namespace declarations.
    pub fn attributes(self) -> impl ExactSizeIterator<Item = Attribute<'a>> {
        let core = self.core;
        core.attributes().iter().map(move |attr| core.attribute(attr))
    }

    /// Attributes in document order, to keep: namespace name, local name, value.
    pub fn owned_attributes(self) -> Vec<(String, String, String)> {
        let attributes = self.attributes();
        attributes
            .map(|a| (a.namespace.to_owned(), a.local.to_owned(), a.value.to_owned()))
            .collect()
    }

    /// Value of the attribute with this expanded name; the namespace is empty for plain names.
    pub fn attribute(self, namespace: &str, local: &str) -> Option<&'a str> {
        let mut attributes = self.attributes();
        attributes
            .find(|attribute| attribute.local == local && attribute.namespace == namespace)
            .map(|attribute| attribute.value)
    }

    /// Namespace name bound to a prefix here; the empty prefix is the default namespace.
    /// `None` when the prefix is not declared.
    pub fn resolve(self, prefix: &str) -> Option<&'a str> {
        self.core.lookup(prefix).map(|binding| self.core.uri(binding))
    }
}

impl<'a> At<'a> {
    /// The place where the event begins.
    pub fn place(self) -> Place {
        self.core.place()
    }

    /// Says whether the event stands in the document as a canonicaliser would write it, if it
    /// uses no namespace that is still to be declared.
    pub(in crate::codec) fn verbatim(self) -> bool {
        self.core.verbatim
    }

    /// Where the event stands in the stream of normalised text.
    pub(in crate::codec) fn span(self) -> Range<u64> {
        let window = &self.core.window;
        window.origin + self.core.event as u64..window.origin + window.pos as u64
    }

    /// A part of that stream not before the last [`At::hold`], up to the end of the event.
    ///
    /// # Panics
    /// When it was not held: less than what stands there is never given.
    pub(in crate::codec) fn raw(self, span: &Range<u64>) -> &'a [u8] {
        let window = &self.core.window;
        let at = |position: u64| window.index(position).unwrap_or(usize::MAX);
        &window.text.as_bytes()[at(span.start)..at(span.end)]
    }

    /// Keeps the stream from here on in memory, until the next call or `None`.
    pub(in crate::codec) fn hold(self, from: Option<u64>) {
        self.core.window.hold.set(from);
    }
}

/// Attributes as canonicalisation needs them.
impl<'a> Start<'a> {
    /// Number of the namespace binding of the element's prefix.
    pub(in crate::codec) fn binding(self) -> usize {
        self.core.element().binding
    }

    /// Numbers of the bindings of the attributes; 0 for those without a prefix.
    pub(in crate::codec) fn attribute_bindings(self) -> impl Iterator<Item = usize> {
        self.core.attributes().iter().map(|attribute| attribute.binding)
    }

    /// How many bindings there are, built-in and shadowed ones included; they count from 0.
    pub(in crate::codec) fn bindings(self) -> usize {
        self.core.bindings.len()
    }

    /// Numbers of the bindings that the tag itself declares.
    pub(in crate::codec) fn declared(self) -> Range<usize> {
        self.core.element().bindings..self.core.bindings.len()
    }

    /// Number of the binding of a prefix here.
    pub(in crate::codec) fn lookup(self, prefix: &str) -> Option<usize> {
        self.core.lookup(prefix)
    }

    /// Prefix and namespace name of a binding.
    pub(in crate::codec) fn bound(self, binding: usize) -> (&'a str, &'a str) {
        (self.core.bound_prefix(binding), self.core.uri(binding))
    }
}

impl<'a> End<'a> {
    /// Name as written, with its prefix.
    pub(in crate::codec) fn qualified(self) -> &'a str {
        self.core.qualified()
    }
}

impl<'a> Start<'a> {
    /// Name as written, with its prefix.
    pub(in crate::codec) fn qualified(self) -> &'a str {
        self.core.qualified()
    }
}
