//! `package`: what suppliers do with files, and operators with the journal.

mod journal;
mod send;
mod validate;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::codec::inflate::{self, Encoding, Limits};
use crate::model::refusal::{Place, Refusal};

pub use crate::ops::package::journal::{Chosen, list, receipt, replay, show, status};
pub use crate::ops::package::send::{Gateway, send};
pub use crate::ops::package::validate::validate;

/// How a package file is compressed, by its first bytes.
fn encoding(file: &Path) -> io::Result<Encoding> {
    let mut file = File::open(file)?;
    let mut magic = [0; 4];
    let read = file.read(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(match &magic[..read] {
        [0x1f, 0x8b, ..] => Encoding::Gzip,
        [b'P', b'K', 3 | 5, 4 | 6] => Encoding::Zip,
        _ => Encoding::Plain,
    })
}

/// Opens the document in a package file, decompressed.
fn open(file: &Path) -> io::Result<Box<dyn Read + Send>> {
    let encoding = encoding(file)?;
    Ok(inflate::open(encoding, Box::new(File::open(file)?), Limits::default()))
}

/// A refusal in one line.
pub(crate) fn describe(refusal: &Refusal) -> String {
    let code = refusal.code;
    one_line(code.as_str(), code.text(), refusal.detail.as_deref(), refusal.place)
}

/// Code, what is wrong, what exactly, where.
fn one_line(code: &str, title: &str, detail: Option<&str>, place: Option<Place>) -> String {
    let detail = detail.map(|detail| format!(" ({detail})")).unwrap_or_default();
    let place = place
        .map(|place| format!(", строка {}, столбец {}", place.line, place.column))
        .unwrap_or_default();
    format!("{code}: {title}{detail}{place}")
}
