//! A natural person: learner, parent or employee.

use chrono::{Datelike, NaiveDate};

use crate::model::finding::Code;
use crate::model::kind::Kind;
use crate::model::record::Value;
use crate::model::spec::{Derived, FieldSpec, FieldType as Type, KindSpec, Storage};
use crate::normalise::draft::Checked;
use crate::normalise::{checksum, text};

/// Table and fields.
pub const SPEC: KindSpec = KindSpec {
    kind: Kind::Person,
    table: "person",
    fields: FIELDS,
    derived: &[
        Derived { column: "identity_key", storage: Storage::Integer },
        Derived { column: "quality", storage: Storage::Text },
    ],
    derive,
};

const FIELDS: &[FieldSpec] = &[
    FieldSpec::required("LastName", "last_name", Type::PersonName),
    FieldSpec::required("FirstName", "first_name", Type::PersonName),
    FieldSpec::optional("MiddleName", "middle_name", Type::PersonName),
    FieldSpec::required("Sex", "sex", Type::Code("sex")),
    FieldSpec::required("BirthDate", "birth_date", Type::Date),
    FieldSpec::optional("BirthPlace", "birth_place", Type::Text(500)),
    FieldSpec::optional("Snils", "snils", Type::Snils),
    FieldSpec::optional("Inn", "inn", Type::Inn),
    FieldSpec::optional("Citizenship", "citizenship", Type::Code("citizenship")),
    FieldSpec::optional("Country", "country", Type::Code("country")),
    FieldSpec::optional("DeathDate", "death_date", Type::Date),
];

/// Rules between fields.
pub fn check(record: &mut Checked<'_>) {
    record.not_in_future("BirthDate");
    record.not_in_future("DeathDate");
    record.in_order("BirthDate", "DeathDate");
    if record.text("Snils").is_some_and(|snils| !checksum::snils(snils)) {
        record.checksum(Code::SnilsChecksum, "Snils");
    }
    if record.text("Inn").is_some_and(|inn| !checksum::inn(inn)) {
        record.checksum(Code::InnChecksum, "Inn");
    }
    for element in ["LastName", "FirstName", "MiddleName"] {
        if record.text(element).is_some_and(text::is_suspicious) {
            record.find(Code::SuspiciousText, element, None);
        }
    }
}

/// Search key of a person: folded ФИО and birth date.
pub fn identity_key(last: &str, first: &str, middle: &str, born: NaiveDate) -> i64 {
    let (last, first) = (text::fold_name(last), text::fold_name(first));
    text::key(&[&last, &first, &text::fold_name(middle), &born.num_days_from_ce().to_string()])
}

/// Identity key and marks of quality, from the values of the fields.
fn derive(values: &[Option<Value>]) -> Vec<Option<Value>> {
    let text = |column: &str| match SPEC.column(column).and_then(|at| values[at].as_ref()) {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    let born = match SPEC.column("birth_date").and_then(|at| values[at].as_ref()) {
        Some(Value::Date(date)) => *date,
        _ => NaiveDate::MIN,
    };
    let names = [text("last_name"), text("first_name"), text("middle_name")];
    let mut quality = Vec::new();
    if !text("snils").is_empty() && !checksum::snils(text("snils")) {
        quality.push(Code::SnilsChecksum.as_str());
    }
    if !text("inn").is_empty() && !checksum::inn(text("inn")) {
        quality.push(Code::InnChecksum.as_str());
    }
    if names.iter().any(|name| text::is_suspicious(name)) {
        quality.push(Code::SuspiciousText.as_str());
    }
    let key = identity_key(names[0], names[1], names[2], born);
    vec![Some(Value::Integer(key)), (!quality.is_empty()).then(|| Value::Text(quality.join(" ")))]
}
