//! What every request passes before and after its handler: a number, judgement of its head,
//! a net under panics.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use axum::{Router, body::HttpBody};
use bytes::Bytes;
use futures_util::FutureExt as _;
use tower::ServiceExt as _;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::http::limits::{Limits, PeerKey, network};
use crate::http::problem::{self, RequestId};
use crate::http::spool::Lingering;
use crate::model::file_name;
use crate::model::refusal::{Refusal, RefusalCode};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who is at the other end of the connection; handlers find it among the extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Network address.
    pub address: SocketAddr,
    /// DER of the client certificate, if the peer showed one that an authority of ours issued.
    pub certificate: Option<Arc<[u8]>>,
    /// Whether the connection is encrypted.
    pub secure: bool,
}

impl Peer {
    /// What the peer is counted by.
    pub fn key(&self) -> PeerKey {
        match &self.certificate {
            Some(der) => PeerKey::Certificate(Arc::clone(der)),
            None => PeerKey::Address(network(self.address.ip())),
        }
    }
}

/// Answers one request, whatever happens.
///
/// # Errors
/// None.
pub async fn answer<B>(
    router: Router,
    peer: Peer,
    limits: Limits,
    request: Request<B>,
) -> Result<Response<Body>, Infallible>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError>,
{
    let (mut parts, body) = request.into_parts();
    let id = request_id(&parts);
    let span = tracing::info_span!(
        "http.request",
        request.id = %id.0,
        peer = %peer.address,
        method = %parts.method,
        path = parts.uri.path(),
    );
    let body = Lingering::new(body, &parts.headers);
    parts.extensions.insert(peer);
    parts.extensions.insert(id.clone());
    let handled = async {
        match judge(&parts, limits) {
            Err(refusal) => refuse(&refusal, &id, &parts.method),
            Ok(()) => handle(router, Request::from_parts(parts, Body::new(body)), &id).await,
        }
    };
    let mut response = handled.instrument(span.clone()).await;
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let _entered = span.enter();
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        tracing::info!(status = status.as_u16(), "request refused");
    } else {
        tracing::debug!(status = status.as_u16(), "request answered");
    }
    Ok(response)
}

async fn handle(router: Router, request: Request<Body>, id: &RequestId) -> Response<Body> {
    let answered = AssertUnwindSafe(router.oneshot(request)).catch_unwind().await;
    match answered {
        Ok(Ok(response)) => worded(response, id),
        Err(_panic) => {
            tracing::error!("a handler panicked");
            problem::respond(&RefusalCode::Internal.into(), id)
        }
    }
}

/// Gives the bare answers of the router, 404 and 405, their words.
fn worded(response: Response<Body>, id: &RequestId) -> Response<Body> {
    let code = match response.status() {
        StatusCode::NOT_FOUND => RefusalCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => RefusalCode::MethodNotAllowed,
        _ => return response,
    };
    if response.headers().contains_key(CONTENT_TYPE) {
        return response;
    }
    let mut told = problem::respond(&code.into(), id);
    if let Some(allow) = response.headers().get(ALLOW) {
        told.headers_mut().insert(ALLOW, allow.clone());
    }
    told
}

fn refuse(refusal: &Refusal, id: &RequestId, method: &Method) -> Response<Body> {
    let mut response = problem::respond(refusal, id);
    if method == Method::CONNECT {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, PUT, POST"));
    }
    response
}

/// The peer's own number of the request, if it is short and plain, else a new one.
fn request_id(parts: &Parts) -> RequestId {
    let given = parts.headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let sane = |id: &&str| {
        (1..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match given.filter(sane) {
        Some(id) => RequestId(id.to_owned()),
        None => RequestId(Uuid::new_v4().to_string()),
    }
}

fn judge(parts: &Parts, limits: Limits) -> Result<(), Refusal> {
    let headers = &parts.headers;
    let bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > limits.head_lines || bytes > limits.head_bytes {
        return Err(Refusal::new(RefusalCode::HeadTooLarge)
            .detail(format!("не более {} байт и {} строк", limits.head_bytes, limits.head_lines)));
    }
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Err(RefusalCode::MethodNotAllowed.into());
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked =
        codings.next().is_none_or(|only| only.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !chunked || codings.next().is_some() {
        return Err(Refusal::new(RefusalCode::RequestInvalid).detail("Transfer-Encoding"));
    }
    let hosts = headers.get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && parts.version == Version::HTTP_11) {
        return Err(Refusal::new(RefusalCode::RequestInvalid).detail("Host"));
    }
    let path = parts.uri.path();
    if canonical(path) {
        return Ok(());
    }
    // Whoever puts a file has named it, and can name it otherwise.
    let named = parts.method == Method::PUT && path.starts_with("/ws/smev/files/");
    Err(if named { file_name::refusal() } else { RefusalCode::NotFound.into() })
}

/// Whether a path can be read in one way only.
fn canonical(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
    };
    rest.is_empty() || rest.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_one_reading_are_canonical() {
        for good in ["/", "/ws/intake", "/api/v1/openapi.json", "/ws/smev/1.3"] {
            assert!(canonical(good), "{good}");
        }
        for bad in ["", "*", "//", "/ws//intake", "/ws/../ws", "/ws/", "/%77s", "/ws;a=b", "/ws/."]
        {
            assert!(!canonical(bad), "{bad}");
        }
    }
}
