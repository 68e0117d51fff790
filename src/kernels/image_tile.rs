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

use core::ops::Range;

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
        let zeros = [T::ZERO; MOST];
        let mut band = 0;
        while band < rows {
            let end = rows.min(band + BAND);
            let mut column = 0;
            while column < columns {
                if column + S::LANES < columns {
                    self.run_column::<S, 2>(simd, [band, end], column, &zeros);
                    column += 2 * S::LANES;
                } else {
                    self.run_column::<S, 1>(simd, [band, end], column, &zeros);
                    column += S::LANES;
                }
            }
            band = end;
        }
    }
}

impl<'a, T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize>
    ImagePlane<'a, '_, T, HEIGHT, WIDTH, STEP>
{
    /// The tiles of some rows, one below the other.
    #[inline(always)]
    fn run_column<S: Simd<T>, const V: usize>(
        &mut self,
        simd: S,
        [start, end]: [usize; 2],
        column: usize,
        zeros: &[T; MOST],
    ) {
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
                self.run_tile::<S, ROWS, V>(simd, row.min(rows - ROWS), column, &masks, zeros);
                row += ROWS;
            } else {
                self.run_tile::<S, 1, V>(simd, row, column, &masks, zeros);
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
        zeros: &[T; MOST],
    ) {
        let end = self.size[1].min(column + V * S::LANES);
        let Some(inputs) = self.rows_under::<S, R, V>(zeros, row, column) else {
            return self.run_slowly(row..row + R, column..end);
        };
        let weights = &self.weights[..HEIGHT * WIDTH];
        let mut sums = [[simd.splat(T::ZERO); V]; R];
        unroll!(INPUT < (R - 1) * STEP + HEIGHT, {
            let pixels = inputs[INPUT];
            unroll!(COLUMN < WIDTH, at most 6, {
                let mut x = [simd.splat(T::ZERO); V];
                unroll!(VECTOR < V, at most 2, {
                    let pixels = &pixels[VECTOR * S::LANES * STEP + COLUMN..];
                    let loaded = if STEP == 1 { simd.load(pixels) } else { simd.load_even(pixels) };
                    x[VECTOR] = simd.keep(loaded, masks[COLUMN][VECTOR]);
                });
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
            unroll!(VECTOR < V, at most 2, {
                sums[ROW][VECTOR] = simd.add(bias, sums[ROW][VECTOR]);
            });
        });
        let rows = &mut self.output[row * self.size[1]..(row + R) * self.size[1]];
        // One question for all rows: with one for each, the compiler works on one row after the other and keeps the pixels in memory meanwhile.
        if end - column == V * S::LANES {
            unroll!(ROW < R, at most 4, {
                let to = &mut rows[ROW * self.size[1] + column..][..V * S::LANES];
                unroll!(VECTOR < V, at most 2, {
                    simd.store(sums[ROW][VECTOR], &mut to[VECTOR * S::LANES..]);
                });
            });
        } else {
            unroll!(ROW < R, at most 4, {
                let to = &mut rows[ROW * self.size[1] + column..ROW * self.size[1] + end];
                let (whole, part) = to.split_at_mut((V - 1) * S::LANES);
                if V == 2 {
                    simd.store(sums[ROW][0], whole);
                }
                simd.store_partial(sums[ROW][V - 1], part);
            });
        }
    }

    /// What a tile sees of each row of input; nothing if that is not all in memory.
    #[inline(always)]
    fn rows_under<'z, S: Simd<T>, const R: usize, const V: usize>(
        &self,
        zeros: &'z [T; MOST],
        row: usize,
        column: usize,
    ) -> Option<[&'z [T]; INPUTS]>
    where
        'a: 'z,
    {
        let [height, width] = self.image;
        let len = V * S::LANES * STEP + WIDTH - 1;
        let mut rows = [&zeros[..len]; INPUTS];
        let top = self.origin[0] + (row * STEP) as isize;
        let place = self.start as isize + top * width as isize + self.origin[1] + (column * STEP) as isize;
        unroll!(INPUT < (R - 1) * STEP + HEIGHT, {
            if ((top + INPUT as isize) as usize) < height {
                // A place before the memory is a very large one.
                let at = (place + (INPUT * width) as isize) as usize;
                rows[INPUT] = self.memory.get(at..at.wrapping_add(len))?;
            }
        });
        Some(rows)
    }

    /// Computes some pixels one by one.
    #[cold]
    #[inline(never)]
    fn run_slowly(&mut self, rows: Range<usize>, columns: Range<usize>) {
        let [height, width] = self.image;
        for (row, column) in rows.flat_map(|row| columns.clone().map(move |column| (row, column))) {
            let mut sum = T::ZERO;
            for (tap, weight) in self.weights.iter().enumerate() {
                let y = self.origin[0] + (row * STEP + tap / WIDTH) as isize;
                let x = self.origin[1] + (column * STEP + tap % WIDTH) as isize;
                let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
                let pixel = if inside { self.memory[self.start + y as usize * width + x as usize] } else { T::ZERO };
                sum = pixel.fma(*weight, sum);
            }
            self.output[row * self.size[1] + column] = self.bias.plus(sum);
        }
    }
}

/// Rows of input under a tile, at most.
const INPUTS: usize = 16;
/// Elements of one of them that a tile sees, at most.
const MOST: usize = 80;
