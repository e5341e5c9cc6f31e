//! A child and its legal representative.

use chrono::NaiveDate;

use crate::model::kind::Kind;
use crate::model::spec::{FieldSpec, FieldType as Type, KindSpec};
use crate::normalise::draft::Checked;

/// Table and fields.
pub const SPEC: KindSpec = KindSpec {
    kind: Kind::Kinship,
    table: "kinship",
    fields: FIELDS,
    derived: &[],
    derive: |_| Vec::new(),
};

const FIELDS: &[FieldSpec] = &[
    FieldSpec::required("Child", "child_id", Type::Ref(Kind::Person)),
    FieldSpec::required("Adult", "adult_id", Type::Ref(Kind::Person)),
    FieldSpec::required("Type", "representative", Type::Code("representative")),
    FieldSpec::optional("Basis", "basis", Type::Code("representative-basis")),
    FieldSpec::optional("FromDate", "from_date", Type::Date),
    FieldSpec::optional("ToDate", "to_date", Type::Date),
];

/// Rules between fields.
pub fn check(record: &mut Checked<'_>) {
    record.in_order("FromDate", "ToDate");
}

/// Refuses a child that is not younger than its representative. A guardian or a head of an
/// institution (`representative` other than 1) may be of any age.
pub fn ages_fit(representative: &str, child: NaiveDate, adult: NaiveDate) -> bool {
    representative != "1" || adult < child
}
