//! What is overdue, by the database's clock.

use std::time::Duration;

use crate::args;
use crate::model::finding::Code;
use crate::model::ids::PackageNo;
use crate::storage::db::{Db, DbError, Row, Tx};
use crate::storage::input::{Column, Input};
use crate::storage::journal::{Ringable, read_ringable};

/// An attempt that is due.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// What to ring.
    pub ring: Ringable,
    /// Nobody ever took it: its ring was lost, or it still waits in the queue.
    pub untaken: bool,
}

/// Attempts that are due, oldest first: a lease ran out, the pause after a failure is over, or
/// nobody came. Those whose ring is still in the outbox are left to the relay.
///
/// # Errors
/// Any [`DbError`].
pub async fn due(tx: &mut Tx, limit: i64) -> Result<Vec<Due>, DbError> {
    let sql = format!(
        "SELECT package_no, id, part, leased_by IS NULL AND next_try_at IS NULL FROM attempt \
        WHERE due_at <= {} AND finished_at IS NULL \
        AND NOT EXISTS (SELECT 1 FROM outbox WHERE attempt_id = id) \
        ORDER BY due_at LIMIT $1 {}",
        tx.now_sql(),
        tx.skip_locked_sql()
    );
    let read = |row: &Row| Ok(Due { ring: read_ringable(row)?, untaken: row.get(3)? });
    tx.query(&sql, args![limit]).await?.iter().map(read).collect()
}

/// Whether anything is due.
///
/// # Errors
/// Any [`DbError`].
pub async fn any_due(db: &Db) -> Result<bool, DbError> {
    let sql = format!("SELECT 1 FROM attempt WHERE due_at <= {} LIMIT 1", db.now_sql());
    Ok(db.query_one(&sql, vec![]).await?.is_some())
}

/// Looks at these attempts again after `patience`.
///
/// # Errors
/// Any [`DbError`].
pub async fn look_again(
    tx: &mut Tx,
    attempts: &[Ringable],
    patience: Duration,
) -> Result<(), DbError> {
    let input = Input::new()
        .column("id", Column::Int(attempts.iter().map(|ring| Some(ring.attempt.0)).collect()));
    let sql = format!(
        "WITH {{input}} UPDATE attempt SET due_at = {} \
        WHERE id IN (SELECT id FROM input) AND finished_at IS NULL",
        tx.after_sql(patience.as_secs())
    );
    tx.execute_input(&sql, input, vec![]).await.map(|_| ())
}

/// Held attempts whose package need not wait for its predecessor any more: it has ended and
/// nobody woke them.
///
/// # Errors
/// Any [`DbError`].
pub async fn unwoken(tx: &mut Tx) -> Result<Vec<Ringable>, DbError> {
    let sql = "SELECT a.package_no, a.id, a.part FROM package p \
        JOIN attempt a ON a.package_no = p.no AND a.finished_at IS NULL AND a.due_at IS NULL \
        WHERE p.state = 'waiting' AND p.reason = $1 AND EXISTS (SELECT 1 FROM package q \
        WHERE q.supplier_id = p.supplier_id AND q.package_type = p.package_type \
        AND q.scope = p.scope AND q.sequence = p.previous_sequence \
        AND q.state IN ('registered', 'rejected')) LIMIT 500";
    let rows = tx.query(sql, args![Code::SequenceGap.as_str()]).await?;
    rows.iter().map(read_ringable).collect()
}

/// Held attempts of packages that have waited for their predecessor longer than `limit`.
///
/// # Errors
/// Any [`DbError`].
pub async fn waited_too_long(tx: &mut Tx, limit: Duration) -> Result<Vec<Ringable>, DbError> {
    let sql = format!(
        "SELECT a.package_no, a.id, a.part FROM package p \
        JOIN attempt a ON a.package_no = p.no AND a.finished_at IS NULL AND a.due_at IS NULL \
        WHERE p.state = 'waiting' AND p.reason = $1 AND p.state_at < {} ORDER BY p.no LIMIT 500",
        tx.before_sql(limit.as_secs())
    );
    let rows = tx.query(&sql, args![Code::SequenceGap.as_str()]).await?;
    rows.iter().map(read_ringable).collect()
}

/// Whether this package has waited for its predecessor longer than `limit`.
///
/// # Errors
/// Any [`DbError`].
pub async fn is_overdue(tx: &mut Tx, package: PackageNo, limit: Duration) -> Result<bool, DbError> {
    let sql = format!(
        "SELECT 1 FROM package WHERE no = $1 AND state = 'waiting' AND reason = $2 \
        AND state_at < {}",
        tx.before_sql(limit.as_secs())
    );
    let values = args![package.0, Code::SequenceGap.as_str()];
    Ok(tx.query_one(&sql, values).await?.is_some())
}

/// Makes due at once what nobody has: after a start, when the rings in memory are gone.
///
/// # Errors
/// Any [`DbError`].
pub async fn all_due(db: &Db) -> Result<u64, DbError> {
    let sql = format!(
        "UPDATE attempt SET due_at = {} \
        WHERE due_at IS NOT NULL AND leased_by IS NULL AND next_try_at IS NULL",
        db.now_sql()
    );
    db.execute(&sql, vec![]).await
}
