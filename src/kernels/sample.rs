//! Bilinear samples of an image whose channels are lanes.
//!
//! At position `(y, x)` with `ly = y - floor(y)`, `hy = 1 - ly` and likewise for `x`:
//!
//! ```text
//! value = hy hx v[⌊y⌋][⌊x⌋] + hy lx v[⌊y⌋][⌊x⌋+1] + ly hx v[⌊y⌋+1][⌊x⌋] + ly lx v[⌊y⌋+1][⌊x⌋+1]
//! ```
//!
//! in that order, the first product rounded and the others fused. The four weights and the place are the same for all channels, so that a
//! vector of channels costs four loads and as many multiply-adds, wherever the position is.

use crate::simd::{Arithmetic, Simd, unroll};

/// Where and how some pixels are sampled, one element for each.
#[derive(Clone, Copy)]
pub(crate) struct Samples<'a, T> {
    /// The place in the plane of the corner at the top left. The others are a pixel, a row, and both behind it.
    pub(crate) places: &'a [u32],
    /// Of the corners in row-major order.
    pub(crate) weights: [&'a [T]; 4],
    /// A factor, where there is one.
    pub(crate) mask: Option<&'a [T]>,
}

impl<T: Arithmetic> Samples<'_, T> {
    /// The sample of a pixel in all channels of `plane`, which is `[row][column][lane]` with rows `pitch` elements apart.
    #[inline(always)]
    pub(crate) fn read<S: Simd<T>>(&self, simd: S, plane: &[T], pitch: usize, pixel: usize) -> S::Vector {
        let place = self.places[pixel] as usize;
        let rows = [&plane[place..][..2 * S::LANES], &plane[place + pitch..][..2 * S::LANES]];
        // Zero plus the first product is that product, but for the sign of a zero, which no sum that begins with zero can show.
        let mut value = simd.splat(T::ZERO);
        unroll!(CORNER < 4, at most 4, {
            let corner = simd.load(&rows[CORNER / 2][CORNER % 2 * S::LANES..]);
            value = simd.fma(simd.splat(self.weights[CORNER][pixel]), corner, value);
        });
        match self.mask {
            Some(mask) => simd.fma(value, simd.splat(mask[pixel]), simd.splat(T::ZERO)),
            None => value,
        }
    }
}
