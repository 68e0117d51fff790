//! The sizes and coefficients of Winograd's transforms.

use super::CHANNELS;
use crate::algorithm::ErrorBound;
use crate::element::Element;
use crate::kernels::toom_cook::{Coefficients, MOST_PAIRS, MOST_POINTS};

/// `F(m, r)` along both axes: `m` outputs of a kernel of `r` taps from `m + r - 1` products.
///
/// With a stride `s` an output is the sum of `s` such convolutions with stride 1, of every `s`-th input with every `s`-th tap: 3 taps with
/// stride 2 are `F(m, 2)` and `F(m, 1)`, and `2m + 1` products make what else takes `3m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tiling {
    /// Rows and columns of a tile of outputs.
    pub(crate) outputs: [usize; 2],
    /// Rows and columns of the kernel.
    pub(crate) taps: [usize; 2],
    pub(crate) stride: [usize; 2],
}

/// A transform of some of a tile's inputs along an axis: `points` of them, a stride apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The first of its inputs, and of the taps that see them.
    pub(crate) input: usize,
    pub(crate) taps: usize,
    /// The first of its points, and how many there are: one is the input itself.
    pub(crate) first: usize,
    pub(crate) points: usize,
    /// The first output that it is a part of, and how many there are.
    pub(crate) output: usize,
    pub(crate) outputs: usize,
}

/// The parts along an axis, the one with the most taps first: those of single taps are one for each output.
fn parts(outputs: usize, taps: usize, stride: usize) -> Vec<Part> {
    let (mut all, mut first) = (Vec::new(), 0);
    for input in 0..stride.min(taps) {
        let taps = (taps - input).div_ceil(stride);
        let (count, each) = if taps == 1 { (outputs, 1) } else { (1, outputs) };
        for output in 0..count {
            let (input, points) = (input + output * stride, each + taps - 1);
            all.push(Part { input, taps, first, points, output, outputs: each });
            first += points;
        }
    }
    all
}

/// The points beside infinity, and 0 if they are even in number, are pairs `±p`. Products of 1 make the coefficients small: with 2/3 and 3/2 errors are 2.4 times
/// smaller than with the usual 1 and 2, with 1/2, 1 and 2 the smallest of those tried.
const PAIRS: [(usize, &[f64]); 6] =
    [(1, &[]), (3, &[1.0]), (4, &[1.0]), (5, &[2.0 / 3.0, 1.5]), (6, &[2.0 / 3.0, 1.5]), (8, &[0.5, 1.0, 2.0])];

/// Whether a transform may have so many points. With a stride more than 6 bring more weights than they save products, and without one an odd number
/// saves fewer than the next even one for the same work around it.
fn has_points(points: usize, stride: usize) -> bool {
    let known = PAIRS.iter().any(|(count, _)| *count == points);
    known && if stride == 1 { points == 1 || points.is_multiple_of(2) } else { points <= 6 }
}

impl Tiling {
    /// Those for a kernel, from the one with the fewest outputs on; none where it is too large or no two outputs share a product.
    pub(crate) fn all(taps: [usize; 2], stride: [usize; 2]) -> impl Iterator<Item = Tiling> {
        let along = move |axis: usize| {
            let (taps, stride) = (taps[axis], stride[axis]);
            let fitting =
                move |&outputs: &usize| parts(outputs, taps, stride).iter().all(|part| has_points(part.points, stride));
            // Where each tap has inputs of its own there is nothing to share.
            let sizes = if taps <= stride { 1..2 } else { 2..MOST_POINTS };
            sizes.filter(fitting)
        };
        let all = along(0).flat_map(move |rows| along(1).map(move |columns| [rows, columns]));
        all.filter(|outputs| *outputs != [1, 1]).map(move |outputs| Tiling { outputs, taps, stride })
    }

    /// The parts along an axis.
    pub(crate) fn parts(self, axis: usize) -> Vec<Part> {
        parts(self.outputs[axis], self.taps[axis], self.stride[axis])
    }

    /// Rows and columns of inputs that so many rows and columns of tiles see.
    pub(crate) fn inputs(self, tiles: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| (tiles[axis] * self.outputs[axis] - 1) * self.stride[axis] + self.taps[axis])
    }

    /// From the first input of a tile to that of the next one along an axis.
    pub(crate) fn step(self, axis: usize) -> usize {
        self.outputs[axis] * self.stride[axis]
    }

    /// Rows and columns of products.
    pub(crate) fn points(self) -> [usize; 2] {
        [0, 1].map(|axis| self.stride[axis].min(self.taps[axis]) * (self.outputs[axis] - 1) + self.taps[axis])
    }

    /// All products of a tile.
    pub(crate) fn products(self) -> usize {
        let [rows, columns] = self.points();
        rows * columns
    }

    /// How far an output may be from the exact one, where so many channels are summed over.
    ///
    /// Relative to `Σ |w| max |x|` the transforms make numbers, and their errors, as many times larger as [`amplification`] says. Proven is that each
    /// path from an input to an output has at most so many roundings, half an eps each, as are counted here; observed is that they mostly cancel.
    pub(crate) fn error_bound(self, channels: usize) -> ErrorBound {
        let chain = channels.min(CHANNELS) + channels.div_ceil(CHANNELS);
        let (mut amplified, mut roundings) = (1.0, chain + 2);
        for axis in 0..2 {
            let parts = self.parts(axis);
            // A tap's share of an output passes through one of them.
            let of_part = |part: &Part| if part.points == 1 { 1.0 } else { amplification(part.outputs, part.taps) };
            amplified *= parts.iter().map(of_part).fold(1.0, f64::max);
            if let Some(part) = parts.iter().max_by_key(|part| part.points).filter(|part| part.points > 1) {
                // For each pair one in evaluation and one in interpolation; their coefficients; both sums and that with infinity.
                roundings += 2 * pairs(part.points).len() + 5;
            }
            // Adding up the parts.
            roundings += self.stride[axis].min(self.taps[axis]) - 1;
        }
        ErrorBound {
            proven: amplified * roundings as f64 / 2.0,
            observed: amplified * (2.0 + (chain as f64).sqrt() / 5.0),
        }
    }

    /// What turns kernels into their values at all points.
    pub(crate) fn kernel_transform(self) -> KernelTransform {
        KernelTransform([0, 1].map(|axis| {
            let of_part = |part: Part| {
                let rows = evaluations(part.points, part.taps).into_iter();
                rows.map(move |row| {
                    let mut factors = vec![0.0; self.taps[axis]];
                    let of_taps = factors[part.input - part.output * self.stride[axis]..].iter_mut();
                    of_taps.step_by(self.stride[axis]).zip(row).for_each(|(to, factor)| *to = factor);
                    factors
                })
            };
            self.parts(axis).into_iter().flat_map(of_part).collect()
        }))
    }
}

/// For rows and columns: the factors of a kernel's taps in each of its values.
pub(crate) struct KernelTransform([Vec<Vec<f64>>; 2]);

impl KernelTransform {
    /// A kernel evaluated at all points, from its taps.
    pub(crate) fn run(&self, kernel: &[f64], values: &mut [f64]) {
        let [rows, columns] = &self.0;
        for (row, values) in rows.iter().zip(values.chunks_exact_mut(columns.len())) {
            for (column, value) in columns.iter().zip(values) {
                let taps = kernel.chunks_exact(column.len()).zip(row);
                *value = taps.map(|(taps, factor)| factor * dot(taps, column)).sum();
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn pairs(points: usize) -> &'static [f64] {
    PAIRS.iter().find(|(count, _)| *count == points).expect("made by Tiling::all").1
}

/// All but infinity.
fn finite_points(points: usize) -> Vec<f64> {
    let zero = points.is_multiple_of(2).then_some(0.0);
    zero.into_iter().chain(pairs(points).iter().flat_map(|&p| [p, -p])).collect()
}

/// The factors of a kernel's taps in each of its values: `q^j / Π (q - other)` at point `q`, the last tap at infinity.
fn evaluations(points: usize, taps: usize) -> Vec<Vec<f64>> {
    if points == 1 {
        return vec![vec![1.0]];
    }
    let finite = finite_points(points);
    let at = |&point: &f64| {
        let scale: f64 = finite.iter().filter(|&&other| other != point).map(|other| point - other).product();
        (0..taps).map(|tap| point.powi(tap as i32) / scale).collect()
    };
    let mut all: Vec<Vec<f64>> = finite.iter().map(at).collect();
    all.push((0..taps).map(|tap| if tap + 1 == taps { 1.0 } else { 0.0 }).collect());
    all
}

/// The largest factor of a tap in an output, with all signs the same: `|Aᵀ| |Bᵀ| 1 |G|`.
fn amplification(outputs: usize, taps: usize) -> f64 {
    let points = outputs + taps - 1;
    let finite = finite_points(points);
    // The values' coefficients have the signs of alternate powers, so their sizes are those of a polynomial at i: Π (1 + p²), without or with a
    // factor x or x ± p in place of the point's own.
    let all: f64 = pairs(points).iter().map(|p| 1.0 + p * p).product();
    let value = |point: f64| if point == 0.0 { all } else { all / (1.0 + point * point) * (1.0 + point.abs()) };
    let kernel = evaluations(points, taps);
    let factor = |output: usize, tap: usize| {
        let of_point =
            |(index, &point): (usize, &f64)| point.abs().powi(output as i32) * kernel[index][tap].abs() * value(point);
        let infinity = if output + 1 == outputs { kernel[points - 1][tap].abs() * all } else { 0.0 };
        finite.iter().enumerate().map(of_point).sum::<f64>() + infinity
    };
    let all = (0..outputs).flat_map(|output| (0..taps).map(move |tap| (output, tap)));
    all.map(|(output, tap)| factor(output, tap)).fold(0.0, f64::max)
}

/// What the kernels need for a number of points.
pub(super) fn coefficients<T: Element>(points: usize) -> Coefficients<T> {
    let pairs = pairs(points);
    let element = T::of_f64;
    // Coefficients of the product of `x - p²`, ascending, without the leading 1.
    let product = |left_out: Option<usize>| {
        let mut product = vec![1.0];
        for (_, p) in pairs.iter().enumerate().filter(|(pair, _)| Some(*pair) != left_out) {
            let shifted = core::iter::once(0.0).chain(product.iter().copied());
            product = shifted.zip(product.iter().chain([&0.0])).map(|(higher, lower)| higher - p * p * lower).collect();
        }
        product.pop();
        product
    };
    let mut result = Coefficients {
        powers: [[T::ZERO; MOST_POINTS]; MOST_PAIRS],
        negative: [T::ZERO; MOST_PAIRS],
        all: [T::ZERO; MOST_PAIRS],
        others: [[T::ZERO; MOST_PAIRS - 1]; MOST_PAIRS],
        minus: element(-1.0),
    };
    for (pair, &p) in pairs.iter().enumerate() {
        for (power, to) in result.powers[pair].iter_mut().enumerate() {
            *to = element(p.powi(power as i32));
        }
        result.negative[pair] = element(-p);
        for (to, from) in result.others[pair].iter_mut().zip(product(Some(pair))) {
            *to = element(from);
        }
    }
    for (to, from) in result.all.iter_mut().zip(product(None)) {
        *to = element(from);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tilings_of_a_kernel() {
        let outputs = |taps| Tiling::all(taps, [1, 1]).map(|tiling| tiling.outputs).collect::<Vec<_>>();
        assert_eq!(outputs([3, 3]).len(), 9);
        assert_eq!(outputs([1, 7]), [[1, 2]]);
        assert_eq!(outputs([5, 1]), [[2, 1], [4, 1]]);
        assert_eq!(outputs([1, 1]), [[0; 2]; 0]);
        assert_eq!(outputs([3, 8]), [[0; 2]; 0]);
        let strided = |taps, stride| Tiling::all(taps, stride).map(|tiling| tiling.outputs).collect::<Vec<_>>();
        assert_eq!(strided([3, 1], [2, 2]), [[2, 1], [3, 1], [4, 1], [5, 1]]);
        assert_eq!(strided([1, 5], [1, 2]), [[1, 2], [1, 3], [1, 4]]);
        // With no more taps than strides no two outputs share an input.
        assert_eq!(strided([3, 3], [3, 3]), [[0; 2]; 0]);
    }

    /// The products of a strided tile, interpolated by hand, are the outputs.
    #[test]
    fn strided_kernels_are_sums_of_phases() {
        let tiling = Tiling { outputs: [3, 1], taps: [3, 1], stride: [2, 1] };
        let part = |input, taps, first, points, output, outputs| Part { input, taps, first, points, output, outputs };
        let singles = [part(1, 1, 4, 1, 0, 1), part(3, 1, 5, 1, 1, 1), part(5, 1, 6, 1, 2, 1)];
        assert_eq!(tiling.parts(0)[0], part(0, 2, 0, 4, 0, 3));
        assert_eq!(tiling.parts(0)[1..], singles);
        assert_eq!((tiling.points(), tiling.inputs([2, 1])), ([7, 1], [13, 1]));
        let mut values = [0.0; 7];
        tiling.kernel_transform().run(&[2.0, 3.0, 4.0], &mut values);
        // At 0, 1, -1 and infinity of `2 + 4x`, scaled, and the tap between them for each output.
        assert_eq!(values, [-2.0, 3.0, -1.0, 4.0, 3.0, 3.0, 3.0]);
    }

    /// The amplification by its definition, from the transforms of unit vectors.
    #[test]
    fn amplification_is_that_of_the_transforms() {
        for (outputs, taps, expected) in [(2, 3, 4.0), (4, 3, 12.34), (6, 3, 39.56), (2, 5, 12.34), (2, 7, 39.56)] {
            let found = amplification(outputs, taps);
            assert!((found - expected).abs() < 0.01, "F({outputs}, {taps}): {found}");
        }
    }

    #[test]
    fn a_kernel_at_points() {
        // F(2, 3): 0, 1, -1, infinity.
        let expected = [[-1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
        assert_eq!(evaluations(4, 3), expected);
        let coefficients = coefficients::<f64>(8);
        // (x² - 1/4)(x² - 1)(x² - 4), and without the first factor.
        assert_eq!(coefficients.all, [-1.0, 5.25, -5.25]);
        assert_eq!(coefficients.others[0], [4.0, -5.0]);
    }
}
