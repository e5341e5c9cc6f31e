//! The federal exchange: a question is answered from the registry and the answer put into the
//! mailbox, handed out, confirmed. Request, answer, disclosure and audit row are one transaction.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;
use openssl::sha::sha256;
use serde_json::json;
use tokio::sync::OnceCell;
use uuid::{ContextV1, Timestamp, Uuid};

use crate::codec::federal;
use crate::codec::smev3::{Provided, provided_response};
use crate::exchange::Exchange;
use crate::exchange::disclosed;
use crate::exchange::parties::{Parties, Picture};
use crate::exchange::question::{self, Asker, QuestionError};
use crate::exchange::seal::{Seal, SealError};
use crate::model::clock::Clock;
use crate::model::federal::{Answer, Asked, NAMESPACE, Topic};
use crate::model::refusal::Refusal;
use crate::storage::audit::{self, Act};
use crate::storage::db::{Db, DbError, Tx};
use crate::storage::disclosure::{self, Disclosure};
use crate::storage::federal as registry;
use crate::storage::federal_system::FederalSystem;
use crate::storage::ids::Ids;
use crate::storage::mailbox::{self, Leased, MailboxError, Selector};

/// Most answers in one queue that nobody has acknowledged.
const QUEUE_LIMIT: i64 = 10_000;

/// The desk where federal questions are answered. Cheap to clone.
#[derive(Clone)]
pub struct Desk(Arc<Inner>);

struct Inner {
    db: Db,
    ids: Ids,
    clock: Clock,
    seal: Seal,
    parties: Arc<Parties>,
    /// Makes message ids: node and clock sequence of UUIDs of version 1.
    node: [u8; 6],
    sequence: ContextV1,
    cursor_key: OnceCell<Vec<u8>>,
}

/// A question that may be answered: its envelope is valid, its sender known.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The sender's id of the message.
    pub message_id: Uuid,
    /// First request of the business chain.
    pub reference: Option<Uuid>,
    /// Code of the state service.
    pub transaction_code: Option<String>,
    /// Node whose queue gets the answer; empty for the common queue.
    pub node: String,
    /// Marked as a test.
    pub test: bool,
    /// What is asked, and why.
    pub asked: Asked,
    /// The signed envelope as it came.
    pub envelope: Vec<u8>,
    /// Network address it came from.
    pub peer: String,
}

/// Why a question was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// A message of this id was taken before.
    #[error("the message was taken before")]
    AlreadySent,
    /// The asker pulls no answers.
    #[error("the queue is full")]
    QueueFull,
    /// It was not answered.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// It was not signed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The mailbox.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
}

impl From<DbError> for TakeError {
    fn from(error: DbError) -> Self {
        Self::Mailbox(error.into())
    }
}

impl Desk {
    /// Answers from the exchange's database, trusting whom it trusts, signing with this seal.
    ///
    /// # Errors
    /// Those of the source of random numbers.
    pub fn new(exchange: &Exchange, seal: Seal) -> Result<Self, ErrorStack> {
        let mut random = [0; 8];
        rand_bytes(&mut random)?;
        let [node @ .., high, low] = random;
        let inner = Inner {
            parties: Arc::clone(&exchange.0.parties),
            db: exchange.db().clone(),
            ids: exchange.ids().clone(),
            clock: exchange.clock(),
            seal,
            // A random node says so by the bit that no network card has.
            node: [node[0] | 1, node[1], node[2], node[3], node[4], node[5]],
            sequence: ContextV1::new(u16::from_be_bytes([high, low])),
            cursor_key: OnceCell::new(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Our key and name in the exchange.
    pub fn seal(&self) -> &Seal {
        &self.0.seal
    }

    /// Suppliers, authorities and trust as they are now.
    pub(super) async fn picture(&self) -> Result<Arc<Picture>, Refusal> {
        self.0.parties.picture().await
    }

    /// The database.
    pub(super) fn db(&self) -> &Db {
        &self.0.db
    }

    /// What time it is.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// Answers a question and puts the answer into the queue. Returns when it was taken.
    ///
    /// # Errors
    /// [`TakeError`]; nothing is stored then.
    pub async fn take(
        &self,
        system: &FederalSystem,
        taken: Taken,
    ) -> Result<DateTime<Utc>, TakeError> {
        let Inner { db, ids, seal, .. } = &*self.0;
        let now = self.now();
        if mailbox::is_taken(db, taken.message_id).await? {
            return Err(TakeError::AlreadySent);
        }
        if mailbox::is_full(db, system.id, &taken.node, QUEUE_LIMIT).await? {
            return Err(TakeError::QueueFull);
        }
        let (sequence, number) = (ids.one("mailbox_answer").await?, ids.one("disclosure").await?);
        let (answer, tx) = self.answer(system, &taken, now).await?;
        let message_id = self.message_id(now);
        let content = federal::answer(&answer);
        let to = system.mnemonic.as_str();
        let data = provided_response(&Provided { message_id, to, content: &content });
        let stored = mailbox::Answer {
            message_id,
            element: answer.topic().response().to_owned(),
            sha256: sha256(data.as_bytes()).to_vec(),
            signature: seal.provided(&data)?,
            content: data.into_bytes(),
            sequence,
        };
        let disclosure = Disclosure {
            id: number,
            at: now,
            system: system.id,
            request: taken.message_id,
            question: answer.topic().request(),
            purpose: taken.asked.purpose.clone(),
            criteria: disclosed::criteria(&taken.asked.question).to_string(),
            answered: disclosed::told(&answer).to_string(),
            persons: disclosed::persons(&answer),
        };
        let act = Act {
            actor: system.mnemonic.clone(),
            action: "federal.answer",
            object: format!("message:{}", taken.message_id),
            detail: Some(disclosed::summary(&answer, &disclosure).to_string()),
        };
        let request = request(system, taken, now, answer.topic());
        self.store(tx, &request, &stored, &disclosure, act).await?;
        Ok(now)
    }

    /// Hands out the first answer of a queue.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub async fn lease(&self, selector: &Selector) -> Result<Option<Leased>, MailboxError> {
        let mut tx = self.0.db.begin().await?;
        let leased = mailbox::lease(&mut tx, selector).await?;
        tx.commit().await?;
        Ok(leased)
    }

    /// Ends the delivery of an answer; false when no answer of that id is out.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn acknowledge(
        &self,
        system: &FederalSystem,
        message_id: Uuid,
        accepted: bool,
    ) -> Result<bool, DbError> {
        let mut tx = self.0.db.begin().await?;
        let known = mailbox::acknowledge(&mut tx, system.id, message_id, accepted).await?;
        if known {
            let act = Act {
                actor: system.mnemonic.clone(),
                action: "federal.acknowledge",
                object: format!("message:{message_id}"),
                detail: Some(json!({ "accepted": accepted }).to_string()),
            };
            audit::append(&mut tx, self.now(), vec![act]).await?;
        }
        tx.commit().await?;
        Ok(known)
    }

    /// The answer, and the transaction that goes on with what it has written, if it has.
    async fn answer(
        &self,
        system: &FederalSystem,
        taken: &Taken,
        now: DateTime<Utc>,
    ) -> Result<(Answer, Option<Tx>), TakeError> {
        let Inner { db, ids, .. } = &*self.0;
        let key = self.cursor_key().await?;
        let asker = Asker { system: system.id, key, now, ids };
        let question = &taken.asked.question;
        if !question.writes() {
            let mut tx = db.begin_read().await?;
            let answer = question::answer(&mut tx, asker, question).await?;
            tx.commit().await?;
            return Ok((answer, None));
        }
        ids.warm(&["change_log"]).await?;
        let mut tx = db.begin().await?;
        tx.execute("SAVEPOINT trial", vec![]).await?;
        let answer = question::perform(&mut tx, asker, question).await?;
        if taken.test {
            // A test is answered as if it had been done.
            tx.execute("ROLLBACK TO SAVEPOINT trial", vec![]).await?;
        }
        Ok((answer, Some(tx)))
    }

    async fn store(
        &self,
        begun: Option<Tx>,
        request: &mailbox::Request,
        answer: &mailbox::Answer,
        disclosure: &Disclosure,
        act: Act,
    ) -> Result<(), TakeError> {
        let mut tx = match begun {
            Some(tx) => tx,
            None => self.0.db.begin().await?,
        };
        match mailbox::put(&mut tx, request, answer).await {
            Err(MailboxError::Db(DbError::Duplicate(_))) => return Err(TakeError::AlreadySent),
            done => done?,
        }
        disclosure::write(&mut tx, disclosure).await?;
        audit::append(&mut tx, request.received_at, vec![act]).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn cursor_key(&self) -> Result<&[u8], TakeError> {
        let Inner { db, cursor_key, .. } = &*self.0;
        let key = cursor_key
            .get_or_try_init(|| async {
                let mut fresh = vec![0; 32];
                rand_bytes(&mut fresh).map_err(QuestionError::from)?;
                Ok::<_, TakeError>(registry::cursor_key(db, fresh).await?)
            })
            .await?;
        Ok(key)
    }

    fn message_id(&self, now: DateTime<Utc>) -> Uuid {
        let seconds = now.timestamp().unsigned_abs();
        let at = Timestamp::from_unix(&self.0.sequence, seconds, now.timestamp_subsec_nanos());
        Uuid::new_v1(at, &self.0.node)
    }
}

fn request(
    system: &FederalSystem,
    taken: Taken,
    now: DateTime<Utc>,
    topic: Topic,
) -> mailbox::Request {
    mailbox::Request {
        message_id: taken.message_id,
        system: system.id,
        node: taken.node,
        reference: taken.reference,
        transaction_code: taken.transaction_code,
        namespace: NAMESPACE.to_owned(),
        element: topic.request().to_owned(),
        test: taken.test,
        envelope: taken.envelope,
        peer: taken.peer,
        received_at: now,
    }
}
