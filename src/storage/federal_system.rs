//! Information systems of the federal segment and the certificates that sign for them.

use chrono::{DateTime, Utc};

use crate::args;
use crate::storage::db::{Db, DbError, Row, Tx};

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
    /// Number of its certificates that have not been withdrawn.
    pub certificates: i64,
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

/// Registers a system under the number `fresh`, or renews the name of the registered one.
/// Returns the number of the system.
///
/// # Errors
/// Any [`DbError`].
pub async fn save(
    tx: &mut Tx,
    fresh: i64,
    mnemonic: &str,
    name: &str,
    at: DateTime<Utc>,
) -> Result<i64, DbError> {
    let sql = "INSERT INTO federal_system (id, mnemonic, name, status, created_at) \
        VALUES ($1, $2, $3, 'active', $4) \
        ON CONFLICT (mnemonic) DO UPDATE SET name = excluded.name RETURNING id";
    let row = tx.query_one(sql, args![fresh, mnemonic, name, at]).await?;
    row.map_or(Ok(fresh), |row| row.get(0))
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
    Ok(tx.execute(sql, values).await? == 1)
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

/// The system for which the certificate with this hash signs.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_certificate(db: &Db, sha256: &str) -> Result<Option<FederalSystem>, DbError> {
    let sql = format!(
        "{SELECT} WHERE s.id = (SELECT system_id FROM federal_certificate \
         WHERE sha256 = $1 AND withdrawn_at IS NULL)"
    );
    db.query_one(&sql, args![sha256]).await?.as_ref().map(read).transpose()
}

const SELECT: &str = "SELECT s.id, s.mnemonic, s.name, s.status = 'active', \
    (SELECT count(*) FROM federal_certificate c \
     WHERE c.system_id = s.id AND c.withdrawn_at IS NULL) FROM federal_system s";

fn read(row: &Row) -> Result<FederalSystem, DbError> {
    Ok(FederalSystem {
        id: row.get(0)?,
        mnemonic: row.get(1)?,
        name: row.get(2)?,
        active: row.get(3)?,
        certificates: row.get(4)?,
    })
}
