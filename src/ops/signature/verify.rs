//! `signature verify`: one JSON object a file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::input::{Input, in_russian};
use crate::exchange::workshop::{self, Profile, Source, Verdict, Workshop};
use crate::model::refusal::Refusal;
use crate::ops::output::say_json;
use crate::trust::TrustStore;
use crate::trust::certificate::Facts;
use crate::trust::crl::Stale;
use crate::trust::folder::{Folder, FolderError};

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
    /// As [`Judge::store`].
    pub fn workshop(&self) -> Result<Workshop> {
        Ok(Workshop::new(Arc::new(self.store()?), self.at))
    }

    /// Whom it trusts.
    ///
    /// # Errors
    /// A file that cannot be read or is not what it should be.
    pub fn store(&self) -> Result<TrustStore> {
        let unread = |path: &Path, error: &io::Error| {
            anyhow!("не читается {}: {}", path.display(), in_russian(error))
        };
        let folder = Folder::read(&self.trust, Stale::Accept);
        let mut folder =
            folder.map_err(|FolderError::Unreadable { path, source }| unread(&path, &source))?;
        for file in &self.crls {
            let bytes = std::fs::read(file).map_err(|error| unread(file, &error))?;
            folder.crls.add(&bytes).with_context(|| file.display().to_string())?;
        }
        for file in &folder.ignored {
            eprintln!("Пропущен {}: не удостоверяющий центр и не список отзыва", file.display());
        }
        let store = TrustStore::new(&folder.anchors)?.with_crls(folder.crls);
        Ok(if self.archive { store.for_archives() } else { store })
    }
}

/// Judges files and prints a line of JSON for each; says whether all are accepted. `-` is standard input.
///
/// # Errors
/// What keeps the workshop from opening. A file that cannot be read is one that is not accepted.
pub fn verify(files: &[PathBuf], profile: &Profile, judge: &Judge) -> Result<bool> {
    let workshop = judge.workshop()?;
    let mut good = true;
    for file in files {
        let verdict = match Input::open(file) {
            Err(error) => unreadable(&error),
            Ok(input) => {
                let open = || input.reader();
                let source = Source { open: &open, tail: input.tail() };
                let verdict = workshop.judge(profile, source);
                match &verdict.refusal {
                    None => accepted_json(&verdict),
                    Some(refusal) => refused_json(profile, source, &verdict, refusal),
                }
            }
        };
        good &= verdict["verdict"] == "accept";
        say_json(&named(file, verdict))?;
    }
    Ok(good)
}

fn named(file: &Path, mut verdict: Value) -> Value {
    verdict["file"] = json!(file.display().to_string());
    verdict
}

/// The signatures that are right, and those of files.
fn signatures(verdict: &Verdict) -> Vec<Value> {
    let accepted = verdict.accepted.iter().map(|accepted| {
        let mut value = signer_json(&accepted.signer.facts, accepted.known);
        value["role"] = json!(accepted.role.name());
        value["algorithm"] = json!(accepted.signature.algorithm.uri());
        value
    });
    let files = verdict.files.iter().map(|file| {
        let mut value = signer_json(&file.signer.facts, file.known);
        value["role"] = json!("вложение");
        value["attachment"] = json!(file.id);
        value
    });
    accepted.chain(files).collect()
}

/// Who signed; marked where nothing fresh tells that the certificate has not been revoked.
fn signer_json(facts: &Facts, known: bool) -> Value {
    json!({"subject": facts.subject, "sha256": facts.sha256, "crlStale": !known})
}

fn accepted_json(verdict: &Verdict) -> Value {
    let first = verdict.accepted.first().map(|first| first.signer.facts.subject.clone());
    let roles: Vec<&str> = verdict.accepted.iter().map(|accepted| accepted.role.name()).collect();
    json!({
        "verdict": "accept",
        "code": "OK",
        "reason": format!("Подпись верна: {}", roles.join(", ")),
        "signer": first,
        "signatures": signatures(verdict),
    })
}

fn refused_json(
    profile: &Profile,
    source: Source<'_>,
    verdict: &Verdict,
    refusal: &Refusal,
) -> Value {
    let mut value = json!({
        "verdict": "reject",
        "code": refusal.code.as_str(),
        "reason": profile.reason(refusal),
        "signer": verdict.signer,
        "signatures": signatures(verdict),
    });
    if let Some(place) = refusal.place {
        value["place"] = json!(place);
        value["place"]["xpath"] = json!(workshop::xpath(profile, source, place));
    } else if let Some(holder) = &verdict.holder {
        value["place"] = json!({"xpath": workshop::named(holder)});
    }
    value
}

fn unreadable(error: &io::Error) -> Value {
    json!({
        "verdict": "reject",
        "code": "FILE_UNREADABLE",
        "reason": format!("Файл не читается: {}", in_russian(error)),
        "signer": null,
    })
}
