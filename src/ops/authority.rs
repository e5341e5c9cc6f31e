//! `authority`: certification authorities whose certificates are trusted.

use std::path::Path;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::exchange::admin::Admin;
use crate::ops::certificate;
use crate::ops::output::{say, say_list};
use crate::storage::db::Db;
use crate::storage::supplier;
use crate::trust::certificate::Facts;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    sha256: String,
    subject: String,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
}

/// Trusts the authority whose certificate is in a file.
///
/// # Errors
/// A file that is no certificate.
pub async fn add(admin: &Admin, file: &Path, now: DateTime<Utc>) -> Result<()> {
    let facts = certificate::read(file)?;
    admin.trust(&facts).await?;
    say("Удостоверяющий центр внесён в число доверенных:");
    certificate::describe(&facts, now);
    Ok(())
}

/// Trusts an authority no longer.
///
/// # Errors
/// What [`Admin::distrust`] refuses.
pub async fn remove(admin: &Admin, sha256: &str) -> Result<()> {
    admin.distrust(sha256).await?;
    say("Удостоверяющий центр исключён: новые пакеты с его сертификатами будут отклонены.");
    Ok(())
}

/// Lists trusted authorities.
///
/// # Errors
/// Only of the database.
pub async fn list(db: &Db, json: bool, now: DateTime<Utc>) -> Result<()> {
    let mut listed = Vec::new();
    for der in supplier::anchors(db).await? {
        let facts = Facts::read(&der)?;
        listed.push(Listed {
            sha256: facts.sha256,
            subject: facts.subject,
            not_before: facts.not_before,
            not_after: facts.not_after,
        });
    }
    let empty = "Доверенных удостоверяющих центров нет. Добавить: authority add ФАЙЛ.pem";
    say_list(&listed, json, empty, ["Срок", "SHA-256", "Имя"], |authority| {
        [
            certificate::validity(authority.not_before, authority.not_after, now),
            authority.sha256.clone(),
            authority.subject.clone(),
        ]
    })?;
    Ok(())
}
