//! The journal: packages, their bytes, attempts, findings, receipts, and rings to be sent.
//!
//! One file a subject. All functions that change something take the transaction they belong to;
//! `exchange` opens and commits it.

pub mod accept;
pub mod attempt;
pub mod conclude;
pub mod list;
pub mod outbox;
pub mod refusal;
pub mod replay;
pub mod revocation;
pub mod sweep;
pub mod timestamp;

use chrono::{DateTime, Utc};

use crate::model::ids::{AttemptId, PackageId, PackageNo, SupplierId};
use crate::model::package::{Header, State};
use crate::storage::db::{DbError, Row};

/// An accepted package, as stored.
#[derive(Clone, Debug)]
pub struct Package {
    /// Our number.
    pub no: PackageNo,
    /// Who sent it.
    pub supplier_id: SupplierId,
    /// Its mnemonic.
    pub supplier: String,
    /// The supplier's id.
    pub package_id: PackageId,
    /// SHA-256 of the document.
    pub sha256: Vec<u8>,
    /// Length of the document.
    pub content_bytes: u64,
    /// Number of stored frames.
    pub parts: u64,
    /// Number of records.
    pub records: u64,
    /// The whole header.
    pub header: Header,
    /// When it was accepted.
    pub received_at: DateTime<Utc>,
    /// Where it is.
    pub state: State,
    /// Since when, by the database's clock.
    pub state_at: DateTime<Utc>,
    /// Why: a finding code.
    pub reason: Option<String>,
    /// Certificate that signed it, lower-case hex of SHA-256.
    pub signer_sha256: String,
    /// Network address it came from.
    pub peer: String,
    /// What is known of its certificate: `known`, `unknown` or `revoked`.
    pub revocation: String,
}

/// An attempt and the package it is for, with what a doorbell needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ringable {
    /// The package.
    pub package: PackageNo,
    /// The attempt.
    pub attempt: AttemptId,
    /// Partition of the supplier.
    pub partition: u16,
}

/// Columns that [`read_package`] reads, from `package p JOIN supplier s`.
const PACKAGE: &str = "SELECT p.no, p.supplier_id, s.mnemonic, p.package_id, p.sha256, \
    p.content_bytes, p.parts, p.records, p.header, p.received_at, p.state, p.state_at, p.reason, \
    p.signer_sha256, p.peer, p.revocation FROM package p JOIN supplier s ON s.id = p.supplier_id";

/// How many columns these are: what else a query asks for comes after them.
const PACKAGE_COLUMNS: usize = 16;

fn read_package(row: &Row) -> Result<Package, DbError> {
    let header: String = row.get(8)?;
    let state: String = row.get(10)?;
    Ok(Package {
        no: PackageNo(row.get(0)?),
        supplier_id: SupplierId(row.get(1)?),
        supplier: row.get(2)?,
        package_id: PackageId(row.get(3)?),
        sha256: row.get(4)?,
        content_bytes: row.get::<i64>(5)?.unsigned_abs(),
        parts: row.get::<i64>(6)?.unsigned_abs(),
        records: row.get::<i64>(7)?.unsigned_abs(),
        header: serde_json::from_str(&header).map_err(malformed)?,
        received_at: row.get(9)?,
        state: State::parse(&state).ok_or_else(|| malformed(state))?,
        state_at: row.get(11)?,
        reason: row.get(12)?,
        signer_sha256: row.get(13)?,
        peer: row.get(14)?,
        revocation: row.get(15)?,
    })
}

fn read_ringable(row: &Row) -> Result<Ringable, DbError> {
    let partition: i64 = row.get(2)?;
    Ok(Ringable {
        package: PackageNo(row.get(0)?),
        attempt: AttemptId(row.get(1)?),
        partition: u16::try_from(partition).map_err(malformed)?,
    })
}

/// A stored value that this version cannot read.
fn malformed(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DbError {
    DbError::Query(sqlx::Error::Decode(why.into()))
}

/// Counts as the databases keep them.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
