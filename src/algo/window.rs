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
    block_ends: Vec<usize>,
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
        let block_ends = (1..=taps.div_ceil(SUMMATION_BLOCK)).map(|block| before((block * SUMMATION_BLOCK).min(taps)));
        let block_ends: Vec<usize> = block_ends.collect();
        let of_channel = rows.len() * columns.len();
        let starts = core::iter::once(0).chain(block_ends.iter().copied());
        let channels = starts.zip(&block_ends).map(|(start, end)| end.div_ceil(of_channel) - start / of_channel);
        Window {
            channels_per_block: channels.max().unwrap_or(0),
            block_ends,
            rows: rows.iter().map(|&(_, offset)| offset).collect(),
            columns: columns.iter().map(|&(_, offset)| offset).collect(),
        }
    }

    /// Channels that are summed over.
    pub(crate) fn in_channels(&self) -> usize {
        self.block_ends.last().map_or(0, |end| end / self.len().max(1))
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

    /// Where in the sum the blocks end.
    pub(crate) fn block_ends(&self) -> &[usize] {
        &self.block_ends
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
        assert_eq!(Window::dense([3, 3], [1, 1], 60).block_ends(), [256, 512, 540]);
        // Rows 0 and 2, column 1 of 3 x 3: positions 1 and 7. 256 = 28 * 9 + 4.
        let window = Window::sparse(&[(0, -1), (2, 0)], &[(1, 0)], [3, 3], 60);
        assert_eq!(window.block_ends(), [28 * 2 + 1, 56 * 2 + 2, 120]);
    }

    #[test]
    fn channels_of_a_range() {
        let window = Window::dense([2, 2], [1, 1], 9);
        let channels: Vec<_> = window.channels(6..13).collect();
        assert_eq!(channels, [(1, 2..4), (2, 0..4), (3, 0..1)]);
        assert_eq!(window.channels(5..5).count(), 0);
    }
}
