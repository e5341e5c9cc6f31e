//! The doorbell that wakes workers: RabbitMQ, or in-process.
//!
//! The database is the truth. A ring carries ids only, may come twice, late or never; whoever
//! hears it asks the database what there is to do, and the sweep rings again for what was lost.

pub mod inprocess;
pub mod message;
pub mod rabbit;
pub mod topology;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use crate::broker::inprocess::InProcess;
pub use crate::broker::message::{Message, Task};
pub use crate::broker::rabbit::Rabbit;

/// Partitions of the doorbell; one is served in order, by one worker at a time. Fixed for good.
pub const PARTITIONS: u16 = 16;

/// The partition of a supplier, by its mnemonic.
pub fn partition(supplier: &str) -> u16 {
    let hash = xxhash_rust::xxh3::xxh3_64(supplier.as_bytes()) % u64::from(PARTITIONS);
    u16::try_from(hash).unwrap_or(0)
}

/// A way to wake workers. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Doorbell {
    /// RabbitMQ: workers in any number of processes.
    Rabbit(Rabbit),
    /// Workers in this process only.
    InProcess(InProcess),
}

impl Doorbell {
    /// Rings; answers for each message whether it has surely been taken. `false` may also mean
    /// that it was taken and we could not know.
    pub async fn ring(&self, messages: &[Message]) -> Vec<bool> {
        match self {
            Self::Rabbit(rabbit) => rabbit.ring(messages).await,
            Self::InProcess(bell) => bell.ring(messages),
        }
    }

    /// Number of messages of a partition that wait for a worker; absent when it cannot be told.
    pub async fn depth(&self, partition: u16) -> Option<u64> {
        match self {
            Self::Rabbit(rabbit) => rabbit.depth(partition).await,
            Self::InProcess(bell) => Some(bell.depth(partition)),
        }
    }

    /// Listens until `stop`; connects again by itself when the broker was away.
    pub fn listen(&self, stop: CancellationToken) -> mpsc::Receiver<Ring> {
        match self {
            Self::Rabbit(rabbit) => rabbit.listen(stop),
            Self::InProcess(bell) => bell.listen(stop),
        }
    }
}

/// A message that has arrived. Dropped without [`Ring::done`] it comes again, after a reconnect.
#[derive(Debug)]
pub struct Ring {
    /// Where it came from.
    pub partition: u16,
    /// What to do, in this order.
    pub tasks: Vec<Task>,
    /// How to tell the broker.
    pub(crate) receipt: Receipt,
}

/// What the broker waits for.
#[derive(Debug)]
pub(crate) enum Receipt {
    /// An acknowledgement.
    Rabbit(rabbit::Unacknowledged),
    /// That this is dropped.
    InProcess(inprocess::Hand),
}

impl Ring {
    /// Tells the broker to forget the message. A failure is no harm: the message comes again.
    pub async fn done(self) {
        match self.receipt {
            Receipt::Rabbit(delivery) => delivery.acknowledge().await,
            Receipt::InProcess(hand) => drop(hand),
        }
    }
}
