//! Refused deliveries on their way to the journal: best effort, never in anybody's way.

use tokio_util::sync::CancellationToken;

use crate::exchange::Exchange;
use crate::storage::candidate;
use crate::storage::db::DbError;
use crate::storage::journal::refusal::{self, Refused};

/// Rows in one transaction.
const BATCH: usize = 64;

/// Writes until `stop`, then what is left in the queue.
pub(crate) async fn run(exchange: Exchange, stop: CancellationToken) {
    let mut queue = exchange.0.refused_queue.lock().await;
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let taken = tokio::select! {
            biased;
            taken = queue.recv_many(&mut batch, BATCH) => taken,
            () = stop.cancelled() => return,
        };
        if taken == 0 {
            return;
        }
        if let Err(error) = write(&exchange, &mut batch).await {
            tracing::warn!(%error, lost = batch.len(), "refusals could not be written");
        }
        batch.clear();
    }
}

async fn write(exchange: &Exchange, batch: &mut [Refused]) -> Result<(), DbError> {
    let ids = exchange.ids().take("refusal", batch.len()).await?;
    for (refused, id) in batch.iter_mut().zip(ids) {
        refused.id = id;
    }
    let mut tx = exchange.db().begin().await?;
    refusal::insert(&mut tx, batch).await?;
    for refused in batch {
        if let (Some(supplier), Some(stranger)) = (&refused.supplier, &refused.stranger) {
            candidate::note(&mut tx, supplier, stranger, refused.refused_at).await?;
        }
    }
    tx.commit().await
}
