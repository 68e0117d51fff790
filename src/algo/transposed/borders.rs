//! Outputs of a transposed convolution that differ from a product with zeros beyond the input.
//!
//! Two kinds of outputs are computed again here, one by one:
//!
//! - With a weight that is infinite or NaN, those with a tap beyond the input: a tap that is not there is not
//!   a zero to be multiplied.
//! - With a padding mode other than zeros, those that a padded position maps to. The operation is the
//!   adjoint of the convolution with that mode, so an output gathers the uncropped result at its own
//!   position and then at every padded position that reads it, in ascending order.

use ndarray::{ArrayView3, ArrayViewMut3};

use crate::algo::{Extent, Region, by_group};
use crate::config::PaddingMode;
use crate::element::Element;
use crate::geometry::Problem;
use crate::kernels::axpy::Axpy;
use crate::numerics::SUMMATION_BLOCK;
use crate::simd::Isa;

/// Weights for the borders, and the sizes.
pub(crate) struct Borders<'a, T> {
    pub(crate) isa: Isa,
    pub(crate) problem: &'a Problem,
    pub(crate) kernel: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// `[group][channel and position in the flipped kernel][output channel]`.
    pub(crate) weights: &'a [T],
    pub(crate) bias: Option<&'a [T]>,
    /// Whether all weights are finite, so that a zero beyond the input may be multiplied.
    pub(crate) finite: bool,
}

impl<T: Element> Borders<'_, T> {
    pub(crate) fn scratch_len(&self, extent: Extent) -> usize {
        2 * extent.channels
    }

    pub(crate) fn run(
        &self,
        input: ArrayView3<'_, T>,
        region: &Region,
        mut output: ArrayViewMut3<'_, T>,
        scratch: &mut [T],
    ) {
        let columns: Vec<Vec<usize>> = region.columns.clone().map(|column| self.positions(1, column)).collect();
        let (totals, scratch) = scratch.split_at_mut(region.channels.len());
        for (row, y) in region.rows.clone().enumerate() {
            let rows = self.positions(0, y);
            for (column, columns) in columns.iter().enumerate() {
                let alone = rows.len() == 1 && columns.len() == 1;
                if alone && (self.finite || (self.is_inside(0, rows[0]) && self.is_inside(1, columns[0]))) {
                    continue;
                }
                for (total, channel) in totals.iter_mut().zip(region.channels.clone()) {
                    *total = self.bias.map_or(T::ZERO, |bias| bias[channel]);
                }
                for &row in &rows {
                    for &column in columns {
                        self.add(&input, region, [row, column], totals, scratch);
                    }
                }
                for (total, channel) in totals.iter().zip(0..) {
                    output[[channel, row, column]] = *total;
                }
            }
        }
    }

    /// Positions in the uncropped output that an output gathers: its own, then the padded ones that map to it.
    fn positions(&self, axis: usize, at: usize) -> Vec<usize> {
        let [before, after] = self.problem.pads.axes()[axis];
        let size = self.problem.output[axis];
        let mut positions = vec![before + at];
        if self.problem.mode != PaddingMode::Zeros {
            let padded = (0..before).chain(before + size..before + size + after);
            let source = |position: &usize| self.problem.mode.source(*position as isize - before as isize, size);
            positions.extend(padded.filter(|position| source(position) == Some(at)));
        }
        positions
    }

    /// The input position from which a tap reaches a position of the uncropped output.
    fn reached_from(&self, axis: usize, position: usize, tap: usize) -> Option<usize> {
        let (stride, size) = (self.problem.stride[axis], self.problem.input[axis]);
        let distance = position.checked_sub(tap * self.dilation[axis])?;
        (distance % stride == 0 && distance / stride < size).then_some(distance / stride)
    }

    /// Whether no tap that could reach the position does so from beyond the input.
    fn is_inside(&self, axis: usize, position: usize) -> bool {
        let (stride, dilation) = (self.problem.stride[axis], self.dilation[axis]);
        (0..self.kernel[axis])
            .filter(|tap| (position as isize - (tap * dilation) as isize).rem_euclid(stride as isize) == 0)
            .all(|tap| self.reached_from(axis, position, tap).is_some())
    }

    /// Adds the uncropped result at one position, partial sum by partial sum.
    fn add(&self, input: &ArrayView3<'_, T>, region: &Region, position: [usize; 2], totals: &mut [T], sums: &mut [T]) {
        let [height, width] = self.kernel;
        let taps = height * width;
        let (in_channels, out_channels) = (self.problem.in_channels_per_group(), self.problem.out_channels_per_group());
        for (group, channels) in by_group(region.channels.clone(), out_channels) {
            let within = channels.start - group * out_channels..channels.end - group * out_channels;
            let totals = &mut totals[channels.start - region.channels.start..][..channels.len()];
            let sums = &mut sums[..channels.len()];
            for start in (0..in_channels * taps).step_by(SUMMATION_BLOCK) {
                sums.fill(T::ZERO);
                for tap in start..(start + SUMMATION_BLOCK).min(in_channels * taps) {
                    let (channel, flipped) = (tap / taps, tap % taps);
                    let row = self.reached_from(0, position[0], height - 1 - flipped / width);
                    let column = self.reached_from(1, position[1], width - 1 - flipped % width);
                    if let (Some(row), Some(column)) = (row, column) {
                        let x = input[[group * in_channels + channel, row, column]];
                        let weights = &self.weights[(group * in_channels * taps + tap) * out_channels..];
                        T::launch(self.isa, Axpy { x, weights: &weights[within.clone()], sums: &mut *sums });
                    }
                }
                totals.iter_mut().zip(&*sums).for_each(|(total, sum)| *total = total.plus(*sum));
            }
        }
    }
}
