//! One budget of memory for the bodies of all requests that are under way.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use crate::http::limits::network;
use crate::model::refusal::{Refusal, RefusalCode};

/// Bytes of each body that the reserve pays for: small bodies get in while large ones hold the budget.
const RESERVED: usize = 64 << 10;

/// Bytes that all bodies under way may take together, and those of one address half of them: whoever
/// opens many connections leaves room for all others.
#[derive(Debug)]
pub struct Budget(Arc<Mutex<Purses>>);

#[derive(Debug)]
struct Purses {
    /// Pays for the first [`RESERVED`] bytes of each body.
    reserve: Purse,
    /// Pays for the rest, and for what the reserve cannot.
    rest: Purse,
}

#[derive(Debug)]
struct Purse {
    left: usize,
    /// What one address may hold.
    most: usize,
    /// What each address holds; none holds nothing.
    held: HashMap<IpAddr, usize>,
}

/// What one body has taken of a [`Budget`], given back on drop.
#[derive(Debug)]
pub struct Account {
    purses: Arc<Mutex<Purses>>,
    address: IpAddr,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    bytes: usize,
    of_reserve: usize,
    of_rest: usize,
}

impl Budget {
    /// So many bytes, and a reserve for the small bodies of so many connections.
    pub fn new(bytes: usize, connections: usize) -> Self {
        let reserve = Purse::of(connections.saturating_mul(RESERVED));
        Self(Arc::new(Mutex::new(Purses { reserve, rest: Purse::of(bytes) })))
    }

    /// The account of a body from this address, of which nothing has come.
    pub fn account(&self, address: IpAddr) -> Arc<Account> {
        let address = network(address);
        Arc::new(Account { purses: Arc::clone(&self.0), address, taken: Mutex::default() })
    }
}

impl Purse {
    fn of(bytes: usize) -> Self {
        Self { left: bytes, most: bytes / 2, held: HashMap::new() }
    }

    /// Whether there is so much for this address; it is taken then.
    fn take(&mut self, address: IpAddr, bytes: usize) -> bool {
        let held = self.held.get(&address).map_or(0, |held| *held);
        let fits = bytes <= self.left && bytes <= self.most.saturating_sub(held);
        if fits && bytes > 0 {
            self.left -= bytes;
            self.held.insert(address, held + bytes);
        }
        fits
    }

    fn give_back(&mut self, address: IpAddr, bytes: usize) {
        self.left += bytes;
        if let Some(held) = self.held.get_mut(&address) {
            *held -= bytes;
            if *held == 0 {
                self.held.remove(&address);
            }
        }
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
        let mut purses = self.purses.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reserved = bytes.min(RESERVED.saturating_sub(taken.bytes));
        if !purses.reserve.take(self.address, reserved) {
            reserved = 0;
        }
        taken.of_reserve += reserved;
        let others = bytes - reserved;
        if others > 0 && !purses.rest.take(self.address, others) {
            return Err(RefusalCode::TooManyRequests.into());
        }
        taken.of_rest += others;
        taken.bytes += bytes;
        Ok(())
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let taken = self.taken.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut purses = self.purses.lock().unwrap_or_else(PoisonError::into_inner);
        purses.reserve.give_back(self.address, taken.of_reserve);
        purses.rest.give_back(self.address, taken.of_rest);
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Budget, RESERVED};
    use std::net::IpAddr;
    use std::sync::Arc;

    /// Accounts of this address for bodies of so many bytes, as many as are paid for.
    fn hoard(budget: &Budget, address: IpAddr, bytes: usize) -> Vec<Arc<Account>> {
        let paid = || {
            let account = budget.account(address);
            account.pay(bytes).ok().map(|()| account)
        };
        std::iter::from_fn(paid).collect()
    }

    #[test]
    fn one_address_holds_half_of_either_purse_and_another_the_other_half() {
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let budget = Budget::new(8 * RESERVED, 4);
        // Small bodies draw on the rest when their reserve is spent.
        let small = hoard(&budget, one, RESERVED);
        assert_eq!(small.len(), 2 + 4);
        assert_eq!(hoard(&budget, other, RESERVED).len(), 2 + 4);
        drop(small);
        // Two of them take their first bytes of the reserve: 2 and 2 of the rest.
        let large = hoard(&budget, one, 3 * RESERVED);
        assert_eq!(large.len(), 2);
        assert_eq!(hoard(&budget, other, 3 * RESERVED).len(), 2);
        assert!(budget.account(other).pay(5 * RESERVED).is_ok());
        drop(large);
        let purses = budget.0.lock().unwrap();
        assert_eq!((purses.reserve.left, purses.rest.left), (4 * RESERVED, 8 * RESERVED));
        assert!(purses.reserve.held.is_empty() && purses.rest.held.is_empty());
    }
}
