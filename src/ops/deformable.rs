//! Deformable convolution, versions 1 and 2.

use ndarray::{Array4, ArrayRef1, ArrayRef4, ArrayViewMut4};

use super::engine::DeformableJob;
use super::{Options, check, demand, new_output};
use crate::activation::Activation;
use crate::algo::deformable::field::Field;
use crate::algo::deformable::{Deformable, DepthwiseDeformable, DepthwiseWeights};
use crate::algo::{Either, drive};
use crate::config::{Conv2d, PaddingMode};
use crate::element::Float;
use crate::error::{Axis, Error};
use crate::geometry::{self, Problem};
use crate::parallel;
use crate::plan::ProductPlan;
use crate::plan::schedule::Sampled;
use crate::scratch::Workspace;
use crate::simd::Isa;
use crate::tensors::DeformInput;

/// A deformable convolution with its weights, ready for any batch, height and width.
///
/// A convolution (cross-correlation, kernel not flipped) whose taps read the input at positions moved by
/// offsets, by bilinear interpolation (Dai et al., "Deformable Convolutional Networks", 2017), and with a mask,
/// times a factor (Zhu et al., "Deformable ConvNets v2", 2019). The layout is torchvision's. The number of
/// offset groups follows from the offset's channels and is independent of the weight's groups.
///
/// Samples outside `(-1, h) x (-1, w)` are 0, and so are corners outside the image. Zero offsets give the plain
/// convolution, bit for bit.
///
/// ```
/// use ndconv::{Conv2d, DeformConv2dLayer, DeformInput, conv2d};
/// use ndarray::Array4;
///
/// let config = Conv2d::new(2, 4, 3).padding(1).bias(false);
/// let weight = Array4::from_shape_fn((4, 2, 3, 3), |(o, c, i, j)| (o + 2 * c) as f32 - (i * j) as f32);
/// let input = Array4::from_shape_fn((1, 2, 5, 6), |(_, c, y, x)| (c * 30 + y * 6 + x) as f32);
/// let layer = DeformConv2dLayer::new(&config, &weight, None)?;
///
/// let offset = Array4::zeros((1, 2 * 9, 5, 6));
/// let output = layer.run(DeformInput { input: &input, offset: &offset, mask: None })?;
/// assert_eq!(output, conv2d(&config, &input, &weight, None)?);
/// # Ok::<(), ndconv::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DeformConv2dLayer<T> {
    config: Conv2d,
    isa: Isa,
    plan: Plan<T>,
    activation: Activation<T>,
}

/// A deformable convolution with its weights.
#[derive(Clone, Debug)]
enum Plan<T> {
    Product(ProductPlan<T>),
    Depthwise(DepthwiseWeights<T>),
}

impl<T: Float> DeformConv2dLayer<T> {
    /// Packs a weight `[out, in / groups, kh, kw]` and, if the configuration has one, a bias `[out]`.
    ///
    /// # Errors
    /// Whatever is wrong with the configuration, or tensors that do not fit it. The padding mode must be zeros.
    pub fn new(config: &Conv2d, weight: &ArrayRef4<T>, bias: Option<&ArrayRef1<T>>) -> Result<Self, Error> {
        Self::with_options(config, weight, bias, Options::new())
    }

    /// [`new`](Self::new) with an activation or an instruction set.
    ///
    /// # Errors
    /// As [`new`](Self::new), or an activation that does not fit.
    pub fn with_options(
        config: &Conv2d,
        weight: &ArrayRef4<T>,
        bias: Option<&ArrayRef1<T>>,
        options: Options<T>,
    ) -> Result<Self, Error> {
        geometry::validate(config)?;
        if config.padding_mode != PaddingMode::Zeros {
            return Err(Error::Unsupported {
                argument: "padding_mode",
                axis: Axis::All,
                found: format!("{:?}", config.padding_mode),
                expected: "Zeros: a deformable convolution's samples outside the image are 0".into(),
            });
        }
        check::weight("weight", config, weight.dim())?;
        let bias = check::bias(config, bias)?;
        options.refuse_algorithm()?;
        options.activation.validate(config.out_channels)?;
        let plan = if config.groups == config.in_channels && config.groups == config.out_channels {
            let weight: Vec<T> = weight.iter().copied().collect();
            Plan::Depthwise(DepthwiseWeights::new(options.isa, &weight, bias, config.in_channels))
        } else {
            Plan::Product(ProductPlan::new(config, options.isa, weight.view(), bias))
        };
        Ok(DeformConv2dLayer { config: *config, isa: options.isa, plan, activation: options.activation })
    }

    /// A layer that sums up samples without weights and without mixing channels: DCNv3's and DCNv4's aggregation.
    ///
    /// Each channel is the sum, over the taps, of the sample times the mask of its offset group (Wang et al., "InternImage", 2023; without the
    /// softmax over a pixel's masks: Xiong et al., "Efficient Deformable ConvNets", 2024). It is the depthwise deformable convolution whose
    /// weights are all one. Those models keep channels last and scale their offsets; here tensors are laid out as everywhere, and
    /// offsets are in pixels.
    ///
    /// ```
    /// use ndconv::{Conv2d, DeformConv2dLayer, DeformInput, Options};
    /// use ndarray::Array4;
    ///
    /// // 32 channels in 4 groups of offsets and masks, 3x3 sampling points.
    /// let layer = DeformConv2dLayer::aggregation(&Conv2d::depthwise(32, 3).padding(1).bias(false), Options::new())?;
    /// let (input, offset) = (Array4::<f32>::ones((1, 32, 14, 14)), Array4::zeros((1, 4 * 9 * 2, 14, 14)));
    /// let mask = Array4::from_elem((1, 4 * 9, 14, 14), 0.25);
    /// let output = layer.run(DeformInput { input: &input, offset: &offset, mask: Some(&mask) })?;
    /// assert_eq!(output[[0, 31, 7, 7]], 9.0 * 0.25);
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// A configuration that is not depthwise or has a bias, or an activation that does not fit.
    pub fn aggregation(config: &Conv2d, options: Options<T>) -> Result<Self, Error> {
        for (argument, axis, found) in
            [("groups", Axis::Groups, config.groups), ("out_channels", Axis::OutputChannels, config.out_channels)]
        {
            if found != config.in_channels {
                let expected = format!("{}, the number of input channels: channels are not mixed", config.in_channels);
                return Err(Error::setting(argument, axis, found, expected));
            }
        }
        geometry::validate(config)?;
        Self::with_options(config, &Array4::ones(config.weight_shape()), None, options)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Conv2d {
        &self.config
    }

    /// Computes into a new array.
    ///
    /// # Errors
    /// Tensors that do not fit the configuration or each other.
    pub fn run(&self, input: DeformInput<'_, T>) -> Result<Array4<T>, Error> {
        let mut output = new_output(&self.problem(&input)?.0)?;
        self.run_into(input, &mut output)?;
        Ok(output)
    }

    /// Computes into the caller's array, of any memory layout.
    ///
    /// # Errors
    /// As [`run`](Self::run), or an output of the wrong shape.
    pub fn run_into(&self, input: DeformInput<'_, T>, output: &mut ArrayRef4<T>) -> Result<(), Error> {
        self.run_into_with(input, output, &mut Workspace::new())
    }

    /// [`run_into`](Self::run_into) with working memory that is kept from call to call.
    ///
    /// # Errors
    /// As [`run_into`](Self::run_into).
    pub fn run_into_with(
        &self,
        input: DeformInput<'_, T>,
        output: &mut ArrayRef4<T>,
        workspace: &mut Workspace<T>,
    ) -> Result<(), Error> {
        let (problem, offset_groups) = self.problem(&input)?;
        check::output(&problem, output.dim())?;
        T::compute_deformable(DeformableJob {
            layer: self,
            problem: &problem,
            offset_groups,
            tensors: input,
            output: output.view_mut(),
            workspace,
        });
        Ok(())
    }

    /// The sizes and the number of offset groups.
    fn problem(&self, tensors: &DeformInput<'_, T>) -> Result<(Problem, usize), Error> {
        let problem = Problem::convolution(&self.config, tensors.input.dim())?;
        let taps = self.config.kernel[0] * self.config.kernel[1];
        let in_channels = self.config.in_channels;
        let channels = tensors.offset.dim().1;
        let groups = channels / (2 * taps);
        if groups == 0 || !channels.is_multiple_of(2 * taps) || !in_channels.is_multiple_of(groups) {
            let expected =
                format!("2 * {taps} taps * a number of offset groups that divides {in_channels} input channels");
            return Err(Error::shape("offset", Axis::OffsetChannels, channels, expected));
        }
        let spatial = |argument, dim: (usize, usize, usize, usize)| {
            let [height, width] = problem.output;
            let why = || Some("one for each output".into());
            check::size(argument, Axis::Batch, dim.0, problem.batch, || None)?;
            check::size(argument, Axis::Height, dim.2, height, why)?;
            check::size(argument, Axis::Width, dim.3, width, why)
        };
        spatial("offset", tensors.offset.dim())?;
        if let Some(mask) = tensors.mask {
            let why = || Some(format!("{groups} offset groups * {taps} taps"));
            check::size("mask", Axis::MaskChannels, mask.dim().1, groups * taps, why)?;
            spatial("mask", mask.dim())?;
        }
        Ok((problem, groups))
    }

    pub(super) fn compute(
        &self,
        problem: &Problem,
        offset_groups: usize,
        tensors: DeformInput<'_, T>,
        output: ArrayViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        let macs = problem.convolution_macs(&self.config);
        let mut demand = demand::<T>(&self.config, problem, self.isa, [1, 1], macs);
        demand.sampled = Some(Sampled {
            stride: problem.stride,
            window: [0, 1].map(|axis| (self.config.kernel[axis] - 1) * self.config.dilation[axis] + 1),
            offset_groups,
        });
        let schedule = demand.schedule(parallel::threads());
        let field = Field {
            problem,
            kernel: self.config.kernel,
            dilation: self.config.dilation,
            offset: tensors.offset.view(),
            mask: tensors.mask.map(|mask| mask.view()),
            offset_groups,
        };
        let activation = &self.activation;
        let stage = match &self.plan {
            Plan::Product(plan) => {
                Either::First(Deformable { weights: plan.weights(), activation, lanes: schedule.lanes, field })
            }
            Plan::Depthwise(weights) => Either::Second(DepthwiseDeformable { weights, activation, field }),
        };
        drive(&stage, tensors.input.view(), output, schedule, workspace);
    }
}

/// Deformable convolution with a weight `[out, in / groups, kh, kw]`.
///
/// See [`DeformConv2dLayer`], which serves to use a weight more than once. As everywhere in this crate the kernel is
/// not flipped. Arguments may have any memory layout.
///
/// ```
/// use ndconv::{Conv2d, DeformInput, deform_conv2d};
/// use ndarray::{Array4, array};
///
/// // Half a pixel to the right: the mean of two neighbours.
/// let config = Conv2d::pointwise(1, 1).bias(false);
/// let input = array![[[[1.0, 3.0, 5.0]]]];
/// let offset = Array4::from_shape_fn((1, 2, 1, 3), |(_, axis, _, _)| if axis == 1 { 0.5 } else { 0.0 });
/// let output = deform_conv2d(&config, DeformInput { input: &input, offset: &offset, mask: None }, &Array4::ones((1, 1, 1, 1)), None)?;
/// assert_eq!(output, array![[[[2.0, 4.0, 2.5]]]]);
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// Whatever is wrong with the configuration, or tensors that do not fit it. The padding mode must be zeros.
pub fn deform_conv2d<T: Float>(
    config: &Conv2d,
    input: DeformInput<'_, T>,
    weight: &ArrayRef4<T>,
    bias: Option<&ArrayRef1<T>>,
) -> Result<Array4<T>, Error> {
    DeformConv2dLayer::new(config, weight, bias)?.run(input)
}
