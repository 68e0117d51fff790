//! Where the taps of a deformable convolution sample, and a sampler that reads there.
//!
//! The sampler works on one region and a vector's worth of channels at a time. Positions, weights and places are worked out once
//! for an offset group. The part of the image around the samples is copied to a *plane* with channels as lanes, so that a sample of all
//! those channels is a few loads. The plane's size is bounded: samples that it does not reach get *patches* in it, the four corners
//! copied just before they are read, so that offsets of any size are right, and those of usual sizes fast.

use core::ops::Range;

use ndarray::{ArrayView3, ArrayView4, Axis, s};

use crate::algo::channels_last::ChannelsLast;
use crate::algo::{Extent, Region};
use crate::config::PaddingMode;
use crate::element::Float;
use crate::gemm::blocking::SPARE;
use crate::geometry::Problem;
use crate::kernels::sample::Samples;
use crate::simd::{Simd, by_lanes};

/// The positions at which taps sample, for a batch.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a, T> {
    pub(crate) problem: &'a Problem,
    pub(crate) kernel: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// `[n, 2 * offset_groups * kh * kw, oh, ow]`.
    pub(crate) offset: ArrayView4<'a, T>,
    /// `[n, offset_groups * kh * kw, oh, ow]`.
    pub(crate) mask: Option<ArrayView4<'a, T>>,
    pub(crate) offset_groups: usize,
}

/// Elements of a plane in bytes: what a second-level cache has left beside a region.
const PLANE_BYTES: usize = 256 << 10;
/// Numbers for each tap and pixel: four weights, a mask, and the row and column of a corner.
const NUMBERS: usize = 7;
/// Taps whose offsets are asked for before they are looked at.
const AHEAD: usize = 3;
/// Bytes.
const CACHE_LINE: usize = 64;
/// Rows and columns from here on are read by patches.
const FAR: i32 = 1 << 30;

impl<'a, T: Float> Field<'a, T> {
    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Channels that share positions.
    pub(super) fn channels_per_offset_group(&self) -> usize {
        self.problem.in_channels / self.offset_groups
    }

    /// Elements that the sampler of a region takes.
    pub(super) fn scratch_len(&self, extent: Extent) -> usize {
        NUMBERS * self.taps() * padded(extent.pixels()) + PLANE_BYTES / size_of::<T>()
    }

    /// Some channels of one offset group at a time, at most `lanes`.
    pub(super) fn parts(&self, channels: Range<usize>, lanes: usize) -> impl Iterator<Item = Range<usize>> + use<T> {
        let (mut first, of_group) = (channels.start, self.channels_per_offset_group());
        core::iter::from_fn(move || {
            let end = channels.end.min(first + lanes).min((first / of_group + 1) * of_group);
            let part = first..end;
            first = end;
            (!part.is_empty()).then_some(part)
        })
    }
}

/// Pixels in whole vectors of any instruction set.
pub(super) fn padded(pixels: usize) -> usize {
    pixels.next_multiple_of(SPARE)
}

/// The part of the image in a plane: its first row and column, and how many there are. It may reach one beyond the image on each side.
#[derive(Clone, Copy, Default)]
struct Sight {
    first: [i32; 2],
    size: [usize; 2],
}

/// Reads samples for the pixels of a region.
pub(super) struct Sampler<'s, T> {
    field: Field<'s, T>,
    image: ArrayView3<'s, T>,
    offset: ArrayView3<'s, T>,
    mask: Option<ArrayView3<'s, T>>,
    rows: Range<usize>,
    columns: Range<usize>,
    /// `NUMBERS` of `[tap][pixel]`, pixels in whole vectors.
    numbers: [&'s mut [T]; NUMBERS],
    /// Places `[tap][pixel]`, and for each tap and vector of pixels the lanes that need patches.
    indices: &'s mut Vec<u32>,
    plane: &'s mut [T],
    /// The offset group that all of these are for.
    located: Option<usize>,
    sight: Sight,
    /// The channels in the plane.
    channels: Range<usize>,
}

impl<'s, T: Float> Sampler<'s, T> {
    /// A sampler, and the working memory that it leaves.
    pub(super) fn new(
        field: &'s Field<'_, T>,
        image: &'s ArrayView3<'_, T>,
        region: &Region,
        mut memory: &'s mut [T],
        indices: &'s mut Vec<u32>,
    ) -> (Self, &'s mut [T]) {
        let field = Field { offset: field.offset.view(), mask: field.mask.as_ref().map(|mask| mask.view()), ..*field };
        let of_sample = |batch: ArrayView4<'s, T>| batch.index_axis_move(Axis(0), region.sample);
        let each = field.taps() * padded(region.extent().pixels());
        let mut take = |len: usize| memory.split_off_mut(..len).expect("as much as scratch_len says");
        let numbers = core::array::from_fn(|_| take(each));
        let plane = take(PLANE_BYTES / size_of::<T>());
        let sampler = Sampler {
            field,
            image: image.view(),
            offset: of_sample(field.offset),
            mask: field.mask.map(of_sample),
            rows: region.rows.clone(),
            columns: region.columns.clone(),
            numbers,
            indices,
            plane,
            located: None,
            sight: Sight::default(),
            channels: 0..0,
        };
        (sampler, memory)
    }

    pub(super) fn field(&self) -> Field<'s, T> {
        self.field
    }

    pub(super) fn pixels(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// Brings some channels of one offset group into the plane, at most a vector of them.
    #[inline(always)]
    pub(super) fn load<S: Simd<T>>(&mut self, simd: S, channels: Range<usize>) {
        let group = channels.start / self.field.channels_per_offset_group();
        if self.located != Some(group) {
            self.weigh(simd, group);
            self.place::<S>();
            self.located = Some(group);
        } else if self.channels == channels {
            return;
        }
        by_lanes!(N = S::LANES => self.fill::<S, N>(simd, channels.clone()));
        self.channels = channels;
    }

    /// A vector of pixels from pixel `first` on under a tap.
    #[inline(always)]
    pub(super) fn pixels_under<S: Simd<T>>(&mut self, tap: usize, first: usize) -> (Samples<'_, T>, &[T], usize) {
        let pixels = padded(self.pixels());
        let (taps, at) = (self.field.taps(), tap * pixels + first);
        let far = self.indices[taps * pixels + at / S::LANES];
        if far != 0 {
            self.patch::<S>(at, far);
        }
        let range = at..at + S::LANES;
        let [a, b, c, d, mask, ..] = &self.numbers;
        let samples = Samples {
            places: &self.indices[range.clone()],
            weights: [&a[range.clone()], &b[range.clone()], &c[range.clone()], &d[range.clone()]],
            mask: self.mask.is_some().then(|| &mask[range]),
        };
        (samples, self.plane, self.sight.size[1] * S::LANES)
    }

    /// Works out the weights of all corners, and the row and column of the first, which is NaN where a sample is nowhere.
    #[inline(always)]
    fn weigh<S: Simd<T>>(&mut self, simd: S, offset_group: usize) {
        let Field { problem, kernel, dilation, .. } = self.field;
        let pads = problem.pads.begins();
        let (taps, pixels) = (self.field.taps(), padded(self.pixels()));
        let width = self.columns.len();
        for tap in 0..taps {
            let channel = offset_group * taps + tap;
            self.ask(simd, channel + AHEAD);
            let along = [tap / kernel[1], tap % kernel[1]];
            let window = |axis: usize, place: usize| {
                (place * problem.stride[axis] + along[axis] * dilation[axis]) as isize - pads[axis] as isize
            };
            let all = tap * pixels..(tap + 1) * pixels;
            let [a, b, c, d, mask, tops, lefts] = self.numbers.each_mut().map(|numbers| &mut numbers[all.clone()]);
            for (index, row) in self.rows.clone().enumerate() {
                let place = index * width..(index + 1) * width;
                let [tops, lefts] = [&mut *tops, &mut *lefts].map(|to| &mut to[place.clone()]);
                copy_row(tops, &self.offset, [2 * channel, row], self.columns.clone());
                copy_row(lefts, &self.offset, [2 * channel + 1, row], self.columns.clone());
                let first = T::nearest(window(0, row));
                tops.iter_mut().for_each(|top| *top = first + *top);
                let (first, step) = (window(1, self.columns.start), problem.stride[1]);
                for (left, index) in lefts.iter_mut().zip(0..) {
                    *left = T::nearest(first + (index * step) as isize) + *left;
                }
                if let Some(from) = &self.mask {
                    copy_row(&mut mask[place.clone()], from, [channel, row], self.columns.clone());
                }
            }
            // Behind the last pixel: nowhere.
            let end = self.rows.len() * width;
            tops[end..].fill(-T::one());
            lefts[end..].fill(-T::one());
            mask[end..].fill(T::ZERO);
            let [height, width] = problem.input.map(|size| T::nearest(size as isize));
            for pixel in 0..pixels {
                let (y, x) = (tops[pixel], lefts[pixel]);
                let outside = y <= -T::one() || y >= height || x <= -T::one() || x >= width;
                let (top, left) = (y.floor(), x.floor());
                let (ly, lx) = (y - top, x - left);
                let (hy, hx) = (T::one() - ly, T::one() - lx);
                let unless_outside = |weight: T| if outside { T::ZERO } else { weight };
                a[pixel] = unless_outside(hy * hx);
                b[pixel] = unless_outside(hy * lx);
                c[pixel] = unless_outside(ly * hx);
                d[pixel] = unless_outside(ly * lx);
                // A NaN position has no corners and NaN weights: the sample is NaN.
                tops[pixel] = if outside { T::nan() } else { top };
                lefts[pixel] = if outside { T::nan() } else { left };
            }
        }
    }

    /// Asks for the offsets and the mask under a tap: pieces of a few cache lines, each in a plane of its own, which nothing else foresees.
    #[inline(always)]
    fn ask<S: Simd<T>>(&self, simd: S, channel: usize) {
        let (channels, height, width) = self.offset.dim();
        let line = CACHE_LINE / size_of::<T>();
        let offset = self.offset.to_slice().unwrap_or(&[]);
        let mask = self.mask.as_ref().and_then(|mask| mask.to_slice()).unwrap_or(&[]);
        if 2 * channel >= channels {
            return;
        }
        for (plane, from) in [(2 * channel, offset), (2 * channel + 1, offset), (channel, mask)] {
            for row in self.rows.clone() {
                let start = (plane * height + row) * width;
                let mut at = start + self.columns.start;
                while at < start + self.columns.end {
                    simd.prefetch(from, at);
                    at += line;
                }
            }
        }
    }

    /// Chooses what the plane shows, and works out where each sample's corners are in it.
    #[inline(always)]
    fn place<S: Simd<T>>(&mut self) {
        let (taps, pixels) = (self.field.taps(), padded(self.pixels()));
        let [.., tops, lefts] = &self.numbers;
        let [top, left] = [bounds(tops), bounds(lefts)].map(|bounds| bounds.map(|bound| bound.min(FAR)));
        let mut sight = Sight {
            first: [top[0], left[0]],
            size: [top, left].map(|[first, last]| (last - first).max(0) as usize + 2),
        };
        let most = PLANE_BYTES / size_of::<T>() / S::LANES;
        if sight.pixels(S::LANES) > most {
            let whole = sight;
            while sight.pixels(S::LANES) > most {
                let longer = if sight.size[0] > sight.size[1] { 0 } else { 1 };
                sight.size[longer] = sight.size[longer].div_ceil(2).max(2);
            }
            for (axis, from) in [tops, lefts].into_iter().enumerate() {
                let middle = mean(from).whole() - (sight.size[axis] / 2) as i32;
                let last = whole.first[axis] + (whole.size[axis] - sight.size[axis]) as i32;
                sight.first[axis] = middle.clamp(whole.first[axis], last);
            }
        }
        self.sight = sight;
        self.indices.clear();
        self.indices.resize(taps * pixels + taps * pixels / S::LANES, 0);
        let (places, far) = self.indices.split_at_mut(taps * pixels);
        let start = sight.patch_rows(S::LANES) * sight.size[1];
        let [height, width] = sight.size.map(|size| size as u32 - 1);
        for (index, far) in far.iter_mut().enumerate() {
            let range = index * S::LANES..(index + 1) * S::LANES;
            let [tops, lefts] = [&tops[range.clone()], &lefts[range.clone()]];
            let places = &mut places[range];
            let mut missed = 0;
            for lane in 0..S::LANES {
                let row = tops[lane].whole().wrapping_sub(sight.first[0]) as u32;
                let column = lefts[lane].whole().wrapping_sub(sight.first[1]) as u32;
                let somewhere = !tops[lane].is_nan() && !lefts[lane].is_nan();
                let seen = somewhere && row < height && column < width;
                let place = (start as u32).wrapping_add(row.wrapping_mul(width + 1)).wrapping_add(column);
                // A sample that is nowhere reads the first patch, which is zero.
                places[lane] = if seen { place.wrapping_mul(S::LANES as u32) } else { 0 };
                missed |= u32::from(somewhere && !seen);
            }
            if missed != 0 {
                for lane in 0..S::LANES {
                    if !tops[lane].is_nan() && !lefts[lane].is_nan() && places[lane] == 0 {
                        *far |= 1 << lane;
                        places[lane] = (sight.patch(lane + 1) * S::LANES) as u32;
                    }
                }
            }
        }
    }

    /// Copies what the plane shows of some channels.
    #[inline(always)]
    fn fill<S: Simd<T>, const N: usize>(&mut self, simd: S, channels: Range<usize>) {
        let Sight { first, size } = self.sight;
        let image = ChannelsLast::new(self.image.view(), PaddingMode::Zeros);
        let pitch = size[1] * N;
        let patches = self.sight.patch_rows(N) * pitch;
        self.plane[..patches].fill(T::ZERO);
        let first = first.map(|first| first as isize);
        for row in 0..size[0] {
            let to = &mut self.plane[patches + row * pitch..][..pitch];
            image.row::<S, N>(simd, channels.clone(), [first[0] + row as isize, first[1]], to);
        }
    }

    /// Copies the corners of samples that the plane does not show.
    #[inline(never)]
    fn patch<S: Simd<T>>(&mut self, at: usize, far: u32) {
        let (_, height, width) = self.image.dim();
        let [.., tops, lefts] = &self.numbers;
        let inside = |first: T, further: usize, size: usize| {
            let place = first.to_isize()?.checked_add_unsigned(further)?;
            usize::try_from(place).ok().filter(|&place| place < size)
        };
        for lane in (0..S::LANES).filter(|lane| far >> lane & 1 == 1) {
            let (top, left) = (tops[at + lane], lefts[at + lane]);
            let patch = self.sight.patch(lane + 1);
            for corner in 0..4 {
                let (down, right) = (corner / 2, corner % 2);
                let to = &mut self.plane[(patch + down * self.sight.size[1] + right) * S::LANES..][..S::LANES];
                to.fill(T::ZERO);
                if let (Some(row), Some(column)) = (inside(top, down, height), inside(left, right, width)) {
                    for (to, channel) in to.iter_mut().zip(self.channels.clone()) {
                        *to = self.image[[channel, row, column]];
                    }
                }
            }
        }
    }
}

impl Sight {
    /// Patches that are side by side in two rows.
    fn patches_per_row(&self) -> usize {
        self.size[1] / 2
    }

    /// Rows that the patches take: one that is zero, and one for each lane.
    fn patch_rows(&self, lanes: usize) -> usize {
        2 * (lanes + 1).div_ceil(self.patches_per_row())
    }

    /// Where a patch begins, in pixels.
    fn patch(&self, index: usize) -> usize {
        index / self.patches_per_row() * 2 * self.size[1] + index % self.patches_per_row() * 2
    }

    /// Pixels that a plane takes.
    fn pixels(&self, lanes: usize) -> usize {
        self.size[0].saturating_add(self.patch_rows(lanes)).saturating_mul(self.size[1])
    }
}

/// Copies some columns of a channel and row, of any layout.
#[inline(always)]
fn copy_row<T: Copy>(to: &mut [T], from: &ArrayView3<'_, T>, [channel, row]: [usize; 2], columns: Range<usize>) {
    let (_, height, width) = from.dim();
    match from.to_slice() {
        Some(from) => to.copy_from_slice(&from[(channel * height + row) * width..][columns]),
        None => to.iter_mut().zip(from.slice(s![channel, row, columns])).for_each(|(to, from)| *to = *from),
    }
}

/// The least and the greatest of some whole numbers, NaNs left out.
#[inline(always)]
fn bounds<T: Float>(numbers: &[T]) -> [i32; 2] {
    let mut least = [T::infinity(); SPARE];
    let mut greatest = [-T::one(); SPARE];
    for numbers in numbers.chunks_exact(SPARE) {
        for lane in 0..SPARE {
            let number = numbers[lane];
            least[lane] = if number < least[lane] { number } else { least[lane] };
            greatest[lane] = if number > greatest[lane] { number } else { greatest[lane] };
        }
    }
    let least = least.into_iter().fold(T::infinity(), |a, b| a.min(b));
    let greatest = greatest.into_iter().fold(-T::one(), |a, b| a.max(b));
    [least.min(greatest).whole(), greatest.whole()]
}

/// The mean of some numbers, NaNs left out.
fn mean<T: Float>(numbers: &[T]) -> T {
    let present = || numbers.iter().filter(|number| !number.is_nan());
    let sum = present().fold(T::ZERO, |sum, number| sum + *number);
    (sum / T::nearest(present().count().max(1) as isize)).floor()
}
