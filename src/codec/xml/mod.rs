//! The one XML reader for everything untrusted, and a writer for what we say ourselves.
//!
//! [`Reader`] is a strict pull reader over any [`std::io::Read`]: UTF-8, XML 1.0, namespaces,
//! no document types, processing instructions only where asked for, limits on everything, memory
//! that does not depend on the size of the document. Comments are skipped, so that the text around
//! one is the text after canonicalisation, or refused.

mod chars;
mod content;
mod event;
mod reader;
mod tag;
#[cfg(test)]
mod tests;
mod transcode;
mod window;
mod writer;

use crate::model::refusal::Refusal;

pub use chars::is_ncname;
pub use event::{At, Attribute, End, Event, Instruction, Start};
pub use reader::Reader;
pub use transcode::Transcoder;
pub use writer::{Writer, escape_attribute, escape_text};

/// The namespace bound to the prefix `xml` in every document.
pub const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// What a document may need of us before it is refused.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open elements at once.
    pub depth: usize,
    /// Attributes of one element, namespace declarations not counted.
    pub attributes: usize,
    /// Bytes of a name with its prefix.
    pub name: usize,
    /// Bytes of a start tag or a comment.
    pub token: usize,
    /// Bytes of text between two tags, however many pieces it comes in.
    pub text: u64,
    /// Namespace declarations of one element.
    pub namespaces: usize,
    /// Namespace declarations in scope at once.
    pub namespaces_in_scope: usize,
    /// Bytes of the prefixes and names of the namespaces in scope at once: canonical forms write them
    /// again and again.
    pub namespace_bytes: usize,
    /// Processing instructions; none by default.
    pub instructions: u32,
    /// Whether there may be comments.
    pub comments: bool,
    /// Elements of a document that is read whole.
    pub tree_elements: usize,
    /// Bytes that the elements and attributes of such a tree take, their texts not counted: each has the
    /// name of its namespace, which stands in the document once for all.
    pub tree_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 64,
            attributes: 64,
            name: 256,
            token: 1 << 20,
            text: 1 << 20,
            namespaces: 32,
            namespaces_in_scope: 128,
            namespace_bytes: 16 << 10,
            instructions: 0,
            comments: true,
            tree_elements: 100_000,
            tree_bytes: 32 << 20,
        }
    }
}

impl Limits {
    /// Limits of messages that we put together of what was taken of others within theirs: it stands a
    /// few elements deeper, with all namespaces of the elements around it declared on one element, and
    /// with files of many megabytes.
    pub fn of_ours() -> Self {
        let taken = Self::default();
        Self {
            depth: 2 * taken.depth,
            token: 4 * taken.token,
            text: 32 << 20,
            namespaces: 2 * taken.namespaces_in_scope,
            namespaces_in_scope: 4 * taken.namespaces_in_scope,
            namespace_bytes: 4 * taken.namespace_bytes,
            instructions: 1 << 16,
            tree_elements: 2 * taken.tree_elements,
            tree_bytes: 2 * taken.tree_bytes,
            ..taken
        }
    }
}

/// Why reading stopped: the refusal the peer will see, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct XmlError(Box<Refusal>);

impl XmlError {
    /// Says what exactly is wrong.
    fn detail(self, what: &str) -> Self {
        Self(Box::new(self.0.detail(what)))
    }
}

impl From<Refusal> for XmlError {
    fn from(refusal: Refusal) -> Self {
        Self(Box::new(refusal))
    }
}

impl From<XmlError> for Refusal {
    fn from(error: XmlError) -> Self {
        *error.0
    }
}
