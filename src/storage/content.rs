//! The XML of a package as it is kept: SHA-256 of the document, and zstd frames of at most
//! 1 MiB of it each, in memory while few, else in a nameless file that a crash leaves no trace of.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use openssl::sha::Sha256;

/// Bytes of XML in one frame.
const FRAME_BYTES: usize = 1 << 20;

/// Most bytes that a frame of ours holds: a frame of a document, or one whole receipt.
const PLAIN_BYTES: usize = 64 << 20;

/// Frames kept in memory before the spool is used.
const FRAMES_IN_MEMORY: usize = 4;

/// Compression level: speed first. Below 1 literals are left as they are: an eighth more bytes for
/// a third less time, and on receipts, where the tables of a level cost more than they save, for
/// two thirds less.
const LEVEL: i32 = -1;

thread_local! {
    static COMPRESSOR: RefCell<Option<(zstd::bulk::Compressor<'static>, Vec<u8>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses into one frame with a checksum.
///
/// # Errors
/// When memory runs out.
pub fn compress(plain: &[u8]) -> io::Result<Vec<u8>> {
    if plain.len() > FRAME_BYTES {
        return compress_long(plain);
    }
    COMPRESSOR.with_borrow_mut(|slot| {
        let (compressor, room) = if let Some(used) = slot {
            used
        } else {
            let mut made = zstd::bulk::Compressor::new(LEVEL)?;
            made.include_checksum(true)?;
            slot.insert((made, Vec::new()))
        };
        // Room for the case that nothing shrinks; the frame itself is copied out of it.
        room.clear();
        room.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        compressor.compress_to_buffer(plain, room)?;
        Ok(room.clone())
    })
}

/// The receipt of many findings: piece by piece, without room for the case that nothing shrinks.
fn compress_long(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(plain.len() as u64))?;
    encoder.write_all(plain)?;
    encoder.finish()
}

/// Undoes [`compress`].
///
/// # Errors
/// When the bytes are no intact frame.
pub fn decompress(frame: &[u8]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    decompress_into(frame, &mut plain)?;
    Ok(plain)
}

/// Undoes [`compress`] into a buffer that is used again and again: what else large packages
/// allocate and free on many threads, the allocator keeps.
fn decompress_into(frame: &[u8], plain: &mut Vec<u8>) -> io::Result<()> {
    let length = zstd::zstd_safe::get_frame_content_size(frame)
        .map_err(|_| io::ErrorKind::InvalidData)?
        .and_then(|length| usize::try_from(length).ok())
        .filter(|length| *length <= PLAIN_BYTES)
        .ok_or(io::ErrorKind::InvalidData)?;
    plain.clear();
    plain.reserve_exact(length);
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor.decompress_to_buffer(frame, plain).map(|_| ())
    })
}

/// A document, whole.
#[derive(Debug)]
pub struct Content {
    /// SHA-256 of the document.
    pub sha256: [u8; 32],
    /// Its length.
    pub bytes: u64,
    /// The document.
    pub frames: Frames,
}

/// Frames in order.
#[derive(Debug)]
pub struct Frames {
    memory: Vec<Vec<u8>>,
    spooled: Option<File>,
    spooled_bytes: u64,
    count: usize,
    spool: PathBuf,
}

impl Frames {
    /// None yet; `spool` is the folder for many.
    pub fn new(spool: &Path) -> Self {
        let spool = spool.to_owned();
        Self { memory: Vec::new(), spooled: None, spooled_bytes: 0, count: 0, spool }
    }

    /// Number of frames.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether all are in memory.
    pub fn in_memory(&self) -> bool {
        self.spooled.is_none()
    }

    /// Bytes of all frames.
    pub fn stored_bytes(&self) -> u64 {
        self.spooled_bytes + self.memory.iter().map(|frame| frame.len() as u64).sum::<u64>()
    }

    /// Adds one.
    ///
    /// # Errors
    /// Those of the spool.
    pub fn push(&mut self, frame: Vec<u8>) -> io::Result<()> {
        self.count += 1;
        if self.spooled.is_none() && self.memory.len() < FRAMES_IN_MEMORY {
            self.memory.push(frame);
            return Ok(());
        }
        if self.spooled.is_none() {
            self.spooled = Some(tempfile::tempfile_in(&self.spool)?);
        }
        for frame in std::mem::take(&mut self.memory).into_iter().chain([frame]) {
            self.spill(&frame)?;
        }
        Ok(())
    }

    /// The frames that are in memory: all or none.
    pub fn memory(&self) -> &[Vec<u8>] {
        &self.memory
    }

    /// Walks the frames from the first.
    pub fn cursor(&self) -> io::Result<Cursor> {
        let file = self.spooled.as_ref().map(File::try_clone).transpose()?;
        Ok(Cursor { memory: self.memory.clone().into_iter(), file, at: 0, end: self.spooled_bytes })
    }

    /// Reads the document.
    ///
    /// # Errors
    /// Those of the spool.
    pub fn reader(&self) -> io::Result<FrameReader> {
        Ok(FrameReader { cursor: self.cursor()?, plain: Vec::new(), at: 0 })
    }

    fn spill(&mut self, frame: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.spooled else { return Ok(()) };
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        file.write_all(&length.to_be_bytes())?;
        file.write_all(frame)?;
        self.spooled_bytes += 4 + frame.len() as u64;
        Ok(())
    }
}

/// A walk over frames.
#[derive(Debug)]
pub struct Cursor {
    memory: std::vec::IntoIter<Vec<u8>>,
    file: Option<File>,
    at: u64,
    end: u64,
}

impl Cursor {
    /// The next frame.
    ///
    /// # Errors
    /// Those of the spool.
    pub fn frame(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = &self.file else { return Ok(self.memory.next()) };
        if self.at == self.end {
            return Ok(None);
        }
        let mut length = [0; 4];
        file.read_exact_at(&mut length, self.at)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        file.read_exact_at(&mut frame, self.at + 4)?;
        self.at += 4 + frame.len() as u64;
        Ok(Some(frame))
    }
}

/// Reads the document out of its frames.
#[derive(Debug)]
pub struct FrameReader {
    cursor: Cursor,
    plain: Vec<u8>,
    at: usize,
}

impl Read for FrameReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() {
            let Some(frame) = self.cursor.frame()? else { return Ok(0) };
            decompress_into(&frame, &mut self.plain)?;
            self.at = 0;
        }
        let taken = buffer.len().min(self.plain.len() - self.at);
        buffer[..taken].copy_from_slice(&self.plain[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}

/// Room for one frame, used again and again: fresh memory for each document costs an eighth of the
/// time that a document of a megabyte takes.
#[derive(Debug)]
struct Room(Vec<u8>);

/// Rooms not in use.
static ROOMS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Rooms kept at most.
const ROOMS_KEPT: usize = 4;

/// A document longer than this will need all of the room.
const ROOM_BEGINNING: usize = 128 << 10;

impl Room {
    fn take() -> Self {
        Self(ROOMS.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default())
    }

    fn extend(&mut self, bytes: &[u8]) {
        let length = self.0.len() + bytes.len();
        if length > self.0.capacity() && length > ROOM_BEGINNING {
            self.0.reserve_exact(FRAME_BYTES - self.0.len());
        }
        self.0.extend_from_slice(bytes);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut plain = std::mem::take(&mut self.0);
        plain.clear();
        let mut rooms = ROOMS.lock().unwrap_or_else(PoisonError::into_inner);
        if rooms.len() < ROOMS_KEPT {
            rooms.push(plain);
        }
    }
}

/// Hashes and compresses a document while it passes.
pub struct Collector {
    sha: Sha256,
    plain: Room,
    bytes: u64,
    frames: Frames,
}

impl Collector {
    /// Begins with nothing; `spool` is the folder for large documents.
    pub fn new(spool: &Path) -> Self {
        Self { sha: Sha256::new(), plain: Room::take(), bytes: 0, frames: Frames::new(spool) }
    }

    /// Adds the next bytes.
    ///
    /// # Errors
    /// Those of the spool.
    pub fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.sha.update(bytes);
        self.bytes += bytes.len() as u64;
        while self.plain.0.len() + bytes.len() >= FRAME_BYTES {
            let (now, later) = bytes.split_at(FRAME_BYTES - self.plain.0.len());
            self.plain.extend(now);
            self.frames.push(compress(&self.plain.0)?)?;
            self.plain.0.clear();
            bytes = later;
        }
        self.plain.extend(bytes);
        Ok(())
    }

    /// The document so far is the document.
    ///
    /// # Errors
    /// Those of the spool.
    pub fn finish(mut self) -> io::Result<Content> {
        if !self.plain.0.is_empty() {
            self.frames.push(compress(&self.plain.0)?)?;
        }
        Ok(Content { sha256: self.sha.finish(), bytes: self.bytes, frames: self.frames })
    }
}

/// A source that shows all it yields to a [`Collector`].
pub struct Tee<'a, R> {
    source: R,
    collector: &'a mut Collector,
}

impl<'a, R: Read> Tee<'a, R> {
    /// Reads `source`.
    pub fn new(source: R, collector: &'a mut Collector) -> Self {
        Self { source, collector }
    }
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.source.read(buffer)?;
        self.collector.push(&buffer[..taken])?;
        Ok(taken)
    }
}

/// Stored frames on their way back, hashed as they come.
pub struct Checker {
    sha: Sha256,
    plain: Vec<u8>,
    bytes: u64,
    frames: Frames,
}

impl Checker {
    /// Begins with nothing; `spool` is the folder for large documents.
    pub fn new(spool: &Path) -> Self {
        Self { sha: Sha256::new(), plain: Vec::new(), bytes: 0, frames: Frames::new(spool) }
    }

    /// Adds the next stored frame; false when it is not intact.
    ///
    /// # Errors
    /// Those of the spool.
    pub fn push(&mut self, frame: Vec<u8>) -> io::Result<bool> {
        if decompress_into(&frame, &mut self.plain).is_err() {
            return Ok(false);
        }
        self.sha.update(&self.plain);
        self.bytes += self.plain.len() as u64;
        self.frames.push(frame)?;
        Ok(true)
    }

    /// What came.
    pub fn finish(self) -> Content {
        Content { sha256: self.sha.finish(), bytes: self.bytes, frames: self.frames }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_any_length_comes_back_and_a_damaged_one_does_not() {
        for length in [0, 1, FRAME_BYTES, FRAME_BYTES + 1, 5 << 20] {
            let plain: Vec<u8> =
                (0..length).map(|n| u8::try_from(n / 1000 % 251).unwrap()).collect();
            let mut frame = compress(&plain).unwrap();
            assert!(frame.len() <= plain.len() + 32);
            assert!(decompress(&frame).unwrap() == plain);
            let last = frame.len() - 1;
            frame[last] ^= 1;
            assert!(decompress(&frame).is_err());
        }
    }

    #[test]
    fn a_document_comes_back_from_memory_and_from_the_spool() {
        let spool = tempfile::tempdir().unwrap();
        for megabytes in [0, 1, 3, 9] {
            let document: Vec<u8> =
                (0..megabytes * 1_000_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
            let mut collector = Collector::new(spool.path());
            let mut seen = Vec::new();
            Tee::new(&document[..], &mut collector).read_to_end(&mut seen).unwrap();
            let content = collector.finish().unwrap();
            let mut checker = Checker::new(spool.path());
            let mut cursor = content.frames.cursor().unwrap();
            while let Some(frame) = cursor.frame().unwrap() {
                assert!(checker.push(frame).unwrap());
            }
            let again = checker.finish();
            assert_eq!((again.sha256, again.bytes), (content.sha256, document.len() as u64));
            let mut read = Vec::new();
            content.frames.reader().unwrap().read_to_end(&mut read).unwrap();
            assert!(read == document && seen == document);
        }
        assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0);
    }
}
