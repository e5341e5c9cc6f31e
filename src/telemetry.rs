//! Names of metrics, and the subscriber that writes logs.
//!
//! A message reads alone and its fields can be queried; never XML, personal data or keys.

use std::str::FromStr;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// Counter: packages accepted, by `outcome` (`accepted`, `duplicate`).
pub const ACCEPTED_TOTAL: &str = "exchange_accepted_total";
/// Counter: deliveries refused, by `code`.
pub const REFUSED_TOTAL: &str = "exchange_refused_total";
/// Histogram: seconds from the first byte of a package to its receipt.
pub const ACCEPT_SECONDS: &str = "exchange_accept_seconds";
/// Histogram: packages in one commit.
pub const COMMIT_PACKAGES: &str = "exchange_commit_packages";
/// Counter: records processed, by `outcome` (`created`, `updated`, `unchanged`, `refused`, `superseded`).
pub const RECORDS_TOTAL: &str = "exchange_records_total";
/// Counter: attempts ended, by `outcome`.
pub const ATTEMPTS_TOTAL: &str = "exchange_attempts_total";
/// Counter: packages that call for a person to look at the supplier, by `code`.
pub const ALERTS_TOTAL: &str = "exchange_alerts_total";
/// Counter: doorbell messages, by `outcome` (`confirmed`, `returned`, `failed`).
pub const RINGS_TOTAL: &str = "broker_rings_total";
/// Counter: federal requests, by `operation` and `outcome`.
pub const FEDERAL_TOTAL: &str = "federal_requests_total";
/// Histogram: seconds a federal question took, by `operation`.
pub const FEDERAL_SECONDS: &str = "federal_question_seconds";

/// Counter: requests pulled from the remote node, by `outcome` (`answered`, `rejected`, `repeated`, `refused`).
pub const REMOTE_REQUESTS_TOTAL: &str = "federal_remote_requests_total";
/// Counter: faults of the remote node and failures of calls to it, by `operation` and `fault`.
pub const REMOTE_FAULTS_TOTAL: &str = "federal_remote_faults_total";
/// Gauge: answers for the remote node, by `state` (`waiting`, `unconfirmed`, `parked`).
pub const REMOTE_ANSWERS: &str = "federal_remote_answers";
/// Gauge: when the remote node last answered a poll, in seconds since 1970.
pub const REMOTE_POLLED: &str = "federal_remote_last_poll_timestamp_seconds";
/// Gauge: 1 while something is wrong, by `what` (`poll`, `send`, `trust`, `signature`, `parked`, `clock`).
pub const REMOTE_ALARM: &str = "federal_remote_alarm";

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error. A second call changes nothing.
pub fn start_logging(filter: &str, format: LogFormat) {
    let filter = EnvFilter::from_str(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}

/// Starts collecting metrics; the handle renders them for `/metrics`.
/// A second call in one process gets a recorder of its own that nothing writes to.
pub fn start_metrics() -> PrometheusHandle {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::debug!("metrics were started before");
    }
    handle
}
