//! The blocked matrix product behind every convolution: `output[row][pixel] += weights[row][tap] * source[tap][pixel]`.
//!
//! ```text
//! for block of taps:                        # at most 256, fixed by the numerics
//!     pack the source's pixels for the block     → scratch, panels of a tile's width
//!     for panel of weight rows:                  # stays in L1
//!         for tile of pixels:                    # streams from L2
//!             multiply, add to the output        → kernels::gemm_tile
//! ```
//!
//! The source is a virtual matrix: [`Panels`] makes the piece that is wanted, when it is wanted. The
//! loop over pixels is the caller's, in blocks of [`blocking::pixels_per_block`].

pub(crate) mod blocking;
mod weights;

use core::ops::Range;

use crate::element::Element;
use crate::kernels::gemm_tile::{MultiplyPanel, Start};
use crate::simd::{Isa, Kernel, Simd};
pub(crate) use weights::PackedWeights;

/// A virtual matrix `[taps][pixels]`, made panel by panel.
pub(crate) trait Panels<T: Copy> {
    /// Writes `panel[tap][pixel]`, rows `width` apart, for the given taps and pixels. There are at most `width` pixels;
    /// what lies behind them in a row is arbitrary. `panel` has [`SLACK`](crate::kernels::copy::SLACK)
    /// elements to spare.
    fn pack<S: Simd<T>>(&self, simd: S, taps: Range<usize>, pixels: Range<usize>, width: usize, panel: &mut [T]);
}

/// Rows of output that a [`Gemm`] adds to.
pub(crate) trait Rows<T> {
    /// Calls `with` on the rows `first..first + count`, each reaching over all pixels of the block.
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

impl<T: Element, P: Panels<T>> Gemm<'_, T, P> {
    /// Computes the given pixels. Row 0 of `output` is the first row of the first panel.
    pub(crate) fn run(&self, pixels: Range<usize>, output: &mut impl Rows<T>, scratch: &mut [T]) {
        let zeros = [T::ZERO; MAX_PANEL_ROWS];
        let height = self.weights.panel_rows();
        for (index, taps) in self.weights.blocks().enumerate() {
            let (source, count) = (self.source, taps.len());
            T::launch(self.isa, PackBlock { source, taps, pixels: pixels.clone(), scratch: &mut *scratch });
            for (number, panel) in self.panels.clone().enumerate() {
                let first = number * height;
                let rows = self.weights.rows_of(panel);
                let start = match (index, self.bias) {
                    (0, Some(bias)) => Start::Bias(&bias[first..first + rows]),
                    (0, None) => Start::Bias(&zeros[..rows]),
                    _ => Start::Output,
                };
                let weights = self.weights.panel(self.group, index, panel);
                output.with_rows(first, rows, |rows| {
                    T::launch(self.isa, MultiplyPanel { weights, pixels: scratch, taps: count, start, rows });
                });
            }
        }
    }
}

/// Packs all panels of a block: tiles of the instruction set's width while they last, then single vectors.
struct PackBlock<'a, T, P> {
    source: &'a P,
    taps: Range<usize>,
    pixels: Range<usize>,
    scratch: &'a mut [T],
}

impl<T: Element, P: Panels<T>> Kernel<T> for PackBlock<'_, T, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let (mut first, end) = (self.pixels.start, self.pixels.end);
        let mut panel = self.scratch;
        while first < end {
            let wide = S::TILE_VECTORS * S::LANES;
            let width = if end - first >= wide { wide } else { S::LANES };
            let pixels = first..end.min(first + width);
            self.source.pack(simd, self.taps.clone(), pixels, width, panel);
            panel = &mut panel[self.taps.len() * width..];
            first += width;
        }
    }
}
