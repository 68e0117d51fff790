//! The order of summation, and how far an algorithm may leave it.

/// Taps per partial sum in [`Numerics::Exact`].
///
/// An output element is `((bias + p0) + p1) + …`, where `p_i` is the fused multiply-add chain over
/// the `i`-th run of this many taps in `(ic, kh, kw)` order, started from +0. The number is part
/// of the meaning of every operation: it depends on no cache size and no thread count.
pub const SUMMATION_BLOCK: usize = 256;

/// How an output element may be summed.
///
/// ```
/// use ndconv::{Conv2d, Numerics};
/// assert_eq!(Conv2d::new(3, 8, 3).numerics, Numerics::Exact);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Numerics {
    /// One fixed order: taps in `(ic, kh, kw)` order, fused multiply-add, partial sums of
    /// [`SUMMATION_BLOCK`] taps added in order from the bias. The bits do not depend on threads,
    /// batch, memory layout, algorithm or instruction set.
    #[default]
    Exact,
    /// Algorithms that sum in another order are admitted. Still the same bits for any number of
    /// threads and any batch. Today every operation runs its exact algorithm in this mode too.
    Fast,
}
