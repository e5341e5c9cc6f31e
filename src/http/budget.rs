//! One budget of memory for the bodies of all requests that are under way.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::model::refusal::{Refusal, RefusalCode};

/// Bytes of each body that the reserve pays for: small bodies get in while large ones hold the budget.
const RESERVED: usize = 64 << 10;

/// Bytes that all bodies under way may take together.
#[derive(Debug)]
pub struct Budget {
    /// Pays for the first [`RESERVED`] bytes of each body.
    reserve: Arc<Semaphore>,
    /// Pays for the rest.
    rest: Arc<Semaphore>,
}

/// What one body has taken of a [`Budget`], given back on drop.
#[derive(Debug)]
pub struct Account {
    reserve: Arc<Semaphore>,
    rest: Arc<Semaphore>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    bytes: usize,
    permits: Vec<OwnedSemaphorePermit>,
}

impl Budget {
    /// So many bytes, and a reserve for the small bodies of so many connections.
    pub fn new(bytes: usize, connections: usize) -> Self {
        let most = |bytes: usize| Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)));
        Self { reserve: most(connections.saturating_mul(RESERVED)), rest: most(bytes) }
    }

    /// The account of a body of which nothing has come.
    pub fn account(&self) -> Arc<Account> {
        let (reserve, rest) = (Arc::clone(&self.reserve), Arc::clone(&self.rest));
        Arc::new(Account { reserve, rest, taken: Mutex::default() })
    }
}

impl Account {
    /// The pieces of the body, each paid for when it comes: `TOO_MANY_REQUESTS` when the budget is spent.
    pub fn charged<S>(self: &Arc<Self>, pieces: S) -> impl Stream<Item = io::Result<Bytes>> + use<S>
    where
        S: Stream<Item = io::Result<Bytes>>,
    {
        let account = Arc::clone(self);
        pieces.map(move |piece| {
            let piece = piece?;
            account.pay(piece.len())?;
            Ok(piece)
        })
    }

    fn pay(&self, bytes: usize) -> Result<(), Refusal> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let reserved = bytes.min(RESERVED.saturating_sub(taken.bytes));
        for (purse, part) in [(&self.reserve, reserved), (&self.rest, bytes - reserved)] {
            let part = u32::try_from(part).map_err(|_| RefusalCode::TooManyRequests)?;
            let paid = Arc::clone(purse).try_acquire_many_owned(part);
            let paid = paid.map_err(|_: TryAcquireError| RefusalCode::TooManyRequests)?;
            match taken.permits.iter_mut().find(|held| Arc::ptr_eq(held.semaphore(), purse)) {
                Some(held) => held.merge(paid),
                None => taken.permits.push(paid),
            }
        }
        taken.bytes += bytes;
        Ok(())
    }
}
