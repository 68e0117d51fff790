//! Vectors behind one small trait, and the instruction sets that implement it.
//!
//! A kernel is written once, as a struct with `fn run<S: Simd<T>>(self, simd: S)`, and entered through
//! `T::launch(isa, kernel)`, which compiles it once per instruction set. A token of an instruction set
//! exists only where the set was detected, which is what makes calling its functions sound.
//!
//! This is the only module that holds `unsafe` code: calls of functions with target features (one
//! macro), vector loads and stores, and `launch`.
//!
//! Two rules that compile and are slow in silence when broken: everything generic over [`Simd`] is
//! `#[inline(always)]`, and kernels hold no closures.

#[cfg(target_arch = "aarch64")]
mod aarch64;
pub(crate) mod places;
pub(crate) mod rows;
mod scalar;
pub(crate) mod taps;
#[macro_use]
mod unroll;
#[cfg(target_arch = "x86_64")]
mod x86;

use core::fmt;

pub(crate) use scalar::Scalar;
pub(crate) use unroll::{Below, by_lanes, unroll};

/// Arithmetic of one element, for what has no vectors.
pub trait Arithmetic: Copy + PartialOrd {
    /// Zero.
    const ZERO: Self;
    /// `self * factor + addend`, rounded once; wrapping for integers.
    fn fma(self, factor: Self, addend: Self) -> Self;
    /// `self + other`; wrapping for integers.
    fn plus(self, other: Self) -> Self;
    /// `-self`; wrapping for integers.
    fn minus(self) -> Self;
    /// `min` if it is less than that, `max` if it is more, else itself: also if it is NaN.
    #[inline(always)]
    fn within(self, min: Self, max: Self) -> Self {
        if self < min {
            min
        } else if self > max {
            max
        } else {
            self
        }
    }
}

/// Vector operations on elements `T` in one instruction set.
pub trait Simd<T: Copy>: Copy {
    /// Elements of a vector.
    const LANES: usize;
    /// Elements of a group: what shuffles stay within at the least cost.
    const GROUP: usize;
    /// Registers that a tile may use, one of them for a broadcast.
    const REGISTERS: usize;
    /// Vectors of output channels in a weight panel.
    const PANEL_VECTORS: usize;
    /// Whether there are register tiles with channels as lanes.
    const CHANNEL_TILES: bool;
    /// Whether a mask that hides nothing costs nothing.
    const FREE_MASKS: bool;
    /// Most rows of a register tile that has pixels as lanes.
    const TILE_ROWS: usize;
    /// Whether the two halves of a vector can be told apart: if not, the operations that do so must not be asked for.
    const HALVES: bool = false;
    /// Whether it pays to shift vectors instead of loading others that begin a few elements later: where most loads take two cache lines, and take longer
    /// than a multiply-add.
    const SHIFTS: bool = false;
    /// A vector.
    type Vector: Copy;
    /// A choice of lanes.
    type Mask: Copy;

    /// Runs a kernel as a function of its own, compiled for this instruction set. A kernel made of many large parts compiles in a fraction
    /// of the time if it calls them so.
    fn call<K: Kernel<T>>(self, kernel: K) -> K::Output;
    /// `value` in every lane.
    fn splat(self, value: T) -> Self::Vector;
    /// The first [`LANES`](Self::LANES) elements; panics where there are fewer.
    fn load(self, from: &[T]) -> Self::Vector;
    /// Elements 0, 2, 4 and so on of the first twice [`LANES`](Self::LANES); panics where there are fewer.
    #[inline(always)]
    fn load_even(self, from: &[T]) -> Self::Vector {
        self.unzip(self.load(from), self.load(&from[Self::LANES..])).0
    }
    /// Writes the first [`LANES`](Self::LANES) elements; panics where there are fewer.
    fn store(self, vector: Self::Vector, to: &mut [T]);
    /// All elements of a slice shorter than a vector; the other lanes are zero.
    fn load_partial(self, from: &[T]) -> Self::Vector;
    /// The first lanes of the vector, as many as the slice has elements.
    fn store_partial(self, vector: Self::Vector, to: &mut [T]);
    /// The lanes whose bits are set.
    fn mask(self, bits: u32) -> Self::Mask;
    /// Zero in all lanes but the chosen ones.
    fn keep(self, vector: Self::Vector, mask: Self::Mask) -> Self::Vector;
    /// Interleaves two vectors: `a[0], b[0], a[1], b[1]` and so on; first their lower halves.
    fn zip(self, a: Self::Vector, b: Self::Vector) -> (Self::Vector, Self::Vector);
    /// The elements 0, 2 and so on of two vectors, one vector's behind the other's; then the elements 1, 3 and so on.
    fn unzip(self, a: Self::Vector, b: Self::Vector) -> (Self::Vector, Self::Vector);
    /// The same with lanes in an order of their own, where that costs less: [`in_order`](Self::in_order) is for what is made of them.
    #[inline(always)]
    fn unzip_unordered(self, a: Self::Vector, b: Self::Vector) -> (Self::Vector, Self::Vector) {
        self.unzip(a, b)
    }
    /// Brings such lanes into order.
    #[inline(always)]
    fn in_order(self, vector: Self::Vector) -> Self::Vector {
        vector
    }
    /// The lanes whose bits are set, where their order is that.
    #[inline(always)]
    fn mask_unordered(self, bits: u32) -> Self::Mask {
        self.mask(bits)
    }
    /// Interleaves two vectors, group by group: `a[0], b[0], a[1], b[1]` and so on; first the lower halves of all groups.
    fn zip_groups(self, a: Self::Vector, b: Self::Vector) -> (Self::Vector, Self::Vector);
    /// The groups 0, 2 and so on of two vectors, one vector's behind the other's; then the groups 1, 3 and so on.
    fn split_groups(self, a: Self::Vector, b: Self::Vector) -> (Self::Vector, Self::Vector);
    /// The first [`GROUP`](Self::GROUP) elements of each slice, of as many as a vector has groups; panics where there are fewer.
    #[inline(always)]
    fn load_groups(self, from: [&[T]; 4]) -> Self::Vector {
        const { assert!(Self::LANES == Self::GROUP, "one group") };
        self.load(from[0])
    }
    /// The first half of [`LANES`](Self::LANES) elements of each slice; panics where there are fewer.
    #[inline(always)]
    fn load_halves(self, _a: &[T], _b: &[T]) -> Self::Vector {
        unreachable!("no halves")
    }
    /// Two values, each in one half of the lanes.
    #[inline(always)]
    fn splat_halves(self, _a: T, _b: T) -> Self::Vector {
        unreachable!("no halves")
    }
    /// The first lanes of each half, as many as its slice has elements, and a half at most.
    #[inline(always)]
    fn store_halves(self, _vector: Self::Vector, _a: &mut [T], _b: &mut [T]) {
        unreachable!("no halves")
    }
    /// As many lanes of two vectors, side by side, as there are in one, from lane `first` of the first one on; only with [`SHIFTS`](Self::SHIFTS).
    #[inline(always)]
    fn shift(self, _a: Self::Vector, _b: Self::Vector, _first: usize) -> Self::Vector {
        unreachable!("no shifts")
    }
    /// Asks for the cache line at a place to be brought into the second-level cache. There may be no memory.
    fn prefetch_at(self, place: *const T);
    /// The same for the first-level cache.
    fn prefetch_near(self, place: *const T);
    /// Asks for the cache line at an index of a slice to be brought into the second-level cache. The index may lie behind the end.
    #[inline(always)]
    fn prefetch(self, slice: &[T], index: usize) {
        self.prefetch_at(slice.as_ptr().wrapping_add(index));
    }
    /// `a + b`.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// In each lane: see [`Arithmetic::within`].
    fn within(self, a: Self::Vector, min: Self::Vector, max: Self::Vector) -> Self::Vector;
}

/// Code that [`launch`](crate::element::Kernels::launch) compiles for an instruction set.
pub trait Kernel<T: Copy> {
    /// What it returns.
    type Output;
    /// The work; `#[inline(always)]`, so that it is compiled with the caller's target features.
    fn run<S: Simd<T>>(self, simd: S) -> Self::Output;
}

/// A kernel as a function of one instruction set. These are methods of kernels because the compiler places generic functions by module, methods in that of their type, and
/// compiles modules side by side: as functions of the instruction set all kernels were one piece of work.
pub(crate) trait Compiled<T: Copy, S>: Kernel<T> + Sized {
    /// Runs it.
    ///
    /// # Safety
    ///
    /// The machine must have the instruction set.
    unsafe fn compiled(self, token: S) -> Self::Output;

    /// Runs it in a function that stays one. The compiler does not keep this promise for functions with target features; this one has none.
    ///
    /// # Safety
    ///
    /// The machine must have the instruction set.
    #[inline(never)]
    unsafe fn apart(self, token: S) -> Self::Output {
        // SAFETY: the same is asked of the caller.
        unsafe { self.compiled(token) }
    }
}

/// An instruction set that this machine has.
///
/// Layers use [`Isa::best`] unless told otherwise. In [`Numerics::Exact`](crate::Numerics::Exact) all of
/// them give the same bits.
///
/// ```
/// use ndconv::Isa;
/// assert!(Isa::available().contains(&Isa::best()));
/// assert_eq!(Isa::SCALAR.name(), "scalar");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Isa(pub(crate) Set);

/// Private, and its tokens are only made by detection: an [`Isa`] is proof that the machine has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Set {
    Scalar(Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(x86::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(aarch64::Neon),
}

impl Isa {
    /// Plain Rust, everywhere.
    pub const SCALAR: Isa = Isa(Set::Scalar(Scalar));

    /// All that this machine has, the widest first.
    #[must_use]
    pub fn available() -> Vec<Isa> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(x86::Avx512::detect().map(|token| Isa(Set::Avx512(token))));
            found.extend(x86::Avx2::detect().map(|token| Isa(Set::Avx2(token))));
        }
        #[cfg(target_arch = "aarch64")]
        found.extend(aarch64::Neon::detect().map(|token| Isa(Set::Neon(token))));
        found.push(Isa::SCALAR);
        found
    }

    /// The widest that this machine has.
    #[must_use]
    pub fn best() -> Isa {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(token) = x86::Avx512::detect() {
                return Isa(Set::Avx512(token));
            }
            if let Some(token) = x86::Avx2::detect() {
                return Isa(Set::Avx2(token));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if let Some(token) = aarch64::Neon::detect() {
            return Isa(Set::Neon(token));
        }
        Isa::SCALAR
    }

    /// `"avx512"`, `"avx2"`, `"neon"` or `"scalar"`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Scalar(_) => "scalar",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Set::Neon(_) => "neon",
        }
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Bytes of the second-level cache, or 0 if it is not known.
pub(crate) fn second_level_cache() -> usize {
    #[cfg(target_arch = "x86_64")]
    let bytes = x86::second_level_cache();
    #[cfg(not(target_arch = "x86_64"))]
    let bytes = 0;
    bytes
}

/// Runs `kernel` compiled for `isa`; for the element types that every instruction set has vectors of.
macro_rules! launch_on_all {
    ($isa:expr, $kernel:expr) => {
        match $isa.0 {
            $crate::simd::Set::Scalar(token) => $crate::simd::Kernel::run($kernel, token),
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Set::Avx2(token) => token.launch($kernel),
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Set::Avx512(token) => token.launch($kernel),
            #[cfg(target_arch = "aarch64")]
            $crate::simd::Set::Neon(token) => token.launch($kernel),
        }
    };
}
pub(crate) use launch_on_all;

/// The token of an instruction set with target features: a type that only detection makes.
macro_rules! token {
    ($(#[$doc:meta])* $name:ident, $features:literal, [$($detect:tt)+], $detector:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) struct $name {
            _private: (),
        }

        impl $name {
            /// A token, where the machine has the features.
            #[inline]
            pub(crate) fn detect() -> Option<Self> {
                ($(std::arch::$detector!($detect))&&+).then_some($name { _private: () })
            }

            /// Runs the kernel compiled with these features.
            #[inline]
            pub(crate) fn launch<T: Copy, K: $crate::simd::Kernel<T>>(self, kernel: K) -> K::Output
            where
                Self: $crate::simd::Simd<T>,
            {
                // SAFETY: a token exists only where its features were detected.
                unsafe { $crate::simd::Compiled::compiled(kernel, self) }
            }
        }

        impl<T: Copy, K: $crate::simd::Kernel<T>> $crate::simd::Compiled<T, $name> for K
        where
            $name: $crate::simd::Simd<T>,
        {
            #[target_feature(enable = $features)]
            unsafe fn compiled(self, token: $name) -> K::Output {
                self.run(token)
            }
        }
    };
}
pub(crate) use token;

/// Implements [`Simd`] for a token and an element type. Each operation is a safe function with the
/// token's target features; this is the one place that calls such functions.
macro_rules! vectors {
    (
        $token:ty, $features:literal, $element:ty, $vector:ty, $lanes:literal, masks $mask_type:ty,
        groups of $group:literal, registers $registers:literal, panel $panel:literal, rows $rows:literal,
        splat $splat:expr, load $load:expr, store $store:expr,
        load_partial $load_partial:expr, store_partial $store_partial:expr,
        mask $mask:expr, keep $keep:expr,
        zip $zip_all:expr, unzip $unzip:expr, zip_groups $zip:expr, split_groups $split:expr $(, load_groups $load_groups:expr)?
        $(, unzip_unordered $unzip_unordered:expr, in_order $in_order:expr, mask_unordered $mask_unordered:expr)?,
        prefetch_at $prefetch:expr, prefetch_near $near:expr,
        add $add:expr, fma $fma:expr, within $within:expr
        $(, load_halves $load_halves:expr, splat_halves $splat_halves:expr, store_halves $store_halves:expr,
        shift $shift:expr)? $(,)?
    ) => {
        impl $crate::simd::Simd<$element> for $token {
            const LANES: usize = $lanes;
            const GROUP: usize = $group;
            const REGISTERS: usize = $registers;
            const PANEL_VECTORS: usize = $panel;
            const CHANNEL_TILES: bool = true;
            const FREE_MASKS: bool = size_of::<$mask_type>() < size_of::<$vector>();
            const TILE_ROWS: usize = $rows;
            type Vector = $vector;
            type Mask = $mask_type;

            #[inline(always)]
            fn call<K: $crate::simd::Kernel<$element>>(self, kernel: K) -> K::Output {
                // SAFETY: a token exists only where its features were detected.
                unsafe { $crate::simd::Compiled::apart(kernel, self) }
            }

            vectors!(@op $features, $splat, splat(value: $element) -> $vector);
            vectors!(@op $features, $load, load(from: &[$element]) -> $vector);
            vectors!(@op $features, $store, store(vector: $vector, to: &mut [$element]) -> ());
            vectors!(@op $features, $load_partial, load_partial(from: &[$element]) -> $vector);
            vectors!(@op $features, $store_partial, store_partial(vector: $vector, to: &mut [$element]) -> ());
            vectors!(@op $features, $mask, mask(bits: u32) -> $mask_type);
            vectors!(@op $features, $keep, keep(vector: $vector, mask: $mask_type) -> $vector);
            vectors!(@op $features, $zip_all, zip(a: $vector, b: $vector) -> ($vector, $vector));
            $(
                vectors!(@op $features, $unzip_unordered, unzip_unordered(a: $vector, b: $vector) -> ($vector, $vector));
                vectors!(@op $features, $in_order, in_order(vector: $vector) -> $vector);
                vectors!(@op $features, $mask_unordered, mask_unordered(bits: u32) -> $mask_type);
            )?
            vectors!(@op $features, $unzip, unzip(a: $vector, b: $vector) -> ($vector, $vector));
            vectors!(@op $features, $zip, zip_groups(a: $vector, b: $vector) -> ($vector, $vector));
            vectors!(@op $features, $split, split_groups(a: $vector, b: $vector) -> ($vector, $vector));
            $(vectors!(@op $features, $load_groups, load_groups(from: [&[$element]; 4]) -> $vector);)?
            vectors!(@op $features, $prefetch, prefetch_at(place: *const $element) -> ());
            vectors!(@op $features, $near, prefetch_near(place: *const $element) -> ());
            vectors!(@op $features, $add, add(a: $vector, b: $vector) -> $vector);
            vectors!(@op $features, $fma, fma(a: $vector, b: $vector, c: $vector) -> $vector);
            vectors!(@op $features, $within, within(a: $vector, min: $vector, max: $vector) -> $vector);
            $(
                const HALVES: bool = true;
                vectors!(@op $features, $load_halves, load_halves(a: &[$element], b: &[$element]) -> $vector);
                vectors!(@op $features, $splat_halves, splat_halves(a: $element, b: $element) -> $vector);
                const SHIFTS: bool = true;
                vectors!(@op $features, $shift, shift(a: $vector, b: $vector, first: usize) -> $vector);
                vectors!(@op $features, $store_halves, store_halves(vector: $vector, a: &mut [$element], b: &mut [$element]) -> ());
            )?
        }
    };
    (@op $features:literal, $body:expr, $name:ident($($argument:ident: $type:ty),*) -> $output:ty) => {
        #[inline(always)]
        fn $name(self, $($argument: $type),*) -> $output {
            #[inline]
            #[target_feature(enable = $features)]
            fn inner($($argument: $type),*) -> $output {
                $body($($argument),*)
            }
            // SAFETY: a token exists only where its features were detected.
            unsafe { inner($($argument),*) }
        }
    };
}
pub(crate) use vectors;
