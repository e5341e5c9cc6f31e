//! New attempts asked for by operators.

use chrono::{DateTime, Utc};

use crate::args;
use crate::model::ids::{AttemptId, PackageNo};
use crate::model::package::State;
use crate::storage::db::{DbError, Tx};
use crate::storage::journal::Ringable;

/// What an operator asks for.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// Why; kept for ever.
    pub reason: &'a str,
    /// Who.
    pub actor: &'a str,
    /// Whether guards that hold a package are waived.
    pub approved: bool,
    /// When, by our clock.
    pub at: DateTime<Utc>,
    /// Doorbell partition of the supplier.
    pub partition: u16,
}

/// The last attempt of a package: its id and number, and whether it is still open.
///
/// # Errors
/// Any [`DbError`].
pub async fn last_attempt(
    tx: &mut Tx,
    package: PackageNo,
) -> Result<Option<(AttemptId, i64, bool)>, DbError> {
    let sql = "SELECT id, number, finished_at IS NULL FROM attempt WHERE package_no = $1 \
        ORDER BY number DESC LIMIT 1";
    let row = tx.query_one(sql, args![package.0]).await?;
    row.map(|row| Ok((AttemptId(row.get(0)?), row.get(1)?, row.get(2)?))).transpose()
}

/// Ends the held attempt of a waiting package, which a new one replaces.
///
/// # Errors
/// Any [`DbError`].
pub async fn replace_held(tx: &mut Tx, attempt: AttemptId) -> Result<bool, DbError> {
    let sql = format!(
        "UPDATE attempt SET finished_at = {}, outcome = 'replaced', due_at = NULL \
        WHERE id = $1 AND finished_at IS NULL AND leased_by IS NULL",
        tx.now_sql()
    );
    Ok(tx.execute(&sql, args![attempt.0]).await? == 1)
}

/// Brings a package that ended without success, or is held, back to `received`.
///
/// # Errors
/// Any [`DbError`].
pub async fn reopen(tx: &mut Tx, package: PackageNo, expects: State) -> Result<bool, DbError> {
    let sql = format!(
        "UPDATE package SET state = 'received', state_at = {}, reason = NULL \
        WHERE no = $1 AND state = $2",
        tx.now_sql()
    );
    Ok(tx.execute(&sql, args![package.0, expects.as_str()]).await? == 1)
}

/// Writes the new attempt.
///
/// # Errors
/// Any [`DbError`]; [`DbError::Duplicate`] when another operator was faster.
pub async fn insert(
    tx: &mut Tx,
    package: PackageNo,
    attempt: AttemptId,
    (previous, number): (AttemptId, i64),
    order: &Order<'_>,
) -> Result<Ringable, DbError> {
    let sql = format!(
        "INSERT INTO attempt (id, package_no, number, previous_id, reason, actor, approved, part, \
        requested_at, tries, due_at, records_done, findings) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, {}, 0, 0)",
        tx.after_sql(30)
    );
    let values = args![
        attempt.0,
        package.0,
        number + 1,
        previous.0,
        order.reason,
        order.actor,
        order.approved,
        i64::from(order.partition),
        order.at,
    ];
    tx.execute(&sql, values).await?;
    Ok(Ringable { package, attempt, partition: order.partition })
}
