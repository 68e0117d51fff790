//! The register tile with pixels as lanes: a few output channels by a few vectors of pixels.
//!
//! ```text
//! for tap in list:                      # of a block: one partial sum
//!     x[0..V]   = pixels[tap]           # V vectors
//!     for r in 0..R: acc[r][0..V] += weights[tap][r] * x[0..V]
//! output[r] = (bias[r] or output[r]) + acc[r]
//! ```
//!
//! One accumulator chain per output element, taps in order: the order of summation is the contract,
//! and many outputs side by side hide the latency of the multiply-add. The fewer the channels, the more vectors of pixels.

use super::tile::{Block, Tap};
use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// One weight panel times the pixels of a block, added to rows of the output.
pub(crate) struct MultiplyPixels<'a, 'r, T> {
    pub(crate) block: Block<'a, T>,
    /// One row for each channel of the panel.
    pub(crate) rows: &'a mut [&'r mut [T]],
}

/// Most vectors of pixels in a tile of so many rows.
pub(crate) const fn most_vectors(registers: usize, rows: usize) -> usize {
    let fitting = (registers - 1) / (rows + 1);
    if fitting < MOST_VECTORS { fitting } else { MOST_VECTORS }
}

/// More vectors would save no loads worth having.
const MOST_VECTORS: usize = 6;

/// Rows of the tiles that a panel of `rows` is cut into: as even as can be.
pub(crate) const fn tile_rows(most: usize, rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(most))
}

impl<T: Arithmetic> Kernel<T> for MultiplyPixels<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(mut self, simd: S) {
        let rows = self.block.rows as usize;
        let most = tile_rows(S::TILE_ROWS, rows);
        for index in 0..self.block.tiles.len() {
            let mut first = 0;
            while first < rows {
                let rows = most.min(rows - first);
                macro_rules! by_rows {
                    ($($rows:literal)*) => {
                        match rows {
                            $($rows if $rows <= S::TILE_ROWS => self.run_rows::<S, $rows>(simd, index, first),)*
                            rows => unreachable!("tiles have 1 to {} rows, not {rows}", S::TILE_ROWS),
                        }
                    };
                }
                by_rows!(1 2 3 4 5 6 7 8);
                first += rows;
            }
        }
    }
}

impl<T: Arithmetic> MultiplyPixels<'_, '_, T> {
    #[inline(always)]
    fn run_rows<S: Simd<T>, const R: usize>(&mut self, simd: S, index: usize, first: usize) {
        let vectors = (self.block.tiles[index].len as usize).div_ceil(S::LANES);
        macro_rules! by_vectors {
            ($($vectors:literal)*) => {
                match vectors {
                    $($vectors if $vectors <= most_vectors(S::REGISTERS, R) => {
                        self.run_tile::<S, R, $vectors>(simd, index, first)
                    })*
                    vectors => unreachable!("no tile of {R} rows and {vectors} vectors"),
                }
            };
        }
        by_vectors!(1 2 3 4 5 6);
    }

    #[inline(always)]
    fn run_tile<S: Simd<T>, const R: usize, const V: usize>(&mut self, simd: S, index: usize, first: usize) {
        let block = self.block;
        let tile = &block.tiles[index];
        let (pixels, taps) = (&block.pixels[tile.place as usize..], block.taps_of(tile));
        let sums = if block.masks.is_empty() {
            multiply::<T, S, R, V, false>(simd, &block, pixels, taps, first as u32)
        } else {
            multiply::<T, S, R, V, true>(simd, &block, pixels, taps, first as u32)
        };
        let rows: &mut [&mut [T]; R] = (&mut self.rows[first..first + R]).try_into().expect("as many rows");
        let bias = block.bias.map(|bias| &bias[first..first + R]);
        let range = tile.pixel as usize..tile.pixel as usize + tile.len as usize;
        unroll!(ROW < R, {
            let row = &mut rows[ROW][range.clone()];
            unroll!(VECTOR < V, at most 6, {
                let at = VECTOR * S::LANES;
                if row.len() >= at + S::LANES {
                    let place = &mut row[at..at + S::LANES];
                    let before = match bias {
                        Some(bias) => simd.splat(bias[ROW]),
                        None => simd.load(place),
                    };
                    simd.store(simd.add(before, sums[ROW][VECTOR]), place);
                } else {
                    let place = &mut row[at..];
                    let before = match bias {
                        Some(bias) => simd.splat(bias[ROW]),
                        None => simd.load_partial(place),
                    };
                    simd.store_partial(simd.add(before, sums[ROW][VECTOR]), place);
                }
            });
        });
    }
}

/// The partial sums of one tile, for the panel's rows from `first` on. With `MASKED` each tap is added to those only that have it, which are
/// mostly all, or none: the branches repeat with the taps of a channel, so that they are foreseen.
#[inline(always)]
fn multiply<T: Arithmetic, S: Simd<T>, const R: usize, const V: usize, const MASKED: bool>(
    simd: S,
    block: &Block<'_, T>,
    pixels: &[T],
    taps: &[Tap],
    first: u32,
) -> [[S::Vector; V]; R] {
    let mut sums = [[simd.splat(T::ZERO); V]; R];
    for tap in taps {
        // Sums of 32-bit numbers that cannot overflow: one comparison is enough to check a range.
        let at = tap.pixels as usize;
        let pixels = &pixels[at..at + V * S::LANES];
        let at = tap.weight as usize * block.rows as usize + first as usize;
        let weights = &block.weights[at..at + R];
        let all = (1 << R) - 1;
        let mask = if MASKED { block.masks[tap.weight as usize] >> first & all } else { all };
        if MASKED && mask == 0 {
            continue;
        }
        let mut x = [simd.splat(T::ZERO); V];
        unroll!(VECTOR < V, at most 6, {
            x[VECTOR] = simd.load(&pixels[VECTOR * S::LANES..]);
        });
        if !MASKED || mask == all {
            unroll!(ROW < R, {
                let weight = simd.splat(weights[ROW]);
                unroll!(VECTOR < V, at most 6, {
                    sums[ROW][VECTOR] = simd.fma(weight, x[VECTOR], sums[ROW][VECTOR]);
                });
            });
            continue;
        }
        unroll!(ROW < R, {
            if mask & (1 << ROW) != 0 {
                let weight = simd.splat(weights[ROW]);
                unroll!(VECTOR < V, at most 6, {
                    sums[ROW][VECTOR] = simd.fma(weight, x[VECTOR], sums[ROW][VECTOR]);
                });
            }
        });
    }
    sums
}
