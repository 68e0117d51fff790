//! What convolution by Fourier transforms costs, and how an output is cut into pairs of tiles.
//!
//! In the unit of [`schedule`](super::schedule), a multiply-add of a vector, a pair of tiles takes for each input and each output channel
//! a transform of `n` elements, `n (STEP log2(n) + TURN)`, and for each pair of them products, `n PRODUCT`, all in quarters of the unit: where
//! vectors have 64 bytes and elements 4. Larger elements take as much more, and where vectors are narrower the unit is less. Measured with
//! `cargo bench --bench planner`.

use crate::algo::frequency::Spectrum;
use crate::algo::{Reordering, Schedule};
use crate::gemm::blocking::Lanes;
use crate::plan::schedule::Demand;

const STEP: usize = 3;
const TURN: usize = 26;
const PRODUCT: usize = 9;
/// How much less the unit is with vectors of 32 bytes, in quarters: the transforms do not get faster by wider ones.
const NARROW: usize = 7;

/// The cost of one sample with one thread.
pub(super) fn cost(demand: &Demand, spectrum: Spectrum) -> usize {
    let [rows, columns] = region(demand, spectrum);
    let regions = demand.output[0].div_ceil(rows) * demand.output[1].div_ceil(columns);
    let (ins, outs) = (demand.taps.channels, demand.channels_per_group);
    let groups = demand.units.total / outs;
    let len = spectrum.len();
    let transform = len * (STEP * len.ilog2() as usize + TURN);
    let vector = demand.shape.lanes * demand.element_bytes;
    let unit = if vector < 64 { NARROW } else { 4 } * demand.element_bytes.div_ceil(4);
    regions.saturating_mul(groups * ((ins + outs) * transform + ins * outs * len * PRODUCT)) / 16 * unit
}

/// For so many threads.
pub(super) fn schedule(demand: &Demand, spectrum: Spectrum, threads: usize) -> Schedule {
    let threads = demand.worth(threads);
    let size = region(demand, spectrum);
    let pieces = demand.output[0].div_ceil(size[0]) * demand.output[1].div_ceil(size[1]) * demand.batch;
    let splits = if pieces < 2 * threads { demand.units.count().min(threads) } else { 1 };
    let schedule = demand.in_outputs(size, splits, Lanes::Pixels);
    demand.shared(Schedule { reordering: Some(Reordering::Fft(spectrum)), ..schedule }, threads)
}

/// Rows and columns of a pair of tiles: as even as can be. The bits depend on them, so they follow from the sizes of the output alone.
fn region(demand: &Demand, spectrum: Spectrum) -> [usize; 2] {
    let most = [spectrum.outputs()[0], 2 * spectrum.outputs()[1]];
    [0, 1].map(|axis| demand.output[axis].div_ceil(demand.output[axis].div_ceil(most[axis])))
}
