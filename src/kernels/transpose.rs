//! From `[pixel][channel]` to one row of pixels for each channel.

use crate::simd::{Kernel, Simd, unroll};

/// Writes the sums of a panel to the rows of its channels.
pub struct Transpose<'a, 'r, T> {
    /// `[pixel][channel]`, a pixel's channels in whole vectors.
    pub(crate) sums: &'a [T],
    /// As many rows as the panel has channels, each with all pixels.
    pub(crate) rows: &'a mut [&'r mut [T]],
}

impl<T: Copy> Kernel<T> for Transpose<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        match S::LANES {
            2 => self.run_blocks::<S, 2>(simd),
            4 => self.run_blocks::<S, 4>(simd),
            8 => self.run_blocks::<S, 8>(simd),
            16 => self.run_blocks::<S, 16>(simd),
            lanes => unreachable!("no vectors of {lanes} lanes"),
        }
    }
}

impl<T: Copy> Transpose<'_, '_, T> {
    #[inline(always)]
    fn run_blocks<S: Simd<T>, const N: usize>(self, simd: S) {
        let width = self.rows.len().next_multiple_of(N);
        for (part, rows) in self.rows.chunks_mut(N).enumerate() {
            let pixels = rows[0].len();
            for first in (0..pixels).step_by(N) {
                let last = pixels - first - 1;
                let mut vectors = [simd.load(&self.sums[first * width + part * N..]); N];
                unroll!(PIXEL < N, {
                    // Behind the last pixel the last one is read again, and not written.
                    vectors[PIXEL] = simd.load(&self.sums[(first + PIXEL.min(last)) * width + part * N..]);
                });
                let vectors = transposed(simd, vectors);
                if last + 1 >= N {
                    unroll!(ROW < N, {
                        if ROW < rows.len() {
                            simd.store(vectors[ROW], &mut rows[ROW][first..]);
                        }
                    });
                } else {
                    unroll!(ROW < N, {
                        if ROW < rows.len() {
                            simd.store_partial(vectors[ROW], &mut rows[ROW][first..]);
                        }
                    });
                }
            }
        }
    }
}

/// The transposed matrix. Interleaving row `i` with row `i + N/2` makes a bit of the row's number one of the lane's; when all
/// have been exchanged, so have rows and lanes.
#[inline(always)]
fn transposed<T: Copy, S: Simd<T>, const N: usize>(simd: S, mut rows: [S::Vector; N]) -> [S::Vector; N] {
    unroll!(BIT < 4, at most 4, {
        if BIT < N.ilog2() as usize {
            let from = rows;
            unroll!(PAIR < N / 2, {
                (rows[2 * PAIR], rows[2 * PAIR + 1]) = simd.zip(from[PAIR], from[PAIR + N / 2]);
            });
        }
    });
    rows
}
