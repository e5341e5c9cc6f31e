//! Refusals as `application/problem+json` (RFC 9457).

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::model::refusal::{Refusal, RefusalCode};

/// What a peer that is told to come back later should wait, in seconds.
pub const RETRY_SECONDS: u32 = 5;

/// The number of one request, in its answer and in every line of the log about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

/// Answers a request with a refusal.
pub fn respond(refusal: &Refusal, request: &RequestId) -> Response<Body> {
    let code = refusal.code;
    let mut response = Response::new(Body::from(document(refusal, request).to_string()));
    *response.status_mut() =
        StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if matches!(code, RefusalCode::TooManyRequests | RefusalCode::StoreUnavailable) {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
    }
    if code == RefusalCode::Unauthorised {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn document(refusal: &Refusal, request: &RequestId) -> Value {
    let code = refusal.code;
    let mut problem = Map::new();
    problem.insert("type".into(), json!(format!("urn:kontingent:problem:{}", code.as_str())));
    problem.insert("title".into(), json!(code.text()));
    problem.insert("status".into(), json!(code.status()));
    problem.insert("code".into(), json!(code.as_str()));
    if let Some(detail) = &refusal.detail {
        problem.insert("detail".into(), json!(detail));
    }
    if let Some(place) = refusal.place {
        problem.insert("place".into(), json!(place));
    }
    problem.insert("correlationId".into(), json!(request.0));
    problem.insert("retryable".into(), json!(code.retryable()));
    Value::Object(problem)
}
