//! Work that many callers want at the same moment, done for all who wait at once: the database is
//! asked once for many messages.

use std::fmt::Display;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use crate::storage::mailbox::MailboxError;

/// Jobs done together at most.
const BATCH: usize = 64;

/// One kind of work.
pub(super) trait Work: Clone + Send + Sync + 'static {
    /// What a caller wants.
    type Job: Send + Sync + 'static;
    /// What it gets.
    type Done: Send + 'static;
    /// Why it does not.
    type Error: From<MailboxError> + Display + Send + 'static;

    /// Does all of these, one at least, or none; what became of them is given in their order.
    fn perform(
        &self,
        jobs: &[Self::Job],
    ) -> impl Future<Output = Result<Vec<Self::Done>, Self::Error>> + Send;
}

type Outcome<W> = Result<<W as Work>::Done, <W as Work>::Error>;

/// A job and who waits for it.
type Waiting<W> = (<W as Work>::Job, oneshot::Sender<Outcome<W>>);

/// Does one kind of work, one batch at a time.
pub(super) struct Turns<W: Work> {
    work: W,
    waiting: Arc<StdMutex<Vec<Waiting<W>>>>,
    turn: Arc<Mutex<()>>,
}

impl<W: Work> Turns<W> {
    pub(super) fn new(work: W) -> Self {
        Self { work, waiting: Arc::default(), turn: Arc::default() }
    }

    /// Does a job, together with those that wait at the same time.
    ///
    /// # Errors
    /// That of the work; [`MailboxError::Left`] when it broke off. It may or may not have been done
    /// when the database went away.
    pub(super) async fn perform(&self, job: W::Job) -> Outcome<W> {
        let (answer, mut answered) = oneshot::channel();
        self.lock().push((job, answer));
        tokio::select! {
            biased;
            outcome = &mut answered => return outcome.unwrap_or(Err(MailboxError::Left.into())),
            turn = Arc::clone(&self.turn).lock_owned() => {
                // On a task of its own: a caller who leaves takes nobody else's job along.
                let me = Self {
                    work: self.work.clone(),
                    waiting: Arc::clone(&self.waiting),
                    turn: Arc::clone(&self.turn),
                };
                tokio::spawn(me.work_off(turn));
            }
        }
        answered.await.unwrap_or(Err(MailboxError::Left.into()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting<W>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does batches until nobody waits.
    async fn work_off(self, turn: OwnedMutexGuard<()>) {
        loop {
            let batch: Vec<Waiting<W>> = {
                let mut waiting = self.lock();
                let count = waiting.len().min(BATCH);
                waiting.drain(..count).collect()
            };
            if batch.is_empty() {
                break;
            }
            // Nothing is done for who has left before it was begun.
            let wanted = batch.into_iter().filter(|(_, answer)| !answer.is_closed());
            let (jobs, answers): (Vec<W::Job>, Vec<_>) = wanted.unzip();
            for (answer, outcome) in answers.into_iter().zip(self.together(&jobs).await) {
                // Who has left meanwhile learns it from the next call.
                let _ = answer.send(outcome);
            }
        }
        drop(turn);
    }

    async fn together(&self, jobs: &[W::Job]) -> Vec<Outcome<W>> {
        if jobs.is_empty() {
            return Vec::new();
        }
        match self.work.perform(jobs).await {
            Ok(done) => done.into_iter().map(Ok).collect(),
            Err(error) if jobs.len() == 1 => vec![Err(error)],
            // One of them may be to blame.
            Err(error) => {
                tracing::warn!(%error, jobs = jobs.len(), "doing one by one");
                let mut outcomes = Vec::with_capacity(jobs.len());
                for job in jobs {
                    let done = self.work.perform(std::slice::from_ref(job)).await;
                    let left = || MailboxError::Left.into();
                    outcomes.push(done.and_then(|mut done| done.pop().ok_or_else(left)));
                }
                outcomes
            }
        }
    }
}
