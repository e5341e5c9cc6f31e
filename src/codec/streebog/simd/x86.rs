//! Which vector units the processor has, and the instructions of the wide kernel.

use std::arch::x86_64::{
    __m512i, _mm512_gf2p8affine_epi64_epi8, _mm512_mask_blend_epi8, _mm512_movepi8_mask,
    _mm512_permutex2var_epi8, _mm512_permutexvar_epi8, _mm512_permutexvar_epi64, _mm512_set_epi64,
    _mm512_set1_epi64, _mm512_xor_si512,
};

use super::narrow;
use super::wide::{self, Vector};
use crate::codec::streebog::{Block, Kernel};

/// Kernels that the processor can run, the fastest first.
pub(super) fn kernels() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    let wide = is_x86_feature_detected!("gfni")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi");
    if wide {
        // SAFETY: the features have just been found.
        let compress: fn(&mut Block, &Block, &Block) =
            |state, counter, message| unsafe { gfni(state, counter, message) };
        kernels.push(Kernel { name: "gfni", compress });
    }
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the feature has just been found.
        let compress: fn(&mut Block, &Block, &Block) =
            |state, counter, message| unsafe { narrow::compress(state, counter, message) };
        kernels.push(Kernel { name: "avx2", compress });
    }
    kernels
}

#[target_feature(enable = "gfni,avx512f,avx512bw,avx512vbmi")]
fn gfni(state: &mut Block, counter: &Block, message: &Block) {
    // SAFETY: this function has what the vector needs.
    unsafe { wide::compress::<__m512i>(state, counter, message) }
}

impl Vector for __m512i {
    #[inline(always)]
    unsafe fn load(words: &Block) -> Self {
        let [a, b, c, d, e, f, g, h] = words.map(u64::cast_signed);
        // SAFETY: the caller has AVX-512F.
        unsafe { _mm512_set_epi64(h, g, f, e, d, c, b, a) }
    }

    #[inline(always)]
    unsafe fn store(self) -> Block {
        // SAFETY: both are 64 bytes without padding, and every value of them is valid.
        unsafe { std::mem::transmute::<Self, Block>(self) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: the caller has AVX-512F.
        unsafe { _mm512_xor_si512(self, other) }
    }

    #[inline(always)]
    unsafe fn pick(self, low: Self, high: Self) -> Self {
        // SAFETY: the caller has AVX-512VBMI.
        unsafe { _mm512_permutex2var_epi8(low, self, high) }
    }

    #[inline(always)]
    unsafe fn choose(self, low: Self, high: Self) -> Self {
        // SAFETY: the caller has AVX-512BW.
        unsafe { _mm512_mask_blend_epi8(_mm512_movepi8_mask(self), low, high) }
    }

    #[inline(always)]
    unsafe fn spread(self, word: u8) -> Self {
        // SAFETY: the caller has AVX-512F.
        unsafe { _mm512_permutexvar_epi64(_mm512_set1_epi64(i64::from(word)), self) }
    }

    #[inline(always)]
    unsafe fn multiply(self, matrices: Self) -> Self {
        // SAFETY: the caller has GFNI and AVX-512F.
        unsafe { _mm512_gf2p8affine_epi64_epi8::<0>(self, matrices) }
    }

    #[inline(always)]
    unsafe fn rearrange(self, from: Self) -> Self {
        // SAFETY: the caller has AVX-512VBMI.
        unsafe { _mm512_permutexvar_epi8(from, self) }
    }
}
