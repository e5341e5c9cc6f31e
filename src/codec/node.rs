//! A small document as a tree, for requests that are read whole and judged with all their flaws.

use std::io::Read;

use crate::codec::xml::{Event, Limits, Reader, Start, is_ncname};
use crate::model::refusal::{Place, Refusal, RefusalCode};

/// Namespace of attributes that any element may have, whatever its schema says.
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// An element. Namespace declarations, comments and prefixes are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Namespace name; empty when it has none.
    pub namespace: String,
    /// Local name.
    pub local: String,
    /// Attributes: namespace name, local name, value.
    pub attributes: Vec<(String, String, String)>,
    /// All text directly inside.
    pub text: String,
    /// Elements directly inside.
    pub children: Vec<Node>,
    /// Where its start tag begins.
    pub place: Place,
}

/// One place where a document does not follow its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Where.
    pub place: Place,
    /// Russian text: what is wrong.
    pub text: String,
}

impl Node {
    /// Reads a whole document.
    ///
    /// # Errors
    /// What the reader refuses.
    pub fn document(document: &[u8], limits: Limits) -> Result<Self, Refusal> {
        let mut reader = Reader::new(document, limits);
        let begun = loop {
            match reader.next()? {
                Event::Start(start) => {
                    break Self::begin(start);
                }
                Event::Eof => return Err(RefusalCode::XmlMalformed.into()),
                Event::Text(_) | Event::End(_) | Event::Instruction(_) => {}
            }
        };
        let root = Self::rest(&mut reader, &begun.namespace, &begun.local)?;
        while !matches!(reader.next()?, Event::Eof) {}
        Ok(Self { attributes: begun.attributes, place: begun.place, ..root })
    }

    /// The first child of this name.
    pub fn child(&self, namespace: &str, local: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(namespace, local))
    }

    /// Reads what follows a start tag already consumed, through its end tag.
    ///
    /// # Errors
    /// What the reader refuses.
    pub fn rest<R: Read>(
        reader: &mut Reader<R>,
        namespace: &str,
        local: &str,
    ) -> Result<Self, Refusal> {
        let Limits { tree_elements, tree_bytes, .. } = reader.limits();
        let (mut count, mut bytes) = (0, 0);
        let mut open = vec![Self {
            namespace: namespace.to_owned(),
            local: local.to_owned(),
            attributes: Vec::new(),
            text: String::new(),
            children: Vec::new(),
            place: reader.position(),
        }];
        loop {
            match reader.next()? {
                Event::Start(start) => {
                    // A tree needs many times the bytes of its document.
                    let element = Self::begin(start);
                    count += 1;
                    bytes += element.bytes();
                    if count > tree_elements || bytes > tree_bytes {
                        return Err(Refusal::new(RefusalCode::XmlElements).at(element.place));
                    }
                    open.push(element);
                }
                Event::Text(text) => {
                    if let Some(node) = open.last_mut() {
                        node.text.push_str(text);
                    }
                }
                Event::End(_) => {
                    let Some(node) = open.pop() else { break };
                    match open.last_mut() {
                        Some(parent) => parent.children.push(node),
                        None => return Ok(node),
                    }
                }
                Event::Instruction(_) => {}
                Event::Eof => break,
            }
        }
        Err(RefusalCode::XmlMalformed.into())
    }

    fn begin(start: Start<'_>) -> Self {
        Self {
            namespace: start.namespace().to_owned(),
            local: start.local().to_owned(),
            attributes: start.owned_attributes(),
            text: String::new(),
            children: Vec::new(),
            place: start.place(),
        }
    }

    /// What it takes itself, without text and children.
    fn bytes(&self) -> usize {
        let one = |(namespace, local, value): &(String, String, String)| {
            size_of::<(String, String, String)>() + namespace.len() + local.len() + value.len()
        };
        let attributes: usize = self.attributes.iter().map(one).sum();
        size_of::<Self>() + self.namespace.len() + self.local.len() + attributes
    }

    /// Whether it has this expanded name.
    pub fn is(&self, namespace: &str, local: &str) -> bool {
        self.local == local && self.namespace == namespace
    }

    /// Notes attributes that it may not have: all but those named, and where its schema is to be found.
    /// An `Id` must be a name.
    pub fn judge_attributes(&self, allowed: &[&str], flaws: &mut Vec<Flaw>) {
        for (namespace, name, value) in &self.attributes {
            let text = match namespace.as_str() {
                XSI if ["schemaLocation", "noNamespaceSchemaLocation"].contains(&&**name) => {
                    continue;
                }
                "" if name == "Id" && allowed.contains(&"Id") => {
                    if is_ncname(stripped(value)) {
                        continue;
                    }
                    "начинается с буквы или подчёркивания; дальше буквы, цифры, точка, дефис"
                }
                "" if allowed.contains(&&**name) => continue,
                _ => "здесь не предусмотрен схемой",
            };
            let text = format!("Атрибут {name} элемента {} {text}", self.local);
            flaws.push(Flaw { place: self.place, text });
        }
    }

    /// Value of an attribute without namespace.
    pub fn attribute(&self, local: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        let found = attributes.find(|(namespace, name, _)| namespace.is_empty() && name == local);
        found.map(|(_, _, value)| value.as_str())
    }
}

/// Walks the children of an element in the order its schema gives them, noting what is wrong.
#[derive(Debug)]
pub struct Sequence<'n, 'f> {
    parent: &'n Node,
    next: usize,
    flaws: &'f mut Vec<Flaw>,
}

impl<'n, 'f> Sequence<'n, 'f> {
    /// Begins before the first child.
    pub fn of(parent: &'n Node, flaws: &'f mut Vec<Flaw>) -> Self {
        if !stripped(&parent.text).is_empty() {
            flaws.push(Flaw {
                place: parent.place,
                text: format!("Элемент {} не должен содержать текст", parent.local),
            });
        }
        Self { parent, next: 0, flaws }
    }

    /// Where the element begins.
    pub fn place(&self) -> Place {
        self.parent.place
    }

    /// The next child, if it has this name. Attributes that it has are flaws.
    pub fn optional(&mut self, namespace: &str, local: &str) -> Option<&'n Node> {
        self.optional_with(namespace, local, &[])
    }

    /// The next child, which must have this name. Its absence is a flaw, as attributes are.
    pub fn required(&mut self, namespace: &str, local: &str) -> Option<&'n Node> {
        self.required_with(namespace, local, &[])
    }

    /// As [`Sequence::required`] for an element that may have these attributes.
    pub fn required_with(
        &mut self,
        namespace: &str,
        local: &str,
        attributes: &[&str],
    ) -> Option<&'n Node> {
        let found = self.optional_with(namespace, local, attributes);
        if found.is_none() {
            let parent = &self.parent.local;
            self.flaw(self.parent.place, format!("В элементе {parent} нет обязательного {local}"));
        }
        found
    }

    fn optional_with(
        &mut self,
        namespace: &str,
        local: &str,
        attributes: &[&str],
    ) -> Option<&'n Node> {
        let node = self.parent.children.get(self.next).filter(|node| node.is(namespace, local))?;
        self.next += 1;
        node.judge_attributes(attributes, self.flaws);
        Some(node)
    }

    /// The next child, whatever it is.
    pub fn any(&mut self) -> Option<&'n Node> {
        let node = self.parent.children.get(self.next)?;
        self.next += 1;
        Some(node)
    }

    /// Notes a flaw.
    pub fn flaw(&mut self, place: Place, text: impl Into<String>) {
        self.flaws.push(Flaw { place, text: text.into() });
    }

    /// Walks the children of an element met on the way, noting flaws in the same list.
    pub fn inside<'m>(&mut self, node: &'m Node) -> Sequence<'m, '_> {
        Sequence::of(node, self.flaws)
    }

    /// Text of an element without children, as written, of at most so many characters.
    /// Anything else is a flaw and gives `None`.
    pub fn exact<'m>(&mut self, node: &'m Node, limit: usize) -> Option<&'m str> {
        let name = &node.local;
        if let Some(child) = node.children.first() {
            self.flaw(child.place, format!("Элемент {name} не может содержать другие элементы"));
            return None;
        }
        if node.text.chars().count() > limit {
            self.flaw(node.place, format!("Значение {name} длиннее {limit} символов"));
            return None;
        }
        Some(&node.text)
    }

    /// As [`Sequence::exact`], without the whitespace around it.
    pub fn text<'m>(&mut self, node: &'m Node, limit: usize) -> Option<&'m str> {
        self.exact(node, limit).map(stripped)
    }

    /// As [`Sequence::text`], and not empty.
    pub fn filled<'m>(&mut self, node: &'m Node, limit: usize) -> Option<&'m str> {
        let value = self.text(node, limit)?;
        if value.is_empty() {
            self.flaw(node.place, format!("Не заполнено {}", node.local));
            return None;
        }
        Some(value)
    }

    /// Ends the walk: a child that is left is a flaw.
    pub fn finish(self) {
        if let Some(node) = self.parent.children.get(self.next) {
            let (child, parent) = (&node.local, &self.parent.local);
            self.flaws.push(Flaw {
                place: node.place,
                text: format!("Элемент {child} здесь не предусмотрен схемой (внутри {parent})"),
            });
        }
    }
}

/// Text without the blanks of XML around it, which are fewer than those of Unicode.
fn stripped(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Elements that each have 60 attributes in a namespace with a name of 1,000 bytes.
    fn wide(elements: usize) -> String {
        let attributes = (0..60).fold(String::new(), |all, at| all + &format!(" p:a{at}=''"));
        let children = format!("<b{attributes}/>").repeat(elements);
        format!("<a xmlns:p='urn:{}'>{children}</a>", "x".repeat(1000))
    }

    #[test]
    fn names_that_stand_once_in_a_document_do_not_make_a_tree_of_any_size() {
        let read = |elements| Node::document(wide(elements).as_bytes(), Limits::default());
        assert_eq!(read(400).unwrap().children.len(), 400);
        assert_eq!(read(2_000).unwrap_err().code, RefusalCode::XmlElements);
    }

    #[test]
    fn namespaces_in_scope_have_so_many_bytes_together() {
        let scope = |count: usize| {
            let one = |at| format!(" xmlns:p{at}='urn:{at}:{}'", "x".repeat(900));
            let declared = (0..count).fold(String::new(), |all, at| all + &one(at));
            Node::document(format!("<a{declared}/>").as_bytes(), Limits::default()).map(|_| ())
        };
        assert_eq!(scope(17), Ok(()));
        assert_eq!(scope(19).unwrap_err().code, RefusalCode::XmlNs);
    }
}
