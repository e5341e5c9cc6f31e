//! From an asynchronous body to a blocking reader, within limits of size and patience.
//!
//! What is wrong with a body travels as a [`Refusal`] inside [`io::Error`]: `LIMIT_BYTES`,
//! `TIMEOUT`, `BODY_TRUNCATED`.

use std::io::{self, Cursor, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, EXPECT};
use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _, stream};
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc;

use crate::http::limits::Limits;
use crate::model::refusal::{Refusal, RefusalCode, refusal_of};

/// A body not longer than this is collected in memory before anything looks at it, in bytes.
pub const SMALL_BYTES: u64 = 256 << 10;

/// Pieces of a body that wait between the network and its reader.
const PIECES: usize = 16;

/// What is still read of a body after its answer was given, so that the peer gets the answer
/// and not a reset connection: bytes, and time.
const LINGER_BYTES: u64 = 16 << 20;
const LINGER: Duration = Duration::from_secs(5);

/// A body on its way to a blocking reader.
pub struct Upload {
    /// The bytes.
    pub body: Box<dyn Read + Send>,
    /// Length in bytes, where the peer declared it.
    pub size_hint: Option<u64>,
    /// Whether the whole body is in memory already.
    pub small: bool,
}

/// Takes a request's body: a small one whole, a large one as it comes.
///
/// # Errors
/// `EMPTY_BODY`, or `LIMIT_BYTES` for a declared length before any of it is read; whatever is
/// wrong with a small body, or with the beginning of one of unknown length.
pub async fn receive(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Upload, Refusal> {
    let size_hint = declared(headers, limits)?;
    let pieces = chunks(body, limits);
    if size_hint.is_some_and(|size| size > SMALL_BYTES) {
        return Ok(Upload { body: Box::new(bridge(pieces)), size_hint, small: false });
    }
    Ok(gather(pieces).await?.into_upload(size_hint))
}

/// Pieces of a body.
pub type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A body of unknown length, read as far as needed to tell whether it is small.
pub enum Gathered {
    /// All of it.
    Small(Vec<u8>),
    /// More than [`SMALL_BYTES`]: all of its pieces, the first ones again.
    Large(Pieces),
}

impl Gathered {
    /// The body for a blocking reader. Must be called within the runtime.
    pub fn into_upload(self, size_hint: Option<u64>) -> Upload {
        match self {
            Self::Small(bytes) => {
                Upload { body: Box::new(Cursor::new(bytes)), size_hint, small: true }
            }
            Self::Large(pieces) => {
                Upload { body: Box::new(bridge(pieces)), size_hint, small: false }
            }
        }
    }
}

/// Reads up to [`SMALL_BYTES`] ahead.
///
/// # Errors
/// What the pieces read so far fail with.
pub async fn gather(
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Result<Gathered, Refusal> {
    let mut pieces = Box::pin(pieces);
    let mut first = Vec::new();
    while let Some(piece) = pieces.next().await {
        first.extend_from_slice(&piece.map_err(|error| met(&error))?);
        if first.len() as u64 > SMALL_BYTES {
            let first = stream::iter([Ok(Bytes::from(first))]);
            return Ok(Gathered::Large(Box::pin(first.chain(pieces))));
        }
    }
    Ok(Gathered::Small(first))
}

/// The refusal met while reading pieces.
fn met(error: &io::Error) -> Refusal {
    refusal_of(error).unwrap_or(RefusalCode::Truncated.into())
}

/// Judges the declared length of a body.
///
/// # Errors
/// `EMPTY_BODY`, `LIMIT_BYTES`.
pub fn declared(headers: &HeaderMap, limits: &Limits) -> Result<Option<u64>, Refusal> {
    let value = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let size: Option<u64> = value.and_then(|digits| digits.parse().ok());
    match size {
        Some(0) => Err(RefusalCode::EmptyBody.into()),
        Some(size) if size > limits.body_bytes => Err(too_large(limits.body_bytes)),
        _ => Ok(size),
    }
}

/// Judges whether a body is all of what it stands for, as it is: neither a part, which would be taken
/// for the whole (RFC 9110, 14.4), nor compressed, which would be taken for the thing itself.
///
/// # Errors
/// `CONTENT_RANGE`, `CONTENT_ENCODING`.
pub fn whole(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(CONTENT_RANGE) {
        return Err(RefusalCode::ContentRange.into());
    }
    let plain = |coding: &[u8]| {
        let coding = coding.trim_ascii();
        coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
    };
    let said = headers.get_all(CONTENT_ENCODING).iter();
    let mut codings = said.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    if codings.all(plain) { Ok(()) } else { Err(RefusalCode::ContentEncoding.into()) }
}

/// Collects pieces in memory.
///
/// # Errors
/// `LIMIT_BYTES` when there is more than `most`, and what the pieces themselves fail with.
pub async fn collect(
    pieces: impl Stream<Item = io::Result<Bytes>>,
    most: u64,
) -> Result<Vec<u8>, Refusal> {
    let mut pieces = std::pin::pin!(pieces);
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece =
            piece.map_err(|error| refusal_of(&error).unwrap_or(RefusalCode::Truncated.into()))?;
        if (bytes.len() + piece.len()) as u64 > most {
            return Err(too_large(most));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn too_large(most: u64) -> Refusal {
    Refusal::new(RefusalCode::LimitBytes).detail(format!("не более {most} байт"))
}

/// The pieces of a body, within the limits of size and rate.
/// Only waiting for the peer counts against its rate, not waiting for us.
pub fn chunks(
    body: Body,
    limits: &Limits,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static + use<> {
    let state =
        Pace { body: body.into_data_stream(), limits: *limits, bytes: 0, waited: Duration::ZERO };
    stream::try_unfold(state, |mut state| async {
        let chunk = state.next().await?;
        Ok(chunk.map(|chunk| (chunk, state)))
    })
}

struct Pace {
    body: BodyDataStream,
    limits: Limits,
    bytes: u64,
    waited: Duration,
}

impl Pace {
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let patience = self.limits.body_patience;
        let earned = Duration::from_secs(self.bytes / self.limits.body_rate.max(1));
        let left = (patience + earned).saturating_sub(self.waited).min(patience);
        let began = Instant::now();
        let next = tokio::time::timeout(left, self.body.next()).await;
        self.waited += began.elapsed();
        let chunk = match next {
            Err(_elapsed) => return Err(RefusalCode::Timeout.into()),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_broken))) => return Err(RefusalCode::Truncated.into()),
            Ok(Some(Ok(chunk))) => chunk,
        };
        self.bytes += chunk.len() as u64;
        if self.bytes > self.limits.body_bytes {
            Err(too_large(self.limits.body_bytes))
        } else {
            Ok(Some(chunk))
        }
    }
}

/// Turns pieces into a blocking reader, to be read on a thread that may block.
/// Must be called within the runtime; the pieces are fetched ahead, a bounded number of them.
pub fn bridge(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> impl Read + Send {
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let mut pieces = std::pin::pin!(pieces);
        while let Some(piece) = pieces.next().await {
            let last = piece.is_err();
            let empty = matches!(&piece, Ok(bytes) if bytes.is_empty());
            if !empty && (sender.send(piece).await.is_err() || last) {
                return;
            }
        }
        // An empty piece is the end; a channel that closes without one was cut short. Whether
        // the reader is still there to hear of it does not matter.
        sender.send(Ok(Bytes::new())).await.ok();
    });
    Bridge { receiver, piece: Bytes::new(), ended: false }
}

struct Bridge {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
    ended: bool,
}

impl Read for Bridge {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && !self.ended && !buffer.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Ok(piece)) => {
                    self.ended = piece.is_empty();
                    self.piece = piece;
                }
                Some(Err(error)) => return Err(error),
                None => return Err(Refusal::new(RefusalCode::Truncated).into()),
            }
        }
        let count = self.piece.len().min(buffer.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// A body that goes on being read for a while after its handler has lost interest.
///
/// Closing a connection with unread data resets it, and the peer never sees why it was refused.
/// A peer that still waits for `100 Continue` has sent nothing and is not asked to.
#[derive(Debug)]
pub struct Lingering<B: HttpBody<Data = Bytes> + Send + Unpin + 'static> {
    body: Option<B>,
    expects: bool,
}

impl<B: HttpBody<Data = Bytes> + Send + Unpin + 'static> Lingering<B> {
    /// Wraps a request's body.
    pub fn new(body: B, headers: &HeaderMap) -> Self {
        Self { body: Some(body), expects: headers.contains_key(EXPECT) }
    }
}

impl<B: HttpBody<Data = Bytes> + Send + Unpin + 'static> HttpBody for Lingering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        // Once some of it came, the peer is sending.
        self.expects = false;
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }
}

impl<B: HttpBody<Data = Bytes> + Send + Unpin + 'static> Drop for Lingering<B> {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        if !self.expects
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                tokio::time::timeout(LINGER, drain(body)).await.ok();
            });
        }
    }
}

async fn drain<B: HttpBody<Data = Bytes> + Unpin>(mut body: B) {
    let mut bytes = 0;
    while bytes < LINGER_BYTES {
        match std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) | None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(pieces: Vec<io::Result<&'static [u8]>>, then_wait: bool) -> Body {
        let pieces = stream::iter(pieces).map(|piece| piece.map(Bytes::from_static));
        if then_wait {
            return Body::from_stream(pieces.chain(stream::pending()));
        }
        Body::from_stream(pieces)
    }

    async fn read(body: Body, limits: Limits) -> Result<Vec<u8>, &'static str> {
        let mut reader = bridge(chunks(body, &limits));
        let read = move || {
            let mut bytes = Vec::new();
            match reader.read_to_end(&mut bytes) {
                Ok(_) => Ok(bytes),
                Err(error) => Err(refusal_of(&error).expect("a refusal").code.as_str()),
            }
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    #[tokio::test]
    async fn a_body_arrives_whole_or_says_what_was_wrong() {
        let limits =
            Limits { body_bytes: 8, body_patience: Duration::from_millis(50), ..Limits::default() };
        let good = vec![Ok(&b"<a"[..]), Ok(b""), Ok(b"/>")];
        assert_eq!(read(body(good, false), limits).await, Ok(b"<a/>".to_vec()));
        let torn = vec![Ok(&b"<a"[..]), Err(io::ErrorKind::UnexpectedEof.into())];
        assert_eq!(read(body(torn, false), limits).await, Err("BODY_TRUNCATED"));
        assert_eq!(read(body(vec![Ok(b"123456789")], false), limits).await, Err("LIMIT_BYTES"));
        assert_eq!(read(body(vec![Ok(b"<a")], true), limits).await, Err("TIMEOUT"));
    }
}
