//! Rows of current values: read and written in batches.

use chrono::{DateTime, Utc};

use crate::args;
use crate::model::ids::SupplierId;
use crate::model::record::Value;
use crate::model::spec::{KindSpec, Storage};
use crate::storage::db::{DbError, Row, Tx};
use crate::storage::input::{Column, Input};
use crate::storage::registry::change::Stamp;
use crate::storage::registry::reference::names;
use crate::storage::registry::statement;

/// Columns before the fields in what is selected.
const FIRST_FIELD: usize = 6;

/// The current values of one registry entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// Registry id.
    pub id: i64,
    /// Grows with every change; 0 for a row not yet written.
    pub version: i64,
    /// Snapshot of the newest package that set something.
    pub as_of: DateTime<Utc>,
    /// That package.
    pub package_no: i64,
    /// When a full package no longer mentioned it.
    pub closed_at: Option<DateTime<Utc>>,
    /// The supplier's id; empty for matched kinds when read by registry id.
    pub external_id: String,
    /// One value a field of the spec.
    pub cells: Vec<Option<Value>>,
}

/// Reads the rows that a supplier calls so.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_external_ids(
    tx: &mut Tx,
    spec: &'static KindSpec,
    supplier: SupplierId,
    external_ids: Vec<Option<String>>,
) -> Result<Vec<Current>, DbError> {
    let texts = statement::of(tx, spec);
    let input = names(spec.kind, supplier, external_ids);
    let sql = if spec.kind.is_matched() { &texts.by_registration } else { &texts.by_external_id };
    let rows = tx.query_input(sql, input, vec![]).await?;
    rows.iter().map(|row| read(spec, row)).collect()
}

/// Reads rows by registry id.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_ids(
    tx: &mut Tx,
    spec: &'static KindSpec,
    ids: Vec<Option<i64>>,
) -> Result<Vec<Current>, DbError> {
    let input = Input::new().column("id", Column::Int(ids));
    let rows = tx.query_input(&statement::of(tx, spec).by_id, input, vec![]).await?;
    rows.iter().map(|row| read(spec, row)).collect()
}

fn read(spec: &KindSpec, row: &Row) -> Result<Current, DbError> {
    let mut cells = Vec::with_capacity(spec.fields.len());
    for (at, field) in spec.fields.iter().enumerate() {
        let at = at + FIRST_FIELD;
        cells.push(match field.ty.storage() {
            Storage::Text => row.get::<Option<String>>(at)?.map(Value::Text),
            Storage::Integer => row.get::<Option<i64>>(at)?.map(Value::Integer),
            Storage::Date => row.get::<Option<chrono::NaiveDate>>(at)?.map(Value::Date),
            Storage::Instant => row.get::<Option<DateTime<Utc>>>(at)?.map(Value::Instant),
            Storage::Flag => row.get::<Option<bool>>(at)?.map(Value::Flag),
        });
    }
    Ok(Current {
        external_id: row.get(0)?,
        id: row.get(1)?,
        version: row.get(2)?,
        as_of: row.get(3)?,
        package_no: row.get(4)?,
        closed_at: row.get(5)?,
        cells,
    })
}

/// Inserts new rows of one supplier's package.
///
/// # Errors
/// [`DbError::Duplicate`] when another transaction was first; any other.
pub async fn insert(
    tx: &mut Tx,
    spec: &'static KindSpec,
    stamp: &Stamp,
    rows: Vec<Current>,
) -> Result<(), DbError> {
    if rows.is_empty() {
        return Ok(());
    }
    let ids = rows.iter().map(|row| Some(row.id)).collect();
    let mut input = Input::new().column("id", Column::Int(ids));
    let mut args = args![stamp.as_of, stamp.package_no];
    let mut cells = Vec::with_capacity(rows.len());
    let mut names = Vec::with_capacity(rows.len());
    for row in rows {
        names.push(Some(row.external_id));
        cells.push(row.cells);
    }
    if !spec.kind.is_matched() {
        input = input.column("external_id", Column::Text(names));
        args.push(stamp.supplier.0.into());
    }
    let input = columns(spec, input, cells);
    tx.execute_input(&statement::of(tx, spec).insert, input, args).await.map(|_| ())
}

/// Writes changed rows back.
///
/// # Errors
/// [`DbError::Conflict`] when another transaction changed one of them since it was read.
pub async fn update(
    tx: &mut Tx,
    spec: &'static KindSpec,
    mut rows: Vec<Current>,
) -> Result<(), DbError> {
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_unstable_by_key(|row| row.id);
    let count = rows.len() as u64;
    let input = Input::new()
        .column("id", Column::Int(rows.iter().map(|row| Some(row.id)).collect()))
        .column("version", Column::Int(rows.iter().map(|row| Some(row.version)).collect()))
        .column("as_of", Column::Instant(rows.iter().map(|row| Some(row.as_of)).collect()))
        .column("package_no", Column::Int(rows.iter().map(|row| Some(row.package_no)).collect()))
        .column("closed_at", Column::Instant(rows.iter().map(|row| row.closed_at).collect()));
    let input = columns(spec, input, rows.into_iter().map(|row| row.cells).collect());
    let changed = tx.execute_input(&statement::of(tx, spec).update, input, vec![]).await?;
    if changed == count {
        return Ok(());
    }
    Err(DbError::Conflict(sqlx::Error::RowNotFound))
}

/// Adds the columns of the fields and those that follow from them.
fn columns(spec: &KindSpec, mut input: Input, mut rows: Vec<Vec<Option<Value>>>) -> Input {
    let derived: Vec<Vec<Option<Value>>> = rows.iter().map(|cells| (spec.derive)(cells)).collect();
    for (at, field) in spec.fields.iter().enumerate() {
        let cells = rows.iter_mut().map(|cells| cells[at].take());
        input = input.column(field.column, column(field.ty.storage(), cells));
    }
    let mut derived = derived;
    for (at, column_of) in spec.derived.iter().enumerate() {
        let cells = derived.iter_mut().map(|cells| cells.get_mut(at).and_then(Option::take));
        input = input.column(column_of.column, column(column_of.storage, cells));
    }
    input
}

fn column(storage: Storage, cells: impl Iterator<Item = Option<Value>>) -> Column {
    macro_rules! gather {
        ($variant:ident) => {
            cells
                .map(|cell| match cell {
                    Some(Value::$variant(value)) => Some(value),
                    _ => None,
                })
                .collect()
        };
    }
    match storage {
        Storage::Text => Column::Text(gather!(Text)),
        Storage::Integer => Column::Int(gather!(Integer)),
        Storage::Date => Column::Date(gather!(Date)),
        Storage::Instant => Column::Instant(gather!(Instant)),
        Storage::Flag => Column::Flag(gather!(Flag)),
    }
}
