//! Rows of output for the matrix product: in place where memory allows, else in working memory.

use ndarray::{ArrayViewMut3, Axis, Slice};

use crate::activation::Activation;
use crate::algo::activate;
use crate::algo::woven::{Weave, Woven};
use crate::element::Element;
use crate::gemm::{MAX_ROWS, Rows};
use crate::kernels::tile::before_lines;
use crate::simd::Isa;

/// An output whose pixels, in each channel, are one run of memory.
pub(crate) struct DirectRows<'a, T> {
    /// Channels, 1, pixels.
    view: ArrayViewMut3<'a, T>,
}

impl<'a, T: Element> DirectRows<'a, T> {
    /// The view itself where it is not such an output.
    pub(crate) fn new(mut view: ArrayViewMut3<'a, T>) -> Result<Self, ArrayViewMut3<'a, T>> {
        let mut merged = view.view();
        if !merged.merge_axes(Axis(1), Axis(2)) || (merged.len_of(Axis(2)) > 1 && merged.strides()[2] != 1) {
            return Err(view);
        }
        view.merge_axes(Axis(1), Axis(2));
        Ok(DirectRows { view })
    }

    pub(crate) fn pixels(&self) -> usize {
        self.view.len_of(Axis(2))
    }

    /// Applies an activation; row 0 is channel `first`.
    pub(crate) fn activate(self, isa: Isa, activation: &Activation<T>, first: usize) {
        activate(isa, activation, self.view, first);
    }
}

impl<T: Element> Rows<T> for DirectRows<'_, T> {
    fn with_rows(&mut self, first: usize, count: usize, with: impl FnOnce(&mut [&mut [T]])) {
        let mut chosen = self.view.slice_axis_mut(Axis(0), Slice::from(first..first + count));
        let mut rows: [&mut [T]; MAX_ROWS] = core::array::from_fn(|_| Default::default());
        for (place, row) in rows.iter_mut().zip(chosen.outer_iter_mut()) {
            *place = row.into_slice().expect("checked by new");
        }
        with(&mut rows[..count]);
    }

    fn before_line(&mut self) -> Option<usize> {
        let count = self.view.len_of(Axis(0)).min(2);
        let mut before = None;
        self.with_rows(0, count, |rows| before = before_lines(rows));
        before
    }

    fn column(&mut self, first: usize, count: usize) -> Option<&mut [T]> {
        if self.pixels() > 1 {
            return None;
        }
        self.view.slice_axis_mut(Axis(0), Slice::from(first..first + count)).into_slice()
    }
}

/// Rows in working memory, written to an output when they are asked for the last time.
pub(crate) struct StagedRows<'m, 'o, 'a, T> {
    /// One behind the other.
    pub(crate) rows: &'m mut [T],
    /// Rows and columns of pixels in each.
    pub(crate) size: [usize; 2],
    /// For each channel of the output there are rows for all outputs of a pixel.
    pub(crate) woven: Woven<'a>,
    pub(crate) output: ArrayViewMut3<'o, T>,
    /// The channel of row 0.
    pub(crate) first_channel: usize,
    pub(crate) isa: Isa,
    pub(crate) activation: &'a Activation<T>,
}

impl<T: Element> StagedRows<'_, '_, '_, T> {
    /// Applies the activation to the first rows of the memory and copies them to the output's row `first` and those that follow. They are those of
    /// whole channels.
    pub(crate) fn write(&mut self, first: usize, count: usize) {
        let pixels = self.size[0] * self.size[1];
        let rows = &mut self.rows[..count * pixels];
        self.activation.apply_to(self.isa, rows, pixels, self.first_channel + first);
        let (each, [_, wide]) = (self.woven.count(), self.woven.phases);
        let channels = first / each..(first + count) / each;
        let output = self.output.slice_axis_mut(Axis(0), Slice::from(channels));
        let pitches = [each * pixels, wide * pixels, pixels];
        T::launch(self.isa, Weave { rows, size: self.size, woven: self.woven, pitches, output, every: [0, 1] });
    }

    /// Some rows of the memory.
    fn take(&mut self, first: usize, count: usize, with: impl FnOnce(&mut [&mut [T]])) {
        let mut rows: [&mut [T]; MAX_ROWS] = core::array::from_fn(|_| Default::default());
        let pixels = self.size[0] * self.size[1];
        let pixels = self.rows[first * pixels..].chunks_exact_mut(pixels);
        rows.iter_mut().zip(pixels).for_each(|(place, row)| *place = row);
        with(&mut rows[..count]);
    }
}

/// All rows are kept until they are written.
impl<T: Element> Rows<T> for StagedRows<'_, '_, '_, T> {
    fn with_rows(&mut self, first: usize, count: usize, with: impl FnOnce(&mut [&mut [T]])) {
        self.take(first, count, with);
    }
}

/// Rows that are asked for once, in order: some share the memory, and are written when the last of them is there.
pub(crate) struct PassingRows<'m, 'o, 'a, T> {
    pub(crate) staged: StagedRows<'m, 'o, 'a, T>,
    /// How many: see [`Woven::together`]. None is asked for together with some of the next ones.
    pub(crate) held: usize,
}

impl<T: Element> Rows<T> for PassingRows<'_, '_, '_, T> {
    fn with_rows(&mut self, first: usize, count: usize, with: impl FnOnce(&mut [&mut [T]])) {
        let (before, staged) = (first % self.held, &mut self.staged);
        staged.take(before, count, with);
        let all = staged.output.len_of(Axis(0)) * staged.woven.count();
        if before + count == self.held || first + count == all {
            staged.write(first - before, before + count);
        }
    }
}
