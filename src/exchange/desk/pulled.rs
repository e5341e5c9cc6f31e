//! Requests pulled from another node of the exchange: answered by the same code as those that come
//! through our door, and never left without an answer. Request, answer, what was told and to whom are
//! one transaction, written before anything is sent.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use openssl::sha::sha256;
use serde_json::json;

use super::own::Ready;
use super::{Caller, Desk, Sent, TakeError};
use crate::codec::federal;
use crate::codec::node::Flaw;
use crate::codec::smev3::client::{Incoming, send_response};
use crate::codec::smev3::{Attached, Participant, Provided, Told, Version};
use crate::exchange::members::Provider;
use crate::exchange::question::QuestionError;
use crate::exchange::seal::sign_call;
use crate::model::refusal::RefusalCode;
use crate::storage::audit::{self, Act};
use crate::storage::db::{DbError, Tx};
use crate::storage::disclosure::{self, Disclosure};
use crate::storage::federal_system::{self, Described};
use crate::storage::mailbox::remote::{self, NewAnswer};
use crate::storage::mailbox::{self, Origin, Request};

/// Name of a sender whom the node does not name.
const UNNAMED: &str = "UNNAMED";

/// Longest mnemonic of a sender, in characters.
const MNEMONIC: usize = 100;

/// Longest description of a refusal, in characters.
const DESCRIPTION: usize = 4000;

/// A request that another node handed out, and vouches for by its signature.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// Version of the exchange that is spoken with the node.
    pub version: Version,
    /// What was handed out.
    pub incoming: Incoming,
    /// Where the answer goes.
    pub reply_to: String,
    /// The signed document in which it came.
    pub document: Vec<u8>,
    /// Address of the node.
    pub peer: String,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is answered.
    Answered,
    /// It is answered with a refusal.
    Rejected,
    /// A request of this id was there before.
    Known,
}

/// A refusal as the protocol has it: its code, and words for who asked.
struct Rejection {
    code: &'static str,
    text: String,
}

/// What is written when a request is settled.
struct Written<'a> {
    request: Request,
    told: Told<'a>,
    files: &'a [(String, Vec<u8>)],
    disclosure: Option<Disclosure>,
    act: Act,
    begun: Option<Tx>,
}

impl Desk {
    /// Answers a request that another node handed out; the answer then waits to be sent there.
    ///
    /// # Errors
    /// [`TakeError`] when it may be answered later; nothing is stored then.
    pub async fn settle(&self, pulled: &Pulled) -> Result<Settled, TakeError> {
        let now = self.now();
        let caller = self.vouched(pulled.incoming.sender.as_ref(), now).await?;
        match self.judged(pulled, &caller, now).await {
            Ok(Ready { packed, request, disclosure, act, begun }) => {
                let headers = packed.headers();
                let told = Told::Content(&packed.content, &headers);
                let (files, disclosure) = (&packed.files[..], Some(disclosure));
                let written = Written { request, told, files, disclosure, act, begun };
                let new = self.store_pulled(pulled, written, now).await?;
                Ok(if new { Settled::Answered } else { Settled::Known })
            }
            Err(error) => {
                let Rejection { code, text } = rejection(error, pulled)?;
                let text: String = text.chars().take(DESCRIPTION).collect();
                let request = rejected(pulled, &caller, now);
                let told = Told::Rejected(code, &text);
                let act = Act {
                    actor: caller.system.mnemonic.clone(),
                    action: "federal.reject",
                    object: format!("message:{}", pulled.incoming.message_id),
                    detail: Some(json!({ "code": code }).to_string()),
                };
                let (files, disclosure, begun) = (&[][..], None, None);
                let written = Written { request, told, files, disclosure, act, begun };
                let new = self.store_pulled(pulled, written, now).await?;
                Ok(if new { Settled::Rejected } else { Settled::Known })
            }
        }
    }

    /// The system that the node names as the sender. One that is new is registered, without a
    /// certificate: it may ask, but not through our own door.
    async fn vouched(
        &self,
        sender: Option<&Participant>,
        now: DateTime<Utc>,
    ) -> Result<Caller, TakeError> {
        let clean = |text: &str| -> String {
            text.chars().filter(|c| !c.is_control()).take(MNEMONIC).collect()
        };
        let mnemonic = sender.map_or(UNNAMED.to_owned(), |sender| clean(&sender.mnemonic));
        let name = sender.map(|sender| clean(&sender.name)).filter(|name| !name.is_empty());
        let subject = mnemonic.clone();
        let picture = self.picture().await.map_err(TakeError::Members)?;
        if let Some(system) = picture.members.named(&mnemonic) {
            return Ok(Caller { system: Arc::clone(system), subject });
        }
        let fresh = self.0.ids.one("federal_system").await?;
        let mut tx = self.db().begin().await?;
        if federal_system::of_mnemonic(&mut tx, &mnemonic).await?.is_none() {
            let name = name.as_deref().unwrap_or(&mnemonic);
            let system = Described { mnemonic: &mnemonic, name, vip: false, asks: true };
            federal_system::save(&mut tx, fresh, system, now).await?;
            let act = Act {
                actor: "kontingent".to_owned(),
                action: "federal_system.meet",
                object: format!("federal_system:{mnemonic}"),
                detail: Some(json!({ "asks": true }).to_string()),
            };
            audit::append(&mut tx, now, vec![act]).await?;
        }
        tx.commit().await?;
        let fresh = self.0.parties.snapshot().await.map_err(TakeError::Members)?;
        let system = fresh.members.named(&mnemonic).map(Arc::clone);
        let system = system.ok_or_else(|| TakeError::Members(RefusalCode::Internal.into()))?;
        Ok(Caller { system, subject })
    }

    /// Judges a request as our own door does, and answers it.
    async fn judged(
        &self,
        pulled: &Pulled,
        caller: &Caller,
        now: DateTime<Utc>,
    ) -> Result<Ready, TakeError> {
        let message = pulled.incoming.sent.clone().map_err(TakeError::Content)?;
        let content = &message.data.content;
        let (kind, members) = self.kind(&content.namespace, &content.local).await?;
        let kind = kind.ok_or(TakeError::UnknownKind)?;
        if !kind.is_request {
            return Err(TakeError::NotARequest);
        }
        let Provider::Us(topic) = kind.provider else { return Err(TakeError::UnknownKind) };
        if !caller.system.active || !members.may_ask(&caller.system, &kind) {
            return Err(TakeError::Denied);
        }
        let asked = federal::question(topic, content).map_err(TakeError::Content)?;
        let sent = Sent {
            version: pulled.version,
            message_id: pulled.incoming.message_id,
            message,
            data: String::new(),
            signature: String::new(),
            envelope: pulled.document.clone(),
            peer: pulled.peer.clone(),
        };
        let test = sent.message.data.test;
        let found = self.find(caller.system.id, &asked, test, now).await?;
        let mut ready = self.ready(caller, sent, &asked, &kind, found, now)?;
        ready.request.origin = Origin::Remote;
        Ok(ready)
    }

    /// Writes what belongs together. False when the request was there before; nothing is written then.
    async fn store_pulled(
        &self,
        pulled: &Pulled,
        written: Written<'_>,
        now: DateTime<Utc>,
    ) -> Result<bool, TakeError> {
        let Written { request, told, files, disclosure, act, begun } = written;
        let message = self.message_id(now);
        let rejection = match &told {
            Told::Rejected(code, _) => Some(*code),
            Told::Content(..) | Told::Progress(..) | Told::Async(_) => None,
        };
        let provided = Provided { message_id: message, to: &pulled.reply_to, told };
        let files: Vec<Attached<'_>> =
            files.iter().map(|(id, bytes)| Attached { id, bytes }).collect();
        let unsigned = send_response(pulled.version, &provided, &files);
        let envelope = sign_call(self.seal().signer(), &unsigned)?;
        let answer = NewAnswer {
            request: request.message_id,
            message,
            version: pulled.version.as_str(),
            reply_to: &pulled.reply_to,
            rejection,
            sha256: sha256(&envelope).to_vec(),
            envelope: &envelope,
        };
        let mut tx = match begun {
            Some(tx) => tx,
            None => self.db().begin().await?,
        };
        if mailbox::put_requests(&mut tx, &[&request]).await?.is_empty() {
            return Ok(false);
        }
        remote::put(&mut tx, &answer).await?;
        let told: Vec<&Disclosure> = disclosure.iter().collect();
        disclosure::write(&mut tx, &told).await?;
        audit::append(&mut tx, now, vec![act]).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// The refusal that is answered; an error is given back when the request may be answered later.
fn rejection(error: TakeError, pulled: &Pulled) -> Result<Rejection, TakeError> {
    let root = || match &pulled.incoming.sent {
        Ok(sent) => format!("{{{}}}{}", sent.data.content.namespace, sent.data.content.local),
        Err(_) => String::new(),
    };
    let (code, text) = match error {
        TakeError::Content(flaws) => ("FAILURE", unfit(&flaws)),
        TakeError::UnknownKind => {
            ("UNKNOWN_REQUEST_DESCRIPTION", format!("Неподдерживаемый тип запроса: {}", root()))
        }
        TakeError::NotARequest => (
            "UNKNOWN_REQUEST_DESCRIPTION",
            format!("{} — корневой элемент ответа, а не запроса", root()),
        ),
        TakeError::Denied => ("ACCESS_DENIED", "Доступ запрещён".to_owned()),
        TakeError::Question(QuestionError::Cursor) => (
            "FAILURE",
            "Cursor не выдан этой системе для этих Kinds; начните чтение без Cursor".to_owned(),
        ),
        TakeError::Mailbox(_) | TakeError::Members(_) => return Err(error),
        TakeError::Question(QuestionError::Db(ref cause))
            if !matches!(cause, DbError::Query(_)) =>
        {
            return Err(error);
        }
        // The same question would fail for ever.
        error => {
            let id = pulled.incoming.message_id;
            tracing::error!(%error, message.id = %id, "a pulled request cannot be answered");
            let text = "Внутренняя ошибка регионального сегмента: ответ на запрос не построен";
            ("FAILURE", text.to_owned())
        }
    };
    Ok(Rejection { code, text })
}

fn unfit(flaws: &[Flaw]) -> String {
    let texts: Vec<&str> = flaws.iter().map(|flaw| flaw.text.as_str()).collect();
    format!("Запрос не соответствует схеме: {}", texts.join("; "))
}

/// A request that is refused, as it is stored.
fn rejected(pulled: &Pulled, caller: &Caller, now: DateTime<Utc>) -> Request {
    let data = pulled.incoming.sent.as_ref().ok().map(|sent| &sent.data);
    let root = data.map(|data| (data.content.namespace.clone(), data.content.local.clone()));
    let message_type = root.as_ref().map(|(namespace, local)| format!("{namespace}#{local}"));
    let (namespace, element) = root.unwrap_or_default();
    Request {
        origin: Origin::Remote,
        message_id: pulled.incoming.message_id,
        system: caller.system.id,
        node: data.and_then(|data| data.node_id.clone()).unwrap_or_default(),
        reference: data.and_then(|data| data.reference_id),
        transaction_code: data.and_then(|data| data.transaction_code.clone()),
        namespace,
        element,
        test: data.is_some_and(|data| data.test),
        envelope: pulled.document.clone(),
        peer: pulled.peer.clone(),
        received_at: now,
        version: pulled.version.as_str(),
        message_type: message_type.unwrap_or_default(),
        provider: None,
        end_of_life: data.and_then(|data| data.end_of_life),
    }
}
