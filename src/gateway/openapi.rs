//! The OpenAPI description of `/api/v1`, one file, embedded.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};

const DOCUMENT: &str = include_str!("../../schemas/rest/openapi.json");

pub(super) async fn document() -> ([(HeaderName, HeaderValue); 1], &'static str) {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], DOCUMENT)
}
