//! MTOM messages: an envelope and one attachment in `multipart/related`, read as they arrive.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures_util::{Stream, stream};
use mime::Mime;
use multer::{Field, Multipart};

use super::xml::Limits;
use super::xop;
use crate::model::refusal::{Refusal, RefusalCode, refusal_of};

/// Longest envelope that stands beside an attachment, in bytes.
const ROOT_BYTES: usize = 1 << 20;

/// Most parts beside the envelope.
const MOST_PARTS: usize = 100;

/// What may be read while looking for a boundary and the headers after it, in bytes.
const SEARCH_BYTES: u64 = 64 << 10;

/// A `multipart/related` message whose parts are taken in order: the envelope, the attachment.
pub struct Related {
    parts: Multipart<'static>,
    /// Bytes that may still come in before the parser must have found what it looks for.
    allowance: Arc<AtomicU64>,
    start: Option<String>,
}

/// Says whether a document may be a message that was saved with its parts: with headers before the
/// first boundary, or without.
pub fn is_saved(document: &[u8]) -> bool {
    let begin = document.trim_ascii_start();
    begin.starts_with(b"--")
        || (!begin.starts_with(b"<")
            && !begin.starts_with(&[0xEF, 0xBB, 0xBF])
            && memchr::memmem::find(begin, b"\n--").is_some())
}

/// A message that was saved as it was sent: the first line that begins as a boundary is it, whatever
/// headers stand before. Gives the envelope with its parts put back.
///
/// # Errors
/// As [`Related::inlined`].
pub fn saved(message: Vec<u8>, limits: Limits, most: u64) -> Result<Vec<u8>, Refusal> {
    let lines = message.split(|&byte| byte == b'\n');
    let line = lines.map(<[u8]>::trim_ascii_end).find(|line| line.starts_with(b"--"));
    let line = line.unwrap_or_default();
    let boundary = line.strip_prefix(b"--").and_then(|name| std::str::from_utf8(name).ok());
    let kind = boundary.map(|name| {
        format!("multipart/related; type=\"application/xop+xml\"; boundary=\"{name}\"")
    });
    let kind: Option<Mime> = kind.and_then(|kind| kind.parse().ok());
    let kind = kind.ok_or_else(|| broken("ни одна строка не называет границу"))?;
    let body = stream::iter([Ok(Bytes::from(message))]);
    let mut reading = Box::pin(Related::new(&kind, body)?.inlined(limits, most));
    // All of it is in memory: whoever is not ready only lets the parser look.
    loop {
        let polled = reading.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(done) = polled {
            return done;
        }
    }
}

/// Whether a `Content-Type` is the MTOM one.
pub fn is_related(content_type: &Mime) -> bool {
    content_type.type_() == mime::MULTIPART && content_type.subtype() == "related"
}

impl Related {
    /// Begins to read a message from the pieces of its body.
    ///
    /// # Errors
    /// `CONTENT_TYPE`: no boundary, or the root is not declared to be XOP.
    pub fn new(
        content_type: &Mime,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<Self, Refusal> {
        let unsuitable = |what| Refusal::new(RefusalCode::ContentType).detail(what);
        let parameter = |name| content_type.get_param(name).map(|value| value.as_str());
        if !parameter("type").is_some_and(|xop| xop.eq_ignore_ascii_case("application/xop+xml")) {
            return Err(unsuitable("multipart/related: ожидался type=\"application/xop+xml\""));
        }
        let boundary = parameter("boundary")
            .filter(|boundary| (1..=70).contains(&boundary.len()))
            .ok_or_else(|| unsuitable("multipart/related: нет boundary"))?;
        let start = parameter("start").map(|id| bare(id).to_owned());
        let allowance = Arc::new(AtomicU64::new(0));
        let measured =
            Measured { body: Box::pin(body), allowance: Arc::clone(&allowance), breathe: false };
        Ok(Self { parts: Multipart::new(measured, boundary), allowance, start })
    }

    /// Reads the root part: the envelope.
    ///
    /// # Errors
    /// `MIME_STRUCTURE`: the first part is not the root, or not an envelope; `LIMIT_BYTES`.
    pub async fn root(&mut self) -> Result<Vec<u8>, Refusal> {
        self.root_of(ROOT_BYTES).await
    }

    async fn root_of(&mut self, most: usize) -> Result<Vec<u8>, Refusal> {
        let mut part = self.next_part().await?.ok_or_else(|| broken("нет ни одной части"))?;
        if let Some(start) = &self.start
            && content_id(&part) != Some(start)
        {
            return Err(broken("первой должна идти часть, названная в start"));
        }
        let kind = header(&part, "content-type").and_then(|kind| kind.parse::<Mime>().ok());
        if kind.is_none_or(|kind| kind.essence_str() != "application/xop+xml") {
            return Err(broken("корневая часть: ожидался application/xop+xml"));
        }
        binary(&part)?;
        let mut envelope = Vec::new();
        while let Some(piece) = self.piece(&mut part).await? {
            envelope.extend_from_slice(&piece);
            if envelope.len() > most {
                return Err(Refusal::new(RefusalCode::LimitBytes)
                    .detail(format!("конверт не более {most} байт")));
            }
        }
        Ok(envelope)
    }

    /// The bytes of the attachment with this `Content-ID`, which must be the second part and the
    /// last; that nothing follows it is checked before the stream ends.
    ///
    /// # Errors
    /// `MIME_STRUCTURE`: the next part is not the one, or comes in a transfer encoding.
    pub async fn attachment(
        mut self,
        id: &str,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static + use<>, Refusal> {
        let part = self.next_part().await?.ok_or_else(|| broken("нет части с содержимым"))?;
        if self.start.as_deref() == Some(id) || content_id(&part) != Some(id) {
            return Err(broken("вторая часть — не та, на которую ссылается xop:Include"));
        }
        plain(&part)?;
        Ok(stream::try_unfold(Some((self, part)), |state| async {
            let Some((related, mut part)) = state else { return Ok(None) };
            if let Some(piece) = related.piece(&mut part).await? {
                return Ok(Some((piece, Some((related, part)))));
            }
            drop(part);
            related.finish().await?;
            Ok(None)
        }))
    }

    /// Reads a whole message of at most so many bytes and puts its parts back into the envelope, as
    /// they were when it was signed. Each part must be referred to.
    ///
    /// # Errors
    /// What is wrong with parts or envelope; `LIMIT_BYTES`.
    pub async fn inlined(mut self, limits: Limits, most: u64) -> Result<Vec<u8>, Refusal> {
        let envelope = self.root_of(usize::try_from(most).unwrap_or(usize::MAX)).await?;
        let mut left = most.saturating_sub(envelope.len() as u64);
        let mut parts = Vec::new();
        while let Some(mut part) = self.next_part().await? {
            let id = content_id(&part).ok_or_else(|| broken("часть без Content-ID"))?.to_owned();
            let twice = parts.iter().any(|(known, _)| *known == id);
            if twice || self.start.as_ref() == Some(&id) || parts.len() == MOST_PARTS {
                return Err(broken("две части с одним Content-ID, или частей слишком много"));
            }
            plain(&part)?;
            let mut bytes = Vec::new();
            while let Some(piece) = self.piece(&mut part).await? {
                left = left.checked_sub(piece.len() as u64).ok_or(RefusalCode::LimitBytes)?;
                bytes.extend_from_slice(&piece);
            }
            parts.push((id, bytes));
        }
        let used = AtomicUsize::new(0);
        let part = |wanted: &str| {
            let found = parts.iter().find(|(id, _)| id == wanted)?;
            used.fetch_add(1, Ordering::Relaxed);
            Some(found.1.clone())
        };
        let whole = xop::inline(&envelope, limits, part)?;
        if used.into_inner() < parts.len() {
            return Err(broken("лишняя часть, на которую нет ссылки"));
        }
        Ok(whole)
    }

    /// Checks that nothing follows the envelope: the message has no attachment.
    ///
    /// # Errors
    /// `MIME_STRUCTURE`: there is another part that nothing refers to.
    pub async fn finish(mut self) -> Result<(), Refusal> {
        match self.next_part().await? {
            None => Ok(()),
            Some(_) => Err(broken("лишняя часть, на которую нет ссылки")),
        }
    }

    async fn next_part(&mut self) -> Result<Option<Field<'static>>, Refusal> {
        self.allowance.store(SEARCH_BYTES, Ordering::Relaxed);
        self.parts.next_field().await.map_err(|error| told(&error))
    }

    async fn piece(&self, part: &mut Field<'static>) -> Result<Option<Bytes>, Refusal> {
        self.allowance.store(SEARCH_BYTES, Ordering::Relaxed);
        part.chunk().await.map_err(|error| told(&error))
    }
}

fn header<'a>(part: &'a Field<'static>, name: &str) -> Option<&'a str> {
    part.headers().get(name).and_then(|value| value.to_str().ok())
}

fn content_id<'a>(part: &'a Field<'static>) -> Option<&'a str> {
    header(part, "content-id").map(bare)
}

/// A message id without its angle brackets.
fn bare(id: &str) -> &str {
    let id = id.trim();
    id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id)
}

/// Refuses a part that holds parts, or comes in a transfer encoding.
fn plain(part: &Field<'static>) -> Result<(), Refusal> {
    if header(part, "content-type").is_some_and(|kind| kind.starts_with("multipart/")) {
        return Err(broken("вложенный multipart"));
    }
    binary(part)
}

/// Refuses a part that comes in a transfer encoding.
fn binary(part: &Field<'static>) -> Result<(), Refusal> {
    let encoding = header(part, "content-transfer-encoding").unwrap_or("binary").trim();
    if ["binary", "8bit", "7bit"].iter().any(|plain| encoding.eq_ignore_ascii_case(plain)) {
        return Ok(());
    }
    Err(broken("Content-Transfer-Encoding: ожидался binary"))
}

fn broken(detail: &str) -> Refusal {
    Refusal::new(RefusalCode::Mime).detail(detail)
}

/// What the parser complains of, or what it was told by the body below.
fn told(error: &multer::Error) -> Refusal {
    match error {
        multer::Error::StreamReadFailed(cause) => cause
            .downcast_ref::<io::Error>()
            .and_then(refusal_of)
            .unwrap_or(RefusalCode::Truncated.into()),
        multer::Error::IncompleteFieldData { .. } | multer::Error::IncompleteStream => {
            broken("сообщение оборвано или граница повреждена")
        }
        _ => broken("заголовки части не читаются"),
    }
}

/// The body as the parser gets it. The parser takes all that is ready before it looks at any of
/// it, and looks for boundaries and headers without a limit; so it gets one piece at a time, and
/// no more of them than allowed.
struct Measured {
    body: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    allowance: Arc<AtomicU64>,
    /// A piece was just given: let the parser look at it first.
    breathe: bool,
}

impl Stream for Measured {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.breathe) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let left = self.allowance.load(Ordering::Relaxed);
        if left == 0 {
            let refusal = broken("граница или заголовки части слишком далеко");
            return Poll::Ready(Some(Err(refusal.into())));
        }
        let piece = ready!(self.body.as_mut().poll_next(cx));
        if let Some(Ok(bytes)) = &piece {
            self.allowance.store(left.saturating_sub(bytes.len() as u64), Ordering::Relaxed);
            self.breathe = true;
        }
        Poll::Ready(piece)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    const ROOT: &str = "Content-Type: application/xop+xml; type=\"text/xml\"\r\n\
        Content-ID: <root@x>\r\n\r\n<Envelope/>";
    const PART: &str = "Content-Type: application/octet-stream\r\n\
        Content-Transfer-Encoding: binary\r\nContent-ID: <a@x>\r\n\r\nbytes\r\n--MIM of it";

    fn message(parts: &[&str]) -> String {
        let parts = parts.join("\r\n--MIME\r\n");
        format!("--MIME\r\n{parts}\r\n--MIME--\r\n")
    }

    async fn read(message: &str, parameters: &str) -> Result<String, String> {
        let kind = format!("multipart/related; {parameters}").parse::<Mime>().unwrap();
        let pieces: Vec<io::Result<Bytes>> = message
            .as_bytes()
            .chunks(if message.len() > 10_000 { 4093 } else { 7 })
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let told = |refusal: Refusal| refusal.code.as_str().to_owned();
        let mut related = Related::new(&kind, stream::iter(pieces)).map_err(told)?;
        let mut text = String::from_utf8(related.root().await.map_err(told)?).unwrap();
        let mut part = Box::pin(related.attachment("a@x").await.map_err(told)?);
        while let Some(piece) = part.next().await {
            let piece = piece.map_err(|error| told(refusal_of(&error).unwrap()))?;
            text += std::str::from_utf8(&piece).unwrap();
        }
        Ok(text)
    }

    const GOOD: &str = "type=\"application/xop+xml\"; boundary=MIME; start=\"<root@x>\"";

    #[tokio::test]
    async fn envelope_and_attachment_arrive() {
        let whole = "<Envelope/>bytes\r\n--MIM of it".to_owned();
        assert_eq!(read(&message(&[ROOT, PART]), GOOD).await, Ok(whole.clone()));
        let unnamed = "type=\"application/xop+xml\"; boundary=\"MIME\"";
        assert_eq!(read(&message(&[ROOT, PART]), unnamed).await, Ok(whole));
    }

    #[test]
    fn a_saved_message_gets_its_parts_back() {
        let root = ROOT.replace(
            "<Envelope/>",
            "<Envelope><x:Include xmlns:x=\"http://www.w3.org/2004/08/xop/include\" href=\"cid:a@x\"/></Envelope>",
        );
        let saved = |parts: &[&str]| {
            let message = message(parts).into_bytes();
            let whole = saved(message, Limits::default(), 1 << 20);
            whole.map(|whole| String::from_utf8(whole).unwrap()).map_err(|refusal| refusal.code)
        };
        let whole = Ok("<Envelope>Ynl0ZXMNCi0tTUlNIG9mIGl0</Envelope>".to_owned());
        assert_eq!(saved(&[&root, PART]), whole);
        let more = PART.replace("a@x", "b@x");
        let nested = PART.replace("application/octet-stream", "multipart/mixed");
        for parts in [
            &[&root[..]][..],
            &[&root, PART, PART],
            &[&root, PART, &more],
            &[ROOT, PART],
            &[&root, &nested],
        ] {
            assert_eq!(saved(parts), Err(RefusalCode::Mime));
        }
    }

    #[tokio::test]
    async fn any_other_structure_is_refused() {
        let long = format!("X: {}\r\n{PART}", "x".repeat(100_000));
        let other = PART.replace("a@x", "b@x");
        let nested = PART.replace("application/octet-stream", "multipart/mixed");
        let encoded = PART.replace("binary", "base64");
        let good = message(&[ROOT, PART]);
        let many = [&[ROOT][..], &[PART; 200]].concat();
        for (message, what) in [
            (message(&[]), "no part"),
            (message(&[PART, ROOT]), "the root is not first"),
            (message(&[ROOT]), "no attachment"),
            (message(&[ROOT, &other]), "another Content-ID"),
            (message(&[ROOT, PART, PART]), "a duplicate Content-ID"),
            (message(&[ROOT, PART, &other]), "a part nothing refers to"),
            (message(&many), "many parts"),
            (message(&[ROOT, &nested]), "a nested multipart"),
            (message(&[ROOT, &encoded]), "a transfer encoding"),
            (message(&[ROOT, &long]), "an endless header"),
            ("x".repeat(1 << 20), "no boundary anywhere"),
            (good[..good.len() - 5].to_owned(), "no final boundary"),
        ] {
            assert_eq!(read(&message, GOOD).await, Err("MIME_STRUCTURE".to_owned()), "{what}");
        }
        let missing = GOOD.replace("root@x", "else@x");
        assert_eq!(read(&good, &missing).await, Err("MIME_STRUCTURE".to_owned()));
        for kind in
            ["boundary=MIME", "type=\"application/xop+xml\"", "type=\"text/xml\"; boundary=M"]
        {
            assert_eq!(read(&good, kind).await, Err("CONTENT_TYPE".to_owned()), "{kind}");
        }
    }
}
