//! Activations that a layer can apply to its output while it is still in cache.

use crate::element::{Curve, Element};
use crate::error::{Axis, Error};
use crate::simd::{Isa, Kernel, Simd};

/// A function of each output element. NaN stays NaN in all of them.
///
/// The bits are the same on every machine. The smooth ones are made of exponentials within 1.1 units in the last place, hyperbolic tangents within 4
/// (`f32`: 2.5) and error functions within 1.5, in vector instructions but for [`Gelu`](Self::Gelu) of `f64`.
///
/// ```
/// use ndconv::Activation;
/// assert_eq!(Activation::Relu.apply(-1.5f32, 0), 0.0);
/// assert_eq!(Activation::relu6().apply(7.0f32, 0), 6.0);
/// assert_eq!(Activation::Prelu(vec![0.5, 0.25]).apply(-1.0f64, 1), -0.25);
/// assert_eq!(Activation::Sigmoid.apply(0.0f64, 0), 0.5);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Activation<T> {
    /// The element itself.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, min), max)`.
    Clamp {
        /// The least value.
        min: T,
        /// The largest value.
        max: T,
    },
    /// `x`, and below zero `slope * x`.
    LeakyRelu {
        /// The factor below zero.
        slope: T,
    },
    /// [`LeakyRelu`](Activation::LeakyRelu) with one slope for each output channel.
    Prelu(Vec<T>),
    /// `x * sigmoid(x)`, also called swish.
    Silu,
    /// `x * clamp(x + 3, 0, 6) / 6`.
    HardSwish,
    /// `x * Φ(x)`, Φ being the normal distribution (Hendrycks and Gimpel, 2016).
    Gelu,
    /// [`Gelu`](Activation::Gelu) by its approximation with tanh.
    GeluTanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `tanh(x)`.
    Tanh,
}

impl<T: Element> Activation<T> {
    /// [`Clamp`](Activation::Clamp) to 0 to 6 (MobileNet).
    #[must_use]
    pub fn relu6() -> Self {
        let mut six = T::zero();
        for _ in 0..6 {
            six = six + T::one();
        }
        Activation::Clamp { min: T::ZERO, max: six }
    }

    /// The value for an element of output channel `channel`.
    ///
    /// # Panics
    /// Where [`Prelu`](Activation::Prelu) has no such channel, or an integer is asked for a smooth
    /// activation. Layers check both when they are built.
    #[inline]
    #[must_use]
    pub fn apply(&self, x: T, channel: usize) -> T {
        match self {
            Activation::None => x,
            Activation::Relu => x.within(T::ZERO, T::MOST),
            Activation::Clamp { min, max } => x.within(*min, *max),
            Activation::LeakyRelu { slope } => leaky(x, *slope),
            Activation::Prelu(slopes) => leaky(x, slopes[channel]),
            smooth => x.curve(smooth.curve().expect("the others are above")),
        }
    }

    /// [`apply`](Self::apply) to channels with so many elements each, one behind the other.
    pub(crate) fn apply_to(&self, isa: Isa, elements: &mut [T], per_channel: usize, first_channel: usize) {
        if *self != Activation::None {
            T::launch(isa, Planes { activation: self, elements, per_channel, first_channel });
        }
    }

    /// What it keeps elements within, if that is all that it does: kernels do so before they store them.
    pub(crate) fn limits(&self) -> Option<[T; 2]> {
        match self {
            Activation::Relu => Some([T::ZERO, T::MOST]),
            Activation::Clamp { min, max } => Some([*min, *max]),
            _ => None,
        }
    }

    /// What is left to do where the [`limits`](Self::limits) are kept.
    pub(crate) fn rest(&self) -> &Self {
        if self.limits().is_some() { &Activation::None } else { self }
    }

    fn curve(&self) -> Option<Curve> {
        Some(match self {
            Activation::Silu => Curve::Silu,
            Activation::HardSwish => Curve::HardSwish,
            Activation::Gelu => Curve::Gelu,
            Activation::GeluTanh => Curve::GeluTanh,
            Activation::Sigmoid => Curve::Sigmoid,
            Activation::Tanh => Curve::Tanh,
            _ => return None,
        })
    }

    /// Refuses what cannot be applied to this many channels of this type.
    pub(crate) fn validate(&self, channels: usize) -> Result<(), Error> {
        let unsupported = |found: String, expected: &str| Error::Unsupported {
            argument: "activation",
            axis: Axis::OutputChannels,
            found,
            expected: expected.into(),
        };
        match self {
            Activation::Prelu(slopes) if slopes.len() != channels => {
                Err(Error::shape("activation", Axis::OutputChannels, slopes.len(), format!("{channels} slopes")))
            }
            // Written so that a NaN bound is refused.
            Activation::Clamp { min, max }
                if !matches!(min.partial_cmp(max), Some(core::cmp::Ordering::Less | core::cmp::Ordering::Equal)) =>
            {
                Err(unsupported(format!("a clamp from {min:?} to {max:?}"), "a minimum that is at most the maximum"))
            }
            other if !T::FLOATING && other.curve().is_some() => Err(unsupported(
                format!("{other:?} on {}", T::NAME),
                "a floating-point type, or an activation that integers have",
            )),
            _ => Ok(()),
        }
    }
}

/// An activation of some channels.
struct Planes<'a, T> {
    activation: &'a Activation<T>,
    elements: &'a mut [T],
    per_channel: usize,
    first_channel: usize,
}

impl<T: Element> Kernel<T> for Planes<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, _: S) {
        let Planes { activation, elements, per_channel, first_channel } = self;
        match activation {
            // Loops that the compiler turns into vector instructions, of the instruction set that this is compiled for.
            Activation::Relu => elements.iter_mut().for_each(|x| *x = x.within(T::ZERO, T::MOST)),
            Activation::Clamp { min, max } => elements.iter_mut().for_each(|x| *x = x.within(*min, *max)),
            Activation::LeakyRelu { slope } => elements.iter_mut().for_each(|x| *x = leaky(*x, *slope)),
            Activation::Prelu(slopes) => {
                for (elements, slope) in elements.chunks_exact_mut(per_channel).zip(&slopes[first_channel..]) {
                    elements.iter_mut().for_each(|x| *x = leaky(*x, *slope));
                }
            }
            Activation::None => {}
            Activation::Silu => elements.iter_mut().for_each(|x| *x = x.curve(Curve::Silu)),
            Activation::HardSwish => elements.iter_mut().for_each(|x| *x = x.curve(Curve::HardSwish)),
            Activation::Gelu => elements.iter_mut().for_each(|x| *x = x.curve(Curve::Gelu)),
            Activation::GeluTanh => elements.iter_mut().for_each(|x| *x = x.curve(Curve::GeluTanh)),
            Activation::Sigmoid => elements.iter_mut().for_each(|x| *x = x.curve(Curve::Sigmoid)),
            Activation::Tanh => elements.iter_mut().for_each(|x| *x = x.curve(Curve::Tanh)),
        }
    }
}

#[inline(always)]
fn leaky<T: Element>(x: T, slope: T) -> T {
    if x < T::ZERO { x.fma(slope, T::ZERO) } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_formulas<T: Element>(eps: f64) {
        type Formula = fn(f64) -> f64;
        // The last ones have terms that cancel, of the size of the argument.
        let formulas: [(Activation<T>, Formula, f64); 6] = [
            (Activation::Sigmoid, |x| 1.0 / (1.0 + libm::exp(-x)), 0.0),
            (Activation::Silu, |x| x / (1.0 + libm::exp(-x)), 0.0),
            (Activation::Tanh, libm::tanh, 0.0),
            (Activation::HardSwish, |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0, 1.0),
            (Activation::Gelu, |x| x * libm::erfc(-x / core::f64::consts::SQRT_2) / 2.0, 1.0),
            (
                Activation::GeluTanh,
                |x| x / (1.0 + libm::exp(-1.595_769_121_605_730_7 * (x + 0.044_715 * x * x * x))),
                1.0,
            ),
        ];
        for (activation, formula, cancelled) in formulas {
            for step in -4000..=4000 {
                let x = T::of_f64(f64::from(step) * 0.00625);
                let (found, truth) = (activation.apply(x, 0).as_f64(), formula(x.as_f64()));
                let allowed = eps * (4.0 * truth.abs() + cancelled * x.as_f64().abs());
                assert!((found - truth).abs() <= allowed, "{activation:?} of {x:?} is {found}, not {truth}");
            }
            assert!(activation.apply(T::of_f64(f64::NAN), 0).as_f64().is_nan(), "{activation:?}");
            let upper = activation.apply(T::of_f64(f64::INFINITY), 0).as_f64();
            assert_eq!(upper, formula(f64::INFINITY), "{activation:?}");
        }
        assert!(Activation::Tanh.apply(T::of_f64(-0.0), 0).negative_zero());
        assert_eq!(Activation::Sigmoid.apply(T::of_f64(f64::NEG_INFINITY), 0).as_f64(), 0.0);
    }

    #[test]
    fn smooth_ones_are_their_formulas() {
        check_formulas::<f32>(f64::from(f32::EPSILON));
        check_formulas::<f64>(f64::EPSILON);
    }
}
