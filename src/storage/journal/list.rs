//! Reading the journal: lists by key, one package whole, receipts.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::args;
use crate::model::ids::{AttemptId, PackageId, PackageNo};
use crate::model::package::State;
use crate::storage::db::{Db, DbError, Row};
use crate::storage::input::Arg;
use crate::storage::journal::{PACKAGE, Package, read_package};

/// Which packages; all conditions hold together.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Where they are.
    pub state: Option<State>,
    /// Mnemonic of the supplier.
    pub supplier: Option<String>,
    /// Code of the reason, or of a finding in any attempt.
    pub code: Option<String>,
    /// Accepted at or after.
    pub since: Option<DateTime<Utc>>,
    /// Accepted before.
    pub until: Option<DateTime<Utc>>,
    /// Numbers below this one: the last of the page before.
    pub before: Option<PackageNo>,
}

/// One try at processing, as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// Our number.
    pub id: AttemptId,
    /// 1 for the first.
    pub number: i64,
    /// The attempt it repeats.
    pub previous: Option<AttemptId>,
    /// Why it was asked for.
    pub reason: Option<String>,
    /// Who asked.
    pub actor: Option<String>,
    /// Whether guards were waived.
    pub approved: bool,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// Times work began without progress since.
    pub tries: i64,
    /// Not before, after a passing failure.
    pub next_try_at: Option<DateTime<Utc>>,
    /// Records applied.
    pub records_done: i64,
    /// Findings.
    pub findings: i64,
    /// Counts per kind, as JSON.
    pub counts: Option<String>,
    /// First try.
    pub started_at: Option<DateTime<Utc>>,
    /// End.
    pub finished_at: Option<DateTime<Utc>>,
    /// State of the package it led to, or `replaced`.
    pub outcome: Option<String>,
    /// Last passing failure.
    pub error: Option<String>,
}

/// Packages, newest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn page(db: &Db, filter: &Filter, limit: i64) -> Result<Vec<Package>, DbError> {
    let (conditions, mut values) = conditions(filter);
    values.push(Arg::from(limit));
    let sql = format!("{PACKAGE} WHERE {conditions} ORDER BY p.no DESC LIMIT ${}", values.len());
    db.query(&sql, values).await?.iter().map(read_package).collect()
}

/// Number of packages a filter means.
///
/// # Errors
/// Any [`DbError`].
pub async fn count(db: &Db, filter: &Filter) -> Result<u64, DbError> {
    let (conditions, values) = conditions(filter);
    let sql = format!(
        "SELECT count(*) FROM package p JOIN supplier s ON s.id = p.supplier_id WHERE {conditions}"
    );
    let row = db.query_one(&sql, values).await?;
    row.map_or(Ok(0), |row| row.get::<i64>(0).map(i64::unsigned_abs))
}

/// The package of this number.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_no(db: &Db, no: PackageNo) -> Result<Option<Package>, DbError> {
    let row = db.query_one(&format!("{PACKAGE} WHERE p.no = $1"), args![no.0]).await?;
    row.as_ref().map(read_package).transpose()
}

/// The packages of this id, of one supplier or of all.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_id(
    db: &Db,
    package: PackageId,
    supplier: Option<&str>,
) -> Result<Vec<Package>, DbError> {
    let mut values = args![package.0];
    let mut sql = format!("{PACKAGE} WHERE p.package_id = $1");
    if let Some(supplier) = supplier {
        values.push(Arg::from(supplier));
        sql.push_str(" AND s.mnemonic = $2");
    }
    let rows = db.query(&format!("{sql} ORDER BY p.no DESC LIMIT 2"), values).await?;
    rows.iter().map(read_package).collect()
}

/// All attempts of a package, last first.
///
/// # Errors
/// Any [`DbError`].
pub async fn attempts(db: &Db, package: PackageNo) -> Result<Vec<Attempt>, DbError> {
    let sql = "SELECT id, number, previous_id, reason, actor, approved, requested_at, tries, \
        next_try_at, records_done, findings, counts, started_at, finished_at, outcome, error \
        FROM attempt WHERE package_no = $1 ORDER BY number DESC";
    db.query(sql, args![package.0]).await?.iter().map(read_attempt).collect()
}

/// The last final receipt of a package, else the first: compressed, and the attempt it
/// concludes, absent for the first.
///
/// # Errors
/// Any [`DbError`].
pub async fn latest_receipt(
    db: &Db,
    package: PackageNo,
) -> Result<Option<(Vec<u8>, Option<AttemptId>)>, DbError> {
    let sql = "SELECT xml, attempt_id FROM receipt WHERE package_no = $1 \
        ORDER BY attempt_id DESC LIMIT 1";
    let row = db.query_one(sql, args![package.0]).await?;
    row.map(|row| {
        let attempt: i64 = row.get(1)?;
        Ok((row.get(0)?, (attempt != 0).then_some(AttemptId(attempt))))
    })
    .transpose()
}

/// Number of packages in each state.
///
/// # Errors
/// Any [`DbError`].
pub async fn totals(db: &Db) -> Result<Vec<(State, u64)>, DbError> {
    let rows = db.query("SELECT state, count(*) FROM package GROUP BY state", vec![]).await?;
    let mut totals: Vec<(State, u64)> = State::ALL.iter().map(|state| (*state, 0)).collect();
    for row in &rows {
        let state: String = row.get(0)?;
        let count: i64 = row.get(1)?;
        if let Some(total) = totals.iter_mut().find(|(one, _)| one.as_str() == state) {
            total.1 = count.unsigned_abs();
        }
    }
    Ok(totals)
}

fn conditions(filter: &Filter) -> (String, Vec<Arg>) {
    let mut conditions = vec!["true".to_owned()];
    let mut values: Vec<Arg> = Vec::new();
    if let Some(state) = filter.state {
        // Written out, not bound, so that the partial index serves it.
        conditions.push(format!("p.state = '{}'", state.as_str()));
    }
    let mut add = |sql: &str, value: Arg| {
        values.push(value);
        conditions.push(sql.replace('?', &format!("${}", values.len())));
    };
    if let Some(supplier) = &filter.supplier {
        add("s.mnemonic = ?", Arg::from(supplier.as_str()));
    }
    if let Some(code) = &filter.code {
        add(
            "(p.reason = ? OR EXISTS (SELECT 1 FROM attempt a JOIN finding f \
            ON f.attempt_id = a.id WHERE a.package_no = p.no AND f.code = ?))",
            Arg::from(code.as_str()),
        );
    }
    if let Some(since) = filter.since {
        add("p.received_at >= ?", Arg::from(since));
    }
    if let Some(until) = filter.until {
        add("p.received_at < ?", Arg::from(until));
    }
    if let Some(before) = filter.before {
        add("p.no < ?", Arg::from(before.0));
    }
    (conditions.join(" AND "), values)
}

fn read_attempt(row: &Row) -> Result<Attempt, DbError> {
    Ok(Attempt {
        id: AttemptId(row.get(0)?),
        number: row.get(1)?,
        previous: row.get::<Option<i64>>(2)?.map(AttemptId),
        reason: row.get(3)?,
        actor: row.get(4)?,
        approved: row.get(5)?,
        requested_at: row.get(6)?,
        tries: row.get(7)?,
        next_try_at: row.get(8)?,
        records_done: row.get(9)?,
        findings: row.get(10)?,
        counts: row.get(11)?,
        started_at: row.get(12)?,
        finished_at: row.get(13)?,
        outcome: row.get(14)?,
        error: row.get(15)?,
    })
}
