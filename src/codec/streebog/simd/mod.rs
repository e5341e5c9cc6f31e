//! The compression function on vector units: AVX2, and AVX-512 with GFNI.
//!
//! The only place of the crate with `unsafe`: functions that need features of the processor are
//! called after these have been looked for, and never read memory through pointers.

#![allow(
    clippy::inline_always,
    clippy::many_single_char_names,
    clippy::cast_possible_truncation,
    reason = "vectors stay in registers, and what is cast is a byte or half of one"
)]
#![expect(unsafe_code, reason = "vector instructions that not every processor has")]

#[cfg(target_arch = "x86_64")]
mod narrow;
mod wide;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::Kernel;

/// Kernels that the processor can run, the fastest first.
pub(super) fn kernels() -> Vec<Kernel> {
    #[cfg(target_arch = "x86_64")]
    return x86::kernels();
    #[cfg(not(target_arch = "x86_64"))]
    return Vec::new();
}

/// The GFNI kernel on vectors of bytes in memory, for machines that do not have these instructions.
#[cfg(test)]
pub(super) const EMULATED: Kernel = Kernel {
    name: "gfni emulated",
    // SAFETY: this vector needs nothing of the processor.
    compress: |state, counter, message| unsafe {
        wide::compress::<wide::Emulated>(state, counter, message);
    },
};
