//! Versioned reference codes that operators loaded, and suppliers' own codes.
//!
//! Every change bumps `party_change`, by which running processes notice it within a second.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Mutex;

use crate::args;
use crate::model::dictionary::Dictionaries;
use crate::model::ids::SupplierId;
use crate::storage::db::{Db, DbError, Row, Tx};
use crate::storage::input::{Column, Input};
use crate::storage::supplier::note_change;

/// One code of one version of a dictionary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DictionaryCode {
    /// Name of the dictionary, for example `identity-document`.
    pub dictionary: String,
    /// Version of the list.
    pub version: String,
    /// Code in this version.
    pub code: String,
    /// The same in the version whose codes are stored.
    pub canonical: String,
    /// Russian title.
    pub title: String,
}

/// What a supplier's own code means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MappedCode {
    /// Whose code.
    pub supplier: SupplierId,
    /// Name of the dictionary.
    pub dictionary: String,
    /// The supplier's code.
    pub foreign: String,
    /// Our canonical code.
    pub code: String,
}

/// All loaded codes, by dictionary, version and code.
///
/// # Errors
/// Any [`DbError`].
pub async fn codes(db: &Db) -> Result<Vec<DictionaryCode>, DbError> {
    let sql = "SELECT dictionary, version, code, canonical, title FROM dictionary_code \
        ORDER BY dictionary, version, code";
    let read = |row: &Row| {
        Ok(DictionaryCode {
            dictionary: row.get(0)?,
            version: row.get(1)?,
            code: row.get(2)?,
            canonical: row.get(3)?,
            title: row.get(4)?,
        })
    };
    db.query(sql, vec![]).await?.iter().map(read).collect()
}

/// All suppliers' own codes.
///
/// # Errors
/// Any [`DbError`].
pub async fn maps(db: &Db) -> Result<Vec<MappedCode>, DbError> {
    let sql = "SELECT supplier_id, dictionary, foreign_code, code FROM dictionary_map \
        ORDER BY supplier_id, dictionary, foreign_code";
    let read = |row: &Row| {
        Ok(MappedCode {
            supplier: SupplierId(row.get(0)?),
            dictionary: row.get(1)?,
            foreign: row.get(2)?,
            code: row.get(3)?,
        })
    };
    db.query(sql, vec![]).await?.iter().map(read).collect()
}

/// Adds codes; a code that is there gets the new meaning and title. No code may come twice.
///
/// # Errors
/// Any [`DbError`].
pub async fn load(tx: &mut Tx, codes: &[DictionaryCode]) -> Result<(), DbError> {
    let column = |pick: fn(&DictionaryCode) -> &str| {
        Column::Text(codes.iter().map(|code| Some(pick(code).to_owned())).collect())
    };
    let input = Input::new()
        .column("dictionary", column(|code| &code.dictionary))
        .column("version", column(|code| &code.version))
        .column("code", column(|code| &code.code))
        .column("canonical", column(|code| &code.canonical))
        .column("title", column(|code| &code.title));
    let sql = "WITH {input} INSERT INTO dictionary_code \
        (dictionary, version, code, canonical, title) \
        SELECT dictionary, version, code, canonical, title FROM input WHERE true \
        ON CONFLICT (dictionary, version, code) \
        DO UPDATE SET canonical = excluded.canonical, title = excluded.title";
    tx.execute_input(sql, input, vec![]).await?;
    note_change(tx).await
}

/// Says what a supplier's own code means, in place of what it meant.
///
/// # Errors
/// Any [`DbError`].
pub async fn map(tx: &mut Tx, mapped: &MappedCode) -> Result<(), DbError> {
    let sql = "INSERT INTO dictionary_map (supplier_id, dictionary, foreign_code, code) \
        VALUES ($1, $2, $3, $4) \
        ON CONFLICT (supplier_id, dictionary, foreign_code) DO UPDATE SET code = $4";
    let values = args![
        mapped.supplier.0,
        mapped.dictionary.as_str(),
        mapped.foreign.as_str(),
        mapped.code.as_str(),
    ];
    tx.execute(sql, values).await?;
    note_change(tx).await
}

/// Dictionaries, and the number of changes they were read after.
type Read = (i64, Arc<Dictionaries>);

/// The dictionaries as they were last read: those that come with the program, the loaded codes,
/// the suppliers' maps. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    read: Arc<Mutex<Option<Read>>>,
}

impl Cache {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The dictionaries as they are now; reads them again only after a change.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn current(&self, db: &Db) -> Result<Arc<Dictionaries>, DbError> {
        let row = db.query_one("SELECT generation FROM party_change", vec![]).await?;
        let generation: i64 = row.map_or(Ok(0), |row| row.get(0))?;
        let mut read = self.read.lock().await;
        if let Some((of, dictionaries)) = &*read
            && *of == generation
        {
            return Ok(Arc::clone(dictionaries));
        }
        let mut all = Dictionaries::built_in();
        for code in codes(db).await? {
            all.add(&code.dictionary, &code.version, &code.code, &code.canonical);
        }
        for mapped in maps(db).await? {
            all.map(mapped.supplier.0, &mapped.dictionary, &mapped.foreign, &mapped.code);
        }
        let dictionaries = Arc::new(all);
        *read = Some((generation, Arc::clone(&dictionaries)));
        Ok(dictionaries)
    }
}
