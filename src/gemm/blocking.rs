//! How much of the matrices is worked on at a time.

use crate::kernels::copy::SLACK;
use crate::numerics::SUMMATION_BLOCK;
use crate::simd::{Isa, Kernel, Simd};

/// Bytes of packed pixels that are reused by all rows: they stay in L2 (half of the 1 MiB or more that
/// current cores have) while a weight panel stays in L1. Set with `cargo bench --bench layers`.
const PACKED_BYTES: usize = 512 << 10;

/// Pixels of a block.
pub(crate) fn pixels_per_block<T>() -> usize {
    PACKED_BYTES / (SUMMATION_BLOCK * size_of::<T>())
}

/// Elements of scratch that a [`Gemm`](super::Gemm) over blocks of at most these taps and pixels packs into.
pub(crate) fn packed_len(taps: usize, pixels: usize) -> usize {
    // Vectors of every instruction set divide the slack.
    taps.min(SUMMATION_BLOCK) * pixels.next_multiple_of(SLACK) + SLACK
}

/// The register tile of an instruction set for an element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Output channels.
    pub(crate) rows: usize,
    /// Pixels in a vector.
    pub(crate) lanes: usize,
}

impl Tile {
    pub(crate) fn of<T: crate::element::Element>(isa: Isa) -> Tile {
        struct Shape;
        impl<T: Copy> Kernel<T> for Shape {
            type Output = Tile;
            #[inline(always)]
            fn run<S: Simd<T>>(self, _: S) -> Tile {
                Tile { rows: S::TILE_ROWS, lanes: S::LANES }
            }
        }
        T::launch(isa, Shape)
    }

    /// Rows of a weight panel, such that the panels of `rows` rows are as few as can be and as even as can be.
    pub(crate) fn panel_rows(self, rows: usize) -> usize {
        rows.div_ceil(rows.div_ceil(self.rows))
    }
}
