//! Writing what is taken and confirmed: one transaction takes whatever is waiting at the moment, so
//! that the disk and the chain of audit rows are asked once for many messages.

use std::collections::HashSet;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use serde_json::json;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use uuid::Uuid;

use crate::model::clock::Clock;
use crate::storage::audit::{self, Act};
use crate::storage::db::Db;
use crate::storage::disclosure::{self, Disclosure};
use crate::storage::mailbox::{self, MailboxError, Message, Request};

/// Deeds in one transaction.
const BATCH: usize = 64;

/// Something to be written.
pub(super) enum Deed {
    /// A request, and the message that it puts into a queue: itself for its provider, or our answer.
    Put(Box<Put>),
    /// A message was received.
    Ack(Ack),
}

/// A request with what follows from it.
pub(super) struct Put {
    pub(super) request: Request,
    pub(super) message: Message,
    pub(super) disclosure: Option<Disclosure>,
    pub(super) act: Act,
}

/// A message was received.
pub(super) struct Ack {
    pub(super) system: i64,
    pub(super) mnemonic: String,
    pub(super) message_id: Uuid,
    pub(super) accepted: bool,
}

/// What became of a deed: whether it was done; not, when the request was there before or no such
/// message was out.
type Outcome = Result<bool, MailboxError>;

/// A deed and who waits for it.
type Waiting = (Deed, oneshot::Sender<Outcome>);

/// The writer. Cheap to clone.
#[derive(Clone)]
pub(super) struct Post {
    db: Db,
    clock: Clock,
    waiting: Arc<StdMutex<Vec<Waiting>>>,
    turn: Arc<Mutex<()>>,
}

impl Post {
    pub(super) fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock, waiting: Arc::default(), turn: Arc::default() }
    }

    /// Does a deed, together with those that wait at the same time.
    ///
    /// # Errors
    /// [`MailboxError`]; the deed may or may not have been done when the database went away.
    pub(super) async fn perform(&self, deed: Deed) -> Outcome {
        let (answer, mut answered) = oneshot::channel();
        self.lock().push((deed, answer));
        tokio::select! {
            biased;
            outcome = &mut answered => return outcome.unwrap_or(Err(MailboxError::Left)),
            turn = Arc::clone(&self.turn).lock_owned() => {
                // On a task of its own: a caller who leaves takes nobody else's deed along.
                tokio::spawn(self.clone().write(turn));
            }
        }
        answered.await.unwrap_or(Err(MailboxError::Left))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes batches until nobody waits.
    async fn write(self, turn: OwnedMutexGuard<()>) {
        loop {
            let batch: Vec<Waiting> = {
                let mut waiting = self.lock();
                let count = waiting.len().min(BATCH);
                waiting.drain(..count).collect()
            };
            if batch.is_empty() {
                break;
            }
            let (deeds, answers): (Vec<Deed>, Vec<_>) = batch.into_iter().unzip();
            for (answer, outcome) in answers.into_iter().zip(self.commit(&deeds).await) {
                // Who has left learns it from the next call.
                let _ = answer.send(outcome);
            }
        }
        drop(turn);
    }

    async fn commit(&self, deeds: &[Deed]) -> Vec<Outcome> {
        match self.transaction(deeds).await {
            Ok(done) => done.into_iter().map(Ok).collect(),
            Err(error) if deeds.len() == 1 => vec![Err(error)],
            // One of them may be to blame.
            Err(error) => {
                tracing::warn!(%error, deeds = deeds.len(), "writing one by one");
                let mut outcomes = Vec::with_capacity(deeds.len());
                for deed in deeds {
                    let done = self.transaction(std::slice::from_ref(deed)).await;
                    outcomes.push(done.map(|done| done.first().copied().unwrap_or(false)));
                }
                outcomes
            }
        }
    }

    async fn transaction(&self, deeds: &[Deed]) -> Result<Vec<bool>, MailboxError> {
        let mut tx = self.db.begin().await?;
        let puts = firsts(deeds);
        let requests: Vec<&Request> = puts.iter().map(|put| &put.request).collect();
        let taken = if requests.is_empty() {
            HashSet::new()
        } else {
            mailbox::put_requests(&mut tx, &requests).await?
        };
        let new: Vec<&Put> =
            puts.into_iter().filter(|put| taken.contains(&put.request.message_id)).collect();
        if !new.is_empty() {
            let messages: Vec<&Message> = new.iter().map(|put| &put.message).collect();
            mailbox::put_messages(&mut tx, &messages).await?;
            let told: Vec<&Disclosure> =
                new.iter().filter_map(|put| put.disclosure.as_ref()).collect();
            disclosure::write(&mut tx, &told).await?;
        }
        let acks: Vec<(i64, Uuid, bool)> = deeds
            .iter()
            .filter_map(|deed| match deed {
                Deed::Ack(ack) => Some((ack.system, ack.message_id, ack.accepted)),
                Deed::Put(_) => None,
            })
            .collect();
        let ended = if acks.is_empty() {
            HashSet::new()
        } else {
            mailbox::acknowledge(&mut tx, &acks).await?
        };
        let (mut done, mut acts) = (Vec::with_capacity(deeds.len()), Vec::new());
        let (mut put_ids, mut acked) = (HashSet::new(), HashSet::new());
        for deed in deeds {
            // The second of two of one id in a batch comes too late.
            let (good, act) = match deed {
                Deed::Put(put) => {
                    let id = put.request.message_id;
                    (taken.contains(&id) && put_ids.insert(id), put.act.clone())
                }
                Deed::Ack(ack) => {
                    let ended = ended.contains(&(ack.system, ack.message_id));
                    (ended && acked.insert((ack.system, ack.message_id)), ack.act())
                }
            };
            acts.extend(good.then_some(act));
            done.push(good);
        }
        audit::append(&mut tx, self.clock.now(), acts).await?;
        tx.commit().await?;
        Ok(done)
    }
}

impl Ack {
    fn act(&self) -> Act {
        Act {
            actor: self.mnemonic.clone(),
            action: "federal.acknowledge",
            object: format!("message:{}", self.message_id),
            detail: Some(json!({ "accepted": self.accepted }).to_string()),
        }
    }
}

/// What is to be put, the first of each id.
fn firsts(deeds: &[Deed]) -> Vec<&Put> {
    let mut seen = HashSet::new();
    let puts = deeds.iter().filter_map(|deed| match deed {
        Deed::Put(put) => Some(&**put),
        Deed::Ack(_) => None,
    });
    puts.filter(|put| seen.insert(put.request.message_id)).collect()
}
