//! The register tile with output channels as lanes: a few pixels by one or two vectors of channels.
//!
//! ```text
//! for tap in list:                      # of a block: one partial sum
//!     w[0..V] = weights[tap]            # V vectors of channels
//!     for p in 0..P: acc[p][0..V] += pixels[tap][p] * w[0..V]
//! sums[p] = (bias or sums[p]) + acc[p]
//! ```
//!
//! Pixels are read one by one, so they may begin anywhere and be any number: no lane is lost on the width of an image, and a pixel
//! that a tap sees on padding can be left out. Their sums are kept as `[pixel][channel]` until the last block: then
//! [`transpose`](super::transpose) turns them.

use super::tile::{Block, Clip};
use super::transpose::transpose;
use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// One weight panel times the pixels of a block.
pub struct MultiplyChannels<'a, 's, 'r, T> {
    pub(crate) block: Block<'a, T>,
    /// `[pixel][channel]`, a pixel's channels in whole vectors.
    pub(crate) sums: &'s mut [T],
    pub(crate) ahead: Ahead<'a, T>,
    /// In the last block: where the sums go at last, one row for each channel of the panel. Else none.
    pub(crate) rows: &'s mut [&'r mut [T]],
}

/// What to bring into the cache meanwhile.
#[derive(Clone, Copy)]
pub(crate) enum Ahead<'a, T> {
    /// The weights that come next.
    Weights(&'a [T]),
    /// The pixels of the next tile, which lie where memory has them.
    Pixels,
}

/// Most pixels of a tile that has so many vectors of channels.
pub(crate) const fn most_pixels(registers: usize, vectors: usize) -> usize {
    let fitting = (registers - 1 - vectors) / vectors;
    if fitting < 2 * MOST_IN_RUN { fitting } else { 2 * MOST_IN_RUN }
}

/// Most pixels of a run in a tile: at 14 the multiply-adds of one vector hide their latency.
pub(crate) const MOST_IN_RUN: usize = 14;

/// Runs that a tile of at most `most` pixels takes some of, where runs are of so many pixels.
pub(crate) fn runs_of_tile(most: usize, run: usize) -> usize {
    match run {
        ..=7 if run * 4 <= most => 4,
        ..=MOST_IN_RUN if run * 2 <= most => 2,
        _ => 1,
    }
}

impl<T: Arithmetic> Kernel<T> for MultiplyChannels<'_, '_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        match ((self.block.rows as usize).div_ceil(S::LANES), self.block.step) {
            (1, 1) => self.run_tiles::<S, 1, 1>(simd),
            (1, 2) => self.run_tiles::<S, 1, 2>(simd),
            (2, 1) if S::PANEL_VECTORS >= 2 => self.run_tiles::<S, 2, 1>(simd),
            (2, 2) if S::PANEL_VECTORS >= 2 => self.run_tiles::<S, 2, 2>(simd),
            (vectors, step) => unreachable!("no tile of {vectors} vectors with pixels {step} apart"),
        }
    }
}

impl<T: Arithmetic> MultiplyChannels<'_, '_, '_, T> {
    #[inline(always)]
    fn run_tiles<S: Simd<T>, const V: usize, const STEP: usize>(mut self, simd: S) {
        // Turning what is ready while the next tile is under way costs less than turning all at the end.
        let mut turned = 0;
        for index in 0..self.block.tiles.len() {
            macro_rules! by_size {
                ($($runs:literal x $($len:literal)*),*) => {
                    match (self.block.tiles[index].runs, self.block.tiles[index].len) {
                        $($(($runs, $len) if $runs * $len <= most_pixels(S::REGISTERS, V) => {
                            self.run_tile::<S, $runs, $len, V, STEP>(simd, index);
                        })*)*
                        size => unreachable!("no tile of runs and pixels {size:?}"),
                    }
                };
            }
            by_size!(1 x 1 2 3 4 5 6 7 8 9 10 11 12 13 14, 2 x 1 2 3 4 5 6 7 8 9 10 11 12 13 14, 4 x 1 2 3 4 5 6 7);
            let tile = &self.block.tiles[index];
            let ready = tile.pixel as usize + (tile.runs * tile.len) as usize;
            let last = index + 1 == self.block.tiles.len();
            while !self.rows.is_empty() && (turned + S::LANES <= ready || (last && turned < ready)) {
                transpose::<T, S, V>(simd, self.sums, self.rows, turned);
                turned += S::LANES;
            }
        }
    }

    #[inline(always)]
    fn run_tile<S: Simd<T>, const R: usize, const P: usize, const V: usize, const STEP: usize>(
        &mut self,
        simd: S,
        index: usize,
    ) {
        let block = self.block;
        let tile = &block.tiles[index];
        let sums = self.multiply::<S, R, P, V, STEP>(simd, index);
        let width = V * S::LANES;
        let places = &mut self.sums[tile.pixel as usize * width..][..R * P * width];
        match block.bias {
            Some(bias) => {
                unroll!(VECTOR < V, at most 4, {
                    let bias = &bias[VECTOR * S::LANES..];
                    let bias = if bias.len() >= S::LANES { simd.load(bias) } else { simd.load_partial(bias) };
                    unroll!(RUN < R, at most 4, {
                        unroll!(PIXEL < P, {
                            let place = &mut places[(RUN * P + PIXEL) * width + VECTOR * S::LANES..][..S::LANES];
                            simd.store(simd.add(bias, sums[RUN][PIXEL][VECTOR]), place);
                        });
                    });
                });
            }
            None => {
                unroll!(RUN < R, at most 4, {
                    unroll!(PIXEL < P, {
                        unroll!(VECTOR < V, at most 4, {
                            let place = &mut places[(RUN * P + PIXEL) * width + VECTOR * S::LANES..][..S::LANES];
                            simd.store(simd.add(simd.load(place), sums[RUN][PIXEL][VECTOR]), place);
                        });
                    });
                });
            }
        }
    }

    /// The partial sums of a tile.
    #[inline(always)]
    fn multiply<S: Simd<T>, const R: usize, const P: usize, const V: usize, const STEP: usize>(
        &self,
        simd: S,
        index: usize,
    ) -> [[[S::Vector; V]; P]; R] {
        let block = &self.block;
        let tile = &block.tiles[index];
        let (taps, pixels) = (block.taps_of(tile), &block.pixels[tile.place as usize..]);
        // Per tap: `next` moves on by `step`, and a tap's own place counts as far as the mask lets it.
        let (ahead, mut next, step, mask) = match self.ahead {
            Ahead::Weights(weights) => {
                let tiles = block.tiles.len();
                let share = &weights[weights.len() * index / tiles..weights.len() * (index + 1) / tiles];
                (share, 0, share.len().div_ceil(taps.len().max(1)), 0)
            }
            Ahead::Pixels => (pixels, P * STEP, 0, u32::MAX),
        };
        let mut sums = [[[simd.splat(T::ZERO); V]; P]; R];
        for tap in taps {
            simd.prefetch(ahead, next + (tap.pixels & mask) as usize);
            next += step;
            // Sums of 32-bit numbers that cannot overflow: one comparison is enough to check a range.
            let at = tap.pixels as usize;
            let pixels = &pixels[at..at + (R - 1) * block.pitch as usize + (P - 1) * STEP + 1];
            let at = tap.weight as usize * block.rows as usize;
            let weights = &block.weights[at..at + V * S::LANES];
            let mut w = [simd.splat(T::ZERO); V];
            unroll!(VECTOR < V, at most 4, {
                w[VECTOR] = simd.load(&weights[VECTOR * S::LANES..]);
            });
            macro_rules! add {
                ($first:expr, $end:expr) => {{
                    unroll!(RUN < R, at most 4, {
                        let pixels = &pixels[RUN * block.pitch as usize..][..(P - 1) * STEP + 1];
                        unroll!(PIXEL < P, {
                            if PIXEL + 1 > $first && PIXEL < $end {
                                let x = simd.splat(pixels[PIXEL * STEP]);
                                unroll!(VECTOR < V, at most 4, {
                                    sums[RUN][PIXEL][VECTOR] = simd.fma(x, w[VECTOR], sums[RUN][PIXEL][VECTOR]);
                                });
                            }
                        });
                    });
                }};
            }
            match tap.clip {
                Clip::Nothing => add!(0, P),
                Clip::First => add!(1, P),
                Clip::Last => add!(0, P - 1),
            }
        }
        sums
    }
}
