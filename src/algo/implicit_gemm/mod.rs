//! Convolution as a matrix product whose second factor is never there as a whole.
//!
//! Rows are output channels, columns are output pixels, and the sum runs over taps: `(channel, kh, kw)`.
//! The matrix of pixels under taps (im2col) is made a block at a time in working memory ([`image`]), used
//! by all output channels, and overwritten (Chellapilla, Puri and Simard, 2006; made implicit as in
//! Chetlur et al., 2014).

mod image;
mod output;
mod window;

use core::ops::Range;

use ndarray::{ArrayView3, ArrayViewMut3, Slice};

use crate::activation::Activation;
use crate::algo::{Extent, Region, Stage};
use crate::config::PaddingMode;
use crate::element::Element;
use crate::gemm::blocking::{packed_len, pixels_per_block};
use crate::gemm::{Gemm, PackedWeights, Panels};
use crate::simd::Isa;
use image::WindowPanels;
pub(crate) use output::{DirectRows, StagedRows};
pub(crate) use window::Window;

/// What a convolution keeps from call to call.
#[derive(Clone, Debug)]
pub(crate) struct Weights<T> {
    pub(crate) isa: Isa,
    pub(crate) packed: PackedWeights<T>,
    pub(crate) bias: Option<Vec<T>>,
}

impl<T: Element> Weights<T> {
    /// The panels of a group that hold the given rows, which begin at a panel's first.
    fn panels(&self, rows: &Range<usize>) -> Range<usize> {
        let height = self.packed.panel_rows();
        rows.start / height..rows.end.div_ceil(height)
    }

    fn bias_of(&self, channels: Range<usize>) -> Option<&[T]> {
        self.bias.as_ref().map(|bias| &bias[channels])
    }
}

/// The stage: a convolution of inputs of one size.
pub(crate) struct ImplicitGemm<'a, T> {
    pub(crate) weights: &'a Weights<T>,
    pub(crate) window: &'a Window,
    pub(crate) activation: &'a Activation<T>,
    /// Output pixel `(y, x)` has its window at `(y, x) * step + origin`.
    pub(crate) step: [usize; 2],
    pub(crate) origin: [isize; 2],
    pub(crate) mode: PaddingMode,
}

impl<T: Element> Stage<T> for ImplicitGemm<'_, T> {
    fn scratch_len(&self, extent: Extent) -> usize {
        scratch_len::<T>(self.weights, extent)
    }

    fn run(&self, input: ArrayView3<'_, T>, region: &Region, output: ArrayViewMut3<'_, T>, scratch: &mut [T]) {
        let in_channels = input.dim().0 / self.weights.packed.groups();
        let source = |group: usize| {
            let channels = group * in_channels..(group + 1) * in_channels;
            let image = input.clone().slice_axis_move(ndarray::Axis(0), Slice::from(channels));
            WindowPanels::new(self, image, region)
        };
        run_groups(self.weights, self.activation, region, output, scratch, source);
    }
}

/// Elements of working memory for a region: packed pixels, and rows to hold an output that cannot be written to in place.
pub(crate) fn scratch_len<T: Element>(weights: &Weights<T>, extent: Extent) -> usize {
    let pixels = extent.pixels().min(pixels_per_block::<T>());
    let rows = extent.channels.min(weights.packed.rows()).min(STAGED_ROWS);
    packed_len(weights.packed.taps(), pixels) + rows * pixels
}

/// Rows of an output that are held in working memory at a time; their panels share one packing of the pixels.
const STAGED_ROWS: usize = 128;

/// Computes a region group by group, with pixels from the group's `source`.
pub(crate) fn run_groups<T: Element, P: Panels<T>>(
    weights: &Weights<T>,
    activation: &Activation<T>,
    region: &Region,
    mut output: ArrayViewMut3<'_, T>,
    scratch: &mut [T],
    source: impl Fn(usize) -> P,
) {
    let per_group = weights.packed.rows();
    let pixels = region.extent().pixels();
    let (packed, staged) = scratch.split_at_mut(packed_len(weights.packed.taps(), pixels.min(pixels_per_block::<T>())));
    let mut first = region.channels.start;
    while first < region.channels.end {
        let group = first / per_group;
        let end = region.channels.end.min((group + 1) * per_group);
        let source = source(group);
        let (of_group, rest) = output.split_at(ndarray::Axis(0), end - first);
        output = rest;
        let mut job = Job { weights, activation, group, channels: first..end, source: &source, packed: &mut *packed };
        match DirectRows::new(of_group) {
            Ok(mut rows) => job.run_in_place(&mut rows),
            Err(view) => job.run_staged(view, staged),
        }
        first = end;
    }
}

/// Some channels of one group over one region.
struct Job<'a, T, P> {
    weights: &'a Weights<T>,
    activation: &'a Activation<T>,
    group: usize,
    channels: Range<usize>,
    source: &'a P,
    packed: &'a mut [T],
}

impl<'a, T: Element, P: Panels<T>> Job<'a, T, P> {
    fn gemm(&self, channels: Range<usize>) -> Gemm<'a, T, P> {
        let group_start = self.group * self.weights.packed.rows();
        Gemm {
            isa: self.weights.isa,
            weights: &self.weights.packed,
            group: self.group,
            panels: self.weights.panels(&(channels.start - group_start..channels.end - group_start)),
            source: self.source,
            bias: self.weights.bias_of(channels),
        }
    }

    fn run_in_place(&mut self, rows: &mut DirectRows<'_, T>) {
        let gemm = self.gemm(self.channels.clone());
        for pixels in blocks_of(rows.pixels(), pixels_per_block::<T>()) {
            rows.select(pixels.clone());
            gemm.run(pixels, rows, self.packed);
            rows.activate(self.activation, self.channels.start);
        }
    }

    /// For outputs whose pixels are not in one run of memory: computes rows in working memory and copies them out.
    fn run_staged(&mut self, mut output: ArrayViewMut3<'_, T>, staged: &mut [T]) {
        let height = self.weights.packed.panel_rows();
        let most = (STAGED_ROWS / height).max(1) * height;
        let (_, rows, columns) = output.dim();
        for chunk in blocks_of(self.channels.len(), most) {
            let channels = self.channels.start + chunk.start..self.channels.start + chunk.end;
            let gemm = self.gemm(channels.clone());
            for pixels in blocks_of(rows * columns, pixels_per_block::<T>()) {
                let mut held = StagedRows::new(staged, chunk.len(), pixels.len());
                gemm.run(pixels.clone(), &mut held, self.packed);
                held.activate(self.activation, channels.start);
                let place = output.slice_axis_mut(ndarray::Axis(0), Slice::from(chunk.clone()));
                held.write(place, pixels);
            }
        }
    }
}

/// `0..len` in consecutive pieces of at most `size`.
fn blocks_of(len: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(size).map(move |start| start..len.min(start + size))
}
