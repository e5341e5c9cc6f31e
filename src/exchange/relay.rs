//! Outbox to doorbell: what is committed is rung, again and again, until the broker confirms.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::broker::{Message, Task};
use crate::exchange::Exchange;
use crate::storage::db::DbError;
use crate::storage::journal::Ringable;
use crate::storage::journal::outbox;

/// Rings sent at a time.
const BATCH: i64 = 500;

/// How long the relay sleeps when nobody wakes it.
const POLL: Duration = Duration::from_secs(1);

/// How long rings gather before they are sent together.
const GATHER: Duration = Duration::from_millis(10);

/// First and longest pause after the doorbell or the database failed.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Relays until `stop`.
pub async fn run(exchange: Exchange, stop: CancellationToken) {
    let mut pause = PAUSES.0;
    while !stop.is_cancelled() {
        let wait = match turn(&exchange).await {
            Ok(Turn::Full) => {
                pause = PAUSES.0;
                continue;
            }
            Ok(Turn::Done) => {
                pause = PAUSES.0;
                POLL
            }
            Ok(Turn::Unsent) => grow(&mut pause),
            Err(error) => {
                tracing::warn!(%error, "the outbox could not be read or settled");
                grow(&mut pause)
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
            () = exchange.0.rings.notified(), if wait == POLL => tokio::time::sleep(GATHER).await,
        }
    }
}

enum Turn {
    /// As many as could be taken: there may be more.
    Full,
    /// The outbox is empty.
    Done,
    /// The doorbell did not confirm all.
    Unsent,
}

async fn turn(exchange: &Exchange) -> Result<Turn, DbError> {
    // A name for each turn: a ring asked for again while it is sent must not be settled by the old turn.
    let relay = Uuid::new_v4().to_string();
    let claimed = outbox::claim(exchange.db(), &relay, BATCH).await?;
    if claimed.is_empty() {
        return Ok(Turn::Done);
    }
    let tasks = claimed.iter().map(|ring| (ring.partition, Task(ring.package, ring.attempt)));
    let messages = Message::pack(tasks);
    let confirmed = exchange.doorbell().ring(&messages).await;
    let missed = |ring: &Ringable| {
        messages.iter().zip(&confirmed).any(|(message, confirmed)| {
            !confirmed && message.tasks.contains(&Task(ring.package, ring.attempt))
        })
    };
    let full = claimed.len() == usize::try_from(BATCH).unwrap_or(usize::MAX);
    let (unsent, sent): (Vec<_>, Vec<_>) = if confirmed.iter().all(|confirmed| *confirmed) {
        (Vec::new(), claimed)
    } else {
        claimed.into_iter().partition(missed)
    };
    outbox::settle(exchange.db(), &relay, &sent, &unsent).await?;
    Ok(match (unsent.is_empty(), full) {
        (false, _) => Turn::Unsent,
        (true, true) => Turn::Full,
        (true, false) => Turn::Done,
    })
}

fn grow(pause: &mut Duration) -> Duration {
    let now = *pause;
    *pause = (now * 2).min(PAUSES.1);
    now
}
