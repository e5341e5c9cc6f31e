//! The service description and its schemas, from embedded files only.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Response, StatusCode, Uri};

use crate::federal::{Door, respond};
use crate::http::guard::Peer;
use crate::http::problem::{self, RequestId};
use crate::model::refusal::RefusalCode;

/// The address that the WSDL names, and that a reader gets replaced by ours.
const ADDRESS: &str = "http://localhost:8080/ws/smev/1.3";

const WSDL: &str = include_str!("../../wsdl/smev-message-exchange-1.3.wsdl");

/// Schemas by file name, as the WSDL and they themselves import each other.
const SCHEMAS: [(&str, &str); 4] = [
    (
        "smev-message-exchange-types-1.3.xsd",
        include_str!("../../schemas/smev3/1.3/smev-message-exchange-types-1.3.xsd"),
    ),
    (
        "smev-message-exchange-basic-1.3.xsd",
        include_str!("../../schemas/smev3/1.3/smev-message-exchange-basic-1.3.xsd"),
    ),
    (
        "smev-message-exchange-faults-1.3.xsd",
        include_str!("../../schemas/smev3/1.3/smev-message-exchange-faults-1.3.xsd"),
    ),
    ("federal-1.0.xsd", include_str!("../../schemas/federal/1.0/federal-1.0.xsd")),
];

/// `GET /ws/smev/1.3?wsdl`.
pub(super) async fn wsdl(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    Extension(id): Extension<RequestId>,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    if !query.is_some_and(|query| query.eq_ignore_ascii_case("wsdl")) {
        return problem::respond(&RefusalCode::NotFound.into(), &id);
    }
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = named.or(uri.authority().map(Authority::as_str));
    match base(door.settings.public_url.as_deref(), host, peer.secure) {
        Some(base) => {
            let document = WSDL.replace(ADDRESS, &format!("{base}/ws/smev/1.3"));
            respond(StatusCode::OK, document.into_bytes())
        }
        None => problem::respond(&RefusalCode::NotFound.into(), &id),
    }
}

/// `GET /ws/smev/<schema>.xsd`.
pub(super) async fn schema(
    Extension(id): Extension<RequestId>,
    Path(file): Path<String>,
) -> Response<Body> {
    match SCHEMAS.iter().find(|(name, _)| *name == file) {
        Some((_, schema)) => respond(StatusCode::OK, schema.as_bytes().to_vec()),
        None => problem::respond(&RefusalCode::NotFound.into(), &id),
    }
}

/// Scheme and authority of our address: as configured, else where the request was sent to.
/// `None` if that is not the name or number of a host.
fn base(public_url: Option<&str>, host: Option<&str>, secure: bool) -> Option<String> {
    if let Some(url) = public_url {
        return Some(url.trim_end_matches('/').to_owned());
    }
    let authority: Authority = host?.parse().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let scheme = if secure { "https" } else { "http" };
    authority.as_str().bytes().all(plain).then(|| format!("{scheme}://{authority}"))
}
