//! Writing packages that have just been examined: many in one transaction.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::args;
use crate::model::ids::{AttemptId, PackageNo, SupplierId};
use crate::model::package::Header;
use crate::storage::content::Content;
use crate::storage::db::{DbError, Tx};
use crate::storage::input::{Column, Input};
use crate::storage::journal::signed;

/// A package about to become durable.
#[derive(Debug)]
pub struct NewPackage {
    /// The number it will have.
    pub no: PackageNo,
    /// Its first attempt.
    pub attempt: AttemptId,
    /// Who signed it.
    pub supplier: SupplierId,
    /// Doorbell partition of the supplier.
    pub partition: u16,
    /// What its header says.
    pub header: Header,
    /// Number of records in it.
    pub records: u64,
    /// The document.
    pub content: Content,
    /// Certificate that signed it, lower-case hex of SHA-256.
    pub signer_sha256: String,
    /// Whether it was known that the certificate had not been revoked.
    pub revocation_known: bool,
    /// Network address it came from.
    pub peer: String,
    /// When it was examined.
    pub received_at: DateTime<Utc>,
    /// The signed first receipt, compressed.
    pub receipt: Vec<u8>,
}

/// What is stored under the id of a package that was not new.
#[derive(Clone, Debug)]
pub struct Known {
    /// Number it has.
    pub no: PackageNo,
    /// SHA-256 of its document.
    pub sha256: Vec<u8>,
    /// The first receipt, compressed.
    pub receipt: Vec<u8>,
}

/// Writes packages, without their frames; answers which ones were new, in the order given.
/// Sort them by supplier and package id: two transactions with the same pair must not
/// wait for each other.
///
/// # Errors
/// Any [`DbError`].
pub async fn insert_packages(tx: &mut Tx, packages: &[&NewPackage]) -> Result<Vec<bool>, DbError> {
    let int = |read: fn(&NewPackage) -> i64| ints(packages, |package| Some(read(package)));
    let text = |read: fn(&NewPackage) -> String| texts(packages, |package| Some(read(package)));
    let instants = |read: fn(&NewPackage) -> DateTime<Utc>| {
        Column::Instant(packages.iter().map(|package| Some(read(package))).collect())
    };
    let headers: Vec<Option<String>> =
        packages.iter().map(|package| serde_json::to_string(&package.header).ok()).collect();
    let input = Input::new()
        .column("no", int(|p| p.no.0))
        .column("supplier_id", int(|p| p.supplier.0))
        .column("package_id", uuids(packages))
        .column("sha256", hashes(packages))
        .column("content_bytes", int(|p| signed(p.content.bytes)))
        .column("parts", int(|p| i64::try_from(p.content.frames.count()).unwrap_or(i64::MAX)))
        .column("records", int(|p| signed(p.records)))
        .column("package_type", text(|p| p.header.package_type.clone()))
        .column("mode", text(|p| p.header.mode.as_str().to_owned()))
        .column("scope", text(|p| p.header.scope.to_text()))
        .column("sequence", ints(packages, |p| p.header.sequence.map(signed)))
        .column("previous_sequence", ints(packages, |p| p.header.previous_sequence.map(signed)))
        .column("snapshot_at", instants(|p| p.header.snapshot_at))
        .column("test", Column::Flag(packages.iter().map(|p| Some(p.header.test)).collect()))
        .column("header", Column::Text(headers))
        .column("signer_sha256", text(|p| p.signer_sha256.clone()))
        .column("revocation", text(|p| revocation(p.revocation_known)))
        .column("peer", text(|p| p.peer.clone()))
        .column("received_at", instants(|p| p.received_at));
    let columns = "no, supplier_id, package_id, sha256, content_bytes, parts, records, \
        package_type, mode, scope, sequence, previous_sequence, snapshot_at, test, header, \
        signer_sha256, revocation, peer, received_at";
    let sql = format!(
        "WITH {{input}} INSERT INTO package ({columns}, state, state_at) \
        SELECT {columns}, 'received', {} FROM input WHERE true \
        ON CONFLICT (supplier_id, package_id) DO NOTHING RETURNING no",
        tx.now_sql()
    );
    let rows = tx.query_input(&sql, input, vec![]).await?;
    let new = rows.iter().map(|row| row.get(0)).collect::<Result<Vec<i64>, _>>()?;
    Ok(packages.iter().map(|package| new.contains(&package.no.0)).collect())
}

fn revocation(known: bool) -> String {
    if known { "known" } else { "unknown" }.to_owned()
}

/// Writes what comes with new packages: first attempts, rings, and first receipts.
/// The sweep rings again after `patience`.
///
/// # Errors
/// Any [`DbError`].
pub async fn insert_attempts(
    tx: &mut Tx,
    packages: &[&NewPackage],
    patience: Duration,
) -> Result<(), DbError> {
    let attempts = ints(packages, |p| Some(p.attempt.0));
    let numbers = ints(packages, |p| Some(p.no.0));
    let instants = Column::Instant(packages.iter().map(|p| Some(p.received_at)).collect());
    let input = Input::new()
        .column("id", attempts)
        .column("package_no", numbers.clone())
        .column("part", ints(packages, |p| Some(i64::from(p.partition))))
        .column("at", instants.clone());
    let sql = format!(
        "WITH {{input}} INSERT INTO attempt \
        (id, package_no, number, approved, part, requested_at, tries, due_at, records_done, findings) \
        SELECT id, package_no, 1, false, part, at, 0, {}, 0, 0 FROM input",
        tx.after_sql(patience.as_secs())
    );
    tx.execute_input(&sql, input.clone(), vec![]).await?;
    let sql = format!(
        "WITH {{input}} INSERT INTO outbox (attempt_id, package_no, part, created_at) \
        SELECT id, package_no, part, {} FROM input",
        tx.now_sql()
    );
    tx.execute_input(&sql, input, vec![]).await?;
    let receipts = packages.iter().map(|p| Some(p.receipt.clone())).collect();
    let input = Input::new()
        .column("package_no", numbers)
        .column("xml", Column::Bytes(receipts))
        .column("at", instants);
    let sql = "WITH {input} INSERT INTO receipt (package_no, attempt_id, xml, created_at) \
        SELECT package_no, 0, xml, at FROM input";
    tx.execute_input(sql, input, vec![]).await.map(|_| ())
}

/// Writes frames, each with the number of its package and its place.
///
/// # Errors
/// Any [`DbError`].
pub async fn insert_frames(
    tx: &mut Tx,
    frames: Vec<(PackageNo, u64, Vec<u8>)>,
) -> Result<(), DbError> {
    let (mut numbers, mut places, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for (number, place, frame) in frames {
        numbers.push(Some(number.0));
        places.push(Some(signed(place)));
        bytes.push(Some(frame));
    }
    let input = Input::new()
        .column("package_no", Column::Int(numbers))
        .column("part", Column::Int(places))
        .column("bytes", Column::Bytes(bytes));
    let sql = "WITH {input} INSERT INTO content (package_no, part, bytes) \
        SELECT package_no, part, bytes FROM input";
    tx.execute_input(sql, input, vec![]).await.map(|_| ())
}

/// What is stored under these pairs of supplier and package id.
///
/// # Errors
/// Any [`DbError`].
pub async fn known(
    tx: &mut Tx,
    pairs: &[(SupplierId, Uuid)],
) -> Result<HashMap<(SupplierId, Uuid), Known>, DbError> {
    let input = Input::new()
        .column("supplier_id", Column::Int(pairs.iter().map(|(s, _)| Some(s.0)).collect()))
        .column("package_id", Column::Uuid(pairs.iter().map(|(_, id)| Some(*id)).collect()));
    let sql = "WITH {input} SELECT p.supplier_id, p.package_id, p.no, p.sha256, r.xml FROM input i \
        JOIN package p ON p.supplier_id = i.supplier_id AND p.package_id = i.package_id \
        JOIN receipt r ON r.package_no = p.no AND r.attempt_id = 0";
    let mut found = HashMap::new();
    for row in tx.query_input(sql, input, vec![]).await? {
        let known = Known { no: PackageNo(row.get(2)?), sha256: row.get(3)?, receipt: row.get(4)? };
        found.insert((SupplierId(row.get(0)?), row.get(1)?), known);
    }
    Ok(found)
}

fn ints(packages: &[&NewPackage], read: impl Fn(&NewPackage) -> Option<i64>) -> Column {
    Column::Int(packages.iter().map(|package| read(package)).collect())
}

fn texts(packages: &[&NewPackage], read: impl Fn(&NewPackage) -> Option<String>) -> Column {
    Column::Text(packages.iter().map(|package| read(package)).collect())
}

fn uuids(packages: &[&NewPackage]) -> Column {
    Column::Uuid(packages.iter().map(|package| Some(package.header.package_id.0)).collect())
}

fn hashes(packages: &[&NewPackage]) -> Column {
    Column::Bytes(packages.iter().map(|package| Some(package.content.sha256.to_vec())).collect())
}

/// Reads one package's frames `from..`, at most `limit`.
///
/// # Errors
/// Any [`DbError`].
pub async fn frames(
    db: &crate::storage::db::Db,
    package: PackageNo,
    from: u64,
    limit: u64,
) -> Result<Vec<Vec<u8>>, DbError> {
    let sql = "SELECT bytes FROM content WHERE package_no = $1 AND part >= $2 AND part < $3 \
        ORDER BY part";
    let rows = db.query(sql, args![package.0, signed(from), signed(from + limit)]).await?;
    rows.iter().map(|row| row.get(0)).collect()
}
