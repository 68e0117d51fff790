//! Copies of short runs, a vector at a time.
//!
//! A run of a few dozen elements is done before a call of `memcpy` would have found its way. These work in whole vectors
//! and may write past the run's end, up to the next whole vector.

use super::image_tile::first_bits;
use crate::simd::{Arithmetic, Simd, unroll};

/// How an axis of a copy is made up: zeros, elements, and zeros again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Padded {
    pub(crate) before: usize,
    pub(crate) len: usize,
    pub(crate) behind: usize,
}

impl Padded {
    fn total(&self) -> usize {
        self.before + self.len + self.behind
    }
}

/// Parts of some planes that become planes of another pitch, with zeros around each.
///
/// Rows are written in order, and what is written past the end of a row is overwritten by the next one; behind each plane is
/// room for a vector.
pub(crate) struct CopyPlanes<'a, T> {
    pub(crate) planes: usize,
    pub(crate) rows: Padded,
    pub(crate) columns: Padded,
    /// Begins with the first element.
    pub(crate) from: &'a [T],
    /// From one plane, row and element to the next.
    pub(crate) from_pitch: [usize; 3],
    pub(crate) to: &'a mut [T],
    /// From one plane and row to the next.
    pub(crate) to_pitch: [usize; 2],
}

impl<T: Arithmetic> CopyPlanes<'_, T> {
    #[inline(always)]
    pub(crate) fn run<S: Simd<T>>(mut self, simd: S) {
        match (self.columns.total().div_ceil(S::LANES), self.from_pitch[2]) {
            (1, 1) => self.run_planes::<S, 1, 1>(simd),
            (2, 1) => self.run_planes::<S, 2, 1>(simd),
            (3, 1) => self.run_planes::<S, 3, 1>(simd),
            (4, 1) => self.run_planes::<S, 4, 1>(simd),
            (1, 2) => self.run_planes::<S, 1, 2>(simd),
            (2, 2) => self.run_planes::<S, 2, 2>(simd),
            (_, 1) => self.run_planes::<S, 0, 1>(simd),
            (_, 2) => self.run_planes::<S, 0, 2>(simd),
            _ => self.run_planes::<S, 0, 0>(simd),
        }
    }

    /// Planes with rows of `V` vectors, zeros included, or of any number if that is 0, from every first or every second element, or from any if `STEP` is 0.
    #[inline(always)]
    fn run_planes<S: Simd<T>, const V: usize, const STEP: usize>(&mut self, simd: S) {
        let (rows, vectors) = (self.rows, self.columns.total().div_ceil(S::LANES));
        let mut masks = [simd.mask(0); V];
        unroll!(VECTOR < V, at most 4, {
            masks[VECTOR] = self.mask(simd, VECTOR);
        });
        // Of more vectors the first has all zeros before the elements, and the last two those behind.
        let Padded { before, len, .. } = self.columns;
        let long = STEP > 0 && vectors > 2 && before <= S::LANES && before + len >= (vectors - 2) * S::LANES;
        let [last_but_one, last] = [vectors.saturating_sub(2), vectors.saturating_sub(1)];
        let ends = [self.mask(simd, 0), self.mask(simd, last_but_one), self.mask(simd, last)];
        for plane in 0..self.planes {
            self.fill(simd, plane, 0, rows.before);
            for row in 0..rows.len {
                let done = if V > 0 {
                    self.run_vectors::<S, V, STEP>(simd, plane, row, masks)
                } else {
                    long && self.run_long::<S, STEP>(simd, plane, row, vectors, ends)
                };
                if !done {
                    self.run_row(simd, plane, row);
                }
            }
            self.fill(simd, plane, rows.before + rows.len, rows.behind);
        }
    }

    /// Which lanes of a vector of each row are elements.
    #[inline(always)]
    fn mask<S: Simd<T>>(&self, simd: S, vector: usize) -> S::Mask {
        let Padded { before, len, .. } = self.columns;
        let [before, end] = [before, before + len].map(|end| end.saturating_sub(vector * S::LANES).min(S::LANES));
        simd.mask(first_bits(end) & !first_bits(before))
    }

    /// A row of `V` vectors, if there is room to read and write whole ones: what lies around it is read too, and masked.
    #[inline(always)]
    fn run_vectors<S: Simd<T>, const V: usize, const STEP: usize>(
        &mut self,
        simd: S,
        plane: usize,
        row: usize,
        masks: [S::Mask; V],
    ) -> bool {
        let Some((from, to)) = self.vectors::<S, STEP>(plane, row, V) else { return false };
        unroll!(VECTOR < V, at most 4, {
            let vector = load_step::<T, S, STEP>(simd, &from[VECTOR * S::LANES * STEP..]);
            simd.store(simd.keep(vector, masks[VECTOR]), &mut to[VECTOR * S::LANES..]);
        });
        true
    }

    /// The same of more, of which the first and the last two are masked.
    #[inline(always)]
    fn run_long<S: Simd<T>, const STEP: usize>(
        &mut self,
        simd: S,
        plane: usize,
        row: usize,
        vectors: usize,
        masks: [S::Mask; 3],
    ) -> bool {
        let Some((from, to)) = self.vectors::<S, STEP>(plane, row, vectors) else { return false };
        let last = (vectors - 2) * S::LANES;
        simd.store(simd.keep(load_step::<T, S, STEP>(simd, from), masks[0]), to);
        // No iterators: those of chunks, zipped, are not inlined.
        let mut place = S::LANES;
        while place < last {
            simd.store(load_step::<T, S, STEP>(simd, &from[place * STEP..]), &mut to[place..]);
            place += S::LANES;
        }
        unroll!(LAST < 2, at most 2, {
            let place = last + LAST * S::LANES;
            let vector = load_step::<T, S, STEP>(simd, &from[place * STEP..]);
            simd.store(simd.keep(vector, masks[1 + LAST]), &mut to[place..]);
        });
        true
    }

    /// What so many vectors of a row are read from and written to, zeros included.
    #[inline(always)]
    fn vectors<S: Simd<T>, const STEP: usize>(
        &mut self,
        plane: usize,
        row: usize,
        vectors: usize,
    ) -> Option<(&[T], &mut [T])> {
        let (from, to) = self.places(plane, row);
        let from = from.checked_sub(self.columns.before * STEP)?;
        Some((self.from.get(from..from + vectors * S::LANES * STEP)?, self.to.get_mut(to..to + vectors * S::LANES)?))
    }

    /// Where a row begins.
    #[inline(always)]
    fn places(&self, plane: usize, row: usize) -> (usize, usize) {
        let from = plane * self.from_pitch[0] + row * self.from_pitch[1];
        (from, plane * self.to_pitch[0] + (self.rows.before + row) * self.to_pitch[1])
    }

    /// Zeros for some rows of a plane.
    #[inline(always)]
    fn fill<S: Simd<T>>(&mut self, simd: S, plane: usize, first: usize, count: usize) {
        let pitch = self.to_pitch[1];
        fill_run(simd, &mut self.to[plane * self.to_pitch[0] + first * pitch..], count * pitch);
    }

    #[inline(always)]
    fn run_row<S: Simd<T>>(&mut self, simd: S, plane: usize, row: usize) {
        let (from, to) = self.places(plane, row);
        let (from, to) = (&self.from[from..], &mut self.to[to..]);
        let Padded { before, len, behind } = self.columns;
        fill_run(simd, to, before);
        let to = &mut to[before..];
        match self.from_pitch[2] {
            1 => copy_run(simd, from, to, len),
            2 => copy_even_run(simd, from, to, len),
            step => {
                // A loop that steps by itself would begin with a division.
                let mut place = 0;
                for to in &mut to[..len] {
                    *to = from[place];
                    place += step;
                }
            }
        }
        fill_run(simd, &mut to[len..], behind);
    }
}

/// A vector of neighbours, or of every second element.
#[inline(always)]
fn load_step<T: Copy, S: Simd<T>, const STEP: usize>(simd: S, from: &[T]) -> S::Vector {
    if STEP == 1 { simd.load(from) } else { simd.load_even(from) }
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
        // No closure: one that is used in several places is not inlined, and its operations become calls.
        Some(to) => {
            for to in to.chunks_exact_mut(S::LANES) {
                simd.store(simd.splat(T::ZERO), to);
            }
        }
        None => to[..len].fill(T::ZERO),
    }
}

/// As many lanes as there is room for.
#[inline(always)]
pub(crate) fn store_run<T: Copy, S: Simd<T>>(simd: S, vector: S::Vector, to: &mut [T]) {
    if to.len() >= S::LANES {
        simd.store(vector, to);
    } else {
        simd.store_partial(vector, to);
    }
}

/// Copies what there is of a piece of memory that may begin before it or end behind it.
pub(crate) fn copy_there<T: Copy>(memory: &[T], place: isize, to: &mut [T]) {
    let (before, from) = ((-place).max(0).unsigned_abs(), place.max(0).unsigned_abs());
    if before < to.len() && from < memory.len() {
        let count = (to.len() - before).min(memory.len() - from);
        to[before..before + count].copy_from_slice(&memory[from..from + count]);
    }
}
