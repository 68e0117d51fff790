//! Deformable convolution: the implicit matrix product over pixels sampled where offsets say.
//!
//! Version 1 is Dai et al., "Deformable Convolutional Networks" (2017); version 2 adds the mask (Zhu et al.,
//! "Deformable ConvNets v2", 2019). Where and with which weights a tap samples is worked out once for
//! each panel's pixels and shared by all channels of the offset group.

mod sample;

use ndarray::{ArrayView3, ArrayView4, ArrayViewMut3, Axis, Slice};

use crate::activation::Activation;
use crate::algo::implicit_gemm::{Product, Weights};
use crate::algo::{Extent, Region, Stage};
use crate::element::Float;
use crate::gemm::blocking::{Lanes, SPARE};
use crate::geometry::Problem;
use crate::numerics::SUMMATION_BLOCK;
use crate::scratch::Scratch;
use sample::SampledSource;

/// The stage. It borrows the offsets and the mask of the whole batch.
pub(crate) struct Deformable<'a, T> {
    pub(crate) weights: &'a Weights<T>,
    pub(crate) activation: &'a Activation<T>,
    pub(crate) lanes: Lanes,
    pub(crate) problem: &'a Problem,
    pub(crate) kernel: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// `[n, 2 * offset_groups * kh * kw, oh, ow]`.
    pub(crate) offset: ArrayView4<'a, T>,
    /// `[n, offset_groups * kh * kw, oh, ow]`.
    pub(crate) mask: Option<ArrayView4<'a, T>>,
    pub(crate) offset_groups: usize,
}

impl<T: Float> Stage<T> for Deformable<'_, T> {
    fn scratch_len(&self, extent: Extent) -> usize {
        let packed = self.weights.packed.taps().min(SUMMATION_BLOCK) * extent.pixels() + SPARE;
        self.product().scratch_len(packed, extent)
    }

    fn run(&self, input: ArrayView3<'_, T>, region: &Region, output: ArrayViewMut3<'_, T>, scratch: Scratch<'_, T>) {
        let in_channels = self.problem.in_channels_per_group();
        let source = |group: usize, region: &Region| {
            let channels = group * in_channels..(group + 1) * in_channels;
            let image = input.slice_axis_move(Axis(0), Slice::from(channels.clone()));
            SampledSource::new(self, image, channels.start, region)
        };
        self.product().run(region, output, scratch, source);
    }
}

impl<'a, T: Float> Deformable<'a, T> {
    fn product(&self) -> Product<'a, T> {
        Product { weights: self.weights, activation: self.activation, lanes: self.lanes }
    }
}
