//! How much one peer may ask of us.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Limits of connections and bodies.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections, and those of one address half of them; the next one is answered 503.
    pub connections: usize,
    /// Time for a TLS handshake, and for the head of a request; also how long a connection idles.
    pub head_timeout: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Lines of a request's head.
    pub head_lines: usize,
    /// Bytes of a body as sent.
    pub body_bytes: u64,
    /// Slowest body taken, in bytes a second.
    pub body_rate: u64,
    /// Waiting for a body that does not count, and the longest single wait for its next bytes.
    pub body_patience: Duration,
    /// How long a peer may take to make room for more of our answer.
    pub write_patience: Duration,
    /// Time that open requests get to finish when the service stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            head_timeout: Duration::from_secs(10),
            head_bytes: 16 << 10,
            head_lines: 100,
            body_bytes: 2 << 30,
            body_rate: 1 << 10,
            body_patience: Duration::from_secs(10),
            write_patience: Duration::from_mins(1),
            drain: Duration::from_secs(30),
        }
    }
}

/// Who a peer is for counting: the holder of a client certificate, an address, or a system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerKey {
    /// DER of the client certificate.
    Certificate(Arc<[u8]>),
    /// Network address, as [`network`] gives it.
    Address(IpAddr),
    /// Number of a system that has proved itself.
    System(i64),
}

/// The address by which a peer is counted: its own of IPv4, the first 64 bits of IPv6, since whoever
/// has one address there has all of them.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).into(),
    }
}

/// Counts what each peer has under way, so that one peer cannot take all places.
#[derive(Clone, Debug)]
pub struct Gate {
    most: usize,
    open: Arc<Mutex<HashMap<PeerKey, usize>>>,
}

/// A place behind a [`Gate`], given back on drop.
#[derive(Debug)]
pub struct Place {
    key: PeerKey,
    open: Arc<Mutex<HashMap<PeerKey, usize>>>,
}

impl Gate {
    /// A gate with `most` places for each peer.
    pub fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    /// Takes a place, `None` if the peer has them all.
    pub fn enter(&self, key: PeerKey) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(key.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Place { key, open: Arc::clone(&self.open) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}

/// Counts failed guesses of each peer in a running window, so that ids cannot be searched for.
#[derive(Debug)]
pub struct Misses<K> {
    most: u32,
    window: Duration,
    state: Mutex<(Instant, HashMap<K, u32>)>,
}

impl<K: Eq + Hash> Misses<K> {
    /// Allows `most` misses of each peer in a `window`.
    pub fn new(most: u32, window: Duration) -> Self {
        Self { most, window, state: Mutex::new((Instant::now(), HashMap::new())) }
    }

    /// Whether the peer may try again now.
    pub fn may_try(&self, key: &K) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0.elapsed() >= self.window {
            *state = (Instant::now(), HashMap::new());
        }
        state.1.get(key).is_none_or(|&count| count < self.most)
    }

    /// Counts a miss.
    pub fn count(&self, key: K) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state.1.entry(key).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(last: u8) -> PeerKey {
        PeerKey::Address(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn a_peer_is_counted_by_an_ipv4_address_or_a_network_of_ipv6() {
        let counted = |address: &str| network(address.parse().unwrap()).to_string();
        assert_eq!(counted("192.0.2.7"), "192.0.2.7");
        assert_eq!(counted("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("2001:db8:1:2:ffff::1"), "2001:db8:1:2::");
    }

    #[test]
    fn a_peer_gets_its_places_and_gives_them_back() {
        let gate = Gate::new(2);
        let first = gate.enter(key(1)).unwrap();
        let _second = gate.enter(key(1)).unwrap();
        assert!(gate.enter(key(1)).is_none());
        assert!(gate.enter(key(2)).is_some(), "another peer is not in the way");
        drop(first);
        assert!(gate.enter(key(1)).is_some());
    }

    #[test]
    fn misses_run_out_and_come_back() {
        let misses = Misses::new(2, Duration::from_hours(1));
        for _ in 0..2 {
            assert!(misses.may_try(&1));
            misses.count(1);
        }
        assert!(!misses.may_try(&1));
        assert!(misses.may_try(&2));
        let brief = Misses::new(1, Duration::ZERO);
        brief.count(1);
        assert!(brief.may_try(&1), "the window is over");
    }
}
