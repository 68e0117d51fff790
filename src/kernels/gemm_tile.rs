//! The register tile of the matrix product: some output channels by a few vectors of pixels.
//!
//! ```text
//! for tap in block:                     # at most 256: one partial sum
//!     x[0..V]   = pixels[tap]           # V vectors
//!     for r in 0..R: acc[r][0..V] += weights[tap][r] * x[0..V]
//! output[r] = (bias[r] or output[r]) + acc[r]
//! ```
//!
//! One accumulator chain per output element, taps in order: the order of summation is the contract,
//! and many outputs side by side hide the latency of the multiply-add.

use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// What a partial sum is added to.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a, T> {
    /// The first partial sum: to the bias of its row.
    Bias(&'a [T]),
    /// A further one: to what the output holds.
    Output,
}

/// Multiplies one panel of weights with the pixels of a block, and adds to rows of the output.
///
/// `weights` is `[taps][rows]`. Tap `k`'s pixels begin at `pixels[offsets[k]]`, one for each element of a row; behind
/// the last one is room to read a vector.
pub(crate) struct MultiplyPanel<'a, 'r, T> {
    pub(crate) weights: &'a [T],
    pub(crate) pixels: &'a [T],
    pub(crate) offsets: &'a [u32],
    pub(crate) start: Start<'a, T>,
    pub(crate) rows: &'a mut [&'r mut [T]],
}

impl<T: Arithmetic> Kernel<T> for MultiplyPanel<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        macro_rules! by_height {
            ($($rows:literal)*) => {
                match self.rows.len() {
                    $($rows if $rows <= S::TILE_ROWS => self.run_rows::<S, $rows>(simd),)*
                    rows => unreachable!("weight panels have 1 to {} rows, not {rows}", S::TILE_ROWS),
                }
            };
        }
        by_height!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }
}

impl<T: Arithmetic> MultiplyPanel<'_, '_, T> {
    #[inline(always)]
    fn run_rows<S: Simd<T>, const R: usize>(mut self, simd: S) {
        match S::TILE_VECTORS {
            1 => self.run_tiles::<S, R, 1>(simd),
            2 => self.run_tiles::<S, R, 2>(simd),
            3 => self.run_tiles::<S, R, 3>(simd),
            vectors => unreachable!("no tile of {vectors} vectors"),
        }
    }

    #[inline(always)]
    fn run_tiles<S: Simd<T>, const R: usize, const V: usize>(&mut self, simd: S) {
        let pixels = self.rows[0].len();
        let mut column = 0;
        while column + V * S::LANES <= pixels {
            self.run_tile::<S, R, V>(simd, column);
            column += V * S::LANES;
        }
        while column < pixels {
            self.run_tile::<S, R, 1>(simd, column);
            column += S::LANES;
        }
    }

    #[inline(always)]
    fn run_tile<S: Simd<T>, const R: usize, const V: usize>(&mut self, simd: S, column: usize) {
        let sums = multiply::<T, S, R, V>(simd, self.weights, self.offsets, &self.pixels[column..]);
        let rows: &mut [&mut [T]; R] = (&mut *self.rows).try_into().expect("as many rows as the panel");
        unroll!(ROW < R, {
            let row = &mut rows[ROW][column..];
            unroll!(VECTOR < V, at most 4, {
                let at = VECTOR * S::LANES;
                if row.len() >= at + S::LANES {
                    let place = &mut row[at..at + S::LANES];
                    let before = match self.start {
                        Start::Bias(bias) => simd.splat(bias[ROW]),
                        Start::Output => simd.load(place),
                    };
                    simd.store(simd.add(before, sums[ROW][VECTOR]), place);
                } else {
                    let place = &mut row[at..];
                    let before = match self.start {
                        Start::Bias(bias) => simd.splat(bias[ROW]),
                        Start::Output => simd.load_partial(place),
                    };
                    simd.store_partial(simd.add(before, sums[ROW][VECTOR]), place);
                }
            });
        });
    }
}

/// The partial sums of one tile.
#[inline(always)]
fn multiply<T: Arithmetic, S: Simd<T>, const R: usize, const V: usize>(
    simd: S,
    weights: &[T],
    offsets: &[u32],
    pixels: &[T],
) -> [[S::Vector; V]; R] {
    let mut sums = [[simd.splat(T::ZERO); V]; R];
    for (weights, &offset) in weights.chunks_exact(R).zip(offsets) {
        let pixels = &pixels[offset as usize..][..V * S::LANES];
        let mut x = [simd.splat(T::ZERO); V];
        unroll!(VECTOR < V, at most 4, {
            x[VECTOR] = simd.load(&pixels[VECTOR * S::LANES..]);
        });
        unroll!(ROW < R, {
            let weight = simd.splat(weights[ROW]);
            unroll!(VECTOR < V, at most 4, {
                sums[ROW][VECTOR] = simd.fma(weight, x[VECTOR], sums[ROW][VECTOR]);
            });
        });
    }
    sums
}
