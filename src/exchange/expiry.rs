//! Certificates and lists of revoked certificates that are about to end: gauges, and warnings 60, 30, 14, 7
//! and 1 days before and when it is too late.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::exchange::Exchange;
use crate::storage::supplier::{self, Dated};
use crate::trust::certificate::Facts;

/// How often is looked.
const PERIOD: Duration = Duration::from_mins(10);

/// Days before the end of which is warned, and zero for the end itself.
const THRESHOLDS: [i64; 6] = [60, 30, 14, 7, 1, 0];

/// Gauge: whole days left, negative when it is over; labels `kind`, `owner`, `sha256`.
const DAYS_LEFT: &str = "certificate_days_left";
/// Gauge: days until the next list of revoked certificates is due.
const CRL_DAYS_LEFT: &str = "crl_days_left";

/// Looks until `stop`.
pub(crate) async fn run(exchange: Exchange, stop: CancellationToken) {
    let mut warned = BTreeMap::new();
    while !stop.is_cancelled() {
        let now = exchange.clock().now();
        for warning in look(&exchange, now, &mut warned).await {
            tracing::warn!(
                kind = warning.kind,
                owner = warning.owner,
                sha256 = warning.sha256,
                not_after = %warning.not_after,
                days_left = days_left(warning.not_after, now),
                "a certificate ends: register its successor"
            );
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

/// Sets the gauges; gives the certificates that have passed a threshold since it was last looked.
/// `warned` keeps the last threshold of each certificate.
pub async fn look(
    exchange: &Exchange,
    now: DateTime<Utc>,
    warned: &mut BTreeMap<String, i64>,
) -> Vec<Dated> {
    let mut dated = supplier::dated(exchange.db()).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "dates of certificates cannot be read");
        Vec::new()
    });
    if let Ok(own) = Facts::read(exchange.signer().certificate_der()) {
        dated.push(not_stored("own", "kontingent", &own));
    }
    if let Ok(picture) = exchange.0.parties.snapshot().await {
        for anchor in picture.trust.anchors() {
            dated.push(not_stored("authority", &anchor.subject, &anchor));
        }
        if let Some(due) = picture.crl_due {
            metrics::gauge!(CRL_DAYS_LEFT).set(float(days_left(due, now)));
        }
    }
    dated.retain(|certificate| {
        let left = days_left(certificate.not_after, now);
        let labels = [
            ("kind", certificate.kind.to_owned()),
            ("owner", certificate.owner.clone()),
            ("sha256", certificate.sha256.clone()),
        ];
        metrics::gauge!(DAYS_LEFT, &labels).set(float(left));
        match THRESHOLDS.iter().rev().find(|threshold| left <= **threshold) {
            Some(threshold) => {
                warned.insert(certificate.sha256.clone(), *threshold) != Some(*threshold)
            }
            None => false,
        }
    });
    dated
}

fn not_stored(kind: &'static str, owner: &str, facts: &Facts) -> Dated {
    let (owner, sha256) = (owner.to_owned(), facts.sha256.clone());
    Dated { kind, owner, sha256, not_after: facts.not_after }
}

fn days_left(end: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (end - now).num_seconds().div_euclid(86_400)
}

/// Days fit into a float exactly.
#[expect(clippy::cast_precision_loss, reason = "days are few")]
fn float(days: i64) -> f64 {
    days as f64
}
