//! The registry: current values of every record kind, their history, who calls them what.
//!
//! One engine serves all kinds: statements are made once per kind from its `KindSpec`.
//! Everything here works on batches; nothing asks the database once per record.

pub mod change;
pub mod deferred;
pub mod matching;
pub mod reference;
pub mod row;
pub mod snapshot;
mod statement;

use crate::storage::db::{DbError, Tx};

/// Joins a table to what stands before it by looking up each row in an index. PostgreSQL keeps
/// plans: one made while the table was small would otherwise read all of it, for as long as its
/// statistics stay what they were.
fn probe(postgres: bool, table: &str, alias: &str, condition: &str) -> String {
    if postgres {
        format!(
            "JOIN LATERAL (SELECT * FROM {table} {alias} WHERE {condition} OFFSET 0) {alias} ON true"
        )
    } else {
        format!("JOIN {table} {alias} ON {condition}")
    }
}

/// Keeps PostgreSQL, until the transaction ends, from reading whole tables in [`probe`] and in
/// updates, however small they were when the plan was made.
///
/// # Errors
/// Any [`DbError`].
pub async fn plan_for_growth(tx: &mut Tx) -> Result<(), DbError> {
    if tx.is_postgres() {
        let sql = "SELECT set_config('enable_seqscan', 'off', true), \
            set_config('enable_hashjoin', 'off', true), set_config('enable_material', 'off', true), \
            set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)";
        tx.query(sql, vec![]).await?;
    }
    Ok(())
}
