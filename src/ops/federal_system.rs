//! `federal`: systems of the federal segment that may ask us.

use std::path::Path;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::exchange::admin::Admin;
use crate::ops::certificate;
use crate::ops::output::{say, say_list};
use crate::storage::db::Db;
use crate::storage::federal_system;

#[derive(Serialize)]
struct Listed {
    mnemonic: String,
    name: String,
    active: bool,
    certificates: i64,
}

/// Registers a system, or one more certificate of it, from a file.
///
/// # Errors
/// A file that is no certificate, or what [`Admin::register_system`] refuses.
pub async fn add(
    db: &Db,
    admin: &Admin,
    mnemonic: &str,
    name: &str,
    file: &Path,
    now: DateTime<Utc>,
) -> Result<()> {
    let facts = certificate::read(file)?;
    admin.register_system(mnemonic, name, &facts).await?;
    say(format!("Система федерального сегмента {mnemonic} зарегистрирована."));
    certificate::describe(&facts, now);
    certificate::warn_untrusted(db, &facts, now).await
}

/// Lists systems.
///
/// # Errors
/// Only of the database.
pub async fn list(db: &Db, json: bool) -> Result<()> {
    let systems = federal_system::list(db).await?;
    let listed: Vec<Listed> = systems
        .into_iter()
        .map(|system| Listed {
            mnemonic: system.mnemonic,
            name: system.name,
            active: system.active,
            certificates: system.certificates,
        })
        .collect();
    let empty = "Систем федерального сегмента нет. Зарегистрировать: \
        federal add МНЕМОНИКА --name НАЗВАНИЕ --certificate ФАЙЛ.pem";
    let headers = ["Мнемоника", "Состояние", "Сертификатов", "Название"];
    say_list(&listed, json, empty, headers, |system| {
        [
            system.mnemonic.clone(),
            if system.active { "действует" } else { "заблокирована" }.to_owned(),
            system.certificates.to_string(),
            system.name.clone(),
        ]
    })?;
    Ok(())
}
