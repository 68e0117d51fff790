//! Copies of short runs, a vector at a time.
//!
//! A run of a few dozen elements is done before a call of `memcpy` would have found its way. These work in whole vectors
//! and may write past the run's end, up to the next whole vector.

use crate::simd::{Arithmetic, Simd};

/// Copies `from[..len]` to `to[..len]`, and what follows up to a whole vector where both have it.
#[inline(always)]
pub(crate) fn copy_run<T: Copy, S: Simd<T>>(simd: S, from: &[T], to: &mut [T], len: usize) {
    let whole = len.next_multiple_of(S::LANES);
    match (from.get(..whole), to.get_mut(..whole)) {
        (Some(from), Some(to)) => {
            for (from, to) in from.chunks_exact(S::LANES).zip(to.chunks_exact_mut(S::LANES)) {
                simd.store(simd.load(from), to);
            }
        }
        _ => to[..len].copy_from_slice(&from[..len]),
    }
}

/// Copies `from[0]`, `from[2]` and so on to `to[..len]`, and what follows up to a whole vector where both have it.
#[inline(always)]
pub(crate) fn copy_even_run<T: Copy, S: Simd<T>>(simd: S, from: &[T], to: &mut [T], len: usize) {
    let whole = len.next_multiple_of(S::LANES);
    match (from.get(..2 * whole), to.get_mut(..whole)) {
        (Some(from), Some(to)) => {
            for (from, to) in from.chunks_exact(2 * S::LANES).zip(to.chunks_exact_mut(S::LANES)) {
                simd.store(simd.load_even(from), to);
            }
        }
        _ => to[..len].iter_mut().zip(from.iter().step_by(2)).for_each(|(to, from)| *to = *from),
    }
}

/// Sets `to[..len]` to zero, and what follows up to a whole vector where there is more.
#[inline(always)]
pub(crate) fn fill_run<T: Arithmetic, S: Simd<T>>(simd: S, to: &mut [T], len: usize) {
    let whole = len.next_multiple_of(S::LANES);
    match to.get_mut(..whole) {
        Some(to) => to.chunks_exact_mut(S::LANES).for_each(|to| simd.store(simd.splat(T::ZERO), to)),
        None => to[..len].fill(T::ZERO),
    }
}
