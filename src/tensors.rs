//! The tensors of operations that take more than an input and a weight, by name.

use ndarray::{ArrayRef1, ArrayRef4};

/// What a deformable convolution is run on.
#[derive(Clone, Copy, Debug)]
pub struct DeformInput<'a, T> {
    /// `[n, in, h, w]`.
    pub input: &'a ArrayRef4<T>,
    /// `[n, 2 * offset_groups * kh * kw, oh, ow]`: for each offset group and tap the row and the column offset, in pixels.
    pub offset: &'a ArrayRef4<T>,
    /// `[n, offset_groups * kh * kw, oh, ow]`: a factor for each sample (version 2), or none (version 1).
    pub mask: Option<&'a ArrayRef4<T>>,
}

/// The tensors of a depthwise-separable convolution.
#[derive(Clone, Copy, Debug)]
pub struct DepthwiseSeparableWeights<'a, T> {
    /// `[in * multiplier, 1, kh, kw]`.
    pub depthwise: &'a ArrayRef4<T>,
    /// `[in * multiplier]`, or none.
    pub depthwise_bias: Option<&'a ArrayRef1<T>>,
    /// `[out, in * multiplier / groups, 1, 1]`.
    pub pointwise: &'a ArrayRef4<T>,
    /// `[out]`, if the configuration has a bias.
    pub bias: Option<&'a ArrayRef1<T>>,
}

/// The tensors of an inverted residual block.
#[derive(Clone, Copy, Debug)]
pub struct InvertedResidualWeights<'a, T> {
    /// `[hidden, in, 1, 1]`, or none where the depthwise step runs on the input itself.
    pub expand: Option<&'a ArrayRef4<T>>,
    /// `[hidden]`, or none.
    pub expand_bias: Option<&'a ArrayRef1<T>>,
    /// `[hidden, 1, kh, kw]`.
    pub depthwise: &'a ArrayRef4<T>,
    /// `[hidden]`, or none.
    pub depthwise_bias: Option<&'a ArrayRef1<T>>,
    /// `[out, hidden, 1, 1]`.
    pub project: &'a ArrayRef4<T>,
    /// `[out]`, if the configuration has a bias.
    pub bias: Option<&'a ArrayRef1<T>>,
}

/// The tensors of a spatially separable convolution.
#[derive(Clone, Copy, Debug)]
pub struct SpatiallySeparableWeights<'a, T> {
    /// `[middle, in / groups, kh, 1]`.
    pub vertical: &'a ArrayRef4<T>,
    /// `[out, middle / groups, 1, kw]`.
    pub horizontal: &'a ArrayRef4<T>,
    /// `[out]`, if the configuration has a bias.
    pub bias: Option<&'a ArrayRef1<T>>,
}
