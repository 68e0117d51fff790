//! How far a chain of convolutions sees.

use super::Conv2d;
use crate::error::{Axis, Error};

/// How much of the input one element at the end of a chain of convolutions sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReceptiveField {
    /// Rows and columns seen.
    pub size: [usize; 2],
    /// Distance in the input between the fields of neighbouring outputs.
    pub stride: [usize; 2],
}

/// The receptive field of a chain of configurations, the first one applied first.
///
/// Each layer adds `(e - 1)` times the product of the strides before it, `e` being its effective kernel.
///
/// ```
/// use ndconv::{Conv2d, receptive_field};
///
/// let layer = |dilation: usize| Conv2d::new(8, 8, 3).dilation(dilation);
/// assert_eq!(receptive_field(&[layer(1)])?.size, [3, 3]);
/// assert_eq!(receptive_field(&[layer(1), layer(2)])?.size, [7, 7]);
/// assert_eq!(receptive_field(&[layer(1), layer(2), layer(4)])?.size, [15, 15]);
///
/// let stem = [Conv2d::new(3, 64, 7).stride(2), Conv2d::new(64, 64, 3).stride([2, 1])];
/// let field = receptive_field(&stem)?;
/// assert_eq!((field.size, field.stride), ([11, 11], [4, 2]));
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// Whatever is wrong with one of the configurations, or sizes beyond the machine's.
pub fn receptive_field(chain: &[Conv2d]) -> Result<ReceptiveField, Error> {
    let mut field = ReceptiveField { size: [1, 1], stride: [1, 1] };
    for conv in chain {
        let effective = conv.effective_kernel()?;
        for (axis, effective) in effective.into_iter().enumerate() {
            let grown = (effective - 1).checked_mul(field.stride[axis]).and_then(|n| n.checked_add(field.size[axis]));
            let stride = field.stride[axis].checked_mul(conv.stride[axis]);
            let (Some(grown), Some(stride)) = (grown, stride) else {
                let found = format!("{effective} after stride {}", field.stride[axis]);
                return Err(Error::too_large("receptive field", Axis::SPATIAL[axis], found));
            };
            (field.size[axis], field.stride[axis]) = (grown, stride);
        }
    }
    Ok(field)
}
