//! The store of files that are too large for a message: folders with one file each, in pieces.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::args;
use crate::storage::db::{Db, DbError, Row, Tx};
use crate::storage::mailbox::LEASE_SECONDS;

/// Longest piece of a file, in bytes.
pub const PIECE: usize = 1 << 20;

/// As how many bytes a file counts at least: rows cost space too, and empty files would cost nothing.
pub const LEAST: i64 = 64 << 10;

/// A file in the store.
#[derive(Clone, Debug)]
pub struct File {
    /// Id of its folder.
    pub uuid: String,
    /// Under which its pieces are.
    pub no: i64,
    /// Who put it there.
    pub system: i64,
    /// Its name.
    pub name: String,
    /// Its length, in bytes.
    pub bytes: i64,
    /// Its Streebog hash of 256 bits; none while it is not complete.
    pub hash: Option<Vec<u8>>,
    /// The message that refers to it.
    pub message: Option<Uuid>,
}

impl File {
    /// Its bytes as they count.
    pub fn counted(&self) -> i64 {
        self.bytes.max(LEAST)
    }
}

/// What came of the beginning of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It may have so many bytes.
    New {
        /// Bytes.
        left: i64,
    },
    /// There is a file in its folder already.
    Taken,
    /// Its system has put as much as it may.
    Full,
}

/// Sum over files `f` of their bytes as they count. A sum of bigint is numeric on PostgreSQL.
fn counted_sql() -> String {
    let one = format!("CASE WHEN f.size_bytes < {LEAST} THEN {LEAST} ELSE f.size_bytes END");
    format!("cast(coalesce(sum({one}), 0) AS bigint)")
}

const FILE: &str = "SELECT uuid, no, system_id, name, size_bytes, hash, message_id FROM store_file";

fn read(row: &Row) -> Result<File, DbError> {
    Ok(File {
        uuid: row.get(0)?,
        no: row.get(1)?,
        system: row.get(2)?,
        name: row.get(3)?,
        bytes: row.get(4)?,
        hash: row.get(5)?,
        message: row.get(6)?,
    })
}

/// Keeps the hash of the word by which a system may put files.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_account(
    tx: &mut Tx,
    system: i64,
    password_sha256: Vec<u8>,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let sql = "INSERT INTO store_account (system_id, password_sha256, issued_at) \
        VALUES ($1, $2, $3) ON CONFLICT (system_id) DO UPDATE \
        SET password_sha256 = excluded.password_sha256, issued_at = excluded.issued_at";
    tx.execute(sql, args![system, password_sha256, at]).await.map(|_| ())
}

/// The system of this mnemonic that is not blocked, with the hash of its word.
///
/// # Errors
/// Any [`DbError`].
pub async fn account(db: &Db, mnemonic: &str) -> Result<Option<(i64, Vec<u8>)>, DbError> {
    let sql = "SELECT a.system_id, a.password_sha256 FROM store_account a \
        JOIN federal_system s ON s.id = a.system_id WHERE s.mnemonic = $1 AND s.status = 'active'";
    let row = db.query_one(sql, args![mnemonic]).await?;
    row.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
}

/// Begins a file of a system, if it would then not have put more bytes than `most` and not sent them.
/// With anything but [`Begun::New`] the transaction must not be committed.
///
/// # Errors
/// Any [`DbError`].
pub async fn begin(
    tx: &mut Tx,
    file: &File,
    most: i64,
    at: DateTime<Utc>,
) -> Result<Begun, DbError> {
    let sql = "INSERT INTO store_file (uuid, no, system_id, name, size_bytes, uploaded_at) \
        VALUES ($1, $2, $3, $4, 0, $5) ON CONFLICT (uuid) DO NOTHING";
    let (uuid, name) = (file.uuid.as_str(), file.name.as_str());
    if tx.execute(sql, args![uuid, file.no, file.system, name, at]).await? == 0 {
        return Ok(Begun::Taken);
    }
    let left = most - unsent(tx, file.system).await?;
    Ok(if left < 0 { Begun::Full } else { Begun::New { left: left + LEAST } })
}

/// Adds a piece to a file that no message refers to; false when its system would then have put more
/// bytes than `most` and not sent them: the transaction must not be committed then.
///
/// # Errors
/// Any [`DbError`].
pub async fn add(
    tx: &mut Tx,
    file: &File,
    place: i64,
    piece: Vec<u8>,
    most: i64,
) -> Result<bool, DbError> {
    let (no, size) = (file.no, i64::try_from(piece.len()).unwrap_or(i64::MAX));
    let sql = "INSERT INTO store_part (no, place, content) VALUES ($1, $2, $3)";
    tx.execute(sql, args![no, place, piece]).await?;
    let sql = "UPDATE store_file SET size_bytes = size_bytes + $2 WHERE no = $1";
    let there = tx.execute(sql, args![no, size]).await? == 1;
    Ok(there && unsent(tx, file.system).await? <= most)
}

/// Bytes, as they count, of the files that a system has put and not sent. Until the transaction ends no
/// other one counts them: each sees what those before it have added.
async fn unsent(tx: &mut Tx, system: i64) -> Result<i64, DbError> {
    let lock = if tx.is_postgres() { "FOR UPDATE" } else { "" };
    let sql = format!("SELECT system_id FROM store_account WHERE system_id = $1 {lock}");
    tx.query(&sql, args![system]).await?;
    let sql = format!(
        "SELECT {} FROM store_file f WHERE f.system_id = $1 AND f.message_id IS NULL",
        counted_sql()
    );
    tx.query_one(&sql, args![system]).await?.map_or(Ok(0), |row| row.get(0))
}

/// Says that a file is complete.
///
/// # Errors
/// Any [`DbError`].
pub async fn complete(tx: &mut Tx, no: i64, hash: Vec<u8>) -> Result<(), DbError> {
    let sql = "UPDATE store_file SET hash = $2 WHERE no = $1";
    tx.execute(sql, args![no, hash]).await.map(|_| ())
}

/// The file in a folder.
///
/// # Errors
/// Any [`DbError`].
pub async fn find(db: &Db, uuid: &str) -> Result<Option<File>, DbError> {
    let row = db.query_one(&format!("{FILE} WHERE uuid = $1"), args![uuid]).await?;
    row.as_ref().map(read).transpose()
}

/// Files of a message, in the order of their upload.
///
/// # Errors
/// Any [`DbError`].
pub async fn of_message(tx: &mut Tx, message: Uuid) -> Result<Vec<File>, DbError> {
    let sql = format!("{FILE} WHERE message_id = $1 ORDER BY no");
    tx.query(&sql, args![message]).await?.iter().map(read).collect()
}

/// A piece of a file; none behind the last.
///
/// # Errors
/// Any [`DbError`].
pub async fn piece(db: &Db, no: i64, place: i64) -> Result<Option<Vec<u8>>, DbError> {
    let sql = "SELECT content FROM store_part WHERE no = $1 AND place = $2";
    db.query_one(sql, args![no, place]).await?.map(|row| row.get(0)).transpose()
}

/// Binds complete files of a system to a message; says how many were free.
///
/// # Errors
/// Any [`DbError`].
pub async fn bind(
    tx: &mut Tx,
    system: i64,
    message: Uuid,
    numbers: &[i64],
) -> Result<usize, DbError> {
    // All take them in the same order: else two might wait for each other.
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    let mut bound = 0;
    for no in numbers {
        let sql = "UPDATE store_file SET message_id = $3 WHERE no = $1 AND system_id = $2 \
            AND message_id IS NULL AND hash IS NOT NULL";
        bound += usize::from(tx.execute(sql, args![no, system, message]).await? == 1);
    }
    Ok(bound)
}

/// What waits for a receiver, in bytes as they count.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// From all.
    pub all: i64,
    /// From one sender.
    pub of_sender: i64,
}

/// Keeps what waits for a receiver from growing until the transaction ends: whoever else would add to it
/// waits, and then sees what was added.
///
/// # Errors
/// Any [`DbError`].
pub async fn hold_receiver(tx: &mut Tx, receiver: i64) -> Result<(), DbError> {
    // On SQLite the transaction is the only one that writes. Who refers to the row is not kept waiting.
    if tx.is_postgres() {
        let sql = "SELECT id FROM federal_system WHERE id = $1 FOR NO KEY UPDATE";
        tx.query(sql, args![receiver]).await?;
    }
    Ok(())
}

/// What waits for a receiver in all its queues: files of messages that it has not acknowledged.
///
/// # Errors
/// Any [`DbError`].
pub async fn waiting(tx: &mut Tx, receiver: i64, sender: i64) -> Result<Waiting, DbError> {
    let counted = counted_sql();
    let of = |condition: &str| {
        format!(
            "(SELECT {counted} FROM store_file f \
             JOIN mailbox_message m ON m.message_id = f.message_id \
             WHERE m.system_id = $1 AND m.acknowledged_at IS NULL {condition})"
        )
    };
    let sql = format!("SELECT {}, {}", of(""), of("AND f.system_id = $2"));
    let row = tx.query_one(&sql, args![receiver, sender]).await?;
    let read = |row: Row| Ok(Waiting { all: row.get(0)?, of_sender: row.get(1)? });
    row.map_or(Ok(Waiting { all: 0, of_sender: 0 }), read)
}

/// Lets a file be fetched until the lease of its message ends.
///
/// # Errors
/// Any [`DbError`].
pub async fn allow(
    tx: &mut Tx,
    uuid: &str,
    user: &str,
    password_sha256: Vec<u8>,
) -> Result<(), DbError> {
    let sql = format!(
        "INSERT INTO store_pass (user_name, uuid, password_sha256, valid_until) \
         VALUES ($1, $2, $3, {})",
        tx.after_sql(LEASE_SECONDS)
    );
    tx.execute(&sql, args![user, uuid, password_sha256]).await.map(|_| ())
}

/// The hash of the word by which this user may fetch this file now.
///
/// # Errors
/// Any [`DbError`].
pub async fn pass(db: &Db, uuid: &str, user: &str) -> Result<Option<Vec<u8>>, DbError> {
    let sql = format!(
        "SELECT password_sha256 FROM store_pass \
         WHERE user_name = $1 AND uuid = $2 AND valid_until > {}",
        db.now_sql()
    );
    db.query_one(&sql, args![user, uuid]).await?.map(|row| row.get(0)).transpose()
}

/// Removes the files of a message, with all that leads to them.
///
/// # Errors
/// Any [`DbError`].
pub async fn remove(tx: &mut Tx, message: Uuid) -> Result<(), DbError> {
    for file in of_message(tx, message).await? {
        remove_one(tx, &file.uuid, file.no).await?;
    }
    Ok(())
}

/// Removes files that were put before an instant and never sent; says how many.
///
/// # Errors
/// Any [`DbError`].
pub async fn remove_unused(tx: &mut Tx, before: DateTime<Utc>) -> Result<usize, DbError> {
    let sql = "SELECT uuid, no FROM store_file WHERE message_id IS NULL AND uploaded_at < $1 \
        ORDER BY uploaded_at LIMIT 100";
    let rows = tx.query(sql, args![before]).await?;
    for row in &rows {
        let (uuid, no): (String, i64) = (row.get(0)?, row.get(1)?);
        remove_one(tx, &uuid, no).await?;
    }
    Ok(rows.len())
}

/// Removes a file whose upload broke off.
///
/// # Errors
/// Any [`DbError`].
pub async fn remove_one(tx: &mut Tx, uuid: &str, no: i64) -> Result<(), DbError> {
    tx.execute("DELETE FROM store_pass WHERE uuid = $1", args![uuid]).await?;
    tx.execute("DELETE FROM store_part WHERE no = $1", args![no]).await?;
    tx.execute("DELETE FROM store_file WHERE no = $1", args![no]).await.map(|_| ())
}
