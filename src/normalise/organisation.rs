//! An education organisation.

use crate::model::finding::Code;
use crate::model::kind::Kind;
use crate::model::spec::{FieldSpec, FieldType as Type, KindSpec};
use crate::normalise::checksum;
use crate::normalise::draft::Checked;

/// Table and fields.
pub const SPEC: KindSpec = KindSpec {
    kind: Kind::Organisation,
    table: "organisation",
    fields: FIELDS,
    derived: &[],
    derive: |_| Vec::new(),
};

const FIELDS: &[FieldSpec] = &[
    FieldSpec::required("FullName", "full_name", Type::Text(1000)),
    FieldSpec::optional("ShortName", "short_name", Type::Text(300)),
    FieldSpec::optional("ExtraName", "extra_name", Type::Text(300)),
    FieldSpec::required("Type", "organisation_type", Type::Code("organisation-type")),
    FieldSpec::required("Status", "status", Type::Code("organisation-status")),
    FieldSpec::optional("Structure", "structure", Type::Code("organisation-structure")),
    FieldSpec::required("Inn", "inn", Type::Inn),
    FieldSpec::optional("Kpp", "kpp", Type::Kpp),
    FieldSpec::optional("Ogrn", "ogrn", Type::Ogrn),
    FieldSpec::optional("Okpo", "okpo", Type::Digits(&[8, 10])),
    FieldSpec::optional("Okato", "okato", Type::Digits(&[2, 3, 5, 6, 8, 9, 11, 12])),
    FieldSpec::optional("Oktmo", "oktmo", Type::Digits(&[2, 5, 8, 11])),
    FieldSpec::optional("Okogu", "okogu", Type::Digits(&[7])),
    FieldSpec::optional("Okopf", "okopf", Type::Digits(&[5])),
    FieldSpec::optional("Okfs", "okfs", Type::Digits(&[2])),
    FieldSpec::optional("Okved", "okved", Type::Text(8)),
    FieldSpec::optional("FounderKind", "founder_kind", Type::Code("founder-kind")),
    FieldSpec::optional("ManagementBody", "management_body_id", Type::Ref(Kind::ManagementBody)),
    FieldSpec::optional("HeadOrganisation", "head_organisation_id", Type::Ref(Kind::Organisation)),
    FieldSpec::optional("FoundedOn", "founded_on", Type::Date),
    FieldSpec::optional("LiquidatedOn", "liquidated_on", Type::Date),
    FieldSpec::optional("LicenceNumber", "licence_number", Type::Text(100)),
    FieldSpec::optional("LicenceDate", "licence_date", Type::Date),
    FieldSpec::optional("AccreditationNumber", "accreditation_number", Type::Text(100)),
    FieldSpec::optional("AccreditationDate", "accreditation_date", Type::Date),
    FieldSpec::optional("Locality", "locality", Type::Text(200)),
    FieldSpec::optional("LegalAddress", "legal_address", Type::Text(500)),
    FieldSpec::optional("PostalAddress", "postal_address", Type::Text(500)),
    FieldSpec::optional("Phone", "phone", Type::Phone),
    FieldSpec::optional("Fax", "fax", Type::Phone),
    FieldSpec::optional("Email", "email", Type::Email),
    FieldSpec::optional("Website", "website", Type::Text(200)),
    FieldSpec::optional("Director", "director", Type::Text(200)),
    FieldSpec::optional("Capacity", "capacity", Type::Integer(0, 100_000)),
    FieldSpec::optional("Language", "language", Type::Text(100)),
];

/// Rules between fields.
pub fn check(record: &mut Checked<'_>) {
    check_numbers(record);
    record.not_in_future("FoundedOn");
    record.in_order("FoundedOn", "LiquidatedOn");
}

/// Check digits of a legal body's numbers.
pub(super) fn check_numbers(record: &mut Checked<'_>) {
    if record.text("Inn").is_some_and(|inn| !checksum::inn(inn)) {
        record.checksum(Code::InnChecksum, "Inn");
    }
    if record.text("Ogrn").is_some_and(|ogrn| !checksum::ogrn(ogrn)) {
        record.checksum(Code::OgrnChecksum, "Ogrn");
    }
}
