//! Convolution as a matrix product whose second factor is never there as a whole.
//!
//! Rows are output channels, columns are output pixels, and the sum runs over taps: `(channel, kh, kw)`.
//! The matrix of pixels under taps (im2col) is made a block at a time in working memory ([`image`](super::image)), used
//! by all output channels, and overwritten (Chellapilla, Puri and Simard, 2006; made implicit as in
//! Chetlur et al., 2014).

use core::ops::Range;

use ndarray::{ArrayView3, ArrayViewMut3, Axis, Slice};

use crate::activation::Activation;
use crate::algo::image::{Sampling, Wanted, WindowSource};
use crate::algo::rows::{DirectRows, PassingRows, StagedRows};
use crate::algo::woven::Woven;
use crate::algo::{Extent, Region, Stage, by_group, may_skip_zeros};
use crate::element::Element;
use crate::gemm::blocking::{Lanes, SPARE, TileShape};
use crate::gemm::{Gemm, Memory, PackedWeights, Source, WeightRows};
use crate::scratch::Scratch;
use crate::simd::Isa;

/// What a convolution keeps from call to call.
#[derive(Clone, Debug)]
pub(crate) struct Weights<T> {
    pub(crate) isa: Isa,
    pub(crate) packed: PackedWeights<T>,
    pub(crate) bias: Option<Vec<T>>,
}

impl<T: Element> Weights<T> {
    /// See [`may_skip_zeros`].
    pub(crate) fn may_skip_zeros(&self) -> bool {
        may_skip_zeros(self.packed.finite(), self.bias.as_deref())
    }

    fn bias_of(&self, channels: Range<usize>) -> Option<&[T]> {
        self.bias.as_ref().map(|bias| &bias[channels])
    }
}

/// The stage: a convolution of inputs of one size.
#[derive(Clone, Copy)]
pub(crate) struct ImplicitGemm<'a, T> {
    pub(crate) product: Product<'a, T>,
    pub(crate) sampling: Sampling<'a>,
    /// Whether taps on zero padding may be left out: see [`may_skip_zeros`].
    pub(crate) skip_zeros: bool,
}

impl<T: Element> Stage<T> for ImplicitGemm<'_, T> {
    fn scratch_len(&self, extent: Extent) -> usize {
        let channels = self.sampling.window.channels_per_block();
        self.product.scratch_len(self.sampling.packed_len(channels, self.wanted().pixel_step, extent), extent)
    }

    fn run(&self, input: ArrayView3<'_, T>, region: &Region, output: ArrayViewMut3<'_, T>, scratch: Scratch<'_, T>) {
        let in_channels = self.sampling.window.in_channels();
        let source = |group: usize, region: &Region| {
            // With what is behind it, which makes room to read a little further.
            let image = input.slice_axis_move(Axis(0), Slice::from(group * in_channels..));
            WindowSource::new(self.sampling, image, region, self.wanted())
        };
        self.product.run(region, output, scratch, source);
    }
}

impl<T: Element> ImplicitGemm<'_, T> {
    fn wanted(&self) -> Wanted {
        let lanes = self.product.lanes;
        let shape = TileShape::of::<T>(self.product.weights.isa);
        let per_group = self.product.weights.packed.panels().total;
        Wanted {
            pixel_step: lanes.pixel_step(self.sampling.step[1]),
            vector: if lanes == Lanes::Pixels { shape.lanes } else { 1 },
            reads_partly: shape.reads_partly,
            skip_zeros: self.skip_zeros,
            clipped_run: shape.clipped_run(lanes, per_group),
            least_alike: (lanes == Lanes::Channels).then(|| shape.least_alike(per_group)),
            channels: self.sampling.window.in_channels(),
        }
    }
}

/// Rows of an output that are held in working memory at a time with pixels as lanes; their panels share one packing of the pixels.
const STAGED_ROWS: usize = 128;

/// Weights times a matrix of pixels, wherever those come from.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a, T> {
    pub(crate) weights: &'a Weights<T>,
    pub(crate) activation: &'a Activation<T>,
    pub(crate) lanes: Lanes,
    /// A pixel's outputs are its channels, one after the other.
    pub(crate) woven: Woven<'a>,
}

impl<'a, T: Element> Product<'a, T> {
    /// Elements of working memory for a region whose pixels take `packed` elements in each block.
    pub(crate) fn scratch_len(&self, packed: usize, extent: Extent) -> usize {
        let channels = extent.channels.min(self.weights.packed.panels().total);
        let pixels = extent.pixels();
        packed + self.gathered_len(pixels) + self.sums_len(channels, pixels) + self.staged_len(channels, pixels)
    }

    /// Elements that hold rows of output, in whole vectors.
    fn staged_len(&self, channels: usize, pixels: usize) -> usize {
        (channels.min(self.staged_rows()) * pixels).next_multiple_of(SPARE)
    }

    /// Rows of output that are held at a time, in whole panels and whole channels: as few as can be if they are asked for once.
    fn staged_rows(&self) -> usize {
        let whole = self.woven.together(self.weights.packed.panels().size);
        if self.lanes.are_pixels() { (STAGED_ROWS / whole).max(1) * whole } else { whole }
    }

    fn gathered_len(&self, pixels: usize) -> usize {
        let packed = &self.weights.packed;
        let shape = TileShape::of::<T>(self.weights.isa);
        if self.lanes.gathered() {
            shape.gathered_len(self.lanes, packed.panels().total, pixels, packed.most_taps())
        } else {
            0
        }
    }

    fn sums_len(&self, channels: usize, pixels: usize) -> usize {
        let shape = TileShape::of::<T>(self.weights.isa);
        shape.sums_len(self.lanes, channels, pixels) + shape.partial_len(self.lanes, pixels)
    }

    /// Computes a region, group by group, from the `source` of a group's pixels.
    pub(crate) fn run<P: Source<T>>(
        &self,
        region: &Region,
        output: ArrayViewMut3<'_, T>,
        mut scratch: Scratch<'_, T>,
        source: impl Fn(usize, &Region) -> P,
    ) {
        let per_group = self.weights.packed.panels().total;
        let mut rest = output;
        for (group, channels) in by_group(region.channels.clone(), per_group) {
            let (output, others) = rest.split_at(Axis(0), channels.len() / self.woven.count());
            rest = others;
            let region = Region { channels, ..region.clone() };
            let source = source(group, &region);
            let size = [region.rows.len(), region.columns.len()];
            let Region { channels, far, .. } = region;
            let job = Job { product: *self, group, channels, size, far, source: &source };
            let direct = if self.woven == Woven::NOT { DirectRows::new(output) } else { Err(output) };
            match direct {
                Ok(rows) => job.run_in_place(rows, scratch.reborrow()),
                Err(output) => job.run_staged(output, scratch.reborrow()),
            }
        }
    }
}

/// Some channels of one group, over pixels that are worked on at a time.
struct Job<'a, T, P> {
    product: Product<'a, T>,
    group: usize,
    channels: Range<usize>,
    /// Rows and columns of pixels.
    size: [usize; 2],
    /// Whether caches do not hold the output.
    far: bool,
    source: &'a P,
}

impl<'a, T: Element, P: Source<T>> Job<'a, T, P> {
    /// The first channel of the group.
    fn group_start(&self) -> usize {
        self.group * self.product.weights.packed.panels().total
    }

    /// The panels of the group that hold the job's channels, which begin and end with panels.
    fn panels(&self) -> Range<usize> {
        let start = self.group_start();
        self.product.weights.packed.panels().within(self.channels.start - start..self.channels.end - start)
    }

    fn gemm(&self, panels: Range<usize>, channels: Range<usize>, far: bool) -> Gemm<'a, T, P> {
        let Product { weights, activation, lanes, .. } = self.product;
        Gemm {
            isa: weights.isa,
            lanes,
            rows: WeightRows { weights: &weights.packed, group: self.group, panels, bias: weights.bias_of(channels) },
            source: self.source,
            limits: activation.limits(),
            far,
        }
    }

    fn run_in_place(&self, mut rows: DirectRows<'_, T>, scratch: Scratch<'_, T>) {
        let memory = self.memory(self.channels.len(), rows.pixels(), scratch);
        self.gemm(self.panels(), self.channels.clone(), self.far).run(&mut rows, memory);
        rows.activate(self.product.weights.isa, self.product.activation.rest(), self.channels.start);
    }

    /// For outputs whose pixels are not in one run of memory: computes rows in working memory and copies them out.
    fn run_staged(&self, output: ArrayViewMut3<'_, T>, mut scratch: Scratch<'_, T>) {
        let Product { weights, activation, lanes, woven } = self.product;
        let activation = activation.rest();
        let (panels, size) = (weights.packed.panels(), self.size);
        let pixels = size[0] * size[1];
        let (memory, mut scratch) = scratch.split(self.product.staged_len(self.channels.len(), pixels));
        if !lanes.are_pixels() {
            let first_channel = self.channels.start;
            let staged = StagedRows { rows: memory, size, woven, output, first_channel, isa: weights.isa, activation };
            let mut rows = PassingRows { staged, held: self.product.staged_rows() };
            let memory = self.memory(self.channels.len(), pixels, scratch);
            return self.gemm(self.panels(), self.channels.clone(), false).run(&mut rows, memory);
        }
        let most = self.product.staged_rows() / panels.size;
        let Range { start, end } = self.panels();
        let mut rest = output;
        for first in (start..end).step_by(most) {
            let chunk = first..end.min(first + most);
            let rows = panels.range(chunk.clone());
            let channels = self.group_start() + rows.start..self.group_start() + rows.end;
            let (output, others) = rest.split_at(Axis(0), rows.len() / woven.count());
            rest = others;
            let first_channel = channels.start;
            let mut held =
                StagedRows { rows: &mut *memory, size, woven, output, first_channel, isa: weights.isa, activation };
            let memory = self.memory(rows.len(), pixels, scratch.reborrow());
            self.gemm(chunk, channels, false).run(&mut held, memory);
            held.write(0, rows.len());
        }
    }

    /// Working memory for so many channels and pixels.
    fn memory<'m>(&self, channels: usize, pixels: usize, scratch: Scratch<'m, T>) -> Memory<'m, T> {
        let (sums, rest) = scratch.elements.split_at_mut(self.product.sums_len(channels, pixels));
        let (gathered, packed) = rest.split_at_mut(self.product.gathered_len(pixels));
        Memory { packed, gathered, sums, layouts: scratch.layouts }
    }
}
