//! Pages.

mod status;

use axum::Router;
use axum::routing::get;

use crate::exchange::Exchange;

/// The routes of the pages.
pub fn router(exchange: Exchange) -> Router {
    Router::new().route("/", get(status::page)).with_state(exchange)
}
