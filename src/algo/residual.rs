//! A convolution whose input is added to its output.

use ndarray::{ArrayView3, ArrayViewMut3, s};

use crate::activation::Activation;
use crate::algo::{Extent, Region, Stage, activate};
use crate::element::Element;
use crate::scratch::Scratch;
use crate::simd::Isa;

/// `activation(inner(input) + input)`, for an inner stage whose output has the size of its input.
pub(crate) struct Residual<'a, T, A> {
    pub(crate) inner: A,
    pub(crate) activation: &'a Activation<T>,
    pub(crate) isa: Isa,
}

impl<T: Element, A: Stage<T>> Stage<T> for Residual<'_, T, A> {
    fn scratch_len(&self, extent: Extent) -> usize {
        self.inner.scratch_len(extent)
    }

    fn run(
        &self,
        input: ArrayView3<'_, T>,
        region: &Region,
        mut output: ArrayViewMut3<'_, T>,
        scratch: Scratch<'_, T>,
    ) {
        self.inner.run(input, region, output.view_mut(), scratch);
        let Region { channels, rows, columns, .. } = region.clone();
        let added = input.slice(s![channels, rows, columns]);
        output.zip_mut_with(&added, |sum, input| *sum = sum.plus(*input));
        activate(self.isa, self.activation, output, region.channels.start);
    }
}
