//! The element types: floats with vectors, integers exact in their own type.

use core::fmt::Debug;

use num_traits::{One, Zero};

use crate::curves;
use crate::fourier::Fourier;
use crate::ops::{Engine, FloatEngine};
use crate::simd::{Arithmetic, Isa, Kernel, Scalar, launch_on_all};

/// An element of the tensors: `f32`, `f64`, or an integer from 8 to 64 bits.
///
/// Integers are multiplied and summed in their own type and wrap around on overflow, so widen them
/// first where sums need more room. The trait is sealed.
pub trait Element:
    Engine + Kernels + Debug + Default + PartialEq + PartialOrd + Zero + One + Send + Sync + 'static
{
}

/// A floating-point [`Element`]: what deformable convolution works on.
pub trait Float: Element + FloatEngine + Rounding + num_traits::Float {}

/// Conversions that vectorise. Not nameable outside this crate.
pub trait Rounding: Copy {
    /// The nearest number.
    fn nearest(value: isize) -> Self;
    /// A whole number, if it is one of 32 bits; the nearest of those else, and 0 for NaN.
    fn whole(self) -> i32;
}

/// What the kernels need of an element. Not nameable outside this crate, which seals [`Element`].
pub trait Kernels: Arithmetic {
    /// Whether it is a floating-point type.
    const FLOATING: bool;
    /// The type's name.
    const NAME: &'static str;
    /// What no value is above.
    const MOST: Self;

    /// Neither NaN nor infinite.
    fn finite(self) -> bool;
    /// The nearest value; whole for integers.
    fn of_f64(value: f64) -> Self;
    /// The value, or the nearest to it.
    fn as_f64(self) -> f64;
    /// -0.0.
    fn negative_zero(self) -> bool;
    /// The value of a smooth activation. Integers have none: see [`FLOATING`](Self::FLOATING).
    fn curve(self, curve: Curve) -> Self;
    /// Fourier transforms of a length, if there are any.
    fn fourier(len: usize) -> Option<Fourier<Self>>;
    /// Runs a kernel compiled for an instruction set.
    fn launch<K: Kernel<Self>>(isa: Isa, kernel: K) -> K::Output;
}

/// The head of a function that no integer reaches, since those have no other order of summation: there are eight types of them, and no compiler need
/// know what comes after.
macro_rules! floats_only {
    ($type:ty) => {
        if const { !<$type as $crate::element::Kernels>::FLOATING } {
            unreachable!("integers have one order of summation");
        }
    };
}
pub(crate) use floats_only;

/// The smooth activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// `x / (1 + e^-x)`.
    Silu,
    /// `x min(max(x + 3, 0), 6) / 6`.
    HardSwish,
    /// `x (1 + erf(x / √2)) / 2`.
    Gelu,
    /// `x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2`.
    GeluTanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `tanh(x)`.
    Tanh,
}

/// What `as` does, of the methods of [`Kernels`].
macro_rules! conversions {
    ($type:ident) => {
        #[inline(always)]
        fn of_f64(value: f64) -> Self {
            value as $type
        }

        #[inline(always)]
        fn as_f64(self) -> f64 {
            self as f64
        }
    };
}

macro_rules! float {
    ($type:ident, $exp:path, $tanh:path, $erf:path) => {
        impl Element for $type {}
        impl Float for $type {}

        impl Rounding for $type {
            #[inline(always)]
            fn nearest(value: isize) -> Self {
                value as $type
            }

            #[inline(always)]
            fn whole(self) -> i32 {
                self as i32
            }
        }

        impl Arithmetic for $type {
            const ZERO: Self = 0.0;

            #[inline(always)]
            fn fma(self, factor: Self, addend: Self) -> Self {
                $type::mul_add(self, factor, addend)
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }

            #[inline(always)]
            fn minus(self) -> Self {
                -self
            }
        }

        impl Kernels for $type {
            const FLOATING: bool = true;
            const NAME: &'static str = stringify!($type);
            const MOST: Self = $type::INFINITY;

            #[inline(always)]
            fn finite(self) -> bool {
                self.is_finite()
            }

            conversions!($type);

            #[inline(always)]
            fn negative_zero(self) -> bool {
                self == 0.0 && self.is_sign_negative()
            }

            #[inline(always)]
            fn curve(self, curve: Curve) -> Self {
                // √(2/π)
                const SLOPE: $type = 0.797_884_560_802_865_4_f64 as $type;
                let x = self;
                match curve {
                    Curve::Silu => x / (1.0 + $exp(-x)),
                    // `clamp` keeps a NaN.
                    Curve::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
                    Curve::Gelu => 0.5 * x * (1.0 + $erf(x * core::$type::consts::FRAC_1_SQRT_2)),
                    Curve::GeluTanh => 0.5 * x * (1.0 + $tanh(SLOPE * (x + 0.044715 * x * x * x))),
                    Curve::Sigmoid => 1.0 / (1.0 + $exp(-x)),
                    Curve::Tanh => $tanh(x),
                }
            }

            fn fourier(len: usize) -> Option<Fourier<Self>> {
                Fourier::new(len)
            }

            #[inline]
            fn launch<K: Kernel<Self>>(isa: Isa, kernel: K) -> K::Output {
                launch_on_all!(isa, kernel)
            }
        }
    };
}

float!(f32, curves::single::exp, curves::single::tanh, curves::erf);
float!(f64, curves::double::exp, curves::double::tanh, libm::erf);

macro_rules! integers {
    ($($type:ident)*) => {$(
        impl Element for $type {}

        impl Arithmetic for $type {
            const ZERO: Self = 0;

            #[inline(always)]
            fn fma(self, factor: Self, addend: Self) -> Self {
                self.wrapping_mul(factor).wrapping_add(addend)
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            #[inline(always)]
            fn minus(self) -> Self {
                self.wrapping_neg()
            }
        }

        impl Kernels for $type {
            const FLOATING: bool = false;
            const NAME: &'static str = stringify!($type);
            const MOST: Self = $type::MAX;

            #[inline(always)]
            fn finite(self) -> bool {
                true
            }

            conversions!($type);

            #[inline(always)]
            fn negative_zero(self) -> bool {
                false
            }

            fn curve(self, curve: Curve) -> Self {
                unreachable!("layers refuse {curve:?} for integers")
            }

            fn fourier(_: usize) -> Option<Fourier<Self>> {
                None
            }

            #[inline]
            fn launch<K: Kernel<Self>>(_: Isa, kernel: K) -> K::Output {
                kernel.run(Scalar)
            }
        }
    )*};
}

integers!(i8 i16 i32 i64 u8 u16 u32 u64);
