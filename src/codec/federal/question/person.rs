//! Reading who is asked about.

use crate::codec::federal::question::{NAME, date};
use crate::codec::node::{Node, Sequence};
use crate::model::federal::{LikeDocument, Likeness, NAMESPACE, PersonKey};
use crate::model::ids::EntityId;

pub(super) fn person_key(children: &mut Sequence<'_, '_>) -> Option<PersonKey> {
    if let Some(node) = children.optional(NAMESPACE, "FederalID") {
        return children.filled(node, NAME).map(|id| PersonKey::FederalId(id.to_owned()));
    }
    if let Some(node) = children.optional(NAMESPACE, "RegionalID") {
        return regional_id(children, node).map(PersonKey::RegionalId);
    }
    let node = children.required(NAMESPACE, "Snils")?;
    let written = children.filled(node, NAME)?;
    let digits: String = written.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    if digits.len() != 11 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        children.flaw(node.place, "СНИЛС — 11 цифр, можно с дефисами и пробелом");
        return None;
    }
    Some(PersonKey::Snils(digits))
}

pub(super) fn likeness(children: &mut Sequence<'_, '_>) -> Option<Likeness> {
    let last_name = children.required(NAMESPACE, "LastName");
    let first_name = children.required(NAMESPACE, "FirstName");
    let middle_name = children.optional(NAMESPACE, "MiddleName");
    let birth_date = children.required(NAMESPACE, "BirthDate");
    let document = children.optional(NAMESPACE, "Document");
    let last_name = last_name.and_then(|node| children.filled(node, NAME));
    let first_name = first_name.and_then(|node| children.filled(node, NAME));
    let middle_name = middle_name.and_then(|node| children.text(node, NAME));
    let birth_date = birth_date.and_then(|node| date(children, node));
    let document = match document.map(|node| like_document(children, node)) {
        Some(None) => return None,
        Some(document) => document,
        None => None,
    };
    Some(Likeness {
        last_name: last_name?.to_owned(),
        first_name: first_name?.to_owned(),
        middle_name: middle_name.filter(|name| !name.is_empty()).map(str::to_owned),
        birth_date: birth_date?,
        document,
    })
}

/// A registry id.
pub(super) fn regional_id(children: &mut Sequence<'_, '_>, node: &Node) -> Option<EntityId> {
    let id = children.filled(node, NAME)?.parse().ok().filter(|&id| id > 0);
    if id.is_none() {
        children.flaw(node.place, "RegionalID — целое число больше нуля");
    }
    id.map(EntityId)
}

fn like_document(above: &mut Sequence<'_, '_>, node: &Node) -> Option<LikeDocument> {
    let mut children = above.inside(node);
    let document_type = children.optional(NAMESPACE, "Type");
    let series = children.optional(NAMESPACE, "Series");
    let number = children.required(NAMESPACE, "Number");
    let document_type = document_type.and_then(|node| children.filled(node, NAME));
    let series = series.and_then(|node| children.filled(node, NAME));
    let number = number.and_then(|node| children.filled(node, NAME));
    let document = number.map(|number| LikeDocument {
        document_type: document_type.map(str::to_owned),
        series: series.map(str::to_owned),
        number: number.to_owned(),
    });
    children.finish();
    document
}
