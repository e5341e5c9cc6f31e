//! What came from the node of the federal exchange without its word for it: the last of each operation.

use chrono::{DateTime, Utc};

use super::remote::Trouble;
use crate::args;
use crate::storage::db::{Db, DbError, Row};

/// The last failure of trust of an operation.
#[derive(Clone, Debug)]
pub struct Doubt {
    /// The operation.
    pub operation: String,
    /// Why, by our code and in words.
    pub trouble: Trouble,
    /// When.
    pub at: DateTime<Utc>,
}

/// Writes down why what came by an operation was not trusted.
///
/// # Errors
/// Any [`DbError`].
pub async fn note(db: &Db, operation: &str, trouble: &Trouble) -> Result<(), DbError> {
    let sql = format!(
        "INSERT INTO remote_doubt (operation, fault, fault_text, at) VALUES ($1, $2, $3, {}) \
         ON CONFLICT (operation) DO UPDATE SET fault = excluded.fault, \
         fault_text = excluded.fault_text, at = excluded.at",
        db.now_sql()
    );
    let values = args![operation, trouble.fault.as_str(), trouble.words()];
    db.execute(&sql, values).await.map(|_| ())
}

/// The last one of each operation.
///
/// # Errors
/// Any [`DbError`].
pub async fn all(db: &Db) -> Result<Vec<Doubt>, DbError> {
    let sql = "SELECT operation, fault, fault_text, at FROM remote_doubt ORDER BY operation";
    let read = |row: &Row| {
        let trouble = Trouble { fault: row.get(1)?, text: row.get(2)? };
        Ok(Doubt { operation: row.get(0)?, trouble, at: row.get(3)? })
    };
    db.query(sql, vec![]).await?.iter().map(read).collect()
}
