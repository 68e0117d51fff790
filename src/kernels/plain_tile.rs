//! The register tile of a plain matrix product, with output channels as lanes: a few pixels by one or two vectors of channels.
//!
//! Pixels come with a vector of input channels together, `[channel / lanes][pixel][lane]`, so that those of a tile are a constant distance apart:
//!
//! ```text
//! for tile of pixels:
//!     for channel:
//!         w[0..V] = weights[channel]                        # V vectors of output channels
//!         for p in 0..P: acc[p][0..V] += pixels[channel][p] * w[0..V]
//!     sums[p] = acc[p], or added to what is there
//! ```

use super::channel_tile::{ask_before, asks_by_tap, most_pixels};
use crate::simd::taps::Strided;
use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// One weight panel times some pixels.
pub(crate) struct MultiplyPlain<'a, 's, T> {
    /// `[channel][row]`, with a vector's length to spare.
    pub(crate) weights: &'a [T],
    /// Output channels of the panel, and input channels.
    pub(crate) rows: usize,
    pub(crate) channels: usize,
    pub(crate) pixels: &'a [T],
    /// From one vector of channels to the next.
    pub(crate) pitch: usize,
    /// Pixels, at least one.
    pub(crate) count: usize,
    /// `[pixel][row]`, in whole vectors.
    pub(crate) sums: &'s mut [T],
    /// Whether the sums are added to what is there.
    pub(crate) add: bool,
    /// Weights to bring into the cache meanwhile.
    pub(crate) ahead: &'a [T],
}

/// Most pixels of a tile.
const MOST: usize = 14;

impl<T: Arithmetic> Kernel<T> for MultiplyPlain<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        if const { !S::CHANNEL_TILES } {
            unreachable!("not chosen where there are none");
        }
        match self.rows.div_ceil(S::LANES) {
            1 => self.run_tiles::<S, 1>(simd),
            2 if const { S::PANEL_VECTORS >= 2 } => self.run_tiles::<S, 2>(simd),
            vectors => unreachable!("no tile of {vectors} vectors"),
        }
    }
}

impl<T: Arithmetic> MultiplyPlain<'_, '_, T> {
    #[inline(always)]
    fn run_tiles<S: Simd<T>, const V: usize>(self, simd: S) {
        let parts = self.count.div_ceil(most_pixels(S::REGISTERS, V).min(MOST));
        let (less, more) = (self.count / parts, self.count % parts);
        let mut first = 0;
        for part in 0..parts {
            let count = less + usize::from(part < more);
            let ahead = &self.ahead[self.ahead.len() * part / parts..self.ahead.len() * (part + 1) / parts];
            macro_rules! by_size {
                ($($count:literal)*) => {
                    match count {
                        $($count if const { S::CHANNEL_TILES && $count <= most_pixels(S::REGISTERS, V) } => {
                            simd.call(OneTile::<T, $count, V> {
                                weights: self.weights,
                                rows: self.rows,
                                channels: self.channels,
                                pixels: &self.pixels[first * S::LANES..],
                                pitch: self.pitch,
                                sums: &mut self.sums[first * V * S::LANES..],
                                add: self.add,
                                ahead,
                            });
                        })*
                        count => unreachable!("no tile of {count} pixels"),
                    }
                };
            }
            by_size!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
            first += count;
        }
    }
}

/// A tile of `P` pixels and `V` vectors of channels.
struct OneTile<'a, 's, T, const P: usize, const V: usize> {
    weights: &'a [T],
    rows: usize,
    channels: usize,
    pixels: &'a [T],
    /// From one vector of channels to the next.
    pitch: usize,
    sums: &'s mut [T],
    add: bool,
    ahead: &'a [T],
}

impl<T: Arithmetic, const P: usize, const V: usize> Kernel<T> for OneTile<'_, '_, T, P, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let mut acc = [[simd.splat(T::ZERO); V]; P];
        let (mut pixels, mut channels) = (self.pixels, self.channels);
        let mut weights = Strided::new(self.weights, self.rows, V * S::LANES, channels);
        let (mut at, each) = ask_before(simd, self.ahead, channels, asks_by_tap(S::REGISTERS));
        loop {
            let of_block = Strided::new(pixels, 1, (P - 1) * S::LANES + 1, channels.min(S::LANES));
            for (x, weights) in of_block.zip(&mut weights) {
                if asks_by_tap(S::REGISTERS) {
                    simd.prefetch(self.ahead, at);
                    at += each;
                }
                let mut w = [simd.splat(T::ZERO); V];
                unroll!(VECTOR < V, at most 2, {
                    w[VECTOR] = simd.load(&weights[VECTOR * S::LANES..]);
                });
                unroll!(PIXEL < P, {
                    let x = simd.splat(x[PIXEL * S::LANES]);
                    unroll!(VECTOR < V, at most 2, {
                        acc[PIXEL][VECTOR] = simd.fma(x, w[VECTOR], acc[PIXEL][VECTOR]);
                    });
                });
            }
            if channels <= S::LANES {
                break;
            }
            (channels, pixels) = (channels - S::LANES, &pixels[self.pitch..]);
        }
        let sums = &mut self.sums[..P * V * S::LANES];
        unroll!(PIXEL < P, {
            unroll!(VECTOR < V, at most 2, {
                let place = &mut sums[(PIXEL * V + VECTOR) * S::LANES..][..S::LANES];
                let sum = if self.add { simd.add(simd.load(place), acc[PIXEL][VECTOR]) } else { acc[PIXEL][VECTOR] };
                simd.store(sum, place);
            });
        });
    }
}
