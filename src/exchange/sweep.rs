//! What is overdue by the database's clock: lost rings, leases that ran out, pauses that are over,
//! packages that waited too long.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::broker::{Doorbell, PARTITIONS};
use crate::exchange::Exchange;
use crate::storage::db::DbError;
use crate::storage::journal::sweep::{self, Due};
use crate::storage::journal::{Ringable, outbox, refusal};

/// How often the sweep looks.
const PERIOD: Duration = Duration::from_secs(1);

/// How often it looks for what is rarely there.
const SELDOM: Duration = Duration::from_secs(10);

/// Attempts rung in one turn.
const BATCH: i64 = 500;

/// Sweeps until `stop`.
pub async fn run(exchange: Exchange, stop: CancellationToken) {
    if matches!(exchange.doorbell(), Doorbell::InProcess(_))
        && let Err(error) = sweep::all_due(exchange.db()).await
    {
        tracing::warn!(%error, "what the last process left will be found later");
    }
    let mut seldom = Instant::now();
    while !stop.is_cancelled() {
        let swept = turn(&exchange).await;
        if let Err(error) = &swept {
            tracing::warn!(%error, "the sweep failed");
        }
        if seldom.elapsed() >= SELDOM {
            seldom = Instant::now();
            if let Err(error) = rarely(&exchange).await {
                tracing::warn!(%error, "the sweep failed");
            }
        }
        let full = swept.is_ok_and(|looked| looked == usize::try_from(BATCH).unwrap_or(usize::MAX));
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(if full { Duration::ZERO } else { PERIOD }) => {}
        }
    }
}

/// Rings what is due; answers how many attempts were looked at.
///
/// # Errors
/// Any [`DbError`].
pub async fn turn(exchange: &Exchange) -> Result<usize, DbError> {
    let idle = idle_partitions(exchange).await?;
    let mut tx = exchange.db().begin().await?;
    let due = sweep::due(&mut tx, BATCH).await?;
    let looked = due.len();
    let all: Vec<Ringable> = due.iter().map(|due| due.ring).collect();
    // What nobody took and whose queue is not empty merely waits its turn there.
    let lost = |due: &&Due| !due.untaken || idle.contains(&due.ring.partition);
    let rings: Vec<Ringable> = due.iter().filter(lost).map(|due| due.ring).collect();
    sweep::look_again(&mut tx, &all, exchange.settings().patience).await?;
    outbox::ring(&mut tx, &rings).await?;
    tx.commit().await?;
    if !rings.is_empty() {
        exchange.0.rings.notify_one();
    }
    Ok(looked)
}

/// Looks for held packages to be looked at again, and keeps the table of refusals short.
///
/// # Errors
/// Any [`DbError`].
pub async fn rarely(exchange: &Exchange) -> Result<(), DbError> {
    let mut tx = exchange.db().begin().await?;
    let mut rings = sweep::unwoken(&mut tx).await?;
    rings.extend(sweep::waited_too_long(&mut tx, exchange.settings().gap_wait).await?);
    sweep::look_again(&mut tx, &rings, exchange.settings().patience).await?;
    outbox::ring(&mut tx, &rings).await?;
    tx.commit().await?;
    if !rings.is_empty() {
        exchange.0.rings.notify_one();
    }
    refusal::trim(exchange.db()).await?;
    Ok(())
}

/// Partitions whose queue is empty: what is due there and was never taken has lost its ring.
async fn idle_partitions(exchange: &Exchange) -> Result<Vec<u16>, DbError> {
    if !sweep::any_due(exchange.db()).await? {
        return Ok(Vec::new());
    }
    let mut idle = Vec::new();
    for partition in 0..PARTITIONS {
        match exchange.doorbell().depth(partition).await {
            Some(0) => idle.push(partition),
            Some(_) => {}
            // The broker is away: nothing can be said of any queue.
            None => return Ok(Vec::new()),
        }
    }
    Ok(idle)
}
