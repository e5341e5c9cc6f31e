//! Two states, key and block, side by side in vectors of 32 bytes, with AVX2.
//!
//! A half of a vector holds a word of the key and the same word of the block, byte by byte in turn;
//! its other half holds the word that is four further. So no byte has to leave its half until the
//! halves are added, and what the key adds to the block is one shift away. Bytes are kept as the
//! first linear part of the substitution makes them, so that only its part on half bytes is
//! computed in a round: multiplication in GF(16) by logarithms.
//! The substitution is taken apart as Biryukov, Perrin and Udovenko found it (2016).

use std::arch::x86_64::{
    __m256i, _mm256_adds_epu8, _mm256_and_si256, _mm256_blend_epi32, _mm256_blendv_epi8,
    _mm256_cmpeq_epi8, _mm256_extract_epi64, _mm256_min_epu8, _mm256_permute2x128_si256,
    _mm256_set_epi64x, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_slli_epi16, _mm256_srli_epi16, _mm256_sub_epi8,
    _mm256_unpackhi_epi16, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi8,
    _mm256_unpacklo_epi16, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use crate::codec::streebog::Block;
use crate::codec::streebog::constants::{ROUNDS, linear};

/// 32 bytes as words.
type Row = [u64; 4];

/// Rows of the linear parts before and after the rest of the substitution.
const ALPHA: [u8; 8] = [0x08, 0x41, 0x43, 0xEF, 0x8A, 0x44, 0x1A, 0x20];
const OMEGA: [u8; 8] = [0x0A, 0x04, 0x20, 0x9A, 0x08, 0x44, 0x82, 0x01];
/// Its parts on half bytes.
const NU_0: [u8; 16] = [2, 5, 3, 11, 6, 9, 14, 10, 0, 4, 15, 1, 8, 13, 12, 7];
const NU_1: [u8; 16] = [7, 6, 12, 9, 0, 15, 8, 1, 4, 5, 11, 14, 13, 2, 3, 10];
const INVERSE: [u8; 16] = [0, 1, 12, 8, 6, 15, 4, 14, 3, 13, 11, 10, 2, 9, 7, 5];
const PHI: [u8; 16] = [11, 2, 11, 8, 12, 4, 1, 12, 6, 3, 5, 8, 14, 3, 6, 11];
const SIGMA: [u8; 16] = [12, 13, 0, 4, 8, 11, 10, 14, 3, 9, 5, 2, 15, 1, 6, 7];

/// The logarithm of zero: sums with it keep the highest bit, for which a shuffle gives zero.
const LOG_OF_ZERO: u8 = 0xC0;

/// Tables of sixteen half bytes, each twice; those that follow a product are short of its value
/// for zero, which others make up for.
struct Halves {
    log: Row,
    log_inverse: Row,
    nu_0: Row,
    nu_1: Row,
    log_phi: Row,
    sigma: Row,
}

static HALVES: Halves = halves();

struct Tables {
    /// By vector of words and by byte that they add to: of lower halves and upper ones.
    linear: [[[Row; 2]; 8]; 4],
    /// Constants of the rounds.
    rounds: [[Row; 4]; 12],
    /// The first linear part and its inverse, of the lower and the upper half.
    alpha: [Row; 2],
    back: [Row; 2],
}

static TABLES: Tables = tables();

const fn multiplied(rows: [u8; 8], byte: u8) -> u8 {
    let mut out = 0;
    let mut row = 0;
    while row < 8 {
        out |= ((rows[row] & byte).count_ones() as u8 & 1) << (7 - row);
        row += 1;
    }
    out
}

/// Powers of 2 modulo x^4 + x^3 + 1.
const fn power(exponent: usize) -> u8 {
    let mut value = 1_u8;
    let mut done = 0;
    while done < exponent {
        value <<= 1;
        if value & 16 != 0 {
            value ^= 0b1_1001;
        }
        done += 1;
    }
    value
}

const fn logarithm(value: u8) -> u8 {
    let mut exponent = 0;
    while exponent < 15 {
        if power(exponent) == value {
            return exponent as u8;
        }
        exponent += 1;
    }
    LOG_OF_ZERO
}

const fn set(row: &mut Row, byte: usize, value: u8) {
    row[byte / 8] |= (value as u64) << (8 * (byte % 8));
}

const fn set_both(row: &mut Row, byte: usize, value: u8) {
    set(row, byte, value);
    set(row, byte + 16, value);
}

const fn halves() -> Halves {
    let empty = [0; 4];
    let mut halves = Halves {
        log: empty,
        log_inverse: empty,
        nu_0: empty,
        nu_1: empty,
        log_phi: empty,
        sigma: empty,
    };
    let mut half = 0;
    while half < 16 {
        set_both(&mut halves.log, half, logarithm(half as u8));
        set_both(&mut halves.log_inverse, half, logarithm(INVERSE[half]));
        set_both(&mut halves.nu_0, half, NU_0[half] ^ NU_1[0]);
        let phi = PHI[half ^ NU_1[0] as usize];
        set_both(&mut halves.log_phi, half, logarithm(phi));
        if half < 15 {
            let product = power(half) as usize;
            set_both(&mut halves.nu_1, half, NU_1[product] ^ NU_1[0]);
            set_both(&mut halves.sigma, half, SIGMA[product] ^ SIGMA[0]);
        }
        half += 1;
    }
    halves
}

/// The first linear part of all bytes of a word.
const fn alpha(word: u64) -> u64 {
    let mut bytes = word.to_le_bytes();
    let mut at = 0;
    while at < 8 {
        bytes[at] = multiplied(ALPHA, bytes[at]);
        at += 1;
    }
    u64::from_le_bytes(bytes)
}

const fn back(image: u8) -> u8 {
    let mut byte = 0;
    while byte < 255 && multiplied(ALPHA, byte) != image {
        byte += 1;
    }
    byte
}

const fn tables() -> Tables {
    let mut tables = Tables {
        linear: [[[[0; 4]; 2]; 8]; 4],
        rounds: [[[0; 4]; 4]; 12],
        alpha: [[0; 4]; 2],
        back: [[0; 4]; 2],
    };
    let mut half = 0;
    while half < 16 {
        let (low, high) = (half as u8, (half as u8) << 4);
        set_both(&mut tables.alpha[0], half, multiplied(ALPHA, low));
        set_both(&mut tables.alpha[1], half, multiplied(ALPHA, high));
        set_both(&mut tables.back[0], half, back(low));
        set_both(&mut tables.back[1], half, back(high));
        let low = multiplied(OMEGA, low ^ SIGMA[0]);
        let high = multiplied(OMEGA, high ^ (NU_1[0] << 4));
        let mut place = 0;
        while place < 8 {
            let low = alpha(linear(place, low)).to_le_bytes();
            let high = alpha(linear(place, high)).to_le_bytes();
            let mut byte = 0;
            while byte < 8 {
                let rows = &mut tables.linear[place % 4][byte];
                set(&mut rows[0], half + 16 * (place / 4), low[byte]);
                set(&mut rows[1], half + 16 * (place / 4), high[byte]);
                byte += 1;
            }
            place += 1;
        }
        half += 1;
    }
    let mut at = 0;
    while at < 12 * 64 {
        let (round, word, byte) = (at / 64, at / 8 % 8, at % 8);
        let value = alpha(ROUNDS[round][word]).to_le_bytes()[byte];
        set(&mut tables.rounds[round][word % 4], 16 * (word / 4) + 2 * byte, value);
        at += 1;
    }
    tables
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(row: &Row) -> __m256i {
    let [a, b, c, d] = row.map(u64::cast_signed);
    _mm256_set_epi64x(d, c, b, a)
}

#[inline]
#[target_feature(enable = "avx2")]
fn look_up(row: &Row, half_bytes: __m256i) -> __m256i {
    _mm256_shuffle_epi8(load(row), half_bytes)
}

/// Lower and upper halves of bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn split(bytes: __m256i) -> (__m256i, __m256i) {
    let mask = _mm256_set1_epi8(15);
    let upper = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), mask);
    (_mm256_and_si256(bytes, mask), upper)
}

/// A linear map of bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn map(bytes: __m256i, rows: &[Row; 2]) -> __m256i {
    let (low, high) = split(bytes);
    _mm256_xor_si256(look_up(&rows[0], low), look_up(&rows[1], high))
}

/// What a table makes of products, whose factors are given by their logarithms.
#[inline]
#[target_feature(enable = "avx2")]
fn product(one: __m256i, other: __m256i, row: &Row) -> __m256i {
    let sum = _mm256_adds_epu8(one, other);
    let reduced = _mm256_min_epu8(sum, _mm256_sub_epi8(sum, _mm256_set1_epi8(15)));
    look_up(row, reduced)
}

/// The substitution between its linear parts; gives lower and upper halves.
#[inline]
#[target_feature(enable = "avx2")]
fn substitute(bytes: __m256i) -> (__m256i, __m256i) {
    let tables = &HALVES;
    let (right, left) = split(bytes);
    let log_right = look_up(&tables.log, right);
    let inverse = look_up(&tables.log_inverse, right);
    let usual = product(look_up(&tables.log, left), inverse, &tables.nu_1);
    let none = _mm256_cmpeq_epi8(right, _mm256_setzero_si256());
    let left = _mm256_blendv_epi8(usual, look_up(&tables.nu_0, left), none);
    let right = product(log_right, look_up(&tables.log_phi, left), &tables.sigma);
    (right, left)
}

/// Substitution, transposition and the linear step of both states.
#[inline]
#[target_feature(enable = "avx2")]
fn step(state: [__m256i; 4]) -> [__m256i; 4] {
    let mut sums = [_mm256_setzero_si256(); 8];
    for (words, tables) in state.into_iter().zip(&TABLES.linear) {
        let (low, high) = substitute(words);
        for (sum, rows) in sums.iter_mut().zip(tables) {
            let added = _mm256_xor_si256(look_up(&rows[0], low), look_up(&rows[1], high));
            *sum = _mm256_xor_si256(*sum, added);
        }
    }
    transposed(sums)
}

/// Adds what the two halves of the vectors have gathered for a byte of all words, and makes words
/// of these bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(sums: [__m256i; 8]) -> [__m256i; 4] {
    let [a, b, c, d, e, f, g, h] = sums;
    let (ab, cd, ef, gh) = (pair(a, b), pair(c, d), pair(e, f), pair(g, h));
    let (low, high) = (_mm256_unpacklo_epi32(ab, cd), _mm256_unpackhi_epi32(ab, cd));
    let (low_2, high_2) = (_mm256_unpacklo_epi32(ef, gh), _mm256_unpackhi_epi32(ef, gh));
    [
        _mm256_unpacklo_epi64(low, low_2),
        _mm256_unpackhi_epi64(low, low_2),
        _mm256_unpacklo_epi64(high, high_2),
        _mm256_unpackhi_epi64(high, high_2),
    ]
}

/// Two bytes of all words: those of the first four words in the lower half.
#[inline]
#[target_feature(enable = "avx2")]
fn pair(one: __m256i, other: __m256i) -> __m256i {
    const UPPER: i32 = 0b1111_0000;
    const CROSSED: i32 = 0x21;
    let (low, high) = (_mm256_unpacklo_epi16(one, other), _mm256_unpackhi_epi16(one, other));
    let straight = _mm256_blend_epi32::<UPPER>(low, high);
    _mm256_xor_si256(straight, _mm256_permute2x128_si256::<CROSSED>(low, high))
}

/// Bytes of the key and the block in turn.
#[inline]
#[target_feature(enable = "avx2")]
fn woven(key: [u64; 2], block: [u64; 2]) -> __m256i {
    let [key, block] = [key, block].map(|words| load(&[words[0], 0, words[1], 0]));
    _mm256_unpacklo_epi8(key, block)
}

/// Mixes a block into the state.
#[target_feature(enable = "avx2")]
pub(super) fn compress(state: &mut Block, counter: &Block, message: &Block) {
    const EVEN: Row = [0x0E0C_0A08_0604_0200, 0, 0x0E0C_0A08_0604_0200, 0];
    let mut both = [_mm256_setzero_si256(); 4];
    for (one, vector) in both.iter_mut().enumerate() {
        let two = one + 4;
        let key = [state[one] ^ counter[one], state[two] ^ counter[two]];
        *vector = map(woven(key, [message[one], message[two]]), &TABLES.alpha);
    }
    let of_block = _mm256_set1_epi16(0xFF00_u16.cast_signed());
    // One place calls the step, which is so put in here: a state that went through memory between
    // steps cost a quarter of the speed.
    for round in 0..=ROUNDS.len() {
        let mut stepped = step(both);
        if round == 0 {
            // The key is a step ahead of the block.
            for (vector, before) in stepped.iter_mut().zip(both) {
                *vector = _mm256_blendv_epi8(*vector, before, of_block);
            }
        }
        if let Some(constants) = TABLES.rounds.get(round) {
            for (vector, constants) in stepped.iter_mut().zip(constants) {
                let key = _mm256_slli_epi16(*vector, 8);
                *vector = _mm256_xor_si256(_mm256_xor_si256(*vector, load(constants)), key);
            }
        }
        both = stepped;
    }
    for (one, vector) in both.into_iter().enumerate() {
        let two = one + 4;
        let sum = _mm256_xor_si256(vector, _mm256_srli_epi16(vector, 8));
        let sum = _mm256_shuffle_epi8(map(sum, &TABLES.back), load(&EVEN));
        state[one] ^= _mm256_extract_epi64::<0>(sum).cast_unsigned() ^ message[one];
        state[two] ^= _mm256_extract_epi64::<2>(sum).cast_unsigned() ^ message[two];
    }
}
