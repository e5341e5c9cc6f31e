//! What a supplier's ids mean: registrations, and references from record to record.

use chrono::NaiveDate;

use crate::args;
use crate::model::ids::SupplierId;
use crate::model::kind::Kind;
use crate::storage::db::{DbError, Tx};
use crate::storage::input::{Column, Input};
use crate::storage::registry::{probe, statement};

/// A record that another one refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Registry id.
    pub id: i64,
    /// Birth date of a person.
    pub born: Option<NaiveDate>,
    /// Organisation of a class.
    pub organisation: Option<i64>,
    /// Parallel of a class.
    pub parallel: Option<i64>,
}

/// Finds the records of a kind that a supplier calls so; those it never sent are left out.
///
/// # Errors
/// Any [`DbError`].
pub async fn find(
    tx: &mut Tx,
    kind: Kind,
    table: &str,
    supplier: SupplierId,
    external_ids: Vec<Option<String>>,
) -> Result<Vec<(String, Known)>, DbError> {
    let input = names(kind, supplier, external_ids);
    let (born, organisation, parallel) = match kind {
        Kind::Person => ("t.birth_date", "NULL", "NULL"),
        Kind::ClassGroup => ("NULL", "t.organisation_id", "t.parallel"),
        _ => ("NULL", "NULL", "NULL"),
    };
    let date = if tx.is_postgres() { "::date" } else { "" };
    let number = if tx.is_postgres() { "::bigint" } else { "" };
    let postgres = tx.is_postgres();
    let join = if kind.is_matched() {
        let registration = probe(postgres, "registration", "r", statement::REGISTERED);
        format!("{registration} {}", probe(postgres, table, "t", "t.id=r.entity_id"))
    } else {
        probe(postgres, table, "t", statement::OWNED)
    };
    let sql = format!(
        "WITH {{input}} SELECT i.external_id,t.id,{born}{date},{organisation}{number},\
         {parallel}{number} FROM input i {join}"
    );
    let rows = tx.query_input(&sql, input, vec![]).await?;
    rows.iter()
        .map(|row| {
            let known = Known {
                id: row.get(1)?,
                born: row.get(2)?,
                organisation: row.get(3)?,
                parallel: row.get(4)?,
            };
            Ok((row.get(0)?, known))
        })
        .collect()
}

/// Binds a supplier's ids to registry entities; a changed one notes the package.
///
/// # Errors
/// [`DbError::Duplicate`] when another transaction bound one of them first.
pub async fn register(
    tx: &mut Tx,
    kind: Kind,
    supplier: SupplierId,
    package_no: i64,
    bound: Vec<(String, i64)>,
) -> Result<(), DbError> {
    let (names, ids): (Vec<_>, Vec<_>) =
        bound.into_iter().map(|(name, id)| (Some(name), Some(id))).unzip();
    let input = Input::new()
        .column("external_id", Column::Text(names))
        .column("entity_id", Column::Int(ids));
    let sql = "WITH {input} INSERT INTO registration \
        (supplier_id,kind,external_id,entity_id,first_package,last_package) \
        SELECT $1,$2,external_id,entity_id,$3,$3 FROM input";
    let args = args![supplier.0, kind.element(), package_no];
    tx.execute_input(sql, input, args).await.map(|_| ())
}

/// Notes the package that changed entities under these names.
///
/// # Errors
/// Any [`DbError`].
pub async fn note_change(
    tx: &mut Tx,
    kind: Kind,
    supplier: SupplierId,
    package_no: i64,
    mut touched: Vec<String>,
) -> Result<(), DbError> {
    touched.sort_unstable();
    let input = names(kind, supplier, touched.into_iter().map(Some).collect());
    let sql = "WITH {input} UPDATE registration AS r SET last_package=$1 FROM input i \
        WHERE r.supplier_id=i.supplier_id AND r.kind=i.kind AND r.external_id=i.external_id \
        AND r.last_package<$1";
    tx.execute_input(sql, input, args![package_no]).await.map(|_| ())
}

/// Input of what one supplier calls records of one kind: `external_id`, `supplier_id`, `kind`.
pub(super) fn names(kind: Kind, supplier: SupplierId, external_ids: Vec<Option<String>>) -> Input {
    let count = external_ids.len();
    Input::new()
        .column("external_id", Column::Text(external_ids))
        .column("supplier_id", Column::Int(vec![Some(supplier.0); count]))
        .column("kind", Column::Text(vec![Some(kind.element().to_owned()); count]))
}
