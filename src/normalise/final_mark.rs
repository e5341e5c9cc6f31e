//! A mark for a period, a year or an examination.

use crate::model::kind::Kind;
use crate::model::spec::{FieldSpec, FieldType as Type, KindSpec};
use crate::normalise::draft::Checked;
use crate::normalise::mark;

/// Table and fields.
pub const SPEC: KindSpec = KindSpec {
    kind: Kind::FinalMark,
    table: "final_mark",
    fields: FIELDS,
    derived: &[],
    derive: |_| Vec::new(),
};

const FIELDS: &[FieldSpec] = &[
    FieldSpec::required("Person", "person_id", Type::Ref(Kind::Person)),
    FieldSpec::optional("Organisation", "organisation_id", Type::Ref(Kind::Organisation)),
    FieldSpec::optional("ClassGroup", "class_group_id", Type::Ref(Kind::ClassGroup)),
    FieldSpec::required("Subject", "subject", Type::Text(200)),
    FieldSpec::required("SchoolYear", "school_year", Type::SchoolYear),
    FieldSpec::required("Period", "period", Type::Code("period")),
    FieldSpec::required("Value", "mark_value", Type::Text(20)),
    FieldSpec::optional("System", "mark_system", Type::Code("mark-system")),
    FieldSpec::optional("Kind", "final_kind", Type::Code("final-mark-kind")),
    FieldSpec::optional("Exam", "exam", Type::Code("exam")),
    FieldSpec::optional("Score", "score", Type::Integer(0, 100)),
    FieldSpec::optional("Deleted", "deleted", Type::Flag),
];

/// Rules between fields.
pub fn check(record: &mut Checked<'_>) {
    mark::check_value(record);
}
