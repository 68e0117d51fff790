//! Rows of output for the matrix product: in place where memory allows, else in working memory.

use core::ops::Range;

use ndarray::{ArrayViewMut3, Axis, Slice, s};

use crate::activation::Activation;
use crate::element::Element;
use crate::gemm::{MAX_PANEL_ROWS, Rows};

/// An output whose pixels, in each channel, are one run of memory.
pub(crate) struct DirectRows<'a, T> {
    /// Channels, 1, pixels.
    view: ArrayViewMut3<'a, T>,
    pixels: Range<usize>,
}

impl<'a, T: Element> DirectRows<'a, T> {
    /// The view itself where it is not such an output.
    pub(crate) fn new(mut view: ArrayViewMut3<'a, T>) -> Result<Self, ArrayViewMut3<'a, T>> {
        if !view.merge_axes(Axis(1), Axis(2)) || (view.len_of(Axis(2)) > 1 && view.strides()[2] != 1) {
            return Err(view);
        }
        let pixels = 0..view.len_of(Axis(2));
        Ok(DirectRows { view, pixels })
    }

    pub(crate) fn pixels(&self) -> usize {
        self.view.len_of(Axis(2))
    }

    /// Chooses the pixels that rows consist of from now on.
    pub(crate) fn select(&mut self, pixels: Range<usize>) {
        self.pixels = pixels;
    }

    /// Applies an activation to the chosen pixels; row 0 is channel `first`.
    pub(crate) fn activate(&mut self, activation: &Activation<T>, first: usize) {
        if *activation == Activation::None {
            return;
        }
        let mut chosen = self.view.slice_mut(s![.., 0, self.pixels.clone()]);
        for (row, mut pixels) in chosen.outer_iter_mut().enumerate() {
            activation.apply_to(pixels.as_slice_mut().expect("checked by new"), first + row);
        }
    }
}

impl<T: Element> Rows<T> for DirectRows<'_, T> {
    fn with_rows(&mut self, first: usize, count: usize, with: impl FnOnce(&mut [&mut [T]])) {
        let mut chosen = self.view.slice_axis_mut(Axis(0), Slice::from(first..first + count));
        let pixels = self.pixels.clone();
        let mut rows =
            chosen.outer_iter_mut().map(|row| &mut row.into_slice().expect("checked by new")[pixels.clone()]);
        let mut rows: [&mut [T]; MAX_PANEL_ROWS] = core::array::from_fn(|_| rows.next().unwrap_or_default());
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
    pub(crate) fn activate(&mut self, activation: &Activation<T>, first: usize) {
        for (row, pixels) in self.rows.chunks_exact_mut(self.pixels).enumerate() {
            activation.apply_to(pixels, first + row);
        }
    }

    /// Copies the rows to the given pixels, counted along rows, of an output with as many channels.
    pub(crate) fn write(&self, mut output: ArrayViewMut3<'_, T>, pixels: Range<usize>) {
        let columns = output.len_of(Axis(2));
        for (from, mut to) in self.rows.chunks_exact(self.pixels).zip(output.outer_iter_mut()) {
            let (mut from, mut at) = (from, pixels.start);
            while !from.is_empty() {
                let (row, column) = (at / columns, at % columns);
                let (run, rest) = from.split_at(from.len().min(columns - column));
                let mut place = to.slice_mut(s![row, column..column + run.len()]);
                place.iter_mut().zip(run).for_each(|(to, from)| *to = *from);
                (from, at) = (rest, at + run.len());
            }
        }
    }
}

impl<T: Element> Rows<T> for StagedRows<'_, T> {
    fn with_rows(&mut self, first: usize, count: usize, with: impl FnOnce(&mut [&mut [T]])) {
        let mut rows = self.rows[first * self.pixels..].chunks_exact_mut(self.pixels).take(count);
        let mut rows: [&mut [T]; MAX_PANEL_ROWS] = core::array::from_fn(|_| rows.next().unwrap_or_default());
        with(&mut rows[..count]);
    }
}
