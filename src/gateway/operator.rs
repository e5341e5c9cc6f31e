//! `/api/v1/operator`: the journal and replays, for operators with a token.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use openssl::memcmp;
use openssl::sha::sha256;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::rest::{json_response, respond};
use super::{Gateway, store};
use crate::codec::receipt::hex;
use crate::exchange::document;
use crate::exchange::replay::{ReplayError, Request};
use crate::http::problem::RequestId;
use crate::http::spool;
use crate::model::ids::PackageNo;
use crate::model::package::State as PackageState;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::storage::journal::conclude::findings;
use crate::storage::journal::list::{self, Filter};
use crate::storage::registry::deferred;

/// Rows of one page: by default, and at most.
const PAGE: i64 = 100;
const LARGEST_PAGE: i64 = 1000;

/// Longest order of an operator, in bytes.
const ORDER_BYTES: u64 = 64 << 10;

pub(super) fn routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/api/v1/operator/packages", get(packages))
        .route("/api/v1/operator/packages/{no}", get(package))
        .route("/api/v1/operator/packages/{no}/replay", post(replay))
        .route("/api/v1/operator/replays", post(replay_all))
}

/// Conditions of a list, as query parameters or in an order.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Conditions {
    state: Option<String>,
    supplier: Option<String>,
    code: Option<String>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    before: Option<i64>,
    limit: Option<i64>,
}

impl Conditions {
    fn filter(self) -> Result<Filter, Refusal> {
        let invalid = || Refusal::new(RefusalCode::RequestInvalid).detail("state");
        let known = |state: String| PackageState::parse(&state).ok_or_else(invalid);
        Ok(Filter {
            state: self.state.map(known).transpose()?,
            supplier: self.supplier,
            code: self.code,
            since: self.since,
            until: self.until,
            before: self.before.map(PackageNo),
        })
    }
}

async fn packages(
    State(gateway): State<Arc<Gateway>>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    uri: Uri,
) -> Response<Body> {
    let found = async {
        gateway.operator(&headers)?;
        let conditions: Conditions = query(&uri)?;
        let limit = page_size(conditions.limit)?;
        let filter = conditions.filter()?;
        let page = list::page(gateway.exchange.db(), &filter, limit)
            .await
            .map_err(|error| store(&error))?;
        let full = i64::try_from(page.len()).is_ok_and(|rows| rows == limit);
        let next = page.last().filter(|_| full).map(|package| package.no);
        let rows: Vec<Value> = page.iter().map(document::package).collect();
        Ok(json_response(json!({ "packages": rows, "next": next })))
    };
    respond(found.await, &id)
}

/// Which findings of a package's last attempt.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FindingsPage {
    after: Option<u64>,
    limit: Option<i64>,
}

async fn package(
    State(gateway): State<Arc<Gateway>>,
    Extension(id): Extension<RequestId>,
    Path(no): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Response<Body> {
    let found = async {
        gateway.operator(&headers)?;
        let db = gateway.exchange.db();
        let page: FindingsPage = query(&uri)?;
        let limit = page_size(page.limit)?.unsigned_abs();
        let after = page.after.unwrap_or(0);
        let no = number(&no)?;
        let package = list::by_no(db, no)
            .await
            .map_err(|error| store(&error))?
            .ok_or(RefusalCode::NotFound)?;
        let attempts = list::attempts(db, no).await.map_err(|error| store(&error))?;
        let found = match attempts.first() {
            None => Vec::new(),
            Some(last) => {
                findings(db, last.id, after, limit).await.map_err(|error| store(&error))?
            }
        };
        let next = (found.len() as u64 == limit).then_some(after + limit);
        let fate = deferred::fate(db, no).await.map_err(|error| store(&error))?;
        let mut shown = document::package(&package);
        shown["attempts"] = attempts.iter().map(document::attempt).collect();
        shown["findings"] = found.iter().map(document::finding).collect();
        shown["findingsNext"] = json!(next);
        shown["deferred"] = document::deferred(fate);
        Ok(json_response(shown))
    };
    respond(found.await, &id)
}

/// What an operator writes to have packages processed again.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReplayOrder {
    /// Why; kept with the new attempt.
    reason: String,
    /// Waives the guards that hold a package.
    #[serde(default)]
    approve: bool,
    /// How many packages at most, where the address does not say which.
    limit: Option<u64>,
    /// Which packages, where the address does not say it.
    #[serde(default)]
    filter: Conditions,
}

async fn replay(
    State(gateway): State<Arc<Gateway>>,
    Extension(id): Extension<RequestId>,
    Path(no): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let done = async {
        let actor = gateway.operator(&headers)?;
        let no = number(&no)?;
        let order = gateway.order(&headers, body).await?;
        let attempt = gateway.exchange.replay(no, &order.given_by(actor)).await;
        let attempt = attempt.map_err(|error| refused(&error))?;
        let mut response = json_response(json!({ "package": no, "attempt": attempt }));
        *response.status_mut() = StatusCode::ACCEPTED;
        Ok(response)
    };
    respond(done.await, &id)
}

async fn replay_all(
    State(gateway): State<Arc<Gateway>>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let done = async {
        let actor = gateway.operator(&headers)?;
        let mut order = gateway.order(&headers, body).await?;
        let filter = std::mem::take(&mut order.filter).filter()?;
        let limit = order.limit.unwrap_or(u64::MAX);
        let request = order.given_by(actor);
        let replayed = gateway.exchange.replay_matching(&filter, limit, &request).await;
        let replayed = replayed.map_err(|error| refused(&error))?;
        let told = |(package, attempt)| json!({ "package": package, "attempt": attempt });
        let replayed: Vec<Value> = replayed.into_iter().map(told).collect();
        let mut response = json_response(json!({ "replayed": replayed }));
        *response.status_mut() = StatusCode::ACCEPTED;
        Ok(response)
    };
    respond(done.await, &id)
}

impl ReplayOrder {
    fn given_by(&self, actor: String) -> Request {
        Request { reason: self.reason.clone(), actor, approved: self.approve }
    }
}

fn refused(error: &ReplayError) -> Refusal {
    match error {
        ReplayError::NotFound => RefusalCode::NotFound.into(),
        ReplayError::Busy => RefusalCode::Busy.into(),
        ReplayError::NoReason => {
            Refusal::new(RefusalCode::RequestInvalid).detail("reason: укажите причину")
        }
        ReplayError::Db(error) => store(error),
    }
}

impl Gateway {
    /// The name of the operator whose token the request carries.
    fn operator(&self, headers: &HeaderMap) -> Result<String, Refusal> {
        let said = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = said.and_then(|said| said.strip_prefix("Bearer "));
        let token = token.ok_or(RefusalCode::Unauthorised)?;
        let shown = hex(&sha256(token.trim().as_bytes()));
        let mut operators = self.settings.operators.iter();
        let same =
            |hash: &str| hash.len() == shown.len() && memcmp::eq(hash.as_bytes(), shown.as_bytes());
        let found = operators.find(|(_, hash)| same(hash));
        found.map(|(name, _)| name.clone()).ok_or(RefusalCode::Unauthorised.into())
    }

    async fn order(&self, headers: &HeaderMap, body: Body) -> Result<ReplayOrder, Refusal> {
        spool::declared(headers, &self.settings.limits)?;
        let pieces = spool::chunks(body, &self.settings.limits);
        let bytes = spool::collect(pieces, ORDER_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Refusal::new(RefusalCode::RequestInvalid).detail(format!("строка {}", error.line()))
        })
    }
}

fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refusal> {
    match Query::try_from_uri(uri) {
        Ok(Query(found)) => Ok(found),
        Err(_) => Err(Refusal::new(RefusalCode::RequestInvalid).detail("параметры запроса")),
    }
}

fn page_size(asked: Option<i64>) -> Result<i64, Refusal> {
    match asked.unwrap_or(PAGE) {
        size @ 1..=LARGEST_PAGE => Ok(size),
        _ => {
            Err(Refusal::new(RefusalCode::Paging).detail(format!("limit: от 1 до {LARGEST_PAGE}")))
        }
    }
}

fn number(text: &str) -> Result<PackageNo, Refusal> {
    text.parse().map(PackageNo).map_err(|_| RefusalCode::NotFound.into())
}
