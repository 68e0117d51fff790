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
mod weights;

use core::ops::Range;

use crate::element::Element;
use crate::kernels::channel_tile::{Ahead, MultiplyChannels};
use crate::kernels::few_pixels::{self, MultiplyFew};
use crate::kernels::gather::Gather;
use crate::kernels::pixel_tile::MultiplyPixels;
use crate::kernels::tile::{Block, Tile};
use crate::simd::taps::{Clip, Tap, TapLists};
use crate::simd::{Isa, Kernel, Simd};
use blocking::{Lanes, TileShape};
pub(crate) use weights::PackedWeights;

/// How the pixels of a region lie in memory: `count` runs of `len`, each `pitch` elements behind the one before it, with pixels `step`
/// elements apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) count: usize,
    pub(crate) len: usize,
    pub(crate) pitch: usize,
    pub(crate) step: usize,
}

/// Which taps some neighbouring pixels see, where those on zero padding are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Columns of taps in all.
    pub(crate) width: usize,
    /// Rows and columns of taps that any of the pixels sees inside the image.
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    /// Columns of taps that all of the pixels see inside the image.
    pub(crate) whole: Range<usize>,
    /// The least offset of a tap that is seen, if tiles begin there and offsets count from there.
    pub(crate) first: Option<u32>,
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

    /// Where the first pixel under the first tap lies in that memory, if taps on padding are left out of it: it may be such a tap, before the memory's
    /// begin. Then tiles must be such that a tap is left out by the first or the last pixel of each run, or by all or none.
    fn image_place(&self) -> Option<isize> {
        None
    }

    /// Makes the given taps of all pixels, from their first channel on.
    fn pack<S: Simd<T>>(&self, simd: S, taps: Range<usize>, data: &mut [T]);

    /// The first pixel of a run, behind this one, that sees other columns of taps than the one before it does, if some taps may be left out.
    fn edge_behind(&self, _pixel: usize) -> Option<usize> {
        None
    }

    /// What pixels of some runs see, if some taps may be left out.
    fn sight(&self, _runs: Range<usize>, _pixels: Range<usize>) -> Option<Sight> {
        None
    }
}

/// Rows of output that a [`Gemm`] writes to: one element for each pixel of the source.
pub(crate) trait Rows<T> {
    /// Calls `with` on the rows `first..first + count`.
    fn with_rows(&mut self, first: usize, count: usize, with: impl FnOnce(&mut [&mut [T]]));
}

/// Most rows in a weight panel, of any instruction set.
pub(crate) const MAX_PANEL_ROWS: usize = 32;

/// Most rows that are asked for at once: those of several panels where pixels are lanes.
pub(crate) const MAX_ROWS: usize = 32;

/// Pixels that a tile should have where it is made smaller for the sake of padding.
const LEAST: usize = 4;

/// Pixels of an image that may have tiles of their own.
const MOST_APART: usize = 16;

/// What a [`Gemm`] notes down on its way; kept from call to call for its memory's sake.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists {
    tiles: Vec<Tile>,
    sights: Vec<Option<Sight>>,
    /// Those of a channel: see [`Source::offsets`].
    offsets: Vec<u32>,
    /// The taps of a channel that each sight has, one after the other, and where each ends.
    seen: Vec<Seen>,
    seen_ends: Vec<usize>,
    /// The taps of a block, or of all blocks, that each sight has.
    taps: TapLists,
    /// Where pixels are gathered: the taps of a block as they lie then, and the pixels as they lie before, if not one behind the other.
    gathered: TapLists,
    places: Vec<u32>,
    /// Whether they are kept for products with further groups of channels, for all blocks.
    keep: bool,
    /// Whether they are those of a product with another group of channels.
    filled: bool,
}

/// A tap of a channel.
#[derive(Clone, Copy, Debug)]
struct Seen {
    number: usize,
    offset: u32,
    clip: Clip,
}

impl Lists {
    /// Before products that have nothing in common with those before, but maybe with each other.
    pub(crate) fn start(&mut self, keep: bool) {
        (self.keep, self.filled) = (keep, false);
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        fn of<E>(list: &Vec<E>) -> usize {
            list.capacity() * size_of::<E>()
        }
        let numbers = of(&self.offsets) + of(&self.seen_ends);
        of(&self.tiles)
            + of(&self.sights)
            + of(&self.seen)
            + self.taps.bytes()
            + self.gathered.bytes()
            + of(&self.places)
            + numbers
    }

    /// Where the first pixel under each tap of some channels lies.
    pub(crate) fn offsets_of<T: Copy>(&mut self, source: &impl Source<T>, channels: usize) -> &[u32] {
        let len = source.channel_taps();
        self.offsets.resize(channels * len, 0);
        source.offsets(&mut self.offsets[..len]);
        for tap in len..channels * len {
            self.offsets[tap] = self.offsets[tap - len] + source.distance() as u32;
        }
        &self.offsets
    }
}

/// Working memory of a [`Gemm`].
pub(crate) struct Memory<'a, T> {
    /// For what the source packs.
    pub(crate) packed: &'a mut [T],
    /// For gathered pixels.
    pub(crate) gathered: &'a mut [T],
    /// With channels as lanes an element for each pixel and channel, in whole vectors.
    pub(crate) sums: &'a mut [T],
    pub(crate) lists: &'a mut Lists,
}

/// One group's matrix product, or some of its row panels.
pub(crate) struct Gemm<'a, T, P> {
    pub(crate) isa: Isa,
    pub(crate) lanes: Lanes,
    pub(crate) weights: &'a PackedWeights<T>,
    pub(crate) group: usize,
    /// Which panels of the group's rows.
    pub(crate) panels: Range<usize>,
    pub(crate) source: &'a P,
    /// One number for each row of those panels, or none.
    pub(crate) bias: Option<&'a [T]>,
}

impl<T: Element, P: Source<T>> Gemm<'_, T, P> {
    /// Computes all pixels. Row 0 of `output` is the first row of the first panel.
    pub(crate) fn run(&self, output: &mut impl Rows<T>, memory: Memory<'_, T>) {
        let Memory { packed: scratch, gathered, sums, lists } = memory;
        let zeros = [T::ZERO; few_pixels::MOST * MAX_PANEL_ROWS];
        let panels = self.weights.panels();
        let first_row = panels.range(self.panels.clone()).start;
        let shape = TileShape::of::<T>(self.isa);
        let runs = self.source.runs();
        let pixels = runs.count * runs.len;
        let filled = core::mem::replace(&mut lists.filled, lists.keep);
        if !filled {
            lists.offsets.resize(self.source.channel_taps(), 0);
            self.source.offsets(&mut lists.offsets);
            if self.lanes.gathered() {
                self.lay_gathered(runs, shape, lists);
            } else {
                self.lay_tiles(runs, shape, lists);
            }
            self.list_channel(lists);
        }
        for (index, taps) in self.weights.blocks().iter().cloned().enumerate() {
            // A block without taps may begin behind the last channel: a phase of a transposed convolution need not have the kernel's last ones.
            let first_tap = taps.start.min(self.weights.taps() - 1);
            let in_place = self.source.in_place(first_tap / self.source.channel_taps());
            let mut memory = match in_place {
                Some(memory) => memory,
                None => {
                    T::launch(self.isa, PackBlock { source: self.source, taps: taps.clone(), data: &mut *scratch });
                    &*scratch
                }
            };
            if !filled {
                self.list_taps(taps.clone(), lists);
            }
            let (mut first_list, mut step) = (if lists.keep { index * lists.sights.len() } else { 0 }, runs.step);
            if self.lanes.gathered() {
                self.gather(memory, pixels, (taps.len(), first_list), gathered, lists);
                (memory, step, first_list) = (&*gathered, 1, 0);
            }
            let of_block = if self.lanes.gathered() { &lists.gathered } else { &lists.taps };
            let most = lists.tiles.iter().map(Tile::pixels).max().unwrap_or(0);
            let most = shape.panels_together(self.lanes, most);
            let mut panel = self.panels.start;
            while panel < self.panels.end {
                let mut together = panel..(panel + most).min(self.panels.end);
                let mut rows = panels.range(together.clone());
                if !self.lanes.are_pixels() && together.len() > 1 && rows.len() < together.len() * panels.size {
                    // The last panel has fewer channels, and goes by itself.
                    together.end -= 1;
                    rows = panels.range(together.clone());
                }
                let (first, rows) = (rows.start - first_row, rows.len());
                let block = Block {
                    weights: self.weights.consecutive(self.group, index, together.clone()),
                    rows: panels.size.min(rows) as u32,
                    depth: taps.len() as u32,
                    masks: self.weights.masks(index),
                    pixels: memory,
                    run: runs.len as u32,
                    pitch: runs.pitch as u32,
                    step: step as u32,
                    before: if self.source.image_place().is_some() { step as u32 } else { 0 },
                    tiles: &lists.tiles,
                    taps: of_block,
                    first_list,
                    bias: match (index, self.bias) {
                        (0, Some(bias)) => Some(&bias[first..first + rows]),
                        (0, None) => Some(&zeros[..rows]),
                        _ => None,
                    },
                };
                if self.lanes.are_pixels() {
                    output.with_rows(first, rows, |rows| {
                        T::launch(self.isa, MultiplyPixels { block, rows });
                    });
                } else {
                    let sums = &mut sums[shape.padded(first) * pixels..];
                    if together.len() > 1 {
                        let sums = &mut sums[..rows * pixels];
                        T::launch(self.isa, MultiplyFew { block, panels: together.len(), sums: &mut *sums });
                        let of_panels = sums.chunks_exact(rows * pixels / together.len());
                        if index + 1 == self.weights.blocks().len() {
                            let firsts = (first..).step_by(panels.size);
                            for (first, sums) in firsts.zip(of_panels) {
                                output.with_rows(first, panels.size, |rows| few_pixels::turn(sums, rows));
                            }
                        }
                        panel = together.end;
                        continue;
                    }
                    let pixels_first = in_place.is_some() && self.source.image_place().is_none();
                    let ahead = if pixels_first && panel == self.panels.start && self.lanes == Lanes::Channels {
                        Ahead::Pixels
                    } else {
                        let next = self.weights.panel_after(self.group, index, panel, &self.panels);
                        let next = next.unwrap_or(block.weights);
                        Ahead::Weights { next, share: next.len().div_ceil(lists.tiles.len()) }
                    };
                    let mut multiply = |rows: &mut [&mut [T]]| {
                        T::launch(self.isa, MultiplyChannels { block, sums: &mut *sums, ahead, rows });
                    };
                    if index + 1 == self.weights.blocks().len() {
                        output.with_rows(first, rows, multiply);
                    } else {
                        multiply(&mut []);
                    }
                }
                panel = together.end;
            }
        }
    }

    /// Cuts the runs of pixels into tiles, and notes what each sees.
    fn lay_tiles(&self, runs: Runs, shape: TileShape, Lists { tiles, sights, taps, offsets, .. }: &mut Lists) {
        let Runs { count, len, pitch, step } = runs;
        tiles.clear();
        sights.clear();
        taps.clear();
        let channels = self.weights.panels().total;
        let apart = self.better_apart(runs, shape);
        let (together, most) = if apart { (1, 1) } else { shape.tile_of_runs(self.lanes, channels, len, step) };
        let image_place = self.source.image_place();
        let lead = if apart || image_place.is_some() { 0 } else { shape.lead(self.lanes, channels, len, step) };
        // Several panels together have no time to look.
        let largest = if count < together { 1 } else { together } * len.div_ceil(len.div_ceil(most).max(1));
        let clips = shape.clips && shape.panels_together(self.lanes, largest) == 1;
        let mut add = |run: Range<usize>, pixels: Range<usize>| {
            let mut sight = self.source.sight(run.clone(), pixels.clone());
            if let Some(sight) = sight.as_mut().filter(|_| self.lanes.are_pixels() || !clips) {
                sight.whole = sight.columns.clone();
            }
            let mut place = run.start * pitch + pixels.start * step;
            if let (Some(image_place), Some(sight)) = (image_place, &mut sight) {
                sight.first = sight.list(offsets).map(|tap| tap.offset).min();
                // A pixel that is left out may be before the image.
                place = sight.first.map_or(step, |first| {
                    (place + first as usize + step).checked_add_signed(image_place).expect("a place in the image")
                });
            }
            let list = sights.iter().rposition(|seen| *seen == sight).unwrap_or_else(|| {
                sights.push(sight);
                sights.len() - 1
            });
            tiles.push(Tile {
                place: place as u32,
                pixel: (run.start * len + pixels.start) as u32,
                len: pixels.len() as u16,
                runs: run.len() as u16,
                taps: list as u32,
            });
        };
        let whole = apart || self.end_of_part(0, len, most) == len;
        let mut run = 0;
        while run < count {
            if lead > 0 && run + 2 <= count {
                add(run..run + 2, 0..lead);
                for run in run..run + 2 {
                    for part in 0..(len - lead).div_ceil(most) {
                        let pixels = self.lanes.part(len - lead, most, part);
                        add(run..run + 1, lead + pixels.start..lead + pixels.end);
                    }
                }
                run += 2;
                continue;
            }
            // The last runs go one by one: there are no tiles of fewer runs that have as few pixels.
            let runs =
                if run + together <= count && !self.better_cut(run..run + together, len, shape) { together } else { 1 };
            let mut start = 0;
            while start < len {
                let end = if whole { len } else { self.end_of_part(start, len, most) };
                for part in 0..(end - start).div_ceil(most) {
                    let pixels = self.lanes.part(end - start, most, part);
                    add(run..run + runs, start + pixels.start..start + pixels.end);
                }
                start = end;
            }
            run += runs;
        }
    }

    /// Whether each pixel is a tile.
    fn better_apart(&self, Runs { count, len, .. }: Runs, shape: TileShape) -> bool {
        if self.lanes != Lanes::Channels || !(2..=MOST_APART).contains(&(count * len)) {
            return false;
        }
        let Some(all) = self.source.sight(0..count, 0..len) else { return false };
        let sight = |run: Range<usize>, pixel: Range<usize>| self.source.sight(run, pixel);
        let rows = (0..count).filter_map(|run| sight(run..run + 1, 0..1)).map(|sight| sight.rows.len());
        let columns = (0..len).filter_map(|pixel| sight(0..1, pixel..pixel + 1)).map(|sight| sight.columns.len());
        let seen = rows.sum::<usize>() * columns.sum::<usize>();
        shape.better_apart(self.weights.panels().total, count * len, seen, all.rows.len() * all.columns.len())
    }

    /// Whether some runs had better not share a tile: where one sees rows of taps that another does not, and is enough for a tile by itself.
    fn better_cut(&self, runs: Range<usize>, len: usize, shape: TileShape) -> bool {
        let rows = |run: usize| self.source.sight(run..run + 1, 0..1).map(|sight| sight.rows);
        let first = rows(runs.start);
        shape.busy_alone(self.lanes, self.weights.panels().total, len) && runs.skip(1).any(|run| rows(run) != first)
    }

    /// Where to cut a run behind a pixel: at an edge, so that no tile sees taps that only some of its pixels do, if that leaves parts that are worth it.
    fn end_of_part(&self, start: usize, len: usize, most: usize) -> usize {
        let worth = most.div_ceil(2).max(LEAST);
        if self.lanes.are_pixels() || len < start + 2 * worth {
            return len;
        }
        let mut edges = core::iter::successors(self.source.edge_behind(start), |&edge| self.source.edge_behind(edge));
        edges.find(|edge| edge - start >= worth).filter(|edge| edge + worth <= len).unwrap_or(len)
    }

    /// Cuts all pixels into tiles, whatever their runs, as they will lie when they are gathered; and notes where they lie before.
    fn lay_gathered(&self, runs: Runs, shape: TileShape, Lists { tiles, sights, taps, places, .. }: &mut Lists) {
        let Runs { count, len, pitch, step } = runs;
        let (channels, pixels) = (self.weights.panels().total, count * len);
        let (_, most) = shape.tile_of_runs(self.lanes, channels, pixels, 1);
        let distance = shape.gathered_tile(self.lanes, channels, pixels, self.weights.most_taps());
        taps.clear();
        sights.clear();
        sights.push(None);
        tiles.clear();
        tiles.extend((0..pixels.div_ceil(most)).map(|part| {
            let pixels = self.lanes.part(pixels, most, part);
            let (place, pixel) = ((part * distance) as u32, pixels.start as u32);
            Tile { place, pixel, len: pixels.len() as u16, runs: 1, taps: 0 }
        }));
        places.clear();
        if step != 1 || count > 1 {
            let of_run = |run: usize| (0..len).map(move |column| (run * pitch + column * step) as u32);
            places.extend((0..count).flat_map(of_run));
        }
    }

    /// Gathers the pixels of a block of so many taps, which are those of a list.
    fn gather(&self, pixels: &[T], count: usize, (taps, list): (usize, usize), to: &mut [T], lists: &mut Lists) {
        let Lists { tiles, taps: before, gathered, places, .. } = lists;
        let (_, slot) = TileShape::of::<T>(self.isa).tile_of_runs(self.lanes, self.weights.panels().total, count, 1);
        gathered.clear();
        gathered.extend((0..taps).map(|tap| Tap::new((tap * slot) as u32, tap as u16, Clip::Nothing)));
        gathered.end();
        T::launch(self.isa, Gather { pixels, taps: before, list, count, places, tiles, slot, to });
    }

    /// Lists the taps of a channel, for each sight.
    fn list_channel(&self, Lists { sights, offsets, seen, seen_ends, .. }: &mut Lists) {
        seen.clear();
        seen_ends.clear();
        for sight in sights.iter() {
            let numbered = offsets.iter().zip(0..);
            match sight {
                Some(sight) => seen.extend(sight.list(offsets)),
                None => seen.extend(numbered.map(|(&offset, number)| Seen { number, offset, clip: Clip::Nothing })),
            }
            seen_ends.push(seen.len());
        }
    }

    /// Lists the taps of a block, for each sight.
    fn list_taps(&self, block: Range<usize>, lists: &mut Lists) {
        let Lists { offsets, seen, seen_ends, taps, keep, .. } = lists;
        if !*keep {
            taps.clear();
        }
        let (len, distance) = (offsets.len(), self.source.distance() as u32);
        let first_channel = block.start / len;
        // Channels of which the block has all taps.
        let whole = block.start.div_ceil(len)..block.end / len;
        let mut start = 0;
        for &end in seen_ends.iter() {
            let seen = &seen[start..end];
            start = end;
            let mut channel = first_channel;
            while channel * len < block.end {
                // The channel's first tap, from the block's first on: it may be before that.
                let (first, at) = (channel * len, (channel - first_channel) as u32 * distance);
                let within = |tap: usize| seen.partition_point(|seen| first + seen.number < tap);
                let seen = if whole.contains(&channel) { seen } else { &seen[within(block.start)..within(block.end)] };
                taps.extend(seen.iter().map(|seen| {
                    let number = first + seen.number - block.start;
                    Tap::new(seen.offset + at, number as u16, seen.clip)
                }));
                channel += 1;
                if whole.contains(&channel) && channel > whole.start {
                    taps.repeat(seen.len(), whole.end - channel, (distance, len as u16));
                    channel = whole.end;
                }
            }
            taps.end();
        }
    }
}

impl Sight {
    /// Its taps, of all the taps of a channel.
    fn list(&self, offsets: &[u32]) -> impl Iterator<Item = Seen> {
        let Sight { width, rows, columns, whole, first } = self.clone();
        // Columns of taps in three parts, with what each part leaves out.
        let begin = columns.start..whole.start.clamp(columns.start, columns.end);
        let last = whole.end.clamp(begin.end, columns.end)..columns.end;
        let parts = [(begin.clone(), Clip::First), (begin.end..last.start, Clip::Nothing), (last, Clip::Last)];
        let numbers = move |row: usize| {
            let parts = parts.clone().into_iter();
            parts.flat_map(move |(columns, clip)| columns.map(move |column| (row * width + column, clip)))
        };
        let first = first.unwrap_or(0);
        rows.flat_map(numbers).map(move |(number, clip)| Seen { number, offset: offsets[number] - first, clip })
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
