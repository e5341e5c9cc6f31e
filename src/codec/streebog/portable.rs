//! The compression function by tables, for any machine.

use super::Block;
use super::constants::{ROUNDS, TABLE};

/// Mixes a block into the state; `counter` is the number of bits before it, or zero at the end.
pub(super) fn compress(state: &mut Block, counter: &Block, message: &Block) {
    let (mut key, _) = two_steps(&xor(state, counter), &[0; 8]);
    let mut block = *message;
    for round in &ROUNDS {
        (key, block) = two_steps(&xor(&key, round), &xor(&block, &key));
    }
    for word in 0..8 {
        state[word] ^= block[word] ^ key[word] ^ message[word];
    }
}

/// Substitution, transposition and the linear step of two states at once: side by side they keep
/// more of the processor busy than one after the other.
#[inline]
fn two_steps(one: &Block, other: &Block) -> (Block, Block) {
    let (mut first, mut second) = ([0; 8], [0; 8]);
    for byte in 0..8 {
        let (mut left, mut right) = (0, 0);
        for (place, table) in TABLE.iter().enumerate() {
            left ^= table[usize::from(one[place].to_le_bytes()[byte])];
            right ^= table[usize::from(other[place].to_le_bytes()[byte])];
        }
        (first[byte], second[byte]) = (left, right);
    }
    (first, second)
}

#[inline]
fn xor(one: &Block, other: &Block) -> Block {
    std::array::from_fn(|word| one[word] ^ other[word])
}
