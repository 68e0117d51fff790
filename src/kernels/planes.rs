//! Direct convolution of single output channels with any kernel: a few rows by one or two vectors of pixels.
//!
//! ```text
//! for block of taps:                    # 256: one partial sum
//!     for tap in block:
//!         for r in 0..R: acc[r][0..V] += weight * pixels[tap][r][0..V]
//!     sum += acc, acc = 0
//! output[r] = sum[r]
//! ```
//!
//! A row of input is loaded again for each row of taps that sees it. To load it once, and add it to all rows of output that see it, takes another set of
//! registers at the first and last rows of taps: it was slower for every size of kernel that is not known to the compiler.

use core::ops::Range;

use super::copy::store_run;
use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// Rows of a tile.
const ROWS: usize = 4;

/// One output channel of a region.
pub(crate) struct Plane<'a, 'o, T> {
    /// From the first pixel under the first tap on.
    pub(crate) pixels: &'a [T],
    /// Where the first pixel under each tap lies, in the order of the sum.
    pub(crate) offsets: &'a [u32],
    /// The taps of each block.
    pub(crate) blocks: &'a [Range<usize>],
    pub(crate) weights: &'a [T],
    pub(crate) bias: T,
    /// Elements from the pixels of a row of output to those of the next one.
    pub(crate) pitch: usize,
    pub(crate) output: &'o mut [T],
    /// Rows and columns of the output, which has no gaps.
    pub(crate) size: [usize; 2],
}

impl<T: Arithmetic> Kernel<T> for Plane<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(mut self, simd: S) {
        let (rows, last_tap) = (self.size[0], self.offsets.iter().copied().max().unwrap_or(0) as usize);
        let mut row = 0;
        while row < rows {
            if rows >= ROWS {
                // The last tile computes some rows again.
                self.run_rows::<S, ROWS>(simd, row.min(rows - ROWS), last_tap);
                row += ROWS;
            } else {
                self.run_rows::<S, 1>(simd, row, last_tap);
                row += 1;
            }
        }
    }
}

impl<T: Arithmetic> Plane<'_, '_, T> {
    #[inline(always)]
    fn run_rows<S: Simd<T>, const R: usize>(&mut self, simd: S, row: usize, last_tap: usize) {
        let mut column = 0;
        while column < self.size[1] {
            let two = column + S::LANES < self.size[1];
            let vectors = if two { 2 } else { 1 };
            // Whether there is a whole vector behind every tap.
            let end = (row + R - 1) * self.pitch + column + last_tap + vectors * S::LANES;
            match (two, end <= self.pixels.len()) {
                (true, true) => self.run_tile::<S, R, 2, true>(simd, row, column),
                (true, false) => self.run_tile::<S, R, 2, false>(simd, row, column),
                (false, true) => self.run_tile::<S, R, 1, true>(simd, row, column),
                (false, false) => self.run_tile::<S, R, 1, false>(simd, row, column),
            }
            column += vectors * S::LANES;
        }
    }

    /// Unless pixels come in `WHOLE` vectors, no more are read than there are in a row.
    #[inline(always)]
    fn run_tile<S: Simd<T>, const R: usize, const V: usize, const WHOLE: bool>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
    ) {
        // 32 bits: sums of such numbers cannot overflow, and one comparison is enough to check a range.
        let pitch = self.pitch as u32 as usize;
        let pixels = &self.pixels[row * pitch + column..];
        let len = if WHOLE { V * S::LANES } else { (self.size[1] - column).min(V * S::LANES) };
        let mut sums = [[simd.splat(self.bias); V]; R];
        for block in self.blocks {
            let mut part = [[simd.splat(T::ZERO); V]; R];
            for (&offset, &weight) in self.offsets[block.clone()].iter().zip(&self.weights[block.clone()]) {
                let pixels = &pixels[offset as usize..offset as usize + (R - 1) * pitch + len];
                let weight = simd.splat(weight);
                unroll!(ROW < R, at most 4, {
                    let pixels = &pixels[ROW * pitch..][..len];
                    unroll!(VECTOR < V, at most 2, {
                        let x = if WHOLE {
                            simd.load(&pixels[VECTOR * S::LANES..])
                        } else {
                            simd.load_partial(&pixels[VECTOR * S::LANES..len.min((VECTOR + 1) * S::LANES)])
                        };
                        part[ROW][VECTOR] = simd.fma(x, weight, part[ROW][VECTOR]);
                    });
                });
            }
            unroll!(ROW < R, at most 4, {
                unroll!(VECTOR < V, at most 2, {
                    sums[ROW][VECTOR] = simd.add(sums[ROW][VECTOR], part[ROW][VECTOR]);
                });
            });
        }
        unroll!(ROW < R, at most 4, {
            let to = &mut self.output[(row + ROW) * self.size[1]..][..self.size[1]][column..];
            unroll!(VECTOR < V, at most 2, {
                store_run(simd, sums[ROW][VECTOR], &mut to[VECTOR * S::LANES..]);
            });
        });
    }
}
