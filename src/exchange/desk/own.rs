//! Requests that we answer ourselves: read from the registry, or written to it. Request, answer,
//! disclosure and audit row are one transaction.

use std::io::{self, Write as _};

use chrono::{DateTime, NaiveDate, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use openssl::sha::sha256;

use super::post::{Deed, Put};
use super::send::{request, store};
use super::{Caller, Desk, Sent, TakeError, reply_to};
use crate::codec::federal;
use crate::codec::node::Flaw;
use crate::codec::smev3::{Header, Provided, Send, SendRequest, Told, Version, provided_response};
use crate::exchange::disclosed;
use crate::exchange::members::Kind;
use crate::exchange::question::{self, Asker, QuestionError};
use crate::model::federal::{Answer, Asked, PersonKey, Question, Topic};
use crate::storage::audit::Act;
use crate::storage::db::Tx;
use crate::storage::disclosure::Disclosure;
use crate::storage::mailbox::{MailboxError, Message, Place, Queue, Request};

/// Longest answer that stands in the message itself, in bytes; a longer one is a file beside it.
const LONGEST: usize = 1 << 20;

/// Id of that file in the message.
const ATTACHED: &str = "answer";

/// A question answered. Nothing is written yet but what `begun` has written to the registry.
pub(super) struct Ready {
    pub(super) packed: Packed,
    pub(super) request: Request,
    pub(super) disclosure: Disclosure,
    pub(super) act: Act,
    pub(super) begun: Option<Tx>,
}

/// An answer before it is packed.
pub(super) struct Found {
    /// Our number of the disclosure: taken before there is a transaction, which on SQLite would hold
    /// the only writer.
    number: i64,
    answer: Answer,
    /// Goes on with what the answer has written, if it has.
    begun: Option<Tx>,
}

/// The content of an answer, and the files beside it with our signatures over them.
pub(super) struct Packed {
    pub(super) content: String,
    pub(super) files: Vec<(String, Vec<u8>)>,
    signatures: Vec<Option<Vec<u8>>>,
}

impl Packed {
    /// What the message says of the files.
    pub(super) fn headers(&self) -> Vec<Header<'_>> {
        let signatures = self.signatures.iter().map(Option::as_deref);
        signatures
            .map(|signature| Header { id: ATTACHED, mime: "application/gzip", signature })
            .collect()
    }
}

impl Desk {
    /// Answers a question and puts the answer into the queue of who asked.
    pub(super) async fn answer(
        &self,
        caller: &Caller,
        sent: Sent<Send<SendRequest>>,
        topic: Topic,
        kind: Kind,
    ) -> Result<DateTime<Utc>, TakeError> {
        let now = self.now();
        let asked = federal::question(topic, &sent.message.data.content);
        let system = &caller.system;
        let node = sent.message.data.node_id.clone().unwrap_or_default();
        let place = Place { system: system.id, queue: Queue::Response, node };
        let look = self.look(sent.message_id, place.clone(), None, card(&asked, now)).await?;
        let asked = asked.map_err(TakeError::Content)?;
        if look.full {
            return Err(TakeError::QueueFull(format!("{}.response", system.mnemonic)));
        }
        let sequence = self.0.ids.one("mailbox_answer").await?;
        let to = reply_to::write(self.secret().await?, sent.message_id);
        let to = to.map_err(QuestionError::from)?;
        let (version, message_id) = (sent.version, sent.message_id);
        let found = match look.card {
            Some(answer) => {
                let number = self.0.ids.one("disclosure").await?;
                Found { number, answer, begun: None }
            }
            None => self.find(system.id, &asked, sent.message.data.test, now).await?,
        };
        let ready = self.ready(caller, sent, &asked, &kind, found, now)?;
        let Ready { packed, request, disclosure, act, begun } = ready;
        let message = self.message(packed, &to, version, place, (message_id, sequence))?;
        let message = Message { message_type: kind.code.clone(), ..message };
        let put = Put { request, message, disclosure: Some(disclosure), act };
        let done = match begun {
            Some(tx) => store(tx, put, &[], now).await?,
            None => self.0.writing.perform(Deed::Put(Box::new(put))).await?,
        };
        if done { Ok(now) } else { Err(TakeError::AlreadySent) }
    }

    /// All that is to be written with the answer to a question, wherever that goes.
    pub(super) fn ready(
        &self,
        caller: &Caller,
        sent: Sent<Send<SendRequest>>,
        asked: &Asked,
        kind: &Kind,
        found: Found,
        now: DateTime<Utc>,
    ) -> Result<Ready, TakeError> {
        let system = &caller.system;
        let Found { number, answer, begun } = found;
        let disclosure = Disclosure {
            id: number,
            at: now,
            system: system.id,
            request: sent.message_id,
            question: answer.topic().request(),
            purpose: asked.purpose.clone(),
            criteria: disclosed::criteria(&asked.question).to_string(),
            answered: disclosed::told(&answer).to_string(),
            persons: disclosed::persons(&answer),
        };
        let act = Act {
            actor: system.mnemonic.clone(),
            action: "federal.answer",
            object: format!("message:{}", sent.message_id),
            detail: Some(disclosed::summary(&answer, &disclosure).to_string()),
        };
        let request = request(caller, sent, kind.code.clone(), None, now);
        Ok(Ready { packed: self.pack(&answer)?, request, disclosure, act, begun })
    }

    /// Answers a question.
    pub(super) async fn find(
        &self,
        system: i64,
        asked: &Asked,
        test: bool,
        now: DateTime<Utc>,
    ) -> Result<Found, TakeError> {
        let ids = &self.0.ids;
        let number = ids.one("disclosure").await?;
        let asker = Asker { system, key: self.secret().await?, now, ids };
        let question = &asked.question;
        if !question.writes() {
            let mut tx = self.db().begin_read().await?;
            let answer = question::answer(&mut tx, asker, question).await?;
            tx.commit().await?;
            return Ok(Found { number, answer, begun: None });
        }
        ids.warm(&["change_log"]).await?;
        let mut tx = self.db().begin().await?;
        tx.execute("SAVEPOINT trial", vec![]).await?;
        let answer = question::perform(&mut tx, asker, question).await?;
        if test {
            // A test is answered as if it had been done.
            tx.execute("ROLLBACK TO SAVEPOINT trial", vec![]).await?;
        }
        Ok(Found { number, answer, begun: Some(tx) })
    }

    /// The content of an answer; a long one becomes a file beside it.
    fn pack(&self, answer: &Answer) -> Result<Packed, TakeError> {
        let mut content = federal::answer(answer);
        let mut files = Vec::new();
        if content.len() > LONGEST {
            let packed = gzip(content.as_bytes()).map_err(MailboxError::Damaged)?;
            files.push((ATTACHED.to_owned(), packed));
            content = federal::attached(answer.topic(), ATTACHED, content.len());
        }
        // A key in a token makes no such signatures: the header then has none.
        let sign = |(_, bytes): &(String, Vec<u8>)| self.seal().signer().sign_file(bytes).ok();
        let signatures = files.iter().map(sign).collect();
        Ok(Packed { content, files, signatures })
    }

    /// The answer as a message, which we sign as its provider.
    fn message(
        &self,
        packed: Packed,
        to: &str,
        version: Version,
        place: Place,
        (request_id, sequence): (uuid::Uuid, i64),
    ) -> Result<Message, TakeError> {
        let message_id = self.message_id(self.now());
        let told = Told::Content(&packed.content, &packed.headers());
        let data = provided_response(version, &Provided { message_id, to, told });
        Ok(Message {
            message_id,
            queue: place.queue,
            system: place.system,
            node: place.node,
            request_id,
            sender: None,
            message_type: String::new(),
            vip: false,
            version: version.as_str(),
            sha256: sha256(data.as_bytes()).to_vec(),
            signature: Some(self.seal().provided(version, &data)?),
            content: data.into_bytes(),
            attachments: packed.files,
            sequence,
        })
    }
}

/// The card that a question asks for, as of this day.
fn card(asked: &Result<Asked, Vec<Flaw>>, now: DateTime<Utc>) -> Option<(PersonKey, NaiveDate)> {
    match &asked.as_ref().ok()?.question {
        Question::PersonBySnils(key) => Some((key.clone(), now.date_naive())),
        _ => None,
    }
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes)?;
    packer.finish()
}
