//! What the two register tiles of the matrix product share.

use core::ops::Range;

use crate::simd::taps::{Operands, Runs, RunsOfTaps, TapLists};
use crate::simd::{Arithmetic, Simd, unroll};

/// Bytes of a cache line.
pub(crate) const CACHE_LINE: usize = 64;

/// Keeps a tile's results within limits, if there are any: one question for all of them.
#[inline(always)]
pub(super) fn limit<T: Arithmetic, S: Simd<T>, const R: usize, const V: usize>(
    simd: S,
    results: &mut [[S::Vector; V]; R],
    limits: Option<[T; 2]>,
) {
    const { assert!(R <= 16, "or some are left out") };
    if let Some(limits) = limits {
        unroll!(ROW < R, {
            limit_row(simd, &mut results[ROW], limits);
        });
    }
}

/// Keeps vectors within limits.
#[inline(always)]
pub(super) fn limit_row<T: Arithmetic, S: Simd<T>, const N: usize>(
    simd: S,
    vectors: &mut [S::Vector; N],
    [min, max]: [T; 2],
) {
    const { assert!(N <= 16, "or some are left out") };
    let (min, max) = (simd.splat(min), simd.splat(max));
    unroll!(VECTOR < N, {
        vectors[VECTOR] = simd.within(vectors[VECTOR], min, max);
    });
}

/// Adds the products of some vectors and another one. A function of its own, since compilers take long over loops that are written out within others.
#[inline(always)]
pub(super) fn multiply_add<T: Arithmetic, S: Simd<T>, const V: usize>(
    simd: S,
    vectors: &[S::Vector; V],
    factor: S::Vector,
    sums: &mut [S::Vector; V],
) {
    const { assert!(V <= 6, "or some are left out") };
    unroll!(VECTOR < V, at most 6, {
        sums[VECTOR] = simd.fma(vectors[VECTOR], factor, sums[VECTOR]);
    });
}

/// Elements before the first cache line that begins in some memory. A vector that lies across two lines takes as long as two, so that it is worth one more vector to
/// begin all others with lines where caches hold neither input nor output. Measured with `cargo bench --bench layers`: 1.05 to 1.3 times as fast for 1x1, 1.2 for first
/// layers of 320 columns and more.
pub(crate) fn before_line<T>(memory: &[T]) -> usize {
    // Which may be impossible to say.
    memory.as_ptr().align_offset(CACHE_LINE).min(CACHE_LINE)
}

/// The same for rows of output, if it is so for all of them: there are two at least, as far apart as any.
pub(crate) fn before_lines<T>(rows: &[&mut [T]]) -> Option<usize> {
    let first = before_line(rows.first()?);
    rows.iter().take(2).all(|row| before_line(row) == first).then_some(first)
}

/// Asks for some rows of memory that are `pitch` apart, so many vectors of each, from an element on: too far from row to row for the machine to guess.
#[inline(always)]
pub(super) fn ask_for<T: Copy, S: Simd<T>>(
    simd: S,
    memory: &[T],
    first: usize,
    pitch: usize,
    [rows, vectors]: [usize; 2],
) {
    for row in 0..rows {
        for vector in 0..vectors {
            simd.prefetch(memory, first + row * pitch + vector * S::LANES);
        }
    }
}

/// Taps up to which tiles of single channels wait for memory, if caches do not hold input and output: then what they write is to be asked for, too. Measured with
/// `cargo bench --bench layers` on images of 112 to 1024 columns: 1.2 to 1.7 times as fast with 3x3 taps, and 0.95 with 5x5.
pub(super) const FEW_TAPS: usize = 9;

/// What is read next, piece by piece.
#[derive(Clone, Debug)]
pub(crate) struct Upcoming<'a, T> {
    memory: &'a [T],
    spans: core::slice::Iter<'a, Range<usize>>,
    /// What is left of a span.
    span: Range<usize>,
    /// Elements of a piece at most.
    piece: usize,
}

impl<'a, T> Upcoming<'a, T> {
    /// Some spans of memory in so many pieces, or a few more where spans end.
    pub(crate) fn new(memory: &'a [T], spans: &'a [Range<usize>], pieces: usize) -> Self {
        let all: usize = spans.iter().map(ExactSizeIterator::len).sum();
        let piece = all.div_ceil(pieces.max(1)).next_multiple_of(CACHE_LINE / size_of::<T>());
        Upcoming { memory, spans: spans.iter(), span: 0..0, piece }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans.len() == 0 && self.span.is_empty()
    }
}

impl<'a, T> Iterator for Upcoming<'a, T> {
    type Item = &'a [T];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [T]> {
        if self.span.is_empty() {
            self.span = self.spans.next()?.clone();
        }
        let end = self.span.end.min(self.span.start + self.piece);
        let piece = &self.memory[self.span.start..end];
        self.span.start = end;
        Some(piece)
    }
}

/// Pixels that are computed at a time: as many neighbours in each of one or more runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Where its first pixel lies, relative to what the block says.
    pub(crate) place: u32,
    /// Its first pixel's number in the region.
    pub(crate) pixel: u32,
    /// How many they are in each run.
    pub(crate) len: u16,
    /// Neighbouring runs.
    pub(crate) runs: u16,
    /// Which list of taps they see.
    pub(crate) taps: u32,
}

impl Tile {
    /// How many they are in all.
    pub(crate) fn pixels(&self) -> usize {
        usize::from(self.len) * usize::from(self.runs)
    }
}

/// A weight panel, or several, of a block of taps.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a, T> {
    /// `[panel][taps][rows]`, with a vector's length to spare.
    pub(crate) weights: &'a [T],
    /// Output channels of a panel. The last of several may have fewer.
    pub(crate) rows: usize,
    /// What the sums are added to in the first block: a number for each row. In further blocks they are added to what is there.
    pub(crate) bias: Option<&'a [T]>,
}

/// What all weight panels of a block of taps share: its pixels.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a, T> {
    /// Taps that a panel has.
    pub(crate) depth: u32,
    /// Which rows have each tap, one bit for each; nothing if all have all. Only tiles with pixels as lanes look at it.
    pub(crate) masks: &'a [u32],
    /// Tap `t` of a pixel lies at `t.pixels` + the pixel's place; behind the last one is room to read a vector.
    pub(crate) pixels: &'a [T],
    /// Pixels of a run, and elements from one run to the next.
    pub(crate) run: u32,
    pub(crate) pitch: u32,
    /// Elements from one pixel of a run to the next. With pixels as lanes it is 1.
    pub(crate) step: u32,
    /// Tiles' places count from so many elements before the pixels, which are left out. With pixels as lanes it is 0.
    pub(crate) before: u32,
    pub(crate) tiles: &'a [Tile],
    /// The lists of taps.
    pub(crate) taps: &'a TapLists,
    /// Elements from a tap's pixels to those that are brought into the first-level cache meanwhile; with pixels as lanes 0 if none are.
    pub(crate) ahead: usize,
    /// Number of the block's first list.
    pub(crate) first_list: usize,
    /// Parts that have lists of their own: of its taps, which go through the tiles one after the other, or with pixels as lanes of rows that share a tile.
    pub(crate) parts: usize,
    /// Lists of each part, or 0 if there is one.
    pub(crate) of_part: usize,
    /// What the sums are kept within at last: in the last block only.
    pub(crate) limits: Option<[T; 2]>,
    /// Whether rows of output are to be asked for ahead of time: then caches do not hold them. Measured with `cargo bench --bench layers`: first layers of large
    /// images are up to 1.1 times as fast.
    pub(crate) far: bool,
}

impl<'a, T> Block<'a, T> {
    /// The operands of the taps that a tile sees: of each `reach` pixels from the tile's first on, and `width` of its `rows` weights.
    #[inline(always)]
    pub(crate) fn operands(&self, tile: &Tile, reach: usize, weights: (&'a [T], usize, usize)) -> Operands<'a, T> {
        let pixels = (&self.pixels[tile.place as usize - self.before as usize..], reach);
        self.taps.operands(self.first_list + tile.taps as usize, pixels, weights)
    }

    /// The operands of the taps of a part that a tile sees, of which some may leave out a pixel of each run: the runs' pixels, which count from the first one in memory,
    /// and `width` of its `rows` weights.
    #[inline(always)]
    pub(crate) fn runs<'t>(
        &'t self,
        (part, tile): (usize, &Tile),
        pixels: &'t [T],
        runs: Runs,
        weights: (&'t [T], usize, usize),
    ) -> RunsOfTaps<'t, T> {
        let pixels = match tile.place.checked_sub(self.before) {
            Some(place) => (&pixels[place as usize..], 0),
            None => (pixels, self.before - tile.place),
        };
        let list = self.first_list + part * self.of_part + tile.taps as usize;
        self.taps.runs(list, pixels, runs, weights)
    }
}
