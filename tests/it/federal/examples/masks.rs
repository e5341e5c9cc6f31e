//! What differs from run to run in a message, hidden: ids by their number in order of appearance, so that
//! a message that refers to another still must refer to it.

use std::collections::BTreeMap;

/// Elements whose text differs: signatures, digests of what holds times, sealed addresses and words.
const ELEMENTS: [&str; 9] = [
    "SignatureValue",
    "DigestValue",
    "SignaturePKCS7",
    "ReplyTo",
    "To",
    "Cursor",
    "NextCursor",
    "UserName",
    "Password",
];

/// Beginnings of what differs, and the characters it is made of.
const WORDS: [(&str, &str); 4] = [
    ("errorPosition=\"", "0123456789"),
    ("строка 1, столбец ", "0123456789"),
    ("Сертификат действителен до ", "0123456789.: UTC"),
    ("Pseudonym=\"", "0123456789abcdef"),
];

/// Ids that were seen.
#[derive(Default)]
pub(super) struct Masks(BTreeMap<String, usize>);

impl Masks {
    /// The text with all that hidden.
    pub(super) fn hide(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let word = WORDS.iter().any(|(word, _)| word.starts_with(first));
            if !(first == '<' || first.is_ascii_hexdigit() || word) {
                out.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let (shown, hidden, length) = self
                .mask(rest, &out)
                .unwrap_or_else(|| (rest[..first.len_utf8()].to_owned(), "", first.len_utf8()));
            out.push_str(&shown);
            out.push_str(hidden);
            rest = &rest[length..];
        }
        sorted_rows(out)
    }

    /// What hides the beginning of a text: what stays of it, what replaces the rest, and its length.
    fn mask(&mut self, rest: &str, before: &str) -> Option<(String, &'static str, usize)> {
        if let Some(id) = id(rest).filter(|_| !before.ends_with(|c: char| c.is_ascii_hexdigit())) {
            let next = self.0.len() + 1;
            let number = *self.0.entry(id.to_owned()).or_insert(next);
            return Some((format!("{{id {number}}}"), "", id.len()));
        }
        if let Some(length) = time(rest) {
            return Some((String::new(), "{time}", length));
        }
        if let Some(length) = element(rest) {
            let text = rest[length..].find('<')?;
            return Some((rest[..length].to_owned(), "{text}", length + text));
        }
        let (word, alphabet) = WORDS.into_iter().find(|(word, _)| rest.starts_with(word))?;
        let text = &rest[word.len()..];
        let length = text.find(|c| !alphabet.contains(c)).unwrap_or(text.len());
        Some((word.to_owned(), "{word}", word.len() + length))
    }
}

/// A UUID in lower case.
fn id(text: &str) -> Option<&str> {
    let id = text.get(..36)?;
    let dash = |at: usize| [8, 13, 18, 23].contains(&at);
    let fits = |(at, byte): (usize, u8)| match byte {
        b'-' => dash(at),
        b'0'..=b'9' | b'a'..=b'f' => !dash(at),
        _ => false,
    };
    id.bytes().enumerate().all(fits).then_some(id)
}

/// How long an `xs:dateTime` is.
fn time(text: &str) -> Option<usize> {
    let pattern = b"0000-00-00T00:00:00";
    let begin = text.as_bytes().get(..pattern.len())?;
    let fits = |(byte, like): (&u8, &u8)| match like {
        b'0' => byte.is_ascii_digit(),
        like => byte == like,
    };
    if !begin.iter().zip(pattern).all(fits) {
        return None;
    }
    let rest = &text[pattern.len()..];
    let zone = |c: char| !(c.is_ascii_digit() || ".+-:Z".contains(c));
    Some(pattern.len() + rest.find(zone).unwrap_or(rest.len()))
}

/// How long the start tag of a masked element is.
fn element(text: &str) -> Option<usize> {
    let tag = text.strip_prefix('<')?;
    let end = tag.find('>')?;
    let name = tag[..end].split_ascii_whitespace().next()?;
    let local = name.rsplit(':').next()?;
    (ELEMENTS.contains(&local) && !tag[..end].ends_with('/')).then_some(end + 2)
}

/// Rows stand in the order of their pseudonyms, which are hidden: sorted by what is left.
fn sorted_rows(text: String) -> String {
    let Some(begin) = text.find("<Row ") else { return text };
    let end = text.rfind("<Row ").unwrap();
    let end = end + text[end..].find('>').unwrap() + 1;
    let mut rows: Vec<&str> = text[begin..end].split_inclusive('>').collect();
    rows.sort_unstable();
    format!("{}{}{}", &text[..begin], rows.concat(), &text[end..])
}

#[test]
fn what_differs_is_hidden_and_nothing_else() {
    let id = "6dfbb380-6827-11ef-9a3b-0242ac110002";
    let text = format!(
        "<a:Id at='2026-09-01T10:00:00.5+03:00'>{id}</a:Id><To>x</To><To/><Told>{id} 2026-09-01</Told>\
         <Row Pseudonym=\"02\"/><Row A=\"1\"/>"
    );
    let expected = "<a:Id at='{time}'>{id 1}</a:Id><To>{text}</To><To/><Told>{id 1} 2026-09-01</Told>\
        <Row A=\"1\"/><Row Pseudonym=\"{word}\"/>";
    assert_eq!(Masks::default().hide(&text), expected);
}
