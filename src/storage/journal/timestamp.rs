//! Time stamps on receipts: which are missing, and those that came.

use chrono::{DateTime, Utc};

use crate::args;
use crate::model::ids::PackageNo;
use crate::storage::db::{Db, DbError, Row, Tx};

/// A receipt without a time stamp.
#[derive(Clone, Debug)]
pub struct Unstamped {
    /// The package.
    pub package: PackageNo,
    /// 0 for the first receipt, else the attempt that it concludes.
    pub attempt: i64,
    /// The signed document, compressed.
    pub xml: Vec<u8>,
}

/// Receipts signed since an instant that have no stamp, oldest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn missing(db: &Db, since: DateTime<Utc>, most: i64) -> Result<Vec<Unstamped>, DbError> {
    let sql = "SELECT r.package_no, r.attempt_id, r.xml FROM receipt r \
        LEFT JOIN receipt_timestamp t \
        ON t.package_no = r.package_no AND t.attempt_id = r.attempt_id \
        WHERE r.created_at >= $1 AND t.package_no IS NULL ORDER BY r.created_at LIMIT $2";
    let rows = db.query(sql, args![since, most]).await?;
    let read = |row: &Row| {
        let package = PackageNo(row.get(0)?);
        Ok(Unstamped { package, attempt: row.get(1)?, xml: row.get(2)? })
    };
    rows.iter().map(read).collect()
}

/// Keeps a stamp; one that is there stays.
///
/// # Errors
/// Any [`DbError`].
pub async fn keep(
    tx: &mut Tx,
    receipt: &Unstamped,
    token: &[u8],
    stamped_at: DateTime<Utc>,
) -> Result<(), DbError> {
    let sql = "INSERT INTO receipt_timestamp (package_no, attempt_id, token, stamped_at) \
        VALUES ($1, $2, $3, $4) ON CONFLICT (package_no, attempt_id) DO NOTHING";
    let values = args![receipt.package.0, receipt.attempt, token.to_vec(), stamped_at];
    tx.execute(sql, values).await.map(|_| ())
}

/// The token on the receipt that [`super::list::latest_receipt`] gives.
///
/// # Errors
/// Any [`DbError`].
pub async fn latest(db: &Db, package: PackageNo) -> Result<Option<Vec<u8>>, DbError> {
    let sql = "SELECT t.token FROM receipt r LEFT JOIN receipt_timestamp t \
        ON t.package_no = r.package_no AND t.attempt_id = r.attempt_id \
        WHERE r.package_no = $1 ORDER BY r.attempt_id DESC LIMIT 1";
    let row = db.query_one(sql, args![package.0]).await?;
    row.map_or(Ok(None), |row| row.get(0))
}
