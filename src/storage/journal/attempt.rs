//! Attempts while they are worked on: claimed before the work, renewed during it, let go after it.
//!
//! All times are the database's; a worker that lost its lease changes nothing any more.

use std::time::Duration;

use crate::args;
use crate::model::ids::AttemptId;
use crate::storage::db::{Db, DbError, Row, Tx};
use crate::storage::input::{Column, Input};
use crate::storage::journal::{PACKAGE, PACKAGE_COLUMNS, Package, read_package, signed};

/// Which attempts a claim may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Those never begun: many at a time, since none of them is known to do harm.
    Fresh,
    /// Any that nobody has and that is due.
    Any,
}

/// An attempt that this worker now has.
#[derive(Debug)]
pub struct Claimed {
    /// Our number of it.
    pub attempt: AttemptId,
    /// 1 for the first.
    pub number: u64,
    /// Whether guards that hold a package are waived.
    pub approved: bool,
    /// Times work began without progress since, this one counted.
    pub tries: u64,
    /// Records already applied.
    pub records_done: u64,
    /// Findings already written.
    pub findings: u64,
    /// Counts of the records already applied, as JSON.
    pub counts: Option<String>,
    /// Its package.
    pub package: Package,
    /// The only frame of a small package.
    pub frame: Option<Vec<u8>>,
}

/// Claims attempts for `worker`: counts the try and starts the lease. Commit before any work.
///
/// # Errors
/// Any [`DbError`].
pub async fn claim(
    tx: &mut Tx,
    worker: &str,
    lease: Duration,
    attempts: &[AttemptId],
    which: Claim,
) -> Result<Vec<AttemptId>, DbError> {
    let now = tx.now_sql();
    let until = tx.after_sql(lease.as_secs());
    let fresh = match which {
        Claim::Fresh => "AND tries = 0",
        Claim::Any => "",
    };
    let sql = format!(
        "WITH {{input}} UPDATE attempt SET tries = tries + 1, leased_until = {until}, \
        leased_by = $1, due_at = {until}, next_try_at = NULL, \
        started_at = COALESCE(started_at, {now}) \
        WHERE id IN (SELECT id FROM input) AND finished_at IS NULL \
        AND (leased_until IS NULL OR leased_until < {now}) \
        AND (next_try_at IS NULL OR next_try_at <= {now}) {fresh} RETURNING id"
    );
    let rows = tx.query_input(&sql, ids(attempts), args![worker]).await?;
    let mut claimed =
        rows.iter().map(|row| row.get(0).map(AttemptId)).collect::<Result<Vec<_>, _>>()?;
    claimed.sort_unstable();
    Ok(claimed)
}

/// Reads claimed attempts with their packages, in order of attempt.
///
/// # Errors
/// Any [`DbError`].
pub async fn load(tx: &mut Tx, attempts: &[AttemptId]) -> Result<Vec<Claimed>, DbError> {
    let (columns, tables) = PACKAGE.split_once(" FROM ").unwrap_or((PACKAGE, ""));
    let sql = format!(
        "WITH {{input}} {columns}, a.id, a.number, a.approved, a.tries, a.records_done, \
        a.findings, a.counts, c.bytes \
        FROM {tables} JOIN attempt a ON a.package_no = p.no JOIN input i ON i.id = a.id \
        LEFT JOIN content c ON c.package_no = p.no AND c.part = 0 AND p.parts = 1"
    );
    let rows = tx.query_input(&sql, ids(attempts), vec![]).await?;
    let mut claimed = rows.iter().map(read_claimed).collect::<Result<Vec<_>, _>>()?;
    claimed.sort_unstable_by_key(|one: &Claimed| one.attempt);
    Ok(claimed)
}

/// How long later packages of the supplier are waited for, seconds: they may follow one another
/// without end.
const LATER_ONES_SECONDS: u64 = 600;

/// Whether another worker is at a package of the same supplier: one from before this one, or one of
/// which a part is applied. Of two that have applied nothing, only the later one finds the other.
/// Later ones do not count any more when work on this one began ten minutes ago.
///
/// # Errors
/// Any [`DbError`].
pub async fn others_at_work(tx: &mut Tx, worker: &str, package: &Package) -> Result<bool, DbError> {
    let sql = format!(
        "SELECT 1 FROM attempt a JOIN package p ON p.no = a.package_no \
         WHERE p.supplier_id = (SELECT supplier_id FROM package WHERE no = $1) AND p.no <> $1 \
         AND a.due_at IS NOT NULL AND a.finished_at IS NULL AND a.leased_until > {} AND a.leased_by <> $2 \
         AND (p.no < $1 OR (a.records_done > 0 AND EXISTS (SELECT 1 FROM attempt own \
         WHERE own.package_no = $1 AND own.finished_at IS NULL AND own.started_at > {}))) LIMIT 1",
        tx.now_sql(),
        tx.before_sql(LATER_ONES_SECONDS)
    );
    Ok(tx.query_one(&sql, args![package.no.0, worker]).await?.is_some())
}

/// Notes records applied in this transaction, and starts the lease and the count of tries anew;
/// false when the lease was lost: roll back.
///
/// # Errors
/// Any [`DbError`].
pub async fn progress(
    tx: &mut Tx,
    worker: &str,
    lease: Duration,
    attempt: AttemptId,
    (records, findings, counts): (u64, u64, &str),
) -> Result<bool, DbError> {
    let until = tx.after_sql(lease.as_secs());
    let sql = format!(
        "UPDATE attempt SET records_done = $3, findings = $4, counts = $5, tries = 1, \
        leased_until = {until}, due_at = {until} \
        WHERE id = $1 AND leased_by = $2 AND finished_at IS NULL"
    );
    let values = args![attempt.0, worker, signed(records), signed(findings), counts];
    Ok(tx.execute(&sql, values).await? == 1)
}

/// Renews leases that are still this worker's.
///
/// # Errors
/// Any [`DbError`].
pub async fn renew(
    db: &Db,
    worker: &str,
    lease: Duration,
    attempts: &[AttemptId],
) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    let until = tx.after_sql(lease.as_secs());
    let sql = format!(
        "WITH {{input}} UPDATE attempt SET leased_until = {until}, due_at = {until} \
        WHERE id IN (SELECT id FROM input) AND leased_by = $1 AND finished_at IS NULL"
    );
    tx.execute_input(&sql, ids(attempts), args![worker]).await?;
    tx.commit().await
}

/// Lets attempts go until later. A failure that is the surroundings' fault (`counted` false)
/// does not bring them nearer to being parked.
///
/// # Errors
/// Any [`DbError`].
pub async fn postpone(
    db: &Db,
    worker: &str,
    attempts: &[AttemptId],
    (delay, counted, error): (Duration, bool, &str),
) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    let at = tx.after_sql(delay.as_secs());
    let back = i64::from(!counted);
    let sql = format!(
        "WITH {{input}} UPDATE attempt SET leased_until = NULL, leased_by = NULL, \
        next_try_at = {at}, due_at = {at}, tries = tries - $3, error = $2 \
        WHERE id IN (SELECT id FROM input) AND leased_by = $1 AND finished_at IS NULL"
    );
    tx.execute_input(&sql, ids(attempts), args![worker, error, back]).await?;
    tx.commit().await
}

fn ids(attempts: &[AttemptId]) -> Input {
    Input::new().column("id", Column::Int(attempts.iter().map(|id| Some(id.0)).collect()))
}

fn read_claimed(row: &Row) -> Result<Claimed, DbError> {
    Ok(Claimed {
        package: read_package(row)?,
        attempt: AttemptId(row.get(PACKAGE_COLUMNS)?),
        number: row.get::<i64>(PACKAGE_COLUMNS + 1)?.unsigned_abs(),
        approved: row.get(PACKAGE_COLUMNS + 2)?,
        tries: row.get::<i64>(PACKAGE_COLUMNS + 3)?.unsigned_abs(),
        records_done: row.get::<i64>(PACKAGE_COLUMNS + 4)?.unsigned_abs(),
        findings: row.get::<i64>(PACKAGE_COLUMNS + 5)?.unsigned_abs(),
        counts: row.get(PACKAGE_COLUMNS + 6)?,
        frame: row.get(PACKAGE_COLUMNS + 7)?,
    })
}
