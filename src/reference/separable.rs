//! Separable convolutions, by definition: two steps.

use ndarray::{Array4, ArrayRef4};

use super::standard::{conv2d, sizes};
use crate::activation::Activation;
use crate::config::{Conv2d, Padding};
use crate::element::Element;
use crate::error::{Axis, Error};
use crate::tensors::{DepthwiseSeparableWeights, InvertedResidualWeights, SpatiallySeparableWeights};

/// Depthwise, an activation, pointwise. See [`DepthwiseSeparableLayer`](crate::DepthwiseSeparableLayer) for the settings.
///
/// ```
/// use ndconv::{Activation, Conv2d, DepthwiseSeparableWeights, reference};
/// use ndarray::array;
///
/// let config = Conv2d::new(1, 1, [1, 2]).bias(false);
/// let weights = DepthwiseSeparableWeights {
///     depthwise: &array![[[[1, -1]]]],
///     depthwise_bias: None,
///     pointwise: &array![[[[10]]]],
///     bias: None,
/// };
/// let output =
///     reference::depthwise_separable_conv2d(&config, &array![[[[1, 2, 0]]]], weights, &Activation::Relu)?;
/// assert_eq!(output, array![[[[0, 20]]]]);
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// Tensors or settings that do not fit each other.
pub fn depthwise_separable_conv2d<T: Element>(
    config: &Conv2d,
    input: &ArrayRef4<T>,
    weights: DepthwiseSeparableWeights<'_, T>,
    between: &Activation<T>,
) -> Result<Array4<T>, Error> {
    let middle = weights.depthwise.dim().0;
    let depthwise = Conv2d { out_channels: middle, groups: config.in_channels, ..*config };
    let pointwise = Conv2d::pointwise(middle, config.out_channels).groups(config.groups);
    let held = activated(conv2d(&depthwise, input, weights.depthwise, weights.depthwise_bias)?, between);
    conv2d(&pointwise, &held, weights.pointwise, weights.bias)
}

/// The tensor with an activation applied to each element.
fn activated<T: Element>(mut tensor: Array4<T>, activation: &Activation<T>) -> Array4<T> {
    for ((_, channel, _, _), element) in tensor.indexed_iter_mut() {
        *element = activation.apply(*element, channel);
    }
    tensor
}

/// Pointwise, an activation, depthwise, the same activation, pointwise, and maybe the input added. See
/// [`InvertedResidualLayer`](crate::InvertedResidualLayer) for the settings.
///
/// ```
/// use ndconv::{Activation, Conv2d, InvertedResidualWeights, reference};
/// use ndarray::array;
///
/// let config = Conv2d::new(1, 1, [1, 3]).padding([0, 1]).bias(false);
/// let weights = InvertedResidualWeights {
///     expand: Some(&array![[[[1]]], [[[-1]]]]),
///     expand_bias: None,
///     depthwise: &array![[[[0, 0, 1]]], [[[0, 1, 0]]]],
///     depthwise_bias: None,
///     project: &array![[[[10]], [[100]]]],
///     bias: None,
/// };
/// let input = array![[[[1, 2, -3]]]];
/// let output = reference::inverted_residual(&config, &input, weights, &Activation::Relu, true)?;
/// assert_eq!(output, array![[[[20 + 1, 2, 300 - 3]]]]);
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// Tensors or settings that do not fit each other.
pub fn inverted_residual<T: Element>(
    config: &Conv2d,
    input: &ArrayRef4<T>,
    weights: InvertedResidualWeights<'_, T>,
    between: &Activation<T>,
    residual: bool,
) -> Result<Array4<T>, Error> {
    let hidden = weights.depthwise.dim().0;
    let expanded = match weights.expand {
        Some(expand) => {
            let pointwise = Conv2d::pointwise(config.in_channels, hidden);
            activated(conv2d(&pointwise, input, expand, weights.expand_bias)?, between)
        }
        None => input.to_owned(),
    };
    let depthwise = Conv2d { in_channels: hidden, out_channels: hidden, groups: hidden, ..*config };
    let filtered = activated(conv2d(&depthwise, &expanded, weights.depthwise, weights.depthwise_bias)?, between);
    let project = Conv2d::pointwise(hidden, config.out_channels);
    let mut output = conv2d(&project, &filtered, weights.project, weights.bias)?;
    if residual {
        for (index, axis) in [Axis::Batch, Axis::OutputChannels, Axis::Height, Axis::Width].into_iter().enumerate() {
            if input.shape()[index] != output.shape()[index] {
                return Err(Error::shape("input", axis, input.shape()[index], output.shape()[index].to_string()));
            }
        }
        output.zip_mut_with(input, |sum, &input| *sum = sum.plus(input));
    }
    Ok(output)
}

/// `kh x 1`, then `1 x kw`. See [`SpatiallySeparableLayer`](crate::SpatiallySeparableLayer) for the settings.
///
/// ```
/// use ndconv::{Conv2d, SpatiallySeparableWeights, reference};
/// use ndarray::array;
///
/// let config = Conv2d::new(1, 1, 2).bias(false);
/// let weights =
///     SpatiallySeparableWeights { vertical: &array![[[[1], [2]]]], horizontal: &array![[[[1, 10]]]], bias: None };
/// let output = reference::spatially_separable_conv2d(&config, &array![[[[1, 2], [3, 4]]]], weights)?;
/// assert_eq!(output, array![[[[107]]]]);
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// Tensors or settings that do not fit each other.
pub fn spatially_separable_conv2d<T: Element>(
    config: &Conv2d,
    input: &ArrayRef4<T>,
    weights: SpatiallySeparableWeights<'_, T>,
) -> Result<Array4<T>, Error> {
    let (_, _, height, width) = input.dim();
    let ((top, bottom, _), (left, right, _)) = (sizes(config, 0, height)?, sizes(config, 1, width)?);
    let middle = weights.vertical.dim().0;
    let vertical = Conv2d {
        out_channels: middle,
        kernel: [config.kernel[0], 1],
        stride: [config.stride[0], 1],
        dilation: [config.dilation[0], 1],
        padding: Padding::Sides([top, 0, bottom, 0]),
        ..*config
    };
    let horizontal = Conv2d {
        in_channels: middle,
        kernel: [1, config.kernel[1]],
        stride: [1, config.stride[1]],
        dilation: [1, config.dilation[1]],
        padding: Padding::Sides([0, left, 0, right]),
        ..*config
    };
    conv2d(&horizontal, &conv2d(&vertical, input, weights.vertical, None)?, weights.horizontal, weights.bias)
}
