//! Information systems of the federal segment and the certificates that sign for them.

use chrono::{DateTime, Utc};

use crate::args;
use crate::storage::db::{Db, DbError, Row, Tx};
use crate::storage::supplier::note_change;

/// A registered system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FederalSystem {
    /// Our number of the system.
    pub id: i64,
    /// Its mnemonic in the federal exchange.
    pub mnemonic: String,
    /// Name for people.
    pub name: String,
    /// False when an operator denied it access.
    pub active: bool,
    /// Whether its requests go before those of others.
    pub vip: bool,
    /// Whether it may ask the questions of the federal segment.
    pub asks: bool,
    /// Number of its certificates that have not been withdrawn.
    pub certificates: i64,
}

/// What an administrator says of a system.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// Its mnemonic.
    pub mnemonic: &'a str,
    /// Name for people.
    pub name: &'a str,
    /// Whether its requests go before those of others.
    pub vip: bool,
    /// Whether it may ask the questions of the federal segment.
    pub asks: bool,
}

/// A certificate that may sign for a system.
#[derive(Clone, Debug)]
pub struct SystemCertificate {
    /// Lower-case hex of SHA-256 of the DER.
    pub sha256: String,
    /// The certificate.
    pub der: Vec<u8>,
    /// Distinguished name for people.
    pub subject: String,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
}

/// Registers a system under the number `fresh`, or changes the registered one of its mnemonic.
/// Returns the number of the system.
///
/// # Errors
/// Any [`DbError`].
pub async fn save(
    tx: &mut Tx,
    fresh: i64,
    system: Described<'_>,
    at: DateTime<Utc>,
) -> Result<i64, DbError> {
    let sql = "INSERT INTO federal_system (id, mnemonic, name, status, created_at, vip, asks) \
        VALUES ($1, $2, $3, 'active', $4, $5, $6) ON CONFLICT (mnemonic) DO UPDATE \
        SET name = excluded.name, vip = excluded.vip, asks = excluded.asks RETURNING id";
    let values = args![fresh, system.mnemonic, system.name, at, system.vip, system.asks];
    let row = tx.query_one(sql, values).await?;
    note_change(tx).await?;
    row.map_or(Ok(fresh), |row| row.get(0))
}

/// The number of the system of this mnemonic.
///
/// # Errors
/// Any [`DbError`].
pub async fn of_mnemonic(tx: &mut Tx, mnemonic: &str) -> Result<Option<i64>, DbError> {
    let sql = "SELECT id FROM federal_system WHERE mnemonic = $1";
    tx.query_one(sql, args![mnemonic]).await?.map(|row| row.get(0)).transpose()
}

/// Denies a system access or lets it in again; says whether there is one.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_blocked(tx: &mut Tx, mnemonic: &str, blocked: bool) -> Result<bool, DbError> {
    let status = if blocked { "blocked" } else { "active" };
    let sql = "UPDATE federal_system SET status = $2 WHERE mnemonic = $1";
    let changed = tx.execute(sql, args![mnemonic, status]).await?;
    note_change(tx).await?;
    Ok(changed == 1)
}

/// Registers a certificate for a system. One that is registered, even if withdrawn, stays
/// with its system: says whether it now stands for `id`.
///
/// # Errors
/// Any [`DbError`].
pub async fn add_certificate(
    tx: &mut Tx,
    id: i64,
    certificate: &SystemCertificate,
    at: DateTime<Utc>,
) -> Result<bool, DbError> {
    let sql = "INSERT INTO federal_certificate (sha256, system_id, der, subject, not_before, \
        not_after, added_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
        ON CONFLICT (sha256) DO UPDATE SET withdrawn_at = NULL \
        WHERE federal_certificate.system_id = $2";
    let values = args![
        certificate.sha256.as_str(),
        id,
        certificate.der.clone(),
        certificate.subject.as_str(),
        certificate.not_before,
        certificate.not_after,
        at,
    ];
    let changed = tx.execute(sql, values).await?;
    note_change(tx).await?;
    Ok(changed == 1)
}

/// The system for which a certificate was ever registered, withdrawn or not: its mnemonic.
///
/// # Errors
/// Any [`DbError`].
pub async fn certificate_owner(tx: &mut Tx, sha256: &str) -> Result<Option<String>, DbError> {
    let sql = "SELECT s.mnemonic FROM federal_certificate c \
        JOIN federal_system s ON s.id = c.system_id WHERE c.sha256 = $1";
    tx.query_one(sql, args![sha256]).await?.map(|row| row.get(0)).transpose()
}

/// All systems, by mnemonic.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(db: &Db) -> Result<Vec<FederalSystem>, DbError> {
    let sql = format!("{SELECT} ORDER BY s.mnemonic");
    db.query(&sql, vec![]).await?.iter().map(read).collect()
}

/// Certificates in use: SHA-256 in lower-case hex, and the number of the system.
///
/// # Errors
/// Any [`DbError`].
pub async fn certificate_owners(db: &Db) -> Result<Vec<(String, i64)>, DbError> {
    let sql = "SELECT sha256, system_id FROM federal_certificate WHERE withdrawn_at IS NULL";
    let rows = db.query(sql, vec![]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

const SELECT: &str = "SELECT s.id, s.mnemonic, s.name, s.status = 'active', \
    (SELECT count(*) FROM federal_certificate c \
     WHERE c.system_id = s.id AND c.withdrawn_at IS NULL), s.vip, s.asks FROM federal_system s";

fn read(row: &Row) -> Result<FederalSystem, DbError> {
    Ok(FederalSystem {
        id: row.get(0)?,
        mnemonic: row.get(1)?,
        name: row.get(2)?,
        active: row.get(3)?,
        certificates: row.get(4)?,
        vip: row.get(5)?,
        asks: row.get(6)?,
    })
}
