//! An identity document of a person, birth certificate included.

use crate::model::federal::LikeDocument;
use crate::model::finding::Code;
use crate::model::kind::Kind;
use crate::model::record::Value;
use crate::model::spec::{Derived, FieldSpec, FieldType as Type, KindSpec, Storage};
use crate::normalise::draft::Checked;
use crate::normalise::text;

/// Table and fields.
pub const SPEC: KindSpec = KindSpec {
    kind: Kind::IdentityDocument,
    table: "identity_document",
    fields: FIELDS,
    derived: &[Derived { column: "document_key", storage: Storage::Integer }],
    derive,
};

const FIELDS: &[FieldSpec] = &[
    FieldSpec::required("Person", "person_id", Type::Ref(Kind::Person)),
    FieldSpec::required("Type", "document_type", Type::Code("identity-document")),
    FieldSpec::optional("Series", "series", Type::Text(30)),
    FieldSpec::required("Number", "number", Type::Text(50)),
    FieldSpec::optional("Issuer", "issuer", Type::Text(500)),
    FieldSpec::optional("IssuerCode", "issuer_code", Type::Text(20)),
    FieldSpec::optional("IssuedOn", "issued_on", Type::Date),
    FieldSpec::optional("ValidUntil", "valid_until", Type::Date),
    FieldSpec::optional("ActNumber", "act_number", Type::Text(50)),
    FieldSpec::optional("ActDate", "act_date", Type::Date),
    FieldSpec::optional("ActOffice", "act_office", Type::Text(500)),
    FieldSpec::optional("Current", "is_current", Type::Flag),
];

/// Code of a Russian birth certificate.
const BIRTH_CERTIFICATE: &str = "11";

/// Code of a Russian passport.
const PASSPORT: &str = "12";

/// Rules between fields.
pub fn check(record: &mut Checked<'_>) {
    record.not_in_future("IssuedOn");
    record.not_in_future("ActDate");
    record.in_order("IssuedOn", "ValidUntil");
    let kind = record.text("Type").unwrap_or_default().to_owned();
    let series = record.text("Series").unwrap_or_default().to_owned();
    let number = record.text("Number").unwrap_or_default().to_owned();
    let tidy = match kind.as_str() {
        BIRTH_CERTIFICATE => tidy_birth_series(&series),
        PASSPORT => Some(digits_of(&series)).filter(|series| series.len() == 4),
        _ => return,
    };
    let digits = digits_of(&number);
    if digits.len() != 6 || digits.len() != solid_length(&number) {
        record.find(Code::DocumentFormat, "Number", "ожидается шесть цифр");
    } else if digits != number {
        record.put("Number", digits);
    }
    match tidy {
        Some(tidy) if tidy == series => {}
        Some(tidy) if !series.is_empty() => record.put("Series", tidy),
        _ if kind == PASSPORT => {
            record.find(Code::DocumentFormat, "Series", "ожидаются четыре цифры");
        }
        _ => record.find(Code::DocumentFormat, "Series", "ожидается вид II-ВГ"),
    }
}

fn digits_of(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn solid_length(text: &str) -> usize {
    text.chars().filter(|c| *c != ' ').count()
}

/// `II-ВГ`: a Roman numeral in Latin letters, a hyphen, two Cyrillic capitals, whatever
/// look-alikes they were typed with; `None` for anything else.
fn tidy_birth_series(series: &str) -> Option<String> {
    let signs: Vec<char> =
        text::composed(series).to_uppercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let (roman, letters) = signs.split_at_checked(signs.len().checked_sub(2)?)?;
    let letters: String = letters.iter().map(|&c| text::cyrillic_twin(c)).collect();
    let cyrillic = letters.chars().all(|c| matches!(c, 'А'..='Я' | 'Ё'));
    let roman: Option<String> = roman.iter().map(|&c| roman_sign(c)).collect();
    let roman = roman.filter(|roman| (1..=8).contains(&roman.len()))?;
    cyrillic.then(|| format!("{roman}-{letters}"))
}

fn roman_sign(c: char) -> Option<char> {
    Some(match c {
        'I' | '1' | 'І' | 'Ӏ' | 'L' | 'Ⅰ' => 'I',
        'V' | 'У' | 'Y' | 'Ⅴ' => 'V',
        'X' | 'Х' | 'Ⅹ' => 'X',
        _ => return None,
    })
}

/// Search key of a document: type, series and number without blanks, signs and look-alikes.
pub fn document_key(kind: &str, series: &str, number: &str) -> i64 {
    text::key(&[kind, &fold_series(kind, series), &text::fold_tokens(number)])
}

fn fold_series(kind: &str, series: &str) -> String {
    let tidy = if kind == BIRTH_CERTIFICATE { tidy_birth_series(series) } else { None };
    text::fold_tokens(tidy.as_deref().unwrap_or(series))
}

/// Whether a document of the registry is the one that is asked about: all that is said of that agrees,
/// without blanks, signs and look-alikes.
pub fn is_meant(asked: &LikeDocument, kind: &str, series: &str, number: &str) -> bool {
    let same = |asked: &str| fold_series(kind, asked) == fold_series(kind, series);
    asked.document_type.as_deref().is_none_or(|asked| asked == kind)
        && asked.series.as_deref().is_none_or(same)
        && text::fold_tokens(&asked.number) == text::fold_tokens(number)
}

fn derive(values: &[Option<Value>]) -> Vec<Option<Value>> {
    let text = |column: &str| match SPEC.column(column).and_then(|at| values[at].as_ref()) {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    let key = document_key(text("document_type"), text("series"), text("number"));
    vec![Some(Value::Integer(key))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn birth_certificates_are_read_through_look_alikes() {
        for typed in ["II-ВГ", "ii-вг", "11-ВГ", "ІІ ВГ", "IIВГ", "II-BГ"] {
            assert_eq!(tidy_birth_series(typed).as_deref(), Some("II-ВГ"), "{typed}");
        }
        for typed in ["1212", "28 05", "II-VG", "", "ВГ"] {
            assert_eq!(tidy_birth_series(typed), None, "{typed}");
        }
        assert_eq!(document_key("11", "1-АГ", "123456"), document_key("11", "I-AГ", "12 34 56"));
    }
}
