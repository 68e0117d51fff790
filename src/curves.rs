//! Exponentials without branches or tables, so that loops over them become vector instructions.
//!
//! Every step is a multiply-add, a sum, a quotient or an operation on bits: the result is the same on every machine and for every width of vectors. With
//! `n` the whole number nearest to `x / ln 2` and `r = x - n ln 2`,
//!
//! ```text
//! e^x = 2^n (1 + p)        p = r + r² q(r), a polynomial on |r| <= ln 2 / 2
//! e^x - 1 = 2^n p + (2^n - 1)
//! ```
//!
//! The coefficients are Chebyshev fits in 60 digits.

use crate::simd::Arithmetic;

/// `a + x b + x² c + …` for `[.., c, b, a]`.
macro_rules! polynomial {
    ($x:expr, [$first:expr $(, $next:expr)* $(,)?]) => {{
        let (x, sum) = ($x, $first);
        $(let sum = x.mul_add(sum, $next);)*
        sum
    }};
}

macro_rules! exponentials {
    ($name:ident, $type:ident, bits $bits:ident, rest of ln 2 $rest:literal, least $least:literal, most $most:literal, flat $flat:literal, q $q:tt) => {
        pub(crate) mod $name {
            use crate::simd::Arithmetic;

            const MANTISSA: u32 = $type::MANTISSA_DIGITS - 1;
            /// A number so large that one added to it is a whole one, in its lowest bits.
            const WHOLE: $type = 1.5 * (1_u64 << MANTISSA) as $type;
            /// What `ln 2` is more than the nearest number.
            const LN_2_REST: $type = $rest;

            /// `n`, and `p`.
            #[inline(always)]
            fn reduced(x: $type) -> ($bits, $type) {
                let whole = x.mul_add(core::$type::consts::LOG2_E, WHOLE);
                let n = whole - WHOLE;
                let r = n.mul_add(-LN_2_REST, n.mul_add(-core::$type::consts::LN_2, x));
                let q = polynomial!(r, $q);
                (whole.to_bits().wrapping_sub(WHOLE.to_bits()) as $bits, (r * r).mul_add(q, r))
            }

            /// `2^n` where that is a normal number; anything where `n` came of a NaN.
            #[inline(always)]
            fn power_of_two(n: $bits) -> $type {
                const ONE: $bits = (1.0 as $type).to_bits() as $bits;
                $type::from_bits((n << MANTISSA).wrapping_add(ONE) as _)
            }

            /// `e^x`.
            #[inline(always)]
            pub(crate) fn exp(x: $type) -> $type {
                // Beyond these it is infinite, or 0.
                let (n, p) = reduced(x.within($least, $most));
                // By halves, since neither end of the range has a power of two.
                (1.0 + p) * power_of_two(n >> 1) * power_of_two(n - (n >> 1))
            }

            /// `tanh x = (e^2x - 1) / (e^2x + 1)`.
            #[inline(always)]
            pub(crate) fn tanh(x: $type) -> $type {
                // From here on it is 1.
                let (n, p) = reduced((2.0 * x.abs()).within(0.0, $flat));
                let power = power_of_two(n);
                let less_one = power.mul_add(p, power - 1.0);
                (less_one / (less_one + 2.0)).copysign(x)
            }
        }
    };
}

exponentials!(single, f32, bits i32, rest of ln 2 -1.904_654_3e-9, least -104.0, most 89.0, flat 20.0,
    q [0.001_392_625, 0.008_363_233, 0.041_666_552, 0.166_665_76, 0.5]);
exponentials!(double, f64, bits i64, rest of ln 2 2.319_046_813_846_3e-17, least -746.0, most 710.0, flat 40.0,
    q [2.510_047_250_569_499_6e-8, 2.762_020_159_103_154_7e-7, 2.755_726_827_690_569_6e-6, 2.480_152_105_786_820_4e-5,
    0.000_198_412_698_631_715_57, 0.001_388_888_891_736_708_1, 0.008_333_333_333_330_039, 0.041_666_666_666_623_824,
    0.166_666_666_666_666_69, 0.500_000_000_000_000_1]);

/// The error function: `x + x p(x²)` up to 1, and from there on `1 - e^p(x)`.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let (square, size) = (x * x, x.abs());
    let more = polynomial!(
        square,
        [7.875_875e-5, -0.000_801_686_43, 0.005_189_087_2, -0.026_854_211, 0.112_835_94, -0.376_126_26, 0.128_379_17]
    );
    let near = x.mul_add(more, x);
    // From 4 on it is 1.
    let log = polynomial!(
        size.within(0.0, 4.0),
        [
            1.637_151_4e-6,
            -4.605_804e-5,
            0.000_596_805_65,
            -0.004_759_596,
            0.026_421_135,
            -0.110_080_086,
            -0.631_826_04,
            -1.130_233_4,
            0.000_320_138_06
        ]
    );
    let far = (1.0 - single::exp(log)).copysign(x);
    if size > 1.0 { far } else { near }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How far a result is from the true value, in units in the last place of that.
    fn ulps_of_single(found: f32, truth: f64) -> f64 {
        let nearest = truth as f32;
        if found.to_bits() == nearest.to_bits() || (found.is_nan() && truth.is_nan()) {
            return 0.0;
        }
        let unit = f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
        (f64::from(found) - truth).abs() / unit
    }

    #[test]
    fn single_is_near_the_truth() {
        type Pair = (fn(f32) -> f32, fn(f64) -> f64, f64);
        let pairs: [Pair; 3] = [(single::exp, libm::exp, 1.1), (single::tanh, libm::tanh, 2.5), (erf, libm::erf, 1.5)];
        for (found, truth, most) in pairs {
            for x in (0..=u32::MAX).step_by(4099).map(f32::from_bits) {
                let ulps = ulps_of_single(found(x), truth(f64::from(x)));
                assert!(ulps <= most, "{ulps} at {x}");
            }
        }
    }

    #[test]
    fn double_is_near_the_truth() {
        type Pair = (fn(f64) -> f64, fn(f64) -> f64, u64);
        let pairs: [Pair; 2] = [(double::exp, libm::exp, 1), (double::tanh, libm::tanh, 4)];
        for (found, truth, most) in pairs {
            let near_zero = (-500_000..500_000).map(|x| f64::from(x) * 1e-4);
            for x in (0..=u64::MAX).step_by((1 << 44) + 12345).map(f64::from_bits).chain(near_zero) {
                let (found, truth) = (found(x), truth(x));
                let same = found.is_nan() && truth.is_nan();
                assert!(same || found.to_bits().abs_diff(truth.to_bits()) <= most, "{found}, not {truth}, at {x}");
            }
        }
    }
}
