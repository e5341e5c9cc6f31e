//! Reading a question: all its flaws at once.

use chrono::NaiveDate;

use crate::codec::node::{Flaw, Node, Sequence};
use crate::model::federal::{
    Asked, KINDS, LikeDocument, Likeness, NAMESPACE, PAGE_LIMIT, PersonKey, Question, Since, Topic,
};
use crate::model::ids::EntityId;
use crate::model::kind::Kind;

/// Longest purpose, in characters.
const PURPOSE: usize = 500;

/// Longest part of a name, in characters.
const NAME: usize = 100;

/// Longest cursor, in characters.
const CURSOR: usize = 500;

/// Reads the question in the root element of a request.
///
/// # Errors
/// Everything that does not follow the schema.
pub fn question(topic: Topic, root: &Node) -> Result<Asked, Vec<Flaw>> {
    let mut flaws = Vec::new();
    let mut children = Sequence::of(root, &mut flaws);
    let purpose = children.required(NAMESPACE, "Purpose");
    let question = match topic {
        Topic::PersonBySnils => person_key(&mut children).map(Question::PersonBySnils),
        Topic::FindPerson => likeness(&mut children).map(Question::FindPerson),
        Topic::ChangedSince => since(&mut children).map(Question::ChangedSince),
    };
    let purpose = purpose.and_then(|node| children.filled(node, PURPOSE)).map(str::to_owned);
    children.finish();
    match (purpose, question) {
        (Some(purpose), Some(question)) if flaws.is_empty() => Ok(Asked { purpose, question }),
        _ => Err(flaws),
    }
}

fn person_key(children: &mut Sequence<'_, '_>) -> Option<PersonKey> {
    if let Some(node) = children.optional(NAMESPACE, "FederalID") {
        return children.filled(node, NAME).map(|id| PersonKey::FederalId(id.to_owned()));
    }
    if let Some(node) = children.optional(NAMESPACE, "RegionalID") {
        let id = children.filled(node, NAME)?.parse().ok().filter(|&id| id > 0);
        if id.is_none() {
            children.flaw(node.place, "RegionalID — целое число больше нуля");
        }
        return id.map(|id| PersonKey::RegionalId(EntityId(id)));
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

fn likeness(children: &mut Sequence<'_, '_>) -> Option<Likeness> {
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

fn since(children: &mut Sequence<'_, '_>) -> Option<Since> {
    let cursor = children.optional(NAMESPACE, "Cursor");
    let kinds = children.optional(NAMESPACE, "Kinds");
    let page_size = children.optional(NAMESPACE, "PageSize");
    let cursor = cursor.and_then(|node| children.text(node, CURSOR));
    let kinds = match kinds {
        Some(node) => wanted_kinds(children, node)?,
        None => KINDS.to_vec(),
    };
    let page_size = match page_size {
        Some(node) => {
            let size: Option<usize> = children.filled(node, NAME)?.parse().ok();
            let size = size.filter(|&size| (1..=PAGE_LIMIT).contains(&size));
            if size.is_none() {
                children.flaw(node.place, format!("PageSize — целое число от 1 до {PAGE_LIMIT}"));
            }
            size?
        }
        None => PAGE_LIMIT,
    };
    Some(Since {
        cursor: cursor.filter(|cursor| !cursor.is_empty()).map(str::to_owned),
        kinds,
        page_size,
    })
}

fn wanted_kinds(children: &mut Sequence<'_, '_>, node: &Node) -> Option<Vec<Kind>> {
    let words = children.filled(node, 1_000)?;
    let mut wanted = [false; KINDS.len()];
    for word in words.split_ascii_whitespace() {
        let Some(at) = KINDS.iter().position(|kind| kind.element() == word) else {
            children.flaw(node.place, format!("Неизвестный вид записей в Kinds: {word}"));
            return None;
        };
        wanted[at] = true;
    }
    Some(
        KINDS.into_iter().zip(wanted).filter_map(|(kind, wanted)| wanted.then_some(kind)).collect(),
    )
}

fn date(children: &mut Sequence<'_, '_>, node: &Node) -> Option<NaiveDate> {
    let written = children.filled(node, NAME)?;
    let date = (written.len() == 10).then(|| NaiveDate::parse_from_str(written, "%Y-%m-%d").ok());
    let date = date.flatten();
    if date.is_none() {
        children.flaw(node.place, format!("{} — дата ГГГГ-ММ-ДД", node.local));
    }
    date
}
