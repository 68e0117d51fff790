//! The blocked matrix product behind every convolution: `output[row][pixel] += weights[row][tap] * source[tap][pixel]`.
//!
//! ```text
//! for block of taps:                        # at most 256, fixed by the numerics
//!     pack the source's pixels for the block     → scratch
//!     for panel of weight rows:                  # stays in L1
//!         for tile of pixels:                    # streams from L2
//!             multiply, add to the output        → kernels::gemm_tile
//! ```
//!
//! The source is a virtual matrix: [`Source`] makes the block that is wanted, when it is wanted. The pixels are
//! those of one region, few enough for the block to stay in cache: [`blocking::max_pixels`].

pub(crate) mod blocking;
mod weights;

use core::ops::Range;

use crate::element::Element;
use crate::kernels::gemm_tile::{MultiplyPanel, Start};
use crate::numerics::SUMMATION_BLOCK;
use crate::simd::{Isa, Kernel, Simd};
pub(crate) use weights::PackedWeights;

/// A block of a virtual matrix in working memory.
///
/// Tap `k`'s pixels follow each other from `offsets[k]` on. Where taps see the same pixels at a distance, they may share
/// them. What lies behind the last pixel of a tap may be anything.
pub(crate) struct Packed<'a, T> {
    /// [`blocking::packed_len`] elements.
    pub(crate) data: &'a mut [T],
    /// One for each tap of the block.
    pub(crate) offsets: &'a mut [u32],
}

/// A virtual matrix `[taps][pixels]`, made a block at a time.
pub(crate) trait Source<T: Copy> {
    /// Where memory holds the given taps of all pixels already, as in [`Packed`] and with [`blocking::SPARE`] elements behind
    /// the last one: that memory, and the taps' offsets in it.
    fn in_place(&self, taps: Range<usize>, offsets: &mut [u32]) -> Option<&[T]>;

    /// Makes the given taps of all pixels.
    fn pack<S: Simd<T>>(&self, simd: S, taps: Range<usize>, packed: Packed<'_, T>);
}

/// Rows of output that a [`Gemm`] adds to: one element for each pixel of the source.
pub(crate) trait Rows<T> {
    /// Calls `with` on the rows `first..first + count`.
    fn with_rows(&mut self, first: usize, count: usize, with: impl FnOnce(&mut [&mut [T]]));
}

/// Most rows in a weight panel, of any instruction set.
pub(crate) const MAX_PANEL_ROWS: usize = 14;

/// One group's matrix product, or some of its row panels.
pub(crate) struct Gemm<'a, T, P> {
    pub(crate) isa: Isa,
    pub(crate) weights: &'a PackedWeights<T>,
    pub(crate) group: usize,
    /// Which panels of the group's rows.
    pub(crate) panels: Range<usize>,
    pub(crate) source: &'a P,
    /// One number for each row of those panels, or none.
    pub(crate) bias: Option<&'a [T]>,
}

impl<T: Element, P: Source<T>> Gemm<'_, T, P> {
    /// Computes all pixels. Row 0 of `output` is the first row of the first panel.
    pub(crate) fn run(&self, output: &mut impl Rows<T>, scratch: &mut [T]) {
        let zeros = [T::ZERO; MAX_PANEL_ROWS];
        let mut offsets = [0; SUMMATION_BLOCK];
        let panels = self.weights.panels();
        let first_row = panels.start(self.panels.start);
        for (index, taps) in self.weights.blocks().enumerate() {
            let offsets = &mut offsets[..taps.len()];
            let pixels = match self.source.in_place(taps.clone(), offsets) {
                Some(pixels) => pixels,
                None => {
                    let packed = Packed { data: &mut *scratch, offsets: &mut *offsets };
                    T::launch(self.isa, PackBlock { source: self.source, taps, packed });
                    &*scratch
                }
            };
            for panel in self.panels.clone() {
                let rows = panels.range(panel..panel + 1);
                let (first, rows) = (rows.start - first_row, rows.len());
                let start = match (index, self.bias) {
                    (0, Some(bias)) => Start::Bias(&bias[first..first + rows]),
                    (0, None) => Start::Bias(&zeros[..rows]),
                    _ => Start::Output,
                };
                let weights = self.weights.panel(self.group, index, panel);
                output.with_rows(first, rows, |rows| {
                    T::multiply_panel(self.isa, MultiplyPanel { weights, pixels, offsets, start, rows });
                });
            }
        }
    }
}

/// [`Source::pack`], compiled for an instruction set.
struct PackBlock<'a, T, P> {
    source: &'a P,
    taps: Range<usize>,
    packed: Packed<'a, T>,
}

impl<T: Element, P: Source<T>> Kernel<T> for PackBlock<'_, T, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        self.source.pack(simd, self.taps, self.packed);
    }
}
