//! The doorbell of the embedded default: a queue in memory. What it loses the sweep rings again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::broker::{Message, Ring};

/// A queue of rings in this process.
#[derive(Clone, Debug, Default)]
pub struct InProcess(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    queue: Mutex<VecDeque<Message>>,
    arrived: Notify,
}

impl InProcess {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts messages in the queue.
    pub fn ring(&self, messages: &[Message]) -> Vec<bool> {
        self.queue().extend(messages.iter().cloned());
        self.0.arrived.notify_one();
        vec![true; messages.len()]
    }

    /// Messages of a partition that nobody has taken yet.
    pub fn depth(&self, partition: u16) -> u64 {
        self.queue().iter().filter(|message| message.partition == partition).count() as u64
    }

    /// Hands out messages until `stop`.
    pub fn listen(&self, stop: CancellationToken) -> mpsc::Receiver<Ring> {
        let (sender, receiver) = mpsc::channel(1);
        let bell = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    permit = sender.reserve() => {
                        let Ok(permit) = permit else { return };
                        let Some(message) = bell.next(&stop).await else { return };
                        let Message { partition, tasks } = message;
                        permit.send(Ring { partition, tasks, receipt: None });
                    }
                }
            }
        });
        receiver
    }

    async fn next(&self, stop: &CancellationToken) -> Option<Message> {
        loop {
            if let Some(message) = self.queue().pop_front() {
                return Some(message);
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = self.0.arrived.notified() => {}
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Message>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
