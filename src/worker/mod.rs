//! Takes a task, processes it, tells the doorbell; drains on stop.
//!
//! A partition's rings are worked off one after the other, which keeps one supplier's packages in
//! order; different partitions go side by side, as many as there are permits.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::broker::{PARTITIONS, Ring};
use crate::exchange::Exchange;
use crate::exchange::process::Processor;

/// How long a message stays unacknowledged; brokers close channels after half an hour of that.
const PATIENCE_OF_BROKER: Duration = Duration::from_mins(1);

/// Works until `stop`; ends after what is under way has come to a safe point.
pub async fn run(exchange: Exchange, stop: CancellationToken) {
    let worker = format!("worker-{}", Uuid::new_v4());
    let permits = Arc::new(Semaphore::new(exchange.settings().concurrency.max(1)));
    let mut rings = exchange.doorbell().listen(stop.clone());
    let processor = Processor::new(exchange, &worker, stop.clone());
    let lanes = TaskTracker::new();
    let mut senders = Vec::with_capacity(usize::from(PARTITIONS));
    for _ in 0..PARTITIONS {
        // The doorbell hands out little of a partition at a time, so a lane is never long.
        let (sender, receiver) = mpsc::unbounded_channel();
        senders.push(sender);
        lanes.spawn(lane(processor.clone(), Arc::clone(&permits), receiver, stop.clone()));
    }
    tracing::info!(worker, "working");
    while let Some(ring) = rings.recv().await {
        if let Some(lane) = senders.get(usize::from(ring.partition)) {
            // A lane ends only after its sender.
            lane.send(ring).unwrap_or_default();
        }
    }
    drop(senders);
    lanes.close();
    lanes.wait().await;
}

async fn lane(
    processor: Processor,
    permits: Arc<Semaphore>,
    mut rings: mpsc::UnboundedReceiver<Ring>,
    stop: CancellationToken,
) {
    while let Some(ring) = rings.recv().await {
        // What a stopped worker has in hand goes back to the doorbell.
        if stop.is_cancelled() {
            continue;
        }
        let Ok(_permit) = permits.acquire().await else { return };
        let tasks = ring.tasks.clone();
        let mut work = pin!(processor.process(&tasks));
        // The database knows what we have: a broker need not hold a message through hours of work.
        let in_time = timeout(PATIENCE_OF_BROKER, &mut work).await.is_ok();
        if !stop.is_cancelled() {
            ring.done().await;
        }
        if !in_time {
            work.await;
        }
    }
}
