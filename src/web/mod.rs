//! Pages.

mod queues;
mod signature;
mod status;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::map_response;
use axum::response::Response;
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
        .layer(map_response(guarded))
        .with_state(exchange)
}

/// Pages load nothing, run nothing, stand in no frame, and are kept nowhere: they show names and
/// documents.
async fn guarded(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
        base-uri 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
