//! Data of a sender in another version of the exchange than the one that they were sent in.

use super::Version;
use crate::codec::xml::{Event, Limits, Reader, Start, escape_attribute};

/// What 1.3 alone says of a file.
const ONLY_IN_13: [&str; 3] = ["NamespaceUri", "FileName", "Archive"];

/// An element of a sender, cut out of a message of one version, as another version has it.
///
/// Namespaces of the exchange change where they are declared, and what the other version does not
/// know of files is left out; the content and the signature over it stay as they are. The sender's
/// signature over the whole no longer stands then.
pub fn translate(element: String, from: Version, to: Version) -> String {
    if from == to {
        return element;
    }
    let mut reader = Reader::new(element.as_bytes(), Limits::of_ours());
    let (mut out, mut copied) = (String::with_capacity(element.len()), 0);
    let (mut content, mut dropping, mut dropped) = (None, None, false);
    // The element was read when it was taken: it ends before anything is wrong with it.
    while let Ok((event, at)) = reader.step() {
        let here = usize::try_from(at.place().offset).unwrap_or(element.len());
        if std::mem::take(&mut dropped) {
            copied = here;
        }
        match event {
            Event::Start(start) if content.is_none() && dropping.is_none() => {
                out.push_str(&element[copied..here]);
                copied = here;
                if is_unknown(start, from, to) {
                    dropping = Some(start.depth());
                    continue;
                }
                let end = here + tag_length(&element[here..]);
                out.push_str(&renamed(&element[here..end], start, from, to));
                copied = end;
                let holder = start.is(from.basic(), "MessagePrimaryContent");
                content = holder.then(|| start.depth());
            }
            Event::End(end) if content == Some(end.depth()) => content = None,
            Event::End(end) if dropping == Some(end.depth()) => (dropping, dropped) = (None, true),
            Event::Eof => break,
            _ => {}
        }
    }
    out.push_str(&element[copied..]);
    out
}

/// Data that the exchange itself provides, written in one version, as another version has them.
pub fn translate_own(element: String, from: Version, to: Version) -> String {
    let state = |version: Version| {
        format!("<t:StatusCategory>{}</t:StatusCategory>", version.rejected_response())
    };
    // Later ones have all the words of the oldest.
    let element =
        if to == Version::V11 { element.replace(&state(from), &state(to)) } else { element };
    translate(element, from, to)
}

/// Whether the other version has no such element.
fn is_unknown(start: Start<'_>, from: Version, to: Version) -> bool {
    let only = ONLY_IN_13.contains(&start.local()) && start.namespace() == from.basic();
    only && to != Version::V13
}

/// A start tag with the namespaces that it declares renamed.
fn renamed(tag: &str, start: Start<'_>, from: Version, to: Version) -> String {
    let new_name = |uri: &str| match uri {
        _ if uri == from.types() => Some(to.types()),
        _ if uri == from.basic() => Some(to.basic()),
        _ => None,
    };
    let declared = |name: &str| {
        let prefix = name.strip_prefix("xmlns")?;
        let prefix = if prefix.is_empty() { Some("") } else { prefix.strip_prefix(':') }?;
        let mut bindings = start.declared().map(|number| start.bound(number));
        bindings.find(|bound| bound.0 == prefix).and_then(|bound| new_name(bound.1))
    };
    let (mut out, mut rest) = (String::with_capacity(tag.len()), tag);
    while let Some(open) = rest.find(['"', '\'']) {
        let (before, after) = rest.split_at(open + 1);
        let quote = if before.ends_with('"') { '"' } else { '\'' };
        let Some((value, behind)) = after.split_once(quote) else { break };
        let name = before[..open].trim_end().trim_end_matches('=').trim_end();
        let name = name.rsplit(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default();
        out.push_str(before);
        match declared(name) {
            Some(uri) => escape_attribute(uri, &mut out),
            None => out.push_str(value),
        }
        out.push(quote);
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Bytes of the start tag with which a text begins.
fn tag_length(text: &str) -> usize {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match quote {
            None if byte == b'>' => return at + 1,
            None if byte == b'"' || byte == b'\'' => quote = Some(byte),
            Some(open) if open == byte => quote = None,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_exchange_change_and_nothing_of_the_content() {
        let (v11, v13) = (Version::V11, Version::V13);
        let content = format!(
            "<x a='>' b=\"xmlns='{0}'\">xmlns=\"{0}\"<![CDATA[<t xmlns=\"{0}\"/>]]></x>",
            v13.types()
        );
        let data = |types: &str, basic: &str, names: &str| {
            format!(
                "<D xmlns = '{types}' p='1' xmlns:b=\n\"{basic}\">\r\n<b:MessagePrimaryContent>{content}\
                 </b:MessagePrimaryContent><b:H>1{names}</b:H><E/></D>"
            )
        };
        let names = "<b:NamespaceUri>urn:a</b:NamespaceUri><!-- - --><b:Archive/>";
        let theirs = data(v13.types(), v13.basic(), names);
        assert_eq!(translate(theirs.clone(), v13, v11), data(v11.types(), v11.basic(), ""));
        assert_eq!(translate(theirs.clone(), v13, v13), theirs);
        let hidden = theirs.replacen("types/1.3", "types&#x2F;1.3", 1);
        assert_eq!(translate(hidden, v13, v11), data(v11.types(), v11.basic(), ""));
        let back = data(v11.types(), v11.basic(), "");
        assert_eq!(translate(back, v11, v13), data(v13.types(), v13.basic(), ""));
    }
}
