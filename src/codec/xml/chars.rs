//! Classes of characters, and references to them.

use memchr::memchr3;

use crate::model::refusal::RefusalCode;

/// May stand in a name, first or later; every byte over 0x7F, to be looked at as a character.
pub(super) const NAME: u8 = 1;
/// Blank: space, tab, line feed. Carriage returns do not reach the tokeniser.
pub(super) const BLANK: u8 = 2;
/// May stand in a name after its first character, ASCII and no colon.
pub(super) const PLAIN: u8 = 8;
/// In an attribute value: not to be taken or written as it stands.
pub(super) const SPECIAL: u8 = 4;

/// What each byte may be.
pub(super) static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the loop ends at 256")]
        let character = byte as u8;
        table[byte] = match character {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => NAME | PLAIN,
            b':' | 0x80.. => NAME,
            b' ' => BLANK,
            b'\t' | b'\n' => BLANK | SPECIAL,
            b'&' | b'<' | b'"' | b'\'' => SPECIAL,
            _ => 0,
        };
        byte += 1;
    }
    table
}

/// Says whether the byte is blank.
pub(super) fn is_blank(byte: u8) -> bool {
    CLASS[byte as usize] & BLANK != 0
}

/// Says whether the character may begin a name without its prefix.
fn starts_name(c: char) -> bool {
    matches!(c,
        'A'..='Z' | 'a'..='z' | '_' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}'
        | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}'
        | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}'
        | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

fn continues_name(c: char) -> bool {
    starts_name(c)
        || matches!(c, '0'..='9' | '-' | '.' | '\u{B7}' | '\u{300}'..='\u{36F}'
            | '\u{203F}'..='\u{2040}')
}

/// Says whether the text is a name without a colon.
pub fn is_ncname(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(starts_name) && characters.all(continues_name)
}

/// Says whether XML 1.0 has the character.
fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The character a reference stands for; `name` is what is between `&` and `;`.
/// Only the five predefined entities exist, since there are no document types.
pub(super) fn reference(name: &str) -> Result<char, RefusalCode> {
    let number = match name {
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "amp" => return Ok('&'),
        "quot" => return Ok('"'),
        "apos" => return Ok('\''),
        _ => name.strip_prefix('#').ok_or(RefusalCode::XmlMalformed)?,
    };
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    if digits.is_empty() || !digits.bytes().all(|digit| char::from(digit).is_digit(radix)) {
        return Err(RefusalCode::XmlMalformed);
    }
    let code = u32::from_str_radix(digits, radix).map_err(|_| RefusalCode::XmlChar)?;
    char::from_u32(code).filter(|&c| is_char(c)).ok_or(RefusalCode::XmlChar)
}

/// Says whether a control, or what may begin U+FFFE or U+FFFF, is among the bytes.
#[expect(clippy::needless_bitwise_bool, reason = "without branches it looks at many bytes at once")]
fn is_suspect(block: &[u8]) -> bool {
    block.iter().fold(false, |suspect, &byte| {
        suspect | ((byte < 0x20) & !matches!(byte, 9 | 10 | 13)) | (byte == 0xEF)
    })
}

/// The first byte of a character that XML does not have: a control, U+FFFE or U+FFFF.
/// `text` must be UTF-8.
pub(super) fn first_forbidden(text: &[u8]) -> Option<usize> {
    const BLOCK: usize = 256;
    for (number, block) in text.chunks(BLOCK).enumerate() {
        if !is_suspect(block) {
            continue;
        }
        let from = number * BLOCK;
        for (at, &byte) in block.iter().enumerate() {
            let control = byte < 0x20 && !matches!(byte, 9 | 10 | 13);
            let here = from + at;
            let rest = text.get(here + 1..here + 3);
            if control || (byte == 0xEF && matches!(rest, Some([0xBF, 0xBE | 0xBF]))) {
                return Some(here);
            }
        }
    }
    None
}

/// How many bytes at the start are ASCII letters, digits and such as names have, no colon.
#[inline]
pub(super) fn plain_name(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|&&byte| CLASS[byte as usize] & PLAIN != 0).count()
}

/// How many bytes are neither `<` nor `&` nor `>`. Looks at eight bytes at a time, as most texts
/// are too short for a call to pay off.
#[inline]
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    for (number, chunk) in bytes.chunks_exact(8).take(4).enumerate() {
        let Ok(chunk) = <[u8; 8]>::try_from(chunk) else { break };
        let word = u64::from_le_bytes(chunk);
        // `<` and `>` differ in one bit.
        let found = zero((word | (ONES * 2)) ^ (ONES * 0x3E)) | zero(word ^ (ONES * 0x26));
        if found != 0 {
            return number * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let looked_at = bytes.len().min(32) / 8 * 8;
    let rest = &bytes[looked_at..];
    looked_at + memchr3(b'<', b'&', b'>', rest).unwrap_or(rest.len())
}
