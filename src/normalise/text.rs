//! Texts as they are stored, and the keys by which they are compared.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
use xxhash_rust::xxh3::Xxh3;

/// XML blanks at the ends cut, inside collapsed to one space: what `xs:token` compares.
pub fn collapse(text: &str) -> Cow<'_, str> {
    let blank = |c: u8| matches!(c, b' ' | b'\t' | b'\n' | b'\r');
    let trimmed = text.trim_matches([' ', '\t', '\n', '\r']);
    let bytes = trimmed.as_bytes();
    let tidy = bytes
        .iter()
        .zip(bytes.iter().skip(1).chain([&b'x']))
        .all(|(&here, &next)| !blank(here) || (here == b' ' && !blank(next)));
    if tidy {
        return Cow::Borrowed(trimmed);
    }
    let words = trimmed.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty());
    Cow::Owned(words.collect::<Vec<&str>>().join(" "))
}

/// Composed characters (NFC).
pub fn composed(text: &str) -> String {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return text.to_owned();
    }
    text.nfc().collect()
}

/// The form in which names are compared: upper case, Ё as Е, Latin look-alikes as Cyrillic,
/// one kind of hyphen and apostrophe, nothing invisible, single spaces.
pub fn fold_name(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) {
            continue;
        }
        if c.is_whitespace() {
            if !folded.is_empty() && !folded.ends_with([' ', '-']) {
                folded.push(' ');
            }
            continue;
        }
        let c = fold_char(c);
        if c == '-' && folded.ends_with(' ') {
            folded.pop();
        }
        folded.push(c);
    }
    if folded.ends_with(' ') {
        folded.pop();
    }
    folded
}

fn fold_char(c: char) -> char {
    let upper = match c {
        'а'..='я' => char::from_u32(c as u32 - 0x20).unwrap_or(c),
        'А'..='Я' => c,
        _ => c.to_uppercase().next().unwrap_or(c),
    };
    match upper {
        'Ё' => 'Е',
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' | '\u{FF0D}' => '-',
        '\u{2018}' | '\u{2019}' | '\u{02BC}' | '`' | '\u{00B4}' => '\'',
        'A'..='Z' => cyrillic_twin(upper),
        _ => upper,
    }
}

/// The Cyrillic capital that looks like this Latin one, else itself.
pub fn cyrillic_twin(c: char) -> char {
    match c {
        'A' => 'А',
        'B' => 'В',
        'C' => 'С',
        'E' => 'Е',
        'H' => 'Н',
        'K' => 'К',
        'M' => 'М',
        'O' => 'О',
        'P' => 'Р',
        'T' => 'Т',
        'X' => 'Х',
        'Y' => 'У',
        other => other,
    }
}

/// Zero-width and direction marks.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// Whether a name holds invisible characters, letters of two alphabets in a word, or signs
/// that are neither letters nor marks of names.
pub fn is_suspicious(name: &str) -> bool {
    if name.is_ascii() {
        return false;
    }
    let strange = |c: char| !(c.is_alphabetic() || c.is_ascii() || is_name_mark(c));
    name.chars().any(|c| is_invisible(c) || strange(c))
        || name.split([' ', '-']).any(|word| {
            let latin = word.chars().any(|c| c.is_ascii_alphabetic());
            latin && word.chars().any(|c| matches!(c, '\u{0400}'..='\u{052F}'))
        })
}

fn is_name_mark(c: char) -> bool {
    matches!(c, '\u{2010}'..='\u{2015}' | '\u{2018}' | '\u{2019}' | '\u{02BC}' | '\u{00A0}'
        | '\u{0300}'..='\u{036F}')
}

/// Letters and digits only, folded as names are: for comparing addresses and numbers.
pub fn fold_tokens(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).map(fold_char).collect()
}

/// A key of several texts: equal texts, equal key; not secret, not for trust.
#[expect(clippy::cast_possible_wrap, reason = "the database has no unsigned integers")]
pub fn key(parts: &[&str]) -> i64 {
    let mut hasher = Xxh3::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update(&[0x1f]);
    }
    hasher.digest() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_have_one_key() {
        for (one, other) in [
            ("Семёнов", "СЕМЕНОВ"),
            ("Иванов", "ИBAHOB"),
            ("Петрова - Водкина", "петрова\u{2013}водкина"),
            ("Сергей", "Сергеи\u{306}"),
            ("Анна  Мария", "анна\u{200B} мария"),
            ("Д’Артаньян", "Д'АРТАНЬЯН"),
        ] {
            assert_eq!(fold_name(&composed(one)), fold_name(&composed(other)));
        }
        assert_ne!(fold_name("Иванов"), fold_name("Иванова"));
    }

    #[test]
    fn strange_characters_in_names_are_seen() {
        for name in ["Ивaнов", "Ива\u{200D}нов", "\u{202E}Иванов", "Иван🙂"]
        {
            assert!(is_suspicious(name), "{name}");
        }
        for name in ["Ёлкина-Петрова", "O'Neill", "Нгуен Ван", "Ли (Оглы)"]
        {
            assert!(!is_suspicious(name), "{name}");
        }
    }

    #[test]
    fn blanks_collapse_as_in_a_token() {
        assert_eq!(collapse(" \n a  b\tc "), "a b c");
        assert!(matches!(collapse("a b"), Cow::Borrowed("a b")));
        assert_eq!(collapse("  "), "");
    }
}
