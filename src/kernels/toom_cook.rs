//! The one-dimensional transforms of Winograd's convolution, with a vector of channels at a time.
//!
//! A polynomial is determined by its values at as many points as it has coefficients (Toom, 1963; Cook, 1966). A tile of `n` inputs is
//! *evaluated* at `n` points: `k` pairs `±p`, infinity, and 0 if `n` is even. What the products there say about `m` outputs is
//! *interpolated*. The pairs share all but their last multiply-add.

use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// Most points.
pub(crate) const MOST_POINTS: usize = 8;
/// Most pairs of points.
pub(crate) const MOST_PAIRS: usize = (MOST_POINTS - 1) / 2;

/// The coefficients for a number of points; those of pairs that there are not are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Coefficients<T> {
    /// `p^j` of each pair.
    pub(crate) powers: [[T; MOST_POINTS]; MOST_PAIRS],
    /// `-p`.
    pub(crate) negative: [T; MOST_PAIRS],
    /// The product of all `x² - p²`, by powers of `x²`, without the leading 1.
    pub(crate) all: [T; MOST_PAIRS],
    /// And of all but one of them.
    pub(crate) others: [[T; MOST_PAIRS - 1]; MOST_PAIRS],
    /// -1.
    pub(crate) minus: T,
}

/// Vectors in memory: those of item `[a, b]` begin at `a * steps[0] + b * steps[1]`, and are `pitch` elements apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    pub(crate) steps: [usize; 2],
    pub(crate) pitch: usize,
}

/// One transform of many items.
pub(crate) struct Pass<'a, T> {
    pub(crate) coefficients: &'a Coefficients<T>,
    pub(crate) items: [usize; 2],
    /// Vectors of an item.
    pub(crate) points: usize,
    pub(crate) from: &'a [T],
    pub(crate) from_places: Places,
    pub(crate) to: &'a mut [T],
    pub(crate) to_places: Places,
}

/// Inputs to values at points, as many.
pub(crate) struct Evaluate<'a, T>(pub(crate) Pass<'a, T>);

/// Values at points to outputs.
pub(crate) struct Interpolate<'a, T> {
    pub(crate) pass: Pass<'a, T>,
    pub(crate) outputs: usize,
    /// Added to each output: a number for each lane, the last lanes may have none. Or what is there already.
    pub(crate) bias: Option<&'a [T]>,
}

impl<T: Arithmetic> Kernel<T> for Evaluate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        match self.0.points {
            1 => self.0.evaluate::<S, 1>(simd),
            3 => self.0.evaluate::<S, 3>(simd),
            4 => self.0.evaluate::<S, 4>(simd),
            5 => self.0.evaluate::<S, 5>(simd),
            6 => self.0.evaluate::<S, 6>(simd),
            8 => self.0.evaluate::<S, 8>(simd),
            points => unreachable!("no transform with {points} points"),
        }
    }
}

impl<T: Arithmetic> Kernel<T> for Interpolate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(mut self, simd: S) {
        macro_rules! by_size {
            ($add:literal, $bias:expr, $($points:literal to $($outputs:literal)*),*) => {
                match (self.pass.points, self.outputs) {
                    $($(($points, $outputs) => self.interpolate::<S, $points, $outputs, $add>(simd, $bias),)*)*
                    size => unreachable!("no transform of points and outputs {size:?}"),
                }
            };
        }
        match self.bias {
            Some(bias) => by_size!(false, bias, 1 to 1, 3 to 2, 4 to 2 3, 5 to 2 3 4, 6 to 2 3 4 5, 8 to 2 3 4 5 6 7),
            None => by_size!(true, &[], 1 to 1, 3 to 2, 4 to 2 3, 5 to 2 3 4, 6 to 2 3 4 5),
        }
    }
}

impl<T: Arithmetic> Pass<'_, T> {
    #[inline(always)]
    fn evaluate<S: Simd<T>, const N: usize>(self, simd: S) {
        let Pass { coefficients, items, from, from_places, to, to_places, .. } = self;
        let span = [from_places, to_places].map(|places| (N - 1) * places.pitch + S::LANES);
        for a in 0..items[0] {
            for b in 0..items[1] {
                let [start, end] = [from_places, to_places].map(|places| a * places.steps[0] + b * places.steps[1]);
                let (from, to) = (&from[start..start + span[0]], &mut to[end..end + span[1]]);
                let mut inputs = [simd.splat(T::ZERO); N];
                unroll!(I < N, at most 8, {
                    inputs[I] = simd.load(&from[I * from_places.pitch..]);
                });
                let values = values::<T, S, N>(simd, inputs, coefficients);
                unroll!(I < N, at most 8, {
                    simd.store(values[I], &mut to[I * to_places.pitch..]);
                });
            }
        }
    }
}

impl<T: Arithmetic> Interpolate<'_, T> {
    #[inline(always)]
    fn interpolate<S: Simd<T>, const N: usize, const M: usize, const ADD: bool>(&mut self, simd: S, bias: &[T]) {
        let Pass { coefficients, items, from, from_places, to, to_places, .. } = &mut self.pass;
        let bias = if bias.len() < S::LANES { simd.load_partial(bias) } else { simd.load(bias) };
        let span = [(N - 1) * from_places.pitch + S::LANES, (M - 1) * to_places.pitch + S::LANES];
        for a in 0..items[0] {
            for b in 0..items[1] {
                let [start, end] = [*from_places, *to_places].map(|places| a * places.steps[0] + b * places.steps[1]);
                let (from, to) = (&from[start..start + span[0]], &mut to[end..end + span[1]]);
                let mut values = [simd.splat(T::ZERO); N];
                unroll!(I < N, at most 8, {
                    values[I] = simd.load(&from[I * from_places.pitch..]);
                });
                let outputs = outputs::<T, S, N, M>(simd, values, coefficients);
                unroll!(I < M, at most 8, {
                    let place = &mut to[I * to_places.pitch..];
                    let before = if ADD { simd.load(place) } else { bias };
                    simd.store(simd.add(outputs[I], before), place);
                });
            }
        }
    }
}

/// `M(x) / (x - q)` for each point `q`, and `M(x)` for infinity, applied to the inputs as coefficients; `M(x)` is the product of all `x - q`.
#[inline(always)]
fn values<T: Arithmetic, S: Simd<T>, const N: usize>(
    simd: S,
    inputs: [S::Vector; N],
    coefficients: &Coefficients<T>,
) -> [S::Vector; N] {
    if N == 1 {
        return inputs;
    }
    // With a point at 0 all others are multiplied by x, too.
    let (pairs, zero) = ((N - 1) / 2, N.is_multiple_of(2));
    let shift = usize::from(zero);
    let (mut values, mut at_zero, mut infinity) = (inputs, inputs[2 * pairs], inputs[N - 1]);
    unroll!(J < MOST_PAIRS, at most 3, {
        if J < pairs {
            let factor = simd.splat(coefficients.all[J]);
            if zero {
                at_zero = simd.fma(factor, inputs[2 * J], at_zero);
            }
            infinity = simd.fma(factor, inputs[2 * J + shift], infinity);
        }
    });
    unroll!(PAIR < MOST_PAIRS, at most 3, {
        if PAIR < pairs {
            let (mut even, mut odd) = (inputs[2 * pairs - 1 + shift], inputs[2 * pairs - 2 + shift]);
            unroll!(J < (MOST_PAIRS - 1), at most 2, {
                if J + 1 < pairs {
                    let factor = simd.splat(coefficients.others[PAIR][J]);
                    even = simd.fma(factor, inputs[2 * J + 1 + shift], even);
                    odd = simd.fma(factor, inputs[2 * J + shift], odd);
                }
            });
            values[2 * PAIR + shift] = simd.fma(simd.splat(coefficients.powers[PAIR][1]), odd, even);
            values[2 * PAIR + 1 + shift] = simd.fma(simd.splat(coefficients.negative[PAIR]), odd, even);
        }
    });
    if zero {
        values[0] = at_zero;
    }
    values[N - 1] = infinity;
    values
}

/// Output `i` is the sum of the values times the `i`-th power of their points; that of infinity counts in the last one only.
#[inline(always)]
fn outputs<T: Arithmetic, S: Simd<T>, const N: usize, const M: usize>(
    simd: S,
    values: [S::Vector; N],
    coefficients: &Coefficients<T>,
) -> [S::Vector; M] {
    if N == 1 {
        return [values[0]; M];
    }
    let (pairs, zero) = ((N - 1) / 2, N.is_multiple_of(2));
    let shift = usize::from(zero);
    let mut outputs = [if zero { values[0] } else { simd.splat(T::ZERO) }; M];
    unroll!(PAIR < MOST_PAIRS, at most 3, {
        if PAIR < pairs {
            let (plus, minus) = (values[2 * PAIR + shift], values[2 * PAIR + 1 + shift]);
            let sum = simd.add(plus, minus);
            let difference = simd.fma(simd.splat(coefficients.minus), minus, plus);
            outputs[0] = if PAIR == 0 && !zero { sum } else { simd.add(outputs[0], sum) };
            unroll!(I < M, at most 8, {
                if I != 0 {
                    let part = if I.is_multiple_of(2) { sum } else { difference };
                    let before = if PAIR == 0 { simd.splat(T::ZERO) } else { outputs[I] };
                    outputs[I] = simd.fma(simd.splat(coefficients.powers[PAIR][I]), part, before);
                }
            });
        }
    });
    outputs[M - 1] = simd.add(outputs[M - 1], values[N - 1]);
    outputs
}
