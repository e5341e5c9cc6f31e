//! The work of a person in an organisation.

use crate::model::kind::Kind;
use crate::model::spec::{FieldSpec, FieldType as Type, KindSpec};
use crate::normalise::draft::Checked;

/// Table and fields.
pub const SPEC: KindSpec = KindSpec {
    kind: Kind::Employment,
    table: "employment",
    fields: FIELDS,
    derived: &[],
    derive: |_| Vec::new(),
};

const FIELDS: &[FieldSpec] = &[
    FieldSpec::required("Person", "person_id", Type::Ref(Kind::Person)),
    FieldSpec::required("Organisation", "organisation_id", Type::Ref(Kind::Organisation)),
    FieldSpec::required("Position", "job", Type::Text(300)),
    FieldSpec::optional("Rate", "rate", Type::Decimal),
    FieldSpec::optional("MainJob", "main_job", Type::Flag),
    FieldSpec::required("FromDate", "from_date", Type::Date),
    FieldSpec::optional("ToDate", "to_date", Type::Date),
    FieldSpec::optional("Status", "status", Type::Code("employment-status")),
    FieldSpec::optional("DismissalReason", "dismissal_reason", Type::Code("dismissal-reason")),
    FieldSpec::optional("Subjects", "subjects", Type::Text(500)),
    FieldSpec::optional("HomeroomClass", "class_group_id", Type::Ref(Kind::ClassGroup)),
    FieldSpec::optional("Education", "education", Type::Text(500)),
    FieldSpec::optional("Category", "category", Type::Text(100)),
];

/// Rules between fields.
pub fn check(record: &mut Checked<'_>) {
    record.in_order("FromDate", "ToDate");
}
