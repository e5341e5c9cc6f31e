//! `signature verify`: one JSON object a file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::codec::xmldsig::TAIL;
use crate::exchange::workshop::{Accepted, Profile, Source, Workshop};
use crate::model::refusal::Refusal;
use crate::ops::output::say_json;
use crate::ops::package::describe;
use crate::trust::TrustStore;
use crate::trust::crl::Stale;
use crate::trust::folder::Folder;

/// What documents are judged by.
#[derive(Clone, Debug)]
pub struct Judge {
    /// Folder of trusted authorities, or one file.
    pub trust: PathBuf,
    /// Lists of revoked certificates.
    pub crls: Vec<PathBuf>,
    /// As of when.
    pub at: DateTime<Utc>,
    /// Withdrawn algorithms count too.
    pub archive: bool,
}

impl Judge {
    /// A workshop that judges so.
    ///
    /// # Errors
    /// A file that cannot be read or is not what it should be.
    pub fn workshop(&self) -> Result<Workshop> {
        let mut folder = Folder::read(&self.trust, Stale::Accept)?;
        for file in &self.crls {
            let named = || file.display().to_string();
            let bytes = std::fs::read(file).with_context(named)?;
            folder.crls.add(&bytes).with_context(named)?;
        }
        for file in &folder.ignored {
            eprintln!("Пропущен {}: не удостоверяющий центр и не список отзыва", file.display());
        }
        let store = TrustStore::new(&folder.anchors)?.with_crls(folder.crls);
        let store = if self.archive { store.for_archives() } else { store };
        Ok(Workshop::new(Arc::new(store), self.at))
    }
}

/// Judges files and prints a line of JSON for each; says whether all are accepted.
///
/// # Errors
/// What keeps the workshop from opening. A file that cannot be read is one that is not accepted.
pub fn verify(files: &[PathBuf], profile: &Profile, judge: &Judge) -> Result<bool> {
    let workshop = judge.workshop()?;
    let mut good = true;
    for file in files {
        let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(File::open(file)?)) };
        let verdict = match tail(file) {
            Err(error) => unreadable(&error),
            Ok(tail) => match workshop.verify(profile, Source { open: &open, tail: &tail }) {
                Ok(accepted) => accepted_json(&accepted),
                Err(refusal) => refused_json(&refusal),
            },
        };
        good &= verdict["verdict"] == "accept";
        say_json(&named(file, verdict))?;
    }
    Ok(good)
}

/// The end of a file.
pub(super) fn tail(file: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL as u64)))?;
    let mut tail = Vec::new();
    file.take(TAIL as u64).read_to_end(&mut tail)?;
    Ok(tail)
}

fn named(file: &Path, mut verdict: Value) -> Value {
    verdict["file"] = json!(file.display().to_string());
    verdict
}

fn accepted_json(accepted: &[Accepted]) -> Value {
    let signer = |accepted: &Accepted| {
        json!({
            "role": accepted.role.name(),
            "algorithm": accepted.signature.algorithm.uri(),
            "subject": accepted.signer.facts.subject,
            "sha256": accepted.signer.facts.sha256,
        })
    };
    let first = accepted.first().map(|first| first.signer.facts.subject.clone());
    let roles: Vec<&str> = accepted.iter().map(|accepted| accepted.role.name()).collect();
    json!({
        "verdict": "accept",
        "code": "OK",
        "reason": format!("Подпись верна: {}", roles.join(", ")),
        "signer": first,
        "signatures": accepted.iter().map(signer).collect::<Vec<_>>(),
    })
}

fn refused_json(refusal: &Refusal) -> Value {
    let mut value = json!({
        "verdict": "reject",
        "code": refusal.code.as_str(),
        "reason": describe(refusal),
        "signer": null,
    });
    if let Some(place) = refusal.place {
        value["place"] = json!(place);
    }
    value
}

fn unreadable(error: &io::Error) -> Value {
    json!({
        "verdict": "reject",
        "code": "FILE_UNREADABLE",
        "reason": format!("Файл не читается: {error}"),
        "signer": null,
    })
}
