//! The doorbell of the embedded default: queues in memory. What it loses the sweep rings again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::broker::{Message, PARTITIONS, Ring, Task};

/// Messages of one partition that are handed out before the first of them is done.
const IN_HAND: usize = 2;

/// Queues of rings in this process.
#[derive(Clone, Debug)]
pub struct InProcess(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    partitions: Mutex<Vec<Partition>>,
    changed: Notify,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    queue: VecDeque<Vec<Task>>,
    in_hand: usize,
}

impl Default for InProcess {
    fn default() -> Self {
        let partitions = Mutex::new(vec![Partition::default(); usize::from(PARTITIONS)]);
        Self(Arc::new(Inner { partitions, changed: Notify::new() }))
    }
}

impl InProcess {
    /// Empty queues.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts messages in their queues.
    pub fn ring(&self, messages: &[Message]) -> Vec<bool> {
        let mut partitions = self.0.partitions();
        for message in messages {
            if let Some(partition) = partitions.get_mut(usize::from(message.partition)) {
                partition.queue.push_back(message.tasks.clone());
            }
        }
        self.0.changed.notify_one();
        vec![true; messages.len()]
    }

    /// Messages of a partition that nobody has taken yet.
    pub fn depth(&self, partition: u16) -> u64 {
        let partitions = self.0.partitions();
        partitions.get(usize::from(partition)).map_or(0, |one| one.queue.len() as u64)
    }

    /// Hands out messages until `stop`.
    pub fn listen(&self, stop: CancellationToken) -> mpsc::Receiver<Ring> {
        let (sender, receiver) = mpsc::channel(1);
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            loop {
                let ring = tokio::select! {
                    () = stop.cancelled() => return,
                    ring = next(&inner) => ring,
                };
                if sender.send(ring).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }
}

impl Inner {
    fn partitions(&self) -> MutexGuard<'_, Vec<Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<(u16, Vec<Task>)> {
        let mut partitions = self.partitions();
        let (partition, number) = partitions
            .iter_mut()
            .zip(0..)
            .filter(|(one, _)| one.in_hand < IN_HAND && !one.queue.is_empty())
            .min_by_key(|(one, _)| one.in_hand)?;
        partition.in_hand += 1;
        Some((number, partition.queue.pop_front()?))
    }
}

async fn next(inner: &Arc<Inner>) -> Ring {
    loop {
        if let Some((partition, tasks)) = inner.take() {
            let hand = Hand { inner: Arc::clone(inner), partition };
            return Ring { partition, tasks, receipt: super::Receipt::InProcess(hand) };
        }
        inner.changed.notified().await;
    }
}

/// A message that somebody has; dropped, there is room for the next.
#[derive(Debug)]
pub(crate) struct Hand {
    inner: Arc<Inner>,
    partition: u16,
}

impl Drop for Hand {
    fn drop(&mut self) {
        if let Some(partition) = self.inner.partitions().get_mut(usize::from(self.partition)) {
            partition.in_hand -= 1;
        }
        self.inner.changed.notify_one();
    }
}
