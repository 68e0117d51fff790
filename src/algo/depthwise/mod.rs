//! Direct convolution where few input channels are summed over: depthwise layers and image filters.
//!
//! Such work is bound by memory. Kernels of some sizes read the image as it is ([`image_tile`](crate::kernels::image_tile)), or copies of small
//! channels ([`small_image`]). For any other, what a region's windows see of a channel is copied into the first-level cache, padding included, or read
//! where it lies if no pixel sees padding; then every output channel of the group is made of it ([`planes`](crate::kernels::planes)).

use core::ops::Range;

use ndarray::{ArrayView3, ArrayViewMut3, Axis, Slice};

use crate::activation::Activation;
use crate::algo::image::{BareImage, Sampling, Wanted, WindowSource};
use crate::algo::window::Window;
use crate::algo::{Extent, Region, Stage};
use crate::element::Element;
use crate::gemm::Source;
use crate::gemm::blocking::TileShape;
use crate::kernels::image_tile::ImagePlanes;
use crate::kernels::planes::Plane;
use crate::kernels::small_image::{self, SmallPlanes};
use crate::scratch::Scratch;
use crate::simd::{Isa, Kernel, Simd};

/// Bytes of packed channels that are worked on at a time, where one is not more: half of a first-level cache of 32 KiB.
const PACKED_BYTES: usize = 16 << 10;

/// Bytes of output that are made before an activation is applied to them.
const ACTIVATED_BYTES: usize = 32 << 10;

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
        packed.max(PACKED_BYTES / size_of::<T>()) + extent.pixels()
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
        let wanted = Wanted {
            pixel_step: 1,
            vector: 1,
            reads_partly: false,
            skip_zeros: false,
            clipped_run: None,
            least_part: None,
            channels: groups.len() * ins,
        };
        let source = WindowSource::new(self.sampling, image, region, wanted);
        let size = [region.rows.len(), region.columns.len()];
        let offsets = scratch.layouts.offsets_of(&source, ins);
        let (staged, packed) = scratch.elements.split_at_mut(size[0] * size[1]);
        let mut job = Job { stage: self, source: &source, offsets, size, first: region.channels.start, packed };
        if let Some(output) = output.as_slice_mut() {
            // What is not packed need not stay in cache, but for an activation.
            let together = match (job.bare(), self.activation) {
                (None, _) => job.packed.len() / (ins * source.distance()),
                (Some(_), Activation::None) => usize::MAX,
                (Some(_), _) => ACTIVATED_BYTES / size_of::<T>() / (outs * size[0] * size[1]),
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

/// A region.
struct Job<'s, 'a, T> {
    stage: &'s Depthwise<'a, T>,
    source: &'s WindowSource<'a, T>,
    /// Where the first pixel under each tap of a group lies.
    offsets: &'s [u32],
    /// Rows and columns.
    size: [usize; 2],
    /// Its first channel.
    first: usize,
    packed: &'s mut [T],
}

impl<'a, T: Element> Job<'_, 'a, T> {
    /// The image, where there is a kernel that reads it as it is.
    fn bare(&self) -> Option<BareImage<'a, T>> {
        let Depthwise { weights, sampling, .. } = self.stage;
        let Weights { window, group, isa, .. } = weights;
        let known = is_known(window.kernel(), sampling.step);
        let dense = [window.row_step(), window.column_step()] == [1, 1];
        let vectors = TileShape::of::<T>(*isa).channel_tiles;
        let image = || self.source.bare(weights.skip_zeros);
        if known && dense && group[0] == 1 && vectors { image() } else { None }
    }

    /// Computes some output channels: whole groups, or one channel after the other. `output` has their planes, one behind the other.
    fn run(&mut self, channels: Range<usize>, output: &mut [T]) {
        let Depthwise { weights, activation, sampling } = self.stage;
        let pixels = self.size[0] * self.size[1];
        let bare = self.bare();
        let planes = Planes { job: self, channels: channels.clone(), output };
        match bare {
            Some(bare) => run_known(weights.window.kernel(), sampling.step, planes, bare),
            None => T::launch(weights.isa, planes),
        }
        activation.apply_to(weights.isa, output, pixels, channels.start);
    }
}

/// The kernels of known size, each with its step.
macro_rules! known {
    ($($height:literal x $width:literal step $step:literal),* $(,)?) => {
        fn is_known(kernel: [usize; 2], step: [usize; 2]) -> bool {
            matches!((kernel, step), $(([$height, $width], [$step, $step]))|*)
        }

        fn run_known<'a, T: Element>(kernel: [usize; 2], step: [usize; 2], planes: Planes<'_, '_, 'a, T>, bare: BareImage<'a, T>) {
            let isa = planes.job.stage.weights.isa;
            match (kernel, step) {
                $(([$height, $width], [$step, $step]) => {
                    T::launch(isa, Bare::<T, $height, $width, $step> { planes, bare });
                })*
                _ => unreachable!("no kernel of size {kernel:?} and step {step:?} reads images as they are"),
            }
        }
    };
}
known!(3 x 3 step 1, 3 x 3 step 2, 5 x 5 step 1, 5 x 5 step 2, 7 x 7 step 1, 1 x 3 step 1, 3 x 1 step 1, 1 x 5 step 1, 5 x 1 step 1);

/// Some output channels, from packed input channels if need be.
struct Planes<'j, 's, 'a, T> {
    job: &'j mut Job<'s, 'a, T>,
    channels: Range<usize>,
    output: &'j mut [T],
}

/// The same with a kernel of known size, from the image as it is.
struct Bare<'j, 's, 'a, T, const HEIGHT: usize, const WIDTH: usize, const STEP: usize> {
    planes: Planes<'j, 's, 'a, T>,
    bare: BareImage<'a, T>,
}

impl<T: Element, const HEIGHT: usize, const WIDTH: usize, const STEP: usize> Kernel<T>
    for Bare<'_, '_, '_, T, HEIGHT, WIDTH, STEP>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        if const { !S::CHANNEL_TILES } {
            unreachable!("nine types without vectors are too many to compile all of these kernels for");
        }
        let Bare { planes: Planes { job: Job { stage, size, first, .. }, channels, output }, bare } = self;
        let weights = stage.weights;
        let planes = ImagePlanes::<T, HEIGHT, WIDTH, STEP> {
            memory: bare.memory,
            start: (channels.start / weights.group[1] - *first / weights.group[1]) * bare.size[0] * bare.size[1],
            multiplier: weights.group[1],
            image: bare.size,
            origin: bare.origin,
            weights: &weights.taps[channels.start * HEIGHT * WIDTH..channels.end * HEIGHT * WIDTH],
            bias: weights.bias.as_ref().map(|bias| &bias[channels]),
            output,
            size: *size,
        };
        // Lines of taps have little to gain from copies, and with wide kernels copies see too much padding: 28x28 and smaller images with 7x7 taps are
        // 1.6 to 2 times as fast without. Where vectors have halves, rows of all lengths fill them without copies.
        if const { HEIGHT == 1 || WIDTH == 1 || WIDTH > 5 || S::HALVES } {
            return planes.run(simd);
        }
        match small_image::pitch([HEIGHT, WIDTH], STEP, bare.size, bare.origin, *size) {
            Some(8) => simd.call(SmallPlanes::<T, HEIGHT, WIDTH, STEP, 8> { planes }),
            Some(16) => simd.call(SmallPlanes::<T, HEIGHT, WIDTH, STEP, 16> { planes }),
            Some(32) => simd.call(SmallPlanes::<T, HEIGHT, WIDTH, STEP, 32> { planes }),
            _ => planes.run(simd),
        }
    }
}

impl<T: Element> Kernel<T> for Planes<'_, '_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let Planes { job, channels, output } = self;
        let Job { stage: Depthwise { weights, .. }, source, offsets, size, first, packed } = job;
        let [ins, outs] = weights.group;
        let (window, pixels) = (&weights.window, size[0] * size[1]);
        let groups = channels.start / outs..channels.end.div_ceil(outs);
        let ahead = (groups.start - *first / outs) * ins;
        let memory = match source.in_place(ahead) {
            Some(memory) => memory,
            None => {
                // What a group's first channel sees is there for the others.
                if channels.start.is_multiple_of(outs) || channels.start == *first {
                    source.pack(simd, ahead * window.len()..(ahead + groups.len() * ins) * window.len(), packed);
                }
                &**packed
            }
        };
        for (channel, output) in channels.zip(output.chunks_exact_mut(pixels)) {
            let per_channel = ins * window.len();
            simd.call(Plane {
                pixels: &memory[(channel / outs - groups.start) * ins * source.distance()..],
                offsets,
                blocks: window.blocks(),
                weights: &weights.taps[channel * per_channel..][..per_channel],
                bias: weights.bias.as_ref().map_or(T::ZERO, |bias| bias[channel]),
                pitch: source.pitch(),
                output,
                size: *size,
            });
        }
    }
}
