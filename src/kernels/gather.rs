//! The pixels of each tile, copied tap by tap, so that a register tile reads them one behind the other.
//!
//! ```text
//! for tap, tile:  to[tile][tap][0..P] = pixels[tap][tile's P pixels]
//! ```
//!
//! Where each tap's pixels lie in a plane of their own, a tile touches as many cache lines as there are taps, and waits for most of them in each
//! pass over the weights. Gathered it reads a few consecutive ones.

use super::tile::{Clip, Tile};
use crate::simd::taps::TapLists;
use crate::simd::{Kernel, Simd};

/// So many taps ahead pixels are asked for.
const AHEAD: usize = 2;

/// Copies the pixels of all tiles of a block.
pub(crate) struct Gather<'a, 'g, T> {
    pub(crate) pixels: &'a [T],
    /// Where the taps lie: one of the lists.
    pub(crate) taps: &'a TapLists<Clip>,
    pub(crate) list: usize,
    /// How many pixels there are, and where they lie relative to the first: nothing if one behind the other.
    pub(crate) count: usize,
    pub(crate) places: &'a [u32],
    pub(crate) tiles: &'a [Tile],
    /// Elements from one tap of a tile to the next: as many as the largest tile has pixels. A vector's length is free behind the last.
    pub(crate) slot: usize,
    pub(crate) to: &'g mut [T],
}

impl<T: Copy> Kernel<T> for Gather<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let reach = self.places.last().map_or(self.count, |&last| last as usize + 1);
        let taps = self.taps.operands(self.list, (self.pixels, reach), (&[], 0, 0));
        let mut later = taps.clone().skip(AHEAD);
        for (pixels, number) in taps.map(|operand| operand.pixels).zip(0..) {
            let next = later.next().map_or(pixels, |operand| operand.pixels);
            for tile in self.tiles {
                let first = self.places.get(tile.pixel as usize).copied().unwrap_or(tile.pixel);
                simd.prefetch(next, first as usize);
                let to = &mut self.to[tile.place as usize + number * self.slot..];
                let pixel = tile.pixel as usize..tile.pixel as usize + tile.len as usize;
                if self.places.is_empty() {
                    // Whole vectors: what is too much is overwritten by the next tap's pixels, or lies behind the last tap's.
                    let mut at = 0;
                    while at < pixel.len() {
                        let from = &pixels[pixel.start + at..];
                        let vector = if from.len() < S::LANES { simd.load_partial(from) } else { simd.load(from) };
                        simd.store(vector, &mut to[at..]);
                        at += S::LANES;
                    }
                } else {
                    for (to, &place) in to.iter_mut().zip(&self.places[pixel]) {
                        *to = pixels[place as usize];
                    }
                }
            }
        }
    }
}
