//! Rows of output for the matrix product: in place where memory allows, else in working memory.

use ndarray::{ArrayViewMut3, Axis, Slice};

use crate::activation::Activation;
use crate::algo::activate;
use crate::element::Element;
use crate::gemm::{MAX_PANEL_ROWS, Rows};
use crate::simd::Isa;

/// An output whose pixels, in each channel, are one run of memory.
pub(crate) struct DirectRows<'a, T> {
    /// Channels, 1, pixels.
    view: ArrayViewMut3<'a, T>,
}

impl<'a, T: Element> DirectRows<'a, T> {
    /// The view itself where it is not such an output.
    pub(crate) fn new(mut view: ArrayViewMut3<'a, T>) -> Result<Self, ArrayViewMut3<'a, T>> {
        if !view.merge_axes(Axis(1), Axis(2)) || (view.len_of(Axis(2)) > 1 && view.strides()[2] != 1) {
            return Err(view);
        }
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
        let mut rows: [&mut [T]; MAX_PANEL_ROWS] = core::array::from_fn(|_| Default::default());
        for (place, row) in rows.iter_mut().zip(chosen.outer_iter_mut()) {
            *place = row.into_slice().expect("checked by new");
        }
        with(&mut rows[..count]);
    }
}

/// Rows in working memory.
pub(crate) struct StagedRows<'a, T> {
    rows: &'a mut [T],
    pixels: usize,
}

impl<'a, T: Element> StagedRows<'a, T> {
    pub(crate) fn new(memory: &'a mut [T], rows: usize, pixels: usize) -> Self {
        StagedRows { rows: &mut memory[..rows * pixels], pixels }
    }

    /// Applies an activation; row 0 is channel `first`.
    pub(crate) fn activate(&mut self, isa: Isa, activation: &Activation<T>, first: usize) {
        activation.apply_to(isa, self.rows, self.pixels, first);
    }

    /// Copies the rows to an output with as many channels and pixels.
    pub(crate) fn write(&self, mut output: ArrayViewMut3<'_, T>) {
        let columns = output.len_of(Axis(2));
        for (from, mut to) in self.rows.chunks_exact(self.pixels).zip(output.outer_iter_mut()) {
            for (from, mut to) in from.chunks_exact(columns).zip(to.outer_iter_mut()) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
        }
    }
}

impl<T: Element> Rows<T> for StagedRows<'_, T> {
    fn with_rows(&mut self, first: usize, count: usize, with: impl FnOnce(&mut [&mut [T]])) {
        let mut rows: [&mut [T]; MAX_PANEL_ROWS] = core::array::from_fn(|_| Default::default());
        let pixels = self.rows[first * self.pixels..].chunks_exact_mut(self.pixels);
        rows.iter_mut().zip(pixels).for_each(|(place, row)| *place = row);
        with(&mut rows[..count]);
    }
}
