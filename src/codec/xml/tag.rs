//! Start tags: name, attributes, namespace declarations, and what is forbidden in them.

use std::ops::Range;

use super::chars::{CLASS, NAME, SPECIAL, is_blank, is_ncname, reference};
use super::reader::Core;
use super::{XML_NAMESPACE, XmlError};
use crate::model::refusal::RefusalCode;

/// The namespace of declarations themselves: no prefix may be bound to it.
const XMLNS_NAMESPACE: &str = "http://www.w3.org/2000/xmlns/";

/// Longest namespace name.
const MAX_URI: usize = 1024;

/// Longest reference, between `&` and `;`.
const MAX_REFERENCE: usize = 32;

/// An attribute of the tag at hand; ranges are of the window, or of `scratch` for a value
/// that had to be changed.
#[derive(Clone, Debug)]
pub(super) struct Attr {
    name: Range<usize>,
    /// Bytes of the prefix; zero for none.
    prefix: usize,
    value: Range<usize>,
    in_scratch: bool,
    /// Declares a namespace.
    declares: bool,
    pub(super) binding: usize,
}

/// The tag at hand.
#[derive(Clone, Debug, Default)]
pub(super) struct Tag {
    pub(super) attributes: Vec<Attr>,
    /// How many of them declare namespaces, until these are taken out.
    declarations: usize,
    /// Written as a canonicaliser would.
    pub(super) canonical: bool,
    pub(super) empty: bool,
}

/// A scan that ran into the end of the window, or an error.
#[derive(Debug)]
pub(super) enum Stop {
    More,
    Error(XmlError),
}

impl From<XmlError> for Stop {
    fn from(error: XmlError) -> Self {
        Self::Error(error)
    }
}

impl Core {
    /// Reads the start tag at `from`, which has `<`; says where it ends. Nothing is changed that a second reading
    /// of the same tag in a larger window would not set again.
    pub(super) fn start_tag(&mut self, from: usize) -> Result<usize, Stop> {
        let (name_end, prefix) = self.name(from + 1)?;
        self.tag.attributes.clear();
        self.tag.declarations = 0;
        self.tag.canonical = true;
        self.scratch.clear();
        let declared = self.bindings.len();
        let mut at = name_end;
        let end = loop {
            let blanks = self.blanks(at)?;
            let byte = self.byte(blanks)?;
            if byte == b'>' || byte == b'/' {
                self.tag.canonical &= blanks == at;
                self.tag.empty = byte == b'/';
                if self.tag.empty && self.byte(blanks + 1)? != b'>' {
                    return Err(self.error(RefusalCode::XmlMalformed, blanks).into());
                }
                break blanks + 1 + usize::from(self.tag.empty);
            }
            if blanks == at {
                return Err(self.error(RefusalCode::XmlMalformed, at).into());
            }
            self.tag.canonical &= blanks == at + 1 && self.window.text.as_bytes()[at] == b' ';
            at = self.attribute_at(blanks)?;
        };
        if self.tag.declarations > 0 {
            self.declare()?;
        }
        self.open(from + 1..name_end, prefix, declared)?;
        if !self.tag.attributes.is_empty() {
            self.bind_attributes()?;
        }
        Ok(end)
    }

    fn byte(&self, at: usize) -> Result<u8, Stop> {
        self.window.text.as_bytes().get(at).copied().ok_or(Stop::More)
    }

    /// Skips blanks.
    pub(super) fn blanks(&self, mut at: usize) -> Result<usize, Stop> {
        while is_blank(self.byte(at)?) {
            at += 1;
        }
        Ok(at)
    }

    /// Reads a name; gives its end and the length of its prefix.
    fn name(&self, from: usize) -> Result<(usize, usize), Stop> {
        let bytes = self.window.text.as_bytes();
        let mut at = from;
        let mut colon = 0;
        let mut plain = true;
        loop {
            let Some(&byte) = bytes.get(at) else {
                if at - from > self.limits.name {
                    return Err(self.error(RefusalCode::XmlName, from).into());
                }
                return Err(Stop::More);
            };
            if CLASS[byte as usize] & NAME == 0 {
                break;
            }
            if byte == b':' {
                plain &= colon == 0;
                colon = at;
            }
            plain &= byte < 0x80;
            at += 1;
        }
        if at - from > self.limits.name {
            return Err(self.error(RefusalCode::XmlName, from).into());
        }
        let prefix = colon.saturating_sub(from);
        let local = if colon == 0 { from } else { colon + 1 };
        let begins =
            |at: usize| at < bytes.len() && (bytes[at].is_ascii_alphabetic() || bytes[at] == b'_');
        if plain && local < at && begins(from) && begins(local) {
            return Ok((at, prefix));
        }
        self.checked_name(from..at).map(|prefix| (at, prefix))
    }

    /// Judges a name that is not plain ASCII with at most one colon; gives the length of its prefix.
    fn checked_name(&self, name: Range<usize>) -> Result<usize, Stop> {
        let from = name.start;
        let name = &self.window.text[name];
        if name.is_empty() || name.bytes().all(|byte| byte == b':') {
            return Err(self.error(RefusalCode::XmlMalformed, from).into());
        }
        let parts: Vec<&str> = name.splitn(3, ':').collect();
        if !parts.iter().all(|part| is_ncname(part)) {
            let code = if parts.iter().any(|part| part.is_empty()) {
                RefusalCode::XmlNs
            } else {
                RefusalCode::XmlMalformed
            };
            return Err(self.error(code, from).into());
        }
        match parts.as_slice() {
            [_] => Ok(0),
            [prefix, _] => Ok(prefix.len()),
            _ => Err(self.error(RefusalCode::XmlNs, from).into()),
        }
    }

    /// Reads one attribute or declaration; says where it ends.
    fn attribute_at(&mut self, from: usize) -> Result<usize, Stop> {
        let (name_end, prefix) = self.name(from)?;
        let equals = self.blanks(name_end)?;
        if self.byte(equals)? != b'=' {
            return Err(self.error(RefusalCode::XmlMalformed, equals).into());
        }
        let open = self.blanks(equals + 1)?;
        let quote = self.byte(open)?;
        if quote != b'"' && quote != b'\'' {
            return Err(self.error(RefusalCode::XmlMalformed, open).into());
        }
        self.tag.canonical &= open == name_end + 1 && quote == b'"';
        let (value, close, in_scratch) = self.value(open + 1, quote)?;
        let name = &self.window.text.as_bytes()[from..name_end];
        let declares = name.starts_with(b"xmlns") && (name.len() == 5 || name[5] == b':');
        self.tag.declarations += usize::from(declares);
        if self.tag.declarations > self.limits.namespaces {
            return Err(self.error(RefusalCode::XmlNs, from).into());
        }
        if self.tag.attributes.len() + 1 - self.tag.declarations > self.limits.attributes {
            return Err(self.error(RefusalCode::XmlAttrs, from).into());
        }
        self.tag.attributes.push(Attr {
            name: from..name_end,
            prefix,
            value,
            in_scratch,
            declares,
            binding: 0,
        });
        Ok(close + 1)
    }

    /// Reads a value up to its closing quote: where it is, where the quote is, and whether
    /// it had to be written anew into `scratch`.
    fn value(&mut self, from: usize, quote: u8) -> Result<(Range<usize>, usize, bool), Stop> {
        let kept = self.scratch.len();
        let mut copied = from;
        let mut at = from;
        loop {
            let bytes = self.window.text.as_bytes();
            while at < bytes.len() && CLASS[bytes[at] as usize] & SPECIAL == 0 {
                at += 1;
            }
            let special = self.byte(at)?;
            match special {
                _ if special == quote => break,
                b'<' => return Err(self.error(RefusalCode::XmlMalformed, at).into()),
                b'"' | b'\'' => at += 1,
                _ => {
                    self.tag.canonical = false;
                    self.scratch.push_str(&self.window.text[copied..at]);
                    if special == b'&' {
                        let (character, end) = self.reference_at(at)?;
                        self.scratch.push(character);
                        at = end;
                    } else {
                        self.scratch.push(' ');
                        at += 1;
                    }
                    copied = at;
                }
            }
        }
        if copied == from {
            return Ok((from..at, at, false));
        }
        self.scratch.push_str(&self.window.text[copied..at]);
        Ok((kept..self.scratch.len(), at, true))
    }

    /// Resolves the reference at `from`, which has `&`; gives the character and where the reference ends.
    pub(super) fn reference_at(&self, from: usize) -> Result<(char, usize), Stop> {
        let rest = &self.window.text.as_bytes()[from + 1..];
        let near = &rest[..rest.len().min(MAX_REFERENCE)];
        match memchr::memchr(b';', near) {
            Some(length) => {
                let name = &self.window.text[from + 1..from + 1 + length];
                let character = reference(name).map_err(|code| self.error(code, from))?;
                Ok((character, from + length + 2))
            }
            None if near.len() < MAX_REFERENCE && near.iter().all(u8::is_ascii) => Err(Stop::More),
            None => Err(self.error(RefusalCode::XmlMalformed, from).into()),
        }
    }

    fn raw_name(&self, attr: &Attr) -> (&str, &str) {
        let name = &self.window.text[attr.name.clone()];
        match attr.prefix {
            0 => ("", name),
            prefix => (&name[..prefix], &name[prefix + 1..]),
        }
    }

    fn value_of(&self, attr: &Attr) -> &str {
        let text = if attr.in_scratch { &self.scratch } else { &self.window.text };
        &text[attr.value.clone()]
    }

    /// Takes the namespace declarations out of the attributes and brings them into scope.
    fn declare(&mut self) -> Result<(), XmlError> {
        self.tag.canonical = false;
        let first = self.bindings.len();
        let (declared, attributes) =
            std::mem::take(&mut self.tag.attributes).into_iter().partition(|attr| attr.declares);
        self.tag.attributes = attributes;
        let declared: Vec<Attr> = declared;
        for attr in &declared {
            let (prefix, local) = self.raw_name(attr);
            let prefix = if prefix.is_empty() { "" } else { local };
            let uri = self.value_of(attr);
            let mut ours = self.bindings[first..].iter();
            if ours.any(|binding| binding.prefix(&self.bound) == prefix) {
                return Err(self.error(RefusalCode::XmlMalformed, attr.name.start));
            }
            let bytes = self.bound.len() + prefix.len() + uri.len();
            if self.bindings.len() >= self.limits.namespaces_in_scope
                || bytes > self.limits.namespace_bytes
                || !may_declare(prefix, uri)
            {
                let error = self.error(RefusalCode::XmlNs, attr.name.start);
                return Err(if uri.is_empty() || begins_with_scheme(uri) {
                    error
                } else {
                    error
                        .detail("имя пространства имён относительное, а должно начинаться со схемы")
                });
            }
            let (prefix, uri) = (prefix.to_owned(), uri.to_owned());
            self.bind(&prefix, &uri);
        }
        Ok(())
    }

    /// Gives each attribute its namespace and looks for two of one name.
    fn bind_attributes(&mut self) -> Result<(), XmlError> {
        let mut attributes = std::mem::take(&mut self.tag.attributes);
        for number in 0..attributes.len() {
            let (before, rest) = attributes.split_at_mut(number);
            let attr = &mut rest[0];
            let (prefix, local) = self.raw_name(attr);
            if attr.prefix > 0 {
                attr.binding = self
                    .lookup(prefix)
                    .ok_or_else(|| self.error(RefusalCode::XmlNs, attr.name.start))?;
            }
            for other in before.iter() {
                if other.name.len() - other.prefix == attr.name.len() - attr.prefix
                    && self.raw_name(other).1 == local
                    && self.uri(other.binding) == self.uri(attr.binding)
                {
                    return Err(self.error(RefusalCode::XmlMalformed, attr.name.start));
                }
            }
            if let Some(last) = before.last()
                && (last.prefix > 0
                    || attr.prefix > 0
                    || self.raw_name(last).1 > self.raw_name(attr).1)
            {
                self.tag.canonical = false;
            }
        }
        self.tag.attributes = attributes;
        Ok(())
    }

    /// Attributes of the tag at hand.
    pub(super) fn attributes(&self) -> &[Attr] {
        &self.tag.attributes
    }

    /// An attribute as handed out.
    pub(super) fn attribute(&self, attr: &Attr) -> super::Attribute<'_> {
        let (prefix, local) = self.raw_name(attr);
        let namespace = self.uri(attr.binding);
        super::Attribute { namespace, prefix, local, value: self.value_of(attr) }
    }
}

/// Characters that no URI has, RFC 3986, 2.
const NOT_IN_URI: &str = " <>\"{}|\\^`";

/// RFC 3986, 3.1: what has no scheme is a relative name.
fn begins_with_scheme(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    })
}

/// Namespaces in XML 1.0, section 3, and no relative names, which canonicalisation cannot have.
fn may_declare(prefix: &str, uri: &str) -> bool {
    match (prefix, uri) {
        ("xmlns", _) | (_, XMLNS_NAMESPACE) => false,
        ("xml", _) | (_, XML_NAMESPACE) => prefix == "xml" && uri == XML_NAMESPACE,
        ("", "") => true,
        _ => {
            uri.len() <= MAX_URI
                && begins_with_scheme(uri)
                && !uri.contains(|c: char| c.is_control() || NOT_IN_URI.contains(c))
        }
    }
}
