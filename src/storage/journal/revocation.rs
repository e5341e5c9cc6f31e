//! What is known of the certificates that signed packages in the journal.

use crate::args;
use crate::storage::db::{Db, DbError, Tx};

/// Packages of a certificate of which nothing was known: it is not revoked.
///
/// # Errors
/// Any [`DbError`].
pub async fn known(db: &Db, sha256: &str) -> Result<(), DbError> {
    let sql = "UPDATE package SET revocation = 'known' \
        WHERE signer_sha256 = $1 AND revocation = 'unknown'";
    db.execute(sql, args![sha256]).await.map(|_| ())
}

/// Marks all packages of a certificate that has been revoked; says how many were not marked yet.
///
/// # Errors
/// Any [`DbError`].
pub async fn revoked(tx: &mut Tx, sha256: &str) -> Result<u64, DbError> {
    let sql = "UPDATE package SET revocation = 'revoked' \
        WHERE signer_sha256 = $1 AND revocation <> 'revoked'";
    tx.execute(sql, args![sha256]).await
}
