//! Answers in several parts, by MTOM, to callers who send so: the envelope, then the files.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response};

use crate::codec::smev3::part_id;
use crate::federal::Reply;
use crate::model::refusal::RefusalCode;

/// Id of the part with the envelope, and how its type is told.
const ROOT: &str = "root@kontingent";
const BOUNDARY: &str = "kontingent-f0e1b9a7c5d34682-part";

/// Files that go into parts of their own, in the order of their places.
#[derive(Default)]
pub(super) struct Parts(Vec<Vec<u8>>);

impl Parts {
    /// These files, whose ids the envelope has.
    pub(super) fn of(files: Vec<(String, Vec<u8>)>) -> Self {
        Self(files.into_iter().map(|(_, bytes)| bytes).collect())
    }
}

/// The answer in parts.
pub(super) fn respond(reply: &Reply) -> Response<Body> {
    let boundary = boundary(reply);
    let mut body = Vec::with_capacity(reply.document.len() + 1024);
    let mut part = |head: String, bytes: &[u8]| {
        body.extend_from_slice(format!("--{boundary}\r\n{head}\r\n\r\n").as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    };
    let head = format!(
        "Content-Type: application/xop+xml; charset=UTF-8; type=\"text/xml\"\r\n\
         Content-Transfer-Encoding: binary\r\nContent-ID: <{ROOT}>"
    );
    part(head, &reply.document);
    for (place, bytes) in reply.parts.0.iter().enumerate() {
        let head = format!(
            "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\
             Content-ID: <{}>",
            part_id(place)
        );
        part(head, bytes);
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let kind = format!(
        "multipart/related; type=\"application/xop+xml\"; boundary=\"{boundary}\"; \
         start=\"<{ROOT}>\"; start-info=\"text/xml\""
    );
    let mut response = Response::new(Body::from(body));
    match HeaderValue::from_str(&kind) {
        Ok(kind) => {
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        Err(error) => {
            tracing::error!(%error, code = RefusalCode::Internal.as_str(), "a boundary is no header");
        }
    }
    response
}

/// A boundary that no part has in it.
fn boundary(reply: &Reply) -> String {
    let within = |boundary: &str| {
        let marks = memchr::memmem::Finder::new(boundary.as_bytes());
        let parts = std::iter::once(&reply.document).chain(&reply.parts.0);
        parts.into_iter().any(|part| marks.find(part).is_some())
    };
    let mut boundary = BOUNDARY.to_owned();
    while within(&boundary) {
        boundary.push('x');
    }
    boundary
}
