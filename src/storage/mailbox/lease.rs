//! Handing messages out and ending their delivery.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{LEASE_SECONDS, MailboxError, NODES, Place, decompress, status};
use crate::args;
use crate::storage::db::{Db, DbError, Row, Tx};
use crate::storage::file_store::{self, File};
use crate::storage::input::{Column, Input};

/// How many files in the store a message has.
const FILES: &str =
    "(SELECT count(*) FROM store_file f WHERE f.message_id = mailbox_message.message_id)";

/// Which queue, and what from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The queue.
    pub place: Place,
    /// Only this kind of messages.
    pub message_type: Option<String>,
}

/// A message handed out.
#[derive(Clone, Debug)]
pub struct Leased {
    /// Its id.
    pub message_id: Uuid,
    /// The request that it is or answers.
    pub request_id: Uuid,
    /// Who sent it; nobody when we did.
    pub sender: Option<i64>,
    /// Version of the exchange in which its content is written.
    pub version: String,
    /// First request of the business chain.
    pub reference: Option<Uuid>,
    /// Code of the state service.
    pub transaction_code: Option<String>,
    /// The data of its sender.
    pub content: Vec<u8>,
    /// The sender's `ds:Signature` over it.
    pub signature: Option<String>,
    /// Files inside: id and bytes.
    pub attachments: Vec<(String, Vec<u8>)>,
    /// Files in the store.
    pub files: Vec<File>,
    /// When it was queued.
    pub queued_at: DateTime<Utc>,
}

/// Hands out the first messages that nobody holds, at most so many, in the order of the queue, and
/// hides them for [`LEASE_SECONDS`].
///
/// # Errors
/// Any [`MailboxError`].
pub async fn lease(
    tx: &mut Tx,
    selector: &Selector,
    count: usize,
) -> Result<Vec<Leased>, MailboxError> {
    // A lease that a crash forgets only brings the message back sooner.
    tx.forgettable().await?;
    let (now, until) = (tx.now_sql(), tx.after_sql(LEASE_SECONDS));
    let place = &selector.place;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let mut values = args![place.system, place.queue.as_str(), place.node.as_str(), count];
    let chosen = match &selector.message_type {
        Some(wanted) => {
            values.extend(args![wanted.as_str()]);
            "AND message_type = $5 "
        }
        None => "",
    };
    // Materialised: looked for once, however the update is joined to it.
    let sql = format!(
        "WITH first AS MATERIALIZED (SELECT message_id AS id FROM mailbox_message \
         WHERE system_id = $1 AND queue = $2 AND node_id = $3 \
         AND acknowledged_at IS NULL AND (leased_until IS NULL OR leased_until <= {now}) \
         {chosen}ORDER BY priority, queued_at, sequence LIMIT $4 {}) \
         UPDATE mailbox_message SET leased_until = {until}, delivered_at = {now}, \
         deliveries = deliveries + 1 FROM first WHERE message_id = first.id \
         RETURNING message_id, request_id, sender_id, version, content, signature, attachments, \
         queued_at, (SELECT r.reference_id FROM mailbox_request r WHERE r.message_id = request_id), \
         (SELECT r.transaction_code FROM mailbox_request r WHERE r.message_id = request_id), \
         {FILES}, priority, sequence",
        tx.skip_locked_sql()
    );
    let rows = tx.query(&sql, values).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let leased = leased(tx, row).await?;
        let order: (i64, _, i64) = (row.get(11)?, leased.queued_at, row.get(12)?);
        found.push((order, leased));
    }
    found.sort_unstable_by_key(|one| one.0);
    Ok(found.into_iter().map(|(_, leased)| leased).collect())
}

/// A message with its files.
async fn leased(tx: &mut Tx, row: &Row) -> Result<Leased, MailboxError> {
    let message_id: Uuid = row.get(0)?;
    let attachments = match row.get::<i64>(6)? {
        0 => Vec::new(),
        _ => attachments(tx, message_id).await?,
    };
    let files = match row.get::<i64>(10)? {
        0 => Vec::new(),
        _ => file_store::of_message(tx, message_id).await?,
    };
    let content: Vec<u8> = row.get(4)?;
    Ok(Leased {
        message_id,
        request_id: row.get(1)?,
        sender: row.get(2)?,
        version: row.get(3)?,
        content: decompress(&content)?,
        signature: row.get(5)?,
        attachments,
        files,
        queued_at: row.get(7)?,
        reference: row.get(8)?,
        transaction_code: row.get(9)?,
    })
}

/// Whether a message waits in a queue that nobody holds, or that another call has begun to take and not
/// yet taken. Asked after [`lease`] has found nothing.
///
/// # Errors
/// Any [`DbError`].
pub async fn waits(db: &Db, selector: &Selector) -> Result<bool, DbError> {
    // On SQLite no other call can be taking one at the same time.
    if !db.is_postgres() {
        return Ok(false);
    }
    let sql = "SELECT 1 FROM mailbox_message WHERE system_id = $1 AND queue = $2 AND node_id = $3 \
        AND acknowledged_at IS NULL AND (leased_until IS NULL OR leased_until <= now()) \
        AND (message_type = $4 OR $4 IS NULL) LIMIT 1";
    let Place { system, queue, node } = &selector.place;
    let values = args![*system, queue.as_str(), node.as_str(), selector.message_type.clone()];
    Ok(db.query_one(sql, values).await?.is_some())
}

async fn attachments(tx: &mut Tx, message: Uuid) -> Result<Vec<(String, Vec<u8>)>, DbError> {
    let sql = "SELECT attachment_id, content FROM mailbox_attachment \
        WHERE message_id = $1 ORDER BY place";
    let rows = tx.query(sql, args![message]).await?;
    rows.iter().map(|row: &Row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Ends the delivery of messages handed out, each given with its system and whether the receiver
/// accepted our signature; forgets their content, and tells who sent them. What is no message may be a
/// state of one. Gives those that were out, with their system: not one that never was, was confirmed
/// already, or whose lease ran out.
///
/// # Errors
/// Any [`DbError`].
pub async fn acknowledge(
    tx: &mut Tx,
    acks: &[(i64, Uuid, bool)],
) -> Result<HashSet<(i64, Uuid)>, DbError> {
    let now = tx.now_sql();
    let input = Input::new()
        .column("system", Column::Int(acks.iter().map(|ack| Some(ack.0)).collect()))
        .column("id", Column::Uuid(acks.iter().map(|ack| Some(ack.1)).collect()))
        .column("taken", Column::Flag(acks.iter().map(|ack| Some(ack.2)).collect()));
    let sql = format!(
        "WITH {{input}} UPDATE mailbox_message SET acknowledged_at = {now}, accepted = taken, \
         content = NULL FROM input WHERE message_id = id AND system_id = system \
         AND acknowledged_at IS NULL AND leased_until > {now} \
         RETURNING message_id, attachments, system_id, {FILES}, \
         sender_id IS NOT NULL AND accepted"
    );
    let rows = tx.query_input(&sql, input, vec![]).await?;
    let (mut ended, mut received) = (HashSet::new(), Vec::new());
    for row in &rows {
        let message: Uuid = row.get(0)?;
        received.extend(row.get::<bool>(4)?.then_some(Some(message)));
        if row.get::<i64>(1)? > 0 {
            let sql = "DELETE FROM mailbox_attachment WHERE message_id = $1";
            tx.execute(sql, args![message]).await?;
        }
        if row.get::<i64>(3)? > 0 {
            file_store::remove(tx, message).await?;
        }
        ended.insert((row.get(2)?, message));
    }
    status::tell(tx, received).await?;
    let others =
        acks.iter().map(|&(system, id, _)| (system, id)).filter(|ack| !ended.contains(ack));
    let states = status::confirm(tx, others.collect::<Vec<_>>().into_iter()).await?;
    ended.extend(states);
    Ok(ended)
}

/// How long a queue is noted that nobody polls any more, in seconds.
const POLLED_SECONDS: u64 = 30 * 24 * 60 * 60;

/// Notes that a queue is polled, to the minute; that of a new node only as long as its system has fewer
/// than [`NODES`].
///
/// # Errors
/// Any [`DbError`].
pub async fn note_poll(tx: &mut Tx, place: &Place) -> Result<(), DbError> {
    let now = tx.now_sql();
    let sql = format!(
        "INSERT INTO mailbox_poll (system_id, queue, node_id, polled_at) \
         SELECT s.id, $2, $3, {now} FROM federal_system s WHERE s.id = $1 AND ($3 = '' \
         OR (SELECT count(*) FROM mailbox_poll WHERE system_id = $1) < {NODES} OR EXISTS (SELECT 1 \
         FROM mailbox_poll WHERE system_id = $1 AND queue = $2 AND node_id = $3)) \
         ON CONFLICT (system_id, queue, node_id) DO UPDATE SET polled_at = excluded.polled_at"
    );
    let (queue, node) = (place.queue.as_str(), place.node.as_str());
    tx.execute(&sql, args![place.system, queue, node]).await.map(|_| ())
}

/// Forgets queues that nobody has polled in a month and in which nothing waits; says how many.
///
/// # Errors
/// Any [`DbError`].
pub async fn forget_polls(tx: &mut Tx) -> Result<u64, DbError> {
    let sql = format!(
        "DELETE FROM mailbox_poll WHERE polled_at < {} AND NOT EXISTS (SELECT 1 FROM mailbox_message m \
         WHERE m.system_id = mailbox_poll.system_id AND m.queue = mailbox_poll.queue \
         AND m.node_id = mailbox_poll.node_id AND m.acknowledged_at IS NULL)",
        tx.before_sql(POLLED_SECONDS)
    );
    tx.execute(&sql, vec![]).await
}
