//! The log of disclosures: who was told what about whom, when and why.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::args;
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

/// Writes a disclosure.
///
/// # Errors
/// Any [`DbError`].
pub async fn write(tx: &mut Tx, disclosure: &Disclosure) -> Result<(), DbError> {
    let persons = i64::try_from(disclosure.persons.len()).unwrap_or(i64::MAX);
    let sql = "INSERT INTO disclosure (id, at, system_id, request_id, question, purpose, \
        criteria, answered, persons) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let values = args![
        disclosure.id,
        disclosure.at,
        disclosure.system,
        disclosure.request,
        disclosure.question,
        disclosure.purpose.as_str(),
        disclosure.criteria.as_str(),
        disclosure.answered.as_str(),
        persons,
    ];
    tx.execute(sql, values).await?;
    let ids = disclosure.persons.iter().copied().map(Some).collect();
    let sql = "WITH {input} INSERT INTO disclosure_person (person_id, disclosure_id) \
        SELECT person_id, $1 FROM input";
    let input = Input::new().column("person_id", Column::Int(ids));
    tx.execute_input(sql, input, args![disclosure.id]).await?;
    Ok(())
}
