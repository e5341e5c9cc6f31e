//! The queue of states: which messages have reached their receivers, for senders who call GetStatus.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{LEASE_SECONDS, Open, Queue};
use crate::args;
use crate::storage::db::{Db, DbError, Tx};
use crate::storage::file_store;
use crate::storage::input::{Column, Input};

/// For how long after a sender's last call states are put into its queue, in seconds: nobody else ever
/// empties it.
const LISTENS_SECONDS: u64 = 24 * 60 * 60;

/// How long a state is kept that its sender does not confirm, in seconds.
const KEPT_SECONDS: u64 = 30 * LISTENS_SECONDS;

/// A message has reached its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The message.
    pub message_id: Uuid,
    /// Whether it was a request or an answer.
    pub queue: Queue,
}

/// Tells the senders of these messages, if they listen, that they were received.
///
/// # Errors
/// Any [`DbError`].
pub(super) async fn tell(tx: &mut Tx, messages: Vec<Option<Uuid>>) -> Result<(), DbError> {
    let (now, since) = (tx.now_sql(), tx.before_sql(LISTENS_SECONDS));
    let input = Input::new().column("id", Column::Uuid(messages));
    let sql = format!(
        "WITH {{input}} INSERT INTO mailbox_status (message_id, system_id, queued_at, deliveries) \
         SELECT m.message_id, m.sender_id, {now}, 0 FROM input i \
         JOIN mailbox_message m ON m.message_id = i.id \
         JOIN mailbox_poll p ON p.system_id = m.sender_id AND p.queue = 'status' \
         WHERE p.polled_at > {since} ON CONFLICT (message_id) DO NOTHING"
    );
    tx.execute_input(&sql, input, vec![]).await.map(|_| ())
}

/// Hands out the first state that nobody holds, and hides it for [`LEASE_SECONDS`].
///
/// # Errors
/// Any [`DbError`].
pub async fn lease_state(tx: &mut Tx, system: i64) -> Result<Option<State>, DbError> {
    tx.forgettable().await?;
    let (now, until) = (tx.now_sql(), tx.after_sql(LEASE_SECONDS));
    // Another call of the same sender that is taking one is waited for, and not skipped.
    let lock = if tx.is_postgres() { "FOR UPDATE" } else { "" };
    let sql = format!(
        "UPDATE mailbox_status SET leased_until = {until}, deliveries = deliveries + 1 \
         WHERE message_id = (SELECT message_id FROM mailbox_status WHERE system_id = $1 \
         AND (leased_until IS NULL OR leased_until <= {now}) \
         ORDER BY queued_at, message_id LIMIT 1 {lock}) RETURNING message_id, \
         (SELECT m.queue FROM mailbox_message m WHERE m.message_id = mailbox_status.message_id)"
    );
    let Some(row) = tx.query_one(&sql, args![system]).await? else { return Ok(None) };
    Ok(Some(State { message_id: row.get(0)?, queue: Queue::parse(&row.get::<String>(1)?) }))
}

/// Ends the delivery of states that are out, each given with the system that was told; gives those.
///
/// # Errors
/// Any [`DbError`].
pub(super) async fn confirm(
    tx: &mut Tx,
    acks: impl Iterator<Item = (i64, Uuid)>,
) -> Result<Vec<(i64, Uuid)>, DbError> {
    let (systems, ids) = acks.map(|(system, id)| (Some(system), Some(id))).unzip();
    let input = Input::new().column("system", Column::Int(systems)).column("id", Column::Uuid(ids));
    let sql = format!(
        "WITH {{input}} DELETE FROM mailbox_status WHERE leased_until > {} AND EXISTS \
         (SELECT 1 FROM input WHERE input.id = message_id AND input.system = system_id) \
         RETURNING system_id, message_id",
        tx.now_sql()
    );
    let rows = tx.query_input(&sql, input, vec![]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Forgets states that their senders have not asked for in a month; says how many.
///
/// # Errors
/// Any [`DbError`].
pub async fn forget_states(tx: &mut Tx) -> Result<u64, DbError> {
    let sql =
        format!("DELETE FROM mailbox_status WHERE queued_at < {}", tx.before_sql(KEPT_SECONDS));
    tx.execute(&sql, vec![]).await
}

/// The last answer to a request, which nobody will pull.
#[derive(Clone, Debug)]
pub struct Undeliverable {
    /// Its id.
    pub message_id: Uuid,
    /// Who sent it.
    pub provider: i64,
    /// Version of the exchange by which it came.
    pub version: String,
    /// The request, whose end of life has passed …
    pub request: Open,
    /// … or the system that asked has been denied access.
    pub gone: bool,
}

/// Last answers that wait, are not out, and cannot be delivered any more: the request has outlived its
/// time, or who asked is blocked and they have waited since before an instant.
///
/// # Errors
/// Any [`DbError`].
pub async fn undeliverable(
    db: &Db,
    now: DateTime<Utc>,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Undeliverable>, DbError> {
    let sql = format!(
        "SELECT r.message_id, r.system_id, r.node_id, r.message_type, r.root_namespace, \
         r.root_element, r.provider_id, r.closed_at IS NULL, r.version, m.message_id, m.sender_id, \
         m.version, s.status <> 'active' FROM mailbox_message m \
         JOIN mailbox_request r ON r.message_id = m.request_id \
         JOIN federal_system s ON s.id = m.system_id \
         WHERE m.acknowledged_at IS NULL AND m.queue = 'response' AND m.sender_id IS NOT NULL \
         AND (m.leased_until IS NULL OR m.leased_until <= {}) AND r.closed_at IS NOT NULL \
         AND (r.end_of_life < $1 OR (s.status <> 'active' AND m.queued_at < $2)) \
         AND NOT EXISTS (SELECT 1 FROM mailbox_message n WHERE n.request_id = m.request_id \
         AND n.sender_id = m.sender_id AND n.queue = 'response' AND n.sequence > m.sequence) \
         ORDER BY m.queued_at LIMIT $3",
        db.now_sql()
    );
    let rows = db.query(&sql, args![now, before, limit]).await?;
    let read = |row: &crate::storage::db::Row| {
        Ok(Undeliverable {
            request: super::look::read_open(row)?,
            message_id: row.get(9)?,
            provider: row.get(10)?,
            version: row.get(11)?,
            gone: row.get(12)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Takes an answer back from the queue in which it waits, with whatever its provider said before of the
/// same request. False when it is out or has been received meanwhile.
///
/// # Errors
/// Any [`DbError`].
pub async fn take_back(tx: &mut Tx, answer: &Undeliverable) -> Result<bool, DbError> {
    let now = tx.now_sql();
    let sql = format!(
        "UPDATE mailbox_message SET acknowledged_at = {now}, content = NULL \
         WHERE request_id = $1 AND sender_id = $2 AND queue = 'response' \
         AND acknowledged_at IS NULL AND (leased_until IS NULL OR leased_until <= {now}) \
         RETURNING message_id"
    );
    let rows = tx.query(&sql, args![answer.request.message_id, answer.provider]).await?;
    let mut taken = false;
    for row in &rows {
        let message: Uuid = row.get(0)?;
        taken |= message == answer.message_id;
        let sql = "DELETE FROM mailbox_attachment WHERE message_id = $1";
        tx.execute(sql, args![message]).await?;
        file_store::remove(tx, message).await?;
    }
    Ok(taken)
}

/// Whether the exchange has told who asked what became of a request.
///
/// # Errors
/// Any [`DbError`].
pub async fn is_told(tx: &mut Tx, request: &Open) -> Result<bool, DbError> {
    let sql = "SELECT 1 FROM mailbox_message WHERE request_id = $1 AND system_id = $2 \
        AND queue = 'response' AND sender_id IS NULL LIMIT 1";
    Ok(tx.query_one(sql, args![request.message_id, request.system]).await?.is_some())
}
