//! The history: one entry for each applied record that changed something.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::args;
use crate::model::ids::SupplierId;
use crate::model::kind::Kind;
use crate::storage::db::{DbError, Tx};
use crate::storage::input::{Column, Input};
use crate::storage::registry::probe;

/// Name under which the history keeps the closing of a row; not a field of any kind.
pub const CLOSED_AT: &str = "closed_at";

/// Whose package an entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Who said so.
    pub supplier: SupplierId,
    /// In which package.
    pub package_no: i64,
    /// When the supplier read its data.
    pub as_of: DateTime<Utc>,
}

impl Stamp {
    /// Said by the federal segment rather than in a package: both numbers are 0, which no supplier
    /// and no package has.
    pub fn federal(as_of: DateTime<Utc>) -> Self {
        Self { supplier: SupplierId(0), package_no: 0, as_of }
    }
}

/// What decides which of two entries is newer.
pub type Key = (DateTime<Utc>, i64, i64);

/// One entry to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Registry id.
    pub entity_id: i64,
    /// Number of the record in the package.
    pub record: i64,
    /// JSON object: column to new value, null where cleared.
    pub fields: String,
}

/// The table that keeps the history of a kind.
pub fn table(kind: Kind) -> &'static str {
    match kind {
        Kind::Mark | Kind::FinalMark | Kind::Absence => "performance_change",
        _ => "change_log",
    }
}

/// Writes entries; `first_id` is the first of as many ids.
///
/// # Errors
/// Any [`DbError`].
pub async fn append(
    tx: &mut Tx,
    kind: Kind,
    stamp: &Stamp,
    first_id: i64,
    changes: Vec<Change>,
) -> Result<(), DbError> {
    if changes.is_empty() {
        return Ok(());
    }
    let ids = (first_id..).take(changes.len()).map(Some).collect();
    let entities = changes.iter().map(|change| Some(change.entity_id)).collect();
    let records = changes.iter().map(|change| Some(change.record)).collect();
    let fields = changes.into_iter().map(|change| Some(change.fields)).collect();
    let input = Input::new()
        .column("id", Column::Int(ids))
        .column("entity_id", Column::Int(entities))
        .column("record", Column::Int(records))
        .column("fields", Column::Text(fields));
    let table = table(kind);
    let (number, fields, now) = if tx.is_postgres() {
        (NUMBER, "fields::json", "now()")
    } else {
        (after_all(table), "fields", "strftime('%Y-%m-%dT%H:%M:%f+00:00','now')")
    };
    let sql = format!(
        "WITH {{input}} INSERT INTO {table} \
         (id,tx,kind,entity_id,supplier_id,package_no,record,as_of,fields,at) \
         SELECT id,{number},$1,entity_id,$2,$3,record,$4,{fields},{now} FROM input"
    );
    let args = args![kind.element(), stamp.supplier.0, stamp.package_no, stamp.as_of];
    tx.execute_input(&sql, input, args).await.map(|_| ())
}

/// The number of the transaction that writes an entry, on PostgreSQL.
const NUMBER: &str = "pg_current_xact_id()::text::bigint + (SELECT ahead FROM change_shift)";

/// What is true of entries before which nothing can still appear, on PostgreSQL: their transactions
/// are older than every one that still runs.
pub const SETTLED: &str = "tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint \
    + (SELECT ahead FROM change_shift)";

/// Lets what is written from now on follow the entries that are there. After a copy of the database was
/// restored into another cluster, whose transactions have smaller numbers, entries would else be hidden
/// until it had as many, and new ones come before them.
///
/// # Errors
/// Any [`DbError`].
pub async fn follow_on(tx: &mut Tx) -> Result<(), DbError> {
    if !tx.is_postgres() {
        return Ok(());
    }
    let sql = "UPDATE change_shift \
        SET ahead = last + 1 - pg_snapshot_xmin(pg_current_snapshot())::text::bigint \
        FROM (SELECT max(tx) AS last FROM change_log) log \
        WHERE last >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint + ahead";
    if tx.execute(sql, vec![]).await? > 0 {
        tracing::warn!(
            "the database was restored from a copy: the log of changes goes on behind it"
        );
    }
    Ok(())
}

/// On SQLite, a number greater than that of every committed entry: there is one writer, so the
/// log can be read in the order of these numbers without missing any. Only the log has readers.
fn after_all(table: &str) -> &'static str {
    match table {
        "change_log" => "(SELECT coalesce(max(tx),0)+1 FROM change_log)",
        _ => "0",
    }
}

/// For each of these entities and each column ever mentioned, the key of the newest entry.
///
/// # Errors
/// Any [`DbError`].
pub async fn newest(
    tx: &mut Tx,
    kind: Kind,
    ids: Vec<Option<i64>>,
) -> Result<HashMap<i64, HashMap<String, Key>>, DbError> {
    let input = Input::new().column("id", Column::Int(ids));
    let sql = format!(
        "WITH {{input}} SELECT c.entity_id,c.as_of,c.package_no,c.record,c.fields \
         FROM input i {}",
        probe(tx.is_postgres(), table(kind), "c", "c.entity_id=i.id")
    );
    let mut found: HashMap<i64, HashMap<String, Key>> = HashMap::new();
    for row in tx.query_input(&sql, input, vec![]).await? {
        let key: Key = (row.get(1)?, row.get(2)?, row.get(3)?);
        let columns = found.entry(row.get(0)?).or_default();
        let fields: serde_json::Value = row.get(4)?;
        for (column, _) in fields.as_object().into_iter().flatten() {
            let newest = columns.entry(column.clone()).or_insert(key);
            *newest = key.max(*newest);
        }
    }
    Ok(found)
}
