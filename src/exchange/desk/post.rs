//! Writing what is taken and confirmed, so that the disk and the chain of audit rows are asked once
//! for many messages.

use std::collections::HashSet;

use serde_json::json;
use uuid::Uuid;

use super::turns::Work;
use crate::model::clock::Clock;
use crate::storage::audit::{self, Act};
use crate::storage::db::Db;
use crate::storage::disclosure::{self, Disclosure};
use crate::storage::mailbox::{self, MailboxError, Message, Request};

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

/// Writes deeds in one transaction. Of each it gives whether it was done; it was not when the request
/// was there before, or no such message was out.
#[derive(Clone)]
pub(super) struct Writing {
    pub(super) db: Db,
    pub(super) clock: Clock,
}

impl Work for Writing {
    type Job = Deed;
    type Done = bool;
    type Error = MailboxError;

    async fn perform(&self, deeds: &[Deed]) -> Result<Vec<bool>, MailboxError> {
        let mut tx = self.db.begin_brief().await?;
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
