//! Requests that we answer ourselves: read from the registry, or written to it. Request, answer,
//! disclosure and audit row are one transaction.

use std::io::{self, Write as _};

use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use openssl::sha::sha256;

use super::post::{Deed, Put};
use super::send::{request, store};
use super::{Caller, Desk, QUEUE_LIMIT, Sent, TakeError, reply_to};
use crate::codec::federal;
use crate::codec::smev3::{Header, Provided, Send, SendRequest, Told, Version, provided_response};
use crate::exchange::disclosed;
use crate::exchange::members::Kind;
use crate::exchange::question::{self, Asker, QuestionError};
use crate::model::federal::{Answer, Asked, Topic};
use crate::storage::audit::Act;
use crate::storage::db::Tx;
use crate::storage::disclosure::Disclosure;
use crate::storage::mailbox::{self, MailboxError, Message, Queue, Selector};

/// Longest answer that stands in the message itself, in bytes; a longer one is a file beside it.
const LONGEST: usize = 1 << 20;

/// Id of that file in the message.
const ATTACHED: &str = "answer";

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
        let content = &sent.message.data.content;
        let asked = federal::question(topic, content).map_err(TakeError::Content)?;
        let system = &caller.system;
        let node = sent.message.data.node_id.clone().unwrap_or_default();
        let queue =
            Selector { system: system.id, queue: Queue::Response, node, message_type: None };
        if mailbox::fullness(self.db(), &queue, QUEUE_LIMIT).await? {
            return Err(TakeError::QueueFull(format!("{}.response", system.mnemonic)));
        }
        let number = self.0.ids.one("disclosure").await?;
        let sequence = self.0.ids.one("mailbox_answer").await?;
        let to = reply_to::write(self.secret().await?, sent.message_id);
        let to = to.map_err(QuestionError::from)?;
        let (answer, begun) = self.find(system.id, &asked, sent.message.data.test, now).await?;
        let message =
            self.message(&answer, &to, sent.version, &queue, (sent.message_id, sequence))?;
        let message = Message { message_type: kind.code.clone(), ..message };
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
        let request = request(caller, sent, kind.code, None, now);
        let put = Put { request, message, disclosure: Some(disclosure), act };
        let done = match begun {
            Some(tx) => store(tx, put, &[], now).await?,
            None => self.0.post.perform(Deed::Put(Box::new(put))).await?,
        };
        if done { Ok(now) } else { Err(TakeError::AlreadySent) }
    }

    /// The answer, and the transaction that goes on with what it has written, if it has.
    async fn find(
        &self,
        system: i64,
        asked: &Asked,
        test: bool,
        now: DateTime<Utc>,
    ) -> Result<(Answer, Option<Tx>), TakeError> {
        let ids = &self.0.ids;
        let asker = Asker { system, key: self.secret().await?, now, ids };
        let question = &asked.question;
        if !question.writes() {
            let mut tx = self.db().begin_read().await?;
            let answer = question::answer(&mut tx, asker, question).await?;
            tx.commit().await?;
            return Ok((answer, None));
        }
        ids.warm(&["change_log"]).await?;
        let mut tx = self.db().begin().await?;
        tx.execute("SAVEPOINT trial", vec![]).await?;
        let answer = question::perform(&mut tx, asker, question).await?;
        if test {
            // A test is answered as if it had been done.
            tx.execute("ROLLBACK TO SAVEPOINT trial", vec![]).await?;
        }
        Ok((answer, Some(tx)))
    }

    /// The answer as a message, which we sign as its provider.
    fn message(
        &self,
        answer: &Answer,
        to: &str,
        version: Version,
        queue: &Selector,
        (request_id, sequence): (uuid::Uuid, i64),
    ) -> Result<Message, TakeError> {
        let message_id = self.message_id(self.now());
        let mut content = federal::answer(answer);
        let mut attachments = Vec::new();
        if content.len() > LONGEST {
            let packed = gzip(content.as_bytes()).map_err(MailboxError::Damaged)?;
            attachments.push((ATTACHED.to_owned(), packed));
            content = federal::attached(answer.topic(), ATTACHED, content.len());
        }
        // A key in a token makes no such signatures: the header then has none.
        let sign = |(_, bytes): &(String, Vec<u8>)| self.seal().signer().sign_file(bytes).ok();
        let signatures: Vec<Option<Vec<u8>>> = attachments.iter().map(sign).collect();
        let headers: Vec<Header<'_>> = signatures
            .iter()
            .map(Option::as_deref)
            .map(|signature| Header { id: ATTACHED, mime: "application/gzip", signature })
            .collect();
        let told = Told::Content(&content, &headers);
        let data = provided_response(version, &Provided { message_id, to, told });
        Ok(Message {
            message_id,
            queue: queue.queue,
            system: queue.system,
            node: queue.node.clone(),
            request_id,
            sender: None,
            message_type: String::new(),
            vip: false,
            version: version.as_str(),
            sha256: sha256(data.as_bytes()).to_vec(),
            signature: Some(self.seal().provided(version, &data)?),
            content: data.into_bytes(),
            attachments,
            sequence,
        })
    }
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes)?;
    packer.finish()
}
