//! How an output is cut into regions, how many threads share them, and what the lanes of the register tiles are.
//!
//! A cost model over sizes decides. In units of one multiply-add of a vector, a thread's time for a region is
//!
//! ```text
//! multiply   for each tile and tap: its multiply-adds, at least their latency, at least what it loads
//! fetch      where pixels are lanes: one for each vector that a tile sees, which its columns of taps share; less where it is a cache line, more if the first-level cache does not hold them
//! begin      what each tile takes before its first tap and after its last one
//! pack       PACK_ROW for each row of a channel that the region sees, PACK for each vector of it
//! gather     where pixels are gathered: GATHER for each tile and tap; where they could be and are not, what a tile waits for them
//! sample     where taps sample: WEIGH for each position, SHOW for each vector of the image around them, SAMPLE for each vector of samples
//! weights    LOAD for each vector
//! sums       ADD for each vector and block of taps
//! finish     TURN for each vector of sums, where channels are lanes; FAR for each vector that is written to memory in parts of cache lines and need not be
//! staged     STAGE for each vector of output, if the region is narrower than the output: copy it there
//! ```
//!
//! Regions are as large as working memory allows, since the weights are brought in for each; the number of rounds in which the threads get
//! through all of them, and then through those of the rows that are left, makes them many enough and even. No choice here changes a bit of the result.

use crate::algo::{Cache, Schedule};
use crate::gemm::blocking::{Lanes, TileShape};
use crate::numerics::SUMMATION_BLOCK;
use crate::parts::Chunks;

/// Packing a row of pixels of a channel, and each vector of it, in multiply-adds of a vector. These are measured with
/// `cargo bench --bench planner`.
const PACK_ROW: usize = 24;
const PACK: usize = 8;
/// And where pixels a stride apart come to lie next to each other. With 16, groups of 8 channels with stride 2 got pixels as lanes, and took 1.25 times as long.
const PACK_STRIDED: usize = 30;
/// Gathering a tap's pixels for a tile, and for a tile with pixels as lanes from memory. Measured with
/// `cargo bench --bench planner`.
const GATHER: usize = 26;
const GATHER_FAR: usize = 42;
/// Where tiles with channels as lanes do so themselves, and each pixel where they do not lie one behind the other: with many registers, for pixels and for channels as lanes, fitted to 77
/// layers with strides of 3 to 16 on Emerald Rapids, and with few.
const GATHER_CHANNELS: usize = 16;
const GATHER_STRIDED: [usize; 2] = [3, 4];
const GATHER_STRIDED_SMALL: usize = 7;
/// What small tiles wait for pixels that are not in the first-level cache: in the planes of a block that lie in so many bytes, as many pages as a processor finds at once, and in
/// others. With `GATHER_CHANNELS` and `HELD_BLOCK` fitted to 153 layers with AVX2 on Zen 4: the kind of tiles that is chosen takes 1.02 times as long as the fastest.
const WAIT_SMALL: usize = 2;
const WAIT_PAGES: usize = 4;
const PAGES_BYTES: usize = 64 << 12;
/// What larger ones wait for a tap's pixels from the third-level cache, and from memory: with pixels as lanes in planes of whole cache lines, and in others, and
/// with channels as lanes; and the last of them for more cache lines of pixels a stride apart. Fitted to the four kinds of tiles on 57 layers with 1x1 taps in caches, and 28
/// beyond, on Emerald Rapids, as is GATHER: the one that is chosen takes 1.006 and 1.016 times as long as the fastest.
const WAIT: [usize; 3] = [0, 4, 1];
const WAIT_FAR: [usize; 3] = [5, 8, 6];
const WAIT_STRIDED: usize = 1;
/// What fetching three vectors takes where each is a cache line; fitted to the same layers.
const FETCH_LINES: usize = 2;
/// Bytes of a block's weights of a panel, and of its pixels of a tile, that stay in the first-level cache where registers are few: if they are more, fetching takes twice as long.
const HELD_BLOCK: usize = 30 << 10;
/// Working out where a tap samples for a pixel, copying a row of pixels and each of them with a vector of channels to where they are sampled,
/// and a vector of samples. Measured with `cargo bench --bench layers`.
const WEIGH: usize = 6;
const SHOW_ROW: usize = 250;
const SHOW: usize = 6;
const SAMPLE: usize = 16;
/// How far offsets are expected to move a tap.
const REACH: usize = 3;
/// Numbers for each position that are kept for a region.
const POSITION: usize = 8;
/// Bringing in a vector of weights, from the second-level cache and from beyond, and how many bytes of them that holds beside a region. Measured with
/// `cargo bench --bench layers` on Emerald Rapids, 1x1 of 512 to 2048 channels at 65x65: 1.02 to 1.09 times as fast as with no more for those from beyond; with AVX2 0.94 to 1.0,
/// where more multiply-adds hide them.
const LOAD: usize = 4;
const LOAD_FAR: usize = 9;
const WEIGHT_BYTES: usize = 1 << 20;
/// Adding a vector of partial sums to what is there.
const ADD: usize = 2;
/// Turning a vector of sums, and what is more if every lane of it is a channel.
const TURN: usize = 4;
const TURN_ALL: usize = 12;
/// Writing a vector to memory that caches do not hold, a cache line of each of many rows or parts of two lines, where whole lines could be written: by tiles with
/// pixels as lanes of 1x1 taps, in planes of whole vectors. Measured with `cargo bench --bench layers`, from 64 to 256 channels to 256 to 1024: those are 1.0 to
/// 1.1 times as fast as others on Zen 4, and 0.93 to 1.0 in other planes; with twice as much gathered pixels are not used on Emerald Rapids where they are faster.
const FAR: usize = 10;
/// Copying a vector of output from working memory.
const STAGE: usize = 16;
/// Halves of a multiply-add that one takes where each channel is convolved for itself, with vectors of 64 bytes and with others. Measured, against Fourier
/// transforms, with kernels from 5x5 to 41x41 on images of 14x14 to 1024 x 1024.
const PLANE_WIDE: usize = 4;
const PLANE: usize = 5;
/// Multiply-adds below which a hand-over to another thread costs more than it gains.
const SERIAL_MACS: u64 = 200_000;
/// Bytes that a region may see of a channel that is convolved for itself.
const PLANE_BYTES: usize = 256 << 10;

/// Regions' working memory that tensors between steps may take at a time. Measured with `cargo bench --bench fused` and vectors of 64 bytes, one tensor: 1.04 to
/// 1.1 times as fast as half of it, which would stay in the second-level cache. Neighbouring bands both see some rows, and short ones are cut into low tiles.
const HELD: usize = 2;
/// How much more a band may see for the sake of tall kernels, and a region whose pixels are read in place: the product takes those a few tiles at a time, and each region cuts the
/// rows of tiles anew.
const MORE: usize = 4;
/// Rows of the tiles of direct convolution.
const TALL: usize = 4;

/// The taps that a pixel sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taps {
    /// Rows and columns of taps in each channel.
    pub(crate) kernel: [usize; 2],
    /// Taps of the whole kernel: so many of each channel are counted where sums are cut into blocks.
    pub(crate) of_kernel: usize,
    pub(crate) channels: usize,
    /// Rows and columns of taps that see pixels of their own: 1 for stride 1.
    pub(crate) classes: [usize; 2],
    /// Rows and columns of pixels by which a further one of taps is behind the one that it shares pixels with.
    pub(crate) distance: [usize; 2],
}

impl Taps {
    fn count(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.channels
    }

    /// Rows or columns that are packed for so many of output, in each channel.
    fn packed(&self, axis: usize, size: usize) -> usize {
        let (kernel, classes) = (self.kernel[axis], self.classes[axis].min(self.kernel[axis]));
        classes * size + (kernel - classes) * self.distance[axis].min(size)
    }

    /// Channels that a block of taps has taps of, at most.
    fn channels_per_block(&self) -> usize {
        let taps = self.of_kernel;
        ((SUMMATION_BLOCK - 1).div_ceil(taps) + 1).min(self.channels)
    }
}

/// Pixels that are sampled at offsets, for each tap anew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampled {
    pub(crate) stride: [usize; 2],
    /// Rows and columns of the image under the taps of one pixel, without offsets.
    pub(crate) window: [usize; 2],
    pub(crate) offset_groups: usize,
}

impl Sampled {
    /// Rows and columns of the image that a region is expected to see.
    fn seen(&self, size: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| (size[axis] - 1) * self.stride[axis] + self.window[axis] + 2 * REACH)
    }
}

/// What is to be computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// The register tiles that may be used.
    pub(crate) kinds: &'static [Lanes],
    pub(crate) batch: usize,
    /// The output channels, in units that stay together.
    pub(crate) units: Chunks,
    /// Channels that see the same pixels.
    pub(crate) channels_per_group: usize,
    pub(crate) output: [usize; 2],
    /// Neighbours in a vector of pixels are so far apart: the stride of a transposed convolution, else 1.
    pub(crate) phases: [usize; 2],
    pub(crate) taps: Taps,
    /// Along rows and columns: how many pairs there are of an output position and a tap on the image, of all phases.
    pub(crate) seen: [usize; 2],
    /// Rows and columns of the first pixels of all phases that lie before the output.
    pub(crate) lead: [usize; 2],
    /// So many phases are kept in working memory until all are there.
    pub(crate) kept: usize,
    /// And, where phases are output channels, so many of those, if a channel's are in several panels.
    pub(crate) held: usize,
    /// Whether neighbouring rows of pixels follow each other without gaps.
    pub(crate) linear: bool,
    /// Columns of the input from one pixel to the next.
    pub(crate) column_step: usize,
    /// Whether no pixel sees padding: then the input itself is what would be packed, or can be read at its stride.
    pub(crate) unpadded: bool,
    /// Where pixels are sampled and not packed; the three before then count for nothing.
    pub(crate) sampled: Option<Sampled>,
    pub(crate) shape: TileShape,
    /// What holds input and output.
    pub(crate) cache: Cache,
    /// Bytes of an element.
    pub(crate) element_bytes: usize,
    /// Elements of working memory that a region may take.
    pub(crate) memory: usize,
    /// And where each channel is for itself, the pixels that a channel of it sees.
    pub(crate) plane_memory: usize,
    /// Pixels that a region may have.
    pub(crate) pixel_limit: usize,
    /// Multiply-adds of the batch.
    pub(crate) macs: u64,
}

/// Elements that a region may see of a channel that is convolved for itself.
pub(crate) const fn plane_memory<T>() -> usize {
    PLANE_BYTES / size_of::<T>()
}

/// A candidate: the size of a region in pixels of a phase, and into how many pieces the channels are split.
#[derive(Clone, Copy, Debug)]
struct Cut {
    rows: usize,
    columns: usize,
    splits: usize,
    lanes: Lanes,
}

impl Demand {
    /// So many threads, or one for work that is not worth sharing.
    pub(in crate::plan) fn worth(&self, threads: usize) -> usize {
        if self.macs < SERIAL_MACS { 1 } else { threads }
    }

    /// The schedule for so many threads at most: no more than there are regions.
    pub(in crate::plan) fn shared(&self, schedule: Schedule, threads: usize) -> Schedule {
        Schedule { workers: threads.min(self.regions(&schedule)).max(1), ..schedule }
    }

    /// The cheapest schedule for so many threads.
    pub(crate) fn schedule(&self, threads: usize) -> Schedule {
        let threads = self.worth(threads);
        let (_, cut) = self.cheapest(threads);
        self.shared(self.in_outputs([cut.rows, cut.columns], cut.splits, cut.lanes), threads)
    }

    /// And what it costs.
    pub(crate) fn least_cost(&self, threads: usize) -> usize {
        self.cheapest(self.worth(threads)).0
    }

    /// What work that is bound by memory costs with one thread.
    pub(crate) fn plane_cost(&self) -> usize {
        let halves = if self.shape.lanes * self.element_bytes < 64 { PLANE } else { PLANE_WIDE };
        (self.macs / self.shape.lanes as u64) as usize * halves / 2
    }

    fn cheapest(&self, threads: usize) -> (usize, Cut) {
        let mut best: Option<((bool, usize), Cut)> = None;
        for &lanes in self.kinds {
            for splits in self.splits(threads, lanes) {
                for columns in self.widths() {
                    let most = self.most_rows(columns, splits, lanes);
                    let rows = self.phase_sizes()[0];
                    // As many rows as memory allows, and what divides them further among the threads.
                    let least = rows.div_ceil(most);
                    for pieces in least..least + 2 * threads {
                        let cut = Cut { rows: rows.div_ceil(pieces.min(rows)), columns, splits, lanes };
                        let cost = (!self.fits(cut), self.cost(threads, cut));
                        if best.is_none_or(|(least, _)| cost < least) {
                            best = Some((cost, cut));
                        }
                    }
                    // One region for all is best for one thread.
                    if threads == 1 && most == rows && self.fits(Cut { rows, columns, splits, lanes }) {
                        break;
                    }
                }
            }
        }
        let ((_, cost), cut) = best.expect("there is at least one cut");
        (cost, cut)
    }

    /// A schedule of regions with so many rows and columns of each phase, for one thread.
    pub(in crate::plan) fn in_outputs(&self, size: [usize; 2], splits: usize, lanes: Lanes) -> Schedule {
        let lead = self.lead;
        let [rows, columns] = [0, 1].map(|axis| (size[axis] * self.phases[axis]).min(self.output[axis] + lead[axis]));
        Schedule { workers: 1, units: self.units, splits, rows, columns, lead, lanes, reordering: None }
    }

    /// The schedule of the second of two convolutions that runs on what the first has just made, and how many rows are made at a time: about as many as
    /// take [`HELD`], where a pixel of output takes so many elements between the two. A thread has all its rows in one region, since what neighbouring
    /// rows share is made once in each.
    pub(crate) fn schedule_bands(&self, of_pixel: usize, threads: usize) -> (Schedule, usize) {
        let (threads, pixels) = (self.worth(threads), HELD * self.memory / of_pixel);
        let mut columns = self.output[1];
        while TALL * columns > pixels && columns > 2 * self.shape.lanes {
            columns = columns.div_ceil(2).next_multiple_of(self.shape.lanes);
        }
        let rows = self.output[0].div_ceil(threads.div_ceil(self.batch.max(1)));
        let most = (pixels / columns).max(TALL);
        // As even as can be, in whole tiles if there is room.
        let even = rows.div_ceil(rows.div_ceil(most));
        let band = even.next_multiple_of(TALL).min(most / TALL * TALL).min(rows);
        // Every region makes all that lies between, so the channels stay together.
        let units = Chunks { size: self.units.total, ..self.units };
        let of_band = Demand { units, output: [band, columns], batch: 1, ..*self };
        let schedule = Schedule { rows, columns, ..of_band.schedule(1) };
        (self.shared(schedule, threads), band)
    }

    /// The schedule of work that is bound by memory, with each channel for itself: bands of rows that stay in cache, as even as can be.
    pub(crate) fn schedule_planes(&self, threads: usize) -> Schedule {
        let threads = self.worth(threads);
        let [rows, all] = self.phase_sizes();
        let memory =
            |rows: usize, columns: usize| self.taps.channels * self.taps.packed(0, rows) * self.taps.packed(1, columns);
        // Long rows are read fastest, so bands have them whole unless not even one fits.
        let mut columns = all;
        while memory(1, columns) > MORE * self.plane_memory && columns > 2 * self.shape.lanes {
            columns = columns.div_ceil(2).next_multiple_of(self.shape.lanes);
        }
        let [one, two] = [1, 2].map(|rows| memory(rows, columns));
        let fitting = |memory: usize| memory.saturating_sub(one) / (two - one).max(1) + 1;
        // What neighbouring bands both see is read for each. Where that is much, larger bands are better, even beyond the second-level cache.
        let shared = self.taps.packed(0, 1) - 1;
        let most = fitting(self.plane_memory).max(shared.min(fitting(MORE * self.plane_memory))).min(rows);
        let splits = if self.batch < threads { self.units.count().min(threads) } else { 1 };
        let others = self.batch.max(1) * splits;
        // A thread has as many bands as any other.
        let even = threads.div_ceil(others);
        let bands = rows.div_ceil(most).next_multiple_of(even).min(rows);
        let tall = rows.div_ceil(bands).next_multiple_of(TALL);
        self.shared(self.in_outputs([tall.min(rows), columns], splits, Lanes::Pixels), threads)
    }

    /// Into how many pieces the channels may be split: among the threads, or, where memory does not hold the sums of all channels and pixels, into
    /// ever more, which lets more pixels share a loading of the weights.
    fn splits(&self, threads: usize, lanes: Lanes) -> impl Iterator<Item = usize> + use<> {
        let (units, [rows, columns]) = (self.units.count(), self.phase_sizes());
        let among = threads.min(units);
        let most = if self.fits(Cut { rows, columns, splits: among, lanes }) { among } else { units };
        (1..=among)
            .chain(core::iter::successors(Some(2 * among), |splits| Some(2 * splits)).take_while(move |&n| n <= most))
    }

    /// Columns that regions may have: all, or a half, a quarter and so on in whole vectors, down to about two vectors. Where pixels are sampled
    /// they need not be whole, since a row's samples follow on the row's before.
    fn widths(&self) -> impl Iterator<Item = usize> + use<> {
        let (columns, lanes) = (self.phase_sizes()[1], self.shape.lanes);
        let whole = if self.sampled.is_some() { 1 } else { lanes };
        let halvings = (columns / (lanes + whole)).checked_ilog2().unwrap_or(0);
        (0..=halvings).map(move |halving| match halving {
            0 => columns,
            _ => columns.div_ceil(1 << halving).next_multiple_of(whole),
        })
    }

    /// Most rows of so many columns that memory allows; at least one.
    fn most_rows(&self, columns: usize, splits: usize, lanes: Lanes) -> usize {
        let rows = self.phase_sizes()[0];
        let cut = |rows: usize| Cut { rows, columns, splits, lanes };
        if self.fits(cut(rows)) {
            return rows;
        }
        // Memory is linear in the rows, or nearly so: where pixels are gathered it goes by whole tiles, of one row or several. What little it takes without any row makes this more
        // than fits.
        let (_, tile) = self.shape.tile_of_runs(lanes, self.channels(splits).0, rows * columns, 1);
        let by_memory = (self.memory as u128 * rows as u128 / self.memory_of(cut(rows)).max(1) as u128) as usize;
        let most = (by_memory + tile.div_ceil(columns)).min(self.pixel_limit / columns).clamp(1, rows);
        (1..=most).rev().find(|&rows| self.fits(cut(rows))).unwrap_or(1)
    }

    /// Channels of a split, and into how many groups they fall.
    fn channels(&self, splits: usize) -> (usize, usize) {
        let channels = (self.units.count().div_ceil(splits) * self.units.size).min(self.units.total);
        (channels.min(self.channels_per_group), channels.div_ceil(self.channels_per_group))
    }

    fn fits(&self, cut: Cut) -> bool {
        self.memory_of(cut) <= self.memory && cut.rows * cut.columns <= self.pixel_limit
    }

    /// Elements of working memory.
    fn memory_of(&self, Cut { rows, columns, splits, lanes }: Cut) -> usize {
        let taps = &self.taps;
        let packed = match self.sampled {
            Some(_) => {
                (taps.count().min(SUMMATION_BLOCK) + POSITION * taps.kernel[0] * taps.kernel[1]) * rows * columns
            }
            None if lanes.gathered() && self.unpadded => 0,
            None if lanes == Lanes::Pixels && self.planes_in_place(lanes) => {
                taps.channels_per_block() * rows * columns / MORE
            }
            None => taps.channels_per_block() * taps.packed(0, rows) * taps.packed(1, columns),
        };
        let (channels, groups) = self.channels(splits);
        let gathered = match lanes.gathered() {
            true => self.shape.gathered_len(lanes, channels, rows * columns, taps.count().min(SUMMATION_BLOCK)),
            false => 0,
        };
        let kept = self.kept * channels * groups + self.held.min(channels);
        packed + gathered + self.shape.sums_len(lanes, channels, rows * columns) + kept * rows * columns
    }

    /// Rows and columns of the largest phase.
    pub(in crate::plan) fn phase_sizes(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.output[axis] + self.lead[axis]).div_ceil(self.phases[axis]))
    }

    fn regions(&self, schedule: &Schedule) -> usize {
        let pieces = self.output[0].div_ceil(schedule.rows) * self.output[1].div_ceil(schedule.columns);
        self.batch * schedule.splits * pieces
    }

    /// What the thread that is last takes: regions of whole size for each first, and then those of the rows that are left.
    fn cost(&self, threads: usize, cut: Cut) -> usize {
        let [rows, columns] = self.phase_sizes();
        let of_row = self.batch.max(1) * columns.div_ceil(cut.columns) * cut.splits;
        let (whole, rest) = (of_row * (rows / cut.rows), rows % cut.rows);
        let all = whole.div_ceil(threads).saturating_mul(self.region_cost(cut));
        if rest == 0 {
            return all;
        }
        let left = of_row.saturating_sub(whole.next_multiple_of(threads) - whole);
        all.saturating_add(left.div_ceil(threads).saturating_mul(self.region_cost(Cut { rows: rest, ..cut })))
    }

    fn region_cost(&self, cut: Cut) -> usize {
        let Cut { rows, columns, splits, lanes } = cut;
        let sizes = self.phase_sizes();
        let (channels, groups) = self.channels(splits);
        let pieces = sizes[0].div_ceil(rows) * sizes[1].div_ceil(columns) * splits;
        let (taps, vectors) = (self.taps.count(), channels.div_ceil(self.shape.lanes));
        // Samples lie one behind the other, whatever the region.
        let follows = self.sampled.is_some() || (self.linear && columns == sizes[1]);
        // As they lie in the image, if nothing packs them.
        let one_behind_the_other = follows && (self.sampled.is_some() || self.column_step == 1);
        let linear = lanes.gathered() || one_behind_the_other || (follows && lanes == Lanes::Pixels);
        let runs = if linear { [1, rows * columns] } else { [rows, columns] };
        let out_vectors = runs[0] * runs[1].div_ceil(self.shape.lanes);
        let blocks = taps.div_ceil(SUMMATION_BLOCK);
        let one = self.sampled.is_some() || lanes.gathered();
        let step = if one { 1 } else { lanes.pixel_step(self.column_step) };
        let pack = match &self.sampled {
            Some(sampled) => self.sample_cost(sampled, [rows, columns]),
            None if lanes.gathered() && self.unpadded => 0,
            None => self.pack_cost([rows, columns], step),
        };
        let of_group = match lanes.are_pixels() {
            false => rows * columns * (vectors * (blocks * ADD + TURN) + channels * TURN_ALL / self.shape.lanes),
            true => out_vectors * channels * blocks * ADD,
        };
        let far = if lanes != Lanes::Pixels && self.has_lines() { FAR * out_vectors * channels } else { 0 };
        let (together, most) = self.shape.tile_of_runs(lanes, channels, runs[1], step);
        let tiles = runs[0].div_ceil(together) * runs[1].div_ceil(most);
        let around = if lanes.gathered() {
            match (one_behind_the_other, self.shape.tiles_gather(lanes, channels)) {
                (false, _) if !self.shape.many_registers() => GATHER_STRIDED_SMALL * most,
                (false, _) => GATHER_STRIDED[usize::from(!lanes.are_pixels())] * most,
                // In a pass of its own, where there is little else to do.
                (true, false) if lanes.are_pixels() => 2 * GATHER,
                (true, true) if !lanes.are_pixels() => GATHER_CHANNELS,
                (true, true) if self.cache == Cache::None && self.shape.many_registers() => GATHER_FAR,
                (true, _) => GATHER,
            }
        } else {
            self.wait(lanes, channels)
        };
        let of_pixels = self.shape.tiles_of_pixels(lanes, channels);
        // With pixels as lanes each of them brings its own from the second-level cache.
        let seen = if lanes.are_pixels() { runs[0] * self.vectors_seen(one, runs[1], most) } else { 0 };
        let in_lines = lanes.gathered() || (self.planes_in_place(lanes) && self.in_lines());
        let fetch = if in_lines { seen * FETCH_LINES / 3 } else { seen };
        let of_block = taps.min(SUMMATION_BLOCK) * (most + self.shape.panel_vectors() * self.shape.lanes);
        let held = self.shape.many_registers() || of_block * self.element_bytes <= HELD_BLOCK;
        let fetch = if held { fetch } else { 2 * fetch };
        let multiply = taps * (self.shape.tap_cost(lanes, channels, runs, step) + tiles * around);
        let begun = self.shape.begin * tiles * blocks * of_pixels;
        let multiply = self.of_seen(lanes, multiply + of_pixels * fetch) + begun;
        let staged = if columns < sizes[1] || self.phases != [1, 1] { STAGE * out_vectors * channels } else { 0 };
        let region =
            multiply + of_group + far + pack + self.load_cost(taps * vectors, splits, pieces / splits) + staged;
        region * groups
    }

    /// What it takes to bring in so many vectors of weights, those of one of some splits, for one of the regions that see them one after the other.
    fn load_cost(&self, vectors: usize, splits: usize, regions: usize) -> usize {
        let of = |vectors: usize| {
            let held = vectors * self.shape.lanes * self.element_bytes <= WEIGHT_BYTES;
            if held || !self.shape.many_registers() { LOAD } else { LOAD_FAR }
        };
        let (first, others) = (of(vectors * splits), of(vectors));
        vectors * (first + (regions - 1) * others) / regions
    }

    /// What all tiles of the same pixels, which are not gathered, wait for those of a tap that lie far from those of the tap before.
    fn wait(&self, lanes: Lanes, channels: usize) -> usize {
        let sampled = self.sampled.is_some();
        if !self.shape.many_registers() {
            let apart = self.taps.kernel[1] == 1 || sampled;
            let bytes = self.output[0] * self.output[1] * self.taps.channels_per_block() * self.element_bytes;
            let far = self.planes_in_place(lanes) && bytes * self.column_step.pow(2) > PAGES_BYTES;
            let of_panel = match far {
                // Of more pixels, and for each few output channels anew; or from memory.
                _ if lanes.are_pixels() || (far && self.cache == Cache::None) => 3 * WAIT_PAGES,
                // Half of each cache line is for nothing.
                true if self.column_step > 1 && self.cache == Cache::ThirdLevel => 2 * WAIT_PAGES,
                true => WAIT_PAGES,
                // Other taps see the same cache lines.
                false if self.taps.kernel[0] > 1 => 0,
                false => WAIT_SMALL,
            };
            let panels = channels.div_ceil(self.shape.lanes).div_ceil(self.shape.panel_vectors());
            return if apart { of_panel * panels } else { 0 };
        }
        // Larger tiles have enough to do meanwhile, unless pixels come from far, out of planes of their own.
        if !self.planes_in_place(lanes) {
            return 0;
        }
        let [of_lines, of_pixels, of_channels] = match self.cache {
            Cache::SecondLevel => [0; 3],
            Cache::ThirdLevel => WAIT,
            Cache::None => WAIT_FAR,
        };
        let of_tile = match (lanes.are_pixels(), self.column_step) {
            (true, _) if self.in_lines() => of_lines,
            (true, _) => of_pixels,
            (false, 1) => of_channels,
            (false, _) => of_channels + WAIT_STRIDED,
        };
        of_tile * self.shape.tiles_of_pixels(lanes, channels)
    }

    /// Whether each tap's pixels are read out of a plane of their own.
    fn planes_in_place(&self, lanes: Lanes) -> bool {
        let in_place = self.unpadded && !lanes.gathered() && lanes.pixel_step(self.column_step) == self.column_step;
        in_place && self.sampled.is_none() && self.taps.kernel == [1, 1]
    }

    /// Whether tiles with pixels as lanes write whole cache lines to memory.
    fn has_lines(&self) -> bool {
        self.cache == Cache::None && self.phases == [1, 1] && self.in_lines()
    }

    /// Whether the vectors of all planes of pixels can begin where cache lines do.
    fn in_lines(&self) -> bool {
        self.linear && self.shape.reads_partly && (self.output[0] * self.output[1]).is_multiple_of(self.shape.lanes)
    }

    /// Vectors of pixels that all tiles of `most` pixels of a run see, where the columns of taps share them or are `apart`.
    fn vectors_seen(&self, apart: bool, run: usize, most: usize) -> usize {
        let [rows, columns] = self.taps.kernel;
        let of_tile = |pixels: usize| match apart {
            true => columns * pixels.div_ceil(self.shape.lanes),
            false => self.taps.packed(1, pixels).div_ceil(self.shape.lanes),
        };
        let rest = match run % most {
            0 => 0,
            rest => of_tile(rest),
        };
        self.taps.channels * rows * (run / most * of_tile(most) + rest)
    }

    /// The share of a number that is left where taps on padding are left out: those of whole rows, and with channels as lanes of columns.
    fn of_seen(&self, lanes: Lanes, number: usize) -> usize {
        let axes = match lanes {
            _ if self.sampled.is_some() || lanes.gathered() => 0..0,
            Lanes::Channels => 0..2,
            _ => 0..1,
        };
        axes.fold(number, |number, axis| {
            let all = self.phase_sizes()[axis] * self.phases[axis] * self.taps.kernel[axis];
            (number as u128 * self.seen[axis].min(all) as u128 / all.max(1) as u128) as usize
        })
    }

    /// What it takes to pack the pixels of a region.
    fn pack_cost(&self, [rows, columns]: [usize; 2], step: usize) -> usize {
        let row_vectors = self.taps.packed(1, columns).div_ceil(self.shape.lanes);
        let row = match (step == self.column_step, self.unpadded) {
            (true, true) => LOAD * row_vectors,
            (true, false) => PACK_ROW + PACK * row_vectors,
            (false, _) => PACK_ROW + PACK_STRIDED * row_vectors,
        };
        self.taps.channels * self.taps.packed(0, rows) * row
    }

    /// What it takes to sample them.
    fn sample_cost(&self, sampled: &Sampled, [rows, columns]: [usize; 2]) -> usize {
        let (pixels, taps) = (rows * columns, self.taps.kernel[0] * self.taps.kernel[1]);
        let vectors = self.taps.channels.div_ceil(self.shape.lanes);
        let [high, wide] = sampled.seen([rows, columns]);
        pixels * taps * (sampled.offset_groups * WEIGH + vectors * SAMPLE) + vectors * high * (SHOW_ROW + wide * SHOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;

    fn dense(channels: usize, output: [usize; 2], macs: u64) -> Demand {
        let shape = TileShape::of::<f32>(Isa::best());
        Demand {
            kinds: shape.kinds(),
            batch: 1,
            units: shape.panels(channels),
            channels_per_group: channels,
            output,
            phases: [1, 1],
            taps: Taps { kernel: [3, 3], of_kernel: 9, channels: 64, classes: [1, 1], distance: [1, 1] },
            linear: false,
            kept: 0,
            held: 0,
            seen: [usize::MAX; 2],
            lead: [0, 0],
            unpadded: false,
            column_step: 1,
            sampled: None,
            shape,
            cache: Cache::SecondLevel,
            element_bytes: size_of::<f32>(),
            memory: shape.region,
            plane_memory: plane_memory::<f32>(),
            pixel_limit: usize::MAX,
            macs,
        }
    }

    #[test]
    fn small_work_stays_on_one_thread() {
        let schedule = dense(8, [8, 8], 10_000).schedule(8);
        assert_eq!((schedule.workers, schedule.splits, schedule.rows, schedule.columns), (1, 1, 8, 8));
    }

    #[test]
    fn regions_fill_threads() {
        let schedule = dense(64, [56, 56], 115_000_000).schedule(2);
        assert_eq!((schedule.workers, schedule.splits), (2, 1));
        let regions = 56usize.div_ceil(schedule.rows) * 56usize.div_ceil(schedule.columns);
        assert_eq!(regions % 2, 0, "{schedule:?}");
    }

    #[test]
    fn few_pixels_are_split_by_channels() {
        let schedule = dense(512, [7, 7], 115_000_000).schedule(2);
        assert_eq!((schedule.workers, schedule.splits, schedule.rows), (2, 2, 7));
        assert_eq!(schedule.region().channels, 256, "{schedule:?}");
    }

    /// Whatever the sizes, there is a schedule, and its regions are within the limit if any can be.
    #[test]
    fn there_is_always_a_schedule() {
        for columns in (1..70).chain([100, 511, 512, 513, 1000, 4095, 1 << 20]) {
            for (rows, threads) in [(1, 1), (1, 3), (40, 2), (600, 8), (33, 1)] {
                let demand = dense(64, [rows, columns], 1 << 40);
                let schedule = demand.schedule(threads);
                let region = schedule.region();
                assert!(schedule.workers >= 1 && region.rows >= 1 && region.columns >= 1);
                assert!(region.pixels() <= 4096, "{region:?} for {rows}x{columns}");
            }
        }
    }

    /// Gathered pixels take memory by whole tiles.
    #[test]
    fn as_many_rows_as_fit() {
        for &lanes in TileShape::of::<f32>(Isa::best()).kinds() {
            for columns in 8..140 {
                let taps = Taps { kernel: [1, 1], of_kernel: 1, channels: 128, ..dense(1, [1, 1], 0).taps };
                let demand = Demand { taps, linear: true, unpadded: true, ..dense(256, [128, columns], 1 << 30) };
                let rows = demand.most_rows(columns, 1, lanes);
                let fits = |rows| demand.fits(Cut { rows, columns, splits: 1, lanes });
                assert!(fits(rows) || rows == 1, "{lanes:?}: {rows} of {columns}");
            }
        }
    }

    #[test]
    fn rows_that_are_left_cost_what_they_are() {
        let demand = Demand { batch: 3, ..dense(64, [32, 32], 50_000_000) };
        let cut = |rows: usize| Cut { rows, columns: 32, splits: 1, lanes: Lanes::Pixels };
        let [whole, left] = [5, 2].map(|rows| demand.region_cost(cut(rows)));
        // Of each image six regions and one.
        assert_eq!(demand.cost(1, cut(5)), 18 * whole + 3 * left);
        assert_eq!(demand.cost(2, cut(5)), 9 * whole + 2 * left);
        // Threads that have nothing else to do in the last round do them for nothing.
        assert_eq!(demand.cost(4, cut(5)), 5 * whole + left);
        assert_eq!(demand.cost(5, cut(5)), 4 * whole + left);
        assert_eq!(demand.cost(7, cut(5)), 3 * whole);
        assert_eq!(demand.cost(1, cut(8)), 12 * demand.region_cost(cut(8)));
    }

    #[test]
    fn pixels_a_stride_apart_are_gathered_one_by_one() {
        let taps = Taps { kernel: [1, 1], of_kernel: 1, channels: 128, classes: [2, 2], distance: [1, 1] };
        let once = Demand { taps, linear: true, unpadded: true, ..dense(64, [14, 14], 1_605_632) };
        let strided = Demand { column_step: 2, ..once };
        for &lanes in once.shape.kinds().iter().filter(|lanes| lanes.gathered()) {
            let cut = Cut { rows: 14, columns: 14, splits: 1, lanes };
            assert!(strided.region_cost(cut) > once.region_cost(cut), "{lanes:?}");
        }
    }

    #[test]
    fn regions_respect_the_phases() {
        let demand = Demand { phases: [2, 2], ..dense(64, [64, 64], 50_000_000) };
        let region = demand.schedule(2).region();
        assert!(region.rows.is_multiple_of(2) && region.columns.is_multiple_of(2), "{region:?}");
    }

    #[test]
    fn taps_share_pixels() {
        let taps = |kernel, classes, distance| Taps {
            kernel: [kernel, 1],
            of_kernel: kernel,
            channels: 1,
            classes: [classes, 1],
            distance: [distance, 1],
        };
        assert_eq!(taps(3, 1, 1).packed(0, 8), 10);
        assert_eq!(taps(3, 2, 1).packed(0, 8), 17);
        assert_eq!(taps(3, 1, 12).packed(0, 8), 24);
        assert_eq!(taps(1, 2, 1).packed(0, 8), 8);
    }
}
