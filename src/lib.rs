#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod activation;
mod algo;
mod algorithm;
mod aligned;
mod config;
mod curves;
mod element;
mod error;
mod fourier;
mod gemm;
mod geometry;
mod kernels;
mod numerics;
mod ops;
mod padding;
mod parallel;
mod parts;
mod plan;
pub mod reference;
mod scratch;
#[allow(unsafe_code, reason = "target features, loads and stores: see the module's documentation")]
mod simd;
mod tensors;

pub use activation::Activation;
pub use algorithm::{Algorithm, Candidate, ErrorBound};
pub use config::{Conv2d, IntoPair, Padding, PaddingMode, Pads, ReceptiveField, receptive_field};
pub use element::{Element, Float};
pub use error::{Axis, Error};
pub use ndarray;
pub use numerics::{Numerics, SUMMATION_BLOCK};
pub use ops::Options;
pub use ops::deformable::{DeformConv2dLayer, deform_conv2d};
pub use ops::inverted_residual::InvertedResidualLayer;
pub use ops::separability::{LowRank, Separability, SpatialFactors, separate};
pub use ops::separable::{
    DepthwiseSeparableLayer, SpatiallySeparableLayer, depthwise_separable_conv2d, spatially_separable_conv2d,
};
pub use ops::standard::{Conv2dLayer, conv1d, conv2d, flip};
pub use ops::transposed::{ConvTranspose2dLayer, conv_transpose1d, conv_transpose2d};
pub use ops::upsampling::bilinear_upsampling;
pub use scratch::Workspace;
pub use simd::Isa;
pub use tensors::{DeformInput, DepthwiseSeparableWeights, InvertedResidualWeights, SpatiallySeparableWeights};

/// The examples of the documents are tested.
#[cfg(doctest)]
#[doc = include_str!("../docs/numerics.md")]
mod documents {}
