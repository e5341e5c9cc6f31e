//! Migrations: forward only, one concern a file, one text for both databases.
//!
//! A file is SQL with `{instant}`, `{date}`, `{json}`, `{bytes}` and `{uuid}` for the column
//! types that differ; a line that starts with `{postgres}` is for PostgreSQL only.
//! The `--` comment above a table and behind each column becomes
//! the database's own comment on PostgreSQL.

use crate::args;
use crate::storage::db::{Db, DbError, Tx};
use crate::storage::registry::change;

/// Key of the advisory lock that keeps two migrators apart.
const LOCK: i64 = 0x6b6f_6e74;

/// All migrations, in order. Never edit one that has landed: add another.
const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_supplier", include_str!("../../migrations/0001_supplier.sql")),
    ("0002_journal", include_str!("../../migrations/0002_journal.sql")),
    ("0003_audit", include_str!("../../migrations/0003_audit.sql")),
    ("0004_registry", include_str!("../../migrations/0004_registry.sql")),
    ("0005_mailbox", include_str!("../../migrations/0005_mailbox.sql")),
    ("0006_bulk", include_str!("../../migrations/0006_bulk.sql")),
    ("0007_encoding", include_str!("../../migrations/0007_encoding.sql")),
    ("0008_timestamp", include_str!("../../migrations/0008_timestamp.sql")),
    ("0009_candidate", include_str!("../../migrations/0009_candidate.sql")),
    ("0010_revocation", include_str!("../../migrations/0010_revocation.sql")),
    ("0011_exchange", include_str!("../../migrations/0011_exchange.sql")),
    ("0012_file_store", include_str!("../../migrations/0012_file_store.sql")),
    ("0021_transfer", include_str!("../../migrations/0021_transfer.sql")),
    ("0022_statistics", include_str!("../../migrations/0022_statistics.sql")),
    ("0031_adapter", include_str!("../../migrations/0031_adapter.sql")),
    ("0041_status", include_str!("../../migrations/0041_status.sql")),
    ("0042_sandbox", include_str!("../../migrations/0042_sandbox.sql")),
    ("0070_doubt", include_str!("../../migrations/0070_doubt.sql")),
    ("0071_change_shift", include_str!("../../migrations/0071_change_shift.sql")),
    ("0072_disclosure_at", include_str!("../../migrations/0072_disclosure_at.sql")),
    ("0073_store_unsent", include_str!("../../migrations/0073_store_unsent.sql")),
];

/// Brings the schema up to date, and a database that was restored from a copy into order; returns the
/// names of the migrations it ran.
///
/// # Errors
/// Any [`DbError`]; a failed migration leaves nothing behind.
pub async fn migrate(db: &Db) -> Result<Vec<&'static str>, DbError> {
    let mut tx = db.begin().await?;
    if tx.is_postgres() {
        tx.execute("SELECT pg_advisory_xact_lock($1)", args![LOCK]).await?;
    }
    let bookkeeping = dialect(
        &tx,
        "CREATE TABLE IF NOT EXISTS schema_migration (\
         name text PRIMARY KEY, applied_at {instant} NOT NULL)",
    );
    tx.execute_script(&bookkeeping).await?;
    let rows = tx.query("SELECT name FROM schema_migration", vec![]).await?;
    let done = rows.iter().map(|row| row.get(0)).collect::<Result<Vec<String>, _>>()?;
    let mut applied = Vec::new();
    for (name, sql) in MIGRATIONS.iter().filter(|(name, _)| !done.iter().any(|d| d == name)) {
        let script = dialect(&tx, sql);
        tx.execute_script(&script).await?;
        if tx.is_postgres() {
            tx.execute_script(&comments(sql)).await?;
        }
        let sql = format!("INSERT INTO schema_migration VALUES ($1, {})", db.now_sql());
        tx.execute(&sql, args![*name]).await?;
        applied.push(*name);
    }
    change::follow_on(&mut tx).await?;
    tx.commit().await?;
    Ok(applied)
}

fn dialect(tx: &Tx, sql: &str) -> String {
    let types = if tx.is_postgres() {
        ["timestamptz", "date", "jsonb", "bytea", "uuid"]
    } else {
        ["TEXT", "TEXT", "TEXT", "BLOB", "BLOB"]
    };
    let ours: Vec<&str> = sql
        .lines()
        .filter_map(|line| match line.strip_prefix("{postgres}") {
            Some(rest) => tx.is_postgres().then_some(rest),
            None => Some(line),
        })
        .collect();
    ["{instant}", "{date}", "{json}", "{bytes}", "{uuid}"]
        .iter()
        .zip(types)
        .fold(ours.join("\n"), |sql, (token, ty)| sql.replace(token, ty))
}

/// `COMMENT ON` statements made of the comments in the text of a migration.
fn comments(sql: &str) -> String {
    let mut out = String::new();
    let mut above = String::new();
    let mut table: Option<String> = None;
    for line in sql.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("--") {
            if !above.is_empty() {
                above.push(' ');
            }
            above.push_str(text.trim());
        } else if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
            let name = rest.trim_end_matches('(').trim().to_owned();
            out.push_str(&comment("TABLE", &name, &above));
            table = Some(name);
        } else if let Some((table, column, text)) = added_column(line) {
            out.push_str(&comment("COLUMN", &format!("{table}.{column}"), text));
        } else if line.starts_with(')') {
            table = None;
        } else if let (Some(table), Some((definition, text))) = (&table, line.split_once("--")) {
            let column = definition.split_whitespace().next().unwrap_or_default();
            if !matches!(column, "" | "PRIMARY" | "UNIQUE" | "CHECK" | "FOREIGN" | "CONSTRAINT") {
                out.push_str(&comment("COLUMN", &format!("{table}.{column}"), text.trim()));
            }
        }
        if !line.starts_with("--") {
            above.clear();
        }
    }
    out
}

/// Table, column and comment of a line that adds a column.
fn added_column(line: &str) -> Option<(&str, &str, &str)> {
    let (table, rest) = line.strip_prefix("ALTER TABLE ")?.split_once(" ADD COLUMN ")?;
    let (definition, text) = rest.split_once("--")?;
    Some((table, definition.split_whitespace().next()?, text.trim()))
}

fn comment(what: &str, name: &str, text: &str) -> String {
    format!("COMMENT ON {what} {name} IS '{}';\n", text.replace('\'', "''"))
}
