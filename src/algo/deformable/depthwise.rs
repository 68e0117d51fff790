//! Deformable convolution of each channel for itself: no matrix product, but a sum over samples with channels as lanes.

use core::ops::Range;

use ndarray::{ArrayView3, ArrayViewMut3, Axis, Slice};

use super::field::{Field, Sampler, padded};
use crate::activation::Activation;
use crate::algo::woven::{Weave, Woven};
use crate::algo::{Extent, Region, Stage, activate};
use crate::element::Float;
use crate::gemm::blocking::SPARE;
use crate::kernels::transpose::turned;
use crate::numerics::SUMMATION_BLOCK;
use crate::scratch::Scratch;
use crate::simd::{Isa, Kernel, Simd, by_lanes, unroll};

/// What such a convolution keeps from call to call.
#[derive(Clone, Debug)]
pub(crate) struct DepthwiseWeights<T> {
    pub(crate) isa: Isa,
    channels: usize,
    /// `[tap][channel]`, and what may be read behind.
    taps: Vec<T>,
    /// One for each channel, and what may be read behind.
    bias: Vec<T>,
}

impl<T: Float> DepthwiseWeights<T> {
    /// From weights `[channel][tap]`.
    pub(crate) fn new(isa: Isa, weights: &[T], bias: Option<Vec<T>>, channels: usize) -> Self {
        let taps = weights.len() / channels;
        let turned = (0..taps).flat_map(|tap| weights[tap..].iter().step_by(taps));
        let spare = [T::ZERO; SPARE];
        let taps = turned.chain(&spare).copied().collect();
        let mut bias = bias.unwrap_or_else(|| vec![T::ZERO; channels]);
        bias.extend(spare);
        DepthwiseWeights { isa, channels, taps, bias }
    }
}

/// The stage.
pub(crate) struct DepthwiseDeformable<'a, T> {
    pub(crate) weights: &'a DepthwiseWeights<T>,
    pub(crate) activation: &'a Activation<T>,
    pub(crate) field: Field<'a, T>,
}

impl<T: Float> Stage<T> for DepthwiseDeformable<'_, T> {
    fn scratch_len(&self, extent: Extent) -> usize {
        self.field.scratch_len(extent) + SPARE * padded(extent.pixels())
    }

    fn run(
        &self,
        input: ArrayView3<'_, T>,
        region: &Region,
        mut output: ArrayViewMut3<'_, T>,
        scratch: Scratch<'_, T>,
    ) {
        let (mut sampler, staged) = Sampler::new(&self.field, &input, region, scratch.elements, scratch.indices);
        let channels = region.channels.clone();
        T::launch(
            self.weights.isa,
            Sums { weights: self.weights, sampler: &mut sampler, channels, staged, output: output.view_mut() },
        );
        activate(self.weights.isa, self.activation, output, region.channels.start);
    }
}

/// The channels of a region.
struct Sums<'r, 's, 'o, T> {
    weights: &'r DepthwiseWeights<T>,
    sampler: &'r mut Sampler<'s, T>,
    channels: Range<usize>,
    /// A row of pixels for each channel of a vector.
    staged: &'r mut [T],
    output: ArrayViewMut3<'o, T>,
}

impl<T: Float> Kernel<T> for Sums<'_, '_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        by_lanes!(N = S::LANES => self.run_channels::<S, N>(simd));
    }
}

impl<T: Float> Sums<'_, '_, '_, T> {
    #[inline(always)]
    fn run_channels<S: Simd<T>, const N: usize>(self, simd: S) {
        let Sums { weights, sampler, channels, staged, mut output } = self;
        let (taps, pixels) = (sampler.field().taps(), sampler.pixels());
        let pitch = padded(pixels);
        for part in sampler.field().parts(channels.clone(), N) {
            sampler.load(simd, part.clone());
            for first in (0..pixels).step_by(N) {
                let mut totals = [simd.load(&weights.bias[part.start..]); N];
                for block in (0..taps).step_by(SUMMATION_BLOCK) {
                    let mut sums = [simd.splat(T::ZERO); N];
                    for tap in block..taps.min(block + SUMMATION_BLOCK) {
                        let weight = simd.load(&weights.taps[tap * weights.channels + part.start..]);
                        let (samples, plane, pitch) = sampler.pixels_under::<S>(tap, first);
                        unroll!(PIXEL < N, {
                            sums[PIXEL] = simd.fma(samples.read(simd, plane, pitch, PIXEL), weight, sums[PIXEL]);
                        });
                    }
                    unroll!(PIXEL < N, {
                        totals[PIXEL] = simd.add(totals[PIXEL], sums[PIXEL]);
                    });
                }
                let totals = turned(simd, totals);
                unroll!(LANE < N, {
                    simd.store(totals[LANE], &mut staged[LANE * pitch + first..]);
                });
            }
            let (_, rows, columns) = output.dim();
            let within = Slice::from(part.start - channels.start..part.end - channels.start);
            let weave = Weave {
                rows: &*staged,
                size: [rows, columns],
                woven: Woven::NOT,
                pitches: [pitch, 0, 0],
                output: output.slice_axis_mut(Axis(0), within),
                every: [0, 1],
            };
            weave.run(simd);
        }
    }
}
