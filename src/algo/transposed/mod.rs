//! Transposed convolution by phases: no inserted zero is multiplied.
//!
//! In the uncropped output let `q` be a row (a column likewise). Tap `k` reaches it from input row
//! `(q - k d) / s` where that is whole, so rows with the same `q mod s` see the same taps. Each pair of such
//! residues is a phase: a stride-1 convolution with some of the taps, whose outputs lie `s` apart.
//!
//! Phases are computed by the stages they are given. What a stage of that kind cannot do is left to
//! [`borders`]: leaving out taps beyond the input instead of multiplying zeros, and padding modes.

pub(crate) mod borders;

use core::ops::Range;
use std::collections::BTreeSet;

use ndarray::{ArrayView3, ArrayViewMut3, Axis, s};

use crate::activation::Activation;
use crate::algo::implicit_gemm::{ImplicitGemm, Product};
use crate::algo::winograd::Winograd;
use crate::algo::woven::{Weave, Woven};
use crate::algo::{Either, Extent, Region, Stage, activate};
use crate::element::Element;
use crate::gemm::blocking::SPARE;
use crate::scratch::Scratch;
use crate::simd::Isa;
use borders::Borders;

/// The taps along one axis that reach outputs of one residue modulo the stride.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AxisPhase {
    /// The first of those outputs; the others follow a stride apart.
    pub(crate) place: usize,
    /// Position in the flipped kernel, and input position relative to the output's number in the phase; ascending.
    pub(crate) taps: Vec<(usize, isize)>,
}

impl AxisPhase {
    /// The phases that any tap reaches, of an output before which `crop` positions are left out, by place.
    pub(crate) fn reached(kernel: usize, stride: usize, dilation: usize, crop: usize) -> Vec<AxisPhase> {
        let place_of = |tap: usize| Self::place_of(tap, stride, dilation, crop);
        let places: BTreeSet<usize> = (0..kernel).map(place_of).collect();
        let phase = |place: usize| {
            let ahead = ((place + crop) / stride) as isize;
            let reaching = (0..kernel).rev().filter(|&tap| place_of(tap) == place);
            let taps = reaching.map(|tap| (kernel - 1 - tap, ahead - (tap * dilation / stride) as isize)).collect();
            AxisPhase { place, taps }
        };
        places.into_iter().map(phase).collect()
    }

    /// The place of the phase that a tap reaches.
    pub(crate) fn place_of(tap: usize, stride: usize, dilation: usize, crop: usize) -> usize {
        (tap * dilation % stride + stride - crop % stride) % stride
    }
}

/// A convolution whose channels are the phases of each channel, and which weaves them itself.
#[derive(Clone, Copy)]
pub(crate) enum Joint<'a, T> {
    Product(ImplicitGemm<'a, T>),
    Winograd(Winograd<'a, T>),
}

impl<'a, T: Element> Joint<'a, T> {
    /// The stage that weaves them so.
    fn weaving(self, woven: Woven<'a>) -> Either<ImplicitGemm<'a, T>, Winograd<'a, T>> {
        match self {
            Joint::Product(stage) => {
                Either::First(ImplicitGemm { product: Product { woven, ..stage.product }, ..stage })
            }
            Joint::Winograd(stage) => Either::Second(Winograd { woven, ..stage }),
        }
    }
}

/// The phases, as stages.
pub(crate) enum Phases<'a, T, S> {
    /// One for each that any tap reaches, with its first output; row by row.
    Each(Vec<([usize; 2], S)>),
    /// One for each, computed in working memory a row at a time and woven to rows of outputs.
    Rows(Vec<S>),
    /// One for all, whose outputs are woven so.
    Woven(Joint<'a, T>, Woven<'a>),
    /// One for all outputs of an input of one pixel: its channels are those of each channel, one behind the other.
    One(ImplicitGemm<'a, T>),
}

/// The composite.
pub(crate) struct Transposed<'a, T, S> {
    pub(crate) isa: Isa,
    pub(crate) phases: Phases<'a, T, S>,
    pub(crate) stride: [usize; 2],
    pub(crate) bias: Option<&'a [T]>,
    pub(crate) activation: &'a Activation<T>,
    pub(crate) borders: Option<Borders<'a, T>>,
}

impl<T: Element, S: Stage<T>> Stage<T> for Transposed<'_, T, S> {
    fn scratch_len(&self, extent: Extent) -> usize {
        let most = |len: usize, axis: usize| len.div_ceil(self.stride[axis]);
        let of_phase = Extent { rows: most(extent.rows, 0), columns: most(extent.columns, 1), ..extent };
        let phases = match &self.phases {
            Phases::Each(phases) => phases.iter().map(|(_, stage)| stage.scratch_len(of_phase)).max().unwrap_or(0),
            Phases::Rows(phases) => {
                let woven = extent.channels * of_phase.pixels() * self.stride[1];
                woven + phases.iter().map(|stage| stage.scratch_len(of_phase)).max().unwrap_or(0)
            }
            Phases::Woven(stage, woven) => stage
                .weaving(*woven)
                .scratch_len(Extent { channels: extent.channels * self.stride[0] * self.stride[1], ..of_phase }),
            Phases::One(stage) => {
                let outputs = extent.channels * extent.pixels();
                let of_pixel = Extent { channels: outputs, rows: 1, columns: 1 };
                outputs.next_multiple_of(SPARE) + stage.scratch_len(of_pixel)
            }
        };
        phases.max(self.borders.as_ref().map_or(0, |borders| borders.scratch_len(extent)))
    }

    /// The region begins at the first output of a row and column of phases, or at the first of all.
    fn run(
        &self,
        input: ArrayView3<'_, T>,
        region: &Region,
        mut output: ArrayViewMut3<'_, T>,
        mut scratch: Scratch<'_, T>,
    ) {
        // The outputs of a phase from its first output on.
        let along = |axis: usize, range: &Range<usize>, place: usize| {
            let number = |at: usize| at.saturating_sub(place).div_ceil(self.stride[axis]);
            number(range.start)..number(range.end)
        };
        match &self.phases {
            Phases::Each(phases) => {
                if phases.len() < self.stride[0].saturating_mul(self.stride[1]) {
                    self.fill_with_bias(region, &mut output);
                }
                for (place, stage) in phases {
                    let (rows, columns) = (along(0, &region.rows, place[0]), along(1, &region.columns, place[1]));
                    if rows.is_empty() || columns.is_empty() {
                        continue;
                    }
                    let output = output.slice_mut(s![.., place[0]..;self.stride[0], place[1]..;self.stride[1]]);
                    stage.run(input, &Region { rows, columns, ..region.clone() }, output, scratch.reborrow());
                }
            }
            Phases::Rows(phases) => {
                let wide = self.stride[1];
                // A phase may have a column less, which is computed for nothing.
                let columns = along(1, &region.columns, 0);
                for (place, phases) in phases.chunks_exact(wide).enumerate() {
                    let rows = along(0, &region.rows, place);
                    let region = Region { rows, columns: columns.clone(), ..region.clone() };
                    let Extent { channels, rows, columns } = region.extent();
                    let each = channels * rows * columns;
                    if each == 0 {
                        continue;
                    }
                    let (woven, mut scratch) = scratch.split(each * wide);
                    for (stage, to) in phases.iter().zip(woven.chunks_exact_mut(each)) {
                        let to = ArrayViewMut3::from_shape((channels, rows, columns), to).expect("as many elements");
                        stage.run(input, &region, to, scratch.reborrow());
                    }
                    let weave = Weave {
                        rows: woven,
                        size: [rows, columns],
                        woven: Woven { phases: [1, wide], ..Woven::NOT },
                        pitches: [rows * columns, 0, each],
                        output: output.view_mut(),
                        every: [place, self.stride[0]],
                    };
                    T::launch(self.isa, weave);
                }
            }
            Phases::Woven(stage, woven) => {
                let lead = woven.lead;
                let (count, ahead) = (self.stride[0] * self.stride[1], [region.rows.start, region.columns.start]);
                let along = |axis: usize, range: &Range<usize>| {
                    let stride = self.stride[axis];
                    (range.start + lead[axis]) / stride..(range.end + lead[axis]).div_ceil(stride)
                };
                let region = Region {
                    sample: region.sample,
                    channels: region.channels.start * count..region.channels.end * count,
                    rows: along(0, &region.rows),
                    columns: along(1, &region.columns),
                    far: region.far,
                };
                let lead = [0, 1].map(|axis| (ahead[axis] + lead[axis]) % self.stride[axis]);
                let woven = Woven { lead, ..*woven };
                stage.weaving(woven).run(input, &region, output.view_mut(), scratch.reborrow());
            }
            Phases::One(stage) => {
                let Extent { channels, rows, columns } = region.extent();
                let (each, outputs) = (rows * columns, channels * rows * columns);
                let channels = region.channels.start * each..region.channels.end * each;
                let region = Region { sample: region.sample, channels, rows: 0..1, columns: 0..1, far: region.far };
                if let Ok(output) = output.view_mut().into_shape_with_order((outputs, 1, 1)) {
                    stage.run(input, &region, output, scratch.reborrow());
                } else {
                    let (held, scratch) = scratch.split(outputs.next_multiple_of(SPARE));
                    let held = ArrayViewMut3::from_shape((outputs, 1, 1), &mut held[..outputs]);
                    let mut held = held.expect("as many elements");
                    stage.run(input, &region, held.view_mut(), scratch);
                    output.iter_mut().zip(&held).for_each(|(to, from)| *to = *from);
                }
            }
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
