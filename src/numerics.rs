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
    /// Algorithms that sum in another order are admitted, whatever their bound: the one that is expected to be the fastest runs. Still the same
    /// bits for any number of threads and any batch; a NaN or an infinity may reach neighbouring outputs. Standard convolutions have
    /// such algorithms; all other operations run their exact ones.
    Fast,
    /// As [`Fast`](Self::Fast), but only algorithms whose results are proven to be no further from the exact ones than so many eps of the element
    /// type (2⁻²³ for `f32`) times `|bias| + Σ |w| max |x|`: see [`ErrorBound`](crate::ErrorBound). The exact order is always admitted.
    ///
    /// ```
    /// use ndconv::{Algorithm, Conv2d, Conv2dLayer, Numerics};
    /// use ndarray::Array4;
    ///
    /// let weight = Array4::from_elem((64, 64, 3, 3), 0.1f32);
    /// for numerics in [Numerics::Exact, Numerics::Within(1000), Numerics::Fast] {
    ///     let config = Conv2d::new(64, 64, 3).padding(1).bias(false).numerics(numerics);
    ///     let layer = Conv2dLayer::new(&config, &weight, None)?;
    ///     println!("{numerics:?}: {}", layer.algorithm([1, 64, 56, 56])?);
    ///     for candidate in layer.candidates([1, 64, 56, 56])? {
    ///         println!("    {candidate}");
    ///     }
    /// }
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    Within(u32),
}
