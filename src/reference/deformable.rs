//! Deformable convolution, by definition.

use ndarray::{Array4, ArrayRef1, ArrayRef4};

use super::standard::sizes;
use super::{Sum, expect};
use crate::config::Conv2d;
use crate::element::Float;
use crate::error::{Axis, Error};
use crate::tensors::DeformInput;

/// The bilinear sample of one channel at `(y, x)`: fused multiply-adds over the corners in row-major order.
fn sample<T: Float>(input: &ArrayRef4<T>, [b, c]: [usize; 2], y: T, x: T) -> T {
    let (_, _, height, width) = input.dim();
    let size = |n: usize| T::from(n).expect("a float");
    if y <= -T::one() || y >= size(height) || x <= -T::one() || x >= size(width) {
        return T::zero();
    }
    let (ly, lx) = (y - y.floor(), x - x.floor());
    let corners = [
        (0, 0, (T::one() - ly) * (T::one() - lx)),
        (0, 1, (T::one() - ly) * lx),
        (1, 0, ly * (T::one() - lx)),
        (1, 1, ly * lx),
    ];
    let mut value = None;
    for (down, right, weight) in corners {
        let row = (y.floor() + size(down)).to_isize();
        let column = (x.floor() + size(right)).to_isize();
        let corner = match (row, column) {
            (Some(row), Some(column)) if row >= 0 && column >= 0 => {
                input.get([b, c, row.unsigned_abs(), column.unsigned_abs()]).copied().unwrap_or(T::zero())
            }
            _ => T::zero(),
        };
        value = Some(match value {
            None => weight * corner,
            Some(value) => weight.fma(corner, value),
        });
    }
    value.expect("four corners")
}

/// The deformable convolution with a weight `[out, in / groups, kh, kw]`.
///
/// ```
/// use ndconv::{Conv2d, DeformInput, reference};
/// use ndarray::array;
///
/// let config = Conv2d::pointwise(1, 1).bias(false);
/// let (input, offset, mask) = (array![[[[1.0, 3.0]]]], array![[[[0.0, 0.0]], [[0.5, -1.0]]]], array![[[[1.0, 2.0]]]]);
/// let input = DeformInput { input: &input, offset: &offset, mask: Some(&mask) };
/// assert_eq!(reference::deform_conv2d(&config, input, &array![[[[10.0]]]], None)?, array![[[[20.0, 20.0]]]]);
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// Tensors or settings that do not fit each other.
pub fn deform_conv2d<T: Float>(
    config: &Conv2d,
    tensors: DeformInput<'_, T>,
    weight: &ArrayRef4<T>,
    bias: Option<&ArrayRef1<T>>,
) -> Result<Array4<T>, Error> {
    let (n, in_channels, height, width) = tensors.input.dim();
    let (out_channels, channels, kh, kw) = weight.dim();
    let groups = config.groups.max(1);
    expect("weight", &[out_channels, channels * groups], [config.out_channels, in_channels])?;
    if let Some(bias) = bias {
        expect("bias", bias.shape(), [out_channels])?;
    }
    let (top, _, oh) = sizes(config, 0, height)?;
    let (left, _, ow) = sizes(config, 1, width)?;
    let offset_groups = tensors.offset.dim().1 / (2 * kh * kw).max(1);
    if offset_groups == 0 || in_channels % offset_groups != 0 {
        let found = tensors.offset.dim().1;
        return Err(Error::Shape {
            argument: "offset",
            axis: Axis::OffsetChannels,
            found,
            expected: "offset groups".into(),
        });
    }
    expect("offset", tensors.offset.shape(), [n, 2 * offset_groups * kh * kw, oh, ow])?;
    if let Some(mask) = tensors.mask {
        expect("mask", mask.shape(), [n, offset_groups * kh * kw, oh, ow])?;
    }
    let mut output = Array4::zeros((n, out_channels, oh, ow));
    for ((b, o, y, x), element) in output.indexed_iter_mut() {
        let first_channel = o / (out_channels / groups) * channels;
        let mut sum = Sum::new(bias.map(|bias| bias[o]));
        for c in first_channel..first_channel + channels {
            let offset_group = c / (in_channels / offset_groups);
            for i in 0..kh {
                for j in 0..kw {
                    let tap = (offset_group * kh + i) * kw + j;
                    let at = |start: usize, pad: usize, axis: usize| {
                        let base = T::from(start as isize - pad as isize).expect("a float");
                        base + tensors.offset[[b, 2 * tap + axis, y, x]]
                    };
                    let row = at(y * config.stride[0] + i * config.dilation[0], top, 0);
                    let column = at(x * config.stride[1] + j * config.dilation[1], left, 1);
                    let mut value = sample(tensors.input, [b, c], row, column);
                    if let Some(mask) = tensors.mask {
                        value = value * mask[[b, tap, y, x]];
                    }
                    sum.tap(Some((value, weight[[o, c - first_channel, i, j]])));
                }
            }
        }
        *element = sum.finish();
    }
    Ok(output)
}
