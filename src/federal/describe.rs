//! The service descriptions and their schemas, from embedded files only.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Response, StatusCode, Uri};

use crate::codec::smev3::Version;
use crate::federal::{Door, respond};
use crate::http::guard::Peer;
use crate::http::problem::{self, RequestId};
use crate::model::refusal::RefusalCode;

/// The address that a WSDL names, and that a reader gets replaced by ours.
const ADDRESS: &str = "http://localhost:8080/ws/smev/";

macro_rules! schemas {
    ($($version:literal: $($name:literal),+;)+) => {
        /// Schemas by file name, as the WSDLs and they themselves import each other.
        const SCHEMAS: &[(&str, &str)] = &[
            $($((
                concat!("smev-message-exchange-", $name, "-", $version, ".xsd"),
                include_str!(concat!(
                    "../../schemas/smev3/", $version, "/smev-message-exchange-", $name, "-", $version,
                    ".xsd"
                )),
            ),)+)+
            ("federal-1.0.xsd", include_str!("../../schemas/federal/1.0/federal-1.0.xsd")),
        ];
    };
}

schemas! {
    "1.1": "types", "basic", "faults";
    "1.2": "types", "basic", "faults";
    "1.3": "types", "basic", "faults", "routing", "directive";
}

fn wsdl(version: Version) -> &'static str {
    match version {
        Version::V11 => include_str!("../../wsdl/smev-message-exchange-1.1.wsdl"),
        Version::V12 => include_str!("../../wsdl/smev-message-exchange-1.2.wsdl"),
        Version::V13 => include_str!("../../wsdl/smev-message-exchange-1.3.wsdl"),
    }
}

/// `GET /ws/smev/1.3?wsdl` and `GET /ws/smev/<schema>.xsd`.
pub(super) async fn describe(
    State(door): State<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    Extension(id): Extension<RequestId>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Response<Body> {
    if let Some((_, schema)) = SCHEMAS.iter().find(|(known, _)| *known == name) {
        return respond(StatusCode::OK, schema.as_bytes().to_vec());
    }
    let asked = query.is_some_and(|query| query.eq_ignore_ascii_case("wsdl"));
    let Some(version) = Version::parse(&name).filter(|_| asked) else {
        return problem::respond(&RefusalCode::NotFound.into(), &id);
    };
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = named.or(uri.authority().map(Authority::as_str));
    match base(door.settings.public_url.as_deref(), host, peer.secure) {
        Some(base) => {
            let document = wsdl(version).replace(ADDRESS, &format!("{base}/ws/smev/"));
            respond(StatusCode::OK, document.into_bytes())
        }
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
