//! Putting requests and messages into the mailbox, many in one statement.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{MailboxError, Message, Request, compress};
use crate::args;
use crate::storage::db::{DbError, Tx};
use crate::storage::input::{Column, Input};

/// Keeps these ids for the transaction: a request and an answer that are sent under one id at the same
/// time see each other, though they are rows of different tables.
async fn reserve(tx: &mut Tx, ids: impl Iterator<Item = Uuid>) -> Result<(), DbError> {
    // On SQLite the transaction is the only one that writes.
    if !tx.is_postgres() {
        return Ok(());
    }
    let mut keys: Vec<i64> = ids.map(lock_key).collect();
    // All take them in the same order: else two might wait for each other.
    keys.sort_unstable();
    let input = Input::new().column("key", Column::Int(keys.into_iter().map(Some).collect()));
    let sql = "WITH {input} SELECT count(pg_advisory_xact_lock(key)) FROM input";
    tx.query_input(sql, input, vec![]).await.map(|_| ())
}

/// Two ids of one key only wait for each other.
fn lock_key(id: Uuid) -> i64 {
    let (high, low) = id.as_u64_pair();
    (high ^ low).cast_signed()
}

/// Keeps the id of an answer; false when a request of this id has been taken.
///
/// # Errors
/// Any [`DbError`].
pub async fn reserve_answer(tx: &mut Tx, message_id: Uuid) -> Result<bool, DbError> {
    reserve(tx, std::iter::once(message_id)).await?;
    let sql = "SELECT 1 FROM mailbox_request WHERE message_id = $1";
    Ok(tx.query_one(sql, args![message_id]).await?.is_none())
}

/// Keeps a request of this provider as it is until the transaction ends: messages for it are written
/// one after the other, and nothing behind the last. Gives the greatest sequence among those that are
/// there, 0 when there are none; `None` when the request has been ended.
///
/// # Errors
/// Any [`DbError`].
pub async fn hold(tx: &mut Tx, request: Uuid, provider: i64) -> Result<Option<i64>, DbError> {
    let lock = if tx.is_postgres() { "FOR NO KEY UPDATE" } else { "" };
    let sql = format!(
        "SELECT 1 FROM mailbox_request \
         WHERE message_id = $1 AND provider_id = $2 AND closed_at IS NULL {lock}"
    );
    if tx.query_one(&sql, args![request, provider]).await?.is_none() {
        return Ok(None);
    }
    last_sequence(tx, request).await.map(Some)
}

/// The greatest sequence among messages for a request; 0 when there are none.
///
/// # Errors
/// Any [`DbError`].
pub async fn last_sequence(tx: &mut Tx, request: Uuid) -> Result<i64, DbError> {
    let sql = "SELECT coalesce(max(sequence), 0) FROM mailbox_message WHERE request_id = $1";
    tx.query_one(sql, args![request]).await?.map_or(Ok(0), |row| row.get(0))
}

/// Writes requests; gives the ids of those that were not there before, as requests or as answers.
///
/// # Errors
/// Any [`MailboxError`].
pub async fn put_requests(
    tx: &mut Tx,
    requests: &[&Request],
) -> Result<HashSet<Uuid>, MailboxError> {
    let text = |read: fn(&Request) -> Option<String>| {
        Column::Text(requests.iter().map(|one| read(one)).collect())
    };
    let int = |read: fn(&Request) -> Option<i64>| {
        Column::Int(requests.iter().map(|one| read(one)).collect())
    };
    let uuid = |read: fn(&Request) -> Option<Uuid>| {
        Column::Uuid(requests.iter().map(|one| read(one)).collect())
    };
    let instant = |read: fn(&Request) -> Option<DateTime<Utc>>| {
        Column::Instant(requests.iter().map(|one| read(one)).collect())
    };
    let envelopes = requests.iter().map(|one| compress(&one.envelope).map(Some));
    let input = Input::new()
        .column("message_id", uuid(|r| Some(r.message_id)))
        .column("origin", text(|r| Some(r.origin.as_str().to_owned())))
        .column("system_id", int(|r| Some(r.system)))
        .column("node_id", text(|r| Some(r.node.clone())))
        .column("reference_id", uuid(|r| r.reference))
        .column("transaction_code", text(|r| r.transaction_code.clone()))
        .column("root_namespace", text(|r| Some(r.namespace.clone())))
        .column("root_element", text(|r| Some(r.element.clone())))
        .column("test", Column::Flag(requests.iter().map(|r| Some(r.test)).collect()))
        .column("envelope", Column::Bytes(envelopes.collect::<Result<_, _>>()?))
        .column("peer", text(|r| Some(r.peer.clone())))
        .column("received_at", instant(|r| Some(r.received_at)))
        .column("version", text(|r| Some(r.version.to_owned())))
        .column("message_type", text(|r| Some(r.message_type.clone())))
        .column("provider_id", int(|r| r.provider))
        .column("end_of_life", instant(|r| r.end_of_life))
        // What we answer ourselves is answered in the same transaction.
        .column("closed_at", instant(|r| r.provider.is_none().then_some(r.received_at)));
    let columns = "message_id, origin, system_id, node_id, reference_id, transaction_code, \
        root_namespace, root_element, test, envelope, peer, received_at, version, message_type, \
        provider_id, end_of_life, closed_at";
    let sql = format!(
        "WITH {{input}} INSERT INTO mailbox_request ({columns}) SELECT {columns} FROM input \
         WHERE NOT EXISTS (SELECT 1 FROM mailbox_message m WHERE m.message_id = input.message_id) \
         ON CONFLICT (message_id) DO NOTHING RETURNING message_id"
    );
    reserve(tx, requests.iter().map(|request| request.message_id)).await?;
    let rows = tx.query_input(&sql, input, vec![]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect::<Result<_, DbError>>()?)
}

/// Writes messages with their files; gives the ids of those that were not there before.
///
/// # Errors
/// Any [`MailboxError`].
pub async fn put_messages(
    tx: &mut Tx,
    messages: &[&Message],
) -> Result<HashSet<Uuid>, MailboxError> {
    let text = |read: fn(&Message) -> Option<String>| {
        Column::Text(messages.iter().map(|one| read(one)).collect())
    };
    let int = |read: fn(&Message) -> Option<i64>| {
        Column::Int(messages.iter().map(|one| read(one)).collect())
    };
    let uuid = |read: fn(&Message) -> Uuid| {
        Column::Uuid(messages.iter().map(|one| Some(read(one))).collect())
    };
    let contents = messages.iter().map(|one| compress(&one.content).map(Some));
    let hashes = messages.iter().map(|one| Some(one.sha256.clone())).collect();
    let input = Input::new()
        .column("message_id", uuid(|m| m.message_id))
        .column("queue", text(|m| Some(m.queue.as_str().to_owned())))
        .column("system_id", int(|m| Some(m.system)))
        .column("node_id", text(|m| Some(m.node.clone())))
        .column("request_id", uuid(|m| m.request_id))
        .column("sender_id", int(|m| m.sender))
        .column("message_type", text(|m| Some(m.message_type.clone())))
        .column("priority", int(|m| Some(i64::from(!m.vip))))
        .column("version", text(|m| Some(m.version.to_owned())))
        .column("content", Column::Bytes(contents.collect::<Result<_, _>>()?))
        .column("content_sha256", Column::Bytes(hashes))
        .column("signature", text(|m| m.signature.clone()))
        .column("attachments", int(|m| i64::try_from(m.attachments.len()).ok()))
        .column("sequence", int(|m| Some(m.sequence)));
    let columns = "message_id, queue, system_id, node_id, request_id, sender_id, message_type, \
        priority, version, content, content_sha256, signature, attachments, sequence";
    let sql = format!(
        "WITH {{input}} INSERT INTO mailbox_message ({columns}, queued_at, deliveries) \
         SELECT {columns}, {}, 0 FROM input WHERE true \
         ON CONFLICT (message_id) DO NOTHING RETURNING message_id",
        tx.moment_sql()
    );
    let rows = tx.query_input(&sql, input, vec![]).await?;
    let new: HashSet<Uuid> = rows.iter().map(|row| row.get(0)).collect::<Result<_, DbError>>()?;
    for message in messages.iter().filter(|message| new.contains(&message.message_id)) {
        put_attachments(tx, message).await?;
    }
    Ok(new)
}

async fn put_attachments(tx: &mut Tx, message: &Message) -> Result<(), MailboxError> {
    for ((id, bytes), place) in message.attachments.iter().zip(0_i64..) {
        let sql = "INSERT INTO mailbox_attachment (message_id, place, attachment_id, content) \
            VALUES ($1, $2, $3, $4)";
        tx.execute(sql, args![message.message_id, place, id.as_str(), bytes.clone()]).await?;
    }
    Ok(())
}

/// Ends a request of this provider: nothing further is taken for it. False when it has been ended.
///
/// # Errors
/// Any [`DbError`].
pub async fn close(tx: &mut Tx, request: Uuid, provider: i64) -> Result<bool, DbError> {
    let sql = format!(
        "UPDATE mailbox_request SET closed_at = {} \
         WHERE message_id = $1 AND provider_id = $2 AND closed_at IS NULL",
        tx.now_sql()
    );
    Ok(tx.execute(&sql, args![request, provider]).await? == 1)
}
