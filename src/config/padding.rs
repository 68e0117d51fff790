//! Padding as a setting: how many border rows and columns, and what they hold.

/// What the border rows and columns hold.
///
/// The modes go by different names elsewhere:
///
/// | here | values around `1 2 3` | PyTorch | numpy `pad` | scipy `ndimage` | OpenCV | ONNX `Pad` |
/// | --- | --- | --- | --- | --- | --- | --- |
/// | [`Zeros`](Self::Zeros) | `0 0 \| 1 2 3 \| 0 0` | `zeros` | `constant` | `constant` | `BORDER_CONSTANT` | `constant` |
/// | [`Reflect`](Self::Reflect) | `3 2 \| 1 2 3 \| 2 1` | `reflect` | `reflect` | `mirror` | `BORDER_REFLECT_101` | `reflect` |
/// | [`Symmetric`](Self::Symmetric) | `2 1 \| 1 2 3 \| 3 2` | – | `symmetric` | `reflect` | `BORDER_REFLECT` | – |
/// | [`Replicate`](Self::Replicate) | `1 1 \| 1 2 3 \| 3 3` | `replicate` | `edge` | `nearest` | `BORDER_REPLICATE` | `edge` |
/// | [`Circular`](Self::Circular) | `2 3 \| 1 2 3 \| 1 2` | `circular` | `wrap` | `grid-wrap` | `BORDER_WRAP` | `wrap` |
///
/// A border may be wider than the image: reflections bounce and circles go round again, as in numpy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum PaddingMode {
    /// Zeros, which are values like any other: zero times infinity is NaN.
    #[default]
    Zeros,
    /// Mirrored about the centre of the edge element, which is not repeated.
    Reflect,
    /// Mirrored about the outer side of the edge element, which is repeated.
    Symmetric,
    /// The edge element.
    Replicate,
    /// The other end.
    Circular,
}

/// How many rows and columns are added around the input.
///
/// Converts from one number (all sides), two (height, width) and four (top, left, bottom, right).
///
/// ```
/// use ndconv::{Conv2d, Padding};
/// let conv = Conv2d::new(1, 1, 3);
/// assert_eq!(conv.padding(1).padding, Padding::Sides([1, 1, 1, 1]));
/// assert_eq!(conv.padding([1, 2]).padding, Padding::Sides([1, 2, 1, 2]));
/// assert_eq!(conv.padding([1, 2, 3, 4]).padding, Padding::Sides([1, 2, 3, 4]));
/// assert_eq!(conv.padding(Padding::SameUpper).padding, Padding::SameUpper);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Padding {
    /// Top, left, bottom, right.
    Sides([usize; 4]),
    /// None.
    Valid,
    /// Output size `ceil(input / stride)`; an odd row or column goes to the bottom or right.
    /// ONNX `SAME_UPPER`, TensorFlow `SAME`, and at stride 1 PyTorch `'same'`.
    /// For a transposed convolution: output size `input * stride`.
    SameUpper,
    /// As [`SameUpper`](Padding::SameUpper) with the odd row or column at the top or left.
    SameLower,
}

impl Default for Padding {
    fn default() -> Self {
        Padding::Sides([0; 4])
    }
}

impl From<usize> for Padding {
    fn from(all: usize) -> Self {
        Padding::Sides([all; 4])
    }
}

impl From<[usize; 2]> for Padding {
    fn from([height, width]: [usize; 2]) -> Self {
        Padding::Sides([height, width, height, width])
    }
}

impl From<(usize, usize)> for Padding {
    fn from((height, width): (usize, usize)) -> Self {
        Padding::from([height, width])
    }
}

impl From<[usize; 4]> for Padding {
    fn from(sides: [usize; 4]) -> Self {
        Padding::Sides(sides)
    }
}

/// Padding in rows and columns, as an operation uses it: [`Padding`] with its conventions worked out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pads {
    /// Rows above.
    pub top: usize,
    /// Columns before.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns after.
    pub right: usize,
}

impl Pads {
    pub(crate) fn from_axes([top, bottom]: [usize; 2], [left, right]: [usize; 2]) -> Self {
        Pads { top, left, bottom, right }
    }

    /// `[begin, end]` for height, then for width.
    #[must_use]
    pub fn axes(self) -> [[usize; 2]; 2] {
        [[self.top, self.bottom], [self.left, self.right]]
    }

    /// Rows or columns before the image: `[top, left]`.
    pub(crate) fn begins(self) -> [usize; 2] {
        [self.top, self.left]
    }
}
