//! Undoes the compression of a delivery while it is read, within limits.
//!
//! What is wrong with the bytes travels as a [`Refusal`] inside [`io::Error`];
//! [`refusal_of`] takes it out.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

pub use crate::model::refusal::refusal_of;
use crate::{
    codec::unzip::Unzip,
    model::refusal::{Refusal, RefusalCode},
};

/// Members a gzip file may have; parallel compressors write many, an attacker more.
const GZIP_MEMBERS: u32 = 10_000;

/// How many bytes are taken from the source at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// How a delivery is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Plain,
    /// RFC 1952, one member or several.
    Gzip,
    /// A zip archive of exactly one XML file.
    Zip,
}

/// How much may come out.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest document, in bytes.
    pub document_bytes: u64,
    /// Largest ratio of bytes out to bytes in.
    pub ratio: u64,
    /// The ratio is judged after so many bytes out.
    pub ratio_from_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { document_bytes: 2 << 30, ratio: 100, ratio_from_bytes: 1 << 20 }
    }
}

/// Opens the document inside `source`.
///
/// The reader yields an error carrying `LIMIT_BYTES` or `INFLATE_LIMIT` when a limit is passed,
/// `COMPRESSION` or `ZIP_STRUCTURE` when the compressed data is broken; only an `Ok(0)` says
/// that everything around the document, checksums included, was right too.
pub fn open(
    encoding: Encoding,
    source: Box<dyn Read + Send>,
    limits: Limits,
) -> Box<dyn Read + Send> {
    match encoding {
        Encoding::Plain => Box::new(Capped { source, left: limits.document_bytes }),
        Encoding::Gzip => Box::new(Bounded::new(Gunzip::new(buffered(source)), limits)),
        Encoding::Zip => Box::new(Bounded::new(Unzip::new(buffered(source)), limits)),
    }
}

/// A decompressor that knows how much it has taken from its source.
pub(crate) trait Inflating: Read {
    /// Compressed bytes taken so far.
    fn taken(&self) -> u64;
}

/// The source of a decompressor, counted.
pub(crate) type Source = BufReader<Counted>;

fn buffered(source: Box<dyn Read + Send>) -> Source {
    BufReader::with_capacity(BUFFER_BYTES, Counted { source, taken: 0 })
}

/// Counts what passes.
pub(crate) struct Counted {
    source: Box<dyn Read + Send>,
    pub(crate) taken: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.taken += count as u64;
        Ok(count)
    }
}

/// An uncompressed document with a limit.
struct Capped {
    source: Box<dyn Read + Send>,
    left: u64,
}

impl Read for Capped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::from(Refusal::new(RefusalCode::LimitBytes)))?;
        Ok(count)
    }
}

/// A compressed document with limits.
struct Bounded<R> {
    source: R,
    limits: Limits,
    given: u64,
}

impl<R: Inflating> Bounded<R> {
    fn new(source: R, limits: Limits) -> Self {
        Self { source, limits, given: 0 }
    }
}

impl<R: Inflating> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer).map_err(|error| broken(error, "поток deflate"))?;
        self.given += count as u64;
        let too_long = self.given > self.limits.document_bytes;
        let too_dense = self.given > self.limits.ratio_from_bytes
            && self.given / self.limits.ratio > self.source.taken();
        if too_long || too_dense {
            return Err(Refusal::new(RefusalCode::InflateLimit).into());
        }
        Ok(count)
    }
}

/// Turns what a decompressor complains about into `COMPRESSION`, and lets a refusal from below,
/// such as a body cut short, pass.
pub(crate) fn broken(error: io::Error, what: &str) -> io::Error {
    let theirs = matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
    );
    match refusal_of(&error) {
        None if theirs => Refusal::new(RefusalCode::Compression).detail(what).into(),
        _ => error,
    }
}

/// Reads gzip members until the source ends; anything else after a member is refused.
struct Gunzip {
    /// `None` after the last member.
    member: Option<GzDecoder<Source>>,
    taken: u64,
    members: u32,
}

impl Gunzip {
    fn new(source: Source) -> Self {
        Self { member: Some(GzDecoder::new(source)), taken: 0, members: 1 }
    }
}

impl Inflating for Gunzip {
    fn taken(&self) -> u64 {
        self.member.as_ref().map_or(self.taken, |member| member.get_ref().get_ref().taken)
    }
}

impl Read for Gunzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(mut member) = self.member.take() {
            let count = member.read(buffer)?;
            self.taken = member.get_ref().get_ref().taken;
            if count > 0 {
                self.member = Some(member);
                return Ok(count);
            }
            let mut rest = member.into_inner();
            if rest.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.members += 1;
            if self.members > GZIP_MEMBERS {
                return Err(Refusal::new(RefusalCode::Compression)
                    .detail(format!("частей gzip больше {GZIP_MEMBERS}"))
                    .into());
            }
            self.member = Some(GzDecoder::new(rest));
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn check(bytes: Vec<u8>, limits: Limits) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        match open(Encoding::Gzip, Box::new(Cursor::new(bytes)), limits).read_to_end(&mut out) {
            Ok(_) => Ok(out),
            Err(error) => Err(refusal_of(&error).expect("a refusal").code.as_str()),
        }
    }

    #[test]
    fn members_follow_each_other_and_nothing_else_does() {
        let two = [gzip(b"<a>"), gzip(b"</a>")].concat();
        assert_eq!(check(two.clone(), Limits::default()), Ok(b"<a></a>".to_vec()));
        let trailing = [two.clone(), b"rubbish".to_vec()].concat();
        assert_eq!(check(trailing, Limits::default()), Err("COMPRESSION"));
        assert_eq!(check(two[..two.len() - 3].to_vec(), Limits::default()), Err("COMPRESSION"));
        let mut flipped = two;
        flipped[12] ^= 0x55;
        assert_eq!(check(flipped, Limits::default()), Err("COMPRESSION"));
        assert_eq!(check(b"<a/>".to_vec(), Limits::default()), Err("COMPRESSION"));
    }

    #[test]
    fn a_bomb_is_stopped_by_ratio_and_by_length() {
        let bomb = gzip(&vec![0; 8 << 20]);
        assert_eq!(check(bomb.clone(), Limits::default()), Err("INFLATE_LIMIT"));
        let patient = Limits { ratio: 100_000, ..Limits::default() };
        assert_eq!(check(bomb.clone(), patient).map(|out| out.len()), Ok(8 << 20));
        let short = Limits { document_bytes: 1 << 20, ..patient };
        assert_eq!(check(bomb, short), Err("INFLATE_LIMIT"));
    }

    #[test]
    fn a_refusal_from_below_passes_unchanged() {
        struct Cut;
        impl Read for Cut {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(Refusal::new(RefusalCode::Truncated).into())
            }
        }
        for encoding in [Encoding::Plain, Encoding::Gzip, Encoding::Zip] {
            let mut reader = open(encoding, Box::new(Cut), Limits::default());
            let error = reader.read(&mut [0; 16]).unwrap_err();
            assert_eq!(refusal_of(&error).unwrap().code, RefusalCode::Truncated, "{encoding:?}");
        }
    }

    #[test]
    fn a_plain_document_is_capped() {
        let limits = Limits { document_bytes: 3, ..Limits::default() };
        let mut reader = open(Encoding::Plain, Box::new(Cursor::new(b"<ab/>")), limits);
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(refusal_of(&error).unwrap().code, RefusalCode::LimitBytes);
    }
}
