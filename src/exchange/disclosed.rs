//! What the logs say of a question and its answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::federal::statistics::{Built, BuiltPage, StatisticsQuery};
use crate::model::federal::transfer::{Denial, Transfer};
use crate::model::federal::{Answer, PersonKey, Question};
use crate::storage::disclosure::Disclosure;
use crate::storage::federal as registry;

/// Whom or what was asked about, for the log of disclosures.
pub(super) fn criteria(question: &Question) -> Value {
    match question {
        Question::PersonBySnils(key) | Question::Trajectory(key) => person(key),
        Question::FindPerson(likeness) => json!({
            "last_name": likeness.last_name,
            "first_name": likeness.first_name,
            "middle_name": likeness.middle_name,
            "birth_date": likeness.birth_date,
            "document": likeness.document.as_ref().map(|document| {
                json!([document.document_type, document.series, document.number])
            }),
        }),
        Question::ChangedSince(since) => {
            let kinds: Vec<&str> = since.kinds.iter().map(|kind| kind.element()).collect();
            json!({ "cursor": since.cursor, "kinds": kinds, "page_size": since.page_size })
        }
        Question::TransferRequest(notice) => json!({
            "person": person(&notice.person),
            "direction": notice.direction.as_str(),
            "region": notice.region,
            "date": notice.date,
            "organisation": notice.organisation,
            "reason": notice.reason,
        }),
        Question::TransferConfirm(decision) => json!({
            "case": decision.case,
            "confirmed": decision.confirmed,
            "date": decision.date,
        }),
        Question::AssignFederalId(pairs) => {
            let pairs = pairs.iter().map(|pair| json!([pair.regional, pair.federal]));
            json!({ "pairs": pairs.collect::<Value>() })
        }
        Question::Statistics(query) | Question::BuildStatistics(query) => counted(query),
        Question::BuiltStatistics(wanted) => json!({ "job": wanted.job, "page": wanted.page }),
        Question::Organisations(query) => json!({
            "changed_since": query.changed_since,
            "inn": query.inn,
            "oktmo": query.oktmo,
            "cursor": query.cursor,
            "page_size": query.page_size,
        }),
        Question::QueueStatistics(query) => json!({ "date": query.date, "oktmo": query.oktmo }),
        Question::Ping => json!({}),
    }
}

fn person(key: &PersonKey) -> Value {
    match key {
        PersonKey::Snils(snils) => json!({ "snils": snils }),
        PersonKey::FederalId(id) => json!({ "federal_id": id }),
        PersonKey::RegionalId(id) => json!({ "regional_id": id.0 }),
    }
}

fn counted(query: &StatisticsQuery) -> Value {
    json!({
        "indicator": query.indicator.code(),
        "from": query.from,
        "date": query.date,
        "oktmo": query.territory,
        "breakdown": query.breakdown.code(),
    })
}

/// How much of each kind was told, or what became of what was to be done.
pub(super) fn told(answer: &Answer) -> Value {
    match answer {
        Answer::TransferRequest(transfer) | Answer::TransferConfirm(transfer) => moved(transfer),
        Answer::AssignFederalId(results) => json!({ "results": results.len() }),
        Answer::Statistics { table, .. } => json!({ "cells": table.cells.len() }),
        Answer::BuildStatistics(Ok(job)) => json!({ "job": job }),
        Answer::BuildStatistics(Err(denial)) => json!({ "refused": denial.code() }),
        Answer::BuiltStatistics(built) => match built {
            Built::Process { .. } => json!({ "status": "PROCESS" }),
            Built::Denied(denial) => json!({ "refused": denial.code() }),
            Built::Result { content: BuiltPage::Table(table), .. } => {
                json!({ "cells": table.cells.len() })
            }
            Built::Result { content: BuiltPage::Persons(rows), .. } => {
                json!({ "depersonalised": rows.len() })
            }
        },
        Answer::QueueStatistics => json!({ "no_data": 1 }),
        Answer::PersonBySnils { .. }
        | Answer::FindPerson(_)
        | Answer::ChangedSince(_)
        | Answer::Trajectory { .. }
        | Answer::Organisations { .. }
        | Answer::Ping { .. } => {
            let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
            for entity in answer.entities() {
                *counts.entry(entity.spec.kind.element()).or_default() += 1;
            }
            json!(counts)
        }
    }
}

fn moved(transfer: &Transfer) -> Value {
    json!({
        "case": transfer.case.as_ref().map(|case| case.id),
        "state": transfer.case.as_ref().map(|case| case.state.as_str()),
        "repeated": transfer.repeated,
        "closed": transfer.closed.iter().map(|id| id.0).collect::<Vec<i64>>(),
        "refused": transfer.denial.map(Denial::code),
    })
}

/// Registry ids of the persons whom an answer tells about, each once.
pub(super) fn persons(answer: &Answer) -> Vec<i64> {
    let mut persons = registry::persons_of(answer.entities());
    persons.extend(answer.subjects().into_iter().map(|id| id.0));
    persons.sort_unstable();
    persons.dedup();
    persons
}

/// What the audit says of an answer; ids only where they are few.
pub(super) fn summary(answer: &Answer, disclosure: &Disclosure) -> Value {
    const NAMED: usize = 20;
    let named = (disclosure.persons.len() <= NAMED).then_some(&disclosure.persons);
    json!({
        "question": answer.topic().request(),
        "purpose": disclosure.purpose,
        "disclosure": disclosure.id,
        "persons": disclosure.persons.len(),
        "person_ids": named,
    })
}
