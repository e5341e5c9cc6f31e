//! GetRequest, GetResponse, Ack: what waits is handed out, hidden from others for 15 minutes, and
//! confirmed.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::files::Pass;
use super::post::{Ack, Deed};
use super::{Caller, Desk, TakeError, reply_to};
use crate::codec::smev3::{Version, translate, translate_own};
use crate::exchange::question::QuestionError;
use crate::storage::federal_system::FederalSystem;
use crate::storage::mailbox::{self, Leased, MailboxError, Place, Queue, Selector, State};

/// How long a call waits for others that are taking what waits, at first; each pause is twice as long as
/// the one before, a second together.
const FIRST_PAUSE: Duration = Duration::from_millis(4);
const LONGEST_PAUSE: Duration = Duration::from_millis(512);

/// A message handed out.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The message.
    pub leased: Leased,
    /// The data of its sender, in the version of the caller.
    pub provided: String,
    /// The sender's signature over it; none when it would not stand in this version.
    pub signature: Option<String>,
    /// Who sent it; nobody when we did.
    pub sender: Option<Arc<FederalSystem>>,
    /// Where an answer to it goes, when it is a request.
    pub reply_to: String,
    /// Files in the store, and how to fetch them.
    pub files: Vec<Pass>,
}

impl Desk {
    /// Hands out the first message of a queue of the caller: of any kind, or of the one with this
    /// root element.
    ///
    /// # Errors
    /// [`TakeError::UnknownKind`], or what the mailbox could not do.
    pub async fn next(
        &self,
        caller: &Caller,
        queue: Queue,
        node: Option<String>,
        root: Option<&(String, String)>,
        version: Version,
    ) -> Result<Option<Delivered>, TakeError> {
        let message_type = match root {
            Some((namespace, local)) => {
                let (kind, _) = self.kind(namespace, local).await?;
                Some(kind.ok_or(TakeError::UnknownKind)?.code)
            }
            None => None,
        };
        // Requests have one queue only, whoever of a system's nodes polls it.
        let node = if queue == Queue::Request { String::new() } else { node.unwrap_or_default() };
        let selector =
            Selector { place: Place { system: caller.system.id, queue, node }, message_type };
        self.note_poll(&selector.place).await?;
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some((leased, files)) = self.0.handing.perform(selector.clone()).await? {
                return self.delivered(leased, files, queue, version).await.map(Some);
            }
            // A call that has begun to take a message may yet leave it: nothing waits only when no
            // such call is left.
            if !mailbox::waits(self.db(), &selector).await? {
                return Ok(None);
            }
            if pause > LONGEST_PAUSE {
                return Err(MailboxError::Held.into());
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn delivered(
        &self,
        mut leased: Leased,
        files: Vec<Pass>,
        queue: Queue,
        version: Version,
    ) -> Result<Delivered, TakeError> {
        let written = Version::parse(&leased.version).unwrap_or(Version::V13);
        let content = std::mem::take(&mut leased.content);
        let content = String::from_utf8(content).unwrap_or_default();
        let signature = leased.signature.take();
        let sender = match leased.sender {
            Some(id) => self.system(id).await?,
            None => None,
        };
        let translated = if leased.sender.is_some() { translate } else { translate_own };
        let provided = translated(content, written, version);
        // What we said ourselves we say again.
        let signature = match leased.sender {
            None if written != version => Some(self.seal().provided(version, &provided)?),
            _ => signature.filter(|_| written == version),
        };
        let reply_to = match queue {
            Queue::Request => reply_to::write(self.secret().await?, leased.request_id)
                .map_err(QuestionError::from)?,
            Queue::Response | Queue::Status => String::new(),
        };
        Ok(Delivered { leased, provided, signature, sender, reply_to, files })
    }

    /// Hands out the next message of the caller that has reached its receiver.
    ///
    /// # Errors
    /// [`TakeError::UnknownKind`] when the caller may send nothing, and so has no such queue.
    pub async fn next_state(&self, caller: &Caller) -> Result<Option<State>, TakeError> {
        let system = caller.system.id;
        let (queue, node) = (Queue::Status, String::new());
        self.note_poll(&Place { system, queue, node }).await?;
        let mut tx = self.db().begin().await?;
        let state = mailbox::lease_state(&mut tx, system).await?;
        tx.commit().await?;
        if state.is_none() {
            let mut members =
                Arc::clone(&self.picture().await.map_err(TakeError::Members)?.members);
            if !members.may_send(&caller.system) {
                // It may have been allowed to within the last second.
                let fresh = self.0.parties.snapshot().await.map_err(TakeError::Members)?;
                members = Arc::clone(&fresh.members);
            }
            if !members.may_send(&caller.system) {
                return Err(TakeError::UnknownKind);
            }
        }
        Ok(state)
    }

    /// Ends the delivery of a message; false when none of that id is out.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn acknowledge(
        &self,
        caller: &Caller,
        message_id: Uuid,
        accepted: bool,
    ) -> Result<bool, MailboxError> {
        let (system, mnemonic) = (caller.system.id, caller.system.mnemonic.clone());
        self.0.writing.perform(Deed::Ack(Ack { system, mnemonic, message_id, accepted })).await
    }

    /// Names of the caller's queues, and how many messages wait in them.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn lengths(
        &self,
        caller: &Caller,
        node: Option<&str>,
    ) -> Result<Vec<(String, i64)>, MailboxError> {
        let system = &caller.system;
        let found = mailbox::lengths(self.db(), system.id, node).await?;
        let name = |queue: Queue, node: &str| {
            let dot = if node.is_empty() { "" } else { "." };
            format!("{}.{}{dot}{node}", system.mnemonic, queue.as_str())
        };
        Ok(found.into_iter().map(|(queue, node, count)| (name(queue, &node), count)).collect())
    }

    async fn note_poll(&self, place: &Place) -> Result<(), MailboxError> {
        if !self.0.polled.is_due(place, self.now()) {
            return Ok(());
        }
        let mut tx = self.db().begin().await?;
        mailbox::note_poll(&mut tx, place).await?;
        tx.commit().await?;
        Ok(())
    }
}
