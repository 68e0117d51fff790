//! Inverted residual blocks: three convolutions and a sum as one operation.

use ndarray::{Array4, ArrayRef1, ArrayRef4, ArrayView4, ArrayViewMut4};

use super::{Operation, Options, check, demand, layer_calls};
use crate::activation::Activation;
use crate::algo::chain::{Chain, Middle};
use crate::algo::residual::Residual;
use crate::algo::{Either, Extent, Stage, drive};
use crate::config::{Conv2d, PaddingMode, Pads};
use crate::element::Element;
use crate::error::{Axis, Error};
use crate::gemm::blocking::Lanes;
use crate::geometry::{self, Problem};
use crate::parallel;
use crate::plan::ConvolutionPlan;
use crate::scratch::Workspace;
use crate::simd::Isa;
use crate::tensors::InvertedResidualWeights;

/// An inverted residual block: pointwise, depthwise, pointwise, and maybe the input added (Sandler et al., "MobileNetV2", 2018).
///
/// ```text
/// output = project(between(depthwise(between(expand(input))))) [+ input]
/// ```
///
/// The configuration is that of the dense convolution that it stands for: kernel, stride, padding and dilation are the depthwise
/// step's, the bias is the last step's; the other biases come with the weights. There are no groups. The result is that of the
/// steps, bit for bit, but the tensors between them, several times as large as input and output, are never in memory as a whole.
///
/// ```
/// use ndconv::{Activation, Conv2d, InvertedResidualLayer, InvertedResidualWeights, Options};
/// use ndarray::{Array1, Array4};
///
/// let config = Conv2d::new(24, 24, 3).padding(1);
/// let zeros = Array1::zeros(144);
/// let weights = InvertedResidualWeights {
///     expand: Some(&Array4::from_elem((144, 24, 1, 1), 0.1f32)),
///     expand_bias: Some(&zeros),
///     depthwise: &Array4::from_elem((144, 1, 3, 3), 0.1),
///     depthwise_bias: Some(&zeros),
///     project: &Array4::from_elem((24, 144, 1, 1), 0.1),
///     bias: Some(&Array1::zeros(24)),
/// };
/// let layer = InvertedResidualLayer::new(&config, weights, Activation::relu6(), true, Options::new())?;
/// assert_eq!(layer.run(&Array4::ones((1, 24, 56, 56)))?.dim(), (1, 24, 56, 56));
/// # Ok::<(), ndconv::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct InvertedResidualLayer<T> {
    config: Conv2d,
    expand: Option<(Conv2d, ConvolutionPlan<T>)>,
    depthwise: (Conv2d, ConvolutionPlan<T>),
    project: (Conv2d, ConvolutionPlan<T>),
    between: Activation<T>,
    residual: bool,
    activation: Activation<T>,
    isa: Isa,
}

impl<T: Element> InvertedResidualLayer<T> {
    /// Packs the weights. `between` is applied after the first and the second step. With `residual` the input is added at the end, and the options'
    /// activation is applied to the sum.
    ///
    /// # Errors
    /// Whatever is wrong with the configuration, or tensors or activations that do not fit it; groups; or a residual
    /// where the output has other channels or a stride above 1.
    pub fn new(
        config: &Conv2d,
        weights: InvertedResidualWeights<'_, T>,
        between: Activation<T>,
        residual: bool,
        options: Options<T>,
    ) -> Result<Self, Error> {
        geometry::validate(config)?;
        if config.groups != 1 {
            return Err(Error::setting(
                "groups",
                Axis::Groups,
                config.groups,
                "1: the pointwise steps mix all channels",
            ));
        }
        if residual {
            check::size("output", Axis::OutputChannels, config.out_channels, config.in_channels, || {
                Some("as many as the input that is added".into())
            })?;
            if let Some((axis, stride)) = Axis::SPATIAL.into_iter().zip(config.stride).find(|&(_, stride)| stride != 1)
            {
                return Err(Error::setting("stride", axis, stride, "1, as the input is added to the output"));
            }
        }
        options.refuse_algorithm()?;
        let hidden = weights.depthwise.dim().0;
        let isa = options.isa;
        let plan = |argument, bias_argument, step: Conv2d, weight: ArrayView4<'_, T>, bias: Option<&ArrayRef1<T>>| {
            let step = step.bias(bias.is_some());
            geometry::validate(&step)?;
            check::weight(argument, &step, weight.dim())?;
            let bias = bias.map(|bias| check::channel_bias(bias_argument, bias, step.out_channels)).transpose()?;
            Ok((step, ConvolutionPlan::new(&step, isa, None, weight, bias)?))
        };
        let expand = match weights.expand {
            Some(expand) => {
                let step = Conv2d::pointwise(config.in_channels, hidden);
                Some(plan("expand", "expand_bias", step, expand.view(), weights.expand_bias)?)
            }
            None => {
                check::size("depthwise", Axis::OutputChannels, hidden, config.in_channels, || {
                    Some("the input's, as nothing expands them".into())
                })?;
                if weights.expand_bias.is_some() {
                    let expected = "none, as there is no expand step".into();
                    let axis = Axis::OutputChannels;
                    return Err(Error::Presence { argument: "expand_bias", axis, found: "given", expected });
                }
                None
            }
        };
        let step = Conv2d { in_channels: hidden, out_channels: hidden, groups: hidden, ..*config };
        let depthwise = plan("depthwise", "depthwise_bias", step, weights.depthwise.view(), weights.depthwise_bias)?;
        check::bias(config, weights.bias)?;
        let project = plan(
            "project",
            "bias",
            Conv2d::pointwise(hidden, config.out_channels),
            weights.project.view(),
            weights.bias,
        )?;
        between.validate(hidden)?;
        options.activation.validate(config.out_channels)?;
        let activation = options.activation;
        Ok(InvertedResidualLayer { config: *config, expand, depthwise, project, between, residual, activation, isa })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Conv2d {
        &self.config
    }

    /// The configurations of the steps: what to ask for parameters and MACs. The first is missing where nothing expands the channels.
    #[must_use]
    pub fn steps(&self) -> Vec<Conv2d> {
        self.expand.iter().chain([&self.depthwise, &self.project]).map(|(step, _)| *step).collect()
    }

    layer_calls!();

    /// The last two steps on what the first has made, or on the input, with a first window that begins at `origin`.
    fn filter_and_project<'a>(&'a self, sizes: &Sizes, origin: [isize; 2], lanes: Lanes) -> impl Stage<T> + use<'a, T> {
        let activation = if self.residual { &Activation::None } else { &self.activation };
        let project = sizes.project;
        Chain {
            first: self.depthwise.1.stage_at(&sizes.depthwise, origin, &self.between, Lanes::Pixels),
            second: move |_| self.project.1.stage(&project, activation, lanes),
            middle: Middle::new(&self.project.0, project.input, [0, 0]),
            band: sizes.band,
        }
    }
}

/// What the steps come to for inputs of one size.
struct Sizes {
    depthwise: Problem,
    project: Problem,
    /// Rows of output that are made at a time.
    band: usize,
}

impl<T: Element> Operation<T> for InvertedResidualLayer<T> {
    fn problem(&self, input: (usize, usize, usize, usize)) -> Result<Problem, Error> {
        let problem = Problem::convolution(&self.config, input)?;
        if self.residual {
            for (axis, index) in Axis::SPATIAL.into_iter().zip(0..) {
                let why = || Some("that of the output it is added to".into());
                check::size("input", axis, problem.input[index], problem.output[index], why)?;
            }
        }
        Ok(problem)
    }

    fn compute(
        &self,
        problem: &Problem,
        input: ArrayView4<'_, T>,
        output: ArrayViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        let hidden = self.depthwise.0.out_channels;
        let project = problem.then_pointwise(hidden);
        let depthwise = Problem { in_channels: hidden, out_channels: hidden, groups: hidden, ..*problem };
        let macs =
            problem.convolution_macs(&self.depthwise.0).saturating_add(problem.convolution_macs(&self.project.0));
        let of_pixel = hidden * (1 + problem.stride[0] * problem.stride[1]);
        let (schedule, band) = demand::<T>(&self.project.0, &project, self.isa, [1, 1], macs)
            .schedule_bands(of_pixel, parallel::threads());
        let sizes = Sizes { depthwise, project, band };
        let begins = problem.pads.begins().map(|pad| -(pad as isize));
        let stage = match &self.expand {
            None => Either::First(self.filter_and_project(&sizes, begins, schedule.lanes)),
            Some((config, plan)) => {
                // Zeros are the depthwise step's to pad with. In the other modes the first step runs on the padded input: the same numbers.
                let (pads, origin) = match problem.mode {
                    PaddingMode::Zeros => (Pads::default(), begins),
                    _ => (problem.pads, [0, 0]),
                };
                let [height, width] = problem.input;
                let size = [height + pads.top + pads.bottom, width + pads.left + pads.right];
                let expand = Problem { out_channels: hidden, output: size, stride: [1, 1], pads, ..*problem };
                let middle = Middle::new(&self.depthwise.0, size, origin);
                let held = middle.held(Extent { channels: hidden, rows: band, columns: problem.output[1] });
                let of_band = Problem { output: [held.rows, held.columns], batch: 1, ..expand };
                let lanes = demand::<T>(config, &of_band, self.isa, [1, 1], 0).schedule(1).lanes;
                Either::Second(Chain {
                    first: plan.stage(&expand, &self.between, lanes),
                    second: |origin| self.filter_and_project(&sizes, origin, schedule.lanes),
                    middle,
                    band,
                })
            }
        };
        match self.residual {
            false => drive(&stage, input, output, schedule, workspace),
            true => drive(
                &Residual { inner: stage, activation: &self.activation, isa: self.isa },
                input,
                output,
                schedule,
                workspace,
            ),
        }
    }
}
