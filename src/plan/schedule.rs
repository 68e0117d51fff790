//! How an output is cut into regions, and how many threads share them.
//!
//! A cost model over sizes picks the cut. In units of one multiply-add of a vector, a thread's time for a region is
//!
//! ```text
//! vectors * taps * channels              multiply
//! + PACK * vectors of input rows         pack: rows that several rows of taps see are packed once
//! + LOAD * taps * channels               bring in the weights
//! + STAGE * vectors * channels           if the region is narrower than the output: copy it there
//! ```
//!
//! The first term makes regions fill vectors, the second makes them high, the third large; the number of rounds in which
//! the threads get through all regions makes them many enough and even. No choice here changes a bit of the result.

use crate::algo::Schedule;
use crate::parts::Parts;

/// Packing a vector of pixels, in multiply-adds of a vector. Measured with `cargo bench --bench layers`.
const PACK: usize = 8;
/// Bringing in a channel's weight, in multiply-adds of a vector.
const LOAD: usize = 2;
/// Copying a vector of output from working memory, in multiply-adds of a vector.
const STAGE: usize = 16;
/// Multiply-adds below which a hand-over to another thread costs more than it gains.
const SERIAL_MACS: u64 = 200_000;

/// The taps that a pixel sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taps {
    /// Rows and columns of taps in each channel.
    pub(crate) kernel: [usize; 2],
    pub(crate) channels: usize,
    /// Rows of taps that see rows of pixels of their own: 1 for stride 1.
    pub(crate) classes: usize,
    /// Rows of pixels by which a further row of taps is behind the one that it shares rows with.
    pub(crate) distance: usize,
}

impl Taps {
    fn count(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.channels
    }

    /// Rows that are packed for so many rows of output, in each channel and column of taps.
    fn packed_rows(&self, rows: usize) -> usize {
        let classes = self.classes.min(self.kernel[0]);
        classes * rows + (self.kernel[0] - classes) * self.distance.min(rows)
    }
}

/// What is to be computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    pub(crate) batch: usize,
    /// The output channels, in units that stay together.
    pub(crate) units: Parts,
    /// Channels that see the same pixels.
    pub(crate) channels_per_group: usize,
    pub(crate) output: [usize; 2],
    /// Neighbours in a vector of pixels are so far apart: the stride of a transposed convolution, else 1.
    pub(crate) phases: [usize; 2],
    pub(crate) taps: Taps,
    /// Pixels of a phase that a region may have.
    pub(crate) pixel_limit: usize,
    /// Pixels of a vector.
    pub(crate) lanes: usize,
    /// Multiply-adds of the batch.
    pub(crate) macs: u64,
}

/// A candidate: the size of a region in pixels of a phase, and into how many pieces the channels are split.
#[derive(Clone, Copy, Debug)]
struct Cut {
    rows: usize,
    columns: usize,
    splits: usize,
}

impl Demand {
    /// The cheapest schedule for so many threads.
    pub(crate) fn schedule(&self, threads: usize) -> Schedule {
        let threads = if self.macs < SERIAL_MACS { 1 } else { threads };
        let [rows, columns] = self.phase_sizes();
        if threads == 1 && rows * columns <= self.pixel_limit {
            let [rows, columns] = self.output;
            return Schedule { workers: 1, units: self.units, splits: 1, rows, columns };
        }
        let splits = self.units.parts.min(threads);
        let cuts = self.widths().flat_map(|columns| {
            let most = (self.pixel_limit / columns).clamp(1, rows);
            (1..=most).flat_map(move |rows| (1..=splits).map(move |splits| Cut { rows, columns, splits }))
        });
        let cut = cuts.min_by_key(|&cut| self.cost(threads, cut)).expect("there is at least one cut");
        let schedule = Schedule {
            workers: 1,
            units: self.units,
            splits: cut.splits,
            rows: (cut.rows * self.phases[0]).min(self.output[0]),
            columns: (cut.columns * self.phases[1]).min(self.output[1]),
        };
        Schedule { workers: threads.min(self.regions(&schedule)).max(1), ..schedule }
    }

    /// Columns that regions may have: all, or a half, a quarter and so on in whole vectors, down to about two vectors; and
    /// whatever the limit is, as much as it allows.
    fn widths(&self) -> impl Iterator<Item = usize> + use<> {
        let (columns, limit, lanes) = (self.phase_sizes()[1], self.pixel_limit, self.lanes);
        let halvings = (columns / (2 * lanes)).checked_ilog2().unwrap_or(0);
        let width = move |halving: u32| match halving {
            0 => columns,
            _ => columns.div_ceil(1 << halving).next_multiple_of(lanes),
        };
        (0..=halvings).map(width).chain([columns.min(limit)]).filter(move |&width| width <= limit)
    }

    /// Rows and columns of the largest phase.
    fn phase_sizes(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.output[axis].div_ceil(self.phases[axis]))
    }

    fn regions(&self, schedule: &Schedule) -> usize {
        let pieces = self.output[0].div_ceil(schedule.rows) * self.output[1].div_ceil(schedule.columns);
        self.batch * schedule.splits * pieces
    }

    fn cost(&self, threads: usize, Cut { rows, columns, splits }: Cut) -> usize {
        let sizes = self.phase_sizes();
        let channels = self.units.parts.div_ceil(splits) * self.units.most();
        let pieces = sizes[0].div_ceil(rows) * sizes[1].div_ceil(columns) * splits;
        let rounds = (self.batch.max(1) * pieces).div_ceil(threads);
        let vectors = (rows * columns).div_ceil(self.lanes);
        let packed = columns.div_ceil(self.lanes) * self.taps.packed_rows(rows) * self.taps.kernel[1];
        let groups = channels.div_ceil(self.channels_per_group);
        let staged = if columns < sizes[1] || self.phases != [1, 1] { STAGE * vectors * channels } else { 0 };
        let region =
            (vectors + LOAD) * self.taps.count() * channels + PACK * packed * self.taps.channels * groups + staged;
        rounds.saturating_mul(region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(channels: usize, output: [usize; 2], macs: u64) -> Demand {
        Demand {
            batch: 1,
            units: Parts::of_at_most(channels, 14),
            channels_per_group: channels,
            output,
            phases: [1, 1],
            taps: Taps { kernel: [3, 3], channels: 64, classes: 1, distance: 1 },
            pixel_limit: 512,
            lanes: 16,
            macs,
        }
    }

    #[test]
    fn small_work_stays_on_one_thread() {
        let schedule = dense(8, [8, 8], 10_000).schedule(8);
        assert_eq!((schedule.workers, schedule.splits, schedule.rows, schedule.columns), (1, 1, 8, 8));
    }

    #[test]
    fn regions_fill_vectors_and_threads() {
        let schedule = dense(64, [56, 56], 115_000_000).schedule(2);
        assert_eq!((schedule.workers, schedule.splits), (2, 1));
        let regions = 56usize.div_ceil(schedule.rows) * 56usize.div_ceil(schedule.columns);
        assert_eq!(regions % 2, 0, "{schedule:?}");
    }

    #[test]
    fn few_pixels_are_split_by_channels() {
        let schedule = dense(512, [7, 7], 115_000_000).schedule(2);
        assert_eq!((schedule.workers, schedule.splits, schedule.rows), (2, 2, 7));
        assert!(schedule.region().channels < 270, "{schedule:?}");
    }

    #[test]
    fn long_rows_are_split() {
        let region = dense(4, [3, 100_000], 10_000_000).schedule(2).region();
        assert!(region.rows * region.columns <= 512, "{region:?}");
    }

    /// On wide images regions are narrow and high, so that rows of taps share rows of pixels.
    #[test]
    fn wide_images_are_cut_into_tiles() {
        for threads in [1, 2] {
            let region = dense(64, [1024, 1024], 10_000_000_000).schedule(threads).region();
            assert!(region.rows >= 4 && region.columns.is_multiple_of(16) && region.columns < 256, "{region:?}");
        }
        let pointwise = Taps { kernel: [1, 1], channels: 64, classes: 1, distance: 1 };
        let demand = Demand { taps: pointwise, ..dense(64, [224, 224], 200_000_000) };
        assert_eq!(demand.schedule(1).columns, 224);
    }

    /// Whatever the sizes, there is a schedule, and its regions are within the limit.
    #[test]
    fn there_is_always_a_schedule() {
        for columns in (1..70).chain([100, 511, 512, 513, 1000, 4095, 1 << 20]) {
            for (rows, threads, limit) in [(1, 1, 512), (1, 3, 512), (40, 2, 512), (600, 8, 16), (33, 1, 64)] {
                let demand = Demand { pixel_limit: limit, ..dense(64, [rows, columns], 1 << 40) };
                let schedule = demand.schedule(threads);
                let region = schedule.region();
                assert!(schedule.workers >= 1 && region.rows >= 1 && region.columns >= 1);
                assert!(region.pixels() <= limit, "{region:?} for {rows}x{columns}");
            }
        }
    }

    #[test]
    fn regions_respect_the_limit_and_the_phases() {
        let demand = Demand { phases: [2, 2], ..dense(64, [64, 64], 50_000_000) };
        let region = demand.schedule(2).region();
        assert!(region.rows.is_multiple_of(2) && region.columns.is_multiple_of(2), "{region:?}");
        assert!(region.rows / 2 * region.columns / 2 <= 512, "{region:?}");
    }

    #[test]
    fn rows_of_taps_share_rows() {
        let taps = |kernel, classes, distance| Taps { kernel: [kernel, 1], channels: 1, classes, distance };
        assert_eq!(taps(3, 1, 1).packed_rows(8), 10);
        assert_eq!(taps(3, 2, 1).packed_rows(8), 17);
        assert_eq!(taps(3, 1, 12).packed_rows(8), 24);
        assert_eq!(taps(1, 2, 1).packed_rows(8), 8);
    }
}
