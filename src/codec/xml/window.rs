//! The part of the document in memory: checked text over a source of bytes, and where it lies.

use std::cell::Cell;
use std::io::{ErrorKind, Read};

use memchr::{memchr, memchr_iter, memrchr};

use super::XmlError;
use super::chars::first_forbidden;
use crate::model::refusal::{Place, Refusal, RefusalCode};

/// Bytes asked of the source at first, and later: small documents should not pay for large ones.
const FIRST_READ: usize = 16 << 10;
const LATER_READ: usize = 64 << 10;

/// A sliding window of valid UTF-8 with line ends already normalised to line feeds.
#[derive(Debug)]
pub(super) struct Window {
    /// Text in memory.
    pub(super) text: String,
    /// First byte not yet consumed.
    pub(super) pos: usize,
    /// Bytes of normalised text before `text`.
    pub(super) origin: u64,
    /// Position in the normalised text from which on somebody still needs it.
    pub(super) hold: Cell<Option<u64>>,
    /// Nothing follows `text`.
    pub(super) ended: bool,
    /// The source began with a UTF-8 byte order mark.
    pub(super) marked: bool,
    /// Bytes read and not yet checked; the first `held` were left over from the last time.
    raw: Vec<u8>,
    held: usize,
    /// What is wrong with the bytes that follow `text`.
    pending: Option<Refusal>,
    /// Bytes of the source before `text`.
    base: u64,
    /// Where in `text` a carriage return was left out, ascending.
    cuts: Vec<usize>,
    spot: Cell<Spot>,
}

/// Line and column of a byte of the window, the last that was asked for.
#[derive(Clone, Copy, Debug)]
struct Spot {
    at: usize,
    line: u64,
    column: u64,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            text: String::new(),
            pos: 0,
            origin: 0,
            hold: Cell::new(None),
            ended: false,
            marked: false,
            raw: Vec::new(),
            held: 0,
            pending: None,
            base: 0,
            cuts: Vec::new(),
            spot: Cell::new(Spot { at: 0, line: 1, column: 1 }),
        }
    }

    /// Forgets what is consumed and reads more. Returns false at the end of the source.
    pub(super) fn fill(&mut self, source: &mut dyn Read) -> Result<bool, XmlError> {
        if let Some(refusal) = self.pending.take() {
            self.ended = true;
            return Err(refusal.at(self.place(self.text.len())).into());
        }
        if self.ended {
            return Ok(false);
        }
        self.slide();
        let first = self.raw.is_empty();
        let wanted = if first { FIRST_READ } else { LATER_READ };
        if self.raw.len() < wanted {
            self.raw.resize(wanted, 0);
        }
        let filled = self.pull(source);
        let raw = std::mem::take(&mut self.raw);
        let before = self.text.len();
        let kept = self.admit(&raw[..filled], first)?;
        self.raw = raw;
        self.raw.copy_within(kept..filled, 0);
        self.held = filled - kept;
        if self.pending.is_some() {
            self.ended = false;
        }
        Ok(self.text.len() > before || self.pending.is_some())
    }

    /// Reads until the raw buffer is full or the source ends, so that a source that drips
    /// does not make us look at one token again for each byte. Says how much is in the buffer.
    fn pull(&mut self, source: &mut dyn Read) -> usize {
        let mut filled = self.held;
        while filled < self.raw.len() {
            match source.read(&mut self.raw[filled..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    let cause = error.downcast::<Refusal>();
                    self.pending =
                        Some(cause.unwrap_or_else(|_| Refusal::new(RefusalCode::Truncated)));
                    break;
                }
            }
        }
        filled
    }

    /// The index in `text` of a position in the normalised text, if it is still there.
    #[inline]
    pub(super) fn index(&self, position: u64) -> Option<usize> {
        usize::try_from(position.checked_sub(self.origin)?).ok()
    }

    /// From where on `text` will be kept when more is read.
    pub(super) fn kept(&self) -> usize {
        self.hold
            .get()
            .and_then(|from| self.index(from))
            .map_or(self.pos, |held| held.min(self.pos))
    }

    /// Forgets text that is consumed and not held, after counting its lines.
    fn slide(&mut self) {
        let gone = self.kept();
        if gone == 0 {
            return;
        }
        let spot = self.spot_at(self.pos);
        self.spot.set(Spot { at: self.pos - gone, ..spot });
        let cut = self.cuts.partition_point(|&at| at < gone);
        self.base += (gone + cut) as u64;
        self.origin += gone as u64;
        self.cuts.drain(..cut);
        for at in &mut self.cuts {
            *at -= gone;
        }
        self.text.drain(..gone);
        self.pos -= gone;
    }

    /// Checks bytes and appends them; says how many are done with.
    fn admit(&mut self, bytes: &[u8], first: bool) -> Result<usize, XmlError> {
        let mut from = 0;
        if first {
            if let Some(code) = foreign_encoding(bytes) {
                return Err(Refusal::new(code).at(self.place(0)).into());
            }
            if bytes.starts_with(b"\xEF\xBB\xBF") {
                from = 3;
                self.base = 3;
                self.marked = true;
            }
        }
        let bytes = &bytes[from..];
        let mut whole = if self.ended { bytes.len() } else { complete(bytes) };
        if simdutf8::basic::from_utf8(&bytes[..whole]).is_err() {
            self.pending = Some(RefusalCode::XmlEncoding.into());
            let error = simdutf8::compat::from_utf8(&bytes[..whole]).err();
            whole = error.map_or(whole, |error| error.valid_up_to());
        }
        let text = simdutf8::basic::from_utf8(&bytes[..whole]).unwrap_or_default();
        let text = match first_forbidden(text.as_bytes()) {
            None => text,
            Some(at) => {
                self.pending = Some(RefusalCode::XmlChar.into());
                &text[..at]
            }
        };
        self.append(text);
        Ok(from + whole)
    }

    /// Appends checked text with its line ends normalised. A carriage return never ends `text`
    /// unless the source ends there: [`complete`] holds it back.
    fn append(&mut self, mut text: &str) {
        while let Some(at) = memchr(b'\r', text.as_bytes()) {
            self.text.push_str(&text[..at]);
            text = &text[at + 1..];
            if text.starts_with('\n') {
                self.cuts.push(self.text.len());
            } else {
                self.text.push('\n');
            }
        }
        self.text.push_str(text);
    }

    /// The place of a byte of the window.
    pub(super) fn place(&self, at: usize) -> Place {
        let spot = self.spot_at(at);
        self.spot.set(spot);
        let cut = self.cuts.partition_point(|&cut| cut < at);
        Place { offset: self.base + (at + cut) as u64, line: spot.line, column: spot.column }
    }

    fn spot_at(&self, at: usize) -> Spot {
        let last = self.spot.get();
        let Some(between) = self.text.as_bytes().get(last.at..at) else { return last };
        let lines = memchr_iter(b'\n', between).count() as u64;
        let (line_start, column) = match memrchr(b'\n', between) {
            Some(feed) => (feed + 1, 1),
            None => (0, last.column),
        };
        let characters = between[line_start..].iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
        Spot { at, line: last.line + lines, column: column + characters as u64 }
    }
}

/// How many of the bytes can be judged without those that follow: not half a character,
/// not a carriage return that a line feed may follow.
fn complete(bytes: &[u8]) -> usize {
    let length = bytes.len();
    for back in 1..=length.min(3) {
        let byte = bytes[length - back];
        if byte & 0xC0 == 0x80 {
            continue;
        }
        let needed = match byte {
            0xF0.. => 4,
            0xE0.. => 3,
            0xC0.. => 2,
            b'\r' if back == 1 => 2,
            _ => 1,
        };
        return if needed > back { length - back } else { length };
    }
    length
}

/// Recognises encodings other than UTF-8 by their first bytes.
fn foreign_encoding(bytes: &[u8]) -> Option<RefusalCode> {
    let foreign = bytes.starts_with(b"\xFE\xFF")
        || bytes.starts_with(b"\xFF\xFE")
        || bytes.starts_with(b"\x00<")
        || bytes.starts_with(b"<\x00")
        || bytes.starts_with(b"\x00\x00")
        || bytes.starts_with(b"\x4C\x6F\xA7\x94")
        || bytes.starts_with(b"+/v");
    foreign.then_some(RefusalCode::XmlEncoding)
}
