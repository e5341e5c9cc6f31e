//! Kinds of messages that systems of the region exchange through us.

use chrono::{DateTime, Utc};

use crate::args;
use crate::storage::db::{Db, DbError, Row, Tx};
use crate::storage::supplier::note_change;

/// A kind of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageType {
    /// Our word for it.
    pub code: String,
    /// Name for people.
    pub title: String,
    /// Who answers such requests.
    pub provider: i64,
    /// Whether every registered system may ask.
    pub open_to_all: bool,
}

/// Root elements of a kind of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Namespace of both.
    pub namespace: String,
    /// Local name of the root of a request.
    pub request: String,
    /// Local name of the root of an answer.
    pub response: String,
    /// The kind.
    pub code: String,
}

/// All kinds, by code.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(db: &Db) -> Result<Vec<MessageType>, DbError> {
    let sql = "SELECT code, title, provider_id, open_to_all FROM message_type ORDER BY code";
    let read = |row: &Row| {
        Ok(MessageType {
            code: row.get(0)?,
            title: row.get(1)?,
            provider: row.get(2)?,
            open_to_all: row.get(3)?,
        })
    };
    db.query(sql, vec![]).await?.iter().map(read).collect()
}

/// Root elements of all kinds.
///
/// # Errors
/// Any [`DbError`].
pub async fn roots(db: &Db) -> Result<Vec<Root>, DbError> {
    let sql = "SELECT namespace, request_element, response_element, code FROM message_type_root \
        ORDER BY code, namespace, request_element";
    let read = |row: &Row| {
        Ok(Root {
            namespace: row.get(0)?,
            request: row.get(1)?,
            response: row.get(2)?,
            code: row.get(3)?,
        })
    };
    db.query(sql, vec![]).await?.iter().map(read).collect()
}

/// Who may ask for what is not open to all: code and number of the system.
///
/// # Errors
/// Any [`DbError`].
pub async fn grants(db: &Db) -> Result<Vec<(String, i64)>, DbError> {
    let rows = db.query("SELECT code, system_id FROM message_type_grant", vec![]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Registers a kind, or changes the one of this code.
///
/// # Errors
/// Any [`DbError`].
pub async fn save(tx: &mut Tx, kind: &MessageType, at: DateTime<Utc>) -> Result<(), DbError> {
    let sql = "INSERT INTO message_type (code, title, provider_id, open_to_all, created_at) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (code) DO UPDATE SET title = excluded.title, \
        provider_id = excluded.provider_id, open_to_all = excluded.open_to_all";
    let values =
        args![kind.code.as_str(), kind.title.as_str(), kind.provider, kind.open_to_all, at];
    tx.execute(sql, values).await?;
    note_change(tx).await
}

/// Whether a kind has this code.
///
/// # Errors
/// Any [`DbError`].
pub async fn exists(tx: &mut Tx, code: &str) -> Result<bool, DbError> {
    let found = tx.query_one("SELECT 1 FROM message_type WHERE code = $1", args![code]).await?;
    Ok(found.is_some())
}

/// Registers root elements; those that are another kind's stay so: says whether these now are of
/// the kind.
///
/// # Errors
/// Any [`DbError`].
pub async fn add_root(tx: &mut Tx, root: &Root) -> Result<bool, DbError> {
    let sql = "INSERT INTO message_type_root (namespace, request_element, response_element, code) \
        VALUES ($1, $2, $3, $4) ON CONFLICT (namespace, request_element) DO UPDATE \
        SET response_element = excluded.response_element WHERE message_type_root.code = $4";
    let (namespace, request) = (root.namespace.as_str(), root.request.as_str());
    let values = args![namespace, request, root.response.as_str(), root.code.as_str()];
    let changed = tx.execute(sql, values).await?;
    note_change(tx).await?;
    Ok(changed == 1)
}

/// Lets a system ask.
///
/// # Errors
/// Any [`DbError`].
pub async fn grant(tx: &mut Tx, code: &str, system: i64) -> Result<(), DbError> {
    let sql = "INSERT INTO message_type_grant (code, system_id) VALUES ($1, $2) \
        ON CONFLICT DO NOTHING";
    tx.execute(sql, args![code, system]).await?;
    note_change(tx).await
}
