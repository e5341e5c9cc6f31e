//! `/api/v1`: packages by PUT, receipts, status, limits, and the description of all that.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::routing::{get, put};
use axum::{Json, Router};
use mime::Mime;
use serde_json::{Value, json};

use super::{Gateway, openapi};
use crate::codec::inflate::Encoding;
use crate::exchange::delivery::{Delivery, Status};
use crate::exchange::document;
use crate::http::guard::Peer;
use crate::http::problem::{self, RequestId};
use crate::http::spool;
use crate::model::ids::PackageId;
use crate::model::refusal::{Refusal, RefusalCode};

pub(super) fn routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/api/v1/packages/{id}", put(submit))
        .route("/api/v1/packages/{id}/receipt", get(receipt))
        .route("/api/v1/packages/{id}/receipt/timestamp", get(timestamp))
        .route("/api/v1/packages/{id}/status", get(status))
        .route("/api/v1/limits", get(limits))
        .route("/api/v1/openapi.json", get(openapi::document))
}

/// Answers with what was found, or with a problem document.
pub(super) fn respond(result: Result<Response<Body>, Refusal>, id: &RequestId) -> Response<Body> {
    result.unwrap_or_else(|refusal| {
        tracing::info!(code = refusal.code.as_str(), "a request was refused");
        problem::respond(&refusal, id)
    })
}

async fn submit(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    Extension(id): Extension<RequestId>,
    Path(package): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    respond(gateway.put(&peer, &package, &headers, body).await, &id)
}

impl Gateway {
    async fn put(
        &self,
        peer: &Peer,
        package: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response<Body>, Refusal> {
        let expected = package_id(package)?;
        let encoding = encoding(headers)?;
        let _place = self.admit(peer)?;
        let upload = spool::receive(headers, body, &self.settings.limits).await?;
        let _large = self.admit_large(peer, upload.small)?;
        let delivery = Delivery {
            body: upload.body,
            size_hint: upload.size_hint,
            small: upload.small,
            encoding,
            declared_utf8: says_utf8(headers),
            expected_id: Some(expected),
            peer: peer.address.ip().to_string(),
            channel_certificate: peer.certificate.as_ref().map(|der| der.to_vec()),
        };
        let accepted = self.exchange.accept(delivery).await?;
        let status = if accepted.duplicate { StatusCode::OK } else { StatusCode::ACCEPTED };
        let mut response = xml(status, accepted.receipt);
        let place =
            format!("/api/v1/packages/{}/receipt?supplier={}", accepted.package, accepted.supplier);
        if let Ok(place) = HeaderValue::from_str(&place) {
            response.headers_mut().insert(LOCATION, place);
        }
        Ok(response)
    }
}

async fn receipt(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    Extension(id): Extension<RequestId>,
    Path(package): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let found = async {
        let supplier = supplier(query.as_deref())?;
        let receipt = gateway.receipt(&peer, supplier, package_id(&package)?).await?;
        let mut response = xml(StatusCode::OK, receipt.xml);
        let kind = if receipt.concluding { "final" } else { "first" };
        response.headers_mut().insert("x-receipt", HeaderValue::from_static(kind));
        Ok(response)
    };
    respond(found.await, &id)
}

/// The time stamp on the receipt: a token of RFC 3161, DER.
async fn timestamp(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    Extension(id): Extension<RequestId>,
    Path(package): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let found = async {
        let supplier = supplier(query.as_deref())?;
        let token = gateway.timestamp(&peer, supplier, package_id(&package)?).await?;
        let mut response = Response::new(Body::from(token));
        let kind = HeaderValue::from_static("application/timestamp-token");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Ok(response)
    };
    respond(found.await, &id)
}

async fn status(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    Extension(id): Extension<RequestId>,
    Path(package): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let found = async {
        let supplier = supplier(query.as_deref())?;
        let status = gateway.status(&peer, supplier, package_id(&package)?).await?;
        Ok(json_response(status_document(&status)))
    };
    respond(found.await, &id)
}

fn status_document(status: &Status) -> Value {
    json!({
        "packageId": status.package,
        "number": status.number,
        "supplier": status.supplier,
        "state": status.state,
        "stateTitle": status.state.title(),
        "reason": status.reason,
        "receivedAt": status.received_at,
        "stateAt": status.state_at,
        "attempts": status.attempts,
        "records": status.records,
        "recordsDone": status.records_done,
        "deferred": document::deferred(status.fate),
    })
}

async fn limits(State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let limits = &gateway.settings.limits;
    let inflate = gateway.exchange.settings().inflate;
    Json(json!({
        "bodyBytes": limits.body_bytes,
        "bodyBytesPerSecond": limits.body_rate,
        "packageBytes": inflate.document_bytes,
        "inflateRatio": inflate.ratio,
        "inflateRatioFromBytes": inflate.ratio_from_bytes,
        "headBytes": limits.head_bytes,
        "headLines": limits.head_lines,
        "headSeconds": limits.head_timeout.as_secs(),
        "deliveriesPerPeer": super::DELIVERIES_PER_PEER,
        "largeDeliveriesPerPeer": super::LARGE_DELIVERIES_PER_PEER,
        "wrongNamesPerMinute": super::MISSES_PER_MINUTE,
        "encodings": ["plain", "gzip", "zip"],
    }))
}

pub(super) fn json_response(document: Value) -> Response<Body> {
    use axum::response::IntoResponse as _;
    Json(document).into_response()
}

fn xml(status: StatusCode, document: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}

fn package_id(text: &str) -> Result<PackageId, Refusal> {
    PackageId::parse(text).ok_or_else(|| {
        Refusal::new(RefusalCode::RequestInvalid).detail("идентификатор пакета: ожидался UUID")
    })
}

/// The value of `supplier=` in the query string; mnemonics need no escaping.
fn supplier(query: Option<&str>) -> Result<&str, Refusal> {
    let mut pairs = query.unwrap_or_default().split('&');
    let found = pairs.find_map(|pair| pair.strip_prefix("supplier="));
    found.filter(|supplier| !supplier.is_empty()).ok_or_else(|| {
        Refusal::new(RefusalCode::RequestInvalid).detail("нужен параметр supplier: мнемоника")
    })
}

/// Whether `Content-Type` names the encoding, which then is UTF-8.
fn says_utf8(headers: &HeaderMap) -> bool {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind: Option<Mime> = said.and_then(|said| said.parse().ok());
    kind.is_some_and(|kind| kind.get_param(mime::CHARSET).is_some())
}

/// How the body is compressed, by its headers.
fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind: Option<Mime> = said.and_then(|said| said.parse().ok());
    let kind = kind.ok_or(RefusalCode::ContentType)?;
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let coding = codings.next().map_or(&b"identity"[..], HeaderValue::as_bytes);
    let unsuitable = || Refusal::new(RefusalCode::ContentEncoding).detail("или gzip, или zip");
    if codings.next().is_some() {
        return Err(unsuitable());
    }
    let utf8 = kind.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8);
    match (kind.essence_str(), coding) {
        ("application/xml", b"identity") if utf8 => Ok(Encoding::Plain),
        ("application/xml", b"gzip") if utf8 => Ok(Encoding::Gzip),
        ("application/zip", b"identity") => Ok(Encoding::Zip),
        ("application/xml", _) if utf8 => Err(unsuitable()),
        ("application/zip", _) => Err(unsuitable()),
        _ => Err(Refusal::new(RefusalCode::ContentType)
            .detail("application/xml; charset=utf-8 или application/zip")),
    }
}
