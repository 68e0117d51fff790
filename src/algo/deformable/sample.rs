//! The matrix of sampled pixels.
//!
//! At position `(y, x)` with `ly = y - floor(y)`, `hy = 1 - ly` and likewise for `x`:
//!
//! ```text
//! value = hy hx v[⌊y⌋][⌊x⌋] + hy lx v[⌊y⌋][⌊x⌋+1] + ly hx v[⌊y⌋+1][⌊x⌋] + ly lx v[⌊y⌋+1][⌊x⌋+1]
//! ```
//!
//! in that order, the first product rounded and the others fused. A corner outside the image is a zero, and
//! a position outside `(-1, H) x (-1, W)` is a zero as a whole.

use core::ops::Range;

use ndarray::{ArrayView3, Axis};

use super::Deformable;
use crate::algo::Region;
use crate::element::Float;
use crate::gemm::{Runs, Source};
use crate::simd::Simd;

/// Where and how one tap of one pixel samples, for every channel of an offset group.
#[derive(Clone, Copy)]
struct Sample<T> {
    /// Row and column of each corner, where it is inside the image.
    corners: [Option<(usize, usize)>; 4],
    weights: [T; 4],
    mask: Option<T>,
}

impl<T: Float> Sample<T> {
    /// A sample at `(y, x)` of an image of `height x width`.
    #[inline(always)]
    fn new([y, x]: [T; 2], [height, width]: [usize; 2], mask: Option<T>) -> Self {
        let outside = |at: T, size: usize| at <= -T::one() || at >= number(size);
        if outside(y, height) || outside(x, width) {
            return Sample { corners: [None; 4], weights: [T::ZERO; 4], mask };
        }
        let (top, left) = (y.floor(), x.floor());
        let (ly, lx) = (y - top, x - left);
        let (hy, hx) = (T::one() - ly, T::one() - lx);
        // A NaN position has no corners and NaN weights: the sample is NaN.
        let inside = |at: T, size: usize| at.to_usize().filter(|&at| at < size);
        let rows = [inside(top, height), inside(top + T::one(), height)];
        let columns = [inside(left, width), inside(left + T::one(), width)];
        let corner = |row: usize, column: usize| rows[row].zip(columns[column]);
        Sample {
            corners: [corner(0, 0), corner(0, 1), corner(1, 0), corner(1, 1)],
            weights: [hy * hx, hy * lx, ly * hx, ly * lx],
            mask,
        }
    }

    #[inline(always)]
    fn read(&self, image: &ArrayView3<'_, T>, channel: usize) -> T {
        let value = |corner: usize| match self.corners[corner] {
            Some((row, column)) => image[[channel, row, column]],
            None => T::ZERO,
        };
        let [first, others @ ..] = &self.weights;
        let sum =
            others.iter().zip(1..).fold(*first * value(0), |sum, (weight, corner)| weight.fma(value(corner), sum));
        match self.mask {
            Some(mask) => sum * mask,
            None => sum,
        }
    }
}

/// A whole number as a float.
fn number<T: Float>(value: usize) -> T {
    T::from(value).expect("floats hold every size, rounded")
}

/// The [`Source`] that an image is when sampled at one region's offsets.
pub(super) struct SampledSource<'s, 'a, 'i, T> {
    stage: &'s Deformable<'a, T>,
    /// The input channels of one weight group.
    image: ArrayView3<'i, T>,
    /// The first of them.
    first_channel: usize,
    offset: ArrayView3<'a, T>,
    mask: Option<ArrayView3<'a, T>>,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<'s, 'a, 'i, T: Float> SampledSource<'s, 'a, 'i, T> {
    pub(super) fn new(
        stage: &'s Deformable<'a, T>,
        image: ArrayView3<'i, T>,
        first_channel: usize,
        region: &Region,
    ) -> Self {
        let of_sample = |batch: &ndarray::ArrayView4<'a, T>| batch.index_axis_move(Axis(0), region.sample);
        SampledSource {
            stage,
            image,
            first_channel,
            offset: of_sample(&stage.offset),
            mask: stage.mask.as_ref().map(of_sample),
            rows: region.rows.clone(),
            columns: region.columns.clone(),
        }
    }

    fn pixels(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// Where a tap samples for a pixel of the region.
    #[inline(always)]
    fn sample(&self, offset_group: usize, tap: usize, pixel: usize) -> Sample<T> {
        let stage = self.stage;
        let (width, taps) = (stage.kernel[1], stage.kernel[0] * stage.kernel[1]);
        let place = [self.rows.start + pixel / self.columns.len(), self.columns.start + pixel % self.columns.len()];
        let along = [tap / width, tap % width];
        let channel = offset_group * taps + tap;
        let pads = stage.problem.pads.begins();
        let position = [0, 1].map(|axis| {
            let window = (place[axis] * stage.problem.stride[axis] + along[axis] * stage.dilation[axis]) as isize;
            let base = T::from(window - pads[axis] as isize).expect("floats hold every size, rounded");
            base + self.offset[[2 * channel + axis, place[0], place[1]]]
        });
        let mask = self.mask.as_ref().map(|mask| mask[[channel, place[0], place[1]]]);
        Sample::new(position, stage.problem.input, mask)
    }
}

/// Pixels whose samples are worked out at a time.
const GROUP: usize = 32;

impl<T: Float> Source<T> for SampledSource<'_, '_, '_, T> {
    fn runs(&self) -> Runs {
        Runs { count: 1, len: self.pixels(), pitch: self.pixels(), step: 1 }
    }

    /// No tap shares its pixels with another one, so each is a channel.
    fn channel_taps(&self) -> usize {
        1
    }

    fn offsets(&self, offsets: &mut [u32]) {
        offsets.fill(0);
    }

    fn distance(&self) -> usize {
        self.pixels()
    }

    #[inline(always)]
    fn pack<S: Simd<T>>(&self, _: S, taps: Range<usize>, data: &mut [T]) {
        let pixels = self.pixels();
        for first in (0..pixels).step_by(GROUP) {
            self.pack_group(taps.clone(), first..pixels.min(first + GROUP), data);
        }
    }
}

impl<T: Float> SampledSource<'_, '_, '_, T> {
    #[inline(always)]
    fn pack_group(&self, taps: Range<usize>, pixels: Range<usize>, data: &mut [T]) {
        let window = self.stage.kernel[0] * self.stage.kernel[1];
        let per_offset_group = self.stage.problem.in_channels / self.stage.offset_groups;
        let channels = taps.start / window..taps.end.div_ceil(window);
        for tap in 0..window {
            let mut samples = [Sample::new([-T::one(); 2], [0, 0], None); GROUP];
            let mut sampled = None;
            for channel in channels.clone() {
                let index = channel * window + tap;
                if !taps.contains(&index) {
                    continue;
                }
                let offset_group = (self.first_channel + channel) / per_offset_group;
                if sampled != Some(offset_group) {
                    for (sample, pixel) in samples.iter_mut().zip(pixels.clone()) {
                        *sample = self.sample(offset_group, tap, pixel);
                    }
                    sampled = Some(offset_group);
                }
                let row = &mut data[(index - taps.start) * self.pixels() + pixels.start..][..pixels.len()];
                for (to, sample) in row.iter_mut().zip(&samples) {
                    *to = sample.read(&self.image, channel);
                }
            }
        }
    }
}
