//! How the pixels of a product are cut into tiles, and where each tile's taps lie.
//!
//! A small product takes as long to lay out as to multiply, so layouts are kept from call to call: a layer, or a small network, that sees inputs of
//! one size lays each out once.

use core::ops::Range;

use super::blocking::{self, TileShape};
use super::{Gemm, Lanes, Runs, Source};
use crate::element::Element;
use crate::kernels::gather::{Gather, Gathering};
use crate::kernels::tile::{Block, CACHE_LINE, Tile};
use crate::parts::even_part;
use crate::simd::Isa;
use crate::simd::taps::{Clip, Tap, TapLists};

/// Which taps some neighbouring pixels see, where those on zero padding are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Columns of taps in all.
    pub(crate) width: usize,
    /// Rows and columns of taps that any of the pixels sees inside the image.
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    /// Which pixels of a run they are, if some are to be left out under some columns.
    pub(crate) clipped: Range<usize>,
    /// The least offset of a tap that is seen, if tiles begin there and offsets count from there.
    pub(crate) first: Option<u32>,
}

/// Pixels of an image that may have tiles of their own.
const MOST_APART: usize = 16;

/// Vectors of a run, with pixels as lanes, from which on one more for the sake of whole cache lines is worth it.
const MANY_VECTORS: usize = 16;

/// Bytes of weights and pixels of a block up to which tiles go through it as a whole: somewhat more than a first-level cache holds. Measured with `cargo bench --bench layers` on
/// Emerald Rapids: 7x1 and 1x1 at 17x17 take 57 and 61 KiB, and are 1.03 to 1.05 times as fast in two parts; 3x3 takes 43 to 50 KiB, and would be 0.98 times as fast.
const WHOLE_BLOCK: usize = 54 << 10;
/// And where registers are few: first-level caches are of 32 KiB there. On Zen 4 with AVX2 7x1 at 17x17 takes 37 KiB, and is 1.06 times as fast in two parts, 1x1 at 17x17 and 28x28 1.08 to 1.14 times.
const WHOLE_BLOCK_SMALL: usize = 34 << 10;

/// Tiles, taps and places that are kept in all: small layers take some hundreds. What is kept is read again from the second-level cache at worst.
const MOST_KEPT: usize = 16 << 10;

/// The layouts of products, kept from call to call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layouts {
    /// What they are made of, one's behind the other's; last that of one which is not kept.
    tiles: Vec<Tile>,
    places: Vec<u32>,
    taps: TapLists,
    kept: Vec<Layout>,
    /// What those that are kept were made for, and what is looked for: see [`Source::describe`].
    words: Vec<isize>,
    wanted: Vec<isize>,
    /// The one that was found last.
    last: usize,
    /// Whether there was no room for one.
    full: bool,
    notes: Notes,
    /// The taps of a block whose pixels are gathered, as they lie then.
    gathered: TapLists,
    /// What will be packed next.
    upcoming: Vec<Range<usize>>,
}

/// What is noted down on the way to a layout.
#[derive(Clone, Debug, Default)]
struct Notes {
    sights: Vec<Option<Sight>>,
    /// Those of a channel: see [`Source::offsets`].
    offsets: Vec<u32>,
    /// The taps of a channel that each sight has, one after the other, and where each ends.
    seen: Vec<Seen>,
    seen_ends: Vec<usize>,
}

/// A tap of a channel.
#[derive(Clone, Copy, Debug)]
struct Seen {
    number: usize,
    offset: u32,
    clip: Clip,
}

/// How a product is laid out: its parts of [`Layouts`].
#[derive(Clone, Debug)]
pub(super) struct Layout {
    isa: Isa,
    lanes: Lanes,
    /// All else that it depends on.
    words: Range<usize>,
    tiles: Range<usize>,
    /// Where the pixels to gather lie, if not one behind the other.
    places: Range<usize>,
    /// The lists of taps that are there, those of all blocks if it is kept; into how many parts the taps of each fall, or its rows, and how many lists a part has: one for
    /// each of what tiles see.
    lists: Range<usize>,
    pub(super) parts: usize,
    pub(super) of_part: usize,
    kept: bool,
    /// Pixels of the largest tile.
    pub(super) most_pixels: usize,
}

impl Layouts {
    /// Before a call: if there was no room for all layouts, those of this one may have it.
    pub(crate) fn start(&mut self) {
        if core::mem::take(&mut self.full) {
            self.kept.clear();
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        fn of<E>(list: &Vec<E>) -> usize {
            list.capacity() * size_of::<E>()
        }
        let Layouts { tiles, places, taps, kept, words, wanted, notes, gathered, upcoming, last: _, full: _ } = self;
        let Notes { sights, offsets, seen, seen_ends } = notes;
        let noted = of(sights) + of(offsets) + of(seen) + of(seen_ends);
        of(words)
            + of(wanted)
            + of(tiles)
            + of(places)
            + taps.bytes()
            + of(kept)
            + noted
            + gathered.bytes()
            + of(upcoming)
    }

    /// Where the first pixel under each tap of some channels lies.
    pub(crate) fn offsets_of<T: Copy>(&mut self, source: &impl Source<T>, channels: usize) -> &[u32] {
        let (len, offsets) = (source.channel_taps(), &mut self.notes.offsets);
        offsets.resize(channels * len, 0);
        source.offsets(&mut offsets[..len]);
        for tap in len..channels * len {
            offsets[tap] = offsets[tap - len] + source.distance() as u32;
        }
        offsets
    }

    pub(super) fn tiles(&self, layout: &Layout) -> &[Tile] {
        &self.tiles[layout.tiles.clone()]
    }

    pub(super) fn taps(&self) -> &TapLists {
        &self.taps
    }

    pub(super) fn gathered(&self) -> &TapLists {
        &self.gathered
    }

    pub(super) fn upcoming(&self) -> &[Range<usize>] {
        &self.upcoming
    }

    /// Throws away what is not kept.
    fn trim(&mut self) {
        let end = |part: fn(&Layout) -> &Range<usize>| self.kept.last().map_or(0, |last| part(last).end);
        let ends =
            [end(|last| &last.words), end(|last| &last.tiles), end(|last| &last.places), end(|last| &last.lists)];
        let [words, tiles, places, lists] = ends;
        self.words.truncate(words);
        self.tiles.truncate(tiles);
        self.places.truncate(places);
        self.taps.truncate(lists);
    }

    /// The layout that is wanted, if it is kept. A network asks for one after the other.
    fn find(&mut self, isa: Isa, lanes: Lanes) -> Option<Layout> {
        let fits = |layout: &Layout| {
            layout.isa == isa && layout.lanes == lanes && self.words[layout.words.clone()] == *self.wanted
        };
        let count = self.kept.len();
        let found = (self.last..count).chain(0..self.last.min(count)).find(|&index| fits(&self.kept[index]))?;
        self.last = found;
        Some(self.kept[found].clone())
    }

    /// Elements that count against [`MOST_KEPT`].
    fn size(&self) -> usize {
        self.tiles.len() + self.places.len() + self.taps.len()
    }
}

impl<T: Element, P: Source<T>> Gemm<'_, T, P> {
    /// Lays out the product, if it has not been laid out before, with so many pixels before the first whose vectors begin
    /// where cache lines do: see [`Gemm::before_line`].
    pub(super) fn lay_out(&self, before_line: Option<usize>, layouts: &mut Layouts) -> Layout {
        layouts.trim();
        layouts.wanted.clear();
        let (runs, shape) = (self.source.runs(), TileShape::of::<T>(self.isa));
        let before_line = before_line.filter(|_| shape.reads_partly && runs.len >= MANY_VECTORS * shape.lanes);
        self.describe(&mut layouts.wanted);
        layouts.wanted.push(before_line.map_or(-1, |before| before as isize));
        if let Some(layout) = layouts.find(self.isa, self.lanes) {
            return layout;
        }
        let [tiles, places] = [layouts.tiles.len(), layouts.places.len()];
        let [words, lists] = [layouts.words.len(), layouts.taps.lists()];
        layouts.notes.offsets.resize(self.source.channel_taps(), 0);
        self.source.offsets(&mut layouts.notes.offsets);
        layouts.notes.sights.clear();
        if self.lanes.gathered() {
            self.lay_gathered(runs, shape, before_line, layouts);
        } else {
            self.lay_tiles(runs, shape, before_line, layouts);
        }
        self.list_channel(&mut layouts.notes);
        let tiles = tiles..layouts.tiles.len();
        let parts = self.parts(&layouts.tiles[tiles.clone()], &layouts.notes.offsets);
        let channels = self.rows.weights.taps().div_ceil(self.source.channel_taps());
        let times = if self.rows_apart().is_some() { parts } else { 1 };
        let kept = layouts.size() + channels * layouts.notes.seen.len() * times <= MOST_KEPT;
        if kept {
            for block in 0..self.rows.weights.blocks().len() {
                self.list_block(block, parts, layouts);
            }
        }
        layouts.words.extend_from_slice(&layouts.wanted);
        let layout = Layout {
            isa: self.isa,
            lanes: self.lanes,
            words: words..layouts.words.len(),
            places: places..layouts.places.len(),
            lists: lists..layouts.taps.lists(),
            parts,
            of_part: layouts.notes.sights.len(),
            most_pixels: layouts.tiles[tiles.clone()].iter().map(Tile::pixels).max().unwrap_or(0),
            tiles,
            kept,
        };
        if kept {
            layouts.last = layouts.kept.len();
            layouts.kept.push(layout.clone());
        } else {
            layouts.full = true;
        }
        layout
    }

    /// The number of a block's first list of taps, once it is there.
    pub(super) fn lists_of(&self, block: usize, layout: &Layout, layouts: &mut Layouts) -> usize {
        if layout.kept {
            return layout.lists.start + block * layout.parts * layout.of_part;
        }
        layouts.taps.truncate(layout.lists.start);
        self.list_block(block, layout.parts, layouts);
        layout.lists.start
    }

    /// Into how many parts blocks fall: into two, if their weights of a panel and the cache lines of a tile's pixels would be far more than a first-level cache holds.
    /// And rows that have different taps into those of a tile each.
    fn parts(&self, tiles: &[Tile], offsets: &[u32]) -> usize {
        if let Some(rows) = self.rows_apart() {
            return self.rows.weights.panels().total.div_ceil(rows);
        }
        let (shape, line) = (TileShape::of::<T>(self.isa), CACHE_LINE / size_of::<T>());
        let step = self.source.runs().step;
        let lines = |tile: &Tile| usize::from(tile.runs) * (usize::from(tile.len) * step + line - 1);
        let of_tile = tiles.iter().map(lines).max().unwrap_or(0);
        let most = tiles.iter().map(Tile::pixels).max().unwrap_or(1);
        // Neighbouring taps may share lines.
        let apart = 1 + offsets.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) as usize >= line).count();
        let of_tap = shape.panel_vectors() * shape.lanes + of_tile * apart / offsets.len();
        let bytes = self.rows.weights.most_taps() * of_tap * size_of::<T>();
        // Few pixels bring few cache lines.
        let one = self.lanes != Lanes::Channels || shape.panels_together(self.lanes, most) > 1;
        let most_bytes = if shape.many_registers() { WHOLE_BLOCK } else { WHOLE_BLOCK_SMALL };
        if !one && bytes > most_bytes { 2 } else { 1 }
    }

    /// Lists what is packed behind a block, if any is: the next one, or the first one of the region below. The list is of the memory that it returns.
    pub(super) fn list_upcoming(&self, block: Option<usize>, layouts: &mut Layouts) -> &[T] {
        let (blocks, spans) = (self.rows.weights.blocks(), &mut layouts.upcoming);
        spans.clear();
        let Some(block) = block else { return &[] };
        let (next, below) = if block + 1 < blocks.len() { (block + 1, false) } else { (0, true) };
        self.source.list_upcoming(blocks[next].clone(), below, spans).unwrap_or(&[])
    }

    /// All that a layout depends on beside the instruction set and the kind of tiles.
    fn describe(&self, words: &mut Vec<isize>) {
        let (panels, blocks) = (self.rows.weights.panels(), self.rows.weights.blocks());
        words.extend([panels.total as isize, panels.size as isize, blocks.len() as isize]);
        words.extend(blocks.iter().flat_map(|block| [block.start as isize, block.end as isize]));
        self.source.describe(words);
    }

    /// Cuts the runs of pixels into tiles, and notes what each sees. With pixels as lanes vectors begin where cache lines do, if it is known where the first does.
    fn lay_tiles(&self, runs: Runs, shape: TileShape, before_line: Option<usize>, layouts: &mut Layouts) {
        let Layouts { tiles, notes: Notes { sights, offsets, .. }, .. } = layouts;
        let Runs { count, len, pitch, step } = runs;
        let channels = self.rows.weights.panels().total;
        let apart = self.better_apart(runs, shape);
        let (together, most) = if apart { (1, 1) } else { shape.tile_of_runs(self.lanes, channels, len, step) };
        let (image_place, before) = (self.source.image_place(), self.elements_before());
        // Several panels together have no time to look.
        let largest = shape.runs_of_tile((together, most), count) * len.div_ceil(len.div_ceil(most).max(1));
        let clips = shape.panels_together(self.lanes, largest) == 1;
        let mut add = |run: Range<usize>, pixels: Range<usize>| {
            let mut sight = self.source.sight(run.clone(), pixels.clone());
            if let Some(sight) = sight.as_mut().filter(|_| self.lanes.are_pixels() || !clips) {
                sight.clipped = 0..0;
            }
            let mut place = run.start * pitch + pixels.start * step;
            if let (Some(image_place), Some(sight)) = (image_place, &mut sight) {
                sight.first = sight.list(offsets, self.source).map(|tap| tap.offset).min();
                // Pixels that are left out may be before the image.
                place = sight.first.map_or(before, |first| {
                    (place + first as usize + before).checked_add_signed(image_place).expect("a place in the image")
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
        let mut add_parts = |runs: Range<usize>, Range { start, end }: Range<usize>| {
            for part in 0..(end - start).div_ceil(most) {
                let pixels = shape.part(self.lanes, end - start, most, part);
                add(runs.clone(), start + pixels.start..start + pixels.end);
            }
        };
        let whole = apart || self.end_of_part(0, len, most) == len;
        let lead = shape.lead(self.lanes, channels, len, step).filter(|_| !apart && whole);
        // Where the last run's last pixels are to be read in a part of a vector, they are a tile of their own.
        let cut = self.lanes == Lanes::Pixels && len > shape.lanes && !self.source.whole_vectors();
        let mut run = 0;
        while run < count {
            if let Some((together, lead)) = lead {
                let alike = |runs: &usize| image_place.is_none() || self.see_alike(run..run + runs);
                let together = (2..=shape.runs_of_tile((together, lead), count - run)).take_while(alike).last();
                if let Some(together) = together {
                    add_parts(run..run + together, 0..lead);
                    (run..run + together).for_each(|run| add_parts(run..run + 1, lead..len));
                    run += together;
                    continue;
                }
            }
            let runs = shape.runs_of_tile((together, most), count - run);
            let runs = if self.better_cut(run..run + runs, len, shape) { 1 } else { runs };
            let before = before_line.map_or(0, |before| (before + run * len * (shape.lanes - 1)) % shape.lanes);
            let mut start = first_end(before, most, shape.lanes).min(len);
            add_parts(run..run + 1, 0..start);
            let last_vector = if cut { start + (len - start) / shape.lanes * shape.lanes } else { len };
            while start < len {
                let end = match whole {
                    true if start < last_vector && run + 1 == count => last_vector,
                    true => len,
                    false => self.end_of_part(start, len, most),
                };
                add_parts(run..run + runs, start..end);
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
        shape.better_apart(self.rows.weights.panels().total, count * len, seen, all.rows.len() * all.columns.len())
    }

    /// Whether some runs had better not share a tile: where one sees rows of taps that another does not, and is enough for a tile by itself.
    fn better_cut(&self, runs: Range<usize>, len: usize, shape: TileShape) -> bool {
        shape.busy_alone(self.lanes, self.rows.weights.panels().total, len) && !self.see_alike(runs)
    }

    /// Whether some runs see the same rows of taps.
    fn see_alike(&self, runs: Range<usize>) -> bool {
        let rows = |run: usize| self.source.sight(run..run + 1, 0..1).map(|sight| sight.rows);
        let first = rows(runs.start);
        runs.skip(1).all(|run| rows(run) == first)
    }

    /// Where to cut a run behind a pixel: at an edge, so that no tile sees taps that only some of its pixels do, if that leaves parts that are worth it.
    fn end_of_part(&self, start: usize, len: usize, most: usize) -> usize {
        let Some(first) = self.source.edge_behind(start).filter(|_| !self.lanes.are_pixels()) else { return len };
        let alike = TileShape::of::<T>(self.isa).least_alike(self.rows.weights.panels().total);
        if first >= start + alike && first + alike <= len {
            return first;
        }
        let worth = blocking::least_part(most);
        let mut edges = core::iter::successors(Some(first), |&edge| self.source.edge_behind(edge));
        edges.find(|edge| edge - start >= worth).filter(|edge| edge + worth <= len).unwrap_or(len)
    }

    /// Cuts all pixels into tiles, whatever their runs, as they will lie when they are gathered; and notes where they lie before.
    fn lay_gathered(&self, runs: Runs, shape: TileShape, before_line: Option<usize>, layouts: &mut Layouts) {
        let Layouts { tiles, places, notes: Notes { sights, .. }, .. } = layouts;
        let Runs { count, len, pitch, step } = runs;
        let (channels, pixels) = (self.rows.weights.panels().total, count * len);
        let (_, most) = shape.tile_of_runs(self.lanes, channels, pixels, 1);
        let distance = shape.gathered_tile(self.lanes, channels, pixels, self.rows.weights.most_taps());
        sights.push(None);
        let lead = first_end(before_line.unwrap_or(0), most, shape.lanes).min(pixels);
        let rest = pixels - lead;
        let parts = (0..rest.div_ceil(most)).map(|part| shape.part(self.lanes, rest, most, part));
        let parts = parts.map(|part| part.start + lead..part.end + lead);
        let all = (lead > 0).then_some(0..lead).into_iter().chain(parts);
        tiles.extend(all.enumerate().map(|(number, pixels)| {
            let (place, pixel) = ((number * distance) as u32, pixels.start as u32);
            Tile { place, pixel, len: pixels.len() as u16, runs: 1, taps: 0 }
        }));
        if step != 1 || count > 1 {
            let of_run = |run: usize| (0..len).map(move |column| (run * pitch + column * step) as u32);
            places.extend((0..count).flat_map(of_run));
        }
    }

    /// Lists so many taps of a block as they lie when its pixels are gathered.
    pub(super) fn list_gathered(&self, taps: usize, layouts: &mut Layouts) {
        let slot = self.slot();
        layouts.gathered.truncate(0);
        layouts.gathered.extend((0..taps).map(|tap| Tap::new((tap * slot) as u32, tap as u16, Clip::NOTHING)));
        layouts.gathered.end(1);
    }

    /// Elements from tap to tap of a tile of gathered pixels.
    fn slot(&self) -> usize {
        let (Runs { count, len, .. }, channels) = (self.source.runs(), self.rows.weights.panels().total);
        TileShape::of::<T>(self.isa).tile_of_runs(self.lanes, channels, count * len, 1).1
    }

    /// Gathers a block's pixels, but for those of the first tiles that can do it themselves.
    pub(super) fn gather<'b>(
        &self,
        block: &Block<'b, T>,
        in_place: bool,
        to: &'b mut [T],
        (layout, layouts): (&Layout, &Layouts),
    ) -> Gathering<'b, T> {
        let Block { pixels: image, taps, first_list: list, tiles, .. } = *block;
        let (Runs { count, len, .. }, slot) = (self.source.runs(), self.slot());
        let places = &layouts.places[layout.places.clone()];
        let gathering = if places.is_empty() && self.tiles_gather() {
            let (lanes, reach) = (TileShape::of::<T>(self.isa).lanes, taps.reach(list));
            tiles.partition_point(|tile| {
                let end = tile.pixel as usize + tile.pixels().next_multiple_of(lanes);
                (end + reach).checked_sub(1).is_none_or(|end| end <= image.len())
            })
        } else {
            0
        };
        let others = &tiles[gathering..];
        T::launch(self.isa, Gather { pixels: image, taps, list, count: count * len, places, tiles: others, slot, to });
        let ahead = if in_place { self.distance_ahead() } else { 0 };
        Gathering { image, taps, list, ahead, to, slot, tiles: gathering }
    }

    /// Whether the first rows, or panel, of a tile of pixels that lie one behind the other may gather them.
    fn tiles_gather(&self) -> bool {
        let rows = self.rows.weights.panels().range(self.rows.panels.start..self.rows.panels.start + 1).len();
        !self.rows.weights.has_masks() && TileShape::of::<T>(self.isa).tiles_gather(self.lanes, rows)
    }

    /// Lists the taps of a channel, for each sight.
    fn list_channel(&self, Notes { sights, offsets, seen, seen_ends }: &mut Notes) {
        seen.clear();
        seen_ends.clear();
        for sight in sights.iter() {
            let numbered = offsets.iter().zip(0..);
            match sight {
                Some(sight) => seen.extend(sight.list(offsets, self.source)),
                None => seen.extend(numbered.map(|(&offset, number)| Seen { number, offset, clip: Clip::NOTHING })),
            }
            seen_ends.push(seen.len());
        }
    }

    /// Lists the taps of a block, for each sight of each of its parts.
    fn list_block(&self, block: usize, parts: usize, layouts: &mut Layouts) {
        if let Some(rows) = self.rows_apart() {
            return (0..parts).for_each(|part| self.list_rows(block, part * rows..(part + 1) * rows, layouts));
        }
        let block = &self.rows.weights.blocks()[block];
        for part in 0..parts {
            let part = even_part(block.len(), parts, part);
            self.list_taps(block.start, block.start + part.start..block.start + part.end, layouts);
        }
    }

    /// Rows of a tile, if they have lists of their own: where they are phases of a transposed convolution, most taps are those of some.
    pub(super) fn rows_apart(&self) -> Option<usize> {
        let channels = self.rows.weights.panels().total;
        (self.lanes == Lanes::Pixels && self.rows.weights.has_masks())
            .then(|| TileShape::of::<T>(self.isa).rows_of(self.lanes, channels))
    }

    /// Lists the taps of a block that any of some rows has, for each sight.
    fn list_rows(&self, block: usize, rows: Range<usize>, layouts: &mut Layouts) {
        let Layouts { taps, notes: Notes { offsets, seen, seen_ends, .. }, .. } = layouts;
        let (len, distance, masks) = (offsets.len(), self.source.distance() as u32, self.rows.weights.masks(block));
        let (taps_of, of_rows) = (&self.rows.weights.blocks()[block], (1u32 << rows.len()) - 1);
        let mut start = 0;
        for &end in seen_ends.iter() {
            // Such a block has all taps of its channels.
            for (at, first) in (0..).zip((taps_of.start..taps_of.end).step_by(len)) {
                taps.extend(seen[start..end].iter().filter_map(|seen| {
                    let number = first + seen.number - taps_of.start;
                    let is_there = masks[number] >> rows.start & of_rows != 0;
                    is_there.then(|| Tap::new(seen.offset + at * distance, number as u16, Clip::NOTHING))
                }));
            }
            taps.end(1);
            start = end;
        }
    }

    /// Lists some taps of a block that begins at the given one, for each sight.
    fn list_taps(&self, first_tap: usize, part: Range<usize>, layouts: &mut Layouts) {
        let Layouts { taps, notes: Notes { offsets, seen, seen_ends, .. }, .. } = layouts;
        let (len, distance) = (offsets.len(), self.source.distance() as u32);
        let first_channel = first_tap / len;
        // Channels of which the part has all taps.
        let whole = part.start.div_ceil(len)..part.end / len;
        let mut start = 0;
        for &end in seen_ends.iter() {
            let seen = &seen[start..end];
            start = end;
            let mut channel = part.start / len;
            while channel * len < part.end {
                // The channel's first tap, and where its pixels lie.
                let (first, at) = (channel * len, (channel - first_channel) as u32 * distance);
                let within = |tap: usize| seen.partition_point(|seen| first + seen.number < tap);
                let seen = if whole.contains(&channel) { seen } else { &seen[within(part.start)..within(part.end)] };
                taps.extend(seen.iter().map(|seen| {
                    let number = first + seen.number - first_tap;
                    Tap::new(seen.offset + at, number as u16, seen.clip)
                }));
                channel += 1;
                if whole.contains(&channel) && channel > whole.start {
                    taps.repeat(seen.len(), whole.end - channel, (distance, len as u16));
                    channel = whole.end;
                }
            }
            taps.end(self.source.runs().step as u32);
        }
    }
}

/// Where the first tile of a run ends, if all others begin with vectors and so many pixels are before the first of those: what is before it is the end of a tile that is nearly as
/// large as any.
fn first_end(before: usize, most: usize, lanes: usize) -> usize {
    if before > 0 { most - lanes + before } else { 0 }
}

impl Sight {
    /// Its taps, of all the taps of a channel.
    fn list<T: Copy>(&self, offsets: &[u32], source: &impl Source<T>) -> impl Iterator<Item = Seen> {
        let Sight { width, rows, columns, clipped, first } = self;
        let first = first.unwrap_or(0);
        rows.clone().flat_map(move |row| {
            columns.clone().filter_map(move |column| {
                let number = row * width + column;
                let ends = if clipped.is_empty() { [0, 0] } else { source.left_out(column, clipped) };
                // Behind the image for some, and before it for all others?
                let seen = clipped.is_empty() || ends[0] + ends[1] < clipped.len();
                seen.then(|| Seen { number, offset: offsets[number] - first, clip: Clip::new(ends) })
            })
        })
    }
}
