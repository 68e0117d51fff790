//! Deformable convolution, versions 1 and 2.

use ndarray::{Array4, ArrayRef1, ArrayRef4, ArrayViewMut4};

use super::{Options, check, demand, new_output};
use crate::activation::Activation;
use crate::algo::deformable::Deformable;
use crate::algo::drive;
use crate::config::{Conv2d, PaddingMode};
use crate::element::Float;
use crate::error::{Axis, Error};
use crate::geometry::{self, Problem};
use crate::parallel;
use crate::plan::ProductPlan;
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
    plan: ProductPlan<T>,
    activation: Activation<T>,
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
        let plan = ProductPlan::new(config, options.isa, weight.view(), bias);
        Ok(DeformConv2dLayer { config: *config, isa: options.isa, plan, activation: options.activation })
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
        let (problem, offset_groups) = self.problem(&input)?;
        let mut output = new_output(&problem)?;
        self.compute(&problem, offset_groups, input, output.view_mut(), &mut Workspace::new());
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
        self.compute(&problem, offset_groups, input, output.view_mut(), workspace);
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

    fn compute(
        &self,
        problem: &Problem,
        offset_groups: usize,
        tensors: DeformInput<'_, T>,
        output: ArrayViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        let macs = problem.convolution_macs(&self.config);
        let mut demand = demand::<T>(&self.config, problem, self.isa, [1, 1], macs);
        // Every tap samples for itself.
        demand.taps.distance = [usize::MAX; 2];
        demand.linear = true;
        demand.unpadded = false;
        demand.column_step = 1;
        let schedule = demand.schedule(parallel::threads());
        let stage = Deformable {
            weights: self.plan.weights(),
            activation: &self.activation,
            lanes: schedule.lanes,
            problem,
            kernel: self.config.kernel,
            dilation: self.config.dilation,
            offset: tensors.offset.view(),
            mask: tensors.mask.map(|mask| mask.view()),
            offset_groups,
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
