//! Counts ordered to be built in the background, and what was built.

use std::io;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::args;
use crate::storage::db::{Db, DbError, Row, Tx};

/// How long nobody else begins to build what somebody builds, in seconds.
const LEASE_SECONDS: u64 = 15 * 60;

/// How often building is begun before it is given up.
const TRIES: i64 = 3;

/// How long results are kept.
const KEPT: TimeDelta = TimeDelta::days(7);

/// Level of compression of pages.
const ZSTD_LEVEL: i32 = 1;

/// Why a page could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Stored bytes do not decompress.
    #[error("a stored page is damaged")]
    Damaged(#[source] io::Error),
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Ordered, not built.
    Ordered,
    /// Built.
    Built,
    /// Given up.
    Failed,
    /// Built, kept for its time, and forgotten.
    Forgotten,
}

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Our id of it.
    pub id: Uuid,
    /// What is counted, as JSON.
    pub query: String,
    /// Where it is.
    pub state: JobState,
    /// When it was ordered.
    pub ordered_at: DateTime<Utc>,
    /// When the result was there.
    pub built_at: Option<DateTime<Utc>>,
    /// Pages of the result.
    pub pages: i64,
}

/// Jobs of a system that wait, by their query; the longest waiting first.
///
/// # Errors
/// Any [`DbError`].
pub async fn waiting(tx: &mut Tx, system: i64) -> Result<Vec<(Uuid, String)>, DbError> {
    let sql = "SELECT id, query FROM statistics_job WHERE system_id = $1 AND state = 'ordered' \
        ORDER BY ordered_at, id";
    let rows = tx.query(sql, args![system]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

/// Orders a job.
///
/// # Errors
/// Any [`DbError`].
pub async fn order(
    tx: &mut Tx,
    id: Uuid,
    system: i64,
    query: &str,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    let sql = "INSERT INTO statistics_job (id, system_id, query, state, ordered_at, tries, pages) \
        VALUES ($1, $2, $3, 'ordered', $4, 0, 0)";
    tx.execute(sql, args![id, system, query, at]).await.map(|_| ())
}

/// A job of this system.
///
/// # Errors
/// Any [`DbError`].
pub async fn find(tx: &mut Tx, system: i64, id: Uuid) -> Result<Option<Job>, DbError> {
    let sql = "SELECT id, query, state, ordered_at, built_at, pages FROM statistics_job \
        WHERE id = $1 AND system_id = $2";
    let row = tx.query_one(sql, args![id, system]).await?;
    let read = |row: &Row| {
        let state: String = row.get(2)?;
        Ok(Job {
            id: row.get(0)?,
            query: row.get(1)?,
            state: match state.as_str() {
                "ordered" => JobState::Ordered,
                "built" => JobState::Built,
                "forgotten" => JobState::Forgotten,
                _ => JobState::Failed,
            },
            ordered_at: row.get(3)?,
            built_at: row.get(4)?,
            pages: row.get(5)?,
        })
    };
    row.as_ref().map(read).transpose()
}

/// A page of a result, as JSON.
///
/// # Errors
/// Any [`PageError`].
pub async fn page(tx: &mut Tx, id: Uuid, page: i64) -> Result<Option<Vec<u8>>, PageError> {
    let sql = "SELECT content FROM statistics_page WHERE job_id = $1 AND page = $2";
    let Some(row) = tx.query_one(sql, args![id, page]).await? else { return Ok(None) };
    let frame: Vec<u8> = row.get(0)?;
    zstd::stream::decode_all(frame.as_slice()).map(Some).map_err(PageError::Damaged)
}

/// Claims the job that waits longest: its id and what is to be counted. One that was begun too
/// often is given up instead.
///
/// # Errors
/// Any [`DbError`].
pub async fn claim(db: &Db) -> Result<Option<(Uuid, String)>, DbError> {
    let any = "SELECT 1 FROM statistics_job WHERE state = 'ordered' LIMIT 1";
    if db.query_one(any, vec![]).await?.is_none() {
        return Ok(None);
    }
    let mut tx = db.begin().await?;
    let (now, until) = (tx.now_sql(), tx.after_sql(LEASE_SECONDS));
    let free = format!("state = 'ordered' AND (leased_until IS NULL OR leased_until <= {now})");
    let give_up =
        format!("UPDATE statistics_job SET state = 'failed' WHERE {free} AND tries >= $1");
    tx.execute(&give_up, args![TRIES]).await?;
    let sql = format!(
        "UPDATE statistics_job SET tries = tries + 1, leased_until = {until} WHERE id = (\
         SELECT id FROM statistics_job WHERE {free} ORDER BY ordered_at, id LIMIT 1 {}) \
         RETURNING id, query",
        tx.skip_locked_sql()
    );
    let row = tx.query_one(&sql, vec![]).await?;
    tx.commit().await?;
    row.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
}

/// Lets go of a job whose building failed, so that it is begun again.
///
/// # Errors
/// Any [`DbError`].
pub async fn release(db: &Db, id: Uuid) -> Result<(), DbError> {
    let sql = "UPDATE statistics_job SET leased_until = NULL WHERE id = $1 AND state = 'ordered'";
    db.execute(sql, args![id]).await.map(|_| ())
}

/// Keeps a page of the result of a job that is being built.
///
/// # Errors
/// Any [`PageError`].
pub async fn keep(tx: &mut Tx, id: Uuid, page: i64, json: &[u8]) -> Result<(), PageError> {
    let frame = zstd::bulk::compress(json, ZSTD_LEVEL).map_err(PageError::Damaged)?;
    let sql = "INSERT INTO statistics_page (job_id, page, content) VALUES ($1, $2, $3)";
    tx.execute(sql, args![id, page, frame]).await?;
    Ok(())
}

/// Ends a job whose pages are all kept.
///
/// # Errors
/// [`DbError::Conflict`] when another hand has ended it; any other.
pub async fn finish(tx: &mut Tx, id: Uuid, pages: i64, at: DateTime<Utc>) -> Result<(), DbError> {
    let sql = "UPDATE statistics_job SET state = 'built', built_at = $2, pages = $3, \
        leased_until = NULL WHERE id = $1 AND state = 'ordered'";
    if tx.execute(sql, args![id, at, pages]).await? == 1 {
        return Ok(());
    }
    Err(DbError::Conflict(sqlx::Error::RowNotFound))
}

/// Forgets results that have been kept for their time.
///
/// # Errors
/// Any [`DbError`].
pub async fn forget(db: &Db, now: DateTime<Utc>) -> Result<(), DbError> {
    let old = "SELECT 1 FROM statistics_job WHERE state = 'built' AND built_at < $1 LIMIT 1";
    if db.query_one(old, args![now - KEPT]).await?.is_none() {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    let pages = "DELETE FROM statistics_page WHERE job_id IN (\
        SELECT id FROM statistics_job WHERE state = 'built' AND built_at < $1)";
    tx.execute(pages, args![now - KEPT]).await?;
    let jobs = "UPDATE statistics_job SET state = 'forgotten' \
        WHERE state = 'built' AND built_at < $1";
    tx.execute(jobs, args![now - KEPT]).await?;
    tx.commit().await
}
