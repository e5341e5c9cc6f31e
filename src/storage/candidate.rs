//! Certificates that wait for an operator: they signed for a supplier and are not registered for it.

use chrono::{DateTime, Utc};

use crate::args;
use crate::storage::db::{Db, DbError, Row, Tx};
use crate::storage::supplier::Certificate;

/// Most candidates of a supplier: whoever has certificates of a trusted authority could send any number.
const MOST: i64 = 20;

/// A certificate that waits.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Mnemonic of the supplier it signed for.
    pub supplier: String,
    /// The certificate.
    pub certificate: Certificate,
    /// When it first signed a refused package.
    pub first_seen: DateTime<Utc>,
    /// When it last did.
    pub last_seen: DateTime<Utc>,
    /// How many it signed.
    pub packages: i64,
}

/// Notes that a certificate signed for the supplier of this mnemonic. One that was registered once and
/// has been withdrawn does not wait: it comes back by its file only.
///
/// # Errors
/// Any [`DbError`].
pub async fn note(
    tx: &mut Tx,
    mnemonic: &str,
    certificate: &Certificate,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let again = "UPDATE certificate_candidate SET last_seen_at = $2, packages = packages + 1 \
        WHERE sha256 = $1";
    if tx.execute(again, args![certificate.sha256.as_str(), at]).await? > 0 {
        return Ok(());
    }
    // The one that was not seen for longest makes room.
    let full = "DELETE FROM certificate_candidate WHERE sha256 = (\
        SELECT sha256 FROM certificate_candidate WHERE supplier_id = \
        (SELECT id FROM supplier WHERE mnemonic = $1) ORDER BY last_seen_at DESC, sha256 \
        LIMIT 1 OFFSET $2)";
    tx.execute(full, args![mnemonic, MOST - 1]).await?;
    let sql = "INSERT INTO certificate_candidate (sha256, supplier_id, der, subject, not_before, \
        not_after, first_seen_at, last_seen_at, packages) \
        SELECT $2, id, $3, $4, $5, $6, $7, $7, 1 FROM supplier WHERE mnemonic = $1 \
        AND NOT EXISTS (SELECT 1 FROM supplier_certificate c WHERE c.sha256 = $2)";
    let values = args![
        mnemonic,
        certificate.sha256.as_str(),
        certificate.der.clone(),
        certificate.subject.as_str(),
        certificate.not_before,
        certificate.not_after,
        at,
    ];
    tx.execute(sql, values).await.map(|_| ())
}

/// All that wait, by supplier, the last seen first.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(db: &Db) -> Result<Vec<Candidate>, DbError> {
    let sql = "SELECT s.mnemonic, c.sha256, c.der, c.subject, c.not_before, c.not_after, \
        c.first_seen_at, c.last_seen_at, c.packages FROM certificate_candidate c \
        JOIN supplier s ON s.id = c.supplier_id ORDER BY s.mnemonic, c.last_seen_at DESC, c.sha256";
    db.query(sql, vec![]).await?.iter().map(read).collect()
}

/// The one of this hash, which waits no longer.
///
/// # Errors
/// Any [`DbError`].
pub async fn take(tx: &mut Tx, sha256: &str) -> Result<Option<Candidate>, DbError> {
    let sql = "SELECT s.mnemonic, c.sha256, c.der, c.subject, c.not_before, c.not_after, \
        c.first_seen_at, c.last_seen_at, c.packages FROM certificate_candidate c \
        JOIN supplier s ON s.id = c.supplier_id WHERE c.sha256 = $1";
    let found = tx.query_one(sql, args![sha256]).await?.as_ref().map(read).transpose()?;
    tx.execute("DELETE FROM certificate_candidate WHERE sha256 = $1", args![sha256]).await?;
    Ok(found)
}

fn read(row: &Row) -> Result<Candidate, DbError> {
    Ok(Candidate {
        supplier: row.get(0)?,
        certificate: Certificate {
            sha256: row.get(1)?,
            der: row.get(2)?,
            subject: row.get(3)?,
            not_before: row.get(4)?,
            not_after: row.get(5)?,
        },
        first_seen: row.get(6)?,
        last_seen: row.get(7)?,
        packages: row.get(8)?,
    })
}
