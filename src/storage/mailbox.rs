//! The mailbox of the federal exchange: requests taken, answers waiting to be pulled.
//!
//! A queue belongs to a system and one of its nodes. An answer that is handed out is hidden
//! for [`LEASE_SECONDS`] by the database's clock; not acknowledged, it is again the first.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::args;
use crate::storage::db::{Db, DbError, Row, Tx};

/// How long a handed out answer stays hidden from further calls, in seconds.
pub const LEASE_SECONDS: u64 = 15 * 60;

/// Level of compression: envelopes and answers are small and read once.
const ZSTD_LEVEL: i32 = 1;

/// Why the mailbox could not do it.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Stored bytes do not decompress.
    #[error("a stored answer is damaged")]
    Damaged(#[source] std::io::Error),
}

/// A request as it was taken.
#[derive(Clone, Debug)]
pub struct Request {
    /// The sender's id of the message.
    pub message_id: Uuid,
    /// Who asks.
    pub system: i64,
    /// Its node; empty for the common queue.
    pub node: String,
    /// First request of the business chain.
    pub reference: Option<Uuid>,
    /// Code of the state service.
    pub transaction_code: Option<String>,
    /// Namespace of the content's root element.
    pub namespace: String,
    /// Local name of the content's root element.
    pub element: String,
    /// Marked as a test by the sender.
    pub test: bool,
    /// The signed envelope as it came.
    pub envelope: Vec<u8>,
    /// Network address it came from.
    pub peer: String,
    /// When it was taken.
    pub received_at: DateTime<Utc>,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Our id of the answer.
    pub message_id: Uuid,
    /// Local name of the content's root element, in the namespace of the request.
    pub element: String,
    /// The data we provide.
    pub content: Vec<u8>,
    /// SHA-256 of [`Answer::content`].
    pub sha256: Vec<u8>,
    /// Our `ds:Signature` over it as its provider.
    pub signature: String,
    /// Order among answers queued in the same instant.
    pub sequence: i64,
}

/// Which queue, and what from it.
#[derive(Clone, Debug)]
pub struct Selector {
    /// Whose queue.
    pub system: i64,
    /// Queue of this node; empty for the common queue.
    pub node: String,
    /// Namespace and local name of the root element of the answer or of its request.
    pub root: Option<(String, String)>,
}

/// An answer handed out.
#[derive(Clone, Debug)]
pub struct Leased {
    /// Our id of the answer.
    pub message_id: Uuid,
    /// The request it answers.
    pub request_id: Uuid,
    /// First request of the business chain.
    pub reference: Option<Uuid>,
    /// Code of the state service.
    pub transaction_code: Option<String>,
    /// The data we provide.
    pub content: Vec<u8>,
    /// Our `ds:Signature` over it as its provider.
    pub signature: String,
    /// When it was queued.
    pub queued_at: DateTime<Utc>,
}

/// Whether a request with this id has been taken from anybody.
///
/// # Errors
/// Any [`DbError`].
pub async fn is_taken(db: &Db, message_id: Uuid) -> Result<bool, DbError> {
    let sql = "SELECT 1 FROM mailbox_request WHERE message_id = $1";
    Ok(db.query_one(sql, args![message_id]).await?.is_some())
}

/// Writes a request and its answer.
///
/// # Errors
/// [`DbError::Duplicate`] when the id of the request is taken.
pub async fn put(tx: &mut Tx, request: &Request, answer: &Answer) -> Result<(), MailboxError> {
    let sql = "INSERT INTO mailbox_request (message_id, system_id, node_id, reference_id, \
        transaction_code, root_namespace, root_element, test, envelope, peer, received_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let values = args![
        request.message_id,
        request.system,
        request.node.as_str(),
        request.reference,
        request.transaction_code.clone(),
        request.namespace.as_str(),
        request.element.as_str(),
        request.test,
        compress(&request.envelope)?,
        request.peer.as_str(),
        request.received_at,
    ];
    tx.execute(sql, values).await?;
    let sql = format!(
        "INSERT INTO mailbox_answer (message_id, request_id, system_id, node_id, \
         root_namespace, root_element, request_element, content, content_sha256, signature, \
         queued_at, sequence, deliveries) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, {}, $11, 0)",
        tx.now_sql()
    );
    let values = args![
        answer.message_id,
        request.message_id,
        request.system,
        request.node.as_str(),
        request.namespace.as_str(),
        answer.element.as_str(),
        request.element.as_str(),
        compress(&answer.content)?,
        answer.sha256.clone(),
        answer.signature.as_str(),
        answer.sequence,
    ];
    tx.execute(&sql, values).await?;
    Ok(())
}

/// Whether the queue holds at least so many answers that nobody has acknowledged.
///
/// # Errors
/// Any [`DbError`].
pub async fn is_full(db: &Db, system: i64, node: &str, limit: i64) -> Result<bool, DbError> {
    let sql = "SELECT 1 FROM mailbox_answer WHERE system_id = $1 AND node_id = $2 \
        AND acknowledged_at IS NULL LIMIT 1 OFFSET $3";
    Ok(db.query_one(sql, args![system, node, limit - 1]).await?.is_some())
}

/// Hands out the first answer that nobody holds, and hides it for [`LEASE_SECONDS`].
///
/// # Errors
/// Any [`MailboxError`].
pub async fn lease(tx: &mut Tx, selector: &Selector) -> Result<Option<Leased>, MailboxError> {
    let (now, until) = (tx.now_sql(), tx.after_sql(LEASE_SECONDS));
    let mut values = args![selector.system, selector.node.as_str()];
    let mut chosen = String::new();
    if let Some((namespace, element)) = &selector.root {
        chosen.push_str("AND root_namespace = $3 AND $4 IN (root_element, request_element) ");
        values.extend(args![namespace.as_str(), element.as_str()]);
    }
    let sql = format!(
        "UPDATE mailbox_answer SET leased_until = {until}, delivered_at = {now}, \
         deliveries = deliveries + 1 WHERE message_id = (\
         SELECT message_id FROM mailbox_answer WHERE system_id = $1 AND node_id = $2 \
         AND acknowledged_at IS NULL AND (leased_until IS NULL OR leased_until <= {now}) \
         {chosen}ORDER BY queued_at, sequence LIMIT 1 {}) \
         RETURNING message_id, request_id, content, queued_at, signature",
        tx.skip_locked_sql()
    );
    let Some(row) = tx.query_one(&sql, values).await? else { return Ok(None) };
    let request_id: Uuid = row.get(1)?;
    let sql = "SELECT reference_id, transaction_code FROM mailbox_request WHERE message_id = $1";
    let request = tx.query_one(sql, args![request_id]).await?;
    let (reference, transaction_code) = match request {
        Some(row) => (row.get(0)?, row.get(1)?),
        None => (None, None),
    };
    Ok(Some(Leased {
        message_id: row.get(0)?,
        request_id,
        reference,
        transaction_code,
        content: decompress(&row)?,
        signature: row.get(4)?,
        queued_at: row.get(3)?,
    }))
}

/// Ends the delivery of an answer handed out to this system, and forgets its content.
/// False when no answer of that id is out: never was, confirmed already, or the lease ran out.
///
/// # Errors
/// Any [`DbError`].
pub async fn acknowledge(
    tx: &mut Tx,
    system: i64,
    message_id: Uuid,
    accepted: bool,
) -> Result<bool, DbError> {
    let now = tx.now_sql();
    let sql = format!(
        "UPDATE mailbox_answer SET acknowledged_at = {now}, accepted = $3, content = NULL \
         WHERE message_id = $1 AND system_id = $2 AND acknowledged_at IS NULL \
         AND leased_until > {now}"
    );
    Ok(tx.execute(&sql, args![message_id, system, accepted]).await? == 1)
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>, MailboxError> {
    zstd::bulk::compress(bytes, ZSTD_LEVEL).map_err(MailboxError::Damaged)
}

fn decompress(row: &Row) -> Result<Vec<u8>, MailboxError> {
    let frame: Vec<u8> = row.get(2)?;
    zstd::stream::decode_all(frame.as_slice()).map_err(MailboxError::Damaged)
}
