//! Direct convolution where few input channels are summed over: depthwise layers and image filters.
//!
//! Such work is bound by memory. Kernels of some sizes read the image as it is ([`image_tile`](crate::kernels::image_tile)). For any other, what a region's
//! windows see of a channel is copied into the first-level cache, padding included, or read where it lies if no pixel sees padding, or, in wide images,
//! for those pixels that do not; then every output channel of the group is made of it ([`planes`](crate::kernels::planes)).

use core::ops::Range;

use ndarray::{ArrayView3, ArrayViewMut3, Axis, Slice};

use crate::activation::Activation;
use crate::algo::image::{BareImage, Sampling, Wanted, WindowSource};
use crate::algo::window::Window;
use crate::algo::{Extent, Region, Stage};
use crate::element::Element;
use crate::gemm::blocking::TileShape;
use crate::gemm::{Layouts, Source};
use crate::kernels::image_tile::ImagePlanes;
use crate::kernels::planes::{Order, Plane};
use crate::scratch::Scratch;
use crate::simd::places::Places;
use crate::simd::{Isa, Kernel, Simd};

/// Bytes of packed channels that are worked on at a time, where one is not more: a part of a second-level cache. Measured with `cargo bench --bench layers`, 64
/// channels of 56x56 with AVX2: with a stride 1.05 to 1.2 times as fast as half of a first-level cache, since strips are looked for less often; else as fast.
const PACKED_BYTES: usize = 128 << 10;

/// Bytes of a channel up to which all its channels of output read a copy, padding included and with a margin of some elements, so that not each of them makes
/// copies of what lies at an end of the memory. Measured with `cargo bench --bench layers`, 1 to 32 channels with AVX2: 3 times as fast at 28x28, 1.25 times at 100x100, 0.8
/// times at 300x300.
const COPIED_BYTES: usize = 64 << 10;
const MARGIN: usize = 128;

/// Bytes of output that are made before an activation is applied to them.
const ACTIVATED_BYTES: usize = 32 << 10;

/// Columns from which on what sees no padding is read where it lies and only what is around it is copied; with one column of taps, of which copies serve
/// more rows, this many times as many. Measured with `cargo bench --bench layers` on images in and beyond the caches: 1.0 to 1.3, and 1.1 to 1.9 times as
/// fast; half as fast with 56 columns.
const FRAMED: usize = 320;
const OF_COLUMN: usize = 4;

/// Columns from which on images with 7x7 taps are left to the kernel for any, where registers do not hold the sums of two vectors of seven rows. Measured with
/// `cargo bench --bench layers`, AVX2: 1.04 times as fast with 112 columns, 1.2 to 1.3 from 240 on, 0.9 with 56.
const LARGE: usize = 96;

/// Columns from which on rows of taps of known size, and columns of 7 taps, are left to the kernel for any too: it works on one row after the other, or loads
/// pixels once for four of them. Measured with `cargo bench --bench layers`: 1.0 to 1.2 times as fast with 512 columns, 1.1 to 1.5 with more.
const LONG_ROW: usize = 512;

/// What such a convolution keeps from call to call.
#[derive(Clone, Debug)]
pub(crate) struct Weights<T> {
    pub(crate) isa: Isa,
    pub(crate) window: Window,
    /// Input and output channels of a group.
    pub(crate) group: [usize; 2],
    /// `[out][in / groups][kh][kw]`.
    pub(crate) taps: Vec<T>,
    pub(crate) bias: Option<Vec<T>>,
    /// Whether leaving out a tap on zero padding changes no bit of the sums.
    pub(crate) skip_zeros: bool,
}

/// The stage.
pub(crate) struct Depthwise<'a, T> {
    pub(crate) weights: &'a Weights<T>,
    pub(crate) activation: &'a Activation<T>,
    pub(crate) sampling: Sampling<'a>,
}

impl<T: Element> Stage<T> for Depthwise<'_, T> {
    fn scratch_len(&self, extent: Extent) -> usize {
        let packed = self.sampling.packed_len(self.weights.group[0], 1, extent);
        packed.max(PACKED_BYTES / size_of::<T>()) + MARGIN + extent.pixels()
    }

    fn run(
        &self,
        input: ArrayView3<'_, T>,
        region: &Region,
        mut output: ArrayViewMut3<'_, T>,
        scratch: Scratch<'_, T>,
    ) {
        let [ins, outs] = self.weights.group;
        let groups = region.channels.start / outs..region.channels.end.div_ceil(outs);
        let image = input.slice_axis_move(Axis(0), Slice::from(groups.start * ins..groups.end * ins));
        let size = [region.rows.len(), region.columns.len()];
        let (staged, packed) = scratch.elements.split_at_mut(size[0] * size[1]);
        let way = self.way(image, region, scratch.layouts);
        let mut job = Job { stage: self, image, region, way, packed };
        if let Some(output) = output.as_slice_mut() {
            let together = match (&job.way, self.activation.rest()) {
                (Way::Whole(part), _) => job.packed.len() / (ins * part.source.distance()),
                (Way::Framed { .. }, _) => 1,
                // What is not packed need not stay in cache, but for an activation.
                (Way::Known(_), Activation::None) => usize::MAX,
                (Way::Known(_), _) => ACTIVATED_BYTES / size_of::<T>() / (outs * size[0] * size[1]),
            };
            let per_batch = together.clamp(1, groups.len()) * outs;
            let pixels = size[0] * size[1];
            for (first, output) in
                (region.channels.start..).step_by(per_batch).zip(output.chunks_mut(per_batch * pixels))
            {
                job.run(first..first + output.len() / pixels, output);
            }
            return;
        }
        for (channel, mut output) in region.channels.clone().zip(output.outer_iter_mut()) {
            match output.as_slice_mut() {
                Some(output) => job.run(channel..channel + 1, output),
                None => {
                    job.run(channel..channel + 1, staged);
                    let rows = staged.chunks_exact(size[1]).zip(output.outer_iter_mut());
                    rows.for_each(|(from, mut to)| to.iter_mut().zip(from).for_each(|(to, from)| *to = *from));
                }
            }
        }
    }
}

/// How a region is computed.
enum Way<'s, T> {
    /// From the image as it is, with a kernel of known size.
    Known(BareImage<'s, T>),
    /// All of it in one way: packed, or read where it lies if no pixel sees padding.
    Whole(Part<'s, 's, T>),
    /// In parts of which the first, by far the largest, sees no padding and is read where it lies. The others are above, below, to the left and to the right.
    Framed { parts: [Region; 5], layouts: &'s mut Layouts },
}

/// A part of a region, for any kernel.
struct Part<'s, 'i, T> {
    source: WindowSource<'i, T>,
    /// Where the first pixel under each tap of a group lies.
    places: Places<'s>,
    order: Order,
    /// The rows and columns of the region before it, and its own.
    place: [usize; 2],
    size: [usize; 2],
}

impl<'s, 'i, T: Element> Part<'s, 'i, T> {
    /// Of a region with its first pixel there.
    fn new(
        source: WindowSource<'i, T>,
        [part, whole]: [&Region; 2],
        weights: &Weights<T>,
        layouts: &'s mut Layouts,
    ) -> Self {
        let offsets = layouts.offsets_of(&source, weights.group[0]);
        let order = Order::new(offsets, weights.window.kernel(), source.pitch());
        let places = Places::new(offsets);
        let place = [part.rows.start - whole.rows.start, part.columns.start - whole.columns.start];
        Part { source, places, order, place, size: [part.rows.len(), part.columns.len()] }
    }
}

impl<T: Element> Depthwise<'_, T> {
    fn way<'s>(&'s self, image: ArrayView3<'s, T>, region: &Region, layouts: &'s mut Layouts) -> Way<'s, T> {
        let source = self.source(image, region);
        if let Some(bare) = self.bare(&source, region.columns.len()) {
            return Way::Known(bare);
        }
        let parts = if source.in_place(0).is_some() { None } else { self.frame(image, region, &source) };
        match parts {
            Some(parts) => Way::Framed { parts, layouts },
            None => Way::Whole(Part::new(source, [region; 2], self.weights, layouts)),
        }
    }

    /// What a region, or a part of one, sees of the image of its channels.
    fn source<'s>(&'s self, image: ArrayView3<'s, T>, region: &Region) -> WindowSource<'s, T> {
        let wanted = Wanted {
            pixel_step: 1,
            vector: 1,
            reads_partly: false,
            skip_zeros: false,
            clipped_run: None,
            least_alike: None,
            channels: image.len_of(Axis(0)),
        };
        WindowSource::new(self.sampling, image, region, wanted)
    }

    /// The image, where there is a kernel that reads it as it is.
    fn bare<'s>(&self, source: &WindowSource<'s, T>, columns: usize) -> Option<BareImage<'s, T>> {
        let Weights { window, group, isa, skip_zeros, .. } = self.weights;
        let shape = TileShape::of::<T>(*isa);
        let long = columns >= LONG_ROW && (window.rows.len() == 1 || window.kernel() == [7, 1]);
        let large = columns >= LARGE && window.kernel() == [7, 7] && !shape.many_registers();
        let known = is_known(window.kernel(), self.sampling.step) && !long && !large;
        let dense = [window.row_step(), window.column_step()] == [1, 1];
        if known && dense && group[0] == 1 && shape.channel_tiles { source.bare(*skip_zeros) } else { None }
    }

    /// The parts of a region: see [`Way::Framed`]. None where copying all is better.
    fn frame(&self, image: ArrayView3<'_, T>, region: &Region, source: &WindowSource<'_, T>) -> Option<[Region; 5]> {
        let Region { rows, columns, .. } = region;
        let least = if self.weights.window.columns.len() == 1 { OF_COLUMN * FRAMED } else { FRAMED };
        if columns.len() < least {
            return None;
        }
        let lanes = TileShape::of::<T>(self.weights.isa).lanes;
        let [inner_rows, unpadded] = [0, 1].map(|axis| source.unpadded(axis));
        let start = unpadded.start.next_multiple_of(lanes);
        let inner = start..start + unpadded.end.saturating_sub(start) / lanes * lanes;
        let part = |of_rows: Range<usize>, of_columns: Range<usize>| Region {
            rows: rows.start + of_rows.start..rows.start + of_rows.end,
            columns: columns.start + of_columns.start..columns.start + of_columns.end,
            ..region.clone()
        };
        let parts = [
            part(inner_rows.clone(), inner.clone()),
            part(0..inner_rows.start, 0..columns.len()),
            part(inner_rows.end..rows.len(), 0..columns.len()),
            part(inner_rows.clone(), 0..inner.start),
            part(inner_rows.clone(), inner.end..columns.len()),
        ];
        let [inner, ..] = &parts;
        (inner.extent().pixels() > 0 && self.source(image, inner).in_place(0).is_some()).then_some(parts)
    }
}

/// A region.
struct Job<'s, 'a, T> {
    stage: &'s Depthwise<'a, T>,
    /// All channels that it sees.
    image: ArrayView3<'s, T>,
    region: &'s Region,
    way: Way<'s, T>,
    packed: &'s mut [T],
}

impl<T: Element> Job<'_, '_, T> {
    /// Computes some output channels: whole groups, or one channel after the other. `output` has their planes, one behind the other.
    fn run(&mut self, channels: Range<usize>, output: &mut [T]) {
        let Job { stage, image, region, ref mut way, ref mut packed } = *self;
        let Depthwise { weights, activation, .. } = stage;
        let (first, size) = (region.channels.start, [region.rows.len(), region.columns.len()]);
        let mut run = |part: &Part<'_, '_, T>, packs: bool| {
            let (channels, output) = (channels.clone(), &mut *output);
            T::launch(
                weights.isa,
                Planes { stage, part, packs, packed, first, channels, output, size, far: region.far },
            );
        };
        match way {
            Way::Known(bare) => {
                let (channels, bare) = (channels.clone(), *bare);
                Bare { stage, size, first, channels, output, bare, far: region.far }.run(packed);
            }
            // What a group's first channel sees is there for the others.
            Way::Whole(part) => run(part, channels.start.is_multiple_of(weights.group[1]) || channels.start == first),
            Way::Framed { parts, layouts } => {
                for part in parts.iter().filter(|part| part.extent().pixels() > 0) {
                    let source = stage.source(image, part);
                    run(&Part::new(source, [part, region], weights, layouts), true);
                }
            }
        }
        activation.rest().apply_to(weights.isa, output, size[0] * size[1], channels.start);
    }
}

/// The kernels of known size, each with its step.
macro_rules! known {
    ($($height:literal x $width:literal step $step:literal),* $(,)?) => {
        /// Whether there is a kernel of that size and step.
        pub(crate) fn is_known(kernel: [usize; 2], step: [usize; 2]) -> bool {
            matches!((kernel, step), $(([$height, $width], [$step, $step]))|*)
        }

        fn run_known<T: Element>(kernel: [usize; 2], step: [usize; 2], bare: Bare<'_, '_, T>) {
            let isa = bare.stage.weights.isa;
            match (kernel, step) {
                $(([$height, $width], [$step, $step]) => T::launch(isa, Known::<T, $height, $width, $step>(bare)),)*
                _ => unreachable!("no kernel of size {kernel:?} and step {step:?} reads images as they are"),
            }
        }
    };
}
known!(3 x 3 step 1, 3 x 3 step 2, 5 x 5 step 1, 5 x 5 step 2, 7 x 7 step 1, 1 x 3 step 1, 3 x 1 step 1, 1 x 5 step 1, 5 x 1 step 1,
    1 x 7 step 1, 7 x 1 step 1);

/// Some output channels, from the image as it is.
struct Bare<'j, 'i, T> {
    stage: &'j Depthwise<'j, T>,
    /// Rows and columns of the output.
    size: [usize; 2],
    /// The first channel of those that are seen.
    first: usize,
    channels: Range<usize>,
    output: &'j mut [T],
    bare: BareImage<'i, T>,
    far: bool,
}

impl<T: Element> Bare<'_, '_, T> {
    /// Computes them, from a copy of each channel that several of them see, if it is small.
    fn run(self, packed: &mut [T]) {
        let weights = self.stage.weights;
        let (kernel, step, outs) = (weights.window.kernel(), self.stage.sampling.step, weights.group[1]);
        let seen = [0, 1].map(|axis| (self.size[axis] - 1) * step[axis] + kernel[axis]);
        let room = packed.len().min(COPIED_BYTES / size_of::<T>());
        if outs == 1 || seen[0] * seen[1] + MARGIN > room {
            return run_known(kernel, step, self);
        }
        let Bare { stage, size, first, channels, mut output, bare, far } = self;
        for group in channels.start / outs..channels.end.div_ceil(outs) {
            let channels = channels.start.max(group * outs)..channels.end.min((group + 1) * outs);
            // What a group's first channel sees is there for the others.
            if channels.start.is_multiple_of(outs) || channels.start == first {
                bare.copy_channel(group - first / outs, seen, packed);
            }
            let (planes, rest) = output.split_at_mut(channels.len() * size[0] * size[1]);
            output = rest;
            let (first, bare) = (channels.start, BareImage { memory: &*packed, size: seen, origin: [0; 2] });
            run_known(kernel, step, Bare { stage, size, first, channels, output: planes, bare, far });
        }
    }
}

/// The same with a kernel of known size.
struct Known<'j, 'i, T, const HEIGHT: usize, const WIDTH: usize, const STEP: usize>(Bare<'j, 'i, T>);

impl<T: Element, const HEIGHT: usize, const WIDTH: usize, const STEP: usize> Kernel<T>
    for Known<'_, '_, T, HEIGHT, WIDTH, STEP>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        if const { !S::CHANNEL_TILES } {
            unreachable!("nine types without vectors are too many to compile all of these kernels for");
        }
        let Known(Bare { stage, size, first, channels, output, bare, far }) = self;
        let weights = stage.weights;
        let planes = ImagePlanes::<T, HEIGHT, WIDTH, STEP> {
            memory: bare.memory,
            start: (channels.start / weights.group[1] - first / weights.group[1]) * bare.size[0] * bare.size[1],
            multiplier: weights.group[1],
            image: bare.size,
            origin: bare.origin,
            weights: &weights.taps[channels.start * HEIGHT * WIDTH..channels.end * HEIGHT * WIDTH],
            bias: weights.bias.as_ref().map(|bias| &bias[channels]),
            limits: stage.activation.limits(),
            output,
            size,
            far,
        };
        planes.run(simd);
    }
}

/// Some output channels of a part of the region, with any kernel, from packed input channels if need be.
struct Planes<'j, 'i, T> {
    stage: &'j Depthwise<'j, T>,
    part: &'j Part<'j, 'i, T>,
    packed: &'j mut [T],
    /// Whether what they see is to be packed: else it has been for the channel before.
    packs: bool,
    /// The first channel of those that are seen.
    first: usize,
    channels: Range<usize>,
    output: &'j mut [T],
    /// Rows and columns of the region.
    size: [usize; 2],
    far: bool,
}

impl<T: Element> Kernel<T> for Planes<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let Planes { stage, part, packed, packs, first, channels, output, size: [rows, columns], far } = self;
        let weights = stage.weights;
        let Part { ref source, places, order, place, size } = *part;
        let [ins, outs] = weights.group;
        let window = &weights.window;
        let groups = channels.start / outs..channels.end.div_ceil(outs);
        let ahead = (groups.start - first / outs) * ins;
        let memory = match source.in_place(ahead) {
            Some(memory) => memory,
            None => {
                if packs {
                    source.pack(simd, ahead * window.len()..(ahead + groups.len() * ins) * window.len(), packed);
                }
                &*packed
            }
        };
        for (channel, output) in channels.zip(output.chunks_exact_mut(rows * columns)) {
            let per_channel = ins * window.len();
            simd.call(Plane {
                pixels: &memory[(channel / outs - groups.start) * ins * source.distance()..],
                places,
                order,
                blocks: window.blocks(),
                weights: &weights.taps[channel * per_channel..][..per_channel],
                bias: weights.bias.as_ref().map_or(T::ZERO, |bias| bias[channel]),
                limits: stage.activation.limits(),
                pitch: source.pitch(),
                output: &mut output[place[0] * columns + place[1]..],
                output_pitch: columns,
                size,
                far,
            });
        }
    }
}
