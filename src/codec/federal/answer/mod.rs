//! Writing an answer: the one element of the message's content.

mod statistics;
mod trajectory;
mod transfer;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::codec::xml::Writer;
use crate::model::dictionary::{self, CANONICAL_VERSION};
use crate::model::federal::transfer::Denial;
use crate::model::federal::{Answer, Card, Entity, NAMESPACE, Redirect, Topic};
use crate::model::record::Value;

/// Writes an answer, valid by `schemas/federal/1.0`.
pub fn answer(answer: &Answer) -> String {
    let mut out = Writer::new();
    out.start(answer.topic().response()).attribute("xmlns", NAMESPACE);
    match answer {
        Answer::PersonBySnils { redirects, cards } => {
            write_redirects(&mut out, redirects);
            for card in cards {
                write_card(&mut out, card);
            }
        }
        Answer::FindPerson(candidates) => {
            for candidate in candidates {
                out.start("Candidate").attribute("Score", &candidate.score.to_string());
                write_entity(&mut out, &candidate.person);
                out.end();
            }
        }
        Answer::ChangedSince(page) => {
            write_page(&mut out, Some(&page.next), page.more);
            out.start("Changes");
            write_entities(&mut out, &page.entities);
            out.end();
        }
        Answer::Trajectory { redirects, trajectories } => {
            write_redirects(&mut out, redirects);
            for one in trajectories {
                trajectory::write(&mut out, one);
            }
        }
        Answer::TransferRequest(done) | Answer::TransferConfirm(done) => {
            transfer::write(&mut out, done);
        }
        Answer::AssignFederalId(results) => transfer::write_assigned(&mut out, results),
        Answer::Statistics { query, table } => statistics::write_table(&mut out, query, table),
        Answer::BuildStatistics(ordered) => statistics::write_ordered(&mut out, *ordered),
        Answer::BuiltStatistics(built) => statistics::write_built(&mut out, built),
        Answer::Organisations { organisations, next } => {
            write_page(&mut out, next.as_deref(), next.is_some());
            write_entities(&mut out, organisations);
        }
        Answer::QueueStatistics => {
            write_no_data(&mut out, "нет данных: очередь на места в реестре не ведётся");
        }
        Answer::Ping { at } => {
            out.element("Status", "ACCEPT").element("Time", &instant(*at));
        }
    }
    out.finish()
}

/// What stands in the place of an answer that is a file beside the message: its id there, and how
/// many bytes it has unpacked. Only answers that come by pages may be so long.
pub fn attached(topic: Topic, content_id: &str, bytes: usize) -> String {
    let mut out = Writer::new();
    out.start(topic.response()).attribute("xmlns", NAMESPACE);
    out.start("Attached").attribute("ContentId", content_id);
    out.attribute("Bytes", &bytes.to_string());
    out.finish()
}

fn write_page(out: &mut Writer, next: Option<&str>, more: bool) {
    if let Some(next) = next {
        out.element("NextCursor", next);
    }
    out.element("More", if more { "true" } else { "false" });
}

fn write_card(out: &mut Writer, card: &Card) {
    out.start("PersonCard");
    write_entity(out, &card.person);
    for entity in card.documents.iter().chain(&card.memberships) {
        write_entity(out, entity);
    }
    out.end();
}

fn write_entities(out: &mut Writer, entities: &[Entity]) {
    for entity in entities {
        write_entity(out, entity);
    }
}

fn write_entity(out: &mut Writer, entity: &Entity) {
    out.start(entity.spec.kind.element()).attribute("RegionalID", &entity.id.to_string());
    if let Some(id) = &entity.federal_id {
        out.attribute("FederalID", id);
    }
    if let Some(id) = entity.merged_into {
        out.attribute("MergedInto", &id.to_string());
    }
    if entity.closed {
        out.attribute("Closed", "true");
    }
    for (field, value) in entity.spec.fields.iter().zip(&entity.values) {
        if let Some(value) = value {
            out.start(field.element);
            write_value(out, value);
            out.end();
        }
    }
    out.end();
}

fn write_value(out: &mut Writer, value: &Value) {
    match value {
        Value::Flag(flag) => out.display(flag),
        Value::Integer(number) => out.display(number),
        Value::Date(date) => out.display(date),
        Value::Instant(at) => out.text(&instant(*at)),
        Value::Text(text) => out.text(text),
    };
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, false)
}

fn write_redirects(out: &mut Writer, redirects: &[Redirect]) {
    for redirect in redirects {
        out.start("Redirect").attribute("From", &redirect.from.to_string());
        out.attribute("To", &redirect.to.to_string()).end();
    }
}

/// Says that the registry does not keep what was asked for.
fn write_no_data(out: &mut Writer, text: &str) {
    out.start("NoData").attribute("Code", "NOT_KEPT").text(text).end();
}

/// Says why it was not done.
fn write_denial(out: &mut Writer, denial: Denial) {
    out.start("Refused").attribute("Code", denial.code()).text(denial.text()).end();
}

/// Russian title of a code of a dictionary that comes with the program.
fn title(dictionary: &str, code: &str) -> Option<&'static str> {
    let mut codes = dictionary::built_in().iter();
    let found = codes.find(|entry| {
        entry.dictionary == dictionary && entry.version == CANONICAL_VERSION && entry.code == code
    });
    found.map(|entry| entry.title)
}
