//! Plain Rust: the path of machines without one of the other instruction sets, and of integers.

use crate::simd::{Arithmetic, Kernel, Simd};

/// The instruction set of every machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Scalar;

const LANES: usize = 8;

/// Eight lanes, so that the compiler may use what vectors the target's baseline has. For floats
/// `fma` is one multiply-add with one rounding, in software where the target lacks the instruction.
impl<T: Arithmetic> Simd<T> for Scalar {
    const LANES: usize = LANES;
    const GROUP: usize = LANES;
    const REGISTERS: usize = 6;
    const PANEL_VECTORS: usize = 1;
    // One kind of tile for eight integer types is enough to compile.
    const CHANNEL_TILES: bool = false;
    // One version is enough to compile.
    const FREE_MASKS: bool = true;
    const TILE_ROWS: usize = 4;
    type Vector = [T; LANES];
    type Mask = [bool; LANES];

    #[inline(never)]
    fn call<K: Kernel<T>>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, value: T) -> Self::Vector {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, from: &[T]) -> Self::Vector {
        *from.first_chunk().expect("a whole vector")
    }

    #[inline(always)]
    fn store(self, vector: Self::Vector, to: &mut [T]) {
        *to.first_chunk_mut().expect("a whole vector") = vector;
    }

    #[inline(always)]
    fn load_partial(self, from: &[T]) -> Self::Vector {
        let mut vector = [T::ZERO; LANES];
        vector[..from.len()].copy_from_slice(from);
        vector
    }

    #[inline(always)]
    fn store_partial(self, vector: Self::Vector, to: &mut [T]) {
        to.copy_from_slice(&vector[..to.len()]);
    }

    #[inline(always)]
    fn mask(self, bits: u32) -> Self::Mask {
        core::array::from_fn(|lane| bits >> lane & 1 == 1)
    }

    #[inline(always)]
    fn keep(self, vector: Self::Vector, mask: Self::Mask) -> Self::Vector {
        core::array::from_fn(|lane| if mask[lane] { vector[lane] } else { T::ZERO })
    }

    #[inline(always)]
    fn split_groups(self, a: Self::Vector, b: Self::Vector) -> (Self::Vector, Self::Vector) {
        (a, b)
    }

    #[inline(always)]
    fn zip(self, a: Self::Vector, b: Self::Vector) -> (Self::Vector, Self::Vector) {
        let at = |index: usize| if index.is_multiple_of(2) { a[index / 2] } else { b[index / 2] };
        (core::array::from_fn(at), core::array::from_fn(|lane| at(lane + LANES)))
    }

    #[inline(always)]
    fn unzip(self, a: Self::Vector, b: Self::Vector) -> (Self::Vector, Self::Vector) {
        let at = |index: usize| if index < LANES { a[index] } else { b[index - LANES] };
        (core::array::from_fn(|lane| at(2 * lane)), core::array::from_fn(|lane| at(2 * lane + 1)))
    }

    /// A vector is one group.
    #[inline(always)]
    fn zip_groups(self, a: Self::Vector, b: Self::Vector) -> (Self::Vector, Self::Vector) {
        <Self as Simd<T>>::zip(self, a, b)
    }

    #[inline(always)]
    fn prefetch_at(self, _: *const T) {}

    #[inline(always)]
    fn prefetch_near(self, _: *const T) {}

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        core::array::from_fn(|lane| a[lane].plus(b[lane]))
    }

    #[inline(always)]
    fn fma(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        core::array::from_fn(|lane| a[lane].fma(b[lane], c[lane]))
    }

    #[inline(always)]
    fn within(self, a: Self::Vector, min: Self::Vector, max: Self::Vector) -> Self::Vector {
        core::array::from_fn(|lane| a[lane].within(min[lane], max[lane]))
    }
}
