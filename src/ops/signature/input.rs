//! Documents on the command line: files, and what comes through a pipe and can be read only once.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::codec::xmldsig::TAIL;

/// A document that can be read as often as needed.
pub(super) struct Input {
    origin: Origin,
    tail: Vec<u8>,
}

enum Origin {
    File(PathBuf),
    /// A copy of what cannot be read twice; it is gone with the process.
    Spooled(File),
}

impl Input {
    /// Opens a file; `-` is standard input. What has no positions is copied aside first.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Self::spooled(io::stdin().lock());
        }
        let file = File::open(path)?;
        let kind = file.metadata()?.file_type();
        if kind.is_dir() {
            return Err(io::Error::from(ErrorKind::IsADirectory));
        }
        if !kind.is_file() {
            return Self::spooled(file);
        }
        let tail = tail(&file)?;
        Ok(Self { origin: Origin::File(path.to_owned()), tail })
    }

    fn spooled(mut source: impl Read) -> io::Result<Self> {
        let mut copy = tempfile::tempfile()?;
        io::copy(&mut source, &mut copy)?;
        let tail = tail(&copy)?;
        Ok(Self { origin: Origin::Spooled(copy), tail })
    }

    /// The document from its first byte.
    pub(super) fn reader(&self) -> io::Result<Box<dyn Read>> {
        Ok(match &self.origin {
            Origin::File(path) => Box::new(File::open(path)?),
            Origin::Spooled(copy) => {
                // All handles of one open file share its position: only one reader is in use at a time.
                let mut copy = copy.try_clone()?;
                copy.seek(SeekFrom::Start(0))?;
                Box::new(copy)
            }
        })
    }

    /// Its last bytes.
    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }
}

fn tail(mut file: &File) -> io::Result<Vec<u8>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL as u64)))?;
    let mut tail = Vec::new();
    file.take(TAIL as u64).read_to_end(&mut tail)?;
    Ok(tail)
}

/// Why a file cannot be read, in Russian where the reason is a usual one.
pub(super) fn in_russian(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "такого файла нет".to_owned(),
        ErrorKind::PermissionDenied => "нет прав на чтение".to_owned(),
        ErrorKind::IsADirectory => "это папка, а не файл".to_owned(),
        _ => error.to_string(),
    }
}
