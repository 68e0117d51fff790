//! Two convolutions, the second without padding, a region at a time: what lies between them is never there as a whole.

use ndarray::{ArrayView3, ArrayViewMut3, s};

use core::ops::Range;

use crate::algo::{Extent, Region, Stage};
use crate::element::Element;
use crate::scratch::Scratch;

/// `second(first(input))`.
pub(crate) struct Chain<A, B> {
    pub(crate) first: A,
    pub(crate) second: B,
    /// Channels between the two.
    pub(crate) middle: usize,
    /// Stride of the second.
    pub(crate) stride: [usize; 2],
    /// Effective kernel of the second.
    pub(crate) effective: [usize; 2],
    /// Columns between the two that are not zero by definition: the others are padding that the first was run on.
    pub(crate) columns: Range<usize>,
}

impl<A, B> Chain<A, B> {
    /// Size of the first's region for a region of the second.
    fn middle(&self, extent: Extent) -> Extent {
        let span = |len: usize, axis: usize| (len - 1) * self.stride[axis] + self.effective[axis];
        Extent { channels: self.middle, rows: span(extent.rows, 0), columns: span(extent.columns, 1) }
    }
}

impl<T: Element, A: Stage<T>, B: Stage<T>> Stage<T> for Chain<A, B> {
    fn scratch_len(&self, extent: Extent) -> usize {
        let middle = self.middle(extent);
        let inner = self.first.scratch_len(middle).max(self.second.scratch_len(extent));
        middle.channels * middle.pixels() + inner
    }

    fn run(
        &self,
        input: ArrayView3<'_, T>,
        region: &Region,
        output: ArrayViewMut3<'_, T>,
        mut scratch: Scratch<'_, T>,
    ) {
        let Extent { channels, rows, columns } = self.middle(region.extent());
        let (held, mut scratch) = scratch.split(channels * rows * columns);
        let mut middle = ArrayViewMut3::from_shape((channels, rows, columns), held).expect("as long as its shape");
        let [top, left] = [region.rows.start * self.stride[0], region.columns.start * self.stride[1]];
        let first = Region {
            sample: region.sample,
            channels: 0..channels,
            rows: top..top + rows,
            columns: left..left + columns,
        };
        self.first.run(input, &first, middle.view_mut(), scratch.reborrow());
        let inside = |column: usize| column.saturating_sub(left).min(columns);
        let (start, end) = (inside(self.columns.start), inside(self.columns.end));
        middle.slice_mut(s![.., .., ..start]).fill(T::ZERO);
        middle.slice_mut(s![.., .., end..]).fill(T::ZERO);
        let second = Region { rows: 0..region.rows.len(), columns: 0..region.columns.len(), ..region.clone() };
        self.second.run(middle.view(), &second, output, scratch);
    }
}
