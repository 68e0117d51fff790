//! Direct convolution of single channels with a small kernel, straight from the image: a few rows by one or two vectors of pixels.
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
/// Rows that are worked on from left to right before those below: more make fewer masks, but memory is read fastest row by row.
const BAND: usize = 16;
/// Columns from which a band is one tile high, and from which the rows below are asked for ahead of time. Measured with
/// `cargo bench --bench layers`: 1.7 to 2.8 times as fast beyond the caches, 1.07 at 112 columns, nothing at 56.
const WIDE: usize = 256;
const FAR: usize = 64;
/// Rows of input under a tile, at most.
const INPUTS: usize = 16;
/// Elements of one of them that a tile sees, at most.
const MOST: usize = 80;

/// A region of some output channels, with the kernel's size and step. The output has no gaps.
pub(crate) struct ImagePlanes<'a, 'o, T, const HEIGHT: usize, const WIDTH: usize, const STEP: usize> {
    /// The image and what lies around it.
    pub(crate) memory: &'a [T],
    /// Where in that memory the first channel of input begins.
    pub(crate) start: usize,
    /// Output channels of each channel of input.
    pub(crate) multiplier: usize,
    /// Rows and columns of the image.
    pub(crate) image: [usize; 2],
    /// Input position under the first tap for the region's first pixel.
    pub(crate) origin: [isize; 2],
    /// `[channel][kh][kw]`.
    pub(crate) weights: &'a [T],
    pub(crate) bias: Option<&'a [T]>,
    pub(crate) output: &'o mut [T],
    /// Rows and columns of the output.
    pub(crate) size: [usize; 2],
}

impl<T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize> Kernel<T>
    for ImagePlanes<'_, '_, T, HEIGHT, WIDTH, STEP>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let ImagePlanes { memory, image, origin, size, .. } = self;
        let planes = self.output.chunks_exact_mut(size[0] * size[1]);
        for (channel, (output, weights)) in planes.zip(self.weights.chunks_exact(HEIGHT * WIDTH)).enumerate() {
            let start = self.start + channel / self.multiplier * image[0] * image[1];
            let bias = self.bias.map_or(T::ZERO, |bias| bias[channel]);
            let mut plane =
                Plane::<T, HEIGHT, WIDTH, STEP> { memory, start, image, origin, weights, bias, output, size };
            plane.run(simd);
        }
    }
}

/// One output channel.
struct Plane<'a, 'o, T, const HEIGHT: usize, const WIDTH: usize, const STEP: usize> {
    memory: &'a [T],
    start: usize,
    image: [usize; 2],
    origin: [isize; 2],
    weights: &'a [T],
    bias: T,
    output: &'o mut [T],
    size: [usize; 2],
}

impl<'a, T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize>
    Plane<'a, '_, T, HEIGHT, WIDTH, STEP>
{
    #[inline(always)]
    fn run<S: Simd<T>>(&mut self, simd: S) {
        let [rows, columns] = self.size;
        let zeros = [T::ZERO; MOST];
        let mut band = 0;
        while band < rows {
            let end = rows.min(band + if columns < WIDE { BAND } else { ROWS });
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
        let mut masks = [[simd.mask(u32::MAX); V]; WIDTH];
        let first = self.origin[1] + (column * STEP) as isize;
        let masked = first < 0 || first as usize + (V * S::LANES - 1) * STEP + WIDTH > self.image[1];
        if masked {
            unroll!(COLUMN < WIDTH, at most 8, {
                unroll!(VECTOR < V, at most 2, {
                    // The lanes that see the image.
                    let first = first + (VECTOR * S::LANES * STEP + COLUMN) as isize;
                    let [before, upto] = [0, self.image[1] as isize]
                        .map(|limit| (limit - first).max(0).unsigned_abs().div_ceil(STEP).min(S::LANES));
                    masks[COLUMN][VECTOR] = simd.mask(first_bits(upto) & !first_bits(before));
                });
            });
        }
        if S::FREE_MASKS || masked {
            self.run_rows::<S, V, true>(simd, [start, end], column, &masks, zeros);
        } else {
            self.run_rows::<S, V, false>(simd, [start, end], column, &masks, zeros);
        }
    }

    /// With `MASKED` some lanes may see no pixel of the image.
    #[inline(always)]
    fn run_rows<S: Simd<T>, const V: usize, const MASKED: bool>(
        &mut self,
        simd: S,
        [start, end]: [usize; 2],
        column: usize,
        masks: &[[S::Mask; V]; WIDTH],
        zeros: &[T; MOST],
    ) {
        let rows = self.size[0];
        let mut row = start;
        while row < end {
            if rows >= ROWS {
                self.run_tile::<S, ROWS, V, MASKED>(simd, row.min(rows - ROWS), column, masks, zeros);
                row += ROWS;
            } else {
                self.run_tile::<S, 1, V, MASKED>(simd, row, column, masks, zeros);
                row += 1;
            }
        }
    }

    #[inline(always)]
    fn run_tile<S: Simd<T>, const R: usize, const V: usize, const MASKED: bool>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        masks: &[[S::Mask; V]; WIDTH],
        zeros: &[T; MOST],
    ) {
        let end = self.size[1].min(column + V * S::LANES);
        let held;
        let inputs = match self.rows_under::<S, R, V>(zeros, row, column) {
            Some(inputs) => inputs,
            None => {
                held = self.held_rows(row, column);
                let mut inputs = [&zeros[..]; INPUTS];
                for (input, held) in inputs.iter_mut().zip(&held) {
                    *input = &held[..V * S::LANES * STEP + WIDTH - 1];
                }
                inputs
            }
        };
        if self.size[1] >= FAR {
            // What the tile below will see and this one does not: too far from row to row for the machine to guess it.
            unroll!(AHEAD < R * STEP, at most 8, {
                let row = self.origin[0] + (row * STEP + (R - 1) * STEP + HEIGHT + AHEAD) as isize;
                let place = self.start as isize + row * self.image[1] as isize + (column * STEP) as isize;
                unroll!(VECTOR < V, at most 2, {
                    simd.prefetch(self.memory, place as usize + VECTOR * S::LANES);
                });
            });
        }
        let weights = &self.weights[..HEIGHT * WIDTH];
        let mut sums = [[simd.splat(T::ZERO); V]; R];
        unroll!(INPUT < (R - 1) * STEP + HEIGHT, {
            let pixels = inputs[INPUT];
            unroll!(COLUMN < WIDTH, at most 8, {
                let mut x = [simd.splat(T::ZERO); V];
                unroll!(VECTOR < V, at most 2, {
                    let pixels = &pixels[VECTOR * S::LANES * STEP + COLUMN..];
                    let loaded = if STEP == 1 { simd.load(pixels) } else { simd.load_even(pixels) };
                    x[VECTOR] = if MASKED { simd.keep(loaded, masks[COLUMN][VECTOR]) } else { loaded };
                });
                unroll!(ROW < R, at most 4, {
                    if const { is_seen(INPUT, ROW * STEP, HEIGHT) } {
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
        let len = V * S::LANES * STEP + WIDTH - 1;
        let mut rows = [&zeros[..len]; INPUTS];
        unroll!(INPUT < (R - 1) * STEP + HEIGHT, {
            if let Some(place) = self.row_place(row, column, INPUT) {
                rows[INPUT] = self.memory_at(place, len)?;
            }
        });
        Some(rows)
    }

    /// Where what a tile sees of its `input`-th row of input begins, if that is a row of the image: maybe before the memory.
    #[inline(always)]
    fn row_place(&self, row: usize, column: usize, input: usize) -> Option<isize> {
        let [height, width] = self.image;
        let y = self.origin[0] + (row * STEP + input) as isize;
        let x = self.origin[1] + (column * STEP) as isize;
        ((y as usize) < height).then(|| self.start as isize + y * width as isize + x)
    }

    #[inline(always)]
    fn memory_at(&self, place: isize, len: usize) -> Option<&'a [T]> {
        // A place before the memory is a very large one.
        self.memory.get(place as usize..(place as usize).wrapping_add(len))
    }

    /// [`rows_under`](Self::rows_under) at an end of the memory: copies.
    #[cold]
    #[inline(never)]
    fn held_rows(&self, row: usize, column: usize) -> [[T; MOST]; INPUTS] {
        core::array::from_fn(|input| match self.row_place(row, column, input) {
            Some(place) => held_at(self.memory, place),
            None => [T::ZERO; MOST],
        })
    }
}

/// Whether a row of input is under a kernel so high that begins at row `first`.
pub(super) const fn is_seen(input: usize, first: usize, height: usize) -> bool {
    first <= input && input < first + height
}

/// The lowest bits, so many; all of them from 32 on.
pub(super) const fn first_bits(count: usize) -> u32 {
    if count < 32 { (1 << count) - 1 } else { u32::MAX }
}

/// A piece of memory that begins before it or ends behind it, with zeros where there is none.
#[cold]
#[inline(never)]
pub(super) fn held_at<T: Arithmetic>(memory: &[T], place: isize) -> [T; MOST] {
    let mut held = [T::ZERO; MOST];
    let (before, from) = ((-place).max(0) as usize, place.max(0) as usize);
    if before < MOST && from < memory.len() {
        let len = (MOST - before).min(memory.len() - from);
        held[before..before + len].copy_from_slice(&memory[from..from + len]);
    }
    held
}
