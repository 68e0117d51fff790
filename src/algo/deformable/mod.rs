//! Deformable convolution: the implicit matrix product over pixels sampled where offsets say.
//!
//! Version 1 is Dai et al., "Deformable Convolutional Networks" (2017); version 2 adds the mask (Zhu et al.,
//! "Deformable ConvNets v2", 2019).

mod depthwise;
pub(crate) mod field;

use core::cell::RefCell;
use core::ops::Range;

use ndarray::{ArrayView3, ArrayViewMut3};

use crate::activation::Activation;
use crate::algo::implicit_gemm::{Product, Weights};
use crate::algo::woven::Woven;
use crate::algo::{Extent, Region, Stage};
use crate::element::Float;
use crate::gemm::blocking::{Lanes, SPARE};
use crate::gemm::{Runs, Source};
use crate::kernels::transpose::turned;
use crate::numerics::SUMMATION_BLOCK;
use crate::scratch::Scratch;
use crate::simd::{Simd, by_lanes, unroll};
pub(crate) use depthwise::{DepthwiseDeformable, DepthwiseWeights};
use field::{Field, Sampler, padded};

/// The stage. It borrows the offsets and the mask of the whole batch.
pub(crate) struct Deformable<'a, T> {
    pub(crate) weights: &'a Weights<T>,
    pub(crate) activation: &'a Activation<T>,
    pub(crate) lanes: Lanes,
    pub(crate) field: Field<'a, T>,
}

impl<T: Float> Stage<T> for Deformable<'_, T> {
    fn scratch_len(&self, extent: Extent) -> usize {
        let packed = self.weights.packed.taps().min(SUMMATION_BLOCK) * padded(extent.pixels()) + SPARE;
        self.field.scratch_len(extent) + self.product().scratch_len(packed, extent)
    }

    fn run(&self, input: ArrayView3<'_, T>, region: &Region, output: ArrayViewMut3<'_, T>, scratch: Scratch<'_, T>) {
        let in_channels = self.field.problem.in_channels_per_group();
        let Scratch { elements, layouts, indices, complex } = scratch;
        let (sampler, elements) = Sampler::new(&self.field, &input, region, elements, indices);
        let sampler = RefCell::new(sampler);
        let scratch = Scratch { elements, layouts, indices: &mut Vec::new(), complex };
        let source = |group: usize, _: &Region| SampledSource {
            sampler: &sampler,
            first: group * in_channels,
            taps: self.field.taps(),
            pixels: region.extent().pixels(),
        };
        self.product().run(region, output, scratch, source);
    }
}

impl<'a, T: Float> Deformable<'a, T> {
    fn product(&self) -> Product<'a, T> {
        Product { weights: self.weights, activation: self.activation, lanes: self.lanes, woven: Woven::NOT }
    }
}

/// The [`Source`] that an image is when sampled at one region's offsets.
struct SampledSource<'r, 's, T> {
    /// That of the region: what it has worked out serves all weight groups.
    sampler: &'r RefCell<Sampler<'s, T>>,
    /// The first channel of the weight group.
    first: usize,
    /// Taps of a channel.
    taps: usize,
    pixels: usize,
}

impl<T: Float> Source<T> for SampledSource<'_, '_, T> {
    fn runs(&self) -> Runs {
        Runs { count: 1, len: self.pixels, pitch: self.pixels, step: 1 }
    }

    /// No tap shares its pixels with another one, so each is a channel.
    fn channel_taps(&self) -> usize {
        1
    }

    fn offsets(&self, offsets: &mut [u32]) {
        offsets.fill(0);
    }

    fn distance(&self) -> usize {
        padded(self.pixels)
    }

    fn describe(&self, words: &mut Vec<isize>) {
        words.push(self.pixels as isize);
    }

    #[inline(always)]
    fn pack<S: Simd<T>>(&self, simd: S, taps: Range<usize>, data: &mut [T]) {
        by_lanes!(N = S::LANES => self.pack_taps::<S, N>(simd, taps, data));
    }
}

impl<T: Float> SampledSource<'_, '_, T> {
    #[inline(always)]
    fn pack_taps<S: Simd<T>, const N: usize>(&self, simd: S, taps: Range<usize>, data: &mut [T]) {
        let sampler = &mut *self.sampler.borrow_mut();
        let channels = self.first + taps.start / self.taps..self.first + taps.end.div_ceil(self.taps);
        let distance = self.distance();
        for channels in sampler.field().parts(channels, N) {
            sampler.load(simd, channels.clone());
            for first in (0..self.pixels).step_by(N) {
                for tap in 0..self.taps {
                    let (samples, plane, pitch) = sampler.pixels_under::<S>(tap, first);
                    let mut vectors = [simd.splat(T::ZERO); N];
                    unroll!(PIXEL < N, {
                        vectors[PIXEL] = samples.read(simd, plane, pitch, PIXEL);
                    });
                    let vectors = turned(simd, vectors);
                    // The row of the first channel's tap, which may be before the block's first.
                    let row = ((channels.start - self.first) * self.taps + tap).wrapping_sub(taps.start);
                    unroll!(LANE < N, {
                        let row = row.wrapping_add(LANE * self.taps);
                        if LANE < channels.len() && row < taps.len() {
                            simd.store(vectors[LANE], &mut data[row * distance + first..]);
                        }
                    });
                }
            }
        }
    }
}
