//! [`Conv2d`]: the one configuration that every operation takes, and the questions it answers without a tensor.

use crate::error::Error;
use crate::geometry::{self, convolution_axis, transposed_axis};
use crate::numerics::Numerics;
use crate::padding::{Padding, PaddingMode, Pads};

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
/// below returns an [`Error`] that names what is wrong.
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

    /// `[out_channels, in_channels / groups, kernel height, kernel width]`.
    ///
    /// With zero groups, which every operation refuses, the division is left out.
    #[must_use]
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.out_channels, self.in_channels / self.groups.max(1), self.kernel[0], self.kernel[1]]
    }

    /// The weight of a transposed convolution: `[in_channels, out_channels / groups, kernel height, kernel width]`.
    #[must_use]
    pub fn transposed_weight_shape(&self) -> [usize; 4] {
        [self.in_channels, self.out_channels / self.groups.max(1), self.kernel[0], self.kernel[1]]
    }

    /// Height and width of the output: `floor((in + pads - d(k - 1) - 1) / stride) + 1`.
    ///
    /// ```
    /// # use ndconv::{Conv2d, Padding};
    /// // The first layer of ResNet: 7x7, stride 2, padding 3.
    /// assert_eq!(Conv2d::new(3, 64, 7).stride(2).padding(3).output_size([224, 224])?, [112, 112]);
    /// // SAME gives ceil(in / stride), whatever the kernel.
    /// assert_eq!(Conv2d::new(3, 8, 5).stride(2).padding(Padding::SameUpper).output_size([7, 8])?, [4, 4]);
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever is wrong with the configuration, or a kernel larger than the padded input.
    pub fn output_size(&self, input: [usize; 2]) -> Result<[usize; 2], Error> {
        Ok(geometry::axes(self, input, convolution_axis)?.map(|axis| axis.output))
    }

    /// The padding in rows and columns, with the `Same` conventions worked out for this input size.
    ///
    /// ```
    /// # use ndconv::{Conv2d, Padding, Pads};
    /// let conv = Conv2d::new(1, 1, 3).stride(2).padding(Padding::SameUpper);
    /// assert_eq!(conv.resolved_pads([8, 7])?, Pads { top: 0, left: 1, bottom: 1, right: 1 });
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`output_size`](Self::output_size).
    pub fn resolved_pads(&self, input: [usize; 2]) -> Result<Pads, Error> {
        let [rows, columns] = geometry::axes(self, input, convolution_axis)?;
        Ok(Pads::from_axes(rows.pads, columns.pads))
    }

    /// Height and width of a transposed convolution's output: `(in - 1) stride - pads + d(k - 1) + 1 + output_padding`.
    ///
    /// ```
    /// # use ndconv::Conv2d;
    /// // U-Net's and DCGAN's upsampling both double the size.
    /// assert_eq!(Conv2d::new(128, 64, 2).stride(2).transposed_output_size([32, 32])?, [64, 64]);
    /// assert_eq!(Conv2d::new(128, 64, 4).stride(2).padding(1).transposed_output_size([32, 32])?, [64, 64]);
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever is wrong with the configuration, or padding that crops everything.
    pub fn transposed_output_size(&self, input: [usize; 2]) -> Result<[usize; 2], Error> {
        Ok(geometry::axes(self, input, transposed_axis)?.map(|axis| axis.output))
    }

    /// The rows and columns that a transposed convolution crops, with the `Same` conventions worked out.
    ///
    /// # Errors
    /// As [`transposed_output_size`](Self::transposed_output_size).
    pub fn transposed_resolved_pads(&self, input: [usize; 2]) -> Result<Pads, Error> {
        let [rows, columns] = geometry::axes(self, input, transposed_axis)?;
        Ok(Pads::from_axes(rows.pads, columns.pads))
    }

    /// The configuration with the output padding that gives a transposed convolution this output size, as PyTorch's `output_size`.
    ///
    /// Several input sizes of a strided convolution share one output size; this says which one to go back to.
    ///
    /// ```
    /// # use ndconv::Conv2d;
    /// let up = Conv2d::new(8, 8, 3).stride(2).padding(1);
    /// assert_eq!(up.with_output_size([4, 4], [8, 7])?.output_padding, [1, 0]);
    /// let error = up.with_output_size([4, 4], [9, 7]).unwrap_err();
    /// assert_eq!(error.to_string(), "output_size asks for height 9, expected 7 to 8 for an input of 4");
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever is wrong with the configuration, or a size that no output padding gives.
    pub fn with_output_size(&self, input: [usize; 2], output: [usize; 2]) -> Result<Self, Error> {
        geometry::solve_output_padding(self, input, output)
    }

    /// The configuration with the padding that gives a transposed convolution this output size, as ONNX's `output_shape`.
    ///
    /// The padding set so far only says where an odd row or column is cropped: at the end for
    /// [`Padding::SameUpper`], at the start for any other. A size beyond the uncropped one adds rows at the end.
    ///
    /// ```
    /// # use ndconv::{Conv2d, Padding};
    /// let up = Conv2d::new(1, 1, 3).stride(2);
    /// assert_eq!(up.with_output_shape([3, 3], [6, 7])?.padding, Padding::Sides([1, 0, 0, 0]));
    /// assert_eq!(up.with_output_shape([3, 3], [8, 7])?.output_padding, [1, 0]);
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever is wrong with the configuration, or a size further beyond the uncropped one than output padding reaches.
    pub fn with_output_shape(&self, input: [usize; 2], output: [usize; 2]) -> Result<Self, Error> {
        geometry::solve_padding(self, input, output)
    }

    /// Rows and columns that one window spans: `d(k - 1) + 1`.
    ///
    /// ```
    /// # use ndconv::Conv2d;
    /// assert_eq!(Conv2d::new(1, 1, 3).dilation(4).effective_kernel()?, [9, 9]);
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever is wrong with the configuration.
    pub fn effective_kernel(&self) -> Result<[usize; 2], Error> {
        geometry::validate(self)?;
        Ok([geometry::effective_kernel(self, 0)?, geometry::effective_kernel(self, 1)?])
    }

    /// Numbers to learn: weights and, if there is one, bias. The same for a transposed convolution.
    ///
    /// ```
    /// # use ndconv::Conv2d;
    /// let dense = Conv2d::new(64, 128, 3).bias(false);
    /// assert_eq!(dense.parameters()?, 128 * 64 * 9);
    /// assert_eq!(dense.groups(4).parameters()?, dense.parameters()? / 4);
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever is wrong with the configuration.
    pub fn parameters(&self) -> Result<usize, Error> {
        geometry::validate(self)?;
        Ok(self.weight_shape().iter().product::<usize>() + if self.bias { self.out_channels } else { 0 })
    }

    /// Multiply-adds for one sample of this height and width, taps on padding included.
    ///
    /// ```
    /// # use ndconv::Conv2d;
    /// let dense = Conv2d::new(64, 128, 3).padding(1);
    /// assert_eq!(dense.macs([56, 56])?, 128 * 64 * 9 * 56 * 56);
    /// assert_eq!(dense.groups(4).macs([56, 56])?, dense.macs([56, 56])? / 4);
    ///
    /// // Depthwise 3x3, then pointwise: 1/oc + 1/9 of the dense cost.
    /// let separable = Conv2d::depthwise(64, 3).padding(1).macs([56, 56])? + Conv2d::pointwise(64, 128).macs([56, 56])?;
    /// let ratio = separable as f64 / dense.macs([56, 56])? as f64;
    /// assert!((ratio - (1.0 / 128.0 + 1.0 / 9.0)).abs() < 1e-12);
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`output_size`](Self::output_size), or a count beyond 64 bits.
    pub fn macs(&self, input: [usize; 2]) -> Result<u64, Error> {
        geometry::convolution_macs(self, input)
    }

    /// [`macs`](Self::macs) without taps that read padding.
    ///
    /// ```
    /// # use ndconv::Conv2d;
    /// let conv = Conv2d::new(1, 1, 3).padding(1);
    /// assert_eq!(conv.macs([4, 4])?, 144);
    /// assert_eq!(conv.macs_on_input([4, 4])?, 100); // (4 * 3 - 2)²
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`macs`](Self::macs).
    pub fn macs_on_input(&self, input: [usize; 2]) -> Result<u64, Error> {
        geometry::convolution_macs_on_input(self, input)
    }

    /// Floating-point operations for one sample: two per multiply-add, and one addition per output for the bias.
    ///
    /// ```
    /// # use ndconv::Conv2d;
    /// let conv = Conv2d::new(64, 64, 3).padding(1).bias(false);
    /// assert_eq!(conv.flops([56, 56])?, 2 * 115_605_504);
    /// assert_eq!(conv.bias(true).flops([56, 56])?, 2 * 115_605_504 + 64 * 56 * 56);
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`macs`](Self::macs).
    pub fn flops(&self, input: [usize; 2]) -> Result<u64, Error> {
        self.flops_of(self.macs(input)?, self.output_size(input)?)
    }

    /// Multiply-adds of a transposed convolution of one sample: input positions times taps, as no inserted zero is multiplied.
    ///
    /// ```
    /// # use ndconv::Conv2d;
    /// assert_eq!(Conv2d::new(128, 64, 2).stride(2).transposed_macs([32, 32])?, 128 * 64 * 4 * 32 * 32);
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`transposed_output_size`](Self::transposed_output_size), or a count beyond 64 bits.
    pub fn transposed_macs(&self, input: [usize; 2]) -> Result<u64, Error> {
        geometry::transposed_macs(self, input)
    }

    /// As [`flops`](Self::flops), for a transposed convolution.
    ///
    /// # Errors
    /// As [`transposed_macs`](Self::transposed_macs).
    pub fn transposed_flops(&self, input: [usize; 2]) -> Result<u64, Error> {
        self.flops_of(self.transposed_macs(input)?, self.transposed_output_size(input)?)
    }

    fn flops_of(&self, macs: u64, output: [usize; 2]) -> Result<u64, Error> {
        let adds = if self.bias { self.out_channels as u64 * output[0] as u64 * output[1] as u64 } else { 0 };
        let flops = macs.checked_mul(2).and_then(|flops| flops.checked_add(adds));
        flops.ok_or_else(|| Error::too_large("flops", crate::error::Axis::All, format!("2 * {macs} + {adds}")))
    }
}

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
        for axis in 0..2 {
            let grown =
                (effective[axis] - 1).checked_mul(field.stride[axis]).and_then(|n| n.checked_add(field.size[axis]));
            let stride = field.stride[axis].checked_mul(conv.stride[axis]);
            let (Some(grown), Some(stride)) = (grown, stride) else {
                let found = format!("{} after stride {}", effective[axis], field.stride[axis]);
                return Err(Error::too_large("receptive field", crate::error::Axis::SPATIAL[axis], found));
            };
            (field.size[axis], field.stride[axis]) = (grown, stride);
        }
    }
    Ok(field)
}
