//! Documents in windows-1251 or UTF-16, turned into UTF-8 on the way to the reader, where a
//! sender may use them.
//!
//! The declared encoding is rewritten in place, so that what follows stands where it stood.

use std::io::{self, Read};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_16BE, UTF_16LE, WINDOWS_1251};
use memchr::memmem;

use crate::model::refusal::{Refusal, RefusalCode};

/// Bytes taken from the source at a time; an XML declaration must lie in the first of them.
const CHUNK: usize = 16 << 10;

/// Longest XML declaration, in characters.
const MAX_DECLARATION: usize = 256;

/// A source of UTF-8 over one of UTF-8, windows-1251 or UTF-16. What is none of these passes
/// unchanged and is refused by the reader.
pub struct Transcoder<R> {
    source: R,
    /// How the source is written; `None` before the first byte, or for UTF-8.
    decoder: Option<Decoder>,
    begun: bool,
    /// Bytes taken and not yet decoded.
    raw: Vec<u8>,
    /// UTF-8 ready to be read, from `read` on.
    ready: String,
    read: usize,
    ended: bool,
}

impl<R> std::fmt::Debug for Transcoder<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let encoding = self.decoder.as_ref().map(|decoder| decoder.encoding().name());
        formatter.debug_struct("Transcoder").field("encoding", &encoding).finish_non_exhaustive()
    }
}

impl<R: Read> Transcoder<R> {
    /// Reads a document from its first byte.
    pub fn new(source: R) -> Self {
        Self {
            source,
            decoder: None,
            begun: false,
            raw: Vec::new(),
            ready: String::new(),
            read: 0,
            ended: false,
        }
    }

    /// Says whether the document came in another encoding than UTF-8, once some of it was read.
    pub fn transcoded(&self) -> bool {
        self.decoder.is_some()
    }

    fn begin(&mut self) -> io::Result<()> {
        self.begun = true;
        self.take()?;
        let encoding = foreign(&self.raw);
        self.decoder = encoding.map(Encoding::new_decoder_with_bom_removal);
        if let Some(encoding) = encoding {
            self.decode()?;
            rewrite_declaration(&mut self.ready, encoding)?;
        }
        Ok(())
    }

    /// Takes the next bytes of the source behind those at hand.
    fn take(&mut self) -> io::Result<()> {
        let before = self.raw.len();
        let mut chunk = (&mut self.source).take((CHUNK - before) as u64);
        chunk.read_to_end(&mut self.raw)?;
        self.ended = self.raw.len() == before;
        Ok(())
    }

    fn decode(&mut self) -> io::Result<()> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        self.ready.clear();
        self.read = 0;
        let room = decoder.max_utf8_buffer_length(self.raw.len()).unwrap_or(4 * CHUNK);
        self.ready.reserve(room);
        let (result, taken, replaced) =
            decoder.decode_to_string(&self.raw, &mut self.ready, self.ended);
        if replaced || result == CoderResult::OutputFull {
            return Err(Refusal::new(RefusalCode::XmlEncoding).into());
        }
        self.raw.drain(..taken);
        Ok(())
    }
}

impl<R: Read> Read for Transcoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.begun {
            self.begin()?;
        }
        if self.decoder.is_none() {
            if self.raw.is_empty() {
                return self.source.read(into);
            }
            let count = self.raw.as_slice().read(into)?;
            self.raw.drain(..count);
            return Ok(count);
        }
        while self.read == self.ready.len() {
            if self.ended {
                return Ok(0);
            }
            self.take()?;
            self.decode()?;
        }
        let count = (&self.ready.as_bytes()[self.read..]).read(into)?;
        self.read += count;
        Ok(count)
    }
}

/// Recognises a document in another encoding by its first bytes.
fn foreign(bytes: &[u8]) -> Option<&'static Encoding> {
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"<\x00?\x00") {
        return Some(UTF_16LE);
    }
    if bytes.starts_with(b"\xFE\xFF") || bytes.starts_with(b"\x00<\x00?") {
        return Some(UTF_16BE);
    }
    let near = &bytes[..bytes.len().min(MAX_DECLARATION)];
    let declaration = &near[..memmem::find(near, b"?>")?];
    let text = std::str::from_utf8(declaration).ok().filter(|text| text.starts_with("<?xml"))?;
    let (_, value, _) = declared(text)?;
    ["windows-1251", "cp1251"]
        .iter()
        .any(|name| value.eq_ignore_ascii_case(name))
        .then_some(WINDOWS_1251)
}

/// The declared encoding with what stands before it and after it, quotes excluded.
fn declared(declaration: &str) -> Option<(&str, &str, &str)> {
    let at = declaration.find("encoding")?;
    let open = at + declaration[at..].find(['"', '\''])?;
    let quote = declaration[open..].chars().next()?;
    let close = open + 1 + declaration[open + 1..].find(quote)?;
    Some((&declaration[..=open], &declaration[open + 1..close], &declaration[close..]))
}

/// Writes `UTF-8` where another encoding is declared, and as many blanks after it as it is shorter.
/// Refuses a declaration of what the bytes are not.
fn rewrite_declaration(text: &mut String, encoding: &Encoding) -> Result<(), Refusal> {
    let end = text.find("?>").filter(|end| *end <= MAX_DECLARATION && text.starts_with("<?xml"));
    let Some((end, (before, value, after))) =
        end.and_then(|end| declared(&text[..end]).map(|found| (end, found)))
    else {
        return Ok(());
    };
    let names: &[&str] = match encoding {
        _ if encoding == UTF_16LE => &["utf-16", "utf-16le"],
        _ if encoding == UTF_16BE => &["utf-16", "utf-16be"],
        _ => &[],
    };
    let wide = encoding != WINDOWS_1251;
    if wide && !names.contains(&value.to_ascii_lowercase().as_str()) {
        return Err(RefusalCode::XmlEncodingConflict.into());
    }
    let quote = &after[..1];
    let blanks = " ".repeat(value.len().saturating_sub(5));
    let rewritten = format!("{before}UTF-8{quote}{blanks}{}", &after[1..]);
    text.replace_range(..end, &rewritten);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_in_other_encodings_read_as_the_same_in_utf_8_and_bad_bytes_are_refused() {
        let text =
            "<?xml version=\"1.0\" encoding='NAME' standalone=\"no\"?>\n<a б='ж'>Ёлка №1</a>";
        let read = |bytes: &[u8]| {
            let mut found = String::new();
            Transcoder::new(bytes).read_to_string(&mut found).map(|_| found)
        };
        let shown = |name: &str| {
            let blanks = " ".repeat(name.len() - 5);
            text.replace("'NAME'", &format!("'UTF-8'{blanks}"))
        };
        let (bytes, ..) = WINDOWS_1251.encode(text);
        let name = b"NAME".as_slice();
        let at = memmem::find(&bytes, name).unwrap();
        let declared = [&bytes[..at], b"windows-1251", &bytes[at + 4..]].concat();
        assert_eq!(read(&declared).unwrap(), shown("windows-1251"));
        let wide = text.replace("NAME", "UTF-16") + &"<!-- длинный -->".repeat(3000);
        let expected = shown("UTF-16") + &"<!-- длинный -->".repeat(3000);
        for (mark, big) in [(vec![0xFF, 0xFE], false), (vec![0xFE, 0xFF], true), (vec![], false)] {
            let unit = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
            let bytes: Vec<u8> =
                mark.into_iter().chain(wide.encode_utf16().flat_map(unit)).collect();
            assert_eq!(read(&bytes).unwrap(), expected);
            assert!(read(&bytes[..bytes.len() - 1]).is_err());
        }
        let utf8 = text.replace("NAME", "UTF-8");
        assert_eq!(read(utf8.as_bytes()).unwrap(), utf8);
        assert!(read(b"\xFF\xFE<\x00\x00\xD8<\x00").is_err());
        let lie: Vec<u8> = utf8.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(read(&lie).is_err());
    }
}
