//! A folder of trust: certificates of authorities and lists of revoked certificates, as files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use openssl::x509::X509;
use xxhash_rust::xxh3::xxh3_64;

use super::crl::{Crls, Stale};
use super::der;

/// What a folder holds.
pub struct Folder {
    /// Certificates of authorities, DER.
    pub anchors: Vec<Vec<u8>>,
    /// Lists of revoked certificates.
    pub crls: Crls,
    /// Files that hold neither, and certificates that are no authority's: not trusted.
    pub ignored: Vec<PathBuf>,
}

/// Why a folder of trust cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Not readable.
    #[error("не читается {path}")]
    Unreadable {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Folder {
    /// Reads a folder, not those below it, or a single file. PEM files may hold any number of
    /// certificates. Only authorities become anchors: a signer's certificate in the folder would
    /// else be trusted whoever issued it.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn read(path: &Path, stale: Stale) -> Result<Self, FolderError> {
        let mut folder = Self { anchors: Vec::new(), crls: Crls::new(stale), ignored: Vec::new() };
        for file in files(path)? {
            let bytes = fs::read(&file).map_err(|source| unreadable(&file, source))?;
            let anchors = authorities(&bytes);
            if anchors.is_empty() && folder.crls.add(&bytes).is_err() {
                folder.ignored.push(file);
            }
            folder.anchors.extend(anchors);
        }
        Ok(folder)
    }
}

/// Where a folder of trust is, and what its stale lists are worth.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The folder.
    pub path: PathBuf,
    /// What a list whose next issue is overdue is worth.
    pub stale: Stale,
}

impl Watched {
    /// A number that changes when a file of the folder comes, goes or is written.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn state(&self) -> Result<u64, FolderError> {
        let mut state = Vec::new();
        for file in files(&self.path)? {
            let facts = fs::metadata(&file).map_err(|source| unreadable(&file, source))?;
            let written = facts.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            state.extend_from_slice(file.as_os_str().as_encoded_bytes());
            state.extend_from_slice(&written.unwrap_or_default().as_nanos().to_le_bytes());
            state.extend_from_slice(&facts.len().to_le_bytes());
        }
        Ok(xxh3_64(&state))
    }

    /// What it holds now.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn read(&self) -> Result<Folder, FolderError> {
        Folder::read(&self.path, self.stale)
    }
}

/// Certificates of authorities among those of a file, DER.
fn authorities(bytes: &[u8]) -> Vec<Vec<u8>> {
    certificates(bytes).into_iter().filter(|der| der::is_authority(der)).collect()
}

/// All certificates of a file, DER: one in DER, or any number in PEM.
pub fn certificates(bytes: &[u8]) -> Vec<Vec<u8>> {
    let certificates = X509::stack_from_pem(bytes)
        .ok()
        .filter(|found| !found.is_empty())
        .or_else(|| X509::from_der(bytes).ok().map(|one| vec![one]))
        .unwrap_or_default();
    certificates.iter().filter_map(|certificate| certificate.to_der().ok()).collect()
}

/// The files of a folder by name, or the file itself.
fn files(path: &Path) -> Result<Vec<PathBuf>, FolderError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(|source| unreadable(path, source))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(|source| unreadable(path, source))?.path();
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, source: std::io::Error) -> FolderError {
    FolderError::Unreadable { path: path.to_owned(), source }
}
