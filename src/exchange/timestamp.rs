//! Time stamps of an authority on our receipts, made after the receipts have left: nobody waits
//! for the authority, and its absence stops nothing but raises an alarm.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Client;
use tokio_util::sync::CancellationToken;

use crate::exchange::Exchange;
use crate::storage::content::decompress;
use crate::storage::journal::timestamp::{self, Unstamped};
use crate::trust::TrustStore;
use crate::trust::timestamp::{MAX_ANSWER, Query, Stamp};

/// How often is looked when all is stamped.
const PERIOD: Duration = Duration::from_secs(2);

/// Longest pause while the authority is away.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How long the authority may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long an unstamped receipt is tried: what is older stays as it is.
const GIVEN_UP_AFTER: TimeDelta = TimeDelta::days(7);

/// Receipts stamped in one turn.
const BATCH: i64 = 100;

/// Gauge: 1 while receipts wait for an authority that does not give good stamps.
const ALARM: &str = "timestamp_alarm";
/// Counters.
const FAILURES_TOTAL: &str = "timestamp_failures_total";
const STAMPED_TOTAL: &str = "timestamp_stamped_total";

/// An authority of time stamps.
pub struct Stamper {
    url: String,
    trust: TrustStore,
    client: Client,
}

/// Why a receipt got no stamp now.
type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Stamper {
    /// Asks the authority at this address; `trust` knows its certificate.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(url: String, trust: TrustStore) -> Result<Self, reqwest::Error> {
        let trust = trust.for_time_stamps();
        Ok(Self { url, trust, client: Client::builder().timeout(PATIENCE).build()? })
    }

    async fn stamp(&self, document: &[u8], now: DateTime<Utc>) -> Result<Stamp, Failure> {
        let query = Query::new(document)?;
        let request = self.client.post(&self.url).body(query.der.clone());
        let request = request.header("content-type", "application/timestamp-query");
        let mut answer = request.send().await?.error_for_status()?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_ANSWER {
                return Err("the answer is too long".into());
            }
        }
        Ok(query.judge(&bytes, &self.trust, now)?)
    }
}

/// Stamps receipts until `stop`.
pub async fn run(exchange: Exchange, stamper: Stamper, stop: CancellationToken) {
    let mut since = exchange.clock().now() - GIVEN_UP_AFTER;
    let (mut pause, mut alarm) = (PERIOD, false);
    metrics::gauge!(ALARM).set(0.0);
    while !stop.is_cancelled() {
        // Receipts are written a little after they are signed.
        let begun = exchange.clock().now() - TimeDelta::minutes(10);
        match turn(&exchange, &stamper, since).await {
            Ok(more) => {
                if alarm {
                    tracing::info!("receipts get time stamps again");
                    metrics::gauge!(ALARM).set(0.0);
                }
                (alarm, pause) = (false, if more { Duration::ZERO } else { PERIOD });
                if !more {
                    since = begun;
                }
            }
            Err(error) => {
                metrics::counter!(FAILURES_TOTAL).increment(1);
                if !alarm {
                    tracing::error!(%error, "receipts get no time stamps; intake goes on");
                    metrics::gauge!(ALARM).set(1.0);
                }
                alarm = true;
                pause = (pause * 2).clamp(PERIOD, LONGEST_PAUSE);
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Stamps what waits; says whether there may be more.
async fn turn(
    exchange: &Exchange,
    stamper: &Stamper,
    since: DateTime<Utc>,
) -> Result<bool, Failure> {
    let waiting = timestamp::missing(exchange.db(), since, BATCH).await?;
    for receipt in &waiting {
        stamp(exchange, stamper, receipt).await?;
        metrics::counter!(STAMPED_TOTAL).increment(1);
    }
    Ok(i64::try_from(waiting.len()).is_ok_and(|count| count == BATCH))
}

async fn stamp(exchange: &Exchange, stamper: &Stamper, receipt: &Unstamped) -> Result<(), Failure> {
    let xml = decompress(&receipt.xml)?;
    let stamp = stamper.stamp(&xml, exchange.clock().now()).await?;
    let mut tx = exchange.db().begin().await?;
    timestamp::keep(&mut tx, receipt, &stamp.token, stamp.time).await?;
    tx.commit().await?;
    Ok(())
}
