//! The mark that makes a database a sandbox, which no real node may be and no other database may become.

use chrono::{DateTime, Utc};

use crate::args;
use crate::storage::db::{Db, DbError, Tx};

/// Whether the database is a sandbox.
///
/// # Errors
/// Any [`DbError`].
pub async fn is_marked(db: &Db) -> Result<bool, DbError> {
    Ok(db.query_one("SELECT 1 FROM sandbox", vec![]).await?.is_some())
}

/// Whether nothing has been done with the database yet: every act leaves an audit row.
///
/// # Errors
/// Any [`DbError`].
pub async fn is_untouched(tx: &mut Tx) -> Result<bool, DbError> {
    Ok(tx.query_one("SELECT 1 FROM audit LIMIT 1", vec![]).await?.is_none())
}

/// Makes the database a sandbox.
///
/// # Errors
/// Any [`DbError`].
pub async fn mark(tx: &mut Tx, at: DateTime<Utc>) -> Result<(), DbError> {
    let sql = "INSERT INTO sandbox (one, marked_at) VALUES (1, $1) ON CONFLICT DO NOTHING";
    tx.execute(sql, args![at]).await.map(|_| ())
}
