//! Hashes that a reference of a signature may use, computed as the bytes come.

use gost94::{Digest as _, Gost94CryptoPro};
use openssl::sha::{Sha256, Sha384, Sha512};

use super::c14n::Sink;
use super::streebog::Streebog;

/// Bytes gathered before they are hashed: many small pieces would cost more than their hash.
const GATHER: usize = 16 << 10;

/// Hashes that a reference may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// GOST R 34.11-2012, 256 bits.
    Streebog256,
    /// GOST R 34.11-2012, 512 bits.
    Streebog512,
    /// GOST R 34.11-94 with the tables of CryptoPro: withdrawn, for archives only.
    Gost94,
}

/// A hash being computed.
pub struct Digest {
    gathered: Vec<u8>,
    state: State,
}

enum State {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
    Streebog(Box<Streebog>),
    Gost94(Box<Gost94CryptoPro>),
}

impl Digest {
    /// Begins a hash.
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        Self { gathered: Vec::with_capacity(GATHER), state: State::new(algorithm) }
    }

    /// The hash of bytes at hand.
    pub fn of(algorithm: DigestAlgorithm, bytes: &[u8]) -> Vec<u8> {
        let mut state = State::new(algorithm);
        state.update(bytes);
        state.finish()
    }

    /// Ends the hash; the octets in the order of the standard's examples.
    pub fn finish(mut self) -> Vec<u8> {
        self.hash_gathered();
        self.state.finish()
    }

    fn hash_gathered(&mut self) {
        let Self { gathered, state } = self;
        state.update(gathered);
        gathered.clear();
    }
}

impl State {
    fn new(algorithm: DigestAlgorithm) -> Self {
        match algorithm {
            DigestAlgorithm::Sha256 => Self::Sha256(Sha256::new()),
            DigestAlgorithm::Sha384 => Self::Sha384(Sha384::new()),
            DigestAlgorithm::Sha512 => Self::Sha512(Sha512::new()),
            DigestAlgorithm::Streebog256 => Self::Streebog(Box::new(Streebog::new_256())),
            DigestAlgorithm::Streebog512 => Self::Streebog(Box::new(Streebog::new_512())),
            DigestAlgorithm::Gost94 => Self::Gost94(Box::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(state) => state.update(bytes),
            Self::Sha384(state) => state.update(bytes),
            Self::Sha512(state) => state.update(bytes),
            Self::Streebog(state) => state.update(bytes),
            Self::Gost94(state) => state.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha256(state) => state.finish().to_vec(),
            Self::Sha384(state) => state.finish().to_vec(),
            Self::Sha512(state) => state.finish().to_vec(),
            Self::Streebog(state) => state.finish(),
            Self::Gost94(state) => state.finalize().to_vec(),
        }
    }
}

impl Sink for Digest {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        if bytes.len() > GATHER - self.gathered.len() {
            self.hash_gathered();
            if bytes.len() >= GATHER {
                return self.state.update(bytes);
            }
        }
        self.gathered.extend_from_slice(bytes);
    }
}
