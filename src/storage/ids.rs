//! Ids handed out in blocks, so that bulk rows know their ids before they are written.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::args;
use crate::storage::db::{Db, DbError, Tx};

/// Ids reserved from the database at a time.
const BLOCK: i64 = 20_000;

/// Ids that [`Ids::warm`] leaves in hand at least: more than transactions running at the same time take.
const LOW_WATER: i64 = BLOCK / 2;

/// Hands out rising, never repeated ids per name. Ids lost at a crash are not given again.
#[derive(Clone, Debug)]
pub struct Ids {
    db: Db,
    reserved: Arc<Mutex<HashMap<&'static str, Range<i64>>>>,
}

impl Ids {
    /// Hands out ids of this database.
    pub fn new(db: Db) -> Self {
        Self { db, reserved: Arc::default() }
    }

    /// Takes `count` consecutive ids of the row `name` of table `id_block`.
    /// Not inside a transaction on SQLite, whose only writer that is: see [`Ids::take_in`].
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn take(&self, name: &'static str, count: usize) -> Result<Range<i64>, DbError> {
        let mut reserved = self.reserved.lock().await;
        let block = reserved.entry(name).or_insert(0..0);
        let wanted = i64::try_from(count).unwrap_or(i64::MAX);
        if block.end - block.start < wanted {
            let mut tx = self.db.begin().await?;
            *block = reserve(&mut tx, name, wanted, block.end).await?;
            tx.commit().await?;
        }
        Ok(cut(block, wanted))
    }

    /// Takes ids while a transaction is open. On SQLite they are reserved in it, and not given
    /// again should it be rolled back; on PostgreSQL on a connection of their own.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn take_in(
        &self,
        tx: &mut Tx,
        name: &'static str,
        count: usize,
    ) -> Result<Range<i64>, DbError> {
        if tx.is_postgres() {
            return self.take(name, count).await;
        }
        let mut reserved = self.reserved.lock().await;
        let block = reserved.entry(name).or_insert(0..0);
        let wanted = i64::try_from(count).unwrap_or(i64::MAX);
        if block.end - block.start < wanted {
            *block = reserve(tx, name, wanted, block.end).await?;
        }
        Ok(cut(block, wanted))
    }

    /// Takes one id.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn one(&self, name: &'static str) -> Result<i64, DbError> {
        Ok(self.take(name, 1).await?.start)
    }

    /// Makes sure that enough ids of these names are in hand for a transaction about to begin.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn warm(&self, names: &[&'static str]) -> Result<(), DbError> {
        let mut reserved = self.reserved.lock().await;
        for &name in names {
            let block = reserved.entry(name).or_insert(0..0);
            if block.end - block.start < LOW_WATER {
                *block = self.reserve(name, BLOCK).await?;
            }
        }
        Ok(())
    }

    async fn reserve(&self, name: &'static str, size: i64) -> Result<Range<i64>, DbError> {
        let mut tx = self.db.begin().await?;
        let sql = "INSERT INTO id_block (name, next) VALUES ($1, 1 + $2) \
            ON CONFLICT (name) DO UPDATE SET next = id_block.next + $2 RETURNING next";
        let row = tx.query_one(sql, args![name, size]).await?;
        let next: i64 = row.map_or(Ok(1 + size), |row| row.get(0))?;
        tx.commit().await?;
        Ok(next - size..next)
    }
}

/// Reserves the next block, beyond everything this process has had before.
async fn reserve(
    tx: &mut Tx,
    name: &'static str,
    wanted: i64,
    had: i64,
) -> Result<Range<i64>, DbError> {
    let size = BLOCK.max(wanted);
    let had = had.max(1);
    let sql = "INSERT INTO id_block (name, next) VALUES ($1, $3 + $2) \
        ON CONFLICT (name) DO UPDATE SET next = $2 + \
        CASE WHEN id_block.next > $3 THEN id_block.next ELSE $3 END RETURNING next";
    let row = tx.query_one(sql, args![name, size, had]).await?;
    let next: i64 = row.map_or(Ok(had + size), |row| row.get(0))?;
    Ok(next - size..next)
}

fn cut(block: &mut Range<i64>, count: i64) -> Range<i64> {
    let taken = block.start..block.start + count;
    block.start = taken.end;
    taken
}
