//! The store of large files over HTTP: `PUT /ws/smev/files/<folder>/<name>` for its sender, `GET` for
//! the receiver of the message, both with a name and a word (Basic).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::sync::SemaphorePermit;

use crate::federal::{Door, UPLOADS};
use crate::http::limits::{PeerKey, Place};
use crate::http::problem::{self, RequestId};
use crate::http::spool;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::storage::file_store::File;

/// Takes a file, or finds it there already; tells its folder, its length and its hash, which the message must state.
pub(super) async fn put(
    State(door): State<Arc<Door>>,
    Extension(id): Extension<RequestId>,
    Path((folder, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let Some((user, word)) = basic(&headers) else { return unknown(&id) };
    match door.take_file((&user, &word), (&folder, &name), &headers, body).await {
        Ok((file, new)) => {
            let hash = STANDARD.encode(file.hash.unwrap_or_default());
            let told = json!({ "uuid": file.uuid, "fileName": file.name, "bytes": file.bytes, "hash": hash });
            let mut response = Response::new(Body::from(told.to_string()));
            *response.status_mut() = if new { StatusCode::CREATED } else { StatusCode::OK };
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        Err(refusal) => refused(&refusal, &id),
    }
}

impl Door {
    /// Takes a file whole, if there is a place for it. A place is for who has proved itself: nobody else
    /// can hold those of a system.
    async fn take_file(
        &self,
        (user, word): (&str, &str),
        (folder, name): (&str, &str),
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(File, bool), Refusal> {
        spool::whole(headers)?;
        let system = self.desk.store_account(user, word).await?;
        let _places = self.upload_places(system)?;
        let pieces = Box::pin(spool::chunks(body, &self.settings.limits));
        self.desk.put_file(system, folder, name, pieces).await
    }

    fn upload_places(&self, system: i64) -> Result<(Place, SemaphorePermit<'_>), Refusal> {
        let (all, own) = &self.uploads;
        let places = own.enter(PeerKey::System(system)).zip(all.try_acquire().ok());
        places.ok_or_else(|| {
            let (all, own) = UPLOADS;
            Refusal::new(RefusalCode::TooManyRequests).detail(format!(
                "одновременно загружается не более {own} файлов одной системы и не более {all} всего"
            ))
        })
    }
}

/// Gives a file.
pub(super) async fn get(
    State(door): State<Arc<Door>>,
    Extension(id): Extension<RequestId>,
    Path((folder, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    let Some((user, word)) = basic(&headers) else { return unknown(&id) };
    match door.desk.fetch_file((&user, &word), &folder, &name).await {
        Ok((file, content)) => {
            let mut response = Response::new(Body::from_stream(content));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(file.bytes.unsigned_abs()));
            response
        }
        Err(refusal) => refused(&refusal, &id),
    }
}

/// Name and word of the `Authorization` header.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    let decoded =
        STANDARD.decode(rest.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"));
    let text = String::from_utf8(decoded?).ok()?;
    text.split_once(':').map(|(user, word)| (user.to_owned(), word.to_owned()))
}

fn unknown(id: &RequestId) -> Response<Body> {
    refused(&RefusalCode::Unauthorised.into(), id)
}

fn refused(refusal: &Refusal, id: &RequestId) -> Response<Body> {
    let mut response = problem::respond(refusal, id);
    if refusal.code == RefusalCode::Unauthorised {
        let basic = HeaderValue::from_static("Basic realm=\"files\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, basic);
    }
    response
}
