//! The one place through which layers reach the engine: a function for each type of element that is not generic, so that all below it is
//! compiled once, with this crate, and not in every crate that uses a layer.

use ndarray::{ArrayView4, ArrayViewMut4};

use crate::element::{Element, Float};
use crate::geometry::Problem;
use crate::ops::Operation;
use crate::ops::deformable::DeformConv2dLayer;
use crate::ops::inverted_residual::InvertedResidualLayer;
use crate::ops::separable::{DepthwiseSeparableLayer, SpatiallySeparableLayer};
use crate::ops::standard::Conv2dLayer;
use crate::ops::transposed::ConvTranspose2dLayer;
use crate::scratch::Workspace;
use crate::tensors::DeformInput;

/// The engine of a type of element. Not nameable outside this crate.
pub trait Engine: Sized {
    /// Computes an output.
    fn compute(job: Job<'_, Self>);
}

/// That of a floating-point type.
pub trait FloatEngine: Sized {
    /// Computes an output.
    fn compute_deformable(job: DeformableJob<'_, Self>);
}

/// An operation on an input.
pub struct Job<'a, T> {
    pub(super) layer: Layer<'a, T>,
    pub(super) problem: &'a Problem,
    pub(super) input: ArrayView4<'a, T>,
    /// Of the right size.
    pub(super) output: ArrayViewMut4<'a, T>,
    pub(super) workspace: &'a mut Workspace<T>,
}

/// A deformable convolution of an input.
pub struct DeformableJob<'a, T> {
    pub(super) layer: &'a DeformConv2dLayer<T>,
    pub(super) problem: &'a Problem,
    pub(super) offset_groups: usize,
    pub(super) tensors: DeformInput<'a, T>,
    pub(super) output: ArrayViewMut4<'a, T>,
    pub(super) workspace: &'a mut Workspace<T>,
}

/// A layer that is one of [`Layer`].
pub(super) trait AnyLayer<T: Element>: Operation<T> {
    fn any(&self) -> Layer<'_, T>;
}

macro_rules! layers {
    ($($name:ident $layer:ident)*) => {
        /// Any of the layers.
        pub(super) enum Layer<'a, T> {
            $($name(&'a $layer<T>),)*
        }

        $(impl<T: Element> AnyLayer<T> for $layer<T> {
            fn any(&self) -> Layer<'_, T> {
                Layer::$name(self)
            }
        })*

        fn compute<T: Element>(Job { layer, problem, input, output, workspace }: Job<'_, T>) {
            match layer {
                $(Layer::$name(layer) => layer.compute(problem, input, output, workspace),)*
            }
        }
    };
}

layers!(
    Standard Conv2dLayer
    Transposed ConvTranspose2dLayer
    DepthwiseSeparable DepthwiseSeparableLayer
    InvertedResidual InvertedResidualLayer
    SpatiallySeparable SpatiallySeparableLayer
);

fn compute_deformable<T: Float>(job: DeformableJob<'_, T>) {
    let DeformableJob { layer, problem, offset_groups, tensors, output, workspace } = job;
    layer.compute(problem, offset_groups, tensors, output, workspace);
}

macro_rules! floats {
    ($($type:ident)*) => {$(
        impl Engine for $type {
            // The unit tests run no layer, and need not wait for them.
            #[cfg_attr(test, inline)]
            fn compute(job: Job<'_, Self>) {
                compute(job);
            }
        }

        impl FloatEngine for $type {
            #[cfg_attr(test, inline)]
            fn compute_deformable(job: DeformableJob<'_, Self>) {
                compute_deformable(job);
            }
        }
    )*};
}

floats!(f32 f64);

macro_rules! integers {
    ($($type:ident)*) => {$(
        impl Engine for $type {
            // Compiled where it is used: few use integers, and nobody all eight types.
            #[inline]
            fn compute(job: Job<'_, Self>) {
                compute(job);
            }
        }
    )*};
}

integers!(i8 i16 i32 i64 u8 u16 u32 u64);
