//! `sums += weights * x`: one input element seen by many output channels.

use crate::simd::{Arithmetic, Kernel, Simd};

/// One tap of one pixel, for all of its output channels.
pub(crate) struct Axpy<'a, T> {
    pub(crate) x: T,
    pub(crate) weights: &'a [T],
    pub(crate) sums: &'a mut [T],
}

impl<T: Arithmetic> Kernel<T> for Axpy<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let x = simd.splat(self.x);
        for (weights, sums) in self.weights.chunks(S::LANES).zip(self.sums.chunks_mut(S::LANES)) {
            if sums.len() == S::LANES {
                simd.store(simd.fma(simd.load(weights), x, simd.load(sums)), sums);
            } else {
                let sum = simd.fma(simd.load_partial(weights), x, simd.load_partial(sums));
                simd.store_partial(sum, sums);
            }
        }
    }
}
