//! Copies of short runs, a vector at a time.
//!
//! A run of a few dozen elements is done before a call of `memcpy` would have found its way. These work in whole vectors
//! and may write past the run's end, up to the next whole vector.

use crate::simd::{Arithmetic, Simd, unroll};

/// Rows that become rows of another pitch, with zeros before and behind each.
///
/// They are written in order, and what is written past the end of a row is overwritten by the next one.
pub(crate) struct CopyRows<'a, T> {
    pub(crate) rows: usize,
    /// Where the first row's elements are; they are `step` elements apart.
    pub(crate) from: &'a [T],
    pub(crate) from_pitch: usize,
    pub(crate) step: usize,
    pub(crate) to: &'a mut [T],
    pub(crate) to_pitch: usize,
    /// Zeros, elements, and zeros again.
    pub(crate) before: usize,
    pub(crate) len: usize,
    pub(crate) behind: usize,
}

impl<T: Arithmetic> CopyRows<'_, T> {
    #[inline(always)]
    pub(crate) fn run<S: Simd<T>>(mut self, simd: S) {
        let short = self.before <= S::LANES && self.behind <= S::LANES && self.step <= 2;
        match (self.len.div_ceil(S::LANES), self.step) {
            (1, 1) if short => self.run_vectors::<S, 1, 1>(simd),
            (2, 1) if short => self.run_vectors::<S, 2, 1>(simd),
            (3, 1) if short => self.run_vectors::<S, 3, 1>(simd),
            (4, 1) if short => self.run_vectors::<S, 4, 1>(simd),
            (1, 2) if short => self.run_vectors::<S, 1, 2>(simd),
            (2, 2) if short => self.run_vectors::<S, 2, 2>(simd),
            _ => (0..self.rows).for_each(|row| self.run_row(simd, row)),
        }
    }

    /// Rows of `V` vectors.
    #[inline(always)]
    fn run_vectors<S: Simd<T>, const V: usize, const STEP: usize>(&mut self, simd: S) {
        let zero = simd.splat(T::ZERO);
        for row in 0..self.rows {
            let (from_at, to_at) = (row * self.from_pitch, row * self.to_pitch);
            let from = self.from.get(from_at..from_at + V * S::LANES * STEP);
            let to = self.to.get_mut(to_at..to_at + (V + 2) * S::LANES);
            let (Some(from), Some(to)) = (from, to) else {
                self.run_row(simd, row);
                continue;
            };
            simd.store(zero, to);
            let to = &mut to[self.before..];
            unroll!(VECTOR < V, at most 4, {
                let from = &from[VECTOR * S::LANES * STEP..];
                let vector = if STEP == 1 { simd.load(from) } else { simd.load_even(from) };
                simd.store(vector, &mut to[VECTOR * S::LANES..]);
            });
            if self.behind > 0 {
                simd.store(zero, &mut to[self.len..]);
            }
        }
    }

    #[inline(always)]
    fn run_row<S: Simd<T>>(&mut self, simd: S, row: usize) {
        let (from, to) = (&self.from[row * self.from_pitch..], &mut self.to[row * self.to_pitch..]);
        fill_run(simd, to, self.before);
        let to = &mut to[self.before..];
        match self.step {
            1 => copy_run(simd, from, to, self.len),
            2 => copy_even_run(simd, from, to, self.len),
            step => to[..self.len].iter_mut().zip(from.iter().step_by(step)).for_each(|(to, from)| *to = *from),
        }
        fill_run(simd, &mut to[self.len..], self.behind);
    }
}

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
