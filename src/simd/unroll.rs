//! Loops over register tiles, written out.

/// Repeats a block for `I` in `0..N`, with `I` a constant in each copy. `N` is at most 16, or what is said; with more it panics.
///
/// A plain loop over an array of accumulators is unrolled late, or not at all at `opt-level = 2`, and
/// then the accumulators live in memory. With constant indices they are registers from the first pass.
macro_rules! unroll {
    ($index:ident < $count:expr, $body:block) => {
        unroll!(@copies $index, $count, 16, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    ($index:ident < $count:expr, at most 2, $body:block) => {
        unroll!(@copies $index, $count, 2, $body, 0 1)
    };
    ($index:ident < $count:expr, at most 3, $body:block) => {
        unroll!(@copies $index, $count, 3, $body, 0 1 2)
    };
    ($index:ident < $count:expr, at most 4, $body:block) => {
        unroll!(@copies $index, $count, 4, $body, 0 1 2 3)
    };
    ($index:ident < $count:expr, at most 6, $body:block) => {
        unroll!(@copies $index, $count, 6, $body, 0 1 2 3 4 5)
    };
    ($index:ident < $count:expr, at most 8, $body:block) => {
        unroll!(@copies $index, $count, 8, $body, 0 1 2 3 4 5 6 7)
    };
    ($index:ident < $count:expr, at most 28, $body:block) => {
        unroll!(@copies $index, $count, 28, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27)
    };
    (@copies $index:ident, $count:expr, $most:literal, $body:block, $($value:literal)*) => {
        // Not for the compiler to refuse: it also looks at tiles that are never run.
        if const { $count > $most } {
            unreachable!("there are copies for {} only", $most);
        }
        $({
            const $index: usize = $value;
            if const { $index < $count } $body
        })*
    };
}
pub(crate) use unroll;

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
