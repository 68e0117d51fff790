//! Winograd's minimal filtering: fewer multiplications, for sums in another order.
//!
//! A tile of `m x m` outputs of an `r x r` kernel is `Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A` (Winograd, 1980; Lavin and Gray, 2015): tiles of inputs are
//! evaluated at `(m + r - 1)²` points, the products at each point are summed over channels, and outputs are interpolated from the sums.
//!
//! ```text
//! for vector of input channels:                 # channels are lanes throughout
//!     for row of the region's inputs:
//!         turn it to channels last, evaluate it along x
//!     evaluate along y                               → values[point][channel][tile]
//! for some panels of output channels:
//!     multiply at each point                         → sums[panel][point][tile][channel]
//!     interpolate along y, then along x, add the bias, turn it to rows of pixels
//! ```
//!
//! A tile's outputs depend on its inputs only, whatever the region, so no schedule and no number of threads can be seen in the bits.

mod tiling;

use core::ops::Range;

use ndarray::{ArrayView3, ArrayViewMut3, Axis, Slice};

use crate::activation::Activation;
use crate::algo::channels_last::ChannelsLast;
use crate::algo::rows::{DirectRows, PassingRows, StagedRows};
use crate::algo::woven::Woven;
use crate::algo::{Extent, Region, Stage, by_group};
use crate::config::PaddingMode;
use crate::element::{Element, floats_only};
use crate::gemm::blocking::{SPARE, TileShape};
use crate::gemm::{PackedWeights, Rows};
use crate::kernels::plain_tile::MultiplyPlain;
use crate::kernels::toom_cook::{Coefficients, Evaluate, Interpolate, Pass, Places};
use crate::kernels::transpose::transpose;
use crate::scratch::Scratch;
use crate::simd::rows::EvenRows;
use crate::simd::{Isa, Kernel, Simd, by_lanes};
use tiling::Part;
pub(crate) use tiling::Tiling;

/// Input channels that are summed at a time: their part of a weight panel stays in the first-level cache.
pub(crate) const CHANNELS: usize = 256;
/// Bytes of sums that are kept until they are interpolated.
pub(crate) const SUM_BYTES: usize = 256 << 10;

/// One of the transforms along an axis.
#[derive(Clone, Copy, Debug)]
struct Transform<T> {
    part: Part,
    coefficients: Coefficients<T>,
}

/// What a convolution keeps from call to call.
#[derive(Clone, Debug)]
pub(crate) struct Weights<T> {
    isa: Isa,
    tiling: Tiling,
    /// The transforms along each axis.
    transforms: [Vec<Transform<T>>; 2],
    /// Channels of a group, input and output.
    group: [usize; 2],
    /// A product for each group and point.
    packed: PackedWeights<T>,
    bias: Option<Vec<T>>,
}

impl<T: Element> Weights<T> {
    /// With a weight for each group, output channel of it, and tap of all its input channels.
    pub(crate) fn new(
        tiling: Tiling,
        isa: Isa,
        groups: usize,
        group: [usize; 2],
        bias: Option<Vec<T>>,
        weight: impl Fn(usize, usize, usize) -> T,
    ) -> Self {
        let ([ins, outs], taps, products) = (group, tiling.taps[0] * tiling.taps[1], tiling.products());
        let mut values = vec![T::ZERO; groups * outs * ins * products];
        let transform = tiling.kernel_transform();
        let (mut kernel, mut of_kernel) = (vec![0.0; taps], vec![0.0; products]);
        for (index, to) in values.chunks_exact_mut(products).enumerate() {
            let (row, channel) = (index / ins, index % ins);
            for (tap, to) in kernel.iter_mut().enumerate() {
                *to = weight(row / outs, row % outs, channel * taps + tap).as_f64();
            }
            transform.run(&kernel, &mut of_kernel);
            to.iter_mut().zip(&of_kernel).for_each(|(to, value)| *to = T::of_f64(*value));
        }
        let blocks: Vec<_> = (0..ins).step_by(CHANNELS).map(|start| start..ins.min(start + CHANNELS)).collect();
        let at = |product: usize, row: usize, channel: usize, _: usize| {
            let (group, point) = (product / products, product % products);
            Some(values[((group * outs + row) * ins + channel) * products + point])
        };
        let packed = PackedWeights::new(groups * products, TileShape::of::<T>(isa).panels(outs), &blocks, at);
        let transform = |part: Part| Transform { part, coefficients: tiling::coefficients(part.points) };
        let transforms = [0, 1].map(|axis| tiling.parts(axis).into_iter().map(transform).collect());
        Weights { isa, tiling, transforms, group, packed, bias }
    }
}

/// The stage: a convolution of inputs of one size.
#[derive(Clone, Copy)]
pub(crate) struct Winograd<'a, T> {
    pub(crate) weights: &'a Weights<T>,
    pub(crate) activation: &'a Activation<T>,
    /// Input position of the first window.
    pub(crate) origin: [isize; 2],
    pub(crate) mode: PaddingMode,
    /// A pixel's outputs are its channels, one after the other.
    pub(crate) woven: Woven<'a>,
}

/// How the working memory of a region is used, in elements.
#[derive(Clone, Copy)]
struct Layout {
    lanes: usize,
    tiling: Tiling,
    /// Rows and columns of tiles.
    tiles: [usize; 2],
    /// Of outputs.
    size: [usize; 2],
    /// Vectors of input channels, and of a panel's output channels.
    vectors: [usize; 2],
    /// Panels whose sums are kept at a time.
    panels: usize,
    /// Elements that sums may take: never fewer for a larger region, though it may keep fewer panels.
    sums: usize,
}

impl Layout {
    fn new<T: Element>(weights: &Weights<T>, size: [usize; 2], channels: usize) -> Self {
        let shape = TileShape::of::<T>(weights.isa);
        let tiling = weights.tiling;
        let of_panel = weights.packed.panels().size.min(weights.group[1]);
        let mut layout = Layout {
            lanes: shape.lanes,
            tiling,
            tiles: [0, 1].map(|axis| size[axis].div_ceil(tiling.outputs[axis])),
            size,
            vectors: [weights.group[0], of_panel].map(|channels| channels.div_ceil(shape.lanes)),
            panels: 1,
            sums: 0,
        };
        let (all, pitch) = (channels.div_ceil(of_panel), layout.panel_pitch());
        layout.sums = (all * pitch).min(pitch.max(SUM_BYTES / size_of::<T>()));
        layout.panels = layout.sums / pitch;
        layout
    }

    fn count(&self) -> usize {
        self.tiles[0] * self.tiles[1]
    }

    /// From one point's values to the next one's: an odd number of vectors, so that they are not all in the same cache sets.
    fn value_pitch(&self) -> usize {
        ((self.vectors[0] * self.count()) | 1) * self.lanes
    }

    fn sum_pitch(&self) -> usize {
        ((self.vectors[1] * self.count()) | 1) * self.lanes
    }

    /// From one panel's sums to the next one's.
    fn panel_pitch(&self) -> usize {
        self.tiling.products() * self.sum_pitch()
    }

    /// Rows of input that are seen.
    fn input_rows(&self) -> usize {
        self.tiling.inputs(self.tiles)[0]
    }

    /// A row of them.
    fn input_row(&self) -> usize {
        self.tiling.inputs(self.tiles)[1] * self.lanes
    }

    /// And evaluated along x, or that of a row of tiles.
    fn evaluated_row(&self) -> usize {
        self.tiles[1] * self.tiling.points()[1] * self.lanes
    }

    /// The parts of working memory: values; sums; rows at points of one axis; a row of input, and outputs with channels last.
    fn parts(&self) -> [usize; 4] {
        let width = self.vectors[1] * self.lanes;
        let pixels = self.size[0] * self.size[1] + self.tiling.outputs[1] + self.lanes;
        let rows = self.input_rows().max(self.tiling.outputs[0]);
        [
            self.tiling.products() * self.value_pitch(),
            self.sums,
            rows * self.evaluated_row(),
            (pixels * width).max(self.input_row()),
        ]
    }
}

impl<T: Element> Winograd<'_, T> {
    /// Rows of output that are held in working memory at a time.
    fn held(&self) -> usize {
        self.woven.together(self.weights.packed.panels().size)
    }
}

impl<T: Element> Stage<T> for Winograd<'_, T> {
    fn scratch_len(&self, extent: Extent) -> usize {
        let channels = extent.channels.min(self.weights.group[1]);
        let layout = Layout::new(self.weights, [extent.rows, extent.columns], channels);
        let staged = (channels.min(self.held()) * extent.pixels()).next_multiple_of(SPARE);
        layout.parts().into_iter().sum::<usize>() + staged
    }

    fn run(&self, input: ArrayView3<'_, T>, region: &Region, output: ArrayViewMut3<'_, T>, scratch: Scratch<'_, T>) {
        floats_only!(T);
        let Weights { isa, group: [ins, outs], .. } = *self.weights;
        let mut rest = output;
        for (group, channels) in by_group(region.channels.clone(), outs) {
            let (output, others) = rest.split_at(Axis(0), channels.len() / self.woven.count());
            rest = others;
            let image = input.slice_axis_move(Axis(0), Slice::from(group * ins..(group + 1) * ins));
            let layout = Layout::new(self.weights, [region.rows.len(), region.columns.len()], channels.len());
            let job = Job { stage: self, layout, group, channels: channels.clone() };
            let first = [region.rows.start, region.columns.start];
            let stride = self.weights.tiling.stride;
            let origin = [0, 1].map(|axis| (first[axis] * stride[axis]) as isize + self.origin[axis]);
            let memory = job.evaluate(ChannelsLast::new(image, self.mode), origin, &mut *scratch.elements);
            let direct = if self.woven == Woven::NOT { DirectRows::new(output) } else { Err(output) };
            match direct {
                Ok(mut rows) => {
                    job.run(&mut rows, memory);
                    rows.activate(isa, self.activation.rest(), channels.start);
                }
                Err(output) => {
                    let rows = memory.staged;
                    let (size, first_channel, activation) = (layout.size, channels.start, self.activation.rest());
                    let staged = StagedRows { rows, size, woven: self.woven, output, first_channel, isa, activation };
                    job.run(&mut PassingRows { staged, held: self.held() }, Memory { staged: &mut [], ..memory });
                }
            }
        }
    }
}

/// Some channels of one group in a region.
struct Job<'a, T> {
    stage: &'a Winograd<'a, T>,
    layout: Layout,
    group: usize,
    channels: Range<usize>,
}

/// Working memory once the values are there.
struct Memory<'m, T> {
    values: &'m [T],
    sums: &'m mut [T],
    /// Outputs with one axis interpolated, and with both.
    rows: &'m mut [T],
    pixels: &'m mut [T],
    staged: &'m mut [T],
}

impl<T: Element> Job<'_, T> {
    fn evaluate<'m>(&self, image: ChannelsLast<'_, T>, origin: [isize; 2], memory: &'m mut [T]) -> Memory<'m, T> {
        let [values, sums, rows, pixels] = self.layout.parts();
        let (values, rest) = memory.split_at_mut(values);
        let (sums, rest) = rest.split_at_mut(sums);
        let (rows, rest) = rest.split_at_mut(rows);
        let (pixels, staged) = rest.split_at_mut(pixels);
        let Weights { isa, transforms, group, .. } = self.stage.weights;
        T::launch(
            *isa,
            EvaluateImage {
                image,
                origin,
                layout: &self.layout,
                transforms,
                channels: group[0],
                row: &mut *pixels,
                rows: &mut *rows,
                values: &mut *values,
            },
        );
        Memory { values, sums, rows, pixels, staged }
    }

    fn run(&self, output: &mut impl Rows<T>, memory: Memory<'_, T>) {
        let Memory { values, sums, rows, pixels, .. } = memory;
        let Weights { isa, transforms, packed, bias, group: [_, outs], .. } = self.stage.weights;
        let (layout, first_channel) = (&self.layout, self.group * outs);
        let panels = packed.panels();
        let all = panels.within(self.channels.start - first_channel..self.channels.end - first_channel);
        for first in all.clone().step_by(layout.panels) {
            let some = first..all.end.min(first + layout.panels);
            self.multiply(values, sums, some.clone());
            for (panel, sums) in some.zip(sums.chunks_exact(layout.panel_pitch())) {
                let channels = panels.range(panel..panel + 1);
                let count = channels.len();
                let of_bias = first_channel + channels.start..first_channel + channels.end;
                let bias = bias.as_ref().map_or(&[][..], |bias| &bias[of_bias]);
                let of_job = channels.start + first_channel - self.channels.start;
                output.with_rows(of_job, count, |outputs| {
                    let (rows, pixels) = (&mut *rows, &mut *pixels);
                    let limits = self.stage.activation.limits();
                    let panel = InterpolatePanel { layout, transforms, sums, bias, rows, pixels, outputs, limits };
                    T::launch(*isa, panel);
                });
            }
        }
    }

    /// The sums of some panels.
    fn multiply(&self, values: &[T], sums: &mut [T], panels: Range<usize>) {
        let Weights { isa, packed, tiling, .. } = self.stage.weights;
        let layout = &self.layout;
        let products = tiling.products();
        for point in 0..products {
            for (index, block) in packed.blocks().iter().enumerate() {
                for (panel, sums) in panels.clone().zip(sums.chunks_exact_mut(layout.panel_pitch())) {
                    // The panel after this one, in the order in which they are read.
                    let product = self.group * products + point;
                    let first_of_next = (point + 1 < products).then(|| packed.panel(product + 1, 0, panels.start));
                    let ahead = packed.panel_after(product, index, panel, &panels).or(first_of_next).unwrap_or(&[]);
                    let at = point * layout.value_pitch() + block.start / layout.lanes * layout.count() * layout.lanes;
                    T::launch(
                        *isa,
                        MultiplyPlain {
                            weights: packed.panel(product, index, panel),
                            rows: packed.panels().range(panel..panel + 1).len(),
                            channels: block.len(),
                            pixels: &values[at..],
                            pitch: layout.count() * layout.lanes,
                            count: layout.count(),
                            sums: &mut sums[point * layout.sum_pitch()..],
                            add: index > 0,
                            ahead,
                        },
                    );
                }
            }
        }
    }
}

/// The values of all tiles of a region.
struct EvaluateImage<'a, 'i, T> {
    image: ChannelsLast<'i, T>,
    /// Input position of the region's first window.
    origin: [isize; 2],
    layout: &'a Layout,
    transforms: &'a [Vec<Transform<T>>; 2],
    channels: usize,
    /// A row of the image, all rows at points along x, and the values.
    row: &'a mut [T],
    rows: &'a mut [T],
    values: &'a mut [T],
}

impl<T: Element> Kernel<T> for EvaluateImage<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let EvaluateImage { image, origin, layout, transforms, channels, row, rows, values } = self;
        let Layout { tiling, tiles, .. } = *layout;
        let ([_, wide], pitch) = (tiling.points(), layout.evaluated_row());
        let row = &mut row[..layout.input_row()];
        for vector in 0..layout.vectors[0] {
            let some = vector * S::LANES..channels.min((vector + 1) * S::LANES);
            for (y, to) in rows.chunks_exact_mut(pitch).take(layout.input_rows()).enumerate() {
                let place = [origin[0] + y as isize, origin[1]];
                by_lanes!(N = S::LANES => image.row::<S, N>(simd, some.clone(), place, row));
                for Transform { part, coefficients } in &transforms[1] {
                    let pass = Pass {
                        coefficients,
                        items: [1, tiles[1]],
                        points: part.points,
                        from: &row[part.input * S::LANES..],
                        from_places: Places {
                            steps: [0, tiling.step(1) * S::LANES],
                            pitch: tiling.stride[1] * S::LANES,
                        },
                        to: &mut to[part.first * S::LANES..],
                        to_places: Places { steps: [0, wide * S::LANES], pitch: S::LANES },
                    };
                    simd.call(Evaluate(pass));
                }
            }
            for tile_row in 0..tiles[0] {
                let at = (vector * layout.count() + tile_row * tiles[1]) * S::LANES;
                for Transform { part, coefficients } in &transforms[0] {
                    let point = wide * layout.value_pitch();
                    let pass = Pass {
                        coefficients,
                        items: [tiles[1], wide],
                        points: part.points,
                        from: &rows[(tile_row * tiling.step(0) + part.input) * pitch..],
                        from_places: Places { steps: [wide * S::LANES, S::LANES], pitch: tiling.stride[0] * pitch },
                        to: &mut values[at + part.first * point..],
                        to_places: Places { steps: [S::LANES, layout.value_pitch()], pitch: point },
                    };
                    simd.call(Evaluate(pass));
                }
            }
        }
    }
}

/// The outputs of all tiles of a region for one panel of channels.
struct InterpolatePanel<'a, 'r, T> {
    layout: &'a Layout,
    transforms: &'a [Vec<Transform<T>>; 2],
    sums: &'a [T],
    /// A number for each channel, or none.
    bias: &'a [T],
    /// A row of tiles at points along x, and the outputs with channels last.
    rows: &'a mut [T],
    pixels: &'a mut [T],
    outputs: &'a mut [&'r mut [T]],
    /// What the outputs are kept within.
    limits: Option<[T; 2]>,
}

impl<T: Element> Kernel<T> for InterpolatePanel<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let InterpolatePanel { layout, transforms, sums, bias, rows, pixels, outputs, limits } = self;
        let Layout { tiling, tiles, size, .. } = *layout;
        let ([_, wide], pitch) = (tiling.points(), layout.evaluated_row());
        let vectors = outputs.len().div_ceil(S::LANES);
        let width = vectors * S::LANES;
        for tile_row in 0..tiles[0] {
            for vector in 0..vectors {
                let at = tile_row * tiles[1] * width + vector * S::LANES;
                for Transform { part, coefficients } in &transforms[0] {
                    let point = wide * layout.sum_pitch();
                    let pass = Pass {
                        coefficients,
                        items: [tiles[1], wide],
                        points: part.points,
                        from: &sums[at + part.first * point..],
                        from_places: Places { steps: [width, layout.sum_pitch()], pitch: point },
                        to: &mut rows[part.output * pitch..],
                        to_places: Places { steps: [wide * S::LANES, S::LANES], pitch },
                    };
                    let bias = (part.first == 0).then_some(&[][..]);
                    simd.call(Interpolate { pass, outputs: part.outputs, bias });
                }
                let first = tile_row * tiling.outputs[0];
                for (y, from) in (first..size[0]).zip(rows.chunks_exact(pitch)).take(tiling.outputs[0]) {
                    for Transform { part, coefficients } in &transforms[1] {
                        let pixel = (y * size[1] + part.output) * width + vector * S::LANES;
                        let pass = Pass {
                            coefficients,
                            items: [1, tiles[1]],
                            points: part.points,
                            from: &from[part.first * S::LANES..],
                            from_places: Places { steps: [0, wide * S::LANES], pitch: S::LANES },
                            // What a tile has beyond the row's end is overwritten by the next row.
                            to: &mut pixels[pixel..],
                            to_places: Places { steps: [0, tiling.outputs[1] * width], pitch: width },
                        };
                        let bias = if bias.is_empty() { bias } else { &bias[vector * S::LANES..] };
                        let bias = (part.first == 0).then_some(bias);
                        simd.call(Interpolate { pass, outputs: part.outputs, bias });
                    }
                }
            }
        }
        let (count, mut outputs) = (size[0] * size[1], EvenRows::new(outputs));
        for first in (0..count).step_by(S::LANES) {
            match vectors {
                1 => transpose::<T, S, 1>(simd, pixels, &mut outputs, first, limits),
                _ => transpose::<T, S, 2>(simd, pixels, &mut outputs, first, limits),
            }
        }
    }
}
