//! Copies and fills of short runs, a vector at a time.
//!
//! A run of a few dozen elements is done before a call of `memcpy` would have found its way, so these
//! work in whole vectors and may write past the run's end, up to the next whole vector. Callers write
//! runs in ascending order and keep [`SLACK`] elements behind the last one.

use crate::simd::Simd;

/// Elements that a copy or a fill may write behind its run: less than a vector of any instruction set.
pub(crate) const SLACK: usize = 64;

/// Copies `from[..len]` to `to[..len]`, and what follows up to a whole vector where `from` has it.
#[inline(always)]
pub(crate) fn copy_run<T: Copy, S: Simd<T>>(simd: S, from: &[T], to: &mut [T], len: usize) {
    let whole = len.next_multiple_of(S::LANES);
    if whole <= from.len() {
        let (from, to) = (&from[..whole], &mut to[..whole]);
        for (from, to) in from.chunks_exact(S::LANES).zip(to.chunks_exact_mut(S::LANES)) {
            simd.store(simd.load(from), to);
        }
    } else {
        to[..len].copy_from_slice(&from[..len]);
    }
}

/// Writes `value` to `to[..len]`, and on up to a whole vector.
#[inline(always)]
pub(crate) fn fill_run<T: Copy, S: Simd<T>>(simd: S, value: T, to: &mut [T], len: usize) {
    let vector = simd.splat(value);
    for to in to[..len.next_multiple_of(S::LANES)].chunks_exact_mut(S::LANES) {
        simd.store(vector, to);
    }
}
