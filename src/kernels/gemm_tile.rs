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
/// `weights` is `[taps][rows]`, with a vector's length to spare. Tap `k`'s pixels begin at `pixels[offsets[k]]`, one for each element of a row; behind
/// the last one is room to read a vector.
pub struct MultiplyPanel<'a, 'r, T> {
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
        let (vectors, left) = (pixels / S::LANES, pixels % S::LANES);
        let joint = vectors > 0 && left > 0 && pays::<T, S, R>(left.next_power_of_two());
        let end = if joint { (vectors - 1) * S::LANES } else { pixels };
        let mut column = 0;
        while column + V * S::LANES <= end {
            self.run_tile::<S, R, V>(simd, column);
            column += V * S::LANES;
        }
        while column < end {
            self.run_tile::<S, R, 1>(simd, column);
            column += S::LANES;
        }
        // `pays` is known to the compiler: what it refuses is not compiled.
        match left {
            1 if pays::<T, S, R>(1) && joint => self.run_joint_tile::<S, R, 1>(simd, column),
            2 if pays::<T, S, R>(2) && joint => self.run_joint_tile::<S, R, 2>(simd, column),
            3..=4 if pays::<T, S, R>(4) && joint => self.run_joint_tile::<S, R, 4>(simd, column),
            5..=8 if pays::<T, S, R>(8) && joint => self.run_joint_tile::<S, R, 8>(simd, column),
            _ => {}
        }
    }

    #[inline(always)]
    fn run_tile<S: Simd<T>, const R: usize, const V: usize>(&mut self, simd: S, column: usize) {
        let sums = multiply::<T, S, R, V>(simd, self.weights, self.offsets, &self.pixels[column..]);
        self.add::<S, R, V>(simd, &sums, column);
    }

    /// Adds the sums of a tile to the output.
    #[inline(always)]
    fn add<S: Simd<T>, const R: usize, const V: usize>(&mut self, simd: S, sums: &[[S::Vector; V]; R], column: usize) {
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

    /// One vector of pixels and up to `C` pixels behind it, which are computed with channels as lanes: a pixel then costs a
    /// multiply-add for each vector of channels, where a vector with one pixel in it would cost one for each channel.
    #[inline(always)]
    fn run_joint_tile<S: Simd<T>, const R: usize, const C: usize>(&mut self, simd: S, column: usize) {
        let (sums, columns) = self.multiply_joint::<S, R, C>(simd, column);
        self.add::<S, R, 1>(simd, &sums, column);
        let first = column + S::LANES;
        let mut channels = [T::ZERO; MAX_CHANNELS];
        for (column, sums) in (first..self.rows[0].len()).zip(columns) {
            unroll!(PART < R.div_ceil(S::LANES), at most 4, {
                simd.store(sums[PART], &mut channels[PART * S::LANES..]);
            });
            for (row, (to, &sum)) in self.rows.iter_mut().zip(&channels).enumerate() {
                let before = match self.start {
                    Start::Bias(bias) => bias[row],
                    Start::Output => to[column],
                };
                to[column] = before.plus(sum);
            }
        }
    }

    #[inline(always)]
    fn multiply_joint<S: Simd<T>, const R: usize, const C: usize>(
        &self,
        simd: S,
        column: usize,
    ) -> JointSums<S::Vector, R, C> {
        let zero = simd.splat(T::ZERO);
        let (mut sums, mut columns) = ([[zero]; R], [[zero; 4]; C]);
        let pixels = &self.pixels[column..];
        for (tap, &offset) in self.offsets.iter().enumerate() {
            let pixels = &pixels[offset as usize..][..S::LANES + C];
            let weights = &self.weights[tap * R..][..R.next_multiple_of(S::LANES)];
            let x = simd.load(pixels);
            unroll!(ROW < R, {
                sums[ROW][0] = simd.fma(simd.splat(weights[ROW]), x, sums[ROW][0]);
            });
            unroll!(PART < R.div_ceil(S::LANES), at most 4, {
                let weights = simd.load(&weights[PART * S::LANES..]);
                unroll!(COLUMN < C, {
                    let x = simd.splat(pixels[S::LANES + COLUMN]);
                    columns[COLUMN][PART] = simd.fma(weights, x, columns[COLUMN][PART]);
                });
            });
        }
        (sums, columns)
    }
}

/// Whether so many pixels are better computed with channels as lanes than as part of a vector of pixels: a multiply-add for
/// each pixel and vector of channels against one for each channel.
#[inline(always)]
const fn pays<T: Copy, S: Simd<T>, const R: usize>(pixels: usize) -> bool {
    pixels <= S::TILE_COLUMNS && pixels * R.div_ceil(S::LANES) < R
}

/// The sums of a joint tile: rows of one vector of pixels, and columns of up to four vectors of channels.
type JointSums<V, const R: usize, const C: usize> = ([[V; 1]; R], [[V; 4]; C]);

/// Most channels of a panel in whole vectors.
const MAX_CHANNELS: usize = 16;

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
