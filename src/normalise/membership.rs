//! The enrolment of a learner in an organisation.

use chrono::{Datelike, NaiveDate};

use crate::model::kind::Kind;
use crate::model::spec::{FieldSpec, FieldType as Type, KindSpec};
use crate::normalise::draft::Checked;

/// Table and fields.
pub const SPEC: KindSpec = KindSpec {
    kind: Kind::Membership,
    table: "membership",
    fields: FIELDS,
    derived: &[],
    derive: |_| Vec::new(),
};

const FIELDS: &[FieldSpec] = &[
    FieldSpec::required("Person", "person_id", Type::Ref(Kind::Person)),
    FieldSpec::required("Organisation", "organisation_id", Type::Ref(Kind::Organisation)),
    FieldSpec::optional("ClassGroup", "class_group_id", Type::Ref(Kind::ClassGroup)),
    FieldSpec::required("SchoolYear", "school_year", Type::SchoolYear),
    FieldSpec::required("FromDate", "from_date", Type::Date),
    FieldSpec::optional("ToDate", "to_date", Type::Date),
    FieldSpec::optional("Form", "form", Type::Code("education-form")),
    FieldSpec::optional("Shift", "shift", Type::Code("shift")),
    FieldSpec::optional("Programme", "programme", Type::Code("programme")),
    FieldSpec::optional("Course", "course", Type::Integer(1, 7)),
    FieldSpec::optional("Financing", "financing", Type::Code("financing")),
    FieldSpec::optional("OrderNumber", "order_number", Type::Text(50)),
    FieldSpec::optional("OrderDate", "order_date", Type::Date),
    FieldSpec::optional("ReasonIn", "reason_in", Type::Code("admission-reason")),
    FieldSpec::optional("ReasonOut", "reason_out", Type::Code("departure-reason")),
    FieldSpec::optional("Destination", "destination", Type::Text(500)),
];

/// Rules between fields.
pub fn check(record: &mut Checked<'_>) {
    record.in_order("FromDate", "ToDate");
}

/// Whether somebody born then may sit in that parallel in the school year that begins then.
pub fn age_fits(born: NaiveDate, parallel: i64, school_year: &str) -> bool {
    let Some(year) = school_year.get(..4).and_then(|year| year.parse::<i32>().ok()) else {
        return true;
    };
    let age = i64::from(year - born.year());
    if parallel == 0 {
        (0..=8).contains(&age)
    } else {
        (parallel + 3..=parallel + 11).contains(&age)
    }
}
