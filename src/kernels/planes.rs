//! The register tile of direct convolution: a few rows by one or two vectors of pixels of one output channel.
//!
//! ```text
//! for segment of taps:                  # rows × columns of taps in one input channel
//!     for input row under the tile:     # loaded once for all rows of output that see it
//!         for column of taps:
//!             x[0..V] = pixels          # V vectors
//!             for r in rows that see it: acc[r][0..V] += weight[r] * x[0..V]
//!     at the end of a block of taps: total += acc, acc = 0
//! output[r] = total[r]
//! ```
//!
//! Each output element's taps come in order, since its rows of taps do: the order of summation is the contract. Where few channels are summed
//! over, nothing is gained by more output channels at a time, and much by loading each pixel once.

use core::ops::Range;

use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// Rows of a tile.
const ROWS: usize = 4;

/// Taps of one input channel that are summed one after the other: whole rows of taps, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) channel: usize,
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    /// Whether a block of taps ends with it.
    pub(crate) ends_block: bool,
}

/// The taps of an output channel, and where their pixels lie.
#[derive(Clone, Copy)]
pub(crate) struct Taps<'a> {
    /// Rows and columns of taps.
    pub(crate) kernel: [usize; 2],
    pub(crate) segments: &'a [Segment],
    /// Where the first pixel under each tap of a channel lies.
    pub(crate) offsets: &'a [u32],
    /// Elements from a channel's pixels to the next one's.
    pub(crate) distance: usize,
    /// Rows of output that share rows of input are so far apart.
    pub(crate) spacing: usize,
    /// And the rows of taps under which they share them so far.
    pub(crate) step: usize,
}

/// One output channel of a region.
pub(crate) struct Plane<'a, 'o, T> {
    pub(crate) taps: Taps<'a>,
    /// `[channel][kh][kw]`.
    pub(crate) weights: &'a [T],
    pub(crate) bias: T,
    /// From the first pixel under the first tap on.
    pub(crate) pixels: &'a [T],
    /// Elements from the pixels of a row of output to those of the next one.
    pub(crate) pitch: usize,
    pub(crate) output: &'o mut [T],
    pub(crate) output_pitch: usize,
    /// Rows and columns of the output.
    pub(crate) size: [usize; 2],
}

impl<T: Arithmetic> Kernel<T> for Plane<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(mut self, simd: S) {
        let Taps { spacing, .. } = self.taps;
        for first in 0..spacing.min(self.size[0]) {
            // Of the rows that share input.
            let rows = (self.size[0] - first).div_ceil(spacing);
            let mut row = 0;
            while row < rows {
                if rows >= ROWS {
                    // The last tile computes some rows again.
                    row = row.min(rows - ROWS);
                    self.run_rows::<S, ROWS>(simd, first + row * spacing);
                    row += ROWS;
                } else {
                    self.run_rows::<S, 1>(simd, first + row * spacing);
                    row += 1;
                }
            }
        }
    }
}

impl<T: Arithmetic> Plane<'_, '_, T> {
    #[inline(always)]
    fn run_rows<S: Simd<T>, const R: usize>(&mut self, simd: S, row: usize) {
        let mut column = 0;
        while column < self.size[1] {
            if column + S::LANES < self.size[1] {
                self.run_tile::<S, R, 2>(simd, row, column);
                column += 2 * S::LANES;
            } else {
                self.run_tile::<S, R, 1>(simd, row, column);
                column += S::LANES;
            }
        }
    }

    #[inline(always)]
    fn run_tile<S: Simd<T>, const R: usize, const V: usize>(&mut self, simd: S, row: usize, column: usize) {
        let spacing = self.taps.spacing;
        let pixels = &self.pixels[row * self.pitch + column..];
        let tile = Tile { taps: self.taps, weights: self.weights, pixels, pitch: spacing * self.pitch };
        let mut sums = [[simd.splat(self.bias); V]; R];
        tile.multiply::<S, R, V>(simd, &mut sums);
        unroll!(ROW < R, at most 4, {
            let start = (row + ROW * spacing) * self.output_pitch;
            let to = &mut self.output[start + column..start + self.size[1]];
            unroll!(VECTOR < V, at most 2, {
                let to = &mut to[VECTOR * S::LANES..];
                if to.len() >= S::LANES {
                    simd.store(sums[ROW][VECTOR], to);
                } else {
                    simd.store_partial(sums[ROW][VECTOR], to);
                }
            });
        });
    }
}

/// Operands of a tile.
struct Tile<'a, T> {
    taps: Taps<'a>,
    weights: &'a [T],
    /// From the tile's first pixel under the first tap on.
    pixels: &'a [T],
    /// Elements from the pixels of one of its rows to those of the next one.
    pitch: usize,
}

impl<T: Arithmetic> Tile<'_, T> {
    /// The vectors under a tap of the row `row` of the tile.
    #[inline(always)]
    fn load<S: Simd<T>, const V: usize>(&self, simd: S, offset: usize, row: usize) -> [S::Vector; V] {
        let pixels = &self.pixels[offset + row * self.pitch..][..V * S::LANES];
        let mut x = [simd.splat(T::ZERO); V];
        unroll!(VECTOR < V, at most 2, {
            x[VECTOR] = simd.load(&pixels[VECTOR * S::LANES..]);
        });
        x
    }

    /// Adds the products of any kernel.
    #[inline(always)]
    fn multiply<S: Simd<T>, const R: usize, const V: usize>(&self, simd: S, sums: &mut [[S::Vector; V]; R]) {
        let Taps { kernel: [height, width], segments, offsets, distance, step, .. } = self.taps;
        let mut part = [[simd.splat(T::ZERO); V]; R];
        for Segment { channel, rows, columns, ends_block } in segments {
            let weights = &self.weights[channel * height * width..];
            for input in 0..(R - 1) * step + rows.len() {
                // The rows of the tile that see it.
                let first = if input < rows.len() { 0 } else { (input - rows.len()) / step + 1 };
                let last = (input / step).min(R - 1);
                if first > last {
                    continue;
                }
                let tap = |row: usize| (rows.start + input - row * step) * width + columns.start;
                let shared = Shared {
                    offsets: &offsets[tap(first)..][..columns.len()],
                    channel: channel * distance,
                    row: first,
                    weights,
                    last_tap: tap(last),
                    between: step * width,
                };
                macro_rules! by_rows {
                    ($($first:literal $last:literal),*) => {
                        match (first, last) {
                            $(($first, $last) if $last < R => {
                                self.multiply_shared::<S, R, V, $first, $last>(simd, &shared, &mut part);
                            })*
                            rows => unreachable!("no rows {rows:?} in a tile of {R}"),
                        }
                    };
                }
                by_rows!(0 0, 0 1, 0 2, 0 3, 1 1, 1 2, 1 3, 2 2, 2 3, 3 3);
            }
            if *ends_block {
                add_to::<T, S, R, V>(simd, sums, &part);
                part = [[simd.splat(T::ZERO); V]; R];
            }
        }
    }

    /// Adds the products of a row of input and a row of taps, for those rows of the tile that see it.
    #[inline(always)]
    fn multiply_shared<S: Simd<T>, const R: usize, const V: usize, const FIRST: usize, const LAST: usize>(
        &self,
        simd: S,
        shared: &Shared<'_, T>,
        part: &mut [[S::Vector; V]; R],
    ) {
        let Shared { offsets, channel, row, weights, last_tap, between } = *shared;
        let weights = &weights[last_tap..][..(LAST - FIRST) * between + offsets.len()];
        for (column, offset) in offsets.iter().enumerate() {
            let x = self.load::<S, V>(simd, channel + *offset as usize, row);
            unroll!(ROW < R, at most 4, {
                if const { FIRST <= ROW && ROW <= LAST } {
                    let weight = simd.splat(weights[(LAST - ROW) * between + column]);
                    unroll!(VECTOR < V, at most 2, {
                        part[ROW][VECTOR] = simd.fma(x[VECTOR], weight, part[ROW][VECTOR]);
                    });
                }
            });
        }
    }
}

/// A row of input that some rows of a tile see, the last of them under an earlier row of taps.
struct Shared<'a, T> {
    /// Of the taps of the first row that sees it.
    offsets: &'a [u32],
    /// Where the channel begins.
    channel: usize,
    /// The first row that sees it.
    row: usize,
    weights: &'a [T],
    /// The first tap of the last row that sees it, and how many taps further on that of the row before it is.
    last_tap: usize,
    between: usize,
}

#[inline(always)]
fn add_to<T: Arithmetic, S: Simd<T>, const R: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::Vector; V]; R],
    part: &[[S::Vector; V]; R],
) {
    unroll!(ROW < R, at most 4, {
        unroll!(VECTOR < V, at most 2, {
            sums[ROW][VECTOR] = simd.add(sums[ROW][VECTOR], part[ROW][VECTOR]);
        });
    });
}
