//! What is looked up for a request before it is taken: whether it was taken before, whether there is
//! room for it, and the card of the person it asks for, the question that is asked most.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;
use uuid::Uuid;

use super::turns::Work;
use super::{QUEUE_LIMIT, SENDER_LIMIT, TakeError};
use crate::exchange::question::persons_by_keys;
use crate::model::federal::{Answer, PersonKey};
use crate::storage::db::Db;
use crate::storage::mailbox::{self, Place};

/// A request about to be taken.
pub(super) struct Inquiry {
    pub(super) message_id: Uuid,
    /// Where it is to be put, or its answer.
    pub(super) place: Place,
    /// Who must leave room there for others; nobody in a queue of one's own.
    pub(super) sender: Option<i64>,
    /// Whose card it asks for, and on which day memberships are current.
    pub(super) card: Option<(PersonKey, NaiveDate)>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// A message of this id was taken before.
    pub(super) taken: bool,
    /// The queue has no room.
    pub(super) full: bool,
    /// The card asked for.
    pub(super) card: Option<Answer>,
}

/// Looks requests up from one state of the database.
#[derive(Clone)]
pub(super) struct Looking {
    pub(super) db: Db,
}

impl Work for Looking {
    type Job = Inquiry;
    type Done = Look;
    type Error = TakeError;

    async fn perform(&self, jobs: &[Inquiry]) -> Result<Vec<Look>, TakeError> {
        let mut tx = self.db.begin_brief_read().await?;
        let ids: Vec<Uuid> = jobs.iter().map(|job| job.message_id).collect();
        let taken = mailbox::taken(&mut tx, &ids).await?;
        let places: HashSet<_> = jobs.iter().map(|job| (&job.place, job.sender)).collect();
        let mut full = HashSet::new();
        for (place, sender) in places {
            let mut no_room = mailbox::fullness(&mut tx, place, None, QUEUE_LIMIT).await?;
            if sender.is_some() {
                no_room |= mailbox::fullness(&mut tx, place, sender, SENDER_LIMIT).await?;
            }
            if no_room {
                full.insert((place, sender));
            }
        }
        let mut days: HashMap<NaiveDate, Vec<(usize, &PersonKey)>> = HashMap::new();
        for (at, job) in jobs.iter().enumerate() {
            if let Some((key, day)) = &job.card {
                days.entry(*day).or_default().push((at, key));
            }
        }
        let mut cards = HashMap::new();
        for (day, wanted) in days {
            let keys: Vec<&PersonKey> = wanted.iter().map(|&(_, key)| key).collect();
            let found = persons_by_keys(&mut tx, day, &keys).await?;
            cards.extend(wanted.iter().map(|&(at, _)| at).zip(found));
        }
        tx.commit().await?;
        let look = |(at, job): (usize, &Inquiry)| Look {
            taken: taken.contains(&job.message_id),
            full: full.contains(&(&job.place, job.sender)),
            card: cards.remove(&at),
        };
        Ok(jobs.iter().enumerate().map(look).collect())
    }
}
