//! One interface over PostgreSQL and SQLite.
//!
//! SQL is written once with `$1`-style parameters. What differs is here and in
//! [`super::input`]: bulk input, the database's clock ([`Db::now_sql`]), and row locks
//! ([`Db::skip_locked_sql`]).

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow, Postgres};
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection as _, Decode, Row as _, Type};

pub use crate::storage::db_error::DbError;
pub use crate::storage::input::{Arg, Column, Input};
use crate::storage::input::{
    bind_arrays, postgres_query, sqlite_input_query, sqlite_query, sqlite_ranges,
};

/// How long a caller waits for a connection before the store counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// Pools that part with a connection whose transaction could not be ended. When the disk is full
/// SQLite rolls back by itself, the driver's own ROLLBACK then fails, and the connection would
/// refuse to begin anything ever after.
fn sound_only() -> SqlitePoolOptions {
    SqlitePoolOptions::new().before_acquire(|connection, _| {
        let sound = !connection.is_in_transaction();
        Box::pin(async move { Ok(sound) })
    })
}

/// Lets a transaction begin on a task of its own, whether or not the caller stays. Broken off when it has
/// been sent and not yet answered, the driver's BEGIN leaves a connection in a transaction of which
/// the driver knows nothing: whoever has it next works in the past, and may not begin to read.
async fn whole<T: Send + 'static>(
    begin: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
) -> Result<T, sqlx::Error> {
    tokio::spawn(begin).await.map_err(|_| sqlx::Error::WorkerCrashed)?
}

/// Begins a transaction that sees one state of the database throughout.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Of how many brief transactions one lets plans be made anew: tables have grown since.
const PLANNING: u32 = 32;

/// How a brief transaction begins.
fn brief(begin: &str) -> AssertSqlSafe<String> {
    static BEGUN: AtomicU32 = AtomicU32::new(0);
    let forget = match BEGUN.fetch_add(1, Ordering::Relaxed) % PLANNING {
        0 => "; DISCARD PLANS",
        _ => "",
    };
    AssertSqlSafe(format!("{begin}; SET LOCAL plan_cache_mode = force_generic_plan{forget}"))
}

/// A database. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Db {
    /// PostgreSQL 15 or later.
    Postgres(PgPool),
    /// SQLite in one file: one writer, several readers.
    Sqlite {
        /// The only connection that writes.
        writer: SqlitePool,
        /// Connections that only read.
        readers: SqlitePool,
    },
}

/// An open transaction; dropped without [`Tx::commit`] it is rolled back.
#[derive(Debug)]
pub enum Tx {
    /// On PostgreSQL.
    Postgres(sqlx::Transaction<'static, Postgres>),
    /// On SQLite.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
}

impl Db {
    /// Connects by URL: `postgres://…`, or `sqlite://PATH` (made if missing).
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when nothing answers, [`DbError::Query`] for a bad URL.
    pub async fn connect(url: &str, connections: u32) -> Result<Self, DbError> {
        if url.starts_with("sqlite:") {
            return Self::open_sqlite(url, connections).await;
        }
        let options = PgConnectOptions::from_str(url)?
            .application_name("kontingent")
            .statement_cache_capacity(512);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await?;
        Ok(Self::Postgres(pool))
    }

    async fn open_sqlite(url: &str, connections: u32) -> Result<Self, DbError> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(30))
            .pragma("cache_size", "-16000");
        let writer = sound_only()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(30))
            .connect_with(options.clone())
            .await?;
        let readers = sound_only()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await?;
        Ok(Self::Sqlite { writer, readers })
    }

    /// Begins a transaction. On SQLite it is the only writer until it ends.
    ///
    /// # Errors
    /// [`DbError::Unavailable`].
    pub async fn begin(&self) -> Result<Tx, DbError> {
        Ok(match self {
            Self::Postgres(pool) => {
                let pool = pool.clone();
                Tx::Postgres(whole(async move { pool.begin().await }).await?)
            }
            Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
        })
    }

    /// Begins a transaction that only reads and sees one state of the database throughout.
    /// On SQLite it does not wait for the writer.
    ///
    /// # Errors
    /// [`DbError::Unavailable`].
    pub async fn begin_read(&self) -> Result<Tx, DbError> {
        self.begin_reading(AssertSqlSafe(READ.to_owned())).await
    }

    /// [`Db::begin`] for statements over a few rows: PostgreSQL keeps their plans, and does not make one
    /// for every array of parameters, which takes longer than carrying it out.
    ///
    /// # Errors
    /// [`DbError::Unavailable`].
    pub async fn begin_brief(&self) -> Result<Tx, DbError> {
        let Self::Postgres(pool) = self else { return self.begin().await };
        let (pool, begin) = (pool.clone(), brief("BEGIN"));
        Ok(Tx::Postgres(whole(async move { pool.begin_with(begin).await }).await?))
    }

    /// [`Db::begin_read`] for statements over a few rows, as [`Db::begin_brief`].
    ///
    /// # Errors
    /// [`DbError::Unavailable`].
    pub async fn begin_brief_read(&self) -> Result<Tx, DbError> {
        self.begin_reading(brief(READ)).await
    }

    async fn begin_reading(&self, begin: AssertSqlSafe<String>) -> Result<Tx, DbError> {
        Ok(match self {
            Self::Postgres(pool) => {
                let pool = pool.clone();
                Tx::Postgres(whole(async move { pool.begin_with(begin).await }).await?)
            }
            Self::Sqlite { readers, .. } => Tx::Sqlite(readers.begin().await?),
        })
    }

    /// Reads rows outside a transaction.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn query(&self, sql: &str, args: Vec<Arg>) -> Result<Vec<Row>, DbError> {
        Ok(match self {
            Self::Postgres(pool) => {
                let rows = postgres_query(sql, args).fetch_all(pool).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
            Self::Sqlite { readers, .. } => {
                let rows = sqlite_query(sql, args).fetch_all(readers).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
        })
    }

    /// Reads at most one row outside a transaction.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn query_one(&self, sql: &str, args: Vec<Arg>) -> Result<Option<Row>, DbError> {
        Ok(self.query(sql, args).await?.into_iter().next())
    }

    /// Runs one statement in a transaction of its own; returns the number of rows changed.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn execute(&self, sql: &str, args: Vec<Arg>) -> Result<u64, DbError> {
        let mut tx = self.begin().await?;
        let changed = tx.execute(sql, args).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Whether this is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// SQL expression of the database's current instant.
    pub fn now_sql(&self) -> &'static str {
        now_sql(self.is_postgres())
    }

    /// SQL expression of an instant so many seconds after the database's now.
    pub fn after_sql(&self, seconds: u64) -> String {
        after_sql(self.is_postgres(), seconds)
    }

    /// What follows a `SELECT` whose rows are claimed by this transaction.
    pub fn skip_locked_sql(&self) -> &'static str {
        if self.is_postgres() { "FOR UPDATE SKIP LOCKED" } else { "" }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match self {
            Self::Postgres(pool) => pool.close().await,
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }
}

impl Tx {
    /// Makes it durable.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] leaves the outcome unknown.
    pub async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Postgres(tx) => tx.commit().await?,
            Self::Sqlite(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Runs a statement; returns the number of rows changed.
    ///
    /// # Errors
    /// Any [`DbError`]; the transaction is then of no more use.
    pub async fn execute(&mut self, sql: &str, args: Vec<Arg>) -> Result<u64, DbError> {
        Ok(match self {
            Self::Postgres(tx) => {
                postgres_query(sql, args).execute(&mut **tx).await?.rows_affected()
            }
            Self::Sqlite(tx) => sqlite_query(sql, args).execute(&mut **tx).await?.rows_affected(),
        })
    }

    /// Runs several statements without parameters, as they stand.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn execute_script(&mut self, sql: &str) -> Result<(), DbError> {
        let script = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Postgres(tx) => script.execute(&mut **tx).await.map(|_| ())?,
            Self::Sqlite(tx) => script.execute(&mut **tx).await.map(|_| ())?,
        }
        Ok(())
    }

    /// Reads rows.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn query(&mut self, sql: &str, args: Vec<Arg>) -> Result<Vec<Row>, DbError> {
        Ok(match self {
            Self::Postgres(tx) => {
                let rows = postgres_query(sql, args).fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
            Self::Sqlite(tx) => {
                let rows = sqlite_query(sql, args).fetch_all(&mut **tx).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
        })
    }

    /// Reads at most one row.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn query_one(&mut self, sql: &str, args: Vec<Arg>) -> Result<Option<Row>, DbError> {
        Ok(self.query(sql, args).await?.into_iter().next())
    }

    /// Runs a statement over bulk input (`WITH {input} …`); returns the number of rows changed.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn execute_input(
        &mut self,
        sql: &str,
        input: Input,
        args: Vec<Arg>,
    ) -> Result<u64, DbError> {
        if input.rows() == 0 {
            return Ok(0);
        }
        match self {
            Self::Postgres(tx) => {
                let text = sql.replace("{input}", &input.postgres_sql(args.len()));
                let query = bind_arrays(postgres_query(&text, args), input);
                Ok(query.execute(&mut **tx).await?.rows_affected())
            }
            Self::Sqlite(tx) => {
                let mut changed = 0;
                for range in sqlite_ranges(&input, args.len()) {
                    let query = sqlite_input_query(sql, &input, range, args.clone());
                    changed += query.execute(&mut **tx).await?.rows_affected();
                }
                Ok(changed)
            }
        }
    }

    /// Reads rows with bulk input (`WITH {input} …`). On SQLite a long input is cut into
    /// several statements, so the order of rows holds only within a part.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn query_input(
        &mut self,
        sql: &str,
        input: Input,
        args: Vec<Arg>,
    ) -> Result<Vec<Row>, DbError> {
        if input.rows() == 0 {
            return Ok(Vec::new());
        }
        match self {
            Self::Postgres(tx) => {
                let text = sql.replace("{input}", &input.postgres_sql(args.len()));
                let rows =
                    bind_arrays(postgres_query(&text, args), input).fetch_all(&mut **tx).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
            Self::Sqlite(tx) => {
                let mut found = Vec::new();
                for range in sqlite_ranges(&input, args.len()) {
                    let query = sqlite_input_query(sql, &input, range, args.clone());
                    let rows = query.fetch_all(&mut **tx).await?;
                    found.extend(rows.into_iter().map(Row::Sqlite));
                }
                Ok(found)
            }
        }
    }

    /// Whether this is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// SQL expression of the database's current instant; on PostgreSQL the begin of the transaction.
    pub fn now_sql(&self) -> &'static str {
        now_sql(self.is_postgres())
    }

    /// SQL expression of the instant at which it is evaluated: on PostgreSQL not the begin of the
    /// transaction, which may have waited for another since.
    pub fn moment_sql(&self) -> &'static str {
        if self.is_postgres() { "clock_timestamp()" } else { self.now_sql() }
    }

    /// SQL expression of an instant so many seconds after [`Tx::now_sql`].
    pub fn after_sql(&self, seconds: u64) -> String {
        after_sql(self.is_postgres(), seconds)
    }

    /// SQL expression of an instant so many seconds before [`Tx::now_sql`].
    pub fn before_sql(&self, seconds: u64) -> String {
        if self.is_postgres() {
            format!("now() - make_interval(secs => {seconds})")
        } else {
            format!("strftime('%Y-%m-%dT%H:%M:%f+00:00','now','-{seconds} seconds')")
        }
    }

    /// What follows a `SELECT` whose rows are claimed by this transaction.
    pub fn skip_locked_sql(&self) -> &'static str {
        if self.is_postgres() { "FOR UPDATE SKIP LOCKED" } else { "" }
    }

    /// Lets the commit not wait for the disk: a crash within the next instant may undo the
    /// transaction, whole, as if it had never been.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn forgettable(&mut self) -> Result<(), DbError> {
        if self.is_postgres() {
            self.execute("SET LOCAL synchronous_commit = off", vec![]).await?;
        }
        Ok(())
    }
}

fn now_sql(postgres: bool) -> &'static str {
    if postgres { "now()" } else { "strftime('%Y-%m-%dT%H:%M:%f+00:00','now')" }
}

fn after_sql(postgres: bool, seconds: u64) -> String {
    if postgres {
        format!("now() + make_interval(secs => {seconds})")
    } else {
        format!("strftime('%Y-%m-%dT%H:%M:%f+00:00','now','+{seconds} seconds')")
    }
}

/// A row of a result.
#[derive(Debug)]
pub enum Row {
    /// From PostgreSQL.
    Postgres(PgRow),
    /// From SQLite.
    Sqlite(SqliteRow),
}

impl Row {
    /// The value in a column, by its place from 0; `Option<T>` for nullable columns.
    ///
    /// # Errors
    /// [`DbError::Query`] when the type does not fit.
    pub fn get<T>(&self, column: usize) -> Result<T, DbError>
    where
        T: for<'r> Decode<'r, Postgres>
            + Type<Postgres>
            + for<'r> Decode<'r, Sqlite>
            + Type<Sqlite>,
    {
        Ok(match self {
            Self::Postgres(row) => row.try_get(column)?,
            Self::Sqlite(row) => row.try_get(column)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sqlite_goes_on_when_a_full_disk_has_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("db").display());
        let db = Db::connect(&url, 2).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        tx.execute("CREATE TABLE t (a BLOB)", vec![]).await.unwrap();
        // To this connection the disk is full after so many pages.
        tx.execute("PRAGMA max_page_count = 20", vec![]).await.unwrap();
        tx.commit().await.unwrap();
        let fill = "INSERT INTO t VALUES (zeroblob(1000000))";
        let mut tx = db.begin().await.unwrap();
        assert!(matches!(tx.execute(fill, vec![]).await, Err(DbError::Unavailable(_))));
        drop(tx);
        let mut tx = db.begin().await.unwrap();
        tx.execute(fill, vec![]).await.unwrap();
        tx.commit().await.unwrap();
        db.close().await;
    }
}
