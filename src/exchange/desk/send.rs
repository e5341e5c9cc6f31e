//! SendRequest: who answers such requests is found; we do, at once, or the request is put into the
//! queue of the system that does.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use openssl::sha::sha256;
use uuid::Uuid;

use super::files;
use super::look::{Inquiry, Look};
use super::post::{Deed, Put};
use super::{Caller, Desk, Sent, TakeError};
use crate::codec::smev3::{Send, SendRequest};
use crate::exchange::members::{Kind, Provider};
use crate::model::federal::PersonKey;
use crate::storage::audit::{self, Act};
use crate::storage::db::Tx;
use crate::storage::disclosure::{self, Disclosure};
use crate::storage::federal_system::FederalSystem;
use crate::storage::file_store::File;
use crate::storage::mailbox::{self, Message, Origin, Place, Queue, Request};

impl Desk {
    /// Takes a request. Returns when it was taken and which system gets it; none when we have answered.
    ///
    /// # Errors
    /// [`TakeError`]; nothing is stored then.
    pub async fn send_request(
        &self,
        caller: &Caller,
        sent: Sent<Send<SendRequest>>,
    ) -> Result<(DateTime<Utc>, Option<i64>), TakeError> {
        let content = &sent.message.data.content;
        let (kind, members) = self.kind(&content.namespace, &content.local).await?;
        let kind = kind.ok_or(TakeError::UnknownKind)?;
        let (kind, members) = self.addressed(kind, members, sent.message_id).await?;
        if !kind.is_request {
            return Err(TakeError::NotARequest);
        }
        if !members.may_ask(&caller.system, &kind) {
            return Err(TakeError::Denied);
        }
        match kind.provider {
            Provider::Us(topic) => {
                let taken_at = self.answer(caller, sent, topic, kind).await?;
                Ok((taken_at, None))
            }
            Provider::System(provider) => {
                let known = members.system(provider).filter(|known| known.active);
                let taken_at = self.hand_on(caller, sent, kind, provider, known).await?;
                Ok((taken_at, Some(provider)))
            }
        }
    }

    /// What is looked up for a message before it is taken.
    ///
    /// # Errors
    /// [`TakeError::AlreadySent`] when a message of its id was taken before.
    pub(super) async fn look(
        &self,
        message_id: Uuid,
        place: Place,
        sender: Option<i64>,
        card: Option<(PersonKey, NaiveDate)>,
    ) -> Result<Look, TakeError> {
        let look = self.0.looking.perform(Inquiry { message_id, place, sender, card }).await?;
        if look.taken { Err(TakeError::AlreadySent) } else { Ok(look) }
    }

    /// Puts a request into the queue of its provider.
    async fn hand_on(
        &self,
        caller: &Caller,
        sent: Sent<Send<SendRequest>>,
        kind: Kind,
        provider: i64,
        known: Option<&Arc<FederalSystem>>,
    ) -> Result<DateTime<Utc>, TakeError> {
        let now = self.now();
        let place = Place { system: provider, queue: Queue::Request, node: String::new() };
        let look = self.look(sent.message_id, place, Some(caller.system.id), None).await?;
        let name = known.ok_or(TakeError::NoProvider)?.mnemonic.clone();
        if look.full {
            return Err(TakeError::QueueFull(format!("{name}.request")));
        }
        let references = &sent.message.references;
        let files = self.judge_files(caller.system.id, provider, references).await?;
        let attachments = sent.message.attachments.iter();
        let message = Message {
            message_id: sent.message_id,
            queue: Queue::Request,
            system: provider,
            node: String::new(),
            request_id: sent.message_id,
            sender: Some(caller.system.id),
            message_type: kind.code.clone(),
            vip: caller.system.vip,
            version: sent.version.as_str(),
            sha256: sha256(sent.data.as_bytes()).to_vec(),
            content: sent.data.clone().into_bytes(),
            signature: Some(sent.signature.clone()),
            attachments: attachments.map(|file| (file.id.clone(), file.bytes.clone())).collect(),
            sequence: self.0.ids.one("mailbox_answer").await?,
        };
        let act = Act {
            actor: caller.system.mnemonic.clone(),
            action: "federal.hand-on",
            object: format!("message:{}", sent.message_id),
            detail: Some(serde_json::json!({ "provider": name, "kind": kind.code }).to_string()),
        };
        let request = request(caller, sent, kind.code, Some(provider), now);
        let put = Put { request, message, disclosure: None, act };
        let new = if files.is_empty() {
            self.0.writing.perform(Deed::Put(Box::new(put))).await?
        } else {
            store(self.db().begin().await?, put, &files, now).await?
        };
        if new { Ok(now) } else { Err(TakeError::AlreadySent) }
    }
}

/// Writes what belongs together in a transaction that has been begun. False when the request was
/// there before; nothing is written then.
///
/// # Errors
/// [`TakeError::Files`] and [`TakeError::Quota`] when other messages have taken a file, or the room for it,
/// meanwhile.
pub(super) async fn store(
    mut tx: Tx,
    put: Put,
    stored: &[File],
    now: DateTime<Utc>,
) -> Result<bool, TakeError> {
    if mailbox::put_requests(&mut tx, &[&put.request]).await?.is_empty() {
        return Ok(false);
    }
    mailbox::put_messages(&mut tx, &[&put.message]).await?;
    let (sender, receiver) = (put.request.system, put.message.system);
    files::bind(&mut tx, (sender, receiver), put.message.message_id, stored).await?;
    let told: Vec<&Disclosure> = put.disclosure.iter().collect();
    disclosure::write(&mut tx, &told).await?;
    audit::append(&mut tx, now, vec![put.act]).await?;
    tx.commit().await?;
    Ok(true)
}

/// A request as it is stored.
pub(super) fn request(
    caller: &Caller,
    sent: Sent<Send<SendRequest>>,
    code: String,
    provider: Option<i64>,
    now: DateTime<Utc>,
) -> Request {
    let data = sent.message.data;
    Request {
        origin: Origin::Door,
        message_id: sent.message_id,
        system: caller.system.id,
        node: data.node_id.unwrap_or_default(),
        reference: data.reference_id,
        transaction_code: data.transaction_code,
        namespace: data.content.namespace,
        element: data.content.local,
        test: data.test,
        envelope: sent.envelope,
        peer: sent.peer,
        received_at: now,
        version: sent.version.as_str(),
        message_type: code,
        provider,
        end_of_life: data.end_of_life,
    }
}
