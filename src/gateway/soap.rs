//! `POST /ws/intake`: SOAP 1.1, packages inline or as MTOM attachments; `?wsdl`, `?xsd=1`.
//!
//! Below the envelope refusals are plain HTTP with a problem document; once an envelope is
//! recognised they are faults.

use std::io::{Cursor, Read};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, Uri};
use axum::routing::get;
use mime::Mime;

use super::{Gateway, wsdl};
use crate::codec::inflate::Encoding;
use crate::codec::intake::{self, Asked, Content, PackageStatus, Request, Submission};
use crate::codec::mtom::{Related, is_related};
use crate::codec::soap::{self, SoapError};
use crate::exchange::delivery::Delivery;
use crate::http::guard::Peer;
use crate::http::problem::{self, RequestId};
use crate::http::spool::{self, Upload};
use crate::model::refusal::{Refusal, RefusalCode};

type Source = Box<dyn Read + Send>;

pub(super) fn routes() -> Router<Arc<Gateway>> {
    Router::new().route("/ws/intake", get(describe).post(take))
}

async fn describe(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    Extension(id): Extension<RequestId>,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = named.or(uri.authority().map(axum::http::uri::Authority::as_str));
    let base = wsdl::base(gateway.settings.public_url.as_deref(), host, peer.secure);
    let document = base.and_then(|base| wsdl::document(&query.unwrap_or_default(), &base));
    match document {
        Some(document) => answer(StatusCode::OK, document),
        None => problem::respond(&RefusalCode::NotFound.into(), &id),
    }
}

async fn take(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Peer>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    match gateway.message(&peer, &headers, body).await {
        Ok(document) => answer(StatusCode::OK, document),
        Err(SoapError { refusal, recognised }) => {
            tracing::info!(code = refusal.code.as_str(), "a message was refused");
            if recognised {
                answer(StatusCode::INTERNAL_SERVER_ERROR, intake::fault(&refusal, &id.0))
            } else {
                problem::respond(&refusal, &id)
            }
        }
    }
}

fn answer(status: StatusCode, document: String) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(soap::CONTENT_TYPE));
    response
}

impl Gateway {
    /// Takes one message and says what to answer.
    async fn message(
        &self,
        peer: &Peer,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<String, SoapError> {
        let kind = media_type(headers)?;
        let declared = spool::declared(headers, &self.settings.limits).map_err(below)?;
        let _place = self.admit(peer).map_err(below)?;
        let action = headers.get("soapaction").and_then(|value| value.to_str().ok());
        if is_related(&kind) {
            let pieces = spool::chunks(body, &self.settings.limits);
            let message = Related::new(&kind, pieces).map_err(below)?;
            return self.related(peer, action, declared, message).await;
        }
        let received = spool::receive(headers, body, &self.settings.limits).await;
        let Upload { body, size_hint, small } = received.map_err(below)?;
        let _large = self.admit_large(peer, small).map_err(below)?;
        match read(body, action, small).await? {
            Request::Submit(Submission { package, encoding, content }) => {
                let Content::Inline(content) = content else {
                    let refusal = Refusal::new(RefusalCode::Mime);
                    return Err(refusal.detail("xop:Include вне multipart/related").into());
                };
                let size_hint = size_hint.map(|bytes| bytes / 4 * 3);
                let body = Box::new(content);
                self.submit(peer, Parcel { package, encoding, body, size_hint, small }).await
            }
            question => self.answer(peer, question).await,
        }
    }

    /// Takes a `multipart/related` message.
    async fn related(
        &self,
        peer: &Peer,
        action: Option<&str>,
        declared: Option<u64>,
        mut message: Related,
    ) -> Result<String, SoapError> {
        let root: Source = Box::new(Cursor::new(message.root().await.map_err(below)?));
        let Submission { package, encoding, content } = match read(root, action, true).await? {
            Request::Submit(submission) => submission,
            question => {
                message.finish().await?;
                return self.answer(peer, question).await;
            }
        };
        let Upload { body, size_hint, small } = match content {
            Content::Inline(content) => {
                message.finish().await?;
                Upload { body: Box::new(content), size_hint: declared, small: true }
            }
            Content::Attached(part) => {
                let pieces = message.attachment(&part).await?;
                spool::gather(pieces).await?.into_upload(declared)
            }
        };
        let _large = self.admit_large(peer, small)?;
        self.submit(peer, Parcel { package, encoding, body, size_hint, small }).await
    }

    async fn submit(&self, peer: &Peer, parcel: Parcel) -> Result<String, SoapError> {
        let delivery = Delivery {
            body: parcel.body,
            size_hint: parcel.size_hint,
            small: parcel.small,
            encoding: parcel.encoding,
            declared_utf8: false,
            expected_id: parcel.package,
            peer: peer.address.ip().to_string(),
            channel_certificate: peer.certificate.as_ref().map(|der| der.to_vec()),
        };
        let accepted = self.exchange.accept(delivery).await?;
        Ok(intake::submit_response(accepted.package, accepted.duplicate, &accepted.receipt))
    }

    async fn answer(&self, peer: &Peer, question: Request<Source>) -> Result<String, SoapError> {
        match question {
            Request::Receipt(Asked { supplier, package }) => {
                let receipt = self.receipt(peer, &supplier, package).await?;
                Ok(intake::receipt_response(package, receipt.concluding, &receipt.xml))
            }
            Request::Status(Asked { supplier, package }) => {
                let status = self.status(peer, &supplier, package).await?;
                Ok(intake::status_response(&PackageStatus {
                    package,
                    number: status.number,
                    state: status.state,
                    reason: status.reason.as_deref(),
                    received_at: status.received_at,
                    state_at: status.state_at,
                    attempts: status.attempts,
                    records: status.records,
                    records_done: status.records_done,
                    fate: status.fate,
                }))
            }
            Request::Submit(_) | Request::Ping => {
                Ok(intake::ping_response(env!("CARGO_PKG_VERSION")))
            }
        }
    }
}

/// A package taken out of its message.
struct Parcel {
    package: Option<crate::model::ids::PackageId>,
    encoding: Encoding,
    body: Source,
    size_hint: Option<u64>,
    small: bool,
}

/// Reads a request: in place when all of it is in memory, else where reading may block.
async fn read(
    source: Source,
    action: Option<&str>,
    small: bool,
) -> Result<Request<Source>, SoapError> {
    if small {
        return intake::read(source, action);
    }
    let action = action.map(str::to_owned);
    let reading = move || intake::read(source, action.as_deref());
    let read = tokio::task::spawn_blocking(reading).await;
    read.unwrap_or_else(|_panicked| Err(Refusal::new(RefusalCode::Internal).into()))
}

/// The media type of the message, if it is one that is taken.
fn media_type(headers: &HeaderMap) -> Result<Mime, SoapError> {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind: Option<Mime> = said.and_then(|said| said.parse().ok());
    let kind = kind.ok_or_else(|| below(RefusalCode::ContentType.into()))?;
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let refusal = Refusal::new(RefusalCode::ContentEncoding);
        return Err(below(refusal.detail("сжатие содержимого указывается в Encoding")));
    }
    if kind.essence_str() == "application/soap+xml" {
        return Err(Refusal::new(RefusalCode::SoapVersion).into());
    }
    let utf8 = kind.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8);
    if is_related(&kind) || (kind.essence_str() == "text/xml" && utf8) {
        return Ok(kind);
    }
    let refusal = Refusal::new(RefusalCode::ContentType);
    Err(below(refusal.detail("text/xml; charset=utf-8 или multipart/related (MTOM)")))
}

/// A refusal below the envelope.
fn below(refusal: Refusal) -> SoapError {
    SoapError { refusal, recognised: false }
}
