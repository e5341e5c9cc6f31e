//! What comes too late: requests that outlive their time without an answer, and answers that nobody will
//! pull. They are taken from their queues, and their senders told so by a message of the exchange.

use std::time::Duration;

use chrono::TimeDelta;
use openssl::sha::sha256;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Desk, TakeError, reply_to};
use crate::codec::smev3::{AsyncStatus, Fault, Provided, Told, Version, provided_response};
use crate::exchange::question::QuestionError;
use crate::storage::audit::{self, Act};
use crate::storage::db::{DbError, Tx};
use crate::storage::mailbox::{self, Message, Open, Queue, Undeliverable};

/// How often is looked.
const PERIOD: Duration = Duration::from_secs(5);

/// Turns after which is looked for files that nobody sent, and for states and queues that nobody wants.
const UNUSED_TURNS: u64 = 120;

/// Requests given up, and answers taken back, in one turn.
const BATCH: i64 = 100;

/// How long an answer waits at least for a system that was denied access: it may be let in again.
const GONE: TimeDelta = TimeDelta::days(1);

/// Looks until `stop`.
pub async fn run(desk: Desk, stop: CancellationToken) {
    let mut turn = 0_u64;
    while !stop.is_cancelled() {
        if turn.is_multiple_of(UNUSED_TURNS)
            && let Err(error) = desk.remove_unused().await
        {
            tracing::warn!(%error, "unused files and states could not be removed");
        }
        turn += 1;
        let full = match desk.give_up().await {
            Ok(count) => i64::try_from(count).is_ok_and(|count| count >= BATCH),
            Err(error) => {
                tracing::warn!(%error, "what is late could not be looked at");
                false
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(if full { Duration::ZERO } else { PERIOD }) => {}
        }
    }
}

/// A word of the exchange about a message.
struct Word<'a> {
    /// The conversation.
    request: &'a Open,
    /// Who is told, and from which queue of its nodes.
    to: (i64, String),
    /// Version in which.
    version: Version,
    status: AsyncStatus<'a>,
}

impl Desk {
    /// Gives up what is too late now; says how much was looked at.
    ///
    /// # Errors
    /// What the mailbox could not do.
    pub async fn give_up(&self) -> Result<usize, TakeError> {
        let now = self.now();
        let expired = mailbox::expired(self.db(), now, BATCH).await?;
        for request in &expired {
            self.give_up_one(request).await?;
        }
        let lost = mailbox::undeliverable(self.db(), now, now - GONE, BATCH).await?;
        for answer in &lost {
            self.take_back(answer).await?;
        }
        Ok(expired.len() + lost.len())
    }

    async fn give_up_one(&self, request: &Open) -> Result<(), TakeError> {
        let word = self.word(overdue(request)).await?;
        let mut tx = self.db().begin().await?;
        if !mailbox::give_up(&mut tx, request.message_id).await? {
            return Ok(());
        }
        put_last(&mut tx, word).await?;
        let act = Act {
            actor: "kontingent".to_owned(),
            action: "federal.give-up",
            object: format!("message:{}", request.message_id),
            detail: Some(json!({ "reason": "END_OF_LIFE" }).to_string()),
        };
        audit::append(&mut tx, self.now(), vec![act]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Takes back an answer that nobody will pull. Its provider is told that it was not delivered, and
    /// who asked that there is no answer, once.
    async fn take_back(&self, answer: &Undeliverable) -> Result<(), TakeError> {
        let request = &answer.request;
        let (reason, fault) = if answer.gone {
            let to = reply_to::write(self.secret().await?, request.message_id);
            let to = to.map_err(QuestionError::from)?;
            ("RECEIVER_BLOCKED", Fault::RequesterIsNotFound(to))
        } else {
            ("END_OF_LIFE", Fault::EndOfLifeReached)
        };
        let text = fault.text();
        let version = Version::parse(&answer.version).unwrap_or(Version::V13);
        let status = AsyncStatus {
            original_id: answer.message_id,
            category: version.rejected_response(),
            details: &text,
            fault: Some((fault.element(), &text)),
        };
        let to = (answer.provider, String::new());
        let rejected = self.word(Word { request, to, version, status }).await?;
        let overdue = self.word(overdue(request)).await?;
        let mut tx = self.db().begin().await?;
        if !mailbox::take_back(&mut tx, answer).await? {
            return Ok(());
        }
        put_last(&mut tx, rejected).await?;
        if !mailbox::is_told(&mut tx, request).await? {
            put_last(&mut tx, overdue).await?;
        }
        let act = Act {
            actor: "kontingent".to_owned(),
            action: "federal.take-back",
            object: format!("message:{}", answer.message_id),
            detail: Some(json!({ "request": request.message_id, "reason": reason }).to_string()),
        };
        audit::append(&mut tx, self.now(), vec![act]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A word of ours as a message about to wait, signed.
    async fn word(&self, word: Word<'_>) -> Result<Message, TakeError> {
        let Word { request, to: (system, node), version, status } = word;
        let message_id = self.message_id(self.now());
        let to = reply_to::write(self.secret().await?, request.message_id);
        let to = to.map_err(QuestionError::from)?;
        let told = Told::Async(status);
        let data = provided_response(version, &Provided { message_id, to: &to, told });
        Ok(Message {
            message_id,
            queue: Queue::Response,
            system,
            node,
            request_id: request.message_id,
            sender: None,
            message_type: request.message_type.clone(),
            vip: false,
            version: version.as_str(),
            sha256: sha256(data.as_bytes()).to_vec(),
            signature: Some(self.seal().provided(version, &data)?),
            content: data.into_bytes(),
            attachments: Vec::new(),
            sequence: self.0.ids.one("mailbox_answer").await?,
        })
    }

    /// Removes files that nobody sent, states that nobody asked for, and what was noted of queues that
    /// nobody polls.
    async fn remove_unused(&self) -> Result<(), DbError> {
        self.remove_unused_files().await?;
        let mut tx = self.db().begin().await?;
        mailbox::forget_states(&mut tx).await?;
        mailbox::forget_polls(&mut tx).await?;
        tx.commit().await
    }
}

/// That there is no answer to a request: it has outlived its time.
fn overdue(request: &Open) -> Word<'_> {
    let text = "Превышено время жизни сообщения.";
    let status = AsyncStatus {
        original_id: request.message_id,
        category: "requestIsRejectedBySmev",
        details: text,
        fault: Some(("EndOfLifeReached", text)),
    };
    let version = Version::parse(&request.version).unwrap_or(Version::V13);
    Word { request, to: (request.system, request.node.clone()), version, status }
}

/// Puts a word of ours behind whatever was said of the request in the same instant.
async fn put_last(tx: &mut Tx, mut message: Message) -> Result<(), TakeError> {
    let last = mailbox::last_sequence(tx, message.request_id).await?;
    message.sequence = message.sequence.max(last + 1);
    mailbox::put_messages(tx, &[&message]).await?;
    Ok(())
}
