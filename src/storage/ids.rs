//! Ids handed out in blocks, so that bulk rows know their ids before they are written.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

use crate::args;
use crate::storage::db::{Db, DbError, Tx};

/// Ids reserved from the database at a time.
const BLOCK: i64 = 20_000;

/// Ids that [`Ids::warm`] leaves in hand at least: more than transactions running at the same time take.
const LOW_WATER: i64 = BLOCK / 2;

/// Ids in hand, by name.
type Blocks = HashMap<&'static str, Range<i64>>;

/// Hands out rising, never repeated ids per name. Ids lost at a crash are not given again.
#[derive(Clone, Debug)]
pub struct Ids {
    db: Db,
    reserved: Arc<Mutex<Blocks>>,
    /// Held while a block is fetched outside of the caller's transaction. Whoever needs no block
    /// must not wait for it: on SQLite the fetch waits for the very transaction that takes ids.
    fetching: Arc<AsyncMutex<()>>,
}

impl Ids {
    /// Hands out ids of this database.
    pub fn new(db: Db) -> Self {
        Self { db, reserved: Arc::default(), fetching: Arc::default() }
    }

    /// Takes `count` consecutive ids of the row `name` of table `id_block`.
    /// Not inside a transaction on SQLite, whose only writer that is: see [`Ids::take_in`].
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn take(&self, name: &'static str, count: usize) -> Result<Range<i64>, DbError> {
        let wanted = i64::try_from(count).unwrap_or(i64::MAX);
        loop {
            if let Some(taken) = cut(&mut self.blocks(), name, wanted) {
                return Ok(taken);
            }
            self.hold(name, wanted).await?;
        }
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
        let wanted = i64::try_from(count).unwrap_or(i64::MAX);
        loop {
            if let Some(taken) = cut(&mut self.blocks(), name, wanted) {
                return Ok(taken);
            }
            self.fetch(tx, name, wanted).await?;
        }
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
        for &name in names {
            self.hold(name, LOW_WATER).await?;
        }
        Ok(())
    }

    /// Makes sure that so many ids are in hand.
    async fn hold(&self, name: &'static str, wanted: i64) -> Result<(), DbError> {
        if left(&self.blocks(), name) >= wanted {
            return Ok(());
        }
        let _fetching = self.fetching.lock().await;
        if left(&self.blocks(), name) >= wanted {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        let block = self.reserve(&mut tx, name, wanted).await?;
        tx.commit().await?;
        self.blocks().insert(name, block);
        Ok(())
    }

    /// Brings a block in hand, reserved in this transaction.
    async fn fetch(&self, tx: &mut Tx, name: &'static str, wanted: i64) -> Result<(), DbError> {
        let block = self.reserve(tx, name, wanted).await?;
        self.blocks().insert(name, block);
        Ok(())
    }

    /// Reserves the next block, beyond everything this process has had before.
    async fn reserve(
        &self,
        tx: &mut Tx,
        name: &'static str,
        wanted: i64,
    ) -> Result<Range<i64>, DbError> {
        let size = BLOCK.max(wanted);
        let had = self.blocks().get(name).map_or(1, |block| block.end.max(1));
        let sql = "INSERT INTO id_block (name, next) VALUES ($1, $3 + $2) \
            ON CONFLICT (name) DO UPDATE SET next = $2 + \
            CASE WHEN id_block.next > $3 THEN id_block.next ELSE $3 END RETURNING next";
        let row = tx.query_one(sql, args![name, size, had]).await?;
        let next: i64 = row.map_or(Ok(had + size), |row| row.get(0))?;
        Ok(next - size..next)
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ids in hand; fewer than none when the name is new, so that even asking for none reserves a block.
fn left(blocks: &Blocks, name: &str) -> i64 {
    blocks.get(name).map_or(-1, |block| block.end - block.start)
}

fn cut(blocks: &mut Blocks, name: &str, wanted: i64) -> Option<Range<i64>> {
    let block = blocks.get_mut(name).filter(|block| block.end - block.start >= wanted)?;
    let taken = block.start..block.start + wanted;
    block.start = taken.end;
    Some(taken)
}
