//! An element cut out of a document as it stands there, so that it means the same elsewhere: the
//! namespaces that it took from the elements around are declared on it.

use super::xml::{Event, Limits, Reader, Start, escape_attribute};
use super::xmldsig::Name;
use crate::model::refusal::{Refusal, RefusalCode};

/// The first element at this path, names from the root; `None` when there is none.
///
/// # Errors
/// What is wrong with the document.
pub fn excerpt(
    document: &[u8],
    path: &[Name<'_>],
    limits: Limits,
) -> Result<Option<String>, Refusal> {
    let mut reader = Reader::new(document, limits);
    // How many names of the path the open elements follow.
    let mut matched = 0;
    let mut cut: Option<(usize, String)> = None;
    loop {
        let (event, at) = reader.step()?;
        match &event {
            Event::Start(start) if cut.is_none() && start.depth() == matched + 1 => {
                let (namespace, local) = path[matched];
                if start.is(namespace, local) {
                    matched += 1;
                }
                if matched == path.len() {
                    cut = Some((index(at.place().offset)?, outer(*start)));
                }
            }
            Event::End(end) if end.depth() == path.len() && cut.is_some() => {
                let end = tag_end(document, index(at.place().offset)?);
                let Some((begin, declarations)) = cut else { return Ok(None) };
                let whole = String::from_utf8_lossy(&document[begin..end]);
                let name = whole.find(|c: char| c.is_ascii_whitespace() || "/>".contains(c));
                let (tag, rest) = whole.split_at(name.unwrap_or(whole.len()));
                return Ok(Some([tag, &declarations, rest].concat()));
            }
            Event::End(end) if cut.is_none() => matched = matched.min(end.depth() - 1),
            Event::Eof => return Ok(None),
            _ => {}
        }
    }
}

/// Declarations of all namespaces that are in scope and not declared by the tag itself.
fn outer(start: Start<'_>) -> String {
    let own = start.declared();
    let declared = |prefix: &str| own.clone().any(|number| start.bound(number).0 == prefix);
    let mut seen: Vec<&str> = vec!["xml"];
    let mut markup = String::new();
    for number in (0..own.start).rev() {
        let (prefix, uri) = start.bound(number);
        // The nearest counts; the number of no namespace has no name.
        if seen.contains(&prefix) {
            continue;
        }
        seen.push(prefix);
        if !declared(prefix) && !uri.is_empty() {
            markup.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
            markup.push_str(prefix);
            markup.push_str("=\"");
            escape_attribute(uri, &mut markup);
            markup.push('"');
        }
    }
    markup
}

/// The byte behind the tag that begins at `begin`.
pub(super) fn tag_end(document: &[u8], begin: usize) -> usize {
    let mut quote = None;
    for (at, &byte) in document.iter().enumerate().skip(begin) {
        match quote {
            None if byte == b'>' => return at + 1,
            None if byte == b'"' || byte == b'\'' => quote = Some(byte),
            Some(open) if open == byte => quote = None,
            _ => {}
        }
    }
    document.len()
}

fn index(offset: u64) -> Result<usize, Refusal> {
    usize::try_from(offset).map_err(|_| RefusalCode::LimitBytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_out_means_the_same() {
        let document = "<?xml version='1.0'?><a xmlns='urn:a' xmlns:p='urn:p' xmlns:q='urn:q'><b/>\r\n\
            <p:c><d q='1' xmlns:q='urn:own'>1</d></p:c><p:c p:x='/>'><d xmlns=''/></p:c></a>";
        let cut =
            |path: &[Name<'_>]| excerpt(document.as_bytes(), path, Limits::default()).unwrap();
        let (a, c) = (("urn:a", "a"), ("urn:p", "c"));
        assert_eq!(
            cut(&[a, c, ("urn:a", "d")]).unwrap(),
            "<d xmlns:p=\"urn:p\" xmlns=\"urn:a\" q='1' xmlns:q='urn:own'>1</d>"
        );
        assert_eq!(
            cut(&[a, c, ("", "d")]).unwrap(),
            "<d xmlns:q=\"urn:q\" xmlns:p=\"urn:p\" xmlns=''/>"
        );
        assert_eq!(
            cut(&[a, ("urn:a", "b")]).unwrap(),
            "<b xmlns:q=\"urn:q\" xmlns:p=\"urn:p\" xmlns=\"urn:a\"/>"
        );
        assert_eq!(cut(&[a, ("urn:a", "x")]), None);
    }
}
