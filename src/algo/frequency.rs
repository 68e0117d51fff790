//! Convolution by Fourier transforms, for large kernels: products of spectra are circular correlations, of which the outputs whose windows
//! do not wrap around are kept (overlap-save; Stockham, 1966).
//!
//! Two tiles that lie side by side are transformed at a time, as the real and the imaginary part of one: the kernel is real, so they stay
//! apart. Which tiles are partners follows from the size of the output, so the bits do not depend on threads or batch.

use core::ops::Range;

use ndarray::{ArrayView2, ArrayView3, ArrayViewMut3, Axis, s};
use num_complex::Complex;

use crate::activation::Activation;
use crate::algo::{Extent, Region, Stage, activate, by_group};
use crate::algorithm::ErrorBound;
use crate::config::PaddingMode;
use crate::element::{Element, Kernels, floats_only};
use crate::fourier::Fourier;
use crate::padding::inside;
use crate::parts::even_part;
use crate::scratch::Scratch;
use crate::simd::{Isa, Kernel, Simd};

/// Lengths of transforms: those with small factors are the fastest.
const LENGTHS: [usize; 15] = [16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768];
/// Taps below which there is nothing to gain.
const FEWEST_TAPS: usize = 49;
/// Complex elements of the spectra of a region's inputs, and of all weights, at most.
const INPUT_LEN: usize = 1 << 20;
const WEIGHT_LEN: usize = 8 << 20;

/// Why transforms are expected.
const THERE: &str = "not chosen where there are no transforms";

/// The sizes of transforms and of what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spectrum {
    /// Rows and columns of a transform.
    pub(crate) lengths: [usize; 2],
    /// Rows and columns of taps, and how far apart they are.
    pub(crate) kernel: [usize; 2],
    pub(crate) dilation: [usize; 2],
}

impl Spectrum {
    /// Those for a kernel of which there are so many for so many input channels each.
    pub(crate) fn all(
        kernel: [usize; 2],
        dilation: [usize; 2],
        [outs, ins]: [usize; 2],
    ) -> impl Iterator<Item = Spectrum> {
        let spectrum = move |lengths| Spectrum { lengths, kernel, dilation };
        let spans = spectrum([0, 0]).spans();
        let along = move |axis: usize| {
            let span = spans[axis];
            LENGTHS.into_iter().filter(move |&length| length >= span + span / 4 && length <= (8 * span).max(LENGTHS[0]))
        };
        let fits = move |spectrum: &Spectrum| {
            let len = spectrum.len();
            ins.saturating_mul(len) <= INPUT_LEN && outs.saturating_mul(ins).saturating_mul(len) <= WEIGHT_LEN
        };
        let worth = kernel[0].saturating_mul(kernel[1]) >= FEWEST_TAPS;
        let lengths = along(0).flat_map(move |rows| along(1).map(move |columns| [rows, columns]));
        lengths.filter(move |_| worth).map(spectrum).filter(fits)
    }

    /// Rows and columns that a kernel spans.
    pub(crate) fn spans(self) -> [usize; 2] {
        [0, 1].map(|axis| (self.kernel[axis] - 1).saturating_mul(self.dilation[axis]).saturating_add(1))
    }

    /// Rows and columns of outputs that a tile has at most.
    pub(crate) fn outputs(self) -> [usize; 2] {
        [0, 1].map(|axis| self.lengths[axis] + 1 - self.spans()[axis])
    }

    /// Complex elements.
    pub(crate) fn len(self) -> usize {
        self.lengths[0] * self.lengths[1]
    }

    /// How far an output may be from the exact one, where so many channels are summed over.
    ///
    /// A transform of `n` elements errs by at most `6 log2(n)` roundings of the norm (Higham, 2002, theorem 24.2); there are two, a rounding of the
    /// kernel's spectrum, the product, and the sum. The norm of two tiles is at most `√(2 n)` times their largest value.
    pub(crate) fn error_bound(self, channels: usize) -> ErrorBound {
        let (n, chain) = (self.len() as f64, 2 * channels);
        ErrorBound {
            proven: (12.0 * n.log2() + 5.0 + chain as f64) / 2.0 * (2.0 * n).sqrt(),
            observed: n.sqrt() * (1.0 + (chain as f64).sqrt() / 5.0),
        }
    }
}

/// What a convolution keeps from call to call.
#[derive(Clone, Debug)]
pub(crate) struct Weights<T> {
    isa: Isa,
    spectrum: Spectrum,
    /// Of rows and of columns: those of one length.
    transforms: [Fourier<T>; 2],
    /// Channels of a group, input and output.
    group: [usize; 2],
    /// `[output channel][input channel][column][row]`: the conjugate, over the number of elements.
    spectra: Vec<Complex<T>>,
    bias: Option<Vec<T>>,
}

impl<T: Element> Weights<T> {
    /// With a weight for each group, output channel of it, and tap of all its input channels.
    pub(crate) fn new(
        spectrum: Spectrum,
        isa: Isa,
        groups: usize,
        group: [usize; 2],
        bias: Option<Vec<T>>,
        weight: impl Fn(usize, usize, usize) -> T,
    ) -> Self {
        let ([ins, outs], Spectrum { lengths, kernel, dilation }) = (group, spectrum);
        let [height, width] = lengths;
        // In double precision, so that only their rounding counts.
        let wide = lengths.map(|length| f64::fourier(length).expect(THERE));
        let transforms = lengths.map(|length| T::fourier(length).expect(THERE));
        let scale = 1.0 / spectrum.len() as f64;
        let zero = Complex { re: 0.0, im: 0.0 };
        let mut rows = vec![zero; spectrum.len()];
        let mut columns = rows.clone();
        let mut scratch = vec![zero; wide.iter().map(|fourier| fourier.forward.scratch_len()).max().unwrap_or(0)];
        let mut spectra = Vec::with_capacity(groups * outs * ins * spectrum.len());
        for index in 0..groups * outs * ins {
            let (row, channel) = (index / ins, index % ins);
            rows.fill(zero);
            for tap in 0..kernel[0] * kernel[1] {
                let [y, x] = [tap / kernel[1] * dilation[0], tap % kernel[1] * dilation[1]];
                let weight = weight(row / outs, row % outs, channel * kernel[0] * kernel[1] + tap);
                rows[y * width + x].re = weight.as_f64();
            }
            wide[1].forward.run(&mut rows, &mut scratch);
            turn(&rows, &mut columns, [height, width]);
            wide[0].forward.run(&mut columns, &mut scratch);
            let element = |value: f64| T::of_f64(value * scale);
            spectra.extend(columns.iter().map(|value| Complex { re: element(value.re), im: element(-value.im) }));
        }
        Weights { isa, spectrum, transforms, group, spectra, bias }
    }
}

/// The stage: a convolution of inputs of one size. Its regions are pairs of tiles.
#[derive(Clone, Copy)]
pub(crate) struct Frequency<'a, T> {
    pub(crate) weights: &'a Weights<T>,
    pub(crate) activation: &'a Activation<T>,
    /// Input position of the first window.
    pub(crate) origin: [isize; 2],
    pub(crate) mode: PaddingMode,
}

impl<T: Element> Stage<T> for Frequency<'_, T> {
    fn scratch_len(&self, _: Extent) -> usize {
        0
    }

    fn run(
        &self,
        input: ArrayView3<'_, T>,
        region: &Region,
        mut output: ArrayViewMut3<'_, T>,
        scratch: Scratch<'_, T>,
    ) {
        floats_only!(T);
        let Weights { isa, spectrum, ref transforms, group: [ins, outs], ref spectra, ref bias } = *self.weights;
        let (len, [height, width]) = (spectrum.len(), spectrum.lengths);
        let zero = Complex { re: T::ZERO, im: T::ZERO };
        let lens =
            transforms.each_ref().map(|fourier| fourier.forward.scratch_len().max(fourier.inverse.scratch_len()));
        scratch.complex.resize((ins + 2) * len + lens[0].max(lens[1]), zero);
        let (inputs, rest) = scratch.complex.split_at_mut(ins * len);
        let (sums, rest) = rest.split_at_mut(len);
        let (rows, scratch) = rest.split_at_mut(len);
        let tiles = [0, 1].map(|part| even_part(region.columns.len(), 2, part));
        let first = [region.rows.start as isize + self.origin[0], region.columns.start as isize + self.origin[1]];
        for (group, channels) in by_group(region.channels.clone(), outs) {
            for (channel, input_spectrum) in (group * ins..).zip(inputs.chunks_exact_mut(len)) {
                let plane = input.index_axis(Axis(0), channel);
                self.load(plane, first, &tiles, region.rows.len(), rows);
                transforms[1].forward.run(rows, scratch);
                turn(rows, input_spectrum, [height, width]);
                transforms[0].forward.run(input_spectrum, scratch);
            }
            for channel in channels {
                let spectra = &spectra[channel * ins * len..(channel + 1) * ins * len];
                T::launch(isa, Multiply { spectra, inputs: &*inputs, sums: &mut *sums });
                transforms[0].inverse.run(sums, scratch);
                let used = &mut rows[..region.rows.len() * width];
                turn_back(sums, used, [height, width]);
                transforms[1].inverse.run(used, scratch);
                let bias = bias.as_ref().map_or(T::ZERO, |bias| bias[channel]);
                let mut plane = output.index_axis_mut(Axis(0), channel - region.channels.start);
                for (mut to, from) in plane.outer_iter_mut().zip(used.chunks_exact(width)) {
                    let (mut left, mut right) = to.view_mut().split_at(Axis(0), tiles[0].len());
                    left.iter_mut().zip(from).for_each(|(to, from)| *to = from.re.plus(bias));
                    right.iter_mut().zip(from).for_each(|(to, from)| *to = from.im.plus(bias));
                }
            }
        }
        activate(isa, self.activation, output, region.channels.start);
    }
}

impl<T: Element> Frequency<'_, T> {
    /// What two tiles with so many rows see of a channel, zero beyond.
    fn load(
        &self,
        plane: ArrayView2<'_, T>,
        [y, x]: [isize; 2],
        tiles: &[Range<usize>; 2],
        rows: usize,
        to: &mut [Complex<T>],
    ) {
        let (width, spans) = (self.weights.spectrum.lengths[1], self.weights.spectrum.spans());
        to.fill(Complex { re: T::ZERO, im: T::ZERO });
        let (height, columns) = plane.dim();
        let seen = rows + spans[0] - 1;
        for (row, to) in to.chunks_exact_mut(width).take(seen).enumerate() {
            let Some(source) = self.mode.source(y + row as isize, height) else { continue };
            let from = plane.row(source);
            for (part, tile) in tiles.iter().enumerate() {
                if tile.is_empty() {
                    continue;
                }
                let first = x + tile.start as isize;
                let to = &mut to[..tile.len() + spans[1] - 1];
                let inside = inside(first, to.len(), columns);
                let set = |to: &mut Complex<T>, value: T| if part == 0 { to.re = value } else { to.im = value };
                if !inside.is_empty() {
                    let start = (first + inside.start as isize).unsigned_abs();
                    let from = from.slice(s![start..start + inside.len()]);
                    to[inside.clone()].iter_mut().zip(from).for_each(|(to, value)| set(to, *value));
                }
                for column in (0..inside.start).chain(inside.end..to.len()) {
                    if let Some(x) = self.mode.source(first + column as isize, columns) {
                        set(&mut to[column], from[x]);
                    }
                }
            }
        }
    }
}

/// Rows and columns of elements that are turned at a time.
const BLOCK: usize = 8;

/// `[height][width]` to `[width][height]`.
fn turn<E: Copy>(from: &[E], to: &mut [E], [height, width]: [usize; 2]) {
    for y in (0..height).step_by(BLOCK) {
        for x in (0..width).step_by(BLOCK) {
            for x in x..width.min(x + BLOCK) {
                for y in y..height.min(y + BLOCK) {
                    to[x * height + y] = from[y * width + x];
                }
            }
        }
    }
}

/// And back, as many rows as there is room for.
fn turn_back<E: Copy>(from: &[E], to: &mut [E], [height, width]: [usize; 2]) {
    let rows = to.len() / width;
    for y in (0..rows).step_by(BLOCK) {
        for x in (0..width).step_by(BLOCK) {
            for y in y..rows.min(y + BLOCK) {
                for x in x..width.min(x + BLOCK) {
                    to[y * width + x] = from[x * height + y];
                }
            }
        }
    }
}

/// The sum over channels of products of spectra.
struct Multiply<'a, T> {
    spectra: &'a [Complex<T>],
    inputs: &'a [Complex<T>],
    sums: &'a mut [Complex<T>],
}

impl<T: Element> Kernel<T> for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, _: S) {
        let Multiply { spectra, inputs, sums } = self;
        let len = sums.len();
        for (channel, (spectrum, input)) in spectra.chunks_exact(len).zip(inputs.chunks_exact(len)).enumerate() {
            for ((sum, a), b) in sums.iter_mut().zip(spectrum).zip(input) {
                let before = if channel == 0 { Complex { re: T::ZERO, im: T::ZERO } } else { *sum };
                *sum = Complex {
                    re: a.re.fma(b.re, a.im.minus().fma(b.im, before.re)),
                    im: a.re.fma(b.im, a.im.fma(b.re, before.im)),
                };
            }
        }
    }
}
