//! How an output is cut into regions, and how many threads share them.
//!
//! A cost model over sizes picks the cut: a thread's time for a region is
//!
//! ```text
//! vectors * (PACK + channels) + LOAD * channels
//! ```
//!
//! in units of one multiply-add of a vector per tap: each vector of pixels is packed once and meets every
//! channel, and each channel's weights are brought in once. The last term makes regions large, the first makes
//! their pixels fill vectors, and the number of rounds in which the threads get through all regions makes
//! them many enough and even. No choice here changes a bit of the result.

use crate::algo::{Extent, Schedule};

/// Packing a vector, in multiply-adds of a vector. Measured with `cargo bench --bench layers`.
const PACK: usize = 16;
/// Bringing in a channel's weights, in multiply-adds of a vector.
const LOAD: usize = 2;
/// Multiply-adds below which a hand-over to another thread costs more than it gains.
const SERIAL_MACS: u64 = 200_000;

/// What is to be computed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    /// Channels are only split at multiples of this.
    pub(crate) channel_grain: usize,
    pub(crate) output: [usize; 2],
    /// Neighbours in a vector of pixels are so far apart: the stride of a transposed convolution, else 1.
    pub(crate) phases: [usize; 2],
    /// Pixels of a phase that a region may have.
    pub(crate) pixel_limit: usize,
    /// Pixels of a vector.
    pub(crate) lanes: usize,
    /// Multiply-adds of the batch.
    pub(crate) macs: u64,
}

impl Demand {
    /// The cheapest schedule for so many threads.
    pub(crate) fn schedule(&self, threads: usize) -> Schedule {
        let threads = if self.macs < SERIAL_MACS { 1 } else { threads };
        let [rows, columns] = self.phase_sizes();
        if threads == 1 && rows * columns <= self.pixel_limit {
            let region = Extent { channels: self.channels, rows: self.output[0], columns: self.output[1] };
            return Schedule { workers: 1, region };
        }
        // Regions are whole rows, or where a row is too long, parts of single rows.
        let parts = columns.div_ceil(self.pixel_limit);
        let part = columns.div_ceil(parts).next_multiple_of(self.lanes).min(columns);
        let most_rows = if parts > 1 { 1 } else { (self.pixel_limit / columns).min(rows) };
        let most_splits = if threads == 1 { 1 } else { self.channels.div_ceil(self.channel_grain).min(threads) };
        let options = (1..=most_rows).flat_map(|rows| (1..=most_splits).map(move |splits| (rows, splits)));
        let (rows, splits) = options
            .min_by_key(|&(rows, splits)| self.cost(threads, [rows, part], splits))
            .expect("there is at least one row and one split");
        let channels = self.channels_of(splits);
        let region = Extent {
            channels,
            rows: (rows * self.phases[0]).min(self.output[0]),
            columns: if parts == 1 { self.output[1] } else { part * self.phases[1] },
        };
        Schedule { workers: threads.min(self.regions(region)).max(1), region }
    }

    /// Rows and columns of the largest phase.
    fn phase_sizes(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.output[axis].div_ceil(self.phases[axis]))
    }

    fn channels_of(&self, splits: usize) -> usize {
        self.channels.div_ceil(splits).next_multiple_of(self.channel_grain).min(self.channels)
    }

    fn regions(&self, region: Extent) -> usize {
        let pieces = self.output[0].div_ceil(region.rows) * self.output[1].div_ceil(region.columns);
        self.batch * self.channels.div_ceil(region.channels) * pieces
    }

    fn cost(&self, threads: usize, [rows, columns]: [usize; 2], splits: usize) -> usize {
        let channels = self.channels_of(splits);
        let sizes = self.phase_sizes();
        let pieces = sizes[0].div_ceil(rows) * sizes[1].div_ceil(columns) * self.channels.div_ceil(channels);
        let rounds = (self.batch.max(1) * pieces).div_ceil(threads);
        rounds * ((rows * columns).div_ceil(self.lanes) * (PACK + channels) + LOAD * channels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dense(channels: usize, output: [usize; 2], macs: u64) -> Demand {
        Demand { batch: 1, channels, channel_grain: 13, output, phases: [1, 1], pixel_limit: 512, lanes: 16, macs }
    }

    #[test]
    fn small_work_stays_on_one_thread() {
        let schedule = dense(8, [8, 8], 10_000).schedule(8);
        assert_eq!(schedule, Schedule { workers: 1, region: Extent { channels: 8, rows: 8, columns: 8 } });
    }

    #[test]
    fn regions_fill_vectors_and_threads() {
        let Schedule { workers, region } = dense(64, [56, 56], 115_000_000).schedule(2);
        assert_eq!((workers, region.channels), (2, 64));
        assert_eq!(56 % (2 * region.rows), 0, "{region:?}");
    }

    #[test]
    fn few_pixels_are_split_by_channels() {
        let Schedule { workers, region } = dense(512, [7, 7], 115_000_000).schedule(2);
        assert_eq!((workers, region.channels, region.rows), (2, 260, 7));
    }

    #[test]
    fn long_rows_are_split() {
        let Schedule { region, .. } = dense(4, [3, 100_000], 10_000_000).schedule(2);
        assert!(region.rows == 1 && region.columns <= 512 && region.columns >= 256, "{region:?}");
    }

    #[test]
    fn regions_respect_the_limit_and_the_phases() {
        let demand = Demand { phases: [2, 2], ..dense(64, [64, 64], 50_000_000) };
        let Schedule { region, .. } = demand.schedule(2);
        assert!(region.rows % 2 == 0 && region.rows / 2 * 32 <= 512, "{region:?}");
    }
}
