//! SMEV 3 message exchange, versions 1.1 to 1.3: one kind of operation a file, one mapper from what
//! went wrong to the fault that says so.

mod ack;
mod describe;
mod fault;
mod files;
mod fresh;
mod get;
mod multipart;
mod send;
mod status;

use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::routing::get;
use mime::Mime;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::codec::mtom::{self, Related};
use crate::codec::shape::{self, Plan, Role};
use crate::codec::smev3::{self, Fault, MESSAGE_BYTES, Request, Stamp, Version};
use crate::codec::soap;
use crate::codec::xml;
use crate::exchange::desk::{Caller, CallerError, Desk};
use crate::federal::fault::Failure;
use crate::federal::multipart::Parts;
use crate::http::budget::{Account, Budget};
use crate::http::guard::Peer;
use crate::http::limits::{Gate, Limits};
use crate::http::problem::{self, RequestId};
use crate::http::spool;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::telemetry::{FEDERAL_SECONDS, FEDERAL_TOTAL};

/// What the door is told by the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address others use, for the WSDL; by default what the request was sent to.
    pub public_url: Option<String>,
    /// Limits of connections and bodies.
    pub limits: Limits,
    /// Bytes of all messages together that are received or judged; more are told to come later.
    pub message_bytes: usize,
    /// How old the time in a message id may be.
    pub message_age: Duration,
    /// How far ahead of ours the sender's clock may be.
    pub clock_skew: Duration,
    /// Long messages that are judged at the same time: each keeps a processor busy and needs many times
    /// its memory, and one processor is left for all others.
    pub turns: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self {
            public_url: None,
            limits: Limits::default(),
            message_bytes: 256 << 20,
            message_age: Duration::from_hours(24),
            clock_skew: Duration::from_mins(5),
            turns: processors.saturating_sub(1).max(1),
        }
    }
}

/// Messages up to so many bytes, and so many tags and attributes, are judged at once; longer ones take
/// turns.
const LIGHT: (usize, usize) = (64 << 10, 1024);

/// How many light messages, and how many longer ones, are under way at the same time: what is read of a
/// message takes many times its length.
const UNDER_WAY: (usize, usize) = (512, 64);

/// How many files are put into the store at the same time, and how many of them by one system: each takes
/// more than a megabyte of memory while it comes.
const UPLOADS: (usize, usize) = (64, 8);

/// How long a whole message may take to come: whoever is slow does not hold the budget for hours.
const MESSAGE_PATIENCE: Duration = Duration::from_mins(10);

/// What the handlers share.
struct Door {
    desk: Desk,
    settings: Settings,
    /// Memory for messages: who sends them is known only when they have come whole.
    budget: Budget,
    /// Turns for long messages.
    turns: Semaphore,
    /// Room for light and for long messages, from when they are read until they are answered.
    rooms: (Semaphore, Semaphore),
    /// Places for files on their way into the store: all of them, and those of each system.
    uploads: (Semaphore, Gate),
}

/// A message on its way through the door.
struct Message<'a> {
    version: Version,
    /// The envelope, files put back into it.
    bytes: &'a [u8],
    /// Whether the caller takes answers in several parts.
    parts: bool,
    peer: &'a Peer,
    action: Option<&'a str>,
    /// Where its signatures are.
    plan: Result<Plan, Refusal>,
    /// Its turn, while it is read and its signatures are judged.
    turn: Mutex<Option<SemaphorePermit<'a>>>,
}

/// What an operation answers.
struct Reply {
    document: Vec<u8>,
    parts: Parts,
}

impl From<Vec<u8>> for Reply {
    fn from(document: Vec<u8>) -> Self {
        Self { document, parts: Parts::default() }
    }
}

/// The routes of the door: `/ws/smev/1.1` to `/ws/smev/1.3`, their `?wsdl`, and the schemas beside.
pub fn router(desk: Desk, settings: Settings) -> Router {
    let turns = Semaphore::new(settings.turns);
    let budget = Budget::new(settings.message_bytes, settings.limits.connections);
    let rooms = (Semaphore::new(UNDER_WAY.0), Semaphore::new(UNDER_WAY.1));
    let uploads = (Semaphore::new(UPLOADS.0), Gate::new(UPLOADS.1));
    let door = Arc::new(Door { desk, settings, budget, turns, rooms, uploads });
    Router::new()
        .route("/ws/smev/{name}", get(describe::describe).post(take))
        .route("/ws/smev/files/{folder}/{name}", get(files::get).put(files::put))
        .with_state(door)
}

async fn take(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    Extension(request_id): Extension<RequestId>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let Some(version) = Version::parse(&name) else {
        return problem::respond(&RefusalCode::NotFound.into(), &request_id);
    };
    // Held until the message is answered.
    let account = door.budget.account(peer.address.ip());
    let received = door.receive(&headers, body, &account);
    let received = tokio::time::timeout(MESSAGE_PATIENCE, received).await;
    let (bytes, parts) = match received.unwrap_or(Err(RefusalCode::Timeout.into())) {
        Ok(received) => received,
        Err(refusal) => {
            let outcome = refusal.code.as_str();
            metrics::counter!(FEDERAL_TOTAL, "operation" => "unknown", "outcome" => outcome)
                .increment(1);
            return problem::respond(&refusal, &request_id);
        }
    };
    let long = is_long(&bytes);
    let rooms = if long { &door.rooms.1 } else { &door.rooms.0 };
    let _room = rooms.acquire().await.ok();
    let turn = if long { door.turns.acquire().await.ok() } else { None };
    let turn = Mutex::new(turn);
    let began = Instant::now();
    let action = headers.get("soapaction").and_then(|value| value.to_str().ok());
    let (operation, outcome) = match smev3::read(&bytes, version, limits()) {
        Ok((request, operation)) => {
            let plan = shape::smev3_of(&operation);
            drop(operation);
            let message =
                Message { version, bytes: &bytes, parts, peer: &peer, action, plan, turn };
            (request.operation(), door.carry_out(&message, request).await)
        }
        Err(error) => ("unknown", Err(Failure::of_reading(error, version))),
    };
    let seconds = began.elapsed().as_secs_f64();
    metrics::histogram!(FEDERAL_SECONDS, "operation" => operation).record(seconds);
    let label = outcome.as_ref().map_or_else(Failure::label, |_| "done");
    metrics::counter!(FEDERAL_TOTAL, "operation" => operation, "outcome" => label).increment(1);
    match outcome {
        Ok(reply) if parts => multipart::respond(&reply),
        Ok(reply) => respond(StatusCode::OK, reply.document),
        Err(failure) => failure.respond(version, &request_id, operation),
    }
}

/// Whether to read a message takes long, or much memory.
fn is_long(message: &[u8]) -> bool {
    let parts = || message.iter().filter(|byte| matches!(byte, b'<' | b'=')).count();
    message.len() > LIGHT.0 || parts() > LIGHT.1
}

impl Door {
    /// The whole message, if it is one that is taken, and whether its sender takes parts.
    async fn receive(
        &self,
        headers: &HeaderMap,
        body: Body,
        account: &Arc<Account>,
    ) -> Result<(Vec<u8>, bool), Refusal> {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind: Option<Mime> = kind.and_then(|kind| kind.parse().ok());
        let unsuitable = || {
            let wanted =
                "нужен text/xml; charset=utf-8 или multipart/related с application/xop+xml";
            Refusal::new(RefusalCode::ContentType).detail(wanted)
        };
        let kind = kind.ok_or_else(unsuitable)?;
        spool::whole(headers)?;
        spool::declared(headers, &self.settings.limits)?;
        let pieces = account.charged(spool::chunks(body, &self.settings.limits));
        if mtom::is_related(&kind) {
            let related = Related::new(&kind, pieces)?;
            return Ok((related.inlined(limits(), MESSAGE_BYTES).await?, true));
        }
        let xml = matches!(kind.essence_str(), "text/xml" | "application/xml")
            && kind.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8);
        if !xml {
            return Err(unsuitable());
        }
        let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let parts = accepts.contains("application/xop+xml");
        Ok((spool::collect(pieces, MESSAGE_BYTES).await?, parts))
    }

    /// Carries out the operation of a message.
    async fn carry_out(&self, message: &Message<'_>, request: Request) -> Result<Reply, Failure> {
        soap::check_action(message.action, &smev3::action(request.operation()))?;
        if let Some(provoked) = self.desk.provoked(&request) {
            let (caller, _) = self.caller(message).await?;
            return Err(provoked.fault(&caller.subject).into());
        }
        match request {
            Request::SendRequest(request) => self.send_request(message, *request).await,
            Request::SendResponse(request) => self.send_response(message, *request).await,
            Request::GetRequest(request) => self.get_request(message, request).await,
            Request::GetResponse(request) => self.get_response(message, request).await,
            Request::GetStatus(stamp) => self.get_status(message, stamp).await,
            Request::Ack(request) => self.ack(message, request).await,
            Request::Statistics(request) => self.statistics(message, request).await,
        }
    }

    /// The system that calls for what waits in its own queues, and does so now.
    async fn owner_now(&self, message: &Message<'_>, stamp: &Stamp) -> Result<Caller, Failure> {
        let caller = self.owner(message).await?;
        fresh::call(stamp, self.desk.now(), &self.settings)?;
        Ok(caller)
    }

    /// The system that signed a message about its own queues. Such operations have no AccessDenied in
    /// their descriptions: who is blocked is no system of the exchange.
    async fn owner(&self, message: &Message<'_>) -> Result<Caller, Failure> {
        match self.caller(message).await {
            Ok((caller, _)) => Ok(caller),
            Err(Failure::Fault(Fault::AccessDenied)) => Err(Fault::SenderIsNotRegistered.into()),
            Err(failure) => Err(failure),
        }
    }

    /// The system that signed a message, and where its signatures are.
    async fn caller<'a>(&self, message: &'a Message<'_>) -> Result<(Caller, &'a Plan), Failure> {
        let plan = message.plan.as_ref().map_err(|refusal| fault::of_plan(refusal.clone()))?;
        // A MessageID that is none has a fault of its own.
        if let Some(flaw) = plan.flaw.clone().filter(|flaw| flaw.code != RefusalCode::MessageId) {
            let error = CallerError::Signature(Role::Personal, flaw, None);
            return Err(fault::of_caller(error, plan));
        }
        let caller = self.desk.caller(message.bytes, plan, limits()).await;
        let caller = caller.map_err(|error| fault::of_caller(error, plan))?;
        // What follows waits for the database, or for files in the store.
        drop(message.turn.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok((caller, plan))
    }
}

/// Limits of messages. Comments may stand in them: the transform of SMEV drops them.
fn limits() -> xml::Limits {
    xml::Limits { comments: true, ..shape::limits() }
}

fn respond(status: StatusCode, document: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(soap::CONTENT_TYPE));
    response
}
