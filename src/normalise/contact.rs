//! A telephone or e-mail of a person.

use crate::model::kind::Kind;
use crate::model::spec::{FieldSpec, FieldType as Type, KindSpec};
use crate::normalise::draft::Checked;

/// Table and fields.
pub const SPEC: KindSpec = KindSpec {
    kind: Kind::Contact,
    table: "contact",
    fields: FIELDS,
    derived: &[],
    derive: |_| Vec::new(),
};

const FIELDS: &[FieldSpec] = &[
    FieldSpec::required("Person", "person_id", Type::Ref(Kind::Person)),
    FieldSpec::required("Kind", "contact_kind", Type::Code("contact-kind")),
    FieldSpec::required("Value", "contact_value", Type::Text(254)),
    FieldSpec::optional("Note", "note", Type::Text(200)),
];

/// Rules between fields.
pub fn check(_record: &mut Checked<'_>) {}
