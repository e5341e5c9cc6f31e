//! Ids handed out in blocks, so that bulk rows know their ids before they are written.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::args;
use crate::storage::db::{Db, DbError};

/// Ids reserved from the database at a time.
const BLOCK: i64 = 10_000;

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
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn take(&self, name: &'static str, count: usize) -> Result<Range<i64>, DbError> {
        let wanted = i64::try_from(count).unwrap_or(i64::MAX);
        let mut reserved = self.reserved.lock().await;
        let block = reserved.entry(name).or_insert(0..0);
        if block.end - block.start < wanted {
            let size = BLOCK.max(wanted);
            let mut tx = self.db.begin().await?;
            let sql = "INSERT INTO id_block (name, next) VALUES ($1, 1 + $2) \
                ON CONFLICT (name) DO UPDATE SET next = id_block.next + $2 RETURNING next";
            let row = tx.query_one(sql, args![name, size]).await?;
            let next: i64 = row.map_or(Ok(1 + size), |row| row.get(0))?;
            tx.commit().await?;
            *block = next - size..next;
        }
        let taken = block.start..block.start + wanted;
        block.start = taken.end;
        Ok(taken)
    }

    /// Takes one id.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn one(&self, name: &'static str) -> Result<i64, DbError> {
        Ok(self.take(name, 1).await?.start)
    }
}
