//! Weights that make a transposed convolution enlarge images.

use ndarray::Array4;

use crate::config::{Conv2d, IntoPair};
use crate::element::Float;
use crate::error::Error;
use crate::geometry;

/// A transposed convolution that enlarges images by whole factors with bilinear interpolation, and its weight: where a network starts that learns to
/// enlarge (Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015).
///
/// Each of `channels` is enlarged by itself, from `[n, channels, h, w]` to `[n, channels, factor h, factor w]`. The kernel has `2 f - f mod 2`
/// rows or columns for a factor `f`, with weights `1 - |i - c| / f` around its centre `c`, the stride is `f`, and what
/// is cropped makes pixels keep their places: as PyTorch's `interpolate(mode="bilinear", align_corners=False)`, but that outputs less than half an input pixel
/// from the border are mixed with zeros instead of the border's pixels.
///
/// ```
/// use ndconv::{bilinear_upsampling, conv_transpose2d};
/// use ndarray::array;
///
/// let (config, weight) = bilinear_upsampling::<f32>(1, [1, 2])?;
/// let output = conv_transpose2d(&config, &array![[[[4.0, 8.0, 0.0]]]], &weight, None)?;
/// assert_eq!(output, array![[[[3.0, 5.0, 7.0, 6.0, 2.0, 0.0]]]]);
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// No channels, or a factor of 0, or sizes that do not fit into memory.
pub fn bilinear_upsampling<T: Float>(channels: usize, factor: impl IntoPair) -> Result<(Conv2d, Array4<T>), Error> {
    let factor = factor.into_pair();
    let kernel = factor.map(|factor| factor.saturating_mul(2) - factor % 2);
    // (n - 1) f + kernel - 2 padding = n f.
    let padding = factor.map(|factor| factor / 2);
    let config = Conv2d::depthwise(channels, kernel).stride(factor).padding(padding).bias(false);
    // A kernel is 0 only where its factor is, which is refused as a stride.
    geometry::validate(&Conv2d { kernel: kernel.map(|size| size.max(1)), ..config })?;
    let weight = |axis: usize, index: usize| {
        let [twice, span] = [2 * index as isize + 1 - kernel[axis] as isize, 2 * factor[axis] as isize].map(T::nearest);
        T::one() - twice.abs() / span
    };
    let [height, width] = kernel;
    Ok((config, Array4::from_shape_fn((channels, 1, height, width), |(_, _, i, j)| weight(0, i) * weight(1, j))))
}
