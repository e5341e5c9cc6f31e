//! `dictionary`: reference codes that operators load, and suppliers' own codes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::exchange::admin::{Admin, read_csv};
use crate::model::dictionary::built_in;
use crate::ops::output::{plural, say, say_list};
use crate::storage::db::Db;
use crate::storage::dictionary::{self, DictionaryCode};

#[derive(Serialize)]
struct Listed {
    dictionary: String,
    version: String,
    codes: u64,
    loaded: u64,
}

#[derive(Serialize)]
struct Sourced {
    #[serde(flatten)]
    code: DictionaryCode,
    loaded: bool,
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

/// Lists dictionaries, those that come with the program and the loaded ones, or the codes of one.
///
/// # Errors
/// Only of the database.
pub async fn list(db: &Db, name: Option<&str>, json: bool) -> Result<()> {
    let codes = all(db).await?;
    if let Some(name) = name {
        let codes: Vec<_> = codes.into_iter().filter(|one| one.code.dictionary == name).collect();
        let empty = format!("Справочника {name} нет.");
        let headers = ["Версия", "Код", "Основной код", "Источник", "Название"];
        say_list(&codes, json, &empty, headers, |Sourced { code, loaded }| {
            [
                code.version.clone(),
                code.code.clone(),
                code.canonical.clone(),
                source(*loaded),
                code.title.clone(),
            ]
        })?;
        return Ok(());
    }
    let mut lists: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for Sourced { code, loaded } in codes {
        let counts = lists.entry((code.dictionary, code.version)).or_default();
        counts.0 += 1;
        counts.1 += u64::from(loaded);
    }
    let listed: Vec<Listed> = lists
        .into_iter()
        .map(|((dictionary, version), (codes, loaded))| Listed {
            dictionary,
            version,
            codes,
            loaded,
        })
        .collect();
    let headers = ["Справочник", "Версия", "Кодов", "Из них загружено"];
    say_list(&listed, json, "Справочников нет.", headers, |list| {
        let (codes, loaded) = (list.codes.to_string(), list.loaded.to_string());
        [list.dictionary.clone(), list.version.clone(), codes, loaded]
    })?;
    Ok(())
}

/// All codes in order; a loaded one stands in place of one that comes with the program.
async fn all(db: &Db) -> Result<Vec<Sourced>> {
    let built_in = built_in().iter().map(|entry| DictionaryCode {
        dictionary: entry.dictionary.to_owned(),
        version: entry.version.to_owned(),
        code: entry.code.to_owned(),
        canonical: entry.canonical.to_owned(),
        title: entry.title.to_owned(),
    });
    let loaded = dictionary::codes(db).await?;
    let sourced = built_in
        .map(|code| Sourced { code, loaded: false })
        .chain(loaded.into_iter().map(|code| Sourced { code, loaded: true }));
    let keyed = sourced.map(|one| {
        let code = &one.code;
        ([code.dictionary.clone(), code.version.clone(), code.code.clone()], one)
    });
    Ok(keyed.collect::<BTreeMap<_, _>>().into_values().collect())
}

fn source(loaded: bool) -> String {
    if loaded { "загружен" } else { "встроен" }.to_owned()
}
