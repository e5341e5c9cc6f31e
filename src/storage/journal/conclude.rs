//! The ends of attempts: states, counts, findings, final receipts. Every change names the state
//! it expects.

use crate::args;
use crate::model::finding::{Code, Finding, Severity};
use crate::model::ids::{AttemptId, PackageNo};
use crate::model::kind::Kind;
use crate::model::package::State;
use crate::storage::db::{Db, DbError, Row, Tx};
use crate::storage::input::{Column, Input};
use crate::storage::journal::{Package, Ringable, malformed, read_ringable, signed};

/// The end of one attempt.
#[derive(Clone, Debug)]
pub struct Conclusion {
    /// The attempt.
    pub attempt: AttemptId,
    /// Its package.
    pub package: PackageNo,
    /// State the package is in.
    pub expects: State,
    /// State it gets.
    pub state: State,
    /// What the attempt led to; differs from `state` when a replay of a registered package fails.
    pub outcome: State,
    /// Why, when it was rejected or failed.
    pub reason: Option<Code>,
    /// Records read.
    pub records: u64,
    /// Findings in all.
    pub findings: u64,
    /// Counts per kind, as JSON.
    pub counts: String,
    /// The signed final receipt, compressed; none when it would belie an earlier one.
    pub receipt: Option<Vec<u8>>,
}

/// Writes ends of attempts that `worker` has; false when a lease was lost or a package is not in
/// the state expected: roll back.
///
/// # Errors
/// Any [`DbError`].
pub async fn conclude(
    tx: &mut Tx,
    worker: &str,
    conclusions: &[Conclusion],
) -> Result<bool, DbError> {
    let now = tx.now_sql();
    let int = |read: fn(&Conclusion) -> i64| {
        Column::Int(conclusions.iter().map(|conclusion| Some(read(conclusion))).collect())
    };
    let text = |read: fn(&Conclusion) -> Option<String>| {
        Column::Text(conclusions.iter().map(read).collect())
    };
    let input = Input::new()
        .column("attempt_id", int(|c| c.attempt.0))
        .column("package_no", int(|c| c.package.0))
        .column("expects", text(|c| Some(c.expects.as_str().to_owned())))
        .column("state", text(|c| Some(c.state.as_str().to_owned())))
        .column("outcome", text(|c| Some(c.outcome.as_str().to_owned())))
        .column("reason", text(|c| c.reason.map(|code| code.as_str().to_owned())))
        .column("records", int(|c| signed(c.records)))
        .column("findings", int(|c| signed(c.findings)))
        .column("counts", text(|c| Some(c.counts.clone())));
    let count = conclusions.len() as u64;
    let sql = format!(
        "WITH {{input}} UPDATE attempt SET finished_at = {now}, outcome = input.outcome, \
        records_done = input.records, findings = input.findings, counts = input.counts, \
        leased_until = NULL, due_at = NULL FROM input \
        WHERE attempt.id = input.attempt_id AND leased_by = $1 AND finished_at IS NULL"
    );
    if tx.execute_input(&sql, input.clone(), args![worker]).await? != count {
        return Ok(false);
    }
    let sql = format!(
        "WITH {{input}} UPDATE package SET state = input.state, state_at = {now}, \
        reason = input.reason FROM input \
        WHERE package.no = input.package_no AND package.state = input.expects"
    );
    if tx.execute_input(&sql, input, vec![]).await? != count {
        return Ok(false);
    }
    let with: Vec<&Conclusion> = conclusions.iter().filter(|c| c.receipt.is_some()).collect();
    let input = Input::new()
        .column("package_no", Column::Int(with.iter().map(|c| Some(c.package.0)).collect()))
        .column("attempt_id", Column::Int(with.iter().map(|c| Some(c.attempt.0)).collect()))
        .column("xml", Column::Bytes(with.iter().map(|c| c.receipt.clone()).collect()));
    let sql = format!(
        "WITH {{input}} INSERT INTO receipt (package_no, attempt_id, xml, created_at) \
        SELECT package_no, attempt_id, xml, {now} FROM input"
    );
    tx.execute_input(&sql, input, vec![]).await?;
    Ok(true)
}

/// Holds a package; false when the lease was lost or the package is not in the state expected.
///
/// # Errors
/// Any [`DbError`].
pub async fn hold(
    tx: &mut Tx,
    worker: &str,
    (attempt, findings, reason): (AttemptId, u64, Code),
    package: &Package,
) -> Result<bool, DbError> {
    let sql = "UPDATE attempt SET leased_until = NULL, leased_by = NULL, due_at = NULL, tries = 0, \
        findings = $3 WHERE id = $1 AND leased_by = $2 AND finished_at IS NULL";
    if tx.execute(sql, args![attempt.0, worker, signed(findings)]).await? != 1 {
        return Ok(false);
    }
    // A package that waits already keeps its time: the limit of waiting counts from the first.
    let sql = format!(
        "UPDATE package SET state = 'waiting', reason = $2, \
        state_at = CASE WHEN state = 'waiting' AND reason = $2 THEN state_at ELSE {} END \
        WHERE no = $1 AND state = $3",
        tx.now_sql()
    );
    let values = args![package.no.0, reason.as_str(), package.state.as_str()];
    Ok(tx.execute(&sql, values).await? == 1)
}

/// Whether the predecessor of this package has ended well enough to go on: it was registered or
/// rejected.
///
/// # Errors
/// Any [`DbError`].
pub async fn predecessor_ended(tx: &mut Tx, package: &Package) -> Result<bool, DbError> {
    let sql = "SELECT 1 FROM package WHERE supplier_id = $1 AND package_type = $2 AND scope = $3 \
        AND sequence = $4 AND state IN ('registered', 'rejected') LIMIT 1";
    let values = args![
        package.supplier_id.0,
        package.header.package_type.as_str(),
        package.header.scope.to_text(),
        package.header.previous_sequence.map(signed),
    ];
    Ok(tx.query_one(sql, values).await?.is_some())
}

/// Attempts that wait for this package, made due; ring them in the same transaction.
///
/// # Errors
/// Any [`DbError`].
pub async fn wake_successors(tx: &mut Tx, package: &Package) -> Result<Vec<Ringable>, DbError> {
    let Some(sequence) = package.header.sequence else { return Ok(Vec::new()) };
    let sql = format!(
        "UPDATE attempt SET due_at = {} WHERE finished_at IS NULL AND package_no IN (\
        SELECT no FROM package WHERE state = 'waiting' AND reason = $5 AND supplier_id = $1 \
        AND package_type = $2 AND scope = $3 AND previous_sequence = $4) \
        RETURNING package_no, id, part",
        tx.after_sql(30)
    );
    let values = args![
        package.supplier_id.0,
        package.header.package_type.as_str(),
        package.header.scope.to_text(),
        signed(sequence),
        Code::SequenceGap.as_str(),
    ];
    tx.query(&sql, values).await?.iter().map(read_ringable).collect()
}

/// Writes findings with numbers `from + 1…`.
///
/// # Errors
/// Any [`DbError`].
pub async fn insert_findings(
    tx: &mut Tx,
    findings: &[(AttemptId, u64, &Finding)],
) -> Result<(), DbError> {
    let text = |read: fn(&Finding) -> Option<String>| {
        Column::Text(findings.iter().map(|(_, _, finding)| read(finding)).collect())
    };
    let int = |read: fn(&Finding) -> u64| {
        Column::Int(findings.iter().map(|(_, _, finding)| Some(signed(read(finding)))).collect())
    };
    let input = Input::new()
        .column("attempt_id", Column::Int(findings.iter().map(|f| Some(f.0.0)).collect()))
        .column("seq", Column::Int(findings.iter().map(|f| Some(signed(f.1))).collect()))
        .column("code", text(|f| Some(f.code.as_str().to_owned())))
        .column("severity", text(|f| Some(f.severity.as_str().to_owned())))
        .column("kind", text(|f| f.kind.map(|kind| kind.element().to_owned())))
        .column("record", int(|f| f.record))
        .column("external_id", text(|f| Some(f.external_id.clone())))
        .column("field", text(|f| f.field.clone()))
        .column("line", int(|f| f.line))
        .column("detail", text(|f| f.detail.clone()));
    let columns = "attempt_id, seq, code, severity, kind, record, external_id, field, line, detail";
    let sql = format!("WITH {{input}} INSERT INTO finding ({columns}) SELECT {columns} FROM input");
    tx.execute_input(&sql, input, vec![]).await.map(|_| ())
}

/// Findings of an attempt after number `after`, in order, at most `limit`.
///
/// # Errors
/// Any [`DbError`].
pub async fn findings(
    db: &Db,
    attempt: AttemptId,
    after: u64,
    limit: u64,
) -> Result<Vec<Finding>, DbError> {
    let sql = "SELECT code, severity, kind, record, external_id, field, line, detail FROM finding \
        WHERE attempt_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    let rows = db.query(sql, args![attempt.0, signed(after), signed(limit)]).await?;
    rows.iter().map(read_finding).collect()
}

fn read_finding(row: &Row) -> Result<Finding, DbError> {
    let code: String = row.get(0)?;
    let severity: String = row.get(1)?;
    let kind: Option<String> = row.get(2)?;
    Ok(Finding {
        code: Code::parse(&code).ok_or_else(|| malformed(code))?,
        severity: if severity == Severity::Error.as_str() {
            Severity::Error
        } else {
            Severity::Warning
        },
        kind: kind.as_deref().and_then(Kind::of_element),
        record: row.get::<i64>(3)?.unsigned_abs(),
        external_id: row.get(4)?,
        field: row.get(5)?,
        line: row.get::<i64>(6)?.unsigned_abs(),
        detail: row.get(7)?,
    })
}
