//! Transposed convolution by phases: no inserted zero is multiplied.
//!
//! In the uncropped output let `q` be a row (a column likewise). Tap `k` reaches it from input row
//! `(q - k d) / s` where that is whole, so rows with the same `q mod s` see the same taps. Each pair of such
//! residues is a phase: a stride-1 convolution with some of the taps, whose outputs lie `s` apart.
//!
//! Phases are computed by the stages they are given. What a stage of that kind cannot do is left to
//! [`borders`]: leaving out taps beyond the input instead of multiplying zeros, and padding modes.

pub(crate) mod borders;

use ndarray::{ArrayView3, ArrayViewMut3, Axis, s};

use crate::activation::Activation;
use crate::algo::{Extent, Region, Stage, activate};
use crate::element::Element;
use crate::scratch::Scratch;
use crate::simd::Isa;
use borders::Borders;

/// The taps along one axis that reach outputs of one residue modulo the stride.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AxisPhase {
    pub(crate) residue: usize,
    /// Position in the flipped kernel, and input position relative to output `residue + m * stride`'s `m`; ascending.
    pub(crate) taps: Vec<(usize, isize)>,
}

impl AxisPhase {
    /// The phases that any tap reaches, by residue.
    pub(crate) fn all(kernel: usize, stride: usize, dilation: usize) -> Vec<AxisPhase> {
        let mut residues: Vec<usize> = (0..kernel).map(|tap| tap * dilation % stride).collect();
        residues.sort_unstable();
        residues.dedup();
        let taps_of = |residue: usize| {
            let reaching = (0..kernel).rev().filter(|&tap| tap * dilation % stride == residue);
            reaching.map(|tap| (kernel - 1 - tap, -((tap * dilation / stride) as isize))).collect()
        };
        residues.into_iter().map(|residue| AxisPhase { residue, taps: taps_of(residue) }).collect()
    }
}

/// One phase and the stage that computes it.
pub(crate) struct Phase<S> {
    /// Of rows and of columns.
    pub(crate) residues: [usize; 2],
    pub(crate) stage: S,
}

/// The composite.
pub(crate) struct Transposed<'a, T, S> {
    pub(crate) isa: Isa,
    pub(crate) phases: Vec<Phase<S>>,
    pub(crate) stride: [usize; 2],
    /// Rows and columns cropped before the output.
    pub(crate) crop: [usize; 2],
    pub(crate) bias: Option<&'a [T]>,
    pub(crate) activation: &'a Activation<T>,
    pub(crate) borders: Option<Borders<'a, T>>,
}

impl<T: Element, S: Stage<T>> Stage<T> for Transposed<'_, T, S> {
    fn scratch_len(&self, extent: Extent) -> usize {
        let most = |len: usize, axis: usize| len.div_ceil(self.stride[axis]);
        let of_phase = Extent { rows: most(extent.rows, 0), columns: most(extent.columns, 1), ..extent };
        let phases = self.phases.iter().map(|phase| phase.stage.scratch_len(of_phase)).max();
        let borders = self.borders.as_ref().map(|borders| borders.scratch_len(extent));
        phases.unwrap_or(0).max(borders.unwrap_or(0))
    }

    fn run(
        &self,
        input: ArrayView3<'_, T>,
        region: &Region,
        mut output: ArrayViewMut3<'_, T>,
        mut scratch: Scratch<'_, T>,
    ) {
        if self.phases.len() < self.stride[0].saturating_mul(self.stride[1]) {
            self.fill_with_bias(region, &mut output);
        }
        for phase in &self.phases {
            let axis = |index: usize, range: &core::ops::Range<usize>| {
                // Positions in the uncropped output with the phase's residue: residue + m * stride.
                let (stride, residue, crop) = (self.stride[index], phase.residues[index], self.crop[index]);
                let m = |at: usize| (at + crop + stride - 1 - residue) / stride;
                let (first, end) = (m(range.start), m(range.end));
                (first..end, residue + first * stride - crop)
            };
            let ((rows, top), (columns, left)) = (axis(0, &region.rows), axis(1, &region.columns));
            if rows.is_empty() || columns.is_empty() {
                continue;
            }
            let (top, left) = (top - region.rows.start, left - region.columns.start);
            let place = output.slice_mut(s![.., top..;self.stride[0], left..;self.stride[1]]);
            phase.stage.run(input, &Region { rows, columns, ..region.clone() }, place, scratch.reborrow());
        }
        if let Some(borders) = &self.borders {
            borders.run(input, region, output.view_mut(), scratch.elements);
        }
        activate(self.isa, self.activation, output, region.channels.start);
    }
}

impl<T: Element, S> Transposed<'_, T, S> {
    /// What outputs hold that no tap reaches: the bias, and a sum of nothing.
    fn fill_with_bias(&self, region: &Region, output: &mut ArrayViewMut3<'_, T>) {
        for (channel, mut plane) in region.channels.clone().zip(output.axis_iter_mut(Axis(0))) {
            plane.fill(self.bias.map_or(T::ZERO, |bias| bias[channel].plus(T::ZERO)));
        }
    }
}
