//! The log of disclosures: who was told what about whom, when and why.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::storage::db::{DbError, Tx};
use crate::storage::input::{Column, Input};

/// A disclosure about to be written.
#[derive(Clone, Debug)]
pub struct Disclosure {
    /// Our number of it.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who asked.
    pub system: i64,
    /// With which message.
    pub request: Uuid,
    /// Which question: root element of the request.
    pub question: &'static str,
    /// Why, in the words of the asker.
    pub purpose: String,
    /// Whom or what was asked about, as JSON.
    pub criteria: String,
    /// How much of each kind was told, as JSON.
    pub answered: String,
    /// Registry ids of the persons it tells about, each once.
    pub persons: Vec<i64>,
}

/// Writes disclosures.
///
/// # Errors
/// Any [`DbError`].
pub async fn write(tx: &mut Tx, disclosures: &[&Disclosure]) -> Result<(), DbError> {
    if disclosures.is_empty() {
        return Ok(());
    }
    let int = |read: fn(&Disclosure) -> i64| {
        Column::Int(disclosures.iter().map(|one| Some(read(one))).collect())
    };
    let text = |read: fn(&Disclosure) -> &str| {
        Column::Text(disclosures.iter().map(|one| Some(read(one).to_owned())).collect())
    };
    let requests = disclosures.iter().map(|one| Some(one.request)).collect();
    let input = Input::new()
        .column("id", int(|d| d.id))
        .column("at", Column::Instant(disclosures.iter().map(|d| Some(d.at)).collect()))
        .column("system_id", int(|d| d.system))
        .column("request_id", Column::Uuid(requests))
        .column("question", text(|d| d.question))
        .column("purpose", text(|d| &d.purpose))
        .column("criteria", text(|d| &d.criteria))
        .column("answered", text(|d| &d.answered))
        .column("persons", int(|d| i64::try_from(d.persons.len()).unwrap_or(i64::MAX)));
    let columns = "id, at, system_id, request_id, question, purpose, criteria, answered, persons";
    let sql =
        format!("WITH {{input}} INSERT INTO disclosure ({columns}) SELECT {columns} FROM input");
    tx.execute_input(&sql, input, vec![]).await?;
    let pairs = disclosures.iter().flat_map(|one| one.persons.iter().map(|&id| (id, one.id)));
    let (persons, ids): (Vec<_>, Vec<_>) = pairs.map(|(id, one)| (Some(id), Some(one))).unzip();
    if persons.is_empty() {
        return Ok(());
    }
    let input = Input::new()
        .column("person_id", Column::Int(persons))
        .column("disclosure_id", Column::Int(ids));
    let sql = "WITH {input} INSERT INTO disclosure_person (person_id, disclosure_id) \
        SELECT person_id, disclosure_id FROM input";
    tx.execute_input(sql, input, vec![]).await.map(|_| ())
}
