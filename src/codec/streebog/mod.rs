//! GOST R 34.11-2012, Streebog, of 256 and 512 bits: the hash that GOST signatures spend their time on.
//!
//! The compression function exists three times: by tables for any machine, with AVX2, and with
//! AVX-512 and GFNI. The best that the machine has is chosen once, and only after it has given the
//! same as the tables on trial blocks.

mod constants;
mod portable;
mod simd;

use std::sync::OnceLock;

/// Words of a state or a block, the lowest first.
type Block = [u64; 8];

/// Bytes of a block.
const BLOCK_BYTES: usize = 64;

/// A compression function and what it runs on.
#[derive(Clone, Copy)]
struct Kernel {
    name: &'static str,
    compress: fn(&mut Block, &Block, &Block),
}

const PORTABLE: Kernel = Kernel { name: "tables", compress: portable::compress };

/// A hash being computed.
#[derive(Clone)]
pub struct Streebog {
    state: Block,
    /// Bits hashed so far, and the sum of all blocks, modulo 2^512.
    counter: Block,
    sum: Block,
    /// The beginning of the next block.
    rest: [u8; BLOCK_BYTES],
    held: usize,
    /// Bytes of the hash.
    length: usize,
    compress: fn(&mut Block, &Block, &Block),
}

impl Streebog {
    /// Begins a hash of 256 bits.
    pub fn new_256() -> Self {
        Self::new([0x0101_0101_0101_0101; 8], 32)
    }

    /// Begins a hash of 512 bits.
    pub fn new_512() -> Self {
        Self::new([0; 8], 64)
    }

    fn new(state: Block, length: usize) -> Self {
        let (counter, sum, rest) = ([0; 8], [0; 8], [0; BLOCK_BYTES]);
        Self { state, counter, sum, rest, held: 0, length, compress: kernel().compress }
    }

    /// What the hash runs on here: `tables`, `avx2` or `gfni`.
    pub fn kernel() -> &'static str {
        kernel().name
    }

    /// Takes the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        if self.held > 0 {
            let taken = bytes.len().min(BLOCK_BYTES - self.held);
            self.rest[self.held..self.held + taken].copy_from_slice(&bytes[..taken]);
            self.held += taken;
            bytes = &bytes[taken..];
            if self.held < BLOCK_BYTES {
                return;
            }
            let block = words(&self.rest);
            self.absorb(&block, 512);
        }
        let (blocks, rest) = bytes.as_chunks();
        for block in blocks {
            self.absorb(&words(block), 512);
        }
        self.rest[..rest.len()].copy_from_slice(rest);
        self.held = rest.len();
    }

    /// Ends the hash; octets in the order of the examples of RFC 6986, the lowest first.
    pub fn finish(mut self) -> Vec<u8> {
        let mut last = [0; BLOCK_BYTES];
        last[..self.held].copy_from_slice(&self.rest[..self.held]);
        last[self.held] = 1;
        self.absorb(&words(&last), 8 * self.held as u64);
        (self.compress)(&mut self.state, &[0; 8], &self.counter);
        (self.compress)(&mut self.state, &[0; 8], &self.sum);
        let octets: Vec<u8> = self.state.iter().flat_map(|word| word.to_le_bytes()).collect();
        octets[BLOCK_BYTES - self.length..].to_vec()
    }

    fn absorb(&mut self, block: &Block, bits: u64) {
        (self.compress)(&mut self.state, &self.counter, block);
        let (low, carry) = self.counter[0].overflowing_add(bits);
        self.counter[0] = low;
        // Over two exbibytes.
        self.counter[1] += u64::from(carry);
        add(&mut self.sum, block);
    }
}

/// Adds modulo 2^512.
fn add(number: &mut Block, other: &Block) {
    let mut carry = false;
    for (word, other) in number.iter_mut().zip(other) {
        let (sum, over) = word.overflowing_add(*other);
        let (sum, again) = sum.overflowing_add(u64::from(carry));
        *word = sum;
        carry = over || again;
    }
}

fn words(bytes: &[u8; BLOCK_BYTES]) -> Block {
    let mut words = [0; 8];
    for (word, octets) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*octets);
    }
    words
}

/// The kernel of this machine.
fn kernel() -> Kernel {
    static CHOSEN: OnceLock<Kernel> = OnceLock::new();
    *CHOSEN.get_or_init(|| simd::kernels().into_iter().find(agrees).unwrap_or(PORTABLE))
}

/// Whether a kernel gives the same as the tables on trial blocks that show every byte to every
/// place.
fn agrees(kernel: &Kernel) -> bool {
    let (mut expected, mut found) = ([0x0101_0101_0101_0101; 8], [0x0101_0101_0101_0101; 8]);
    (0..64_u64).all(|number| {
        let message = std::array::from_fn(|word| {
            (number * 8 + word as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        });
        let counter = [number * 512, 0, 0, 0, 0, 0, 0, 0];
        portable::compress(&mut expected, &counter, &message);
        (kernel.compress)(&mut found, &counter, &message);
        expected == found
    })
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};
    use streebog::{Digest as _, Streebog256, Streebog512};

    use super::*;

    fn hash(mut hash: Streebog, kernel: Kernel, pieces: &[&[u8]]) -> Vec<u8> {
        hash.compress = kernel.compress;
        for piece in pieces {
            hash.update(piece);
        }
        hash.finish()
    }

    #[test]
    fn every_kernel_gives_the_hashes_of_an_independent_library_however_the_bytes_come() {
        let mut kernels = simd::kernels();
        kernels.extend([PORTABLE, simd::EMULATED]);
        let mut random = StdRng::seed_from_u64(34);
        for number in 0..200 {
            let mut message = vec![0; random.random_range(0..1500)];
            match number % 4 {
                0 => message.fill(0xFF),
                _ => random.fill(&mut message[..]),
            }
            let cuts = [random.random_range(0..=message.len()), message.len() / 2];
            let (first, rest) = message.split_at(cuts[0].min(cuts[1]));
            let (second, third) = rest.split_at(cuts[0].max(cuts[1]) - first.len());
            let expected = Streebog256::digest(&message).to_vec();
            let wide = Streebog512::digest(&message).to_vec();
            // The emulation takes most of the time.
            let looked_at = kernels.len() - usize::from(number % 20 > 1);
            for kernel in &kernels[..looked_at] {
                let pieces = [first, second, third];
                let name = kernel.name;
                assert_eq!(hash(Streebog::new_256(), *kernel, &pieces), expected, "{name}");
                assert_eq!(hash(Streebog::new_512(), *kernel, &pieces), wide, "{name}");
            }
        }
    }

    #[test]
    fn the_chosen_kernel_is_the_first_that_the_machine_has() {
        let first = simd::kernels().first().map_or("tables", |kernel| kernel.name);
        assert_eq!(Streebog::kernel(), first);
        let wrong = Kernel { name: "wrong", compress: |state, _, _| state[0] ^= 1 };
        assert!(!agrees(&wrong) && agrees(&PORTABLE));
    }
}
