//! A current mark.

use crate::model::finding::Code;
use crate::model::kind::Kind;
use crate::model::spec::{FieldSpec, FieldType as Type, KindSpec};
use crate::normalise::draft::Checked;

/// Table and fields.
pub const SPEC: KindSpec = KindSpec {
    kind: Kind::Mark,
    table: "mark",
    fields: FIELDS,
    derived: &[],
    derive: |_| Vec::new(),
};

const FIELDS: &[FieldSpec] = &[
    FieldSpec::required("Person", "person_id", Type::Ref(Kind::Person)),
    FieldSpec::optional("Organisation", "organisation_id", Type::Ref(Kind::Organisation)),
    FieldSpec::optional("ClassGroup", "class_group_id", Type::Ref(Kind::ClassGroup)),
    FieldSpec::required("Subject", "subject", Type::Text(200)),
    FieldSpec::required("LessonDate", "lesson_date", Type::Date),
    FieldSpec::required("SetAt", "set_at", Type::Instant),
    FieldSpec::optional("WorkType", "work_type", Type::Text(100)),
    FieldSpec::required("Value", "mark_value", Type::Text(20)),
    FieldSpec::optional("System", "mark_system", Type::Code("mark-system")),
    FieldSpec::optional("Weight", "weight", Type::Decimal),
    FieldSpec::optional("Deleted", "deleted", Type::Flag),
];

/// Rules between fields.
pub fn check(record: &mut Checked<'_>) {
    record.not_in_future("LessonDate");
    check_value(record);
}

/// Signs that stand in a journal instead of a mark.
const SIGNS: &[&str] =
    &["Н", "УП", "Б", "НП", "ОТ", "ОП", "ОСВ", "Н/А", "ЗАЧ", "НЗАЧ", "ЗАЧЁТ", "НЕЗАЧЁТ"];

/// Refuses a value that its system of marks does not have; five points when none is named.
pub(super) fn check_value(record: &mut Checked<'_>) {
    let Some(value) = record.text("Value") else { return };
    let sign = SIGNS.contains(&value.to_uppercase().as_str());
    let bare = value.trim_end_matches(['+', '-']);
    let number = bare.parse::<u32>().ok().filter(|_| bare.bytes().all(|b| b.is_ascii_digit()));
    let fits = match record.text("System").unwrap_or("1") {
        "6" => number.is_some_and(|number| number <= 100) || sign,
        "2" => sign || matches!(value, "0" | "1"),
        _ => number.is_some_and(|number| (1..=5).contains(&number)) || sign,
    };
    if !fits {
        record.find(Code::MarkRange, "Value", None);
    }
}
