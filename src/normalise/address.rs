//! An address of a person.

use crate::model::kind::Kind;
use crate::model::record::Value;
use crate::model::spec::{Derived, FieldSpec, FieldType as Type, KindSpec, Storage};
use crate::normalise::draft::Checked;
use crate::normalise::text;

/// Table and fields.
pub const SPEC: KindSpec = KindSpec {
    kind: Kind::Address,
    table: "address",
    fields: FIELDS,
    derived: &[Derived { column: "address_key", storage: Storage::Integer }],
    derive,
};

const FIELDS: &[FieldSpec] = &[
    FieldSpec::required("Person", "person_id", Type::Ref(Kind::Person)),
    FieldSpec::required("Kind", "address_kind", Type::Code("address-kind")),
    FieldSpec::required("Text", "full_text", Type::Text(500)),
    FieldSpec::optional("PostalCode", "postal_code", Type::Digits(&[6])),
    FieldSpec::optional("Oktmo", "oktmo", Type::Digits(&[2, 5, 8, 11])),
    FieldSpec::optional("Place", "place", Type::Text(200)),
    FieldSpec::optional("Street", "street", Type::Text(200)),
    FieldSpec::optional("House", "house", Type::Text(50)),
    FieldSpec::optional("Flat", "flat", Type::Text(50)),
    FieldSpec::optional("FiasObject", "fias_object", Type::Text(36)),
    FieldSpec::optional("FiasHouse", "fias_house", Type::Text(36)),
    FieldSpec::optional("ValidTo", "valid_to", Type::Date),
];

/// Rules between fields.
pub fn check(_record: &mut Checked<'_>) {}

/// Search key of an address: its house by the state address register, else its text.
pub fn address_key(fias_house: &str, flat: &str, text: &str) -> i64 {
    if fias_house.is_empty() {
        return text::key(&[&text::fold_tokens(text)]);
    }
    text::key(&[&text::fold_tokens(fias_house), &text::fold_tokens(flat)])
}

fn derive(values: &[Option<Value>]) -> Vec<Option<Value>> {
    let text = |column: &str| match SPEC.column(column).and_then(|at| values[at].as_ref()) {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    vec![Some(Value::Integer(address_key(text("fias_house"), text("flat"), text("full_text"))))]
}
