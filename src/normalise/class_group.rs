//! A class or preschool group of one school year.

use crate::model::finding::Code;
use crate::model::kind::Kind;
use crate::model::record::Value;
use crate::model::spec::{FieldSpec, FieldType as Type, KindSpec};
use crate::normalise::draft::Checked;

/// Table and fields.
pub const SPEC: KindSpec = KindSpec {
    kind: Kind::ClassGroup,
    table: "class_group",
    fields: FIELDS,
    derived: &[],
    derive: |_| Vec::new(),
};

const FIELDS: &[FieldSpec] = &[
    FieldSpec::required("Organisation", "organisation_id", Type::Ref(Kind::Organisation)),
    FieldSpec::required("SchoolYear", "school_year", Type::SchoolYear),
    FieldSpec::required("Name", "name", Type::Text(100)),
    FieldSpec::optional("Parallel", "parallel", Type::Integer(0, 12)),
    FieldSpec::optional("Letter", "letter", Type::Text(20)),
    FieldSpec::optional("Kind", "class_kind", Type::Code("class-kind")),
    FieldSpec::optional("Form", "form", Type::Code("education-form")),
    FieldSpec::optional("Shift", "shift", Type::Code("shift")),
    FieldSpec::optional("Programme", "programme", Type::Code("programme")),
    FieldSpec::optional("Adaptation", "adaptation", Type::Code("adaptation")),
    FieldSpec::optional("Mode", "group_mode", Type::Code("group-mode")),
    FieldSpec::optional("Language", "language", Type::Text(100)),
    FieldSpec::optional("Capacity", "capacity", Type::Integer(0, 1000)),
    FieldSpec::optional("AgeFrom", "age_from", Type::Integer(0, 120)),
    FieldSpec::optional("AgeTo", "age_to", Type::Integer(0, 120)),
];

/// Rules between fields.
pub fn check(record: &mut Checked<'_>) {
    if record.value("Parallel") == Some(&Value::Integer(12)) {
        record.find(
            Code::AgeClass,
            "Parallel",
            "двенадцатая параллель бывает только в вечерних классах",
        );
    }
    if let (Some(Value::Integer(from)), Some(Value::Integer(to))) =
        (record.value("AgeFrom"), record.value("AgeTo"))
        && to < from
    {
        record.find(Code::AgeClass, "AgeTo", "верхняя граница возраста ниже нижней");
    }
}
