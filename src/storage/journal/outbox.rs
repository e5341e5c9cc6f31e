//! Rings that are committed and not yet confirmed by the broker.

use crate::args;
use crate::storage::db::{Db, DbError, Tx};
use crate::storage::input::{Column, Input};
use crate::storage::journal::{Ringable, read_ringable};

/// Seconds a relay has its rings before another may send them.
const CLAIM_SECONDS: u64 = 20;

/// Asks for rings. One that is already being sent is sent again.
///
/// # Errors
/// Any [`DbError`].
pub async fn ring(tx: &mut Tx, rings: &[Ringable]) -> Result<(), DbError> {
    let input = Input::new()
        .column("attempt_id", Column::Int(rings.iter().map(|r| Some(r.attempt.0)).collect()))
        .column("package_no", Column::Int(rings.iter().map(|r| Some(r.package.0)).collect()))
        .column("part", Column::Int(rings.iter().map(|r| Some(r.partition.into())).collect()));
    let sql = format!(
        "WITH {{input}} INSERT INTO outbox (attempt_id, package_no, part, created_at) \
        SELECT attempt_id, package_no, part, {} FROM input WHERE true \
        ON CONFLICT (attempt_id) DO UPDATE SET claimed_until = NULL, claimed_by = NULL",
        tx.now_sql()
    );
    tx.execute_input(&sql, input, vec![]).await.map(|_| ())
}

/// Takes the oldest rings that nobody is sending, for `relay`.
///
/// # Errors
/// Any [`DbError`].
pub async fn claim(db: &Db, relay: &str, limit: i64) -> Result<Vec<Ringable>, DbError> {
    let mut tx = db.begin().await?;
    let sql = format!(
        "UPDATE outbox SET claimed_until = {}, claimed_by = $1 WHERE attempt_id IN (\
        SELECT attempt_id FROM outbox WHERE claimed_until IS NULL OR claimed_until < {} \
        ORDER BY attempt_id LIMIT $2 {}) RETURNING package_no, attempt_id, part",
        tx.after_sql(CLAIM_SECONDS),
        tx.now_sql(),
        tx.skip_locked_sql()
    );
    let rows = tx.query(&sql, args![relay, limit]).await?;
    tx.commit().await?;
    let mut rings = rows.iter().map(read_ringable).collect::<Result<Vec<_>, _>>()?;
    rings.sort_unstable_by_key(|ring| ring.attempt);
    Ok(rings)
}

/// Forgets rings the broker has confirmed, and lets go of the others; those asked for again
/// meanwhile stay.
///
/// # Errors
/// Any [`DbError`].
pub async fn settle(
    db: &Db,
    relay: &str,
    sent: &[Ringable],
    unsent: &[Ringable],
) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    let ids = |rings: &[Ringable]| {
        Input::new()
            .column("id", Column::Int(rings.iter().map(|ring| Some(ring.attempt.0)).collect()))
    };
    let sql = "WITH {input} DELETE FROM outbox \
        WHERE attempt_id IN (SELECT id FROM input) AND claimed_by = $1";
    tx.execute_input(sql, ids(sent), args![relay]).await?;
    let sql = "WITH {input} UPDATE outbox SET claimed_until = NULL, claimed_by = NULL \
        WHERE attempt_id IN (SELECT id FROM input) AND claimed_by = $1";
    tx.execute_input(sql, ids(unsent), args![relay]).await?;
    tx.commit().await
}

/// Number of rings not yet confirmed, and the age in seconds of the oldest.
///
/// # Errors
/// Any [`DbError`].
pub async fn backlog(db: &Db) -> Result<u64, DbError> {
    let row = db.query_one("SELECT count(*) FROM outbox", vec![]).await?;
    row.map_or(Ok(0), |row| row.get::<i64>(0).map(i64::unsigned_abs))
}
