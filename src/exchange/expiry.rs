//! Certificates and lists of revoked certificates that are about to end: gauges, and warnings 60, 30, 14, 7
//! and 1 days before and when it is too late.
//!
//! Every certificate in use is watched. One whose owner has another that will do in its place when
//! it ends is told once, quietly; a certificate that nobody will accept takes nobody's place.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::exchange::Exchange;
use crate::exchange::parties::Picture;
use crate::storage::supplier::{self, Owned};
use crate::trust::TrustStore;
use crate::trust::certificate::Facts;

/// How often is looked.
const PERIOD: Duration = Duration::from_mins(10);

/// Days before the end of which is warned, and zero for the end itself.
const THRESHOLDS: [i64; 6] = [60, 30, 14, 7, 1, 0];

/// What stands for a threshold where the successor is registered.
const SUCCEEDED: i64 = i64::MAX;

/// Gauge: whole days left, negative when it is over; labels `kind`, `owner`, `sha256`.
const DAYS_LEFT: &str = "certificate_days_left";
/// Gauge of the same labels: 1 where the owner has another that is accepted when this one has ended.
const SUCCESSOR: &str = "certificate_successor";
/// Gauge: days until the next list of revoked certificates is due.
const CRL_DAYS_LEFT: &str = "crl_days_left";

/// A certificate that counts, and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// `supplier`, `federal`, `authority` or `own`; `tls`, `client_authority`, `remote` or `timestamp`
    /// of files that the configuration names.
    pub kind: &'static str,
    /// Mnemonic of whose it is, or the subject.
    pub owner: String,
    /// Lower-case hex of SHA-256 of the DER.
    pub sha256: String,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// Its owner has another one that is accepted when this one has ended.
    pub succeeded: bool,
}

impl Dated {
    /// A certificate that is in no table.
    pub fn of(kind: &'static str, owner: &str, facts: &Facts) -> Self {
        let (owner, sha256) = (owner.to_owned(), facts.sha256.clone());
        Self { kind, owner, sha256, not_after: facts.not_after, succeeded: false }
    }
}

/// Looks until `stop`.
pub(crate) async fn run(exchange: Exchange, stop: CancellationToken) {
    let mut warned = BTreeMap::new();
    while !stop.is_cancelled() {
        let now = exchange.clock().now();
        for warning in look(&exchange, now, &mut warned).await {
            tell(&warning, now);
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

fn tell(warning: &Dated, now: DateTime<Utc>) {
    let Dated { kind, owner, sha256, not_after, succeeded } = warning;
    let days_left = days_left(*not_after, now);
    if *succeeded {
        tracing::info!(
            kind, owner, sha256, %not_after, days_left,
            "a certificate ends; its successor is registered"
        );
    } else {
        tracing::warn!(
            kind, owner, sha256, %not_after, days_left,
            "a certificate ends: register its successor"
        );
    }
}

/// Sets the gauges; gives the certificates that have passed a threshold since it was last looked, and
/// those with a successor once. `warned` keeps the last threshold of each certificate.
pub async fn look(
    exchange: &Exchange,
    now: DateTime<Utc>,
    warned: &mut BTreeMap<String, i64>,
) -> Vec<Dated> {
    let mut dated = all(exchange, now).await;
    dated.retain(|certificate| {
        let left = days_left(certificate.not_after, now);
        let labels = [
            ("kind", certificate.kind.to_owned()),
            ("owner", certificate.owner.clone()),
            ("sha256", certificate.sha256.clone()),
        ];
        metrics::gauge!(DAYS_LEFT, &labels).set(float(left));
        metrics::gauge!(SUCCESSOR, &labels).set(f64::from(u8::from(certificate.succeeded)));
        let passed = THRESHOLDS.iter().rev().find(|threshold| left <= **threshold);
        let Some(&threshold) = passed else { return false };
        let mark = if certificate.succeeded { SUCCEEDED } else { threshold };
        let key = format!("{} {}", certificate.kind, certificate.sha256);
        warned.insert(key, mark) != Some(mark)
    });
    dated
}

/// All certificates that are watched.
async fn all(exchange: &Exchange, now: DateTime<Utc>) -> Vec<Dated> {
    let mut dated = exchange.watched();
    if let Ok(own) = Facts::read(exchange.signer().certificate_der()) {
        dated.push(Dated::of("own", "kontingent", &own));
    }
    let picture = exchange.0.parties.snapshot().await.ok();
    if let Some(picture) = &picture {
        let anchors = picture.trust.anchors();
        dated.extend(anchors.iter().map(|anchor| Dated::of("authority", &anchor.subject, anchor)));
        if let Some(due) = picture.crl_due {
            metrics::gauge!(CRL_DAYS_LEFT).set(float(days_left(due, now)));
        }
    }
    match supplier::owned(exchange.db()).await {
        Ok(owned) => dated.extend(succession(&owned, picture.as_deref(), now)),
        Err(error) => tracing::warn!(%error, "dates of certificates cannot be read"),
    }
    dated
}

/// The certificates of others, and whether each has a successor.
fn succession(owned: &[Owned], picture: Option<&Picture>, now: DateTime<Utc>) -> Vec<Dated> {
    // Lists of revoked certificates say nothing of a day to come: the path alone is judged for then.
    let anchors = picture.map(|picture| picture.trust.anchors()).unwrap_or_default();
    let anchors: Vec<Vec<u8>> = anchors.into_iter().map(|anchor| anchor.der).collect();
    let paths = TrustStore::new(&anchors).ok();
    let accepted = |der: &[u8], at| {
        let path = paths.as_ref().is_some_and(|paths| paths.judge_path(der, &[], at).is_ok());
        path && picture.is_some_and(|picture| !picture.trust.is_revoked(der, now))
    };
    let dated = |one: &Owned| {
        let certificate = &one.certificate;
        // Its own last second is not enough for the one that comes after.
        let then = now.max(certificate.not_after + TimeDelta::seconds(1));
        let succeeded = owned.iter().any(|other| {
            (other.kind, &other.owner) == (one.kind, &one.owner)
                && other.certificate.not_after >= then
                && accepted(&other.certificate.der, then)
        });
        Dated {
            kind: one.kind,
            owner: one.owner.clone(),
            sha256: certificate.sha256.clone(),
            not_after: certificate.not_after,
            succeeded,
        }
    };
    owned.iter().map(dated).collect()
}

fn days_left(end: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (end - now).num_seconds().div_euclid(86_400)
}

/// Days fit into a float exactly.
#[expect(clippy::cast_precision_loss, reason = "days are few")]
fn float(days: i64) -> f64 {
    days as f64
}
