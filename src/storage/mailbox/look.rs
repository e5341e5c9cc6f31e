//! Looking at the mailbox: what is taken, how long queues are, what has outlived its time.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Place, Queue};
use crate::args;
use crate::storage::db::{Db, DbError, Row, Tx};
use crate::storage::file_store;
use crate::storage::input::{Column, Input};

/// Those of these ids by which a message has been taken from anybody.
///
/// # Errors
/// Any [`DbError`].
pub async fn taken(tx: &mut Tx, ids: &[Uuid]) -> Result<HashSet<Uuid>, DbError> {
    let input = Input::new().column("id", Column::Uuid(ids.iter().copied().map(Some).collect()));
    let sql = "WITH {input} SELECT id FROM input WHERE \
        EXISTS (SELECT 1 FROM mailbox_request r WHERE r.message_id = id) \
        OR EXISTS (SELECT 1 FROM mailbox_message m WHERE m.message_id = id)";
    tx.query_input(sql, input, vec![]).await?.iter().map(|row| row.get(0)).collect()
}

/// Whether the queue holds at least so many messages that nobody has acknowledged: of this sender, or
/// of all.
///
/// # Errors
/// Any [`DbError`].
pub async fn fullness(
    tx: &mut Tx,
    place: &Place,
    sender: Option<i64>,
    limit: i64,
) -> Result<bool, DbError> {
    let mut values = args![place.system, place.queue.as_str(), place.node.as_str(), limit - 1];
    let of = match sender {
        Some(sender) => {
            values.extend(args![sender]);
            "AND sender_id = $5 "
        }
        None => "",
    };
    let sql = format!(
        "SELECT 1 FROM mailbox_message WHERE system_id = $1 AND queue = $2 AND node_id = $3 \
         AND acknowledged_at IS NULL {of}LIMIT 1 OFFSET $4"
    );
    Ok(tx.query_one(&sql, values).await?.is_some())
}

/// Whether at least so many answers to a request have been taken, statuses too.
///
/// # Errors
/// Any [`DbError`].
pub async fn answered_often(tx: &mut Tx, request: &Open, limit: i64) -> Result<bool, DbError> {
    let sql = "SELECT 1 FROM mailbox_message WHERE request_id = $1 AND queue = 'response' \
        AND system_id = $2 LIMIT 1 OFFSET $3";
    let values = args![request.message_id, request.system, limit - 1];
    Ok(tx.query_one(sql, values).await?.is_some())
}

/// A request that waits for its provider.
#[derive(Clone, Debug)]
pub struct Open {
    /// Its id.
    pub message_id: Uuid,
    /// Who asked.
    pub system: i64,
    /// Its node.
    pub node: String,
    /// Kind of messages.
    pub message_type: String,
    /// Namespace of the root of its content.
    pub namespace: String,
    /// Local name of that.
    pub element: String,
    /// Who is to answer.
    pub provider: Option<i64>,
    /// Whether something may still be taken for it.
    pub open: bool,
    /// Version of the exchange it came by.
    pub version: String,
}

const OPEN: &str = "SELECT message_id, system_id, node_id, message_type, root_namespace, \
    root_element, provider_id, closed_at IS NULL, version FROM mailbox_request";

pub(super) fn read_open(row: &Row) -> Result<Open, DbError> {
    Ok(Open {
        message_id: row.get(0)?,
        system: row.get(1)?,
        node: row.get(2)?,
        message_type: row.get(3)?,
        namespace: row.get(4)?,
        element: row.get(5)?,
        provider: row.get(6)?,
        open: row.get(7)?,
        version: row.get(8)?,
    })
}

/// The request of this id.
///
/// # Errors
/// Any [`DbError`].
pub async fn open_request(tx: &mut Tx, message_id: Uuid) -> Result<Option<Open>, DbError> {
    let sql = format!("{OPEN} WHERE message_id = $1");
    tx.query_one(&sql, args![message_id]).await?.as_ref().map(read_open).transpose()
}

/// Requests whose end of life has passed and that nobody has answered.
///
/// # Errors
/// Any [`DbError`].
pub async fn expired(db: &Db, now: DateTime<Utc>, limit: i64) -> Result<Vec<Open>, DbError> {
    let sql = format!(
        "{OPEN} WHERE closed_at IS NULL AND end_of_life < $1 ORDER BY end_of_life LIMIT $2"
    );
    db.query(&sql, args![now, limit]).await?.iter().map(read_open).collect()
}

/// Ends a request that outlived its time, and takes it from the queue of its provider. False when
/// it has been ended meanwhile.
///
/// # Errors
/// Any [`DbError`].
pub async fn give_up(tx: &mut Tx, request: Uuid) -> Result<bool, DbError> {
    let now = tx.now_sql();
    let sql = format!(
        "UPDATE mailbox_request SET closed_at = {now} WHERE message_id = $1 AND closed_at IS NULL"
    );
    if tx.execute(&sql, args![request]).await? == 0 {
        return Ok(false);
    }
    let sql = format!(
        "UPDATE mailbox_message SET acknowledged_at = {now}, content = NULL \
         WHERE message_id = $1 AND acknowledged_at IS NULL"
    );
    tx.execute(&sql, args![request]).await?;
    let sql = "DELETE FROM mailbox_attachment WHERE message_id = $1";
    tx.execute(sql, args![request]).await?;
    file_store::remove(tx, request).await?;
    Ok(true)
}

/// Queues of a system with the number of messages that wait: of this node, or of all.
///
/// # Errors
/// Any [`DbError`].
pub async fn lengths(
    db: &Db,
    system: i64,
    node: Option<&str>,
) -> Result<Vec<(Queue, String, i64)>, DbError> {
    let sql = "SELECT queue, node_id, count(*) FROM mailbox_message \
        WHERE system_id = $1 AND acknowledged_at IS NULL AND (node_id = $2 OR $2 IS NULL) \
        GROUP BY queue, node_id ORDER BY queue, node_id";
    let rows = db.query(sql, args![system, node]).await?;
    let read = |row: &Row| Ok((Queue::parse(&row.get::<String>(0)?), row.get(1)?, row.get(2)?));
    rows.iter().map(read).collect()
}

/// A queue as operators see it.
#[derive(Clone, Debug)]
pub struct QueueState {
    /// Mnemonic of whose it is.
    pub system: String,
    /// Which one.
    pub queue: Queue,
    /// Of which node; empty for the common queue.
    pub node: String,
    /// Messages that wait, handed out ones included.
    pub waiting: i64,
    /// Of them, handed out and not yet confirmed.
    pub out: i64,
    /// Most times one of them was handed out.
    pub deliveries: i64,
    /// When the oldest was queued.
    pub oldest: Option<DateTime<Utc>>,
    /// When it was last polled.
    pub polled: Option<DateTime<Utc>>,
}

/// All queues in which something waits or that are polled.
///
/// # Errors
/// Any [`DbError`].
pub async fn queues(db: &Db) -> Result<Vec<QueueState>, DbError> {
    let sql = format!(
        "SELECT s.mnemonic, q.queue, q.node_id, coalesce(w.waiting, 0), coalesce(w.out, 0), \
         coalesce(w.deliveries, 0), w.oldest, p.polled_at FROM \
         (SELECT system_id, queue, node_id FROM mailbox_poll UNION SELECT DISTINCT system_id, \
          queue, node_id FROM mailbox_message WHERE acknowledged_at IS NULL UNION \
          SELECT system_id, 'status', '' FROM mailbox_status) q \
         JOIN federal_system s ON s.id = q.system_id \
         LEFT JOIN (SELECT system_id, queue, node_id, count(*) AS waiting, \
          sum(CASE WHEN leased_until > {} THEN 1 ELSE 0 END) AS out, \
          max(deliveries) AS deliveries, min(queued_at) AS oldest \
          FROM (SELECT system_id, queue, node_id, leased_until, deliveries, queued_at \
          FROM mailbox_message WHERE acknowledged_at IS NULL UNION ALL SELECT system_id, 'status', '', \
          leased_until, deliveries, queued_at FROM mailbox_status) m \
          GROUP BY system_id, queue, node_id) w \
         ON w.system_id = q.system_id AND w.queue = q.queue AND w.node_id = q.node_id \
         LEFT JOIN mailbox_poll p ON p.system_id = q.system_id AND p.queue = q.queue \
         AND p.node_id = q.node_id ORDER BY s.mnemonic, q.queue, q.node_id",
        db.now_sql()
    );
    let read = |row: &Row| {
        Ok(QueueState {
            system: row.get(0)?,
            queue: Queue::parse(&row.get::<String>(1)?),
            node: row.get(2)?,
            waiting: row.get(3)?,
            out: row.get(4)?,
            deliveries: row.get(5)?,
            oldest: row.get(6)?,
            polled: row.get(7)?,
        })
    };
    db.query(&sql, vec![]).await?.iter().map(read).collect()
}
