//! Deliveries that were not taken, for operators.

use chrono::{DateTime, Utc};

use crate::args;
use crate::model::refusal::Refusal;
use crate::storage::db::{Db, DbError, Row, Tx};
use crate::storage::input::{Column, Input};
use crate::storage::supplier::Certificate;

/// Refused deliveries that are kept.
pub const KEPT: i64 = 10_000;

/// A refused delivery.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Order of arrival.
    pub id: i64,
    /// Stable code.
    pub code: String,
    /// What exactly.
    pub detail: Option<String>,
    /// Mnemonic of the supplier it came from, as far as known.
    pub supplier: Option<String>,
    /// Package id it claimed.
    pub package_id: Option<String>,
    /// Lower-case hex of SHA-256 of the document.
    pub sha256: Option<String>,
    /// Network address it came from.
    pub peer: String,
    /// When.
    pub refused_at: DateTime<Utc>,
    /// The certificate that signed right, is trusted, and is registered for nobody. Not read back.
    pub stranger: Option<Certificate>,
}

impl Refused {
    /// Takes code and detail from a refusal.
    pub fn new(refusal: &Refusal, peer: String, refused_at: DateTime<Utc>) -> Self {
        Self {
            id: 0,
            code: refusal.code.as_str().to_owned(),
            detail: refusal.detail.clone(),
            supplier: None,
            package_id: None,
            sha256: None,
            peer,
            refused_at,
            stranger: None,
        }
    }
}

/// Writes refused deliveries, whose ids are given.
///
/// # Errors
/// Any [`DbError`].
pub async fn insert(tx: &mut Tx, refused: &[Refused]) -> Result<(), DbError> {
    let text =
        |read: fn(&Refused) -> Option<String>| Column::Text(refused.iter().map(read).collect());
    let input = Input::new()
        .column("id", Column::Int(refused.iter().map(|r| Some(r.id)).collect()))
        .column("code", text(|r| Some(r.code.clone())))
        .column("detail", text(|r| r.detail.clone()))
        .column("supplier", text(|r| r.supplier.clone()))
        .column("package_id", text(|r| r.package_id.clone()))
        .column("sha256", text(|r| r.sha256.clone()))
        .column("peer", text(|r| Some(r.peer.clone())))
        .column(
            "refused_at",
            Column::Instant(refused.iter().map(|r| Some(r.refused_at)).collect()),
        );
    let columns = "id, code, detail, supplier, package_id, sha256, peer, refused_at";
    let sql = format!("WITH {{input}} INSERT INTO refusal ({columns}) SELECT {columns} FROM input");
    tx.execute_input(&sql, input, vec![]).await.map(|_| ())
}

/// Removes all but the last [`KEPT`].
///
/// # Errors
/// Any [`DbError`].
pub async fn trim(db: &Db) -> Result<u64, DbError> {
    let sql = "SELECT id FROM refusal ORDER BY id DESC LIMIT 1 OFFSET $1";
    let Some(row) = db.query_one(sql, args![KEPT]).await? else { return Ok(0) };
    db.execute("DELETE FROM refusal WHERE id <= $1", args![row.get::<i64>(0)?]).await
}

/// The newest refused deliveries, below `before` if given.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(db: &Db, before: Option<i64>, limit: i64) -> Result<Vec<Refused>, DbError> {
    let sql = "SELECT id, code, detail, supplier, package_id, sha256, peer, refused_at \
        FROM refusal WHERE id < $1 ORDER BY id DESC LIMIT $2";
    let rows = db.query(sql, args![before.unwrap_or(i64::MAX), limit]).await?;
    let read = |row: &Row| {
        Ok(Refused {
            id: row.get(0)?,
            code: row.get(1)?,
            detail: row.get(2)?,
            supplier: row.get(3)?,
            package_id: row.get(4)?,
            sha256: row.get(5)?,
            peer: row.get(6)?,
            refused_at: row.get(7)?,
            stranger: None,
        })
    };
    rows.iter().map(read).collect()
}
