//! Cases of transfer to other regions, and the memberships that they close.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::args;
use crate::model::federal::transfer::{CaseState, Decision, Direction, Notice, TransferCase};
use crate::model::ids::EntityId;
use crate::storage::db::{DbError, Row, Tx};
use crate::storage::federal::{ids, input};
use crate::storage::input::{Column, Input};

/// Columns in the order [`read`] reads them.
const COLUMNS: &str =
    "id, person_id, direction, region, moved_on, organisation, reason, state, decided_on";

/// Keeps other questions from opening cases of a person until the transaction ends; false when
/// there is no such person.
///
/// # Errors
/// Any [`DbError`].
pub async fn hold_person(tx: &mut Tx, person: EntityId) -> Result<bool, DbError> {
    let sql = format!("SELECT id FROM person WHERE id = $1 {}", lock(tx));
    Ok(tx.query_one(&sql, args![person.0]).await?.is_some())
}

/// The case that a notice about one of these persons repeats: an undecided one of the same region,
/// else the last decided one of the same move.
///
/// # Errors
/// Any [`DbError`].
pub async fn repeated_case(
    tx: &mut Tx,
    persons: &[EntityId],
    notice: &Notice,
) -> Result<Option<TransferCase>, DbError> {
    let sql = format!(
        "WITH {{input}} SELECT {COLUMNS} FROM transfer_case WHERE person_id IN \
         (SELECT id FROM input) AND region = $1 \
         AND (state = 'OPEN' OR (direction = $2 AND moved_on = $3)) \
         ORDER BY CASE WHEN state = 'OPEN' THEN 0 ELSE 1 END, opened_at DESC LIMIT 1"
    );
    let values = args![notice.region.as_str(), notice.direction.as_str(), notice.date];
    let rows = tx.query_input(&sql, input(persons), values).await?;
    rows.first().map(read).transpose()
}

/// Writes a new case.
///
/// # Errors
/// Any [`DbError`].
pub async fn open(
    tx: &mut Tx,
    system: i64,
    case: &TransferCase,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let sql = "INSERT INTO transfer_case (id, system_id, person_id, direction, region, moved_on, \
        organisation, reason, state, opened_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values = args![
        case.id,
        system,
        case.person.0,
        case.direction.as_str(),
        case.region.as_str(),
        case.date,
        case.organisation.as_str(),
        case.reason.as_str(),
        case.state.as_str(),
        at,
    ];
    tx.execute(sql, values).await.map(|_| ())
}

/// A case, which nobody else decides until the transaction ends.
///
/// # Errors
/// Any [`DbError`].
pub async fn hold(tx: &mut Tx, id: Uuid) -> Result<Option<TransferCase>, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM transfer_case WHERE id = $1 {}", lock(tx));
    tx.query_one(&sql, args![id]).await?.as_ref().map(read).transpose()
}

/// Notes the decision on an undecided case.
///
/// # Errors
/// [`DbError::Conflict`] when it was decided already; any other.
pub async fn decide(
    tx: &mut Tx,
    system: i64,
    decision: &Decision,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let state = if decision.confirmed { CaseState::Confirmed } else { CaseState::Declined };
    let sql = "UPDATE transfer_case SET state = $2, decided_on = $3, decided_by = $4, \
        decided_at = $5 WHERE id = $1 AND state = 'OPEN'";
    let values = args![decision.case, state.as_str(), decision.date, system, at];
    if tx.execute(sql, values).await? == 1 {
        return Ok(());
    }
    Err(DbError::Conflict(sqlx::Error::RowNotFound))
}

/// Memberships of these persons that go on after a day; they stay as they are until the
/// transaction ends.
///
/// # Errors
/// Any [`DbError`].
pub async fn hold_memberships(
    tx: &mut Tx,
    persons: &[EntityId],
    after: NaiveDate,
) -> Result<Vec<EntityId>, DbError> {
    let lock = if tx.is_postgres() { "FOR NO KEY UPDATE OF m" } else { "" };
    let sql = format!(
        "WITH {{input}} SELECT m.id FROM input i JOIN membership m ON m.person_id = i.id \
         WHERE m.closed_at IS NULL AND (m.to_date IS NULL OR m.to_date > $1) ORDER BY m.id {lock}"
    );
    ids(&tx.query_input(&sql, input(persons), args![after]).await?)
}

/// Notes the memberships that a case closed, and their entries in the history.
///
/// # Errors
/// Any [`DbError`].
pub async fn note_closings(
    tx: &mut Tx,
    case: Uuid,
    closings: &[(i64, i64)],
) -> Result<(), DbError> {
    let sql = "WITH {input} INSERT INTO transfer_closing (case_id, membership_id, change_id) \
        SELECT $1, membership_id, change_id FROM input";
    let input = Input::new()
        .column("membership_id", Column::Int(closings.iter().map(|one| Some(one.0)).collect()))
        .column("change_id", Column::Int(closings.iter().map(|one| Some(one.1)).collect()));
    tx.execute_input(sql, input, args![case]).await.map(|_| ())
}

/// The memberships that a case closed.
///
/// # Errors
/// Any [`DbError`].
pub async fn closings(tx: &mut Tx, case: Uuid) -> Result<Vec<EntityId>, DbError> {
    let sql =
        "SELECT membership_id FROM transfer_closing WHERE case_id = $1 ORDER BY membership_id";
    ids(&tx.query(sql, args![case]).await?)
}

fn lock(tx: &Tx) -> &'static str {
    if tx.is_postgres() { "FOR NO KEY UPDATE" } else { "" }
}

fn read(row: &Row) -> Result<TransferCase, DbError> {
    let (direction, state): (String, String) = (row.get(2)?, row.get(7)?);
    let unknown = || DbError::Query(sqlx::Error::Decode("an unknown word".into()));
    let direction = Direction::ALL.into_iter().find(|one| one.as_str() == direction);
    let state = CaseState::ALL.into_iter().find(|one| one.as_str() == state);
    Ok(TransferCase {
        id: row.get(0)?,
        person: EntityId(row.get(1)?),
        direction: direction.ok_or_else(unknown)?,
        region: row.get(3)?,
        date: row.get(4)?,
        organisation: row.get(5)?,
        reason: row.get(6)?,
        state: state.ok_or_else(unknown)?,
        decided_on: row.get(8)?,
    })
}
