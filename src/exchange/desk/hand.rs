//! Handing out: the messages that stand first in queues, one for each call that waits.

use super::TakeError;
use super::files::{Pass, allow};
use super::turns::Work;
use crate::storage::db::Db;
use crate::storage::mailbox::{self, Leased, Selector};

/// A message that is out, and how its files in the store are fetched.
pub(super) type Out = (Leased, Vec<Pass>);

/// Hands messages out in one transaction.
#[derive(Clone)]
pub(super) struct Handing {
    pub(super) db: Db,
}

impl Work for Handing {
    type Job = Selector;
    type Done = Option<Out>;
    type Error = TakeError;

    async fn perform(&self, jobs: &[Selector]) -> Result<Vec<Option<Out>>, TakeError> {
        let mut tx = self.db.begin_brief().await?;
        let mut outs: Vec<Option<Out>> = jobs.iter().map(|_| None).collect();
        let mut seen: Vec<&Selector> = Vec::new();
        for selector in jobs {
            if seen.contains(&selector) {
                continue;
            }
            seen.push(selector);
            let places: Vec<usize> = (0..jobs.len()).filter(|&at| jobs[at] == *selector).collect();
            let found = mailbox::lease(&mut tx, selector, places.len()).await?;
            for (at, mut leased) in places.into_iter().zip(found) {
                let files = allow(&mut tx, std::mem::take(&mut leased.files)).await?;
                outs[at] = Some((leased, files));
            }
        }
        tx.commit().await?;
        Ok(outs)
    }
}
