//! Reading a question: all its flaws at once.

mod page;
mod person;
mod statistics;
mod transfer;

use chrono::{Datelike, NaiveDate};
use uuid::Uuid;

use crate::codec::node::{Flaw, Node, Sequence};
use crate::model::federal::{Asked, NAMESPACE, Question, Topic};

/// Longest purpose, in characters.
const PURPOSE: usize = 500;

/// Longest part of a name, in characters.
const NAME: usize = 100;

/// Longest other text, in characters.
const TEXT: usize = 500;

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
    let question = asked(topic, &mut children);
    let purpose = purpose.and_then(|node| children.filled(node, PURPOSE)).map(str::to_owned);
    children.finish();
    match (purpose, question) {
        (Some(purpose), Some(question)) if flaws.is_empty() => Ok(Asked { purpose, question }),
        _ => Err(flaws),
    }
}

fn asked(topic: Topic, children: &mut Sequence<'_, '_>) -> Option<Question> {
    match topic {
        Topic::PersonBySnils => person::person_key(children).map(Question::PersonBySnils),
        Topic::FindPerson => person::likeness(children).map(Question::FindPerson),
        Topic::ChangedSince => page::since(children).map(Question::ChangedSince),
        Topic::Trajectory => person::person_key(children).map(Question::Trajectory),
        Topic::TransferRequest => transfer::notice(children).map(Question::TransferRequest),
        Topic::TransferConfirm => transfer::decision(children).map(Question::TransferConfirm),
        Topic::AssignFederalId => transfer::pairs(children).map(Question::AssignFederalId),
        Topic::Statistics => statistics::query(children, false).map(Question::Statistics),
        Topic::BuildStatistics => statistics::query(children, true).map(Question::BuildStatistics),
        Topic::BuiltStatistics => statistics::fetch(children).map(Question::BuiltStatistics),
        Topic::Organisations => page::organisations(children).map(Question::Organisations),
        Topic::QueueStatistics => statistics::queue(children).map(Question::QueueStatistics),
        Topic::Ping => Some(Question::Ping),
    }
}

fn date(children: &mut Sequence<'_, '_>, node: &Node) -> Option<NaiveDate> {
    let written = children.filled(node, NAME)?;
    let date = (written.len() == 10).then(|| NaiveDate::parse_from_str(written, "%Y-%m-%d").ok());
    let date = date.flatten().filter(|date| date.year() > 0);
    if date.is_none() {
        children.flaw(node.place, format!("{} — дата ГГГГ-ММ-ДД", node.local));
    }
    date
}

/// Digits, of one of these lengths.
fn digits(children: &mut Sequence<'_, '_>, node: &Node, lengths: &[usize]) -> Option<String> {
    let written = children.filled(node, NAME)?;
    let fits = lengths.contains(&written.len()) && written.bytes().all(|b| b.is_ascii_digit());
    if !fits {
        let lengths: Vec<String> = lengths.iter().map(ToString::to_string).collect();
        let text = format!("{} — цифры, знаков: {}", node.local, lengths.join(", "));
        children.flaw(node.place, text);
    }
    fits.then(|| written.to_owned())
}

/// A taxpayer number.
fn inn(children: &mut Sequence<'_, '_>, node: &Node) -> Option<String> {
    digits(children, node, &[10, 12])
}

/// A territory by the classifier of municipalities.
fn oktmo(children: &mut Sequence<'_, '_>, node: &Node) -> Option<String> {
    digits(children, node, &[2, 5, 8, 11])
}

/// An id that we gave to a case or a job.
fn given_id(children: &mut Sequence<'_, '_>, node: &Node) -> Option<Uuid> {
    let written = children.filled(node, NAME)?;
    let id = (written.len() == 36).then(|| Uuid::try_parse(written).ok()).flatten();
    if id.is_none() {
        children.flaw(node.place, format!("{} — UUID из 36 знаков", node.local));
    }
    id
}
