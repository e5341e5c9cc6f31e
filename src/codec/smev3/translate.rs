//! Data of a sender in another version of the exchange than the one that they were sent in.

use super::Version;
use crate::codec::xml::{Event, Limits, Reader, Start, escape_attribute};

/// What 1.3 alone says of a file.
const ONLY_IN_13: [&str; 3] = ["NamespaceUri", "FileName", "Archive"];

/// An element of a sender, cut out of a message of one version, as another version has it.
///
/// Namespaces of the exchange change where they are declared, and what the other version does not
/// know of files is left out. What others than the exchange have written in it stays as it is, byte for
/// byte and with what its prefixes mean: an official's signature over the content stands. The sender's
/// signature over the whole no longer stands then.
pub fn translate(element: String, from: Version, to: Version) -> String {
    if from == to {
        return element;
    }
    let mut reader = Reader::new(element.as_bytes(), Limits::of_ours());
    let (mut out, mut copied) = (String::with_capacity(element.len()), 0);
    // Where what others have written ends, and the prefix of what holds it.
    let mut foreign: Option<(usize, String)> = None;
    let mut dropping = None;
    // The element was read when it was taken: it ends before anything is wrong with it.
    while let Ok((event, at)) = reader.step() {
        let here = usize::try_from(at.place().offset).unwrap_or(element.len());
        match event {
            Event::Start(start) if foreign.is_none() && dropping.is_none() => {
                out.push_str(&element[copied..here]);
                copied = here;
                if is_unknown(start, from, to) {
                    dropping = Some(start.depth());
                    continue;
                }
                let end = here + tag_length(&element[here..]);
                let tag = &element[here..end];
                if holds_foreign(start, from) {
                    let fresh = unused_prefix(start);
                    out.push_str(&holder(tag, start, (from, to), &fresh));
                    foreign = Some((start.depth(), fresh));
                } else {
                    out.push_str(&renamed(tag, start, from, to));
                }
                copied = end;
            }
            Event::End(end) if foreign.as_ref().is_some_and(|(depth, _)| *depth == end.depth()) => {
                // An empty element may have no end tag.
                if let Some((_, fresh)) = foreign.take()
                    && element[here..].starts_with("</")
                {
                    out.push_str(&element[copied..here]);
                    out.extend(["</", &fresh, ":", end.local()]);
                    copied = here + "</".len() + end.qualified().len();
                }
            }
            Event::End(end) if dropping == Some(end.depth()) => {
                // An empty element ends where its only tag does.
                copied = here + tag_length(&element[here..]);
                dropping = None;
            }
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

/// Whether an element holds what others than the exchange have written: a child of the data, where there
/// is one of each name. Deeper ones mean nothing.
fn holds_foreign(start: Start<'_>, from: Version) -> bool {
    start.depth() == 2
        && (start.is(from.basic(), "MessagePrimaryContent")
            || start.is(from.types(), "PersonalSignature")
            || start.is(from.types(), "BusinessProcessMetadata"))
}

/// The start tag of such an element: by a prefix of its own it is the other version's, and all others
/// mean in it what they meant.
fn holder(tag: &str, start: Start<'_>, (from, to): (Version, Version), fresh: &str) -> String {
    let own = if start.namespace() == from.basic() { to.basic() } else { to.types() };
    let mut out = format!("<{fresh}:{} xmlns:{fresh}=\"{own}\"", start.local());
    let above = 0..start.declared().start;
    for number in above.filter(|number| start.lookup(start.bound(*number).0) == Some(*number)) {
        let (prefix, uri) = start.bound(number);
        if uri == from.types() || uri == from.basic() {
            let colon = if prefix.is_empty() { "" } else { ":" };
            out.extend([" xmlns", colon, prefix, "=\"", uri, "\""]);
        }
    }
    out.push_str(&tag["<".len() + start.qualified().len()..]);
    out
}

/// A prefix that means nothing at a start tag.
fn unused_prefix(start: Start<'_>) -> String {
    let mut prefix = "own".to_owned();
    while start.lookup(&prefix).is_some() {
        prefix.push('_');
    }
    prefix
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
        let data = |version: Version, open: &str, close: &str, names: &str| {
            let (types, basic) = (version.types(), version.basic());
            format!(
                "<D xmlns = '{types}' p='1' xmlns:b=\n\"{basic}\">\r\n<{open}>{content}\
                 </{close}><b:H>1{names}</b:H><E/></D>"
            )
        };
        let plain = |version, names| {
            data(version, "b:MessagePrimaryContent", "b:MessagePrimaryContent", names)
        };
        let told = |from: Version, to: Version, names: &str| {
            let holder = "own:MessagePrimaryContent";
            let (own, types, basic) = (to.basic(), from.types(), from.basic());
            let open =
                format!("{holder} xmlns:own=\"{own}\" xmlns=\"{types}\" xmlns:b=\"{basic}\"");
            data(to, &open, holder, names)
        };
        let names = "<b:NamespaceUri>urn:a</b:NamespaceUri><!-- - --><b:Archive/>";
        let theirs = plain(v13, names);
        let comment = "<!-- - -->";
        assert_eq!(translate(theirs.clone(), v13, v11), told(v13, v11, comment));
        assert_eq!(translate(theirs.clone(), v13, v13), theirs);
        let hidden = theirs.replacen("types/1.3", "types&#x2F;1.3", 1);
        assert_eq!(translate(hidden, v13, v11), told(v13, v11, comment));
        assert_eq!(translate(plain(v11, ""), v11, v13), told(v11, v13, ""));
    }

    #[test]
    fn what_is_left_out_takes_nothing_of_what_follows_along() {
        let (v11, v13) = (Version::V11, Version::V13);
        let data = |types: &str, basic: &str, dropped: &str| {
            format!(
                "<D xmlns='{types}'><b:H xmlns:b='{basic}'>{dropped}<![CDATA[</b:H></D><Sender/><D>\
                 <b:H><![CDATA[]]><b:I/>&lt;Sender/><!-- <Sender/> --></b:H></D>"
            )
        };
        for dropped in ["<b:FileName>a</b:FileName>", "<b:FileName/>", "<b:FileName a='>' />"] {
            let theirs = data(v13.types(), v13.basic(), dropped);
            assert_eq!(translate(theirs, v13, v11), data(v11.types(), v11.basic(), ""));
        }
    }

    #[test]
    fn only_the_datas_own_children_hold_the_words_of_others() {
        let (v11, v13) = (Version::V11, Version::V13);
        let inside = "<PersonalSignature/>".repeat(1000);
        let data =
            |types: &str| format!("<D xmlns='{types}'><TestMessage>{inside}</TestMessage></D>");
        assert_eq!(translate(data(v11.types()), v11, v13), data(v13.types()));
    }

    #[test]
    fn what_holds_the_words_of_others_may_be_empty_or_declare_its_own() {
        let (v11, v13) = (Version::V11, Version::V13);
        let (types, basic) = (v11.types(), v11.basic());
        let theirs = format!(
            "<own:D xmlns:own='{types}'><own:BusinessProcessMetadata /><own:PersonalSignature\n>\
             <own:S/></own:PersonalSignature ><MessagePrimaryContent xmlns='{basic}'/></own:D>"
        );
        let (new, outer) = (v13.types(), format!(" xmlns:own=\"{types}\""));
        let told = format!(
            "<own:D xmlns:own='{new}'><own_:BusinessProcessMetadata xmlns:own_=\"{new}\"{outer} />\
             <own_:PersonalSignature xmlns:own_=\"{new}\"{outer}\n><own:S/></own_:PersonalSignature >\
             <own_:MessagePrimaryContent xmlns:own_=\"{0}\"{outer} xmlns='{basic}'/></own:D>",
            v13.basic()
        );
        assert_eq!(translate(theirs, v11, v13), told);
    }

    #[test]
    fn a_prefix_is_looked_for_among_those_that_mean_something_not_in_what_others_have_written() {
        let (v11, v13) = (Version::V11, Version::V13);
        let data = |open: &str, close: &str| {
            let text = "own".to_owned() + &"_".repeat(2 << 20);
            format!("<D><{open}>{text}</{close}></D>")
        };
        let plain = format!("b:MessagePrimaryContent xmlns:b='{}'", v11.basic());
        let told = format!(
            "own:MessagePrimaryContent xmlns:own=\"{}\" xmlns:b='{}'",
            v13.basic(),
            v11.basic()
        );
        let translated = translate(data(&plain, "b:MessagePrimaryContent"), v11, v13);
        assert!(translated == data(&told, "own:MessagePrimaryContent"));
    }
}
