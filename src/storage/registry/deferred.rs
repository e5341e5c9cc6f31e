//! Records that wait for the record they refer to.

use chrono::{DateTime, Utc};

use crate::args;
use crate::model::ids::{PackageNo, SupplierId};
use crate::model::kind::Kind;
use crate::model::package::Fate;
use crate::storage::db::{Db, DbError, Tx};
use crate::storage::input::{Column, Input};
use crate::storage::registry::change::Stamp;
use crate::storage::registry::probe;
use crate::storage::registry::reference::names;

/// How long a record waits, in seconds.
const PATIENCE: u64 = 7 * 24 * 3600;

/// A record to park.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Number of the row.
    pub id: i64,
    /// Number of the record in its package.
    pub record: i64,
    /// The supplier's id of it.
    pub external_id: String,
    /// The judged record.
    pub draft: String,
    /// Kind of the missing reference.
    pub missing_kind: Kind,
    /// The supplier's id of it.
    pub missing: String,
}

/// A parked record whose reference has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Number of the row.
    pub id: i64,
    /// Package it came in.
    pub package_no: i64,
    /// When its supplier read the data.
    pub as_of: DateTime<Utc>,
    /// Its kind.
    pub kind: Kind,
    /// The judged record.
    pub draft: serde_json::Value,
}

/// Whether any record of the supplier waits.
///
/// # Errors
/// Any [`DbError`].
pub async fn any(db: &Db, supplier: SupplierId) -> Result<bool, DbError> {
    let sql = "SELECT 1 FROM deferred_record WHERE supplier_id = $1 AND applied_package IS NULL \
        LIMIT 1";
    Ok(db.query_one(sql, args![supplier.0]).await?.is_some())
}

/// What became of the records of this package that had to wait.
///
/// # Errors
/// Any [`DbError`].
pub async fn fate(db: &Db, package: PackageNo) -> Result<Fate, DbError> {
    let now = db.now_sql();
    let sql = format!(
        "SELECT count(*) FILTER (WHERE applied_package IS NULL AND expires_at > {now}), \
        count(*) FILTER (WHERE applied_package IS NOT NULL), \
        count(*) FILTER (WHERE applied_package IS NULL AND expires_at <= {now}) \
        FROM deferred_record WHERE package_no = $1"
    );
    let Some(row) = db.query_one(&sql, args![package.0]).await? else {
        return Ok(Fate::default());
    };
    let count = |column| row.get::<i64>(column).map(i64::unsigned_abs);
    Ok(Fate { waiting: count(0)?, applied: count(1)?, expired: count(2)? })
}

/// Parks records of one kind; one parked before waits for the reference named now.
///
/// # Errors
/// Any [`DbError`].
pub async fn park(
    tx: &mut Tx,
    kind: Kind,
    stamp: &Stamp,
    parked: Vec<Parked>,
) -> Result<(), DbError> {
    let texts = |of: fn(&Parked) -> String| {
        Column::Text(parked.iter().map(|parked| Some(of(parked))).collect())
    };
    let input = Input::new()
        .column("id", Column::Int(parked.iter().map(|parked| Some(parked.id)).collect()))
        .column("record", Column::Int(parked.iter().map(|parked| Some(parked.record)).collect()))
        .column("external_id", texts(|parked| parked.external_id.clone()))
        .column("draft", texts(|parked| parked.draft.clone()))
        .column("missing_kind", texts(|parked| parked.missing_kind.element().to_owned()))
        .column("missing", texts(|parked| parked.missing.clone()));
    let json = if tx.is_postgres() { "::jsonb" } else { "" };
    let (now, until) = clock(tx);
    let sql = format!(
        "WITH {{input}} INSERT INTO deferred_record (id,supplier_id,package_no,record,as_of,kind,\
         external_id,draft,missing_kind,missing_external_id,parked_at,expires_at) \
         SELECT id,$1,$2,record,$3,$4,external_id,draft{json},missing_kind,missing,{now},{until} \
         FROM input WHERE true ON CONFLICT (package_no,record) DO UPDATE \
         SET missing_kind=excluded.missing_kind,missing_external_id=excluded.missing_external_id"
    );
    let args = args![stamp.supplier.0, stamp.package_no, stamp.as_of, kind.element()];
    tx.execute_input(&sql, input, args).await.map(|_| ())
}

fn clock(tx: &Tx) -> (&'static str, String) {
    if tx.is_postgres() {
        ("now()", format!("now() + make_interval(secs => {PATIENCE})"))
    } else {
        (
            "strftime('%Y-%m-%dT%H:%M:%f+00:00','now')",
            format!("strftime('%Y-%m-%dT%H:%M:%f+00:00','now','+{PATIENCE} seconds')"),
        )
    }
}

/// Parked records of the supplier that wait for any of these.
///
/// # Errors
/// Any [`DbError`].
pub async fn due(
    tx: &mut Tx,
    supplier: SupplierId,
    kind: Kind,
    external_ids: Vec<Option<String>>,
) -> Result<Vec<Due>, DbError> {
    let (now, _) = clock(tx);
    let sql = format!(
        "WITH {{input}} SELECT d.id,d.package_no,d.as_of,d.kind,d.draft FROM input i {} \
         WHERE d.applied_package IS NULL AND d.expires_at>{now} ORDER BY d.id",
        probe(
            tx.is_postgres(),
            "deferred_record",
            "d",
            "d.supplier_id=i.supplier_id AND d.missing_kind=i.kind \
             AND d.missing_external_id=i.external_id AND d.applied_package IS NULL"
        )
    );
    let input = names(kind, supplier, external_ids);
    let rows = tx.query_input(&sql, input, vec![]).await?;
    let mut found = Vec::new();
    for row in rows {
        let name: String = row.get(3)?;
        let Some(kind) = Kind::of_element(&name) else { continue };
        found.push(Due {
            id: row.get(0)?,
            package_no: row.get(1)?,
            as_of: row.get(2)?,
            kind,
            draft: row.get(4)?,
        });
    }
    Ok(found)
}

/// Notes that parked records were applied thanks to this package.
///
/// # Errors
/// Any [`DbError`].
pub async fn applied(tx: &mut Tx, package_no: i64, ids: Vec<i64>) -> Result<(), DbError> {
    let input = Input::new().column("id", Column::Int(ids.into_iter().map(Some).collect()));
    let sql = "WITH {input} UPDATE deferred_record AS d SET applied_package=$1 FROM input i \
        WHERE d.id=i.id";
    tx.execute_input(sql, input, args![package_no]).await.map(|_| ())
}
