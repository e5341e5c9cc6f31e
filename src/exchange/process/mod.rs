//! Processing packages: claimed, read, applied, concluded.
//!
//! A worker hears of attempts and claims them; the claim counts the try before any work. What is
//! applied is committed with the note of how far it got, so an attempt that breaks off goes on
//! from there. The last transaction concludes: state, counts, findings, final receipt, audit.

mod attempt;
mod conclude;
mod content;
mod prepare;
mod records;
mod tally;
mod verdict;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::broker::Task;
use crate::exchange::Exchange;
use crate::exchange::process::prepare::Turn;
use crate::exchange::process::verdict::{Trouble, Verdict};
use crate::model::ids::AttemptId;
use crate::storage::db::DbError;
use crate::storage::journal::attempt::{self as journal, Claim, Claimed};
use crate::telemetry::ATTEMPTS_TOTAL;

/// Fresh attempts claimed at a time. When one of them kills the process, all of them come again
/// one by one, and only the guilty one is parked.
const GROUP: usize = 16;

/// A worker of this process.
#[derive(Clone)]
pub struct Processor {
    exchange: Exchange,
    /// Its name in leases.
    worker: Arc<str>,
    stop: CancellationToken,
}

impl Processor {
    /// A worker of this name, which must be that of no other process, living or dead.
    pub fn new(exchange: Exchange, worker: &str, stop: CancellationToken) -> Self {
        Self { exchange, worker: worker.into(), stop }
    }

    /// Processes tasks in their order. What cannot be done now comes again by the sweep, so the
    /// ring may be forgotten when this returns.
    pub async fn process(&self, tasks: &[Task]) {
        for group in tasks.chunks(GROUP) {
            if self.stop.is_cancelled() {
                return;
            }
            let attempts: Vec<AttemptId> = group.iter().map(|Task(_, attempt)| *attempt).collect();
            if let Err(error) = self.process_group(&attempts).await {
                tracing::warn!(%error, "attempts could not be claimed");
                return;
            }
        }
    }

    async fn process_group(&self, attempts: &[AttemptId]) -> Result<(), DbError> {
        let fresh = self.claim(attempts, Claim::Fresh).await?;
        let begun: Vec<AttemptId> = fresh.iter().map(|claimed| claimed.attempt).collect();
        self.work_off(fresh).await;
        // What has been begun before is taken alone: it may be what kills us.
        for attempt in attempts.iter().filter(|attempt| !begun.contains(attempt)) {
            let again = self.claim(&[*attempt], Claim::Any).await?;
            self.work_off(again).await;
        }
        Ok(())
    }

    async fn claim(&self, attempts: &[AttemptId], which: Claim) -> Result<Vec<Claimed>, DbError> {
        let lease = self.exchange.settings().lease;
        let mut tx = self.exchange.db().begin().await?;
        let claimed = journal::claim(&mut tx, &self.worker, lease, attempts, which).await?;
        let loaded = journal::load(&mut tx, &claimed).await?;
        tx.commit().await?;
        Ok(loaded)
    }

    async fn work_off(&self, claimed: Vec<Claimed>) {
        if claimed.is_empty() {
            return;
        }
        let heartbeat = Heartbeat::start(self, &claimed);
        let mut queue = claimed.into_iter();
        let mut following = queue.next().map(|one| Turn::coming(&self.exchange, one));
        while let Some(turn) = following.take() {
            let (attempt, package, tries) = (turn.attempt, turn.package, turn.tries);
            let prepared = turn.come(&self.exchange).await;
            // Made ready while this one is applied.
            following = queue.next().map(|one| Turn::coming(&self.exchange, one));
            let outcome = match prepared {
                Ok((one, prepared)) => {
                    // On a task of its own, so that a panic is this attempt's trouble only.
                    joined(tokio::spawn(attempt::run(self.clone(), one, prepared))).await
                }
                Err(trouble) => Err(trouble),
            };
            heartbeat.forget(attempt);
            match outcome {
                Ok(end) => {
                    metrics::counter!(ATTEMPTS_TOTAL, "outcome" => end).increment(1);
                    tracing::debug!(
                        package.no = package.0,
                        attempt.id = attempt.0,
                        end,
                        "processed"
                    );
                }
                Err(trouble) => self.settle(attempt, tries, &trouble).await,
            }
        }
    }

    /// Decides what follows from trouble that did not conclude the attempt.
    async fn settle(&self, attempt: AttemptId, tries: u64, trouble: &Trouble) {
        let told = trouble.told();
        let (after, counted) = match verdict::verdict(trouble, tries) {
            Verdict::Leave => return,
            Verdict::Later { after, counted } => (after, counted),
        };
        metrics::counter!(ATTEMPTS_TOTAL, "outcome" => "postponed").increment(1);
        tracing::warn!(attempt.id = attempt.0, error = told, "processing is put off");
        let db = self.exchange.db();
        let put_off = (after, counted, told.as_str());
        if let Err(error) = journal::postpone(db, &self.worker, &[attempt], put_off).await {
            tracing::warn!(%error, attempt.id = attempt.0, "the lease will run out by itself");
        }
    }
}

/// The result of a task; a panic in it is trouble like any other.
async fn joined<T>(task: JoinHandle<Result<T, Trouble>>) -> Result<T, Trouble> {
    task.await.unwrap_or_else(|error| Err(Trouble::Panic(error.to_string())))
}

/// Renews leases while work lasts; ends when dropped.
struct Heartbeat {
    attempts: Arc<Mutex<Vec<AttemptId>>>,
    task: JoinHandle<()>,
}

impl Heartbeat {
    fn start(processor: &Processor, claimed: &[Claimed]) -> Self {
        let attempts = Arc::new(Mutex::new(claimed.iter().map(|one| one.attempt).collect()));
        let lease = processor.exchange.settings().lease;
        let (exchange, worker) = (processor.exchange.clone(), Arc::clone(&processor.worker));
        let shared: Arc<Mutex<Vec<AttemptId>>> = Arc::clone(&attempts);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(lease / 3).await;
                let attempts = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let renewed = journal::renew(exchange.db(), &worker, lease, &attempts).await;
                if let Err(error) = renewed {
                    tracing::warn!(%error, "leases could not be renewed");
                }
            }
        });
        Self { attempts, task }
    }

    fn forget(&self, attempt: AttemptId) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.retain(|one| *one != attempt);
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Longest pause before an attempt is tried again.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
