//! Pages.

mod queues;
mod signature;
mod status;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;

use crate::exchange::Exchange;

/// Bytes of a form around its file.
const FORM_BYTES: usize = 64 << 10;

/// The routes of the pages.
pub fn router(exchange: Exchange) -> Router {
    let workshop = get(signature::form).post(signature::judge);
    let limit = DefaultBodyLimit::max(signature::MAX_BYTES + FORM_BYTES);
    Router::new()
        .route("/", get(status::page))
        .route("/queues", get(queues::page))
        .route("/signature", workshop.layer(limit))
        .with_state(exchange)
}
