//! An education management body (ОУО).

use crate::model::kind::Kind;
use crate::model::spec::{FieldSpec, FieldType as Type, KindSpec};
use crate::normalise::draft::Checked;
use crate::normalise::organisation;

/// Table and fields.
pub const SPEC: KindSpec = KindSpec {
    kind: Kind::ManagementBody,
    table: "management_body",
    fields: FIELDS,
    derived: &[],
    derive: |_| Vec::new(),
};

const FIELDS: &[FieldSpec] = &[
    FieldSpec::required("FullName", "full_name", Type::Text(500)),
    FieldSpec::optional("ShortName", "short_name", Type::Text(300)),
    FieldSpec::required("Level", "level", Type::Code("body-level")),
    FieldSpec::optional("Parent", "parent_id", Type::Ref(Kind::ManagementBody)),
    FieldSpec::optional("Inn", "inn", Type::Inn),
    FieldSpec::optional("Ogrn", "ogrn", Type::Ogrn),
    FieldSpec::optional("Okpo", "okpo", Type::Digits(&[8, 10])),
    FieldSpec::optional("Okato", "okato", Type::Digits(&[2, 3, 5, 6, 8, 9, 11, 12])),
    FieldSpec::optional("Oktmo", "oktmo", Type::Digits(&[2, 5, 8, 11])),
    FieldSpec::optional("Okogu", "okogu", Type::Digits(&[7])),
    FieldSpec::optional("Locality", "locality", Type::Text(200)),
    FieldSpec::optional("LegalAddress", "legal_address", Type::Text(500)),
    FieldSpec::optional("PostalAddress", "postal_address", Type::Text(500)),
    FieldSpec::optional("Phone", "phone", Type::Phone),
    FieldSpec::optional("Fax", "fax", Type::Phone),
    FieldSpec::optional("Email", "email", Type::Email),
    FieldSpec::optional("Website", "website", Type::Text(200)),
    FieldSpec::optional("Status", "status", Type::Code("organisation-status")),
];

/// Rules between fields.
pub fn check(record: &mut Checked<'_>) {
    organisation::check_numbers(record);
}
