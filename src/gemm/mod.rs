//! The blocked matrix product behind every convolution: `output[row][pixel] += weights[row][tap] * source[tap][pixel]`.
//!
//! ```text
//! for block of taps:                        # at most 256, fixed by the numerics
//!     pack the source's pixels for the block     → scratch
//!     for panel of weight rows:                  # one or two vectors of output channels
//!         for tile of pixels:                    # a few, in registers
//!             multiply, add to the sums        → kernels::channel_tile, kernels::pixel_tile
//! ```
//!
//! The source is a virtual matrix: [`Source`] makes the block that is wanted, when it is wanted. The pixels are
//! those of one region, few enough for the block to stay in cache.

pub(crate) mod blocking;
mod layout;
mod weights;

use core::ops::Range;

use crate::element::Element;
use crate::kernels::channel_tile::MultiplyChannels;
use crate::kernels::few_pixels::{self, MultiplyFew};
use crate::kernels::gather::Gathering;
use crate::kernels::pixel_tile::{self, MultiplyPixels};
use crate::kernels::tile::{Block, CACHE_LINE, Upcoming, before_line};
use crate::simd::taps::Clip;
use crate::simd::{Isa, Kernel, Simd};
use blocking::{Lanes, TileShape};
use layout::Layout;
pub(crate) use layout::{Layouts, Sight};
pub(crate) use weights::{PackedWeights, WeightRows};

/// How the pixels of a region lie in memory: `count` runs of `len`, each `pitch` elements behind the one before it, with pixels `step`
/// elements apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) count: usize,
    pub(crate) len: usize,
    pub(crate) pitch: usize,
    pub(crate) step: usize,
}

/// A virtual matrix `[taps][pixels]`, made a block at a time.
///
/// Its taps come in channels that are alike: a tap's pixels lie where those of the same tap of the channel before do, a distance further on. So
/// where taps see the same pixels some places apart, they may share them.
pub(crate) trait Source<T: Copy> {
    /// How the pixels of each tap lie.
    fn runs(&self) -> Runs;

    /// Taps of a channel.
    fn channel_taps(&self) -> usize;

    /// Where the first pixel of each tap of a channel lies, relative to that of the first channel's first tap.
    fn offsets(&self, offsets: &mut [u32]);

    /// Elements from a channel's pixels to the next one's.
    fn distance(&self) -> usize;

    /// Memory that holds all taps from a channel on, if it is so for all channels.
    fn in_place(&self, _first_channel: usize) -> Option<&[T]> {
        None
    }

    /// Whether a whole vector may be read wherever a pixel is. Else the last pixels of the last run must be read in a part of one.
    fn whole_vectors(&self) -> bool {
        true
    }

    /// Where the first pixel under the first tap lies in that memory, if taps on padding are left out of it: it may be such a tap, before the memory's
    /// begin. Then tiles must be such that a tap is left out by no more than [`Clip::MOST`] of the first or the last pixels of each run, or by all.
    fn image_place(&self) -> Option<isize> {
        None
    }

    /// Adds numbers of which all that is asked here and below depends, but for the memory itself: products of sources with the same numbers are laid
    /// out alike.
    fn describe(&self, words: &mut Vec<isize>);

    /// Makes the given taps of all pixels, from their first channel on.
    fn pack<S: Simd<T>>(&self, simd: S, taps: Range<usize>, data: &mut [T]);

    /// Adds the spans of memory that [`pack`](Source::pack) is expected to read for the given taps of these pixels, or of those `below` them, where caches near the
    /// processor do not hold them.
    fn list_upcoming(&self, _taps: Range<usize>, _below: bool, _spans: &mut Vec<Range<usize>>) -> Option<&[T]> {
        None
    }

    /// The first pixel of a run, behind this one, that sees other columns of taps than the one before it does, if some taps may be left out.
    fn edge_behind(&self, _pixel: usize) -> Option<usize> {
        None
    }

    /// What pixels of some runs see, if some taps may be left out.
    fn sight(&self, _runs: Range<usize>, _pixels: Range<usize>) -> Option<Sight> {
        None
    }

    /// How many of the first and of the last of some pixels of a run do not see a column of taps that others of them do.
    fn left_out(&self, _column: usize, _pixels: &Range<usize>) -> [usize; 2] {
        [0, 0]
    }
}

/// Rows of output that a [`Gemm`] writes to: one element for each pixel of the source.
pub(crate) trait Rows<T> {
    /// Calls `with` on the rows `first..first + count`.
    fn with_rows(&mut self, first: usize, count: usize, with: impl FnOnce(&mut [&mut [T]]));

    /// Elements before the first cache line that begins in a row, if it is so for all rows.
    fn before_line(&mut self) -> Option<usize> {
        None
    }

    /// The rows `first..first + count` as one run of memory, if each has one element and they lie so.
    fn column(&mut self, _first: usize, _count: usize) -> Option<&mut [T]> {
        None
    }
}

/// Most rows that are asked for at once: those of several panels where pixels are lanes.
pub(crate) const MAX_ROWS: usize = pixel_tile::MOST_ROWS;

/// Taps that a tile is ahead with the pixels that it asks for: the first-level cache does not hold those of a block, and a machine foresees neither steps from channel
/// to channel nor as many places as there are taps. Measured with `cargo bench --bench layers` on Emerald Rapids, 1x1: 1.1 to 1.3 times as fast as none, and 4 to 16 taps
/// are alike but where channels lie a power of two apart: then all lines are of one set, whose ways 8 taps use up: 64 x 64 and 128 x 128 are 1.15 to 1.2 times as fast
/// with 4. 3x3 from 64x64 on 1.02.
const AHEAD: usize = 4;

/// Working memory of a [`Gemm`].
pub(crate) struct Memory<'a, T> {
    /// For what the source packs.
    pub(crate) packed: &'a mut [T],
    /// For gathered pixels.
    pub(crate) gathered: &'a mut [T],
    /// With channels as lanes an element for each pixel and channel, in whole vectors, and at last those of a panel once more.
    pub(crate) sums: &'a mut [T],
    pub(crate) layouts: &'a mut Layouts,
}

/// One group's matrix product, or some of its row panels.
pub(crate) struct Gemm<'a, T, P> {
    pub(crate) isa: Isa,
    pub(crate) lanes: Lanes,
    pub(crate) rows: WeightRows<'a, T>,
    pub(crate) source: &'a P,
    /// What the outputs are kept within.
    pub(crate) limits: Option<[T; 2]>,
    /// Whether caches do not hold them.
    pub(crate) far: bool,
}

impl<T: Element, P: Source<T>> Gemm<'_, T, P> {
    /// Computes all pixels. Row 0 of `output` is the first row of the first panel.
    pub(crate) fn run(&self, output: &mut impl Rows<T>, memory: Memory<'_, T>) {
        let Memory { packed, gathered, sums, layouts } = memory;
        let runs = self.source.runs();
        let layout = self.lay_out(self.before_line(output), layouts);
        let all = layouts.tiles(&layout).len();
        let at_once = self.tiles_at_once(&layout, all);
        for first_tile in (0..all).step_by(at_once.max(1)) {
            let tiles = first_tile..all.min(first_tile + at_once);
            for (index, taps) in self.rows.weights.blocks().iter().cloned().enumerate() {
                // A block without taps may begin behind the last channel: a phase of a transposed convolution need not have the kernel's last ones.
                let first_tap = taps.start.min(self.rows.weights.taps() - 1);
                let in_place = self.source.in_place(first_tap / self.source.channel_taps());
                let pixels = match in_place {
                    Some(memory) => memory,
                    None => {
                        T::launch(self.isa, PackBlock { source: self.source, taps: taps.clone(), data: &mut *packed });
                        &*packed
                    }
                };
                let list = self.lists_of(index, &layout, layouts);
                let packs = in_place.is_none() && !self.lanes.are_pixels();
                let upcoming = self.list_upcoming(packs.then_some(index), layouts);
                if self.lanes.gathered() {
                    self.list_gathered(taps.len(), layouts);
                }
                let mut block = Block {
                    depth: taps.len() as u32,
                    masks: self.rows.weights.masks(index),
                    pixels,
                    run: runs.len as u32,
                    pitch: runs.pitch as u32,
                    step: runs.step as u32,
                    before: self.elements_before() as u32,
                    tiles: &layouts.tiles(&layout)[tiles.clone()],
                    taps: layouts.taps(),
                    first_list: list,
                    parts: layout.parts,
                    of_part: if layout.parts > 1 { layout.of_part } else { 0 },
                    ahead: self.ahead(in_place.is_some()),
                    limits: if index + 1 == self.rows.weights.blocks().len() { self.limits } else { None },
                    far: self.far,
                };
                let gathering = self.lanes.gathered().then(|| {
                    let gathering = self.gather(&block, in_place.is_some(), &mut *gathered, (&layout, layouts));
                    block = Block { pixels: &[], step: 1, taps: layouts.gathered(), first_list: 0, ..block };
                    gathering
                });
                if self.lanes.are_pixels() {
                    self.multiply_pixels(block, index, gathering, output);
                } else {
                    let pieces = self.rows.panels.len() * (block.tiles.len() / 2);
                    let upcoming = Upcoming::new(upcoming, layouts.upcoming(), pieces);
                    self.multiply_channels(&block, index, layout.most_pixels, (gathering, sums, upcoming), output);
                }
            }
        }
    }

    /// Elements before the pixels from which tiles' places count: room for what their taps leave out.
    fn elements_before(&self) -> usize {
        if self.source.image_place().is_some() { Clip::MOST * self.source.runs().step } else { 0 }
    }

    fn multiply_pixels(
        &self,
        block: Block<'_, T>,
        index: usize,
        mut gathering: Option<Gathering<'_, T>>,
        output: &mut impl Rows<T>,
    ) {
        let together = TileShape::of::<T>(self.isa).panels_together(self.lanes, 0);
        for panel in self.rows.panels.clone().step_by(together) {
            let panels = panel..(panel + together).min(self.rows.panels.end);
            let (panel, rows) = (self.rows.panel(index, panels.clone()), self.rows.of(panels));
            let gathering = gathering.as_mut();
            output.with_rows(rows.start, rows.len(), |rows| {
                T::launch(self.isa, MultiplyPixels { block, panel, rows, gathering });
            });
        }
    }

    fn multiply_channels(
        &self,
        block: &Block<'_, T>,
        index: usize,
        most_pixels: usize,
        (mut gathering, sums, mut upcoming): (Option<Gathering<'_, T>>, &mut [T], Upcoming<'_, T>),
        output: &mut impl Rows<T>,
    ) {
        let (runs, shape, all) = (self.source.runs(), TileShape::of::<T>(self.isa), self.rows.weights.panels());
        let (pixels, last) = (runs.count * runs.len, index + 1 == self.rows.weights.blocks().len());
        let most = shape.panels_together(self.lanes, most_pixels);
        let (sums, partial) = sums.split_at_mut(sums.len() - shape.partial_len(self.lanes, pixels));
        let mut rest = self.rows.panels.clone();
        if most > 1 {
            // All whole panels in one call: where memory is the limit, each takes a tenth of the time of a few panels.
            let together = rest.start..rest.end.min(all.total / all.size);
            let panels = together.len();
            if panels > 1 {
                let (panel, rows) = (self.rows.panel(index, together.clone()), self.rows.of(together.clone()));
                let sums = &mut sums[..rows.len() * pixels];
                let launch = |sums| T::launch(self.isa, MultiplyFew { block, panel, panels, most, sums });
                if let Some(column) = output.column(rows.start, rows.len()) {
                    // As the sums of one pixel lie, so do its outputs.
                    launch(column);
                } else {
                    launch(&mut *sums);
                    let turned = if last { rows } else { 0..0 };
                    for (first, sums) in turned.step_by(all.size).zip(sums.chunks_exact(all.size * pixels)) {
                        output.with_rows(first, all.size, |rows| few_pixels::turn(sums, rows));
                    }
                }
                rest.start = together.end;
            }
        }
        let mut multiply = |panels: Range<usize>, rows: &mut [&mut [T]]| {
            let (panels, gathering) = (self.rows.each(index, panels, (shape, pixels)), gathering.as_mut());
            let (sums, partial, upcoming) = (&mut *sums, &mut *partial, &mut upcoming);
            T::launch(self.isa, MultiplyChannels { block, panels, gathering, sums, partial, upcoming, rows });
        };
        if !last {
            return multiply(rest, &mut []);
        }
        for panel in rest {
            let rows = self.rows.of(panel..panel + 1);
            output.with_rows(rows.start, rows.len(), |rows| multiply(panel..panel + 1, rows));
        }
    }

    /// Tiles that go through all panels before the next ones do. Pixels that are packed or gathered are so few that a second-level cache holds them; of those
    /// that are read in place there may be more.
    fn tiles_at_once(&self, layout: &Layout, tiles: usize) -> usize {
        if self.lanes != Lanes::Pixels || self.source.in_place(0).is_none() {
            return tiles;
        }
        let channels = self.rows.weights.most_taps().div_ceil(self.source.channel_taps());
        let region = TileShape::of::<T>(self.isa).region;
        let most = (region / (channels * layout.most_pixels).max(1)).max(1);
        tiles.div_ceil(tiles.div_ceil(most).max(1))
    }

    /// Elements from a tap's pixels to those that are asked for meanwhile: of the same tap, some channels on. With pixels as lanes only taps that have pixels of their
    /// own where memory has them are worth it; gathered ones lie one behind the other.
    fn ahead(&self, in_place: bool) -> usize {
        match self.lanes {
            Lanes::Channels => self.distance_ahead(),
            Lanes::Pixels if in_place && self.source.channel_taps() == 1 => self.distance_ahead(),
            _ => 0,
        }
    }

    fn distance_ahead(&self) -> usize {
        self.source.distance() * AHEAD.div_ceil(self.source.channel_taps())
    }

    /// With pixels as lanes, pixels before the first whose vectors begin where cache lines do: in an image that is read as it is, or, where caches hold neither,
    /// in what is written, if that has more channels. A vector across two lines takes two from the second-level cache. Measured with `cargo bench --bench layers`: 1x1 of
    /// 256 to 64 channels at 56x56 is 1.1 times as fast, 96 to 24 beyond the caches 1.2 times.
    fn before_line(&self, output: &mut impl Rows<T>) -> Option<usize> {
        match self.lanes {
            Lanes::Pixels => {}
            Lanes::GatheredPixels => return output.before_line(),
            _ => return None,
        }
        let one_run = self.source.channel_taps() == 1 && self.source.runs().count == 1;
        let alike = one_run && (self.source.distance() * size_of::<T>()).is_multiple_of(CACHE_LINE);
        let image = self.source.in_place(0).filter(|_| alike);
        let fewer = self.rows.weights.taps() > self.rows.weights.panels().total;
        match image {
            Some(image) if fewer || !self.far => Some(before_line(image)),
            _ if self.far => output.before_line(),
            _ => None,
        }
    }
}

/// [`Source::pack`], compiled for an instruction set.
struct PackBlock<'a, T, P> {
    source: &'a P,
    taps: Range<usize>,
    data: &'a mut [T],
}

impl<T: Element, P: Source<T>> Kernel<T> for PackBlock<'_, T, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        self.source.pack(simd, self.taps, self.data);
    }
}
