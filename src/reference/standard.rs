//! Standard convolution, by definition.

use ndarray::{Array4, ArrayRef1, ArrayRef4};

use super::{Sum, expect};
use crate::config::{Conv2d, Padding, PaddingMode};
use crate::element::Element;
use crate::error::{Axis, Error};

/// Padding before and after, and the output size, along one axis.
pub(super) fn sizes(config: &Conv2d, axis: usize, input: usize) -> Result<(usize, usize, usize), Error> {
    let (kernel, stride, dilation) = (config.kernel[axis], config.stride[axis], config.dilation[axis]);
    for (argument, found) in [("kernel", kernel), ("stride", stride), ("dilation", dilation), ("input", input)] {
        if found == 0 {
            return Err(Error::Setting { argument, axis: Axis::All, found, expected: "at least 1".into() });
        }
    }
    let reach = dilation * (kernel - 1) + 1;
    let (before, after) = match config.padding {
        Padding::Sides(sides) => (sides[axis], sides[axis + 2]),
        Padding::Valid => (0, 0),
        same => {
            let output = input.div_ceil(stride);
            let total = ((output - 1) * stride + reach).saturating_sub(input);
            if same == Padding::SameUpper { (total / 2, total - total / 2) } else { (total - total / 2, total / 2) }
        }
    };
    if before + input + after < reach {
        let found = before + input + after;
        return Err(Error::KernelTooLarge { argument: "input", axis: Axis::All, found, expected: reach });
    }
    Ok((before, after, (before + input + after - reach) / stride + 1))
}

/// The index that a padded position reads: `position` counts from the start of the padding.
///
/// Walks from the image outwards, one step at a time, which shares no formula with anything else.
pub(super) fn padded(mode: PaddingMode, position: usize, before: usize, len: usize) -> Option<usize> {
    if position >= before && position - before < len {
        return Some(position - before);
    }
    let (steps, at_end) =
        if position < before { (before - position, false) } else { (position - before - len + 1, true) };
    let mut index = if at_end { len - 1 } else { 0 };
    // Direction of travel: reflections start by turning back into the image.
    let mut up = !at_end;
    match mode {
        PaddingMode::Zeros => return None,
        PaddingMode::Replicate => {}
        PaddingMode::Circular => {
            for _ in 0..steps {
                index = if at_end { (index + 1) % len } else { (index + len - 1) % len };
            }
        }
        PaddingMode::Reflect => {
            for _ in 0..if len == 1 { 0 } else { steps } {
                if (up && index == len - 1) || (!up && index == 0) {
                    up = !up;
                }
                index = if up { index + 1 } else { index - 1 };
            }
        }
        PaddingMode::Symmetric => {
            // The first step outwards repeats the edge element.
            for _ in 1..steps {
                if (up && index == len - 1) || (!up && index == 0) {
                    up = !up;
                } else {
                    index = if up { index + 1 } else { index - 1 };
                }
            }
        }
    }
    Some(index)
}

/// The standard convolution of an input `[n, in, h, w]` with a weight `[out, in / groups, kh, kw]`.
///
/// ```
/// use ndconv::{Conv2d, reference};
/// use ndarray::array;
///
/// let config = Conv2d::new(1, 1, [1, 2]).bias(false);
/// let output = reference::conv2d(&config, &array![[[[1, 2, 3]]]], &array![[[[1, 10]]]], None)?;
/// assert_eq!(output, array![[[[21, 32]]]]);
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// Tensors or settings that do not fit each other.
pub fn conv2d<T: Element>(
    config: &Conv2d,
    input: &ArrayRef4<T>,
    weight: &ArrayRef4<T>,
    bias: Option<&ArrayRef1<T>>,
) -> Result<Array4<T>, Error> {
    let (n, in_channels, height, width) = input.dim();
    let (out_channels, channels, kh, kw) = weight.dim();
    let groups = config.groups.max(1);
    expect("input", &[in_channels], [config.in_channels])?;
    expect(
        "weight",
        &[out_channels, channels * groups, kh, kw],
        [config.out_channels, config.in_channels, config.kernel[0], config.kernel[1]],
    )?;
    if let Some(bias) = bias {
        expect("bias", bias.shape(), [out_channels])?;
    }
    let (top, _, oh) = sizes(config, 0, height)?;
    let (left, _, ow) = sizes(config, 1, width)?;
    let mut output = Array4::zeros((n, out_channels, oh, ow));
    for ((b, o, y, x), element) in output.indexed_iter_mut() {
        let first_channel = o / (out_channels / groups) * channels;
        let mut sum = Sum::new(bias.map(|bias| bias[o]));
        for c in 0..channels {
            for i in 0..kh {
                for j in 0..kw {
                    let row = padded(config.padding_mode, y * config.stride[0] + i * config.dilation[0], top, height);
                    let column =
                        padded(config.padding_mode, x * config.stride[1] + j * config.dilation[1], left, width);
                    let value = match (row, column) {
                        (Some(row), Some(column)) => input[[b, first_channel + c, row, column]],
                        _ => T::zero(),
                    };
                    sum.tap(Some((value, weight[[o, c, i, j]])));
                }
            }
        }
        *element = sum.finish();
    }
    Ok(output)
}
