//! What a configuration answers without any tensor: sizes, padding, parameters, operations.

use super::{Conv2d, Pads};
use crate::error::{Axis, Error};
use crate::geometry::{self, convolution_axis, transposed_axis};

impl Conv2d {
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
    /// [`Padding::SameUpper`](super::Padding::SameUpper), at the start for any other. A size beyond the uncropped one adds rows at the end.
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
        flops.ok_or_else(|| Error::too_large("flops", Axis::All, format!("2 * {macs} + {adds}")))
    }
}
