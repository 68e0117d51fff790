//! The taps of one input channel.

use core::ops::Range;

use crate::numerics::SUMMATION_BLOCK;

/// Where the taps of a kernel read, relative to the window's place, and how the sum over taps is cut.
///
/// The sum runs over channels and, in each, over `taps` in the order given: tap `k` of the sum is
/// `taps[k % len]` of channel `k / len`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    taps: Vec<[isize; 2]>,
    block_ends: Vec<usize>,
}

impl Window {
    /// All taps of a kernel, in order.
    pub(crate) fn dense(kernel: [usize; 2], dilation: [usize; 2], channels: usize) -> Self {
        let [height, width] = kernel;
        let offset = |tap: usize, axis: usize| (tap * dilation[axis]) as isize;
        let taps = (0..height * width).map(|tap| [offset(tap / width, 0), offset(tap % width, 1)]).collect();
        let block_ends = (1..=(channels * height * width).div_ceil(SUMMATION_BLOCK))
            .map(|block| (block * SUMMATION_BLOCK).min(channels * height * width))
            .collect();
        Window { taps, block_ends }
    }

    /// Some taps of a kernel of `of` taps, given as `(position in the kernel, offset)` in ascending order.
    ///
    /// The sum is cut where the sum over the whole kernel is, so that leaving taps out changes no bit of it.
    pub(crate) fn sparse(taps: &[(usize, [isize; 2])], of: usize, channels: usize) -> Self {
        let blocks = (channels * of).div_ceil(SUMMATION_BLOCK);
        let taps_before = |position: usize| {
            let (channel, within) = (position / of, position % of);
            channel * taps.len() + taps.partition_point(|&(tap, _)| tap < within)
        };
        let block_ends = (1..=blocks).map(|block| taps_before((block * SUMMATION_BLOCK).min(channels * of))).collect();
        Window { taps: taps.iter().map(|&(_, offset)| offset).collect(), block_ends }
    }

    /// Taps of one channel.
    pub(crate) fn len(&self) -> usize {
        self.taps.len()
    }

    /// Where in the sum the blocks end.
    pub(crate) fn block_ends(&self) -> &[usize] {
        &self.block_ends
    }

    /// Channel and offset of each tap in a range of the sum.
    #[inline(always)]
    pub(crate) fn iter(&self, range: Range<usize>) -> impl Iterator<Item = (usize, [isize; 2])> + '_ {
        let len = self.taps.len().max(1);
        let (mut channel, mut tap) = (range.start / len, range.start % len);
        range.map(move |_| {
            let found = (channel, self.taps[tap]);
            tap += 1;
            if tap == len {
                (channel, tap) = (channel + 1, 0);
            }
            found
        })
    }
}
