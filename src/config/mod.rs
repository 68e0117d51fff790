//! [`Conv2d`]: the one configuration that every operation takes, and the questions it answers without a tensor ([`questions`]).

mod padding;
mod questions;
mod receptive_field;

use crate::numerics::Numerics;
pub use padding::{Padding, PaddingMode, Pads};
pub use receptive_field::{ReceptiveField, receptive_field};

/// A number for both spatial axes, or one for each: `2`, `[2, 1]` and `(2, 1)` all convert.
pub trait IntoPair {
    /// `[height, width]`.
    fn into_pair(self) -> [usize; 2];
}

impl IntoPair for usize {
    fn into_pair(self) -> [usize; 2] {
        [self; 2]
    }
}

impl IntoPair for [usize; 2] {
    fn into_pair(self) -> [usize; 2] {
        self
    }
}

impl IntoPair for (usize, usize) {
    fn into_pair(self) -> [usize; 2] {
        [self.0, self.1]
    }
}

/// What a 2-D convolution is: plain data, shared by every operation of this crate.
///
/// The operations are cross-correlations, as in every deep-learning library: the kernel is not
/// flipped ([`flip`](crate::flip) does that). Two-element settings are `[height, width]`.
///
/// Nothing is checked until the configuration is used; then every operation and every question
/// below returns an [`Error`](crate::Error) that names what is wrong.
///
/// ```
/// use ndconv::{Conv2d, PaddingMode};
///
/// let conv = Conv2d::new(64, 128, 3).stride(2).padding(1).groups(4).padding_mode(PaddingMode::Reflect);
/// assert_eq!(conv.output_size([56, 56])?, [28, 28]);
/// assert_eq!(conv.weight_shape(), [128, 16, 3, 3]);
/// # Ok::<(), ndconv::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Conv2d {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Taps of the kernel, `[height, width]`.
    pub kernel: [usize; 2],
    /// Distance between neighbouring windows; for a transposed convolution between neighbouring inputs.
    pub stride: [usize; 2],
    /// Rows and columns added around the input; cropped off the output of a transposed convolution.
    pub padding: Padding,
    /// What the added rows and columns hold.
    pub padding_mode: PaddingMode,
    /// Distance between neighbouring taps; 1 is a dense kernel.
    pub dilation: [usize; 2],
    /// Output channel `o` sees only the input channels of group `o / (out_channels / groups)`.
    pub groups: usize,
    /// Whether there is a bias, one number per output channel.
    pub bias: bool,
    /// Rows and columns added at the bottom and right of a transposed convolution's output; less than the larger of stride and dilation.
    pub output_padding: [usize; 2],
    /// How sums may be ordered.
    pub numerics: Numerics,
}

impl Conv2d {
    /// A dense convolution with stride 1, no padding, one group and a bias.
    #[must_use]
    pub fn new(in_channels: usize, out_channels: usize, kernel: impl IntoPair) -> Self {
        Conv2d {
            in_channels,
            out_channels,
            kernel: kernel.into_pair(),
            stride: [1, 1],
            padding: Padding::default(),
            padding_mode: PaddingMode::Zeros,
            dilation: [1, 1],
            groups: 1,
            bias: true,
            output_padding: [0, 0],
            numerics: Numerics::Exact,
        }
    }

    /// A 1x1 convolution: a matrix product over channels.
    ///
    /// ```
    /// # use ndconv::Conv2d;
    /// assert_eq!(Conv2d::pointwise(64, 256), Conv2d::new(64, 256, 1));
    /// ```
    #[must_use]
    pub fn pointwise(in_channels: usize, out_channels: usize) -> Self {
        Conv2d::new(in_channels, out_channels, 1)
    }

    /// A depthwise convolution: every channel has its own kernel.
    ///
    /// ```
    /// # use ndconv::Conv2d;
    /// assert_eq!(Conv2d::depthwise(32, 3), Conv2d::new(32, 32, 3).groups(32));
    /// ```
    #[must_use]
    pub fn depthwise(channels: usize, kernel: impl IntoPair) -> Self {
        Conv2d::new(channels, channels, kernel).groups(channels)
    }

    /// Sets the stride.
    ///
    /// ```
    /// # use ndconv::Conv2d;
    /// let conv = Conv2d::new(3, 8, 3);
    /// assert_eq!(conv.stride(2).stride, [2, 2]);
    /// assert_eq!(conv.stride([2, 1]).stride, [2, 1]);
    /// ```
    #[must_use]
    pub fn stride(mut self, stride: impl IntoPair) -> Self {
        self.stride = stride.into_pair();
        self
    }

    /// Sets the padding: `1`, `[height, width]`, `[top, left, bottom, right]` or a [`Padding`].
    #[must_use]
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Sets what the padding holds.
    #[must_use]
    pub fn padding_mode(mut self, mode: PaddingMode) -> Self {
        self.padding_mode = mode;
        self
    }

    /// Sets the dilation.
    #[must_use]
    pub fn dilation(mut self, dilation: impl IntoPair) -> Self {
        self.dilation = dilation.into_pair();
        self
    }

    /// Sets the number of channel groups.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Sets whether there is a bias.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Sets the output padding of a transposed convolution.
    #[must_use]
    pub fn output_padding(mut self, output_padding: impl IntoPair) -> Self {
        self.output_padding = output_padding.into_pair();
        self
    }

    /// Sets the numerics.
    #[must_use]
    pub fn numerics(mut self, numerics: Numerics) -> Self {
        self.numerics = numerics;
        self
    }
}
