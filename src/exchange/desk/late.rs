//! Requests that outlive their time without an answer: taken from the provider's queue, and their
//! sender told so by a message of the exchange.

use std::time::Duration;

use openssl::sha::sha256;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Desk, TakeError, reply_to};
use crate::codec::smev3::{AsyncStatus, Fault, Provided, Told, Version, provided_response};
use crate::exchange::question::QuestionError;
use crate::storage::audit::{self, Act};
use crate::storage::mailbox::{self, Message, Open, Queue};

/// How often is looked.
const PERIOD: Duration = Duration::from_secs(5);

/// Turns after which is looked for files that nobody sent.
const UNUSED_TURNS: u64 = 120;

/// Requests given up in one turn.
const BATCH: i64 = 100;

/// Looks until `stop`.
pub async fn run(desk: Desk, stop: CancellationToken) {
    let mut turn = 0_u64;
    while !stop.is_cancelled() {
        if turn.is_multiple_of(UNUSED_TURNS)
            && let Err(error) = desk.remove_unused_files().await
        {
            tracing::warn!(%error, "unused files could not be removed");
        }
        turn += 1;
        let full = match desk.give_up().await {
            Ok(count) => i64::try_from(count).is_ok_and(|count| count == BATCH),
            Err(error) => {
                tracing::warn!(%error, "late requests could not be looked at");
                false
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(if full { Duration::ZERO } else { PERIOD }) => {}
        }
    }
}

impl Desk {
    /// Gives up what is too late now; says how many requests were looked at.
    ///
    /// # Errors
    /// What the mailbox could not do.
    pub async fn give_up(&self) -> Result<usize, TakeError> {
        let expired = mailbox::expired(self.db(), self.now(), BATCH).await?;
        for request in &expired {
            self.give_up_one(request).await?;
        }
        Ok(expired.len())
    }

    async fn give_up_one(&self, request: &Open) -> Result<(), TakeError> {
        let now = self.now();
        let version = Version::parse(&request.version).unwrap_or(Version::V13);
        let to = reply_to::write(self.secret().await?, request.message_id);
        let to = to.map_err(QuestionError::from)?;
        let message_id = self.message_id(now);
        let text = Fault::EndOfLifeReached.text();
        let status = AsyncStatus {
            original_id: request.message_id,
            category: "requestIsRejectedBySmev",
            details: &text,
            fault: Some(("EndOfLifeReached", &text)),
        };
        let told = Told::Async(status);
        let data = provided_response(version, &Provided { message_id, to: &to, told });
        let mut message = Message {
            message_id,
            queue: Queue::Response,
            system: request.system,
            node: request.node.clone(),
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
        };
        let mut tx = self.db().begin().await?;
        if !mailbox::give_up(&mut tx, request.message_id).await? {
            return Ok(());
        }
        // Behind whatever its provider said of it in the same instant.
        let last = mailbox::last_sequence(&mut tx, request.message_id).await?;
        message.sequence = message.sequence.max(last + 1);
        mailbox::put_messages(&mut tx, &[&message]).await?;
        let act = Act {
            actor: "kontingent".to_owned(),
            action: "federal.give-up",
            object: format!("message:{}", request.message_id),
            detail: Some(json!({ "reason": "END_OF_LIFE" }).to_string()),
        };
        audit::append(&mut tx, now, vec![act]).await?;
        tx.commit().await?;
        Ok(())
    }
}
