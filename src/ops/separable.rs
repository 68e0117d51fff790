//! Separable convolutions: one large step as two small ones.

use ndarray::{Array4, ArrayRef4, ArrayView4, ArrayViewMut4};

use super::{Operation, Options, check, demand, layer_calls};
use crate::activation::Activation;
use crate::algo::chain::{Chain, Middle};
use crate::algo::drive;
use crate::config::{Conv2d, Padding, PaddingMode, Pads};
use crate::element::Element;
use crate::error::{Axis, Error};
use crate::gemm::blocking::Lanes;
use crate::geometry::{self, Problem};
use crate::parallel;
use crate::plan::ConvolutionPlan;
use crate::scratch::Workspace;
use crate::simd::Isa;
use crate::tensors::{DepthwiseSeparableWeights, SpatiallySeparableWeights};

/// Two convolutions, the second without padding.
#[derive(Clone, Debug)]
struct Pair<T> {
    first: ConvolutionPlan<T>,
    second: ConvolutionPlan<T>,
    /// Channels between the two.
    middle: usize,
    isa: Isa,
    between: Activation<T>,
    activation: Activation<T>,
}

impl<T: Element> Pair<T> {
    /// Runs both.
    fn compute(
        &self,
        Sizes { config, first, second, origin, macs }: Sizes<'_>,
        input: ArrayView4<'_, T>,
        output: ArrayViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        let demand = demand::<T>(config, &second, self.isa, [1, 1], macs);
        let of_pixel = self.middle * second.stride[0] * second.stride[1];
        let (schedule, band) = demand.schedule_bands(of_pixel, parallel::threads());
        let chain = Chain {
            first: self.first.stage(&first, &self.between, Lanes::Pixels),
            second: |origin| self.second.stage_at(&second, origin, &self.activation, schedule.lanes),
            middle: Middle::new(config, second.input, origin),
            band,
        };
        drive(&chain, input, output, schedule, workspace);
    }
}

/// What two steps come to for inputs of one size.
struct Sizes<'a> {
    /// Of the second step.
    config: &'a Conv2d,
    first: Problem,
    second: Problem,
    /// Where the second's first window begins.
    origin: [isize; 2],
    macs: u64,
}

/// A depthwise-separable convolution: depthwise, an optional activation, pointwise (Howard et al., "MobileNets", 2017).
///
/// The configuration is that of the dense convolution that it stands for: kernel, stride, padding and dilation
/// are the depthwise step's, groups and bias the pointwise step's. The result is that of the two steps, bit for bit, but
/// the tensor between them is never in memory as a whole.
///
/// ```
/// use ndconv::{Activation, Conv2d, DepthwiseSeparableLayer, DepthwiseSeparableWeights, Options};
/// use ndarray::Array4;
///
/// let config = Conv2d::new(8, 16, 3).stride(2).padding(1).bias(false);
/// let depthwise = Array4::from_elem((8, 1, 3, 3), 0.1f32);
/// let pointwise = Array4::from_elem((16, 8, 1, 1), 0.2f32);
/// let weights =
///     DepthwiseSeparableWeights { depthwise: &depthwise, depthwise_bias: None, pointwise: &pointwise, bias: None };
/// let layer = DepthwiseSeparableLayer::new(&config, weights, Activation::relu6(), Options::new())?;
/// assert_eq!(layer.run(&Array4::ones((1, 8, 32, 32)))?.dim(), (1, 16, 16, 16));
/// # Ok::<(), ndconv::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DepthwiseSeparableLayer<T> {
    config: Conv2d,
    depthwise: Conv2d,
    pointwise: Conv2d,
    pair: Pair<T>,
}

impl<T: Element> DepthwiseSeparableLayer<T> {
    /// Packs the weights. `between` is applied between the steps, the options' activation after them.
    ///
    /// # Errors
    /// Whatever is wrong with the configuration, or tensors or activations that do not fit it.
    pub fn new(
        config: &Conv2d,
        weights: DepthwiseSeparableWeights<'_, T>,
        between: Activation<T>,
        options: Options<T>,
    ) -> Result<Self, Error> {
        geometry::validate(config)?;
        let middle = weights.depthwise.dim().0;
        multiple("depthwise", middle, config.in_channels, "input channels")?;
        multiple("depthwise", middle, config.groups, "groups")?;
        let bias = weights.depthwise_bias.is_some();
        let depthwise = Conv2d { out_channels: middle, groups: config.in_channels, bias, ..*config };
        let pointwise = Conv2d::pointwise(middle, config.out_channels).groups(config.groups).bias(config.bias);
        geometry::validate(&depthwise)?;
        geometry::validate(&pointwise)?;
        check::weight("depthwise", &depthwise, weights.depthwise.dim())?;
        check::weight("pointwise", &pointwise, weights.pointwise.dim())?;
        let middle_bias =
            weights.depthwise_bias.map(|bias| check::channel_bias("depthwise_bias", bias, middle)).transpose()?;
        let bias = check::bias(config, weights.bias)?;
        between.validate(middle)?;
        options.refuse_algorithm()?;
        options.activation.validate(config.out_channels)?;
        let pair = Pair {
            first: ConvolutionPlan::new(&depthwise, options.isa, None, weights.depthwise.view(), middle_bias)?,
            second: ConvolutionPlan::new(&pointwise, options.isa, None, weights.pointwise.view(), bias)?,
            middle,
            isa: options.isa,
            between,
            activation: options.activation,
        };
        Ok(DepthwiseSeparableLayer { config: *config, depthwise, pointwise, pair })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Conv2d {
        &self.config
    }

    /// The configurations of the two steps, depthwise and pointwise: what to ask for parameters and MACs.
    #[must_use]
    pub fn steps(&self) -> [Conv2d; 2] {
        [self.depthwise, self.pointwise]
    }

    layer_calls!();
}

impl<T: Element> Operation<T> for DepthwiseSeparableLayer<T> {
    fn problem(&self, input: (usize, usize, usize, usize)) -> Result<Problem, Error> {
        Problem::convolution(&self.config, input)
    }

    fn compute(
        &self,
        problem: &Problem,
        input: ArrayView4<'_, T>,
        output: ArrayViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        let first = Problem { out_channels: self.pair.middle, groups: problem.in_channels, ..*problem };
        let second = problem.then_pointwise(self.pair.middle);
        let macs = sum_of(self.depthwise.macs(problem.input), self.pointwise.macs(problem.output));
        let sizes = Sizes { config: &self.pointwise, first, second, origin: [0, 0], macs };
        self.pair.compute(sizes, input, output, workspace);
    }
}

/// A spatially separable convolution: `kh x 1`, then `1 x kw`.
///
/// The configuration is that of the full kernel; its groups count in both steps, so with one group per channel every
/// channel is filtered by itself, and with one group the steps are dense. How many channels lie between them is up
/// to the weights. The result is that of the two steps, bit for bit, but the tensor between them is never in
/// memory as a whole. For a kernel that is an outer product it is the full convolution up to rounding.
///
/// ```
/// use ndconv::{Conv2d, Options, SpatiallySeparableLayer, SpatiallySeparableWeights, conv2d};
/// use ndarray::{Array4, array};
///
/// // Sobel: [1 2 1]ᵀ [1 0 -1].
/// let config = Conv2d::new(1, 1, 3).padding(1).bias(false);
/// let weights = SpatiallySeparableWeights {
///     vertical: &array![[[[1], [2], [1]]]],
///     horizontal: &array![[[[1, 0, -1]]]],
///     bias: None,
/// };
/// let image = Array4::from_shape_fn((1, 1, 5, 6), |(_, _, y, x)| (y * y + 3 * x) as i32);
/// let full = array![[[[1, 0, -1], [2, 0, -2], [1, 0, -1]]]];
/// let layer = SpatiallySeparableLayer::new(&config, weights, Options::new())?;
/// assert_eq!(layer.run(&image)?, conv2d(&config, &image, &full, None)?);
/// # Ok::<(), ndconv::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SpatiallySeparableLayer<T> {
    config: Conv2d,
    vertical: Conv2d,
    horizontal: Conv2d,
    pair: Pair<T>,
}

impl<T: Element> SpatiallySeparableLayer<T> {
    /// Packs the weights.
    ///
    /// # Errors
    /// Whatever is wrong with the configuration, or tensors or an activation that do not fit it.
    pub fn new(config: &Conv2d, weights: SpatiallySeparableWeights<'_, T>, options: Options<T>) -> Result<Self, Error> {
        geometry::validate(config)?;
        let middle = weights.vertical.dim().0;
        multiple("vertical", middle, config.groups, "groups")?;
        let [vertical, horizontal] = spatial_steps(config, middle);
        geometry::validate(&vertical)?;
        geometry::validate(&horizontal)?;
        check::weight("vertical", &vertical, weights.vertical.dim())?;
        check::weight("horizontal", &horizontal, weights.horizontal.dim())?;
        let bias = check::bias(config, weights.bias)?;
        options.refuse_algorithm()?;
        options.activation.validate(config.out_channels)?;
        let pair = Pair {
            first: ConvolutionPlan::new(&vertical, options.isa, None, weights.vertical.view(), None)?,
            second: ConvolutionPlan::new(&horizontal, options.isa, None, weights.horizontal.view(), bias)?,
            middle,
            isa: options.isa,
            between: Activation::None,
            activation: options.activation,
        };
        Ok(SpatiallySeparableLayer { config: *config, vertical, horizontal, pair })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Conv2d {
        &self.config
    }

    /// The configurations of the two steps for inputs of this height and width: what to ask for parameters and MACs.
    ///
    /// The second one's input has the height and width of the first one's output.
    ///
    /// ```
    /// use ndconv::{Conv2d, Options, SpatiallySeparableLayer, SpatiallySeparableWeights};
    /// use ndarray::Array4;
    ///
    /// let config = Conv2d::depthwise(3, 9).padding(4).bias(false);
    /// let weights = SpatiallySeparableWeights {
    ///     vertical: &Array4::<f32>::ones((3, 1, 9, 1)),
    ///     horizontal: &Array4::ones((3, 1, 1, 9)),
    ///     bias: None,
    /// };
    /// let [vertical, horizontal] = SpatiallySeparableLayer::new(&config, weights, Options::new())?.steps([64, 64])?;
    /// // 9 + 9 taps instead of 81.
    /// assert_eq!(vertical.macs([64, 64])? + horizontal.macs([64, 64])?, config.macs([64, 64])? * 18 / 81);
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Conv2d::output_size`].
    pub fn steps(&self, input: [usize; 2]) -> Result<[Conv2d; 2], Error> {
        Ok(with_pads([self.vertical, self.horizontal], self.config.resolved_pads(input)?))
    }

    layer_calls!();
}

impl<T: Element> Operation<T> for SpatiallySeparableLayer<T> {
    fn problem(&self, input: (usize, usize, usize, usize)) -> Result<Problem, Error> {
        Problem::convolution(&self.config, input)
    }

    fn compute(
        &self,
        problem: &Problem,
        input: ArrayView4<'_, T>,
        output: ArrayViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        let Pads { top, left, bottom, right } = problem.pads;
        let ([rows, width], [sh, sw]) = ([problem.output[0], problem.input[1]], problem.stride);
        // Zeros are the horizontal step's to pad with. In the other modes the vertical step runs on the padded columns: the same numbers.
        let (pads, middle, origin) = match problem.mode {
            PaddingMode::Zeros => (Pads { top, left: 0, bottom, right: 0 }, [rows, width], [0, -(left as isize)]),
            _ => (problem.pads, [rows, width + left + right], [0, 0]),
        };
        let first = Problem { out_channels: self.pair.middle, output: middle, stride: [sh, 1], pads, ..*problem };
        let second = Problem {
            in_channels: self.pair.middle,
            input: middle,
            stride: [1, sw],
            pads: Pads { left, right, ..Pads::default() },
            mode: PaddingMode::Zeros,
            ..*problem
        };
        let macs = match self.steps(problem.input) {
            Ok([vertical, horizontal]) => sum_of(vertical.macs(problem.input), horizontal.macs([rows, width])),
            Err(_) => u64::MAX,
        };
        let sizes = Sizes { config: &self.horizontal, first, second, origin, macs };
        self.pair.compute(sizes, input, output, workspace);
    }
}

/// `kh x 1` and `1 x kw`, with so many channels between; the padding is still that of the whole.
pub(super) fn spatial_steps(config: &Conv2d, middle: usize) -> [Conv2d; 2] {
    let ([kh, kw], [sh, sw], [dh, dw]) = (config.kernel, config.stride, config.dilation);
    let vertical =
        Conv2d { out_channels: middle, kernel: [kh, 1], stride: [sh, 1], dilation: [dh, 1], bias: false, ..*config };
    let horizontal = Conv2d {
        in_channels: middle,
        kernel: [1, kw],
        stride: [1, sw],
        dilation: [1, dw],
        padding: Padding::Valid,
        ..*config
    };
    [vertical, horizontal]
}

/// The same with the padding of the whole.
pub(super) fn with_pads([vertical, horizontal]: [Conv2d; 2], pads: Pads) -> [Conv2d; 2] {
    let Pads { top, left, bottom, right } = pads;
    [vertical.padding([top, 0, bottom, 0]), horizontal.padding([0, left, 0, right])]
}

/// The channels of `argument`'s output must be a multiple, and some.
fn multiple(argument: &'static str, channels: usize, of: usize, what: &str) -> Result<(), Error> {
    if channels == 0 || !channels.is_multiple_of(of) {
        return Err(Error::shape(argument, Axis::OutputChannels, channels, format!("a multiple of {of} {what}")));
    }
    Ok(())
}

/// A count for scheduling only, where too large is as good as any.
fn sum_of(a: Result<u64, Error>, b: Result<u64, Error>) -> u64 {
    a.unwrap_or(u64::MAX).saturating_add(b.unwrap_or(u64::MAX))
}

/// [`DepthwiseSeparableLayer`] for one call, without activations.
///
/// A cross-correlation, kernels not flipped. Arguments may have any memory layout.
///
/// ```
/// use ndconv::{Conv2d, DepthwiseSeparableWeights, depthwise_separable_conv2d};
/// use ndarray::{Array4, array};
///
/// let config = Conv2d::new(2, 1, [1, 2]).bias(false);
/// let weights = DepthwiseSeparableWeights {
///     depthwise: &array![[[[1, 1]]], [[[1, -1]]]],
///     depthwise_bias: None,
///     pointwise: &array![[[[1]], [[10]]]],
///     bias: None,
/// };
/// let output = depthwise_separable_conv2d(&config, &array![[[[1, 2, 3]], [[4, 6, 9]]]], weights)?;
/// assert_eq!(output, array![[[[3 - 20, 5 - 30]]]]);
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// As [`DepthwiseSeparableLayer::new`] and [`DepthwiseSeparableLayer::run`].
pub fn depthwise_separable_conv2d<T: Element>(
    config: &Conv2d,
    input: &ArrayRef4<T>,
    weights: DepthwiseSeparableWeights<'_, T>,
) -> Result<Array4<T>, Error> {
    DepthwiseSeparableLayer::new(config, weights, Activation::None, Options::new())?.run(input)
}

/// [`SpatiallySeparableLayer`] for one call, without an activation.
///
/// A cross-correlation, kernels not flipped. Arguments may have any memory layout.
///
/// ```
/// use ndconv::{Conv2d, SpatiallySeparableWeights, spatially_separable_conv2d};
/// use ndarray::{Array4, array};
///
/// let config = Conv2d::new(1, 1, 2).bias(false);
/// let weights =
///     SpatiallySeparableWeights { vertical: &array![[[[1], [2]]]], horizontal: &array![[[[1, 10]]]], bias: None };
/// let output = spatially_separable_conv2d(&config, &array![[[[1, 2], [3, 4]]]], weights)?;
/// assert_eq!(output, array![[[[7 + 10 * 10]]]]);
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// As [`SpatiallySeparableLayer::new`] and [`SpatiallySeparableLayer::run`].
pub fn spatially_separable_conv2d<T: Element>(
    config: &Conv2d,
    input: &ArrayRef4<T>,
    weights: SpatiallySeparableWeights<'_, T>,
) -> Result<Array4<T>, Error> {
    SpatiallySeparableLayer::new(config, weights, Options::new())?.run(input)
}
