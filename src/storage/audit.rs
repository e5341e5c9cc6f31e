//! The audit chain: acts of persons and systems, each row holding the hash of the one before.

use chrono::{DateTime, Utc};
use openssl::sha::Sha256;

use crate::args;
use crate::storage::db::{Db, DbError, Row, Tx};
use crate::storage::input::{Column, Input};

/// Rows checked at a time.
const PAGE: i64 = 5_000;

/// An act about to be written.
#[derive(Clone, Debug)]
pub struct Act {
    /// Who: mnemonic of a supplier, name of an operator, or `system`.
    pub actor: String,
    /// What, for example `package.accept`.
    pub action: &'static str,
    /// On what: `kind:id`.
    pub object: String,
    /// What else, as a JSON object; ids only, no personal data.
    pub detail: Option<String>,
}

/// What a check of the chain found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chain {
    /// So many rows, all in order.
    Intact(u64),
    /// The row with this number does not follow from the one before it, or is missing.
    Broken(i64),
}

/// Appends acts. Must be the last statements of a transaction: from here to its commit no other
/// act can be written, so that the chain has one order.
///
/// # Errors
/// Any [`DbError`].
pub async fn append(tx: &mut Tx, at: DateTime<Utc>, acts: Vec<Act>) -> Result<(), DbError> {
    if acts.is_empty() {
        return Ok(());
    }
    let at = whole_millis(at);
    let (mut id, mut hash) = lock_head(tx).await?;
    let (mut ids, mut ats, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut actors, mut actions) = (Vec::new(), Vec::new());
    let (mut objects, mut details) = (Vec::new(), Vec::new());
    for act in acts {
        id += 1;
        hash = link(&hash, &[&act.actor, act.action, &act.object], act.detail.as_deref(), id, at);
        ids.push(Some(id));
        ats.push(Some(at));
        actors.push(Some(act.actor));
        actions.push(Some(act.action.to_owned()));
        objects.push(Some(act.object));
        details.push(act.detail);
        hashes.push(Some(hash.clone()));
    }
    let input = Input::new()
        .column("id", Column::Int(ids))
        .column("at", Column::Instant(ats))
        .column("actor", Column::Text(actors))
        .column("action", Column::Text(actions))
        .column("object", Column::Text(objects))
        .column("detail", Column::Text(details))
        .column("hash", Column::Bytes(hashes));
    let sql = "WITH {input} INSERT INTO audit (id, at, actor, action, object, detail, hash) \
        SELECT id, at, actor, action, object, detail, hash FROM input";
    tx.execute_input(sql, input, vec![]).await?;
    tx.execute("UPDATE audit_head SET id = $1, hash = $2 WHERE one = 1", args![id, hash]).await?;
    Ok(())
}

/// Walks the whole chain.
///
/// # Errors
/// Any [`DbError`].
pub async fn verify(db: &Db) -> Result<Chain, DbError> {
    let sql = "SELECT id, at, actor, action, object, detail, hash FROM audit \
        WHERE id > $1 ORDER BY id LIMIT $2";
    let (mut last, mut hash) = (0_i64, Vec::new());
    loop {
        let rows = db.query(sql, args![last, PAGE]).await?;
        for row in &rows {
            let expected = expected_hash(row, &hash, last + 1)?;
            hash = row.get::<Vec<u8>>(6)?;
            if expected.as_deref() != Some(&hash) {
                return Ok(Chain::Broken(last + 1));
            }
            last += 1;
        }
        if rows.is_empty() {
            break;
        }
    }
    let head = db.query_one("SELECT id, hash FROM audit_head", vec![]).await?;
    let (head_id, head_hash) = match head {
        Some(row) => (row.get(0)?, row.get(1)?),
        None => (0_i64, Vec::new()),
    };
    if head_id == last && head_hash == hash {
        return Ok(Chain::Intact(last.unsigned_abs()));
    }
    // Rows appended while we walked are no damage: the head only ever runs ahead of them.
    let sql = "SELECT 1 FROM audit WHERE id = $1 AND hash = $2";
    match db.query_one(sql, args![head_id, head_hash]).await? {
        Some(_) if head_id > last => Ok(Chain::Intact(last.unsigned_abs())),
        _ => Ok(Chain::Broken(last + 1)),
    }
}

fn expected_hash(row: &Row, previous: &[u8], id: i64) -> Result<Option<Vec<u8>>, DbError> {
    if row.get::<i64>(0)? != id {
        return Ok(None);
    }
    let (actor, action, object): (String, String, String) = (row.get(2)?, row.get(3)?, row.get(4)?);
    let detail: Option<String> = row.get(5)?;
    Ok(Some(link(previous, &[&actor, &action, &object], detail.as_deref(), id, row.get(1)?)))
}

async fn lock_head(tx: &mut Tx) -> Result<(i64, Vec<u8>), DbError> {
    let lock = if tx.is_postgres() { "FOR UPDATE" } else { "" };
    let sql = format!("SELECT id, hash FROM audit_head WHERE one = 1 {lock}");
    if let Some(row) = tx.query_one(&sql, vec![]).await? {
        return Ok((row.get(0)?, row.get(1)?));
    }
    let first = "INSERT INTO audit_head (one, id, hash) VALUES (1, 0, $1) ON CONFLICT DO NOTHING";
    tx.execute(first, args![Vec::<u8>::new()]).await?;
    match tx.query_one(&sql, vec![]).await? {
        Some(row) => Ok((row.get(0)?, row.get(1)?)),
        None => Ok((0, Vec::new())),
    }
}

/// SHA-256 of the previous hash and the row; each text is preceded by its length.
fn link(
    previous: &[u8],
    texts: &[&str],
    detail: Option<&str>,
    id: i64,
    at: DateTime<Utc>,
) -> Vec<u8> {
    let mut sha = Sha256::new();
    sha.update(previous);
    sha.update(&id.to_be_bytes());
    sha.update(&at.timestamp_millis().to_be_bytes());
    for text in texts {
        sha.update(&(text.len() as u64).to_be_bytes());
        sha.update(text.as_bytes());
    }
    if let Some(detail) = detail {
        sha.update(detail.as_bytes());
    }
    sha.finish().to_vec()
}

/// The databases keep instants in different precision; milliseconds survive in both.
fn whole_millis(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at)
}
