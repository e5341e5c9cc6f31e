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

/// Whether the database is a sandbox or may become one: nothing has been done with it yet. Every act leaves
/// an audit row. Its schema may be missing or old.
///
/// # Errors
/// [`DbError::Unavailable`].
pub async fn may_be(db: &Db) -> Result<bool, DbError> {
    let marked = is_there(db, "SELECT 1 FROM sandbox").await?;
    Ok(marked || !is_there(db, "SELECT 1 FROM audit LIMIT 1").await?)
}

/// Whether there is a row; there is none in a table that is missing.
async fn is_there(db: &Db, sql: &str) -> Result<bool, DbError> {
    match db.query_one(sql, vec![]).await {
        Ok(row) => Ok(row.is_some()),
        Err(DbError::Query(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the database a sandbox.
///
/// # Errors
/// Any [`DbError`].
pub async fn mark(tx: &mut Tx, at: DateTime<Utc>) -> Result<(), DbError> {
    let sql = "INSERT INTO sandbox (one, marked_at) VALUES (1, $1) ON CONFLICT DO NOTHING";
    tx.execute(sql, args![at]).await.map(|_| ())
}
