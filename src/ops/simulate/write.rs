//! Writing and signing packages in constant memory.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::codec::package::Writer;
use crate::model::kind::Kind;
use crate::model::package::Header;
use crate::ops::simulate::plan::Package;
use crate::trust::Signer;

/// `Id` of the root, which the signature refers to.
const ROOT_ID: &str = "package";

/// What is in a package, and what processing will find.
#[derive(Clone, Debug)]
pub struct Content {
    /// Its header.
    pub header: Header,
    /// Findings to come, in the order of the records.
    pub expected: Vec<Expected>,
}

/// A finding to come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Expected {
    /// Its code.
    pub code: &'static str,
    /// Element name of the record.
    pub kind: &'static str,
    /// The supplier's id of the record.
    pub external_id: String,
}

/// Goes through the records of a package without writing them.
///
/// # Errors
/// None in practice: nothing is written.
pub fn survey(package: &Package) -> io::Result<Content> {
    let mut counts = [0u64; Kind::ALL.len()];
    let mut expected = Vec::new();
    package.records(&mut |record| {
        counts[record.kind.index()] += 1;
        if let Some(code) = record.expected {
            let (code, kind) = (code.as_str(), record.kind.element());
            expected.push(Expected { code, kind, external_id: record.external_id });
        }
        Ok(())
    })?;
    let counts = Kind::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect();
    Ok(Content { header: package.header(counts), expected })
}

/// Writes a package, not signed.
///
/// # Errors
/// When writing fails.
pub fn write<W: Write>(package: &Package, header: &Header, out: W) -> io::Result<W> {
    let mut writer = Writer::new(out, ROOT_ID, header)?;
    package.records(&mut |record| writer.record(record.kind, record.elements()))?;
    writer.finish()
}

/// Makes a signed package in memory.
///
/// # Errors
/// When OpenSSL cannot sign.
pub fn signed(package: &Package, signer: &Signer) -> Result<(Content, Vec<u8>)> {
    let content = survey(package)?;
    let bytes = write(package, &content.header, Vec::new())?;
    Ok((content, signer.sign_enveloped(&bytes)?))
}

/// Makes a signed package in a file, of any size in constant memory.
///
/// # Errors
/// When writing fails, or OpenSSL cannot sign.
pub fn signed_file(package: &Package, signer: &Signer, path: &Path) -> Result<Content> {
    let content = survey(package)?;
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    let mut file = write(package, &content.header, BufWriter::new(file))?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    let (at, signature) = signer.enveloped_signature(BufReader::new(&file))?;
    file.seek(SeekFrom::Start(at))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(signature.as_bytes())?;
    file.write_all(&tail)?;
    Ok(content)
}
