//! SMEV 3 message exchange for the federal segment, version 1.3: one operation a file, one
//! mapper from what went wrong to the fault that says so.

mod ack;
mod describe;
mod fault;
mod get_response;
mod message_id;
mod send_request;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::routing::get;

use crate::codec::smev3::{self, Request, TYPES};
use crate::codec::soap::{self};
use crate::codec::xml;
use crate::codec::xmldsig::Detached;
use crate::exchange::answer::Desk;
use crate::exchange::caller::Caller;
use crate::federal::fault::Failure;
use crate::http::guard::Peer;
use crate::http::limits::Limits;
use crate::http::problem::{self, RequestId};
use crate::http::spool;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::telemetry::{FEDERAL_SECONDS, FEDERAL_TOTAL};

/// Largest message, in bytes: our questions are small.
const MESSAGE_BYTES: u64 = 1 << 20;

/// What the door is told by the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address others use, for the WSDL; by default what the request was sent to.
    pub public_url: Option<String>,
    /// Limits of connections and bodies.
    pub limits: Limits,
    /// How old the time in a message id may be.
    pub message_age: Duration,
    /// How far ahead of ours the sender's clock may be.
    pub clock_skew: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_url: None,
            limits: Limits::default(),
            message_age: Duration::from_hours(24),
            clock_skew: Duration::from_mins(5),
        }
    }
}

/// What the handlers share.
struct Door {
    desk: Desk,
    settings: Settings,
}

/// A message on its way through the door.
struct Message<'a> {
    bytes: &'a [u8],
    peer: &'a Peer,
}

/// The routes of the door: `/ws/smev/1.3`, its `?wsdl`, and the schemas beside it.
pub fn router(desk: Desk, settings: Settings) -> Router {
    let door = Arc::new(Door { desk, settings });
    Router::new()
        .route("/ws/smev/1.3", get(describe::wsdl).post(take))
        .route("/ws/smev/{file}", get(describe::schema))
        .with_state(door)
}

async fn take(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    Extension(request_id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let bytes = match door.receive(&headers, body).await {
        Ok(bytes) => bytes,
        Err(refusal) => return problem::respond(&refusal, &request_id),
    };
    let began = Instant::now();
    let message = Message { bytes: &bytes, peer: &peer };
    let (operation, outcome) = door.operate(&message).await;
    let seconds = began.elapsed().as_secs_f64();
    metrics::histogram!(FEDERAL_SECONDS, "operation" => operation).record(seconds);
    let label = outcome.as_ref().map_or_else(Failure::label, |_| "done");
    metrics::counter!(FEDERAL_TOTAL, "operation" => operation, "outcome" => label).increment(1);
    match outcome {
        Ok(document) => respond(StatusCode::OK, document),
        Err(failure) => failure.respond(&request_id, operation),
    }
}

impl Door {
    /// The whole message, if it is one that is taken.
    async fn receive(&self, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refusal> {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind: Option<mime::Mime> = kind.and_then(|kind| kind.parse().ok());
        let xml = |kind: mime::Mime| {
            matches!(kind.essence_str(), "text/xml" | "application/xml")
                && kind.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8)
        };
        if !kind.is_some_and(xml) {
            let refusal = Refusal::new(RefusalCode::ContentType);
            return Err(refusal.detail("нужен text/xml; charset=utf-8"));
        }
        spool::declared(headers, &self.settings.limits)?;
        spool::collect(spool::chunks(body, &self.settings.limits), MESSAGE_BYTES).await
    }

    /// Carries out the operation of a message; names it for the metrics.
    async fn operate(&self, message: &Message<'_>) -> (&'static str, Result<Vec<u8>, Failure>) {
        match smev3::read(message.bytes, xml::Limits::default()) {
            Ok(Request::SendRequest(request)) => {
                ("SendRequest", self.send_request(message, *request).await)
            }
            Ok(Request::GetResponse(request)) => {
                ("GetResponse", self.get_response(message, request).await)
            }
            Ok(Request::Ack(request)) => ("Ack", self.ack(message, request).await),
            Err(error) => ("unknown", Err(error.into())),
        }
    }

    /// The system that signed this child of the operation's element.
    async fn caller(
        &self,
        message: &Message<'_>,
        operation: &'static str,
        signed: (&'static str, &'static str),
    ) -> Result<Caller, Failure> {
        let above = [(soap::ENVELOPE, "Envelope"), (soap::ENVELOPE, "Body"), (TYPES, operation)];
        let [envelope, body, operation] = above;
        let place = Detached {
            signed: &[envelope, body, operation, signed],
            holder: &[envelope, body, operation, (TYPES, "CallerInformationSystemSignature")],
        };
        Ok(self.desk.caller(message.bytes, place, xml::Limits::default()).await?)
    }
}

fn respond(status: StatusCode, document: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(soap::CONTENT_TYPE));
    response
}
