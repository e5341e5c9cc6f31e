//! Builds what federal systems have ordered: tables of counts, and persons without anything to
//! recognise them by.

use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::rand::rand_bytes;
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::exchange::Exchange;
use crate::exchange::crowd::{Crowd, Learners};
use crate::exchange::question::statistics::count;
use crate::model::federal::PAGE_LIMIT;
use crate::model::federal::statistics::{Breakdown, BuiltPage, StatisticsQuery};
use crate::storage::db::DbError;
use crate::storage::federal::job::{self, PageError};
use crate::storage::federal::statistics;

/// How often is looked for orders.
const PERIOD: Duration = Duration::from_secs(1);

/// Turns after which old results are looked for.
const SELDOM: u32 = 600;

/// Why a result was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A page could not be kept.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The order or the result cannot be written as JSON.
    #[error("an order or a result is no JSON")]
    Json(#[from] serde_json::Error),
    /// The cryptographic library.
    #[error("the cryptographic library failed")]
    Crypto(#[from] ErrorStack),
    /// The computing thread was lost.
    #[error("the computing thread was lost")]
    Lost(#[from] JoinError),
}

/// Builds until `stop`.
pub async fn run(exchange: Exchange, stop: CancellationToken) {
    let mut turn = 0_u32;
    while !stop.is_cancelled() {
        let built = tokio::select! {
            () = stop.cancelled() => break,
            built = build_next(&exchange) => built,
        };
        if let Err(error) = &built {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "ordered statistics were not built");
        }
        if turn.is_multiple_of(SELDOM)
            && let Err(error) = job::forget(exchange.db(), exchange.clock().now()).await
        {
            tracing::warn!(%error, "old statistics were not forgotten");
        }
        turn = turn.wrapping_add(1);
        if !matches!(built, Ok(true)) {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }
}

/// Builds the order that waits longest; false when none waits.
///
/// # Errors
/// [`BuildError`]; the order is then begun again, for some times.
pub async fn build_next(exchange: &Exchange) -> Result<bool, BuildError> {
    let Some((job, query)) = job::claim(exchange.db()).await? else { return Ok(false) };
    let built = build(exchange, job, &query).await;
    if built.is_err() {
        job::release(exchange.db(), job).await?;
    }
    built.map(|()| true)
}

async fn build(exchange: &Exchange, job: Uuid, query: &str) -> Result<(), BuildError> {
    let query: StatisticsQuery = serde_json::from_str(query)?;
    let mut read = exchange.db().begin_read().await?;
    let (crowd, table) = if query.breakdown == Breakdown::Persons {
        let learners = Learners::read(&mut read, &query).await?;
        let key = pseudonym_key(exchange).await?;
        (spawn_blocking(move || Crowd::of(&learners, &key)).await??, None)
    } else {
        (Crowd::default(), Some(BuiltPage::Table(count(&mut read, &query).await?)))
    };
    read.commit().await?;
    let mut tx = exchange.db().begin().await?;
    let mut number = 0;
    for page in table.into_iter().chain(crowd.pages(PAGE_LIMIT).map(BuiltPage::Persons)) {
        number += 1;
        job::keep(&mut tx, job, number, &serde_json::to_vec(&page)?).await?;
    }
    if number == 0 {
        number = 1;
        let nobody = serde_json::to_vec(&BuiltPage::Persons(Vec::new()))?;
        job::keep(&mut tx, job, number, &nobody).await?;
    }
    job::finish(&mut tx, job, number, exchange.clock().now()).await?;
    tx.commit().await?;
    Ok(())
}

async fn pseudonym_key(exchange: &Exchange) -> Result<PKey<Private>, BuildError> {
    let mut fresh = vec![0; 32];
    rand_bytes(&mut fresh)?;
    let key = statistics::pseudonym_key(exchange.db(), fresh).await?;
    Ok(PKey::hmac(&key)?)
}
