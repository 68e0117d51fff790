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

use super::tile::{Block, Clip, Tap};
use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// One weight panel times the pixels of a block.
pub struct MultiplyChannels<'a, 's, T> {
    pub(crate) block: Block<'a, T>,
    /// `[pixel][channel]`, a pixel's channels in whole vectors.
    pub(crate) sums: &'s mut [T],
    /// What to bring into the cache meanwhile.
    pub(crate) ahead: &'a [T],
}

/// Most pixels of a tile that has so many vectors of channels.
pub(crate) const fn most_pixels(registers: usize, vectors: usize) -> usize {
    let fitting = (registers - 1 - vectors) / vectors;
    if fitting < MOST_PIXELS { fitting } else { MOST_PIXELS }
}

/// Tiles of more pixels would not be faster: at 14 the multiply-adds of one vector hide their latency.
const MOST_PIXELS: usize = 14;

impl<T: Arithmetic> Kernel<T> for MultiplyChannels<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        match self.block.rows.div_ceil(S::LANES) {
            1 => self.run_tiles::<S, 1>(simd),
            2 if S::PANEL_VECTORS >= 2 => self.run_tiles::<S, 2>(simd),
            vectors => unreachable!("weight panels have 1 to {} vectors, not {vectors}", S::PANEL_VECTORS),
        }
    }
}

impl<T: Arithmetic> MultiplyChannels<'_, '_, T> {
    #[inline(always)]
    fn run_tiles<S: Simd<T>, const V: usize>(mut self, simd: S) {
        let tiles = self.block.tiles.len();
        for index in 0..tiles {
            let ahead = self.ahead.len() * index / tiles..self.ahead.len() * (index + 1) / tiles;
            macro_rules! by_len {
                ($($len:literal)*) => {
                    match self.block.tiles[index].len {
                        $($len if $len <= most_pixels(S::REGISTERS, V) => self.run_tile::<S, $len, V>(simd, index, ahead),)*
                        len => unreachable!("tiles have 1 to {} pixels, not {len}", most_pixels(S::REGISTERS, V)),
                    }
                };
            }
            by_len!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
        }
    }

    #[inline(always)]
    fn run_tile<S: Simd<T>, const P: usize, const V: usize>(
        &mut self,
        simd: S,
        index: usize,
        ahead: core::ops::Range<usize>,
    ) {
        let block = self.block;
        let tile = &block.tiles[index];
        let taps = block.taps_of(tile);
        let sums = multiply::<T, S, P, V>(simd, &block, &block.pixels[tile.place as usize..], taps, &self.ahead[ahead]);
        let width = V * S::LANES;
        let places = &mut self.sums[tile.pixel as usize * width..][..P * width];
        match block.bias {
            Some(bias) => {
                unroll!(VECTOR < V, at most 4, {
                    let bias = &bias[VECTOR * S::LANES..];
                    let bias = if bias.len() >= S::LANES { simd.load(bias) } else { simd.load_partial(bias) };
                    unroll!(PIXEL < P, {
                        let place = &mut places[PIXEL * width + VECTOR * S::LANES..][..S::LANES];
                        simd.store(simd.add(bias, sums[PIXEL][VECTOR]), place);
                    });
                });
            }
            None => {
                unroll!(PIXEL < P, {
                    unroll!(VECTOR < V, at most 4, {
                        let place = &mut places[PIXEL * width + VECTOR * S::LANES..][..S::LANES];
                        simd.store(simd.add(simd.load(place), sums[PIXEL][VECTOR]), place);
                    });
                });
            }
        }
    }
}

/// The partial sums of one tile, whose first pixel is the first of `pixels`.
#[inline(always)]
fn multiply<T: Arithmetic, S: Simd<T>, const P: usize, const V: usize>(
    simd: S,
    block: &Block<'_, T>,
    pixels: &[T],
    taps: &[Tap],
    ahead: &[T],
) -> [[S::Vector; V]; P] {
    let mut sums = [[simd.splat(T::ZERO); V]; P];
    let step = ahead.len().div_ceil(taps.len().max(1));
    let mut at = 0;
    for tap in taps {
        simd.prefetch(ahead, at);
        at += step;
        let pixels = &pixels[tap.pixels as usize..][..P];
        let weights = &block.weights[tap.weight as usize * block.rows..][..V * S::LANES];
        let mut w = [simd.splat(T::ZERO); V];
        unroll!(VECTOR < V, at most 4, {
            w[VECTOR] = simd.load(&weights[VECTOR * S::LANES..]);
        });
        macro_rules! add {
            ($pixels:expr) => {{
                unroll!(PIXEL < P, {
                    if $pixels.0 <= PIXEL && PIXEL < $pixels.1 {
                        let x = simd.splat(pixels[PIXEL]);
                        unroll!(VECTOR < V, at most 4, {
                            sums[PIXEL][VECTOR] = simd.fma(x, w[VECTOR], sums[PIXEL][VECTOR]);
                        });
                    }
                });
            }};
        }
        match tap.clip {
            Clip::Nothing => add!((0, P)),
            Clip::First => add!((1, P)),
            Clip::Last => add!((0, P - 1)),
        }
    }
    sums
}
