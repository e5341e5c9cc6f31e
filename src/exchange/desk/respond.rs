//! SendResponse: the answer of a system of the region goes into the queue of who asked.

use chrono::{DateTime, Utc};
use openssl::sha::sha256;
use serde_json::json;

use super::{Caller, Desk, QUEUE_LIMIT, Sent, TakeError, files, reply_to};
use crate::codec::smev3::{Content, Send, SendResponse};
use crate::exchange::question::QuestionError;
use crate::storage::audit::{self, Act};
use crate::storage::mailbox::{self, Message, Open, Place, Queue};

/// Most statuses of one request.
const STATUSES: i64 = 100;

impl Desk {
    /// Takes an answer. Returns when it was taken and who gets it.
    ///
    /// # Errors
    /// [`TakeError`]; nothing is stored then.
    pub async fn send_response(
        &self,
        caller: &Caller,
        sent: Sent<Send<SendResponse>>,
    ) -> Result<(DateTime<Utc>, i64), TakeError> {
        let now = self.now();
        let address = reply_to::read(self.secret().await?, &sent.message.data.to);
        let address = address.map_err(QuestionError::from)?.ok_or(TakeError::Address)?;
        let mut tx = self.db().begin_read().await?;
        if !mailbox::taken(&mut tx, &[sent.message_id]).await?.is_empty() {
            return Err(TakeError::AlreadySent);
        }
        let request = mailbox::open_request(&mut tx, address).await?;
        let request = request.filter(|request| request.provider == Some(caller.system.id));
        let request = request.filter(|request| request.open).ok_or(TakeError::Address)?;
        self.judge_content(&request, &sent.message.data.content).await?;
        let (system, node) = (request.system, request.node.clone());
        let place = Place { system, queue: Queue::Response, node };
        let last = !matches!(sent.message.data.content, Content::Progress(_));
        let often = !last && mailbox::answered_often(&mut tx, &request, STATUSES).await?;
        let full = often || mailbox::fullness(&mut tx, &place, None, QUEUE_LIMIT).await?;
        tx.commit().await?;
        if full {
            let owner = self.participant(request.system).await?.mnemonic;
            return Err(TakeError::QueueFull(format!("{owner}.response")));
        }
        let references = &sent.message.references;
        let stored = self.judge_files(caller.system.id, request.system, references).await?;
        let mut message = self.answer_of(caller, sent, &request).await?;
        let act = Act {
            actor: caller.system.mnemonic.clone(),
            action: "federal.respond",
            object: format!("message:{}", message.message_id),
            detail: Some(json!({ "request": request.message_id, "last": last }).to_string()),
        };
        let mut tx = self.db().begin().await?;
        // Of two last answers at the same time one comes too late, and a status never comes behind one:
        // who writes first holds the request until it stands.
        let held = mailbox::hold(&mut tx, request.message_id, caller.system.id).await?;
        message.sequence = message.sequence.max(held.ok_or(TakeError::Address)? + 1);
        if !mailbox::reserve_answer(&mut tx, message.message_id).await? {
            return Err(TakeError::AlreadySent);
        }
        if last && !mailbox::close(&mut tx, request.message_id, caller.system.id).await? {
            return Err(TakeError::Address);
        }
        if mailbox::put_messages(&mut tx, &[&message]).await?.is_empty() {
            return Err(TakeError::AlreadySent);
        }
        let ends = (caller.system.id, request.system);
        files::bind(&mut tx, ends, message.message_id, &stored).await?;
        audit::append(&mut tx, now, vec![act]).await?;
        tx.commit().await?;
        Ok((now, request.system))
    }

    /// Whether this may be answered to the request.
    async fn judge_content(&self, request: &Open, content: &Content) -> Result<(), TakeError> {
        match content {
            Content::Primary(root) => {
                let picture = self.picture().await.map_err(TakeError::Members)?;
                let (namespace, local) = (&root.namespace, &root.local);
                if picture.members.answers(&request.message_type, namespace, local) {
                    return Ok(());
                }
                let (kind, _) = self.kind(namespace, local).await?;
                match kind {
                    Some(kind) if kind.code == request.message_type && !kind.is_request => Ok(()),
                    Some(_) => Err(TakeError::AnotherKind),
                    None if self.is_sandbox() => Ok(()),
                    None => Err(TakeError::UnknownKind),
                }
            }
            Content::OfTheExchange => Err(TakeError::AnotherKind),
            Content::Rejected(_) | Content::Progress(_) => Ok(()),
        }
    }

    async fn answer_of(
        &self,
        caller: &Caller,
        sent: Sent<Send<SendResponse>>,
        request: &Open,
    ) -> Result<Message, TakeError> {
        let attachments = sent.message.attachments.into_iter();
        Ok(Message {
            message_id: sent.message_id,
            queue: Queue::Response,
            system: request.system,
            node: request.node.clone(),
            request_id: request.message_id,
            sender: Some(caller.system.id),
            message_type: request.message_type.clone(),
            vip: false,
            version: sent.version.as_str(),
            sha256: sha256(sent.data.as_bytes()).to_vec(),
            content: sent.data.into_bytes(),
            signature: Some(sent.signature),
            attachments: attachments.map(|file| (file.id, file.bytes)).collect(),
            sequence: self.0.ids.one("mailbox_answer").await?,
        })
    }
}
