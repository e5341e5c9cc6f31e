//! Writing an answer: the one element of the message's content.

use chrono::SecondsFormat;

use crate::codec::xml::Writer;
use crate::model::federal::{Answer, Card, Entity, NAMESPACE};
use crate::model::record::Value;

/// Writes an answer, valid by `schemas/federal/1.0`.
pub fn answer(answer: &Answer) -> String {
    let mut out = Writer::new();
    out.start(answer.topic().response()).attribute("xmlns", NAMESPACE);
    match answer {
        Answer::PersonBySnils { redirects, cards } => {
            for redirect in redirects {
                out.start("Redirect").attribute("From", &redirect.from.to_string());
                out.attribute("To", &redirect.to.to_string()).end();
            }
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
            out.element("NextCursor", &page.next);
            out.element("More", if page.more { "true" } else { "false" });
            out.start("Changes");
            for entity in &page.entities {
                write_entity(&mut out, entity);
            }
            out.end();
        }
    }
    out.finish()
}

fn write_card(out: &mut Writer, card: &Card) {
    out.start("PersonCard");
    write_entity(out, &card.person);
    for entity in card.documents.iter().chain(&card.memberships) {
        write_entity(out, entity);
    }
    out.end();
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
        let Some(value) = value else { continue };
        out.start(field.element);
        match value {
            Value::Flag(flag) => out.display(flag),
            Value::Integer(number) => out.display(number),
            Value::Date(date) => out.display(date),
            Value::Instant(at) => out.text(&at.to_rfc3339_opts(SecondsFormat::Millis, false)),
            Value::Text(text) => out.text(text),
        };
        out.end();
    }
    out.end();
}
