//! The lexical rule of each field type: what the schema says, in code.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, NaiveDate, SubsecRound, Utc};

use crate::model::finding::Code;
use crate::model::record::{Setting, Value};
use crate::model::spec::{EXTERNAL_ID_LENGTH, FieldType};
use crate::normalise::draft::Rules;
use crate::normalise::text;

/// Longest code, in characters.
pub const CODE_LENGTH: usize = 64;

/// Longest list of codes, in characters.
pub const CODES_LENGTH: usize = 500;

/// Longest part of a person's name, in characters.
pub const NAME_LENGTH: usize = 100;

/// Longest telephone, in characters.
pub const PHONE_LENGTH: usize = 100;

/// Longest e-mail address, in characters.
pub const EMAIL_LENGTH: usize = 254;

/// ASCII characters that no name has; digits too.
pub const NAME_FORBIDDEN: &str = "!\"#$%&*+,/:;<=>?@[\\]^_{|}~";

/// First year that any date may have.
pub const FIRST_YEAR: i32 = 1900;

/// Years after the snapshot that a date may lie.
const YEARS_AHEAD: i32 = 50;

/// Why a value was not taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The code of the finding.
    pub code: Code,
    /// What to add to its text.
    pub detail: Option<String>,
}

impl From<Code> for Wrong {
    fn from(code: Code) -> Self {
        Self { code, detail: None }
    }
}

fn wrong(code: Code, detail: impl Into<String>) -> Wrong {
    Wrong { code, detail: Some(detail.into()) }
}

/// Reads the text of a field, blanks collapsed, not empty and not `-1`.
///
/// # Errors
/// What is wrong with it.
pub fn read(ty: FieldType, text: &str, rules: &Rules) -> Result<Setting, Wrong> {
    Ok(Setting::Set(match ty {
        FieldType::Text(limit) => Value::Text(text::composed(limited(text, limit)?)),
        FieldType::PersonName => Value::Text(name(text)?),
        FieldType::Date => Value::Date(date(text, rules)?),
        FieldType::Instant => Value::Instant(instant(text)?),
        FieldType::Integer(from, to) => Value::Integer(integer(text, from, to)?),
        FieldType::Decimal => Value::Text(decimal(text)?),
        FieldType::Flag => Value::Flag(flag(text)?),
        FieldType::Code(dictionary) => Value::Text(code(text, dictionary, rules)?),
        FieldType::Codes(dictionary) => Value::Text(codes(text, dictionary, rules)?),
        FieldType::Snils => Value::Text(snils(text)?),
        FieldType::Inn => Value::Text(digits(text, &[10, 12])?),
        FieldType::Ogrn => Value::Text(digits(text, &[13, 15])?),
        FieldType::Kpp => Value::Text(kpp(text)?),
        FieldType::Digits(lengths) => Value::Text(digits(text, lengths)?),
        FieldType::SchoolYear => Value::Text(school_year(text)?),
        FieldType::Phone => Value::Text(text::composed(limited(text, PHONE_LENGTH)?)),
        FieldType::Email => Value::Text(email(text)?),
        FieldType::Ref(kind) => {
            return Ok(Setting::Refer(kind, limited(text, EXTERNAL_ID_LENGTH)?.to_owned()));
        }
    }))
}

/// The text itself when it has no more characters than that.
pub(super) fn limited(text: &str, limit: usize) -> Result<&str, Wrong> {
    if text.len() > limit && text.chars().count() > limit {
        return Err(wrong(Code::Length, format!("не более {limit} символов")));
    }
    Ok(text)
}

fn name(text: &str) -> Result<String, Wrong> {
    limited(text, NAME_LENGTH)?;
    let bad = |byte: u8| byte.is_ascii_digit() || NAME_FORBIDDEN.as_bytes().contains(&byte);
    if text.bytes().any(bad) {
        return Err(wrong(Code::Format, "в имени допустимы буквы, пробел, дефис, апостроф, точка"));
    }
    let composed = text::composed(text);
    let blanks = composed.chars().any(|c| c.is_whitespace() && c != ' ');
    if !blanks {
        return Ok(composed);
    }
    Ok(composed.split_whitespace().collect::<Vec<&str>>().join(" "))
}

fn date(text: &str, rules: &Rules) -> Result<NaiveDate, Wrong> {
    let format = || wrong(Code::Format, "нужна дата ГГГГ-ММ-ДД без часового пояса");
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return Err(format());
    }
    let number = |range: std::ops::Range<usize>| {
        let part = &bytes[range];
        let digits = part.iter().all(u8::is_ascii_digit);
        digits.then(|| part.iter().fold(0u32, |number, byte| number * 10 + u32::from(byte - b'0')))
    };
    let (Some(year), Some(month), Some(day)) = (number(0..4), number(5..7), number(8..10)) else {
        return Err(format());
    };
    let year = i32::try_from(year).ok().filter(|&year| year > 0).ok_or_else(format)?;
    let date = NaiveDate::from_ymd_opt(year, month, day).ok_or_else(format)?;
    if year < FIRST_YEAR || year > rules.today.year() + YEARS_AHEAD {
        return Err(wrong(
            Code::DateRange,
            format!("допустимы годы с {FIRST_YEAR}, не более {YEARS_AHEAD} лет вперёд"),
        ));
    }
    Ok(date)
}

fn instant(text: &str) -> Result<DateTime<Utc>, Wrong> {
    let bytes = text.as_bytes();
    let zone = text.ends_with('Z')
        || (bytes.len() > 6 && matches!(bytes[bytes.len() - 6], b'+' | b'-') && zone_fits(text));
    let whole = bytes.get(10) == Some(&b'T')
        && bytes.get(17..19).is_some_and(|second| second < b"60".as_slice())
        && !text.starts_with("0000")
        && bytes.first().is_some_and(u8::is_ascii_digit);
    if !(zone && whole) {
        return Err(wrong(Code::Format, "нужен момент ГГГГ-ММ-ДДTчч:мм:сс с часовым поясом"));
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(at) if fraction_fits(bytes) => Ok(at.with_timezone(&Utc).trunc_subsecs(6)),
        _ => Err(wrong(Code::Format, "нужен момент ГГГГ-ММ-ДДTчч:мм:сс с часовым поясом")),
    }
}

/// Offsets go to 13:59; more is not a zone.
fn zone_fits(text: &str) -> bool {
    text.get(text.len() - 5..text.len() - 3).is_some_and(|hours| hours < "14")
}

fn fraction_fits(bytes: &[u8]) -> bool {
    let digits = bytes.iter().skip(20).take_while(|byte| byte.is_ascii_digit()).count();
    bytes.get(19) != Some(&b'.') || (1..=9).contains(&digits)
}

fn integer(text: &str, from: i64, to: i64) -> Result<i64, Wrong> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let strict = (1..=18).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (!digits.starts_with('0') || text == "0");
    let value = if strict { text.parse::<i64>().ok() } else { None };
    match value {
        Some(value) if (from..=to).contains(&value) => Ok(value),
        _ => Err(wrong(Code::Format, format!("нужно целое число от {from} до {to}"))),
    }
}

fn decimal(text: &str) -> Result<String, Wrong> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if digits(whole, 9) && digits(fraction, 4) {
        Ok(text.to_owned())
    } else {
        Err(wrong(Code::Format, "нужно число цифрами, дробная часть через точку"))
    }
}

/// Whether a flag, trimmed, says yes.
pub fn is_true(text: &str) -> bool {
    matches!(text, "true" | "1")
}

fn flag(text: &str) -> Result<bool, Wrong> {
    match text {
        _ if is_true(text) => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(wrong(Code::Format, "нужно true или false")),
    }
}

fn code(text: &str, dictionary: &'static str, rules: &Rules) -> Result<String, Wrong> {
    limited(text, CODE_LENGTH)?;
    rules
        .canonical(dictionary, text)
        .map(str::to_owned)
        .ok_or_else(|| wrong(Code::Dictionary, rules.dictionary_name(dictionary)))
}

fn codes(text: &str, dictionary: &'static str, rules: &Rules) -> Result<String, Wrong> {
    limited(text, CODES_LENGTH)?;
    let mut all = text
        .split(' ')
        .map(|item| code(item, dictionary, rules))
        .collect::<Result<Vec<String>, Wrong>>()?;
    all.sort_unstable();
    all.dedup();
    Ok(all.join(" "))
}

fn snils(text: &str) -> Result<String, Wrong> {
    let bytes = text.as_bytes();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let mut rest = bytes;
    let mut fits = digits.len() == 11;
    for (group, separators) in [(3, "-"), (3, "-"), (3, "- "), (2, "")] {
        let all = rest.iter().take(group).filter(|byte| byte.is_ascii_digit()).count() == group;
        fits = fits && all;
        rest = rest.get(group..).unwrap_or_default();
        if rest.first().is_some_and(|byte| separators.as_bytes().contains(byte)) {
            rest = &rest[1..];
        }
    }
    if fits && rest.is_empty() {
        Ok(digits)
    } else {
        Err(wrong(Code::Format, "нужен СНИЛС: 11 цифр или NNN-NNN-NNN NN"))
    }
}

fn digits(text: &str, lengths: &[usize]) -> Result<String, Wrong> {
    if lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    let lengths: Vec<String> = lengths.iter().map(ToString::to_string).collect();
    Err(wrong(Code::Format, format!("нужны цифры, количество: {}", lengths.join(", "))))
}

fn kpp(text: &str) -> Result<String, Wrong> {
    let fits = text.len() == 9
        && text.bytes().enumerate().all(|(at, byte)| {
            byte.is_ascii_digit() || (matches!(at, 4 | 5) && byte.is_ascii_uppercase())
        });
    if fits {
        Ok(text.to_owned())
    } else {
        Err(wrong(Code::Format, "нужен КПП: 9 знаков"))
    }
}

fn school_year(text: &str) -> Result<String, Wrong> {
    let format = || wrong(Code::Format, "нужен учебный год ГГГГ/ГГГГ");
    let (first, second) = text.split_once('/').ok_or_else(format)?;
    let year = |part: &str| {
        let fits = part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_digit());
        if fits { part.parse::<u32>().ok() } else { None }
    };
    let (Some(from), Some(to)) = (year(first), year(second)) else { return Err(format()) };
    if to != from + 1 || from < FIRST_YEAR.unsigned_abs() {
        return Err(wrong(Code::DateRange, "второй год следует за первым"));
    }
    Ok(text.to_owned())
}

fn email(text: &str) -> Result<String, Wrong> {
    limited(text, EMAIL_LENGTH)?;
    match text.split_once('@') {
        Some((user, host))
            if !user.is_empty()
                && !host.is_empty()
                && !host.contains('@')
                && !text.contains(' ') =>
        {
            Ok(text::composed(text))
        }
        _ => Err(wrong(Code::Format, "нужен адрес электронной почты")),
    }
}

/// Blanks of a field collapsed, as its schema type has it.
pub(super) fn collapsed(text: &str) -> Cow<'_, str> {
    text::collapse(text)
}
