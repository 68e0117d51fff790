//! Transposed convolution, by the textbook.

use ndarray::{Array4, ArrayRef1, ArrayRef4};

use super::standard::padded;
use super::{Sum, expect};
use crate::config::{Conv2d, Padding, PaddingMode};
use crate::element::Element;
use crate::error::{Axis, Error};

/// Crop before and after, and the output size, along one axis.
fn sizes(config: &Conv2d, axis: usize, input: usize) -> Result<(usize, usize, usize), Error> {
    let (kernel, stride, dilation) = (config.kernel[axis], config.stride[axis], config.dilation[axis]);
    for (argument, found) in [("kernel", kernel), ("stride", stride), ("dilation", dilation), ("input", input)] {
        if found == 0 {
            return Err(Error::Setting { argument, axis: Axis::All, found, expected: "at least 1".into() });
        }
    }
    let full = (input - 1) * stride + dilation * (kernel - 1) + 1 + config.output_padding[axis];
    let (before, after) = match config.padding {
        Padding::Sides(sides) => (sides[axis], sides[axis + 2]),
        Padding::Valid => (0, 0),
        same => {
            let total = full.saturating_sub(input * stride);
            let (less, more) = (total / 2, total - total / 2);
            return Ok(if same == Padding::SameUpper {
                (less, more, input * stride)
            } else {
                (more, less, input * stride)
            });
        }
    };
    match full.checked_sub(before + after) {
        Some(output) if output > 0 => Ok((before, after, output)),
        _ => Err(Error::Setting {
            argument: "padding",
            axis: Axis::All,
            found: before + after,
            expected: format!("less than {full}"),
        }),
    }
}

/// The transposed convolution of an input `[n, in, h, w]` with a weight `[in, out / groups, kh, kw]`.
///
/// Insert `stride - 1` rows and columns between the input's, add `d(k - 1)` around, flip the kernel, convolve with
/// stride 1, and crop the padding. What was inserted or added is not a zero but a tap that is not there: it is
/// not multiplied, and keeps its place in the order of summation.
///
/// With a padding mode other than zeros, an output then gathers, after the result at its own place, those at
/// the padded places that read it in the convolution whose adjoint this is, in ascending order.
///
/// ```
/// use ndconv::{Conv2d, reference};
/// use ndarray::array;
///
/// let config = Conv2d::new(1, 1, [1, 2]).stride([1, 3]).bias(false);
/// let output = reference::conv_transpose2d(&config, &array![[[[1, 2]]]], &array![[[[1, 10]]]], None)?;
/// assert_eq!(output, array![[[[1, 10, 0, 2, 20]]]]);
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// Tensors or settings that do not fit each other.
pub fn conv_transpose2d<T: Element>(
    config: &Conv2d,
    input: &ArrayRef4<T>,
    weight: &ArrayRef4<T>,
    bias: Option<&ArrayRef1<T>>,
) -> Result<Array4<T>, Error> {
    let (n, in_channels, height, width) = input.dim();
    let (weight_channels, per_group, kh, kw) = weight.dim();
    let groups = config.groups.max(1);
    expect("input", &[in_channels], [config.in_channels])?;
    expect(
        "weight",
        &[weight_channels, per_group * groups, kh, kw],
        [in_channels, config.out_channels, config.kernel[0], config.kernel[1]],
    )?;
    if let Some(bias) = bias {
        expect("bias", bias.shape(), [config.out_channels])?;
    }
    let (top, bottom, oh) = sizes(config, 0, height)?;
    let (left, right, ow) = sizes(config, 1, width)?;
    let ([sh, sw], [dh, dw]) = (config.stride, config.dilation);

    // The input with its inserted rows and columns, and d(k - 1) of them around it.
    let border = [dh * (kh - 1), dw * (kw - 1)];
    let sparse_size = [(height - 1) * sh + 1 + 2 * border[0], (width - 1) * sw + 1 + 2 * border[1]];
    let mut sparse = Array4::from_elem((n, in_channels, sparse_size[0], sparse_size[1]), None);
    for ((b, c, y, x), &value) in input.indexed_iter() {
        sparse[[b, c, border[0] + y * sh, border[1] + x * sw]] = Some(value);
    }

    let mut output = Array4::zeros((n, config.out_channels, oh, ow));
    for ((b, o, y, x), element) in output.indexed_iter_mut() {
        let channels = in_channels / groups;
        let first_channel = o / per_group * channels;
        let mut sum = Sum::new(bias.map(|bias| bias[o]));
        for row in places(config.padding_mode, y, [top, oh, bottom]) {
            for column in places(config.padding_mode, x, [left, ow, right]) {
                for c in 0..channels {
                    for i in 0..kh {
                        for j in 0..kw {
                            let value =
                                sparse.get([b, first_channel + c, row + i * dh, column + j * dw]).copied().flatten();
                            let flipped = weight[[first_channel + c, o % per_group, kh - 1 - i, kw - 1 - j]];
                            sum.tap(value.map(|value| (value, flipped)));
                        }
                    }
                }
                sum.close();
            }
        }
        *element = sum.finish();
    }
    Ok(output)
}

/// Where in the uncropped result an output element gathers from: its own place, then those that padding made of it.
fn places(mode: PaddingMode, at: usize, [before, len, after]: [usize; 3]) -> Vec<usize> {
    let mut places = vec![before + at];
    if mode != PaddingMode::Zeros {
        for place in (0..before).chain(before + len..before + len + after) {
            if padded(mode, place, before, len) == Some(at) {
                places.push(place);
            }
        }
    }
    places
}
