//! `dictionary`: reference codes that operators load, and suppliers' own codes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::exchange::admin::{Admin, read_csv};
use crate::ops::output::{plural, say, say_list};
use crate::storage::db::Db;
use crate::storage::dictionary;

#[derive(Serialize)]
struct Listed {
    dictionary: String,
    version: String,
    codes: u64,
}

/// Loads a file of codes.
///
/// # Errors
/// Names the first bad line of the file.
pub async fn load(admin: &Admin, file: &Path) -> Result<()> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("не удалось прочитать файл {} (нужна UTF-8)", file.display()))?;
    let codes = read_csv(&text).with_context(|| format!("файл {} не принят", file.display()))?;
    admin.load_dictionary(&codes).await?;
    let count = u64::try_from(codes.len()).unwrap_or(u64::MAX);
    say(format!("Загружено: {}.", plural(count, ["код", "кода", "кодов"])));
    Ok(())
}

/// Says what a supplier's own code means.
///
/// # Errors
/// What [`Admin::map_code`] refuses.
pub async fn map(
    admin: &Admin,
    mnemonic: &str,
    dictionary: &str,
    foreign: &str,
    code: &str,
) -> Result<()> {
    admin.map_code(mnemonic, dictionary, foreign, code).await?;
    say(format!("Код {foreign} поставщика {mnemonic} в справочнике {dictionary} означает {code}."));
    Ok(())
}

/// Lists loaded dictionaries, or the codes of one.
///
/// # Errors
/// Only of the database.
pub async fn list(db: &Db, name: Option<&str>, json: bool) -> Result<()> {
    let mut codes = dictionary::codes(db).await?;
    if let Some(name) = name {
        codes.retain(|code| code.dictionary == name);
        let empty = format!("В справочнике {name} кодов нет.");
        let headers = ["Версия", "Код", "Основной код", "Название"];
        say_list(&codes, json, &empty, headers, |code| {
            [code.version.clone(), code.code.clone(), code.canonical.clone(), code.title.clone()]
        })?;
        return Ok(());
    }
    let mut lists: BTreeMap<(String, String), u64> = BTreeMap::new();
    for code in codes {
        *lists.entry((code.dictionary, code.version)).or_default() += 1;
    }
    let listed: Vec<Listed> = lists
        .into_iter()
        .map(|((dictionary, version), codes)| Listed { dictionary, version, codes })
        .collect();
    let empty = "Загруженных справочников нет. Загрузить: dictionary load ФАЙЛ.csv";
    say_list(
        &listed,
        json,
        empty,
        ["Справочник", "Версия", "Кодов"],
        |list| [list.dictionary.clone(), list.version.clone(), list.codes.to_string()],
    )?;
    Ok(())
}
