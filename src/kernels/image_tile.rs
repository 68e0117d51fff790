//! Direct convolution of one channel with a small kernel, straight from the image: a few rows by one or two vectors of pixels.
//!
//! ```text
//! for input row under the tile:         # loaded once for all rows of output that see it
//!     for column of taps:
//!         x[0..V] = pixels, zeros where they are padding
//!         for r in rows that see it: acc[r][0..V] += weight[r] * x[0..V]
//! output[r] = bias + acc[r]
//! ```
//!
//! The kernel's size and step are constants, so that the accumulators are registers and nothing is looked up. Padding costs a mask. What a
//! mask hides may be anything, a neighbouring row or channel; only at the ends of the image's memory is it nothing.

use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// Rows of a tile.
const ROWS: usize = 4;
/// Rows that are worked on from left to right before those below, so that all that they see stays in cache; and masks are made but once for them.
const BAND: usize = 16;

/// A region of one output channel, with the kernel's size and step.
pub(crate) struct ImagePlane<'a, 'o, T, const HEIGHT: usize, const WIDTH: usize, const STEP: usize> {
    /// The image and what lies around it.
    pub(crate) memory: &'a [T],
    /// Where in that memory the channel begins.
    pub(crate) start: usize,
    /// Rows and columns of the image.
    pub(crate) image: [usize; 2],
    /// Input position under the first tap for the region's first pixel.
    pub(crate) origin: [isize; 2],
    pub(crate) weights: &'a [T],
    pub(crate) bias: T,
    pub(crate) output: &'o mut [T],
    /// Rows and columns of the output, which has no gaps.
    pub(crate) size: [usize; 2],
}

impl<T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize> Kernel<T>
    for ImagePlane<'_, '_, T, HEIGHT, WIDTH, STEP>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(mut self, simd: S) {
        let [rows, columns] = self.size;
        let mut band = 0;
        while band < rows {
            let end = rows.min(band + BAND);
            let mut column = 0;
            while column < columns {
                if column + S::LANES < columns {
                    self.run_column::<S, 2>(simd, band, end, column);
                    column += 2 * S::LANES;
                } else {
                    self.run_column::<S, 1>(simd, band, end, column);
                    column += S::LANES;
                }
            }
            band = end;
        }
    }
}

impl<T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize>
    ImagePlane<'_, '_, T, HEIGHT, WIDTH, STEP>
{
    /// The tiles of some rows, one below the other.
    #[inline(always)]
    fn run_column<S: Simd<T>, const V: usize>(&mut self, simd: S, start: usize, end: usize, column: usize) {
        // A full tile where there is one: then some pixels are computed again.
        let column = if self.size[1] < V * S::LANES { column } else { column.min(self.size[1] - V * S::LANES) };
        let mut masks = [[simd.mask(0, S::LANES); V]; WIDTH];
        unroll!(COLUMN < WIDTH, at most 6, {
            unroll!(VECTOR < V, at most 2, {
                // The lanes that see the image.
                let first = self.origin[1] + ((column + VECTOR * S::LANES) * STEP + COLUMN) as isize;
                let below = |limit: isize| (limit - first).max(0).unsigned_abs().div_ceil(STEP).min(S::LANES);
                masks[COLUMN][VECTOR] = simd.mask(below(0), below(self.image[1] as isize));
            });
        });
        let rows = self.size[0];
        let mut row = start;
        while row < end {
            if rows >= ROWS {
                self.run_tile::<S, ROWS, V>(simd, row.min(rows - ROWS), column, &masks);
                row += ROWS;
            } else {
                self.run_tile::<S, 1, V>(simd, row, column, &masks);
                row += 1;
            }
        }
    }

    #[inline(always)]
    fn run_tile<S: Simd<T>, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        masks: &[[S::Mask; V]; WIDTH],
    ) {
        let [height, width] = self.image;
        let weights = &self.weights[..HEIGHT * WIDTH];
        let top = self.origin[0] + (row * STEP) as isize;
        let place = self.start as isize + top * width as isize + self.origin[1] + (column * STEP) as isize;
        let mut sums = [[simd.splat(T::ZERO); V]; R];
        unroll!(INPUT < (R - 1) * STEP + HEIGHT, {
            let inside = ((top + INPUT as isize) as usize) < height;
            unroll!(COLUMN < WIDTH, at most 6, {
                let mut x = [simd.splat(T::ZERO); V];
                if inside {
                    unroll!(VECTOR < V, at most 2, {
                        let at = place + (INPUT * width + VECTOR * S::LANES * STEP + COLUMN) as isize;
                        x[VECTOR] = simd.keep(load_around::<T, S, STEP>(simd, self.memory, at), masks[COLUMN][VECTOR]);
                    });
                }
                unroll!(ROW < R, at most 4, {
                    if const { ROW * STEP <= INPUT && INPUT < ROW * STEP + HEIGHT } {
                        let weight = simd.splat(weights[(INPUT - ROW * STEP) * WIDTH + COLUMN]);
                        unroll!(VECTOR < V, at most 2, {
                            sums[ROW][VECTOR] = simd.fma(x[VECTOR], weight, sums[ROW][VECTOR]);
                        });
                    }
                });
            });
        });
        let bias = simd.splat(self.bias);
        unroll!(ROW < R, at most 4, {
            let to = &mut self.output[(row + ROW) * self.size[1]..][..self.size[1]][column..];
            unroll!(VECTOR < V, at most 2, {
                let to = &mut to[VECTOR * S::LANES..];
                let sum = simd.add(bias, sums[ROW][VECTOR]);
                if to.len() >= S::LANES {
                    simd.store(sum, to);
                } else {
                    simd.store_partial(sum, to);
                }
            });
        });
    }
}

/// Every first or second element from a place on, which may lie before the memory; zeros where there is none.
#[inline(always)]
fn load_around<T: Arithmetic, S: Simd<T>, const STEP: usize>(simd: S, memory: &[T], start: isize) -> S::Vector {
    let len = STEP * S::LANES;
    if start >= 0 && start as usize + len <= memory.len() {
        let from = &memory[start as usize..start as usize + len];
        return if STEP == 1 { simd.load(from) } else { simd.load_even(from) };
    }
    let mut part = [T::ZERO; MOST];
    copy_around(memory, start, &mut part[..len]);
    if STEP == 1 { simd.load(&part) } else { simd.load_even(&part) }
}

/// Elements under the longest vector with the largest step.
const MOST: usize = 32;

#[cold]
#[inline(never)]
fn copy_around<T: Copy>(memory: &[T], start: isize, to: &mut [T]) {
    for (index, to) in (start..).zip(to) {
        if let Some(from) = usize::try_from(index).ok().and_then(|index| memory.get(index)) {
            *to = *from;
        }
    }
}
