//! Ids that the federal segment gives to persons.

use std::collections::HashMap;

use crate::args;
use crate::model::federal::Pair;
use crate::model::ids::EntityId;
use crate::storage::db::{DbError, Row, Tx};
use crate::storage::federal::input;
use crate::storage::input::{Column, Input};

/// Of these persons those who exist, and whom each was merged into. Nobody else can give them ids
/// until the transaction ends.
///
/// # Errors
/// Any [`DbError`].
pub async fn hold(
    tx: &mut Tx,
    persons: &[EntityId],
) -> Result<HashMap<EntityId, Option<EntityId>>, DbError> {
    let lock = if tx.is_postgres() { "FOR NO KEY UPDATE OF p" } else { "" };
    let sql = format!(
        "WITH {{input}} SELECT p.id, p.merged_into FROM input i JOIN person p ON p.id = i.id \
         ORDER BY p.id {lock}"
    );
    let read = |row: &Row| Ok((EntityId(row.get(0)?), row.get::<Option<i64>>(1)?.map(EntityId)));
    tx.query_input(&sql, input(persons), vec![]).await?.iter().map(read).collect()
}

/// The federal ids of these persons, the first of each if there are several.
///
/// # Errors
/// Any [`DbError`].
pub async fn of_persons(
    tx: &mut Tx,
    persons: &[EntityId],
) -> Result<HashMap<EntityId, String>, DbError> {
    let sql = "WITH {input} SELECT f.person_id, min(f.federal_id) FROM input i \
        JOIN federal_identity f ON f.person_id = i.id GROUP BY f.person_id";
    let read = |row: &Row| Ok((EntityId(row.get(0)?), row.get(1)?));
    tx.query_input(sql, input(persons), vec![]).await?.iter().map(read).collect()
}

/// The persons who hold these federal ids.
///
/// # Errors
/// Any [`DbError`].
pub async fn holders(
    tx: &mut Tx,
    federal: impl Iterator<Item = &str>,
) -> Result<HashMap<String, EntityId>, DbError> {
    let sql = "WITH {input} SELECT f.federal_id, f.person_id FROM input i \
        JOIN federal_identity f ON f.federal_id = i.federal_id";
    let ids = federal.map(|id| Some(id.to_owned())).collect();
    let input = Input::new().column("federal_id", Column::Text(ids));
    let read = |row: &Row| Ok((row.get(0)?, EntityId(row.get(1)?)));
    tx.query_input(sql, input, vec![]).await?.iter().map(read).collect()
}

/// Notes ids; one that another transaction has given meanwhile stays with its person.
///
/// # Errors
/// Any [`DbError`].
pub async fn assign(tx: &mut Tx, pairs: &[Pair]) -> Result<(), DbError> {
    let sql = format!(
        "WITH {{input}} INSERT INTO federal_identity (federal_id, person_id, assigned_at) \
         SELECT federal_id, person_id, {} FROM input WHERE true ON CONFLICT DO NOTHING",
        tx.now_sql()
    );
    let federal = pairs.iter().map(|pair| Some(pair.federal.clone())).collect();
    let persons = pairs.iter().map(|pair| Some(pair.regional.0)).collect();
    let input = Input::new()
        .column("federal_id", Column::Text(federal))
        .column("person_id", Column::Int(persons));
    tx.execute_input(&sql, input, args![]).await.map(|_| ())
}
