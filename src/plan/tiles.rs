//! What Winograd's tilings cost, and how an output is cut into regions of tiles.
//!
//! In the unit of [`schedule`](super::schedule), a multiply-add of a vector, a region of tiles takes
//!
//! ```text
//! multiply      at each point, as any product
//! weights       STREAM for each vector of them, if they are more than stays in the second-level cache; STREAM_FAR for what a third-level one does not hold
//! evaluate      about 18 for each vector of input channels and point of a tile
//! interpolate   about 13 for each vector of output channels and point of a tile
//! values        SPILL for each vector of them and time that they are gone through, if they are more than stays in the second-level cache
//! ```
//!
//! These are measured with `cargo bench --bench planner`.

use crate::algo::winograd::{SUM_BYTES, Tiling};
use crate::algo::{Reordering, Schedule};
use crate::gemm::blocking::Lanes;
use crate::plan::schedule::Demand;

const STREAM: usize = 3;
const STREAM_FAR: usize = 8;
const SPILL: usize = 2;
/// The share that all of it is more with a stride, where inputs and products of single taps are copied from step to step: a sixth. Measured on eight layers of 3x3
/// to 5x5 taps, which would take 1.1 to 1.35 times what is said here.
const STRIDED: usize = 6;
/// Bytes of values, and of weights, that stay in a second-level cache, and of weights that stay in a third-level one.
const VALUES_NEAR: usize = 600 << 10;
const NEAR_BYTES: usize = 256 << 10;
const FAR_BYTES: usize = 20 << 20;
/// Rows and columns of points beyond which more cost no more, with many registers.
const MOST_PRICED: usize = 12;
/// Tiles of a region: a few register tiles of any instruction set.
const TILES: [usize; 4] = [14, 28, 42, 56];
/// Bytes of values of a region, at most.
const VALUE_BYTES: usize = 8 << 20;

/// The tiles of a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles<'a> {
    demand: &'a Demand,
    tiling: Tiling,
    /// Rows and columns of tiles of the output.
    tiles: [usize; 2],
}

/// A candidate: rows and columns of tiles of a region, and into how many pieces the channels are split.
#[derive(Clone, Copy, Debug)]
struct Cut {
    size: [usize; 2],
    splits: usize,
}

impl<'a> Tiles<'a> {
    pub(super) fn new(demand: &'a Demand, tiling: Tiling) -> Self {
        let pixels = demand.phase_sizes();
        let tiles = [0, 1].map(|axis| pixels[axis].div_ceil(tiling.outputs[axis]));
        Tiles { demand, tiling, tiles }
    }

    /// What one sample costs with one thread.
    pub(super) fn cost(&self) -> usize {
        self.cheapest(1).0
    }

    /// The cheapest schedule for so many threads.
    pub(super) fn schedule(&self, threads: usize) -> Schedule {
        let threads = self.demand.worth(threads);
        let (_, Cut { size, splits }) = self.cheapest(threads);
        let size = [0, 1].map(|axis| size[axis] * self.tiling.outputs[axis]);
        let schedule = self.demand.in_outputs(size, splits, Lanes::Channels);
        self.demand.shared(Schedule { reordering: Some(Reordering::Winograd(self.tiling)), ..schedule }, threads)
    }

    fn cheapest(&self, threads: usize) -> (usize, Cut) {
        let units = self.demand.units.count();
        let fitting = (VALUE_BYTES / self.bytes(self.values(1))).max(1);
        let [rows, columns] = self.tiles;
        let mut best: Option<(usize, Cut)> = None;
        for splits in [1, threads.min(units)] {
            for most in TILES.map(|tiles| tiles.min(fitting)) {
                let wide = columns.div_ceil(columns.div_ceil(most));
                let least = rows.div_ceil((most / wide).max(1));
                for pieces in least..least + 2 * threads - 1 {
                    let cut = Cut { size: [rows.div_ceil(pieces.min(rows)), wide], splits };
                    let cost = self.cost_of(threads, cut);
                    if best.is_none_or(|(least, _)| cost < least) {
                        best = Some((cost, cut));
                    }
                }
            }
        }
        best.expect("there is at least one cut")
    }

    fn cost_of(&self, threads: usize, Cut { size, splits }: Cut) -> usize {
        let Demand { units, channels_per_group, shape, batch, .. } = *self.demand;
        let channels = (units.count().div_ceil(splits) * units.size).min(units.total);
        let (outs, groups) = (channels.min(channels_per_group), channels.div_ceil(channels_per_group));
        let (ins, products) = (self.demand.taps.channels, self.tiling.products());
        let count = size[0] * size[1];
        let [in_vectors, out_vectors] = [ins, outs].map(|channels| channels.div_ceil(shape.lanes));
        let multiply = products * ins * shape.tap_cost(Lanes::Channels, outs, [1, count], 1);
        let weights = products * ins * out_vectors;
        let far = weights.saturating_sub(FAR_BYTES / self.bytes(shape.lanes));
        let near = if self.bytes(weights * shape.lanes) <= NEAR_BYTES { 0 } else { weights - far };
        let stream = STREAM * near + STREAM_FAR * far;
        let transforms = products * count * (self.evaluate() * in_vectors + self.interpolate() * out_vectors);
        let values = self.values(count);
        let sums = self.bytes(products * count * outs.next_multiple_of(shape.lanes));
        let spilt = if self.bytes(values) > VALUES_NEAR {
            SPILL * values / shape.lanes * (1 + sums.div_ceil(SUM_BYTES))
        } else {
            0
        };
        let pieces = self.tiles[0].div_ceil(size[0]) * self.tiles[1].div_ceil(size[1]) * splits;
        let rounds = (batch.max(1) * pieces).div_ceil(threads);
        let region = multiply + stream + transforms + spilt;
        let region = if self.tiling.stride == [1, 1] { region } else { region + region / STRIDED };
        rounds.saturating_mul(groups * region)
    }

    /// Of a vector of input channels at one point of a tile: 16 for 4 x 4 points, 18 for 6 x 6, 21 for 8 x 8 where they do not fit into the registers.
    fn evaluate(&self) -> usize {
        11 + self.priced() * 5 / 8
    }

    /// And of output channels: 7, 13, 18.
    fn interpolate(&self) -> usize {
        (self.priced() * 11).saturating_sub(28) / 8
    }

    /// Rows and columns of points that each have their price.
    fn priced(&self) -> usize {
        let [rows, columns] = self.tiling.points();
        if self.demand.shape.many_registers() { (rows + columns).min(MOST_PRICED) } else { rows + columns }
    }

    /// Elements of values of so many tiles.
    fn values(&self, count: usize) -> usize {
        self.tiling.products() * count * self.demand.taps.channels.next_multiple_of(self.demand.shape.lanes)
    }

    fn bytes(&self, elements: usize) -> usize {
        elements * self.demand.element_bytes
    }
}
