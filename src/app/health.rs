//! Liveness, readiness and metrics, on a port of their own.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::storage::db::Db;

/// How long the database may take to answer before we are not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the probes look at.
#[derive(Clone)]
pub(super) struct Probes {
    pub(super) db: Db,
    pub(super) metrics: PrometheusHandle,
}

/// `/health/live`, `/health/ready`, `/metrics`.
pub(super) fn router(probes: Probes) -> Router {
    Router::new()
        .route("/health/live", get(|| async { "ok\n" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(probes)
}

async fn ready(State(probes): State<Probes>) -> (StatusCode, &'static str) {
    let asked = tokio::time::timeout(PATIENCE, probes.db.query("SELECT 1", vec![])).await;
    match asked {
        Ok(Ok(_)) => (StatusCode::OK, "ready\n"),
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}

async fn metrics(State(probes): State<Probes>) -> String {
    probes.metrics.render()
}
