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

use ndarray::{ArrayView3, ArrayViewMut3, Axis, Slice};

use crate::activation::Activation;
use crate::algo::{Extent, Region, Stage, by_group, chunks};
use crate::config::PaddingMode;
use crate::element::Element;
use crate::gemm::blocking::{max_pixels, packed_len};
use crate::gemm::{Gemm, PackedWeights, Source};
use crate::simd::Isa;
use image::WindowSource;
use output::{DirectRows, StagedRows};
pub(crate) use window::Window;

/// What a convolution keeps from call to call.
#[derive(Clone, Debug)]
pub(crate) struct Weights<T> {
    pub(crate) isa: Isa,
    pub(crate) packed: PackedWeights<T>,
    pub(crate) bias: Option<Vec<T>>,
}

impl<T: Element> Weights<T> {
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
        let source = |group: usize, region: &Region| {
            let channels = group * in_channels..(group + 1) * in_channels;
            WindowSource::new(self, input.slice_axis_move(Axis(0), Slice::from(channels)), region)
        };
        run_region(self.weights, self.activation, region, output, scratch, source);
    }
}

/// Elements of working memory for a region: packed pixels, and rows to hold an output that cannot be written to in place.
pub(crate) fn scratch_len<T: Element>(weights: &Weights<T>, extent: Extent) -> usize {
    let pixels = extent.pixels().min(max_pixels::<T>());
    let rows = extent.channels.min(weights.packed.panels().total).min(STAGED_ROWS);
    packed_len(weights.packed.taps(), pixels) + rows * pixels
}

/// Rows of an output that are held in working memory at a time; their panels share one packing of the pixels.
const STAGED_ROWS: usize = 128;

/// Computes a region, group by group, from the `source` of a group's pixels.
pub(crate) fn run_region<T: Element, P: Source<T>>(
    weights: &Weights<T>,
    activation: &Activation<T>,
    region: &Region,
    output: ArrayViewMut3<'_, T>,
    scratch: &mut [T],
    source: impl Fn(usize, &Region) -> P,
) {
    let pixels = region.extent().pixels().min(max_pixels::<T>());
    let (packed, staged) = scratch.split_at_mut(packed_len(weights.packed.taps(), pixels));
    let size = piece_size::<T>(region.extent());
    for_each_piece(region, output, size, weights.packed.panels().total, |group, region, output| {
        let source = source(group, &region);
        let mut job =
            Job { weights, activation, group, channels: region.channels, source: &source, packed: &mut *packed };
        match DirectRows::new(output) {
            Ok(mut rows) => job.run_in_place(&mut rows),
            Err(view) => job.run_staged(view, staged),
        }
    });
}

/// Rows and columns of the pieces that a region is computed in.
fn piece_size<T>(extent: Extent) -> [usize; 2] {
    let columns = extent.columns.min(max_pixels::<T>());
    [(max_pixels::<T>() / columns).clamp(1, extent.rows), columns]
}

/// Calls `run` on pieces of a region, each within a group.
fn for_each_piece<T>(
    region: &Region,
    output: ArrayViewMut3<'_, T>,
    [rows, columns]: [usize; 2],
    per_group: usize,
    mut run: impl FnMut(usize, Region, ArrayViewMut3<'_, T>),
) {
    let mut rest = output;
    for (group, channels) in by_group(region.channels.clone(), per_group) {
        let (of_group, others) = rest.split_at(Axis(0), channels.len());
        rest = others;
        for (rows, output) in chunks(of_group, 1, rows) {
            for (columns, output) in chunks(output, 2, columns) {
                let within = |piece: &Range<usize>, start: usize| start + piece.start..start + piece.end;
                let piece = Region {
                    sample: region.sample,
                    channels: channels.clone(),
                    rows: within(&rows, region.rows.start),
                    columns: within(&columns, region.columns.start),
                };
                run(group, piece, output);
            }
        }
    }
}

/// Some channels of one group, over pixels that are worked on at a time.
struct Job<'a, T, P> {
    weights: &'a Weights<T>,
    activation: &'a Activation<T>,
    group: usize,
    channels: Range<usize>,
    source: &'a P,
    packed: &'a mut [T],
}

impl<'a, T: Element, P: Source<T>> Job<'a, T, P> {
    /// The first channel of the group.
    fn group_start(&self) -> usize {
        self.group * self.weights.packed.panels().total
    }

    /// The panels of the group that hold the job's channels, which begin and end with panels.
    fn panels(&self) -> Range<usize> {
        let (panels, start) = (self.weights.packed.panels(), self.group_start());
        panels.starting_at(self.channels.start - start)..panels.starting_at(self.channels.end - start)
    }

    fn gemm(&self, panels: Range<usize>, channels: Range<usize>) -> Gemm<'a, T, P> {
        Gemm {
            isa: self.weights.isa,
            weights: &self.weights.packed,
            group: self.group,
            panels,
            source: self.source,
            bias: self.weights.bias_of(channels),
        }
    }

    fn run_in_place(&mut self, rows: &mut DirectRows<'_, T>) {
        self.gemm(self.panels(), self.channels.clone()).run(rows, self.packed);
        rows.activate(self.activation, self.channels.start);
    }

    /// For outputs whose pixels are not in one run of memory: computes rows in working memory and copies them out.
    fn run_staged(&mut self, output: ArrayViewMut3<'_, T>, staged: &mut [T]) {
        let panels = self.weights.packed.panels();
        let most = (STAGED_ROWS / panels.most()).max(1);
        let pixels = output.dim().1 * output.dim().2;
        let Range { start, end } = self.panels();
        let mut rest = output;
        for first in (start..end).step_by(most) {
            let chunk = first..end.min(first + most);
            let rows = panels.range(chunk.clone());
            let channels = self.group_start() + rows.start..self.group_start() + rows.end;
            let (output, others) = rest.split_at(Axis(0), rows.len());
            rest = others;
            let mut held = StagedRows::new(staged, rows.len(), pixels);
            self.gemm(chunk, channels.clone()).run(&mut held, self.packed);
            held.activate(self.activation, channels.start);
            held.write(output);
        }
    }
}
