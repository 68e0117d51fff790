//! Loops over register tiles, written out.

/// Repeats a block for `I` in `0..N`, `N` at most 16, with `I` a constant in each copy.
///
/// A plain loop over an array of accumulators is unrolled late, or not at all at `opt-level = 2`, and
/// then the accumulators live in memory. With constant indices they are registers from the first pass.
///
/// A count is a constant's name, a number, or an expression in parentheses. Whether a copy's index is below a name is worked out once for all kernels
/// ([`Below`]); below an expression it is worked out in each copy of each kernel, which takes compilers minutes where loops are nested in one.
macro_rules! unroll {
    ($index:ident < $count:tt, $body:block) => {
        unroll!(@copies $index, $count, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    ($index:ident < $count:tt, at most 28, $body:block) => {
        unroll!(@copies $index, $count, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27)
    };
    ($index:ident < $count:tt, at most 2, $body:block) => {
        unroll!(@copies $index, $count, $body, 0 1)
    };
    ($index:ident < $count:tt, at most 3, $body:block) => {
        unroll!(@copies $index, $count, $body, 0 1 2)
    };
    ($index:ident < $count:tt, at most 4, $body:block) => {
        unroll!(@copies $index, $count, $body, 0 1 2 3)
    };
    ($index:ident < $count:tt, at most 6, $body:block) => {
        unroll!(@copies $index, $count, $body, 0 1 2 3 4 5)
    };
    ($index:ident < $count:tt, at most 8, $body:block) => {
        unroll!(@copies $index, $count, $body, 0 1 2 3 4 5 6 7)
    };
    (@copies $index:ident, $count:tt, $body:block, $($value:literal)*) => {
        $({
            const $index: usize = $value;
            if unroll!(@below $value, $count) $body
        })*
    };
    (@below $value:literal, $count:ident) => {
        $crate::simd::Below::<$value, $count>::HOLDS
    };
    (@below $value:literal, $count:literal) => {
        $crate::simd::Below::<$value, $count>::HOLDS
    };
    (@below $value:literal, $count:tt) => {
        const { $value < $count }
    };
}
pub(crate) use unroll;

/// Whether one number is below another.
pub(crate) struct Below<const INDEX: usize, const COUNT: usize>;

impl<const INDEX: usize, const COUNT: usize> Below<INDEX, COUNT> {
    pub(crate) const HOLDS: bool = INDEX < COUNT;
}

/// Runs an expression in which `N` is a constant: the lanes of a vector, for arrays with an element for each.
macro_rules! by_lanes {
    ($N:ident = $lanes:expr => $body:expr) => {
        by_lanes!(@match $N, $lanes, $body, 2 4 8 16)
    };
    (@match $N:ident, $lanes:expr, $body:expr, $($value:literal)*) => {
        match $lanes {
            $($value => {
                const $N: usize = $value;
                $body
            })*
            lanes => unreachable!("no vectors of {lanes} lanes"),
        }
    };
}
pub(crate) use by_lanes;
