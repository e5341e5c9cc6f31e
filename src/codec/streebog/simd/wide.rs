//! Eight words at a time: a substitution by table look-up in registers and the linear step as 64
//! matrices of bits.

use crate::codec::streebog::Block;
use crate::codec::streebog::constants::{PI, ROUNDS, linear};

/// A vector of 64 bytes with the instructions that the kernel uses.
///
/// # Safety
/// All functions need the features of the processor that the implementation names.
pub(super) trait Vector: Copy {
    unsafe fn load(words: &Block) -> Self;
    unsafe fn store(self) -> Block;
    unsafe fn xor(self, other: Self) -> Self;
    /// `VPERMI2B`: each byte of `self` picks one of the 128 of two tables by its low 7 bits.
    unsafe fn pick(self, low: Self, high: Self) -> Self;
    /// `VPMOVB2M`, `VPBLENDMB`: the byte of `high` where the highest bit of `self` is set.
    unsafe fn choose(self, low: Self, high: Self) -> Self;
    /// `VPERMQ`: one word in all places.
    unsafe fn spread(self, word: u8) -> Self;
    /// `GF2P8AFFINEQB`: each byte multiplied by the matrix in its word of `matrices`.
    unsafe fn multiply(self, matrices: Self) -> Self;
    /// `VPERMB`: byte `from[i]` of `self` at place `i`.
    unsafe fn rearrange(self, from: Self) -> Self;
}

/// Constants of the kernel.
struct Tables {
    substitution: [Block; 4],
    /// Of each place of a byte in a word: what it adds to each byte of a word.
    matrices: [Block; 8],
    /// Rows become columns.
    transposed: Block,
}

static TABLES: Tables =
    Tables { substitution: substitution(), matrices: matrices(), transposed: transposed() };

const fn set(block: &mut Block, byte: usize, value: u8) {
    block[byte / 8] |= (value as u64) << (8 * (byte % 8));
}

const fn substitution() -> [Block; 4] {
    let mut tables = [[0; 8]; 4];
    let mut byte = 0;
    while byte < 256 {
        set(&mut tables[byte / 64], byte % 64, PI[byte]);
        byte += 1;
    }
    tables
}

/// In the layout of `GF2P8AFFINEQB`: byte 7-r of a matrix has the bits that bit r depends on.
const fn matrices() -> [Block; 8] {
    let mut matrices = [[0; 8]; 8];
    let mut place = 0;
    while place < 8 {
        let mut bit = 0;
        while bit < 8 {
            let word = linear(place, 1 << bit);
            let mut at = 0;
            while at < 64 {
                if word >> at & 1 == 1 {
                    matrices[place][at / 8] |= 1 << (8 * (7 - at % 8) + bit);
                }
                at += 1;
            }
            bit += 1;
        }
        place += 1;
    }
    matrices
}

const fn transposed() -> Block {
    let mut from = [0; 8];
    let mut byte = 0;
    while byte < 64 {
        set(&mut from, byte, (byte % 8 * 8 + byte / 8) as u8);
        byte += 1;
    }
    from
}

/// Constants in registers.
#[derive(Clone, Copy)]
struct Loaded<V> {
    substitution: [V; 4],
    matrices: [V; 8],
    transposed: V,
}

impl<V: Vector> Loaded<V> {
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller has what V needs.
        unsafe {
            let mut matrices = [V::load(&TABLES.matrices[0]); 8];
            for (loaded, words) in matrices.iter_mut().zip(&TABLES.matrices) {
                *loaded = V::load(words);
            }
            let [a, b, c, d] = &TABLES.substitution;
            Self {
                substitution: [V::load(a), V::load(b), V::load(c), V::load(d)],
                matrices,
                transposed: V::load(&TABLES.transposed),
            }
        }
    }

    /// Substitution, transposition and the linear step.
    #[inline(always)]
    unsafe fn step(&self, state: V) -> V {
        let [a, b, c, d] = self.substitution;
        // SAFETY: the caller has what V needs.
        unsafe {
            let bytes = state.choose(state.pick(a, b), state.pick(c, d));
            let mut parts = [bytes; 8];
            for place in 0..8_u8 {
                let matrices = self.matrices[usize::from(place)];
                parts[usize::from(place)] = bytes.spread(place).multiply(matrices);
            }
            let [a, b, c, d, e, f, g, h] = parts;
            let sum = a.xor(b).xor(c.xor(d)).xor(e.xor(f).xor(g.xor(h)));
            sum.rearrange(self.transposed)
        }
    }
}

/// Mixes a block into the state.
///
/// # Safety
/// The processor has what `V` needs.
#[inline(always)]
pub(super) unsafe fn compress<V: Vector>(state: &mut Block, counter: &Block, message: &Block) {
    // SAFETY: as the caller promises.
    unsafe {
        let loaded = Loaded::<V>::new();
        let before = V::load(state);
        let message = V::load(message);
        let mut key = loaded.step(before.xor(V::load(counter)));
        let mut block = message;
        for round in &ROUNDS {
            block = loaded.step(block.xor(key));
            key = loaded.step(key.xor(V::load(round)));
        }
        *state = before.xor(block).xor(key.xor(message)).store();
    }
}

/// Each instruction as its description has it, byte by byte.
#[cfg(test)]
#[derive(Clone, Copy)]
pub(super) struct Emulated([u8; 64]);

#[cfg(test)]
impl Emulated {
    fn each(of: impl Fn(usize) -> u8) -> Self {
        Self(std::array::from_fn(of))
    }
}

#[cfg(test)]
impl Vector for Emulated {
    unsafe fn load(words: &Block) -> Self {
        Self::each(|at| words[at / 8].to_le_bytes()[at % 8])
    }

    unsafe fn store(self) -> Block {
        crate::codec::streebog::words(&self.0)
    }

    unsafe fn xor(self, other: Self) -> Self {
        Self::each(|at| self.0[at] ^ other.0[at])
    }

    unsafe fn pick(self, low: Self, high: Self) -> Self {
        Self::each(|at| {
            let index = usize::from(self.0[at]);
            if index & 64 == 0 { low.0[index & 63] } else { high.0[index & 63] }
        })
    }

    unsafe fn choose(self, low: Self, high: Self) -> Self {
        Self::each(|at| if self.0[at] & 0x80 == 0 { low.0[at] } else { high.0[at] })
    }

    unsafe fn spread(self, word: u8) -> Self {
        Self::each(|at| self.0[usize::from(word) * 8 + at % 8])
    }

    unsafe fn multiply(self, matrices: Self) -> Self {
        Self::each(|at| {
            let matrix = &matrices.0[at / 8 * 8..][..8];
            let bit = |row: usize| (matrix[7 - row] & self.0[at]).count_ones() as u8 & 1;
            (0..8).fold(0, |byte, row| byte | bit(row) << row)
        })
    }

    unsafe fn rearrange(self, from: Self) -> Self {
        Self::each(|at| self.0[usize::from(from.0[at] & 63)])
    }
}
