//! How much of the matrices is worked on at a time.

use crate::element::Element;
use crate::numerics::SUMMATION_BLOCK;
use crate::parts::Parts;
use crate::simd::{Isa, Kernel, Simd};

/// Bytes of packed pixels that are reused by all rows: they stay in L2 (half of the 1 MiB or more that
/// current cores have) while a weight panel stays in L1. Set with `cargo bench --bench layers`.
const PACKED_BYTES: usize = 512 << 10;

/// Most lanes of a vector, of any instruction set and element type that has vectors.
const MAX_LANES: usize = 16;

/// Elements behind the pixels of a tap, and behind a weight panel, that may be read but count for nothing.
pub(crate) const SPARE: usize = MAX_LANES;

/// Pixels that are worked on at a time.
pub(crate) const fn max_pixels<T>() -> usize {
    PACKED_BYTES / (SUMMATION_BLOCK * size_of::<T>())
}

/// Elements of scratch that a [`Gemm`](super::Gemm) over so many taps and pixels packs into at most.
pub(crate) const fn packed_len(taps: usize, pixels: usize) -> usize {
    let taps = if taps < SUMMATION_BLOCK { taps } else { SUMMATION_BLOCK };
    // Every tap may begin at a whole vector, and behind the last one a vector may be read or written.
    taps * (pixels + MAX_LANES) + SPARE
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
    pub(crate) fn of<T: Element>(isa: Isa) -> Tile {
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

    /// So many rows in weight panels.
    pub(crate) fn panels(self, rows: usize) -> Parts {
        Parts::of_at_most(rows, self.rows)
    }
}
