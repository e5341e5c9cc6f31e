//! Answers on their way to the node of the federal exchange, and how the conversation with it goes.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{MailboxError, compress, decompress};
use crate::args;
use crate::storage::db::{Db, DbError, Row, Tx};

/// Longest words of a fault that are kept, in characters.
const WORDS: usize = 2000;

/// Rows on which something is to be done: sent, or confirmed to the node.
const OPEN: &str = "(state = 'waiting' OR acknowledged_at IS NULL)";

/// An answer about to wait.
#[derive(Clone, Debug)]
pub struct NewAnswer<'a> {
    /// The request that it answers.
    pub request: Uuid,
    /// Id under which it is sent.
    pub message: Uuid,
    /// Version of the exchange in which it is written.
    pub version: &'static str,
    /// Return address of the request.
    pub reply_to: &'a str,
    /// Code of the refusal; none when it has content.
    pub rejection: Option<&'a str>,
    /// The signed message …
    pub envelope: &'a [u8],
    /// … and its SHA-256.
    pub sha256: Vec<u8>,
}

/// An answer on which something is to be done now.
#[derive(Clone, Debug)]
pub struct Due {
    /// The request that it answers.
    pub request: Uuid,
    /// Id under which it is sent.
    pub message: Uuid,
    /// Version of the exchange in which it is written.
    pub version: String,
    /// Return address of the request.
    pub reply_to: String,
    /// Code of the refusal that is answered; none when it has content.
    pub rejection: Option<String>,
    /// The signed message; none when there is nothing to be sent any more.
    pub envelope: Option<Vec<u8>>,
    /// Whether the node is still to be told that we have the request.
    pub unconfirmed: bool,
    /// Times it was tried, with this one.
    pub tries: i64,
    /// What was answered the last time.
    pub fault: Option<String>,
    /// Mnemonic of who asked.
    pub asker: String,
}

/// What went wrong: the name of a fault or our word for it, and words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Name of the fault.
    pub fault: String,
    /// In words.
    pub text: String,
}

impl Trouble {
    /// The words, as far as there is room.
    pub(super) fn words(&self) -> String {
        self.text.chars().take(WORDS).collect()
    }
}

/// Writes an answer, to be sent at once.
///
/// # Errors
/// Any [`MailboxError`].
pub async fn put(tx: &mut Tx, answer: &NewAnswer<'_>) -> Result<(), MailboxError> {
    let sql = format!(
        "INSERT INTO remote_answer (request_id, message_id, version, reply_to, rejection, envelope, \
         envelope_sha256, state, tries, next_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', 0, {0}, {0})",
        tx.now_sql()
    );
    let values = args![
        answer.request,
        answer.message,
        answer.version,
        answer.reply_to,
        answer.rejection,
        compress(answer.envelope)?,
        answer.sha256.clone(),
    ];
    tx.execute(&sql, values).await?;
    Ok(())
}

/// The node hands a request out again: when it has been answered before, the node will be told again
/// that we have it. False when no such request is known.
///
/// # Errors
/// Any [`DbError`].
pub async fn repeat(tx: &mut Tx, request: Uuid) -> Result<bool, DbError> {
    // One that is being tried stays hidden as long as it was.
    let sql = format!(
        "UPDATE remote_answer SET tries = CASE WHEN acknowledged_at IS NULL THEN tries ELSE 0 END, \
         next_at = CASE WHEN acknowledged_at IS NULL THEN next_at ELSE {} END, \
         acknowledged_at = NULL WHERE request_id = $1",
        tx.now_sql()
    );
    Ok(tx.execute(&sql, args![request]).await? == 1)
}

/// Whether a message is an answer that we have sent, under this id or before.
///
/// # Errors
/// Any [`DbError`].
pub async fn is_ours(db: &Db, message: Uuid) -> Result<bool, DbError> {
    let sql = "SELECT 1 FROM remote_answer WHERE message_id = $1 OR told_of = $1";
    Ok(db.query_one(sql, args![message]).await?.is_some())
}

/// Whether a message is one that we have taken, whoever handed it to us.
///
/// # Errors
/// Any [`DbError`].
pub async fn is_taken(db: &Db, message: Uuid) -> Result<bool, DbError> {
    let sql = "SELECT 1 FROM mailbox_request WHERE message_id = $1";
    Ok(db.query_one(sql, args![message]).await?.is_some())
}

/// Takes what is due, at most so much, and hides it from others for so many seconds.
///
/// # Errors
/// Any [`MailboxError`].
pub async fn claim(tx: &mut Tx, most: i64, seconds: u64) -> Result<Vec<Due>, MailboxError> {
    let (now, until) = (tx.now_sql(), tx.after_sql(seconds));
    let sql = format!(
        "WITH due AS (SELECT request_id FROM remote_answer WHERE {OPEN} AND next_at <= {now} \
         ORDER BY next_at LIMIT $1 {}) UPDATE remote_answer SET next_at = {until}, \
         tries = tries + 1 WHERE request_id IN (SELECT request_id FROM due) RETURNING request_id, message_id, version, reply_to, \
         rejection, CASE WHEN state = 'waiting' THEN envelope END, \
         acknowledged_at IS NULL, tries, fault, (SELECT s.mnemonic FROM mailbox_request r \
         JOIN federal_system s ON s.id = r.system_id WHERE r.message_id = request_id)",
        tx.skip_locked_sql()
    );
    let read = |row: &Row| -> Result<Due, MailboxError> {
        let envelope: Option<Vec<u8>> = row.get(5)?;
        Ok(Due {
            request: row.get(0)?,
            message: row.get(1)?,
            version: row.get(2)?,
            reply_to: row.get(3)?,
            rejection: row.get(4)?,
            envelope: envelope.map(|frame| decompress(&frame)).transpose()?,
            unconfirmed: row.get(6)?,
            tries: row.get(7)?,
            fault: row.get(8)?,
            asker: row.get(9)?,
        })
    };
    tx.query(&sql, args![most]).await?.iter().map(read).collect()
}

/// The node has taken the answer sent under this id. False when it was known.
///
/// # Errors
/// Any [`DbError`].
pub async fn sent(tx: &mut Tx, request: Uuid, message: Uuid) -> Result<bool, DbError> {
    let sql = format!(
        "UPDATE remote_answer SET state = 'sent', sent_at = {0}, envelope = NULL, tries = 0, \
         next_at = {0}, fault = NULL, fault_text = NULL, faulted_at = NULL \
         WHERE request_id = $1 AND message_id = $2 AND state = 'waiting'",
        tx.now_sql()
    );
    Ok(tx.execute(&sql, args![request, message]).await? == 1)
}

/// The node knows that we have the request.
///
/// # Errors
/// Any [`DbError`].
pub async fn confirmed(db: &Db, request: Uuid) -> Result<(), DbError> {
    let sql = format!(
        "UPDATE remote_answer SET acknowledged_at = {}, tries = 0, \
         fault = CASE WHEN state = 'parked' THEN fault END, \
         fault_text = CASE WHEN state = 'parked' THEN fault_text END, \
         faulted_at = CASE WHEN state = 'parked' THEN faulted_at END WHERE request_id = $1",
        db.now_sql()
    );
    db.execute(&sql, args![request]).await.map(|_| ())
}

/// The answer is to be tried again after so many seconds.
///
/// # Errors
/// Any [`DbError`].
pub async fn put_off(
    db: &Db,
    request: Uuid,
    seconds: u64,
    trouble: &Trouble,
) -> Result<(), DbError> {
    let sql = format!(
        "UPDATE remote_answer SET next_at = {}, fault = $2, fault_text = $3, faulted_at = {} \
         WHERE request_id = $1",
        db.after_sql(seconds),
        db.now_sql()
    );
    let values = args![request, trouble.fault.as_str(), trouble.words()];
    db.execute(&sql, values).await.map(|_| ())
}

/// Another message takes the place of one that waits, to be sent at once. False when that does not
/// wait any more.
///
/// # Errors
/// Any [`MailboxError`].
pub async fn replace(
    tx: &mut Tx,
    old: Uuid,
    new: &NewAnswer<'_>,
    trouble: &Trouble,
) -> Result<bool, MailboxError> {
    let sql = format!(
        "UPDATE remote_answer SET message_id = $3, rejection = $4, envelope = $5, \
         envelope_sha256 = $6, tries = 0, next_at = {0}, fault = $7, fault_text = $8, \
         faulted_at = {0} WHERE request_id = $1 AND message_id = $2 AND state = 'waiting'",
        tx.now_sql()
    );
    let values = args![
        new.request,
        old,
        new.message,
        new.rejection,
        compress(new.envelope)?,
        new.sha256.clone(),
        trouble.fault.as_str(),
        trouble.words(),
    ];
    Ok(tx.execute(&sql, values).await? == 1)
}

/// Sends an answer no more until an operator says so. False when it does not wait.
///
/// # Errors
/// Any [`DbError`].
pub async fn park(
    tx: &mut Tx,
    request: Uuid,
    message: Uuid,
    trouble: &Trouble,
) -> Result<bool, DbError> {
    let sql = format!(
        "UPDATE remote_answer SET state = 'parked', tries = 0, next_at = {0}, fault = $3, \
         fault_text = $4, faulted_at = {0} \
         WHERE request_id = $1 AND message_id = $2 AND state = 'waiting'",
        tx.now_sql()
    );
    let values = args![request, message, trouble.fault.as_str(), trouble.words()];
    Ok(tx.execute(&sql, values).await? == 1)
}

/// An answer of which the node has told what became of it.
#[derive(Clone, Debug)]
pub struct Fate {
    /// The request that it answers.
    pub request: Uuid,
    /// Id under which it is sent now.
    pub message: Uuid,
    /// Version of the exchange in which it is written.
    pub version: String,
    /// Return address of the request.
    pub reply_to: String,
    /// Mnemonic of who asked.
    pub asker: String,
}

/// Writes down what the node told of a message; `None` when that is no answer of ours.
///
/// # Errors
/// Any [`DbError`].
pub async fn hear(tx: &mut Tx, message: Uuid, told: &str) -> Result<Option<Fate>, DbError> {
    let sql = format!(
        "UPDATE remote_answer SET told = $2, told_at = {}, told_of = $1 \
         WHERE message_id = $1 OR told_of = $1 RETURNING request_id, message_id, version, reply_to, \
         (SELECT s.mnemonic FROM mailbox_request r JOIN federal_system s ON s.id = r.system_id \
         WHERE r.message_id = request_id)",
        tx.now_sql()
    );
    let Some(row) = tx.query_one(&sql, args![message, told]).await? else { return Ok(None) };
    Ok(Some(Fate {
        request: row.get(0)?,
        message: row.get(1)?,
        version: row.get(2)?,
        reply_to: row.get(3)?,
        asker: row.get(4)?,
    }))
}

/// Another message waits in the place of one that the node had taken and then refused, until an operator
/// says that it may be sent.
///
/// # Errors
/// Any [`MailboxError`].
pub async fn park_late(
    tx: &mut Tx,
    new: &NewAnswer<'_>,
    trouble: &Trouble,
) -> Result<(), MailboxError> {
    let sql = format!(
        "UPDATE remote_answer SET state = 'parked', message_id = $2, rejection = $3, envelope = $4, \
         envelope_sha256 = $5, tries = 0, next_at = {0}, fault = $6, fault_text = $7, \
         faulted_at = {0} WHERE request_id = $1",
        tx.now_sql()
    );
    let values = args![
        new.request,
        new.message,
        new.rejection,
        compress(new.envelope)?,
        new.sha256.clone(),
        trouble.fault.as_str(),
        trouble.words(),
    ];
    tx.execute(&sql, values).await?;
    Ok(())
}

/// Sends a parked answer again. False when none is parked for the request.
///
/// # Errors
/// Any [`DbError`].
pub async fn send_again(tx: &mut Tx, request: Uuid) -> Result<bool, DbError> {
    let sql = format!(
        "UPDATE remote_answer SET state = 'waiting', tries = 0, next_at = {} \
         WHERE request_id = $1 AND state = 'parked'",
        tx.now_sql()
    );
    Ok(tx.execute(&sql, args![request]).await? == 1)
}

/// How many answers are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depths {
    /// To be sent.
    pub waiting: i64,
    /// Requests that the node still has to be told about.
    pub unconfirmed: i64,
    /// Refused by the node for good.
    pub parked: i64,
}

/// Counts them.
///
/// # Errors
/// Any [`DbError`].
pub async fn depths(db: &Db) -> Result<Depths, DbError> {
    let sql = format!(
        "SELECT count(*), coalesce(sum(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END), 0), \
         (SELECT count(*) FROM remote_answer WHERE state = 'parked') \
         FROM remote_answer WHERE {OPEN}"
    );
    let Some(row) = db.query_one(&sql, vec![]).await? else { return Ok(Depths::default()) };
    let (open, waiting): (i64, i64) = (row.get(0)?, row.get(1)?);
    Ok(Depths { waiting, unconfirmed: open - waiting, parked: row.get(2)? })
}

/// An answer as operators see it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The request that it answers.
    pub request: Uuid,
    /// Id under which it is sent.
    pub message: Uuid,
    /// Mnemonic of who asked.
    pub asker: String,
    /// Root element of the request.
    pub question: String,
    /// Code of the refusal that is answered.
    pub rejection: Option<String>,
    /// `waiting`, `sent`, `parked`.
    pub state: String,
    /// Times it was tried in this state.
    pub tries: i64,
    /// When it is tried next.
    pub next_at: DateTime<Utc>,
    /// What was answered last.
    pub trouble: Option<Trouble>,
    /// When that was.
    pub faulted_at: Option<DateTime<Utc>>,
    /// When the request was answered.
    pub created_at: DateTime<Utc>,
}

/// Answers that have not reached their end, oldest first, at most so many.
///
/// # Errors
/// Any [`DbError`].
pub async fn unfinished(db: &Db, most: i64) -> Result<Vec<Listed>, DbError> {
    let sql = format!(
        "SELECT a.request_id, a.message_id, s.mnemonic, r.root_element, a.rejection, a.state, \
         a.tries, a.next_at, a.fault, a.fault_text, a.faulted_at, a.created_at \
         FROM remote_answer a JOIN mailbox_request r ON r.message_id = a.request_id \
         JOIN federal_system s ON s.id = r.system_id WHERE {OPEN} OR state = 'parked' \
         ORDER BY a.created_at LIMIT $1"
    );
    let read = |row: &Row| {
        let fault: Option<String> = row.get(8)?;
        let text: Option<String> = row.get(9)?;
        Ok(Listed {
            request: row.get(0)?,
            message: row.get(1)?,
            asker: row.get(2)?,
            question: row.get(3)?,
            rejection: row.get(4)?,
            state: row.get(5)?,
            tries: row.get(6)?,
            next_at: row.get(7)?,
            trouble: fault.map(|fault| Trouble { fault, text: text.unwrap_or_default() }),
            faulted_at: row.get(10)?,
            created_at: row.get(11)?,
        })
    };
    db.query(&sql, args![most]).await?.iter().map(read).collect()
}

/// How the conversation with the node goes.
#[derive(Clone, Debug)]
pub struct NodeState {
    /// Address that is polled.
    pub url: String,
    /// When it last answered a poll.
    pub polled_at: Option<DateTime<Utc>>,
    /// What it answered last instead.
    pub trouble: Option<Trouble>,
    /// When that was.
    pub faulted_at: Option<DateTime<Utc>>,
}

/// Notes that the node has answered a poll, or what it answered instead.
///
/// # Errors
/// Any [`DbError`].
pub async fn note_poll(db: &Db, url: &str, trouble: Option<&Trouble>) -> Result<(), DbError> {
    let now = db.now_sql();
    let (polled, faulted) = if trouble.is_some() { ("NULL", now) } else { (now, "NULL") };
    let sql = format!(
        "INSERT INTO remote_node (one, url, polled_at, fault, fault_text, faulted_at) \
         VALUES (1, $1, {polled}, $2, $3, {faulted}) ON CONFLICT (one) DO UPDATE SET \
         url = excluded.url, polled_at = coalesce(excluded.polled_at, remote_node.polled_at), \
         fault = excluded.fault, fault_text = excluded.fault_text, faulted_at = excluded.faulted_at"
    );
    let fault = trouble.map(|trouble| trouble.fault.clone());
    let words = trouble.map(Trouble::words);
    db.execute(&sql, args![url, fault, words]).await.map(|_| ())
}

/// How the conversation goes; `None` when there has been none.
///
/// # Errors
/// Any [`DbError`].
pub async fn node(db: &Db) -> Result<Option<NodeState>, DbError> {
    let sql = "SELECT url, polled_at, fault, fault_text, faulted_at FROM remote_node";
    let Some(row) = db.query_one(sql, vec![]).await? else { return Ok(None) };
    let fault: Option<String> = row.get(2)?;
    let text: Option<String> = row.get(3)?;
    Ok(Some(NodeState {
        url: row.get(0)?,
        polled_at: row.get(1)?,
        trouble: fault.map(|fault| Trouble { fault, text: text.unwrap_or_default() }),
        faulted_at: row.get(4)?,
    }))
}
