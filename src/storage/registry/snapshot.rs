//! Full packages: which open rows of a supplier lie in their scope, and closing them.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, Utc};

use crate::args;
use crate::model::ids::SupplierId;
use crate::model::kind::Kind;
use crate::model::spec::KindSpec;
use crate::storage::db::{DbError, Tx};
use crate::storage::input::{Column, Input};
use crate::storage::registry::change::Stamp;
use crate::storage::registry::probe;

/// What a full package speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Whose, and when.
    pub stamp: Stamp,
    /// Registry id of the organisation, when it speaks of one only.
    pub organisation: Option<i64>,
    /// School year it speaks of, for classes and memberships.
    pub school_year: Option<String>,
}

/// An open row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Registry id.
    pub id: i64,
    /// The supplier's id of it.
    pub external_id: String,
    /// Its end date, for kinds that have one.
    pub to_date: Option<NaiveDate>,
}

/// The next open rows of a kind in the extent of a package, by external id after `after`.
/// Rows that something newer has set are not among them, nor those last set by a package of
/// another type, for which this one does not speak.
///
/// # Errors
/// Any [`DbError`].
pub async fn open(
    tx: &mut Tx,
    spec: &KindSpec,
    extent: &Extent,
    after: &str,
    limit: i64,
) -> Result<Vec<Open>, DbError> {
    let ends = spec.column("to_date").is_some();
    let mut sql = format!(
        "SELECT t.id,t.external_id,{} FROM {} t WHERE t.supplier_id=$1 AND t.external_id>$2 \
         AND t.closed_at IS NULL AND t.as_of<=$3",
        if ends {
            "t.to_date"
        } else if tx.is_postgres() {
            "NULL::date"
        } else {
            "NULL"
        },
        spec.table
    );
    let stamp = &extent.stamp;
    let mut args = args![stamp.supplier.0, after, stamp.as_of, limit, stamp.as_of.date_naive()];
    if ends {
        sql.push_str(" AND (t.to_date IS NULL OR t.to_date>$5)");
    } else if tx.is_postgres() {
        sql.push_str(" AND $5::date IS NOT NULL");
    }
    // Of packages read at the same instant the later one is newer.
    args.push(stamp.package_no.into());
    write!(sql, " AND (t.as_of<$3 OR t.package_no<=${})", args.len()).unwrap_or_default();
    // A list of learners says nothing of the documents that a list of staff has brought.
    write!(
        sql,
        " AND EXISTS (SELECT 1 FROM package p, package q WHERE p.no=t.package_no AND q.no=${} \
         AND p.package_type=q.package_type)",
        args.len()
    )
    .unwrap_or_default();
    if let Some(organisation) = extent.organisation {
        args.push(organisation.into());
        sql.push_str(&within(spec, args.len()));
    }
    if let (Some(year), Some(_)) = (&extent.school_year, spec.column("school_year")) {
        args.push(year.as_str().into());
        write!(sql, " AND t.school_year=${}", args.len()).unwrap_or_default();
    }
    sql.push_str(" ORDER BY t.external_id LIMIT $4");
    let rows = tx.query(&sql, args).await?;
    rows.iter()
        .map(|row| Ok(Open { id: row.get(0)?, external_id: row.get(1)?, to_date: row.get(2)? }))
        .collect()
}

/// Number of a supplier's rows that are not deleted, counted up to `most`; for kinds that have
/// the column `deleted`.
///
/// # Errors
/// Any [`DbError`].
pub async fn count_living(
    tx: &mut Tx,
    spec: &KindSpec,
    supplier: SupplierId,
    most: u64,
) -> Result<u64, DbError> {
    let sql = format!(
        "SELECT count(*) FROM (SELECT 1 FROM {} WHERE supplier_id=$1 \
         AND deleted IS DISTINCT FROM $3 LIMIT $2) AS living",
        spec.table
    );
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let row = tx.query_one(&sql, args![supplier.0, most, true]).await?;
    let count: i64 = row.map_or(Ok(0), |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Condition that a row belongs to the organisation, directly or through its person.
fn within(spec: &KindSpec, parameter: usize) -> String {
    if spec.column("organisation_id").is_some() {
        return format!(" AND t.organisation_id=${parameter}");
    }
    let person = if spec.kind == Kind::Kinship { "child_id" } else { "person_id" };
    format!(
        " AND t.{person} IN (SELECT m.person_id FROM membership m WHERE m.supplier_id=$1 \
         AND m.organisation_id=${parameter} UNION SELECT e.person_id FROM employment e \
         WHERE e.supplier_id=$1 AND e.organisation_id=${parameter})"
    )
}

/// Closes rows; those that end get the day of the snapshot as their end.
///
/// # Errors
/// Any [`DbError`].
pub async fn close(
    tx: &mut Tx,
    spec: &KindSpec,
    extent: &Extent,
    ids: Vec<i64>,
) -> Result<(), DbError> {
    let stamp = &extent.stamp;
    let mut args = args![stamp.as_of, stamp.package_no];
    let mut end = String::new();
    if spec.column("to_date").is_some() {
        args.push(stamp.as_of.date_naive().into());
        let date = if tx.is_postgres() { "::date" } else { "" };
        end = format!(",to_date=$3{date}");
    }
    let sql = format!(
        "WITH {{input}} UPDATE {} AS t SET closed_at=$1,as_of=$1,package_no=$2,\
         version=t.version+1{end} FROM input i WHERE t.id=i.id AND t.closed_at IS NULL",
        spec.table
    );
    let input = Input::new().column("id", Column::Int(ids.into_iter().map(Some).collect()));
    tx.execute_input(&sql, input, args).await.map(|_| ())
}

/// Registry id of the organisation that the supplier calls so.
///
/// # Errors
/// Any [`DbError`].
pub async fn organisation(
    tx: &mut Tx,
    stamp: &Stamp,
    external_id: &str,
) -> Result<Option<i64>, DbError> {
    let sql = "SELECT entity_id FROM registration WHERE supplier_id=$1 AND kind=$2 \
        AND external_id=$3";
    let args = args![stamp.supplier.0, Kind::Organisation.element(), external_id];
    tx.query_one(sql, args).await?.map(|row| row.get(0)).transpose()
}

/// Pairs of memberships of one person that overlap, among them these: in one organisation by
/// one supplier, or in two schools at once. Returns those of the input that do.
///
/// # Errors
/// Any [`DbError`].
pub async fn overlapping(tx: &mut Tx, ids: Vec<i64>) -> Result<Vec<i64>, DbError> {
    let input = Input::new().column("id", Column::Int(ids.into_iter().map(Some).collect()));
    let probe = |table: &str, alias: &str, on: &str| probe(tx.is_postgres(), table, alias, on);
    let sql = format!(
        "WITH {{input}} SELECT DISTINCT a.id FROM input i {} {} {} {} \
         WHERE b.id<>a.id AND b.closed_at IS NULL \
         AND (a.to_date IS NULL OR b.from_date<=a.to_date) \
         AND (b.to_date IS NULL OR b.to_date>=a.from_date) \
         AND ((a.organisation_id=b.organisation_id AND a.supplier_id=b.supplier_id) \
         OR (a.organisation_id<>b.organisation_id AND oa.organisation_type='12' \
         AND ob.organisation_type='12'))",
        probe("membership", "a", "a.id=i.id"),
        probe("membership", "b", "b.person_id=a.person_id"),
        probe("organisation", "oa", "oa.id=a.organisation_id"),
        probe("organisation", "ob", "ob.id=b.organisation_id"),
    );
    let rows = tx.query_input(&sql, input, vec![]).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// The instant as the history writes it.
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}
