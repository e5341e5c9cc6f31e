//! `audit`: whether the chain of audit rows is whole.

use anyhow::Result;
use serde_json::json;

use crate::ops::output::{plural, say, say_json};
use crate::storage::audit::{self, Chain};
use crate::storage::db::Db;

/// Walks the chain; says whether it is whole.
///
/// # Errors
/// Only of the database.
pub async fn verify(db: &Db, json: bool) -> Result<bool> {
    let chain = audit::verify(db).await?;
    match (&chain, json) {
        (Chain::Intact(rows), true) => say_json(&json!({"intact": true, "rows": rows}))?,
        (Chain::Broken(row), true) => say_json(&json!({"intact": false, "brokenAt": row}))?,
        (Chain::Intact(rows), false) => {
            let rows = plural(*rows, ["запись", "записи", "записей"]);
            say(format!("Журнал действий цел: {rows}."));
        }
        (Chain::Broken(row), false) => say(format!(
            "Журнал действий нарушен: запись № {row} изменена, удалена или вставлена. \
             Записи до неё целы."
        )),
    }
    Ok(matches!(chain, Chain::Intact(_)))
}
