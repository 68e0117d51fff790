//! The pixels of each tile, copied tap by tap, so that a register tile reads them one behind the other.
//!
//! ```text
//! for some taps, tile, tap of them:  to[tile][tap][0..P] = pixels[tap][tile's P pixels]
//! ```
//!
//! Where each tap's pixels lie in a plane of their own, a tile touches as many cache lines as there are taps, and waits for most of them in each
//! pass over the weights. Gathered it reads a few consecutive ones.

use core::ops::Range;

use super::tile::Tile;
use crate::simd::taps::TapLists;
use crate::simd::{Kernel, Simd, unroll};

/// Taps that go through the tiles together, so that a tile is looked up once for them.
const TOGETHER: usize = 4;

/// Copies the pixels of all tiles of a block.
pub(crate) struct Gather<'a, 'g, T> {
    pub(crate) pixels: &'a [T],
    /// Where the taps lie: one of the lists.
    pub(crate) taps: &'a TapLists,
    pub(crate) list: usize,
    /// How many pixels there are, and where they lie relative to the first: nothing if one behind the other.
    pub(crate) count: usize,
    pub(crate) places: &'a [u32],
    pub(crate) tiles: &'a [Tile],
    /// Elements from one tap of a tile to the next: as many as the largest tile has pixels. A vector's length is free behind the last.
    pub(crate) slot: usize,
    pub(crate) to: &'g mut [T],
}

/// Pixels that the first rows, or the first panel, of each tile read from an image, and leave where all others read them.
pub(crate) struct Gathering<'a, T> {
    /// From pixel 0 on.
    pub(crate) image: &'a [T],
    /// Where in it the taps lie: one of the lists.
    pub(crate) taps: &'a TapLists,
    pub(crate) list: usize,
    /// As [`Block::ahead`].
    pub(crate) ahead: usize,
    /// What will be the block's pixels, and elements from tap to tap.
    pub(crate) to: &'a mut [T],
    pub(crate) slot: usize,
    /// So many tiles are to do so. Those of the others are there.
    pub(crate) tiles: usize,
}

/// Where a tile's pixels are.
pub(super) enum Pixels<'s, 'g, T> {
    /// In memory.
    Held(&'s [T]),
    /// In an image, to be left where others read them.
    Image(&'s mut Gathering<'g, T>),
}

/// What is said where they are elsewhere.
pub(super) const ELSEWHERE: &str = "tiles gather what is in an image, and nothing else";

impl<'s, 'g, T> Pixels<'s, 'g, T> {
    /// Those of a tile that gathers, or that reads what others have gathered or what is held anyway.
    #[inline(always)]
    pub(super) fn of_tile(gathers: bool, gathering: Option<&'s mut Gathering<'g, T>>, held: &'s [T]) -> Self {
        match gathering {
            Some(gathering) if gathers => Pixels::Image(gathering),
            Some(gathering) => Pixels::Held(&*gathering.to),
            None => Pixels::Held(held),
        }
    }
}

impl<T: Copy> Kernel<T> for Gather<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let reach = self.places.last().map_or(self.count, |&last| last as usize + 1);
        let taps = self.taps.operands(self.list, (self.pixels, reach), (&[], 0, 0));
        let mut taps = taps.map(|operand| operand.pixels);
        let (mut number, mut next) = (0, some(&mut taps));
        while let Some((rows, count)) = next {
            next = some(&mut taps);
            let (ahead, _) = next.unwrap_or((rows, count));
            for tile in self.tiles {
                let to = &mut self.to[tile.place as usize + number * self.slot..];
                let pixels = tile.pixel as usize..tile.pixel as usize + tile.len as usize;
                if !self.places.is_empty() {
                    let places = &self.places[pixels];
                    for (tap, row) in rows[..count].iter().enumerate() {
                        let to = to[tap * self.slot..].iter_mut();
                        to.zip(places).for_each(|(to, &place)| *to = row[place as usize]);
                    }
                } else if count == TOGETHER {
                    unroll!(TAP < TOGETHER, at most 4, {
                        simd.prefetch(ahead[TAP], pixels.start);
                        copy_vectors(simd, rows[TAP], pixels.clone(), &mut to[TAP * self.slot..]);
                    });
                } else {
                    for (tap, row) in rows[..count].iter().enumerate() {
                        copy_vectors(simd, row, pixels.clone(), &mut to[tap * self.slot..]);
                    }
                }
            }
            number += count;
        }
    }
}

/// The pixels of the next taps, and how many these are.
#[inline(always)]
fn some<'a, T>(taps: &mut impl Iterator<Item = &'a [T]>) -> Option<([&'a [T]; TOGETHER], usize)> {
    let (mut rows, mut count) = ([taps.next()?; TOGETHER], 1);
    while count < TOGETHER
        && let Some(row) = taps.next()
    {
        rows[count] = row;
        count += 1;
    }
    Some((rows, count))
}

/// Copies some pixels of a row in whole vectors: what is too much is overwritten by the next tap's pixels, or lies behind the last tap's.
#[inline(always)]
fn copy_vectors<T: Copy, S: Simd<T>>(simd: S, row: &[T], pixels: Range<usize>, to: &mut [T]) {
    let mut at = 0;
    while at < pixels.len() {
        let from = &row[pixels.start + at..];
        let vector = if from.len() < S::LANES { simd.load_partial(from) } else { simd.load(from) };
        simd.store(vector, &mut to[at..]);
        at += S::LANES;
    }
}
