//! A missed lesson.

use crate::model::kind::Kind;
use crate::model::spec::{FieldSpec, FieldType as Type, KindSpec};
use crate::normalise::draft::Checked;

/// Table and fields.
pub const SPEC: KindSpec = KindSpec {
    kind: Kind::Absence,
    table: "absence",
    fields: FIELDS,
    derived: &[],
    derive: |_| Vec::new(),
};

const FIELDS: &[FieldSpec] = &[
    FieldSpec::required("Person", "person_id", Type::Ref(Kind::Person)),
    FieldSpec::optional("Organisation", "organisation_id", Type::Ref(Kind::Organisation)),
    FieldSpec::optional("ClassGroup", "class_group_id", Type::Ref(Kind::ClassGroup)),
    FieldSpec::required("Date", "absence_date", Type::Date),
    FieldSpec::optional("Lesson", "lesson", Type::Integer(0, 20)),
    FieldSpec::optional("Subject", "subject", Type::Text(200)),
    FieldSpec::required("Kind", "absence_kind", Type::Code("absence-kind")),
    FieldSpec::optional("Deleted", "deleted", Type::Flag),
];

/// Rules between fields.
pub fn check(record: &mut Checked<'_>) {
    record.not_in_future("Date");
}
