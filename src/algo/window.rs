//! The taps of one input channel.

use core::ops::Range;

use crate::numerics::SUMMATION_BLOCK;

/// Where the taps of a kernel read, relative to the window's place, and how the sum over taps is cut.
///
/// The sum runs over channels, rows of taps and columns of taps, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Offsets of the rows of taps, ascending.
    pub(crate) rows: Vec<isize>,
    /// Offsets of the columns of taps, ascending.
    pub(crate) columns: Vec<isize>,
    /// The taps of each block of the sum.
    blocks: Vec<Range<usize>>,
    /// Most channels that a block has taps of.
    channels_per_block: usize,
}

impl Window {
    /// All taps of a kernel.
    pub(crate) fn dense(kernel: [usize; 2], dilation: [usize; 2], channels: usize) -> Self {
        let along = |axis: usize| (0..kernel[axis]).map(|tap| (tap, (tap * dilation[axis]) as isize)).collect();
        let [rows, columns]: [Vec<(usize, isize)>; 2] = [along(0), along(1)];
        Window::sparse(&rows, &columns, kernel, channels)
    }

    /// Some rows and columns of a kernel, given as `(position in the kernel, offset)` in ascending order.
    ///
    /// The sum is cut where the sum over the whole kernel is, so that leaving taps out changes no bit of it.
    pub(crate) fn sparse(
        rows: &[(usize, isize)],
        columns: &[(usize, isize)],
        [height, width]: [usize; 2],
        channels: usize,
    ) -> Self {
        // Taps of the window before a position in the sum over the whole kernel.
        let before = |position: usize| {
            let (channel, within) = (position / (height * width), position % (height * width));
            let (row, column) = (within / width, within % width);
            let whole = rows.partition_point(|&(at, _)| at < row);
            let partly = if rows.get(whole).is_some_and(|&(at, _)| at == row) {
                columns.partition_point(|&(at, _)| at < column)
            } else {
                0
            };
            channel * rows.len() * columns.len() + whole * columns.len() + partly
        };
        let taps = channels * height * width;
        let cut = |block: usize| before((block * SUMMATION_BLOCK).min(taps));
        let blocks = (0..taps.div_ceil(SUMMATION_BLOCK)).map(|block| cut(block)..cut(block + 1)).collect();
        let offsets = |taps: &[(usize, isize)]| taps.iter().map(|&(_, offset)| offset).collect();
        Window::new(offsets(rows), offsets(columns), blocks)
    }

    /// Taps of which each sum has some, cut where the sums over a whole kernel of so many taps are: a channel that two blocks have taps of is in
    /// both as a whole.
    pub(crate) fn merged(rows: Vec<isize>, columns: Vec<isize>, kernel_taps: usize, channels: usize) -> Self {
        let (of_channel, taps) = (rows.len() * columns.len(), channels * kernel_taps);
        let blocks = (0..taps).step_by(SUMMATION_BLOCK).map(|start| {
            let end = taps.min(start + SUMMATION_BLOCK);
            start / kernel_taps * of_channel..end.div_ceil(kernel_taps) * of_channel
        });
        let blocks = blocks.collect();
        Window::new(rows, columns, blocks)
    }

    fn new(rows: Vec<isize>, columns: Vec<isize>, blocks: Vec<Range<usize>>) -> Self {
        let of_channel = rows.len() * columns.len();
        let channels = blocks.iter().map(|block| block.end.div_ceil(of_channel) - block.start / of_channel);
        Window { channels_per_block: channels.max().unwrap_or(0), rows, columns, blocks }
    }

    /// Channels that are summed over.
    pub(crate) fn in_channels(&self) -> usize {
        self.blocks.last().map_or(0, |block| block.end / self.len().max(1))
    }

    /// Taps of one channel.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// Rows and columns of taps.
    pub(crate) fn kernel(&self) -> [usize; 2] {
        [self.rows.len(), self.columns.len()]
    }

    /// Rows from one row of taps to the next one, where that is always the same.
    pub(crate) fn row_step(&self) -> usize {
        step(&self.rows)
    }

    /// Columns from one column of taps to the next one, where that is always the same.
    pub(crate) fn column_step(&self) -> usize {
        step(&self.columns)
    }

    /// Most channels that a block has taps of.
    pub(crate) fn channels_per_block(&self) -> usize {
        self.channels_per_block
    }

    /// The taps of each block of the sum.
    pub(crate) fn blocks(&self) -> &[Range<usize>] {
        &self.blocks
    }

    /// The channels that a range of the sum runs over, with the taps of each that it holds.
    pub(crate) fn channels(&self, taps: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
        let len = self.len();
        let channels = if taps.is_empty() { 0..0 } else { taps.start / len..taps.end.div_ceil(len) };
        channels.map(move |channel| {
            let within = |tap: usize| tap.clamp(channel * len, (channel + 1) * len) - channel * len;
            (channel, within(taps.start)..within(taps.end))
        })
    }
}

fn step(offsets: &[isize]) -> usize {
    offsets.get(1).map_or(1, |offset| (offset - offsets[0]).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_cut_every_256_taps_of_the_whole_kernel() {
        assert_eq!(Window::dense([3, 3], [1, 1], 60).blocks(), [0..256, 256..512, 512..540]);
        // Rows 0 and 2, column 1 of 3 x 3: positions 1 and 7. 256 = 28 * 9 + 4.
        let window = Window::sparse(&[(0, -1), (2, 0)], &[(1, 0)], [3, 3], 60);
        assert_eq!(window.blocks(), [0..57, 57..114, 114..120]);
        // Channel 28 is in both of the first two blocks, and 56 in the other two.
        let window = Window::merged(vec![-1, 0], vec![0], 9, 60);
        assert_eq!(window.blocks(), [0..58, 56..114, 112..120]);
    }

    #[test]
    fn channels_of_a_range() {
        let window = Window::dense([2, 2], [1, 1], 9);
        let channels: Vec<_> = window.channels(6..13).collect();
        assert_eq!(channels, [(1, 2..4), (2, 0..4), (3, 0..1)]);
        assert_eq!(window.channels(5..5).count(), 0);
    }
}
