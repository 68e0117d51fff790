//! Rows of an image with channels as lanes.

use core::ops::Range;

use ndarray::{ArrayView3, s};

use crate::config::PaddingMode;
use crate::element::Element;
use crate::kernels::transpose::interleave;
use crate::padding::inside;
use crate::simd::Simd;

/// An image of any memory layout, padded without end.
pub(crate) struct ChannelsLast<'a, T> {
    view: ArrayView3<'a, T>,
    /// All of it, where rows, and channels, follow each other without gaps.
    flat: Option<&'a [T]>,
    mode: PaddingMode,
}

impl<'a, T: Element> ChannelsLast<'a, T> {
    pub(crate) fn new(view: ArrayView3<'a, T>, mode: PaddingMode) -> Self {
        ChannelsLast { flat: view.to_slice(), view, mode }
    }

    /// Pixels of a row, as many as `to` has room for, from position `[y, x]` on: `[pixel][lane]` of some channels, at most as many as lanes.
    /// Lanes without a channel hold the last one again, or zero.
    #[inline(always)]
    pub(crate) fn row<S: Simd<T>, const N: usize>(
        &self,
        simd: S,
        channels: Range<usize>,
        [y, x]: [isize; 2],
        to: &mut [T],
    ) {
        let (_, height, width) = self.view.dim();
        let Some(y) = self.mode.source(y, height) else {
            to.fill(T::ZERO);
            return;
        };
        let inside = inside(x, to.len() / N, width);
        let (before, rest) = to.split_at_mut(inside.start * N);
        let (within, behind) = rest.split_at_mut(inside.len() * N);
        for (start, to) in [(0, before), (inside.end, behind)] {
            if self.mode == PaddingMode::Zeros {
                to.fill(T::ZERO);
                continue;
            }
            for (column, to) in (start..).zip(to.chunks_exact_mut(N)) {
                let source = self.mode.source(x + column as isize, width);
                to.fill(T::ZERO);
                for (to, channel) in to.iter_mut().zip(channels.clone()) {
                    *to = source.map_or(T::ZERO, |x| self.view[[channel, y, x]]);
                }
            }
        }
        if within.is_empty() {
            return;
        }
        let x = (x + inside.start as isize).unsigned_abs();
        let channel = |lane: usize| channels.end.min(channels.start + lane + 1) - 1;
        let mut from: [&[T]; N] = [&[]; N];
        if let Some(flat) = self.flat {
            for lane in 0..N {
                from[lane] = &flat[(channel(lane) * height + y) * width + x..][..inside.len()];
            }
            return interleave(simd, &from, within);
        }
        let mut whole = true;
        for (lane, from) in from.iter_mut().enumerate() {
            let row = self.view.slice(s![channel(lane), y, x..x + inside.len()]).to_slice();
            whole &= row.is_some();
            *from = row.unwrap_or(&[]);
        }
        if whole {
            return interleave(simd, &from, within);
        }
        for (column, to) in within.chunks_exact_mut(N).enumerate() {
            to.fill(T::ZERO);
            for (to, channel) in to.iter_mut().zip(channels.clone()) {
                *to = self.view[[channel, y, x + column]];
            }
        }
    }
}
