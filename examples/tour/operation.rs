//! One convolution on one input: what it costs, how it runs, and what the reference says.

use std::time::{Duration, Instant};

use ndconv::ndarray::{Array1, Array3, Array4, Axis};
use ndconv::{
    Activation, Conv2d, Conv2dLayer, ConvTranspose2dLayer, DeformConv2dLayer, DeformInput, DepthwiseSeparableLayer,
    DepthwiseSeparableWeights, Error, Options, SpatiallySeparableLayer, SpatiallySeparableWeights, Workspace,
    reference,
};

use crate::views::View;

/// A convolution with everything it needs.
pub(crate) struct Operation {
    /// The kind of convolution.
    pub(crate) kind: &'static str,
    /// What it does to the picture.
    pub(crate) effect: &'static str,
    /// `[batch, channels, height, width]`.
    pub(crate) input: Array4<f32>,
    pub(crate) config: Conv2d,
    pub(crate) weights: Weights,
    pub(crate) bias: Option<Array1<f32>>,
    pub(crate) activation: Activation<f32>,
    /// Makes a picture of the output.
    pub(crate) view: View,
}

/// The tensors of each kind of layer.
pub(crate) enum Weights {
    Standard(Array4<f32>),
    /// `[out, in / groups, taps]`: every row of the input, which has height 1, is a signal.
    OneDimensional(Array3<f32>),
    Transposed(Array4<f32>),
    DepthwiseSeparable {
        depthwise: Array4<f32>,
        depthwise_bias: Array1<f32>,
        pointwise: Array4<f32>,
        between: Activation<f32>,
    },
    SpatiallySeparable {
        vertical: Array4<f32>,
        horizontal: Array4<f32>,
    },
    Deformable {
        weight: Array4<f32>,
        offset: Array4<f32>,
        mask: Option<Array4<f32>>,
    },
}

/// What an operation needs by its definition, whatever the machine.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) parameters: usize,
    pub(crate) macs: u64,
    pub(crate) flops: u64,
}

/// What running an operation gave.
pub(crate) struct Outcome {
    pub(crate) output: Array4<f32>,
    pub(crate) time: Duration,
    /// The largest difference of an element from the reference; infinite where only one of them is a number.
    pub(crate) difference: f32,
}

/// Computes into an array of the output's shape.
type Run<'a> = Box<dyn FnMut(&mut Array4<f32>) -> Result<(), Error> + 'a>;

/// Runs after the warm-up, at most.
const RUNS: usize = 20;
/// No run starts after this long.
const PATIENCE: Duration = Duration::from_millis(150);

impl Operation {
    /// The shape of the output.
    pub(crate) fn output_shape(&self) -> Result<[usize; 4], Error> {
        let (batch, _, height, width) = self.input.dim();
        let [height, width] = match self.weights {
            Weights::Transposed(_) => self.config.transposed_output_size([height, width])?,
            _ => self.config.output_size([height, width])?,
        };
        Ok([batch, self.config.out_channels, height, width])
    }

    /// Parameters, and the arithmetic for the whole batch. Interpolation and activations do not count.
    pub(crate) fn cost(&self) -> Result<Cost, Error> {
        let (batch, _, height, width) = self.input.dim();
        let mut cost = Cost::default();
        let mut size = [height, width];
        for step in self.steps()? {
            let (macs, flops) = match self.weights {
                Weights::Transposed(_) => (step.transposed_macs(size)?, step.transposed_flops(size)?),
                _ => (step.macs(size)?, step.flops(size)?),
            };
            cost.parameters += step.parameters()?;
            cost.macs += macs * batch as u64;
            cost.flops += flops * batch as u64;
            // Only separable convolutions have a second step.
            size = step.output_size(size).unwrap_or(size);
        }
        Ok(cost)
    }

    /// The convolutions that make up the operation.
    fn steps(&self) -> Result<Vec<Conv2d>, Error> {
        let (config, bias) = (&self.config, self.bias.as_deref());
        let (_, _, height, width) = self.input.dim();
        Ok(match &self.weights {
            Weights::DepthwiseSeparable { depthwise, depthwise_bias, pointwise, between } => {
                let weights =
                    DepthwiseSeparableWeights { depthwise, depthwise_bias: Some(depthwise_bias), pointwise, bias };
                DepthwiseSeparableLayer::new(config, weights, between.clone(), Options::new())?.steps().to_vec()
            }
            Weights::SpatiallySeparable { vertical, horizontal } => {
                let weights = SpatiallySeparableWeights { vertical, horizontal, bias };
                SpatiallySeparableLayer::new(config, weights, Options::new())?.steps([height, width])?.to_vec()
            }
            _ => vec![*config],
        })
    }

    /// Runs the prepared layer, once to warm up and then for the best time, and compares it with the reference.
    pub(crate) fn measure(&self) -> Result<Outcome, Error> {
        let mut run = self.prepare()?;
        let mut output = Array4::zeros(self.output_shape()?);
        run(&mut output)?;
        let started = Instant::now();
        let mut time = Duration::MAX;
        for _ in 0..RUNS {
            let start = Instant::now();
            run(&mut output)?;
            time = time.min(start.elapsed());
            if started.elapsed() > PATIENCE {
                break;
            }
        }
        let difference = largest_difference(&output, &self.reference()?);
        Ok(Outcome { output, time, difference })
    }

    /// Packs the weights, once for any number of runs.
    fn prepare(&self) -> Result<Run<'_>, Error> {
        let (config, input, bias) = (&self.config, &self.input, self.bias.as_deref());
        let options = Options::new().activation(self.activation.clone());
        let mut workspace = Workspace::new();
        Ok(match &self.weights {
            Weights::Standard(weight) => {
                let layer = Conv2dLayer::with_options(config, weight, bias, options)?;
                Box::new(move |output| layer.run_into_with(input, output, &mut workspace))
            }
            Weights::OneDimensional(weight) => {
                let layer = Conv2dLayer::with_options(config, &weight.view().insert_axis(Axis(2)), bias, options)?;
                let rows = input.index_axis(Axis(2), 0);
                Box::new(move |output| {
                    *output = layer.run_1d(&rows)?.insert_axis(Axis(2));
                    Ok(())
                })
            }
            Weights::Transposed(weight) => {
                let layer = ConvTranspose2dLayer::with_options(config, weight, bias, options)?;
                Box::new(move |output| layer.run_into_with(input, output, &mut workspace))
            }
            Weights::DepthwiseSeparable { depthwise, depthwise_bias, pointwise, between } => {
                let weights =
                    DepthwiseSeparableWeights { depthwise, depthwise_bias: Some(depthwise_bias), pointwise, bias };
                let layer = DepthwiseSeparableLayer::new(config, weights, between.clone(), options)?;
                Box::new(move |output| layer.run_into_with(input, output, &mut workspace))
            }
            Weights::SpatiallySeparable { vertical, horizontal } => {
                let weights = SpatiallySeparableWeights { vertical, horizontal, bias };
                let layer = SpatiallySeparableLayer::new(config, weights, options)?;
                Box::new(move |output| layer.run_into_with(input, output, &mut workspace))
            }
            Weights::Deformable { weight, offset, mask } => {
                let layer = DeformConv2dLayer::with_options(config, weight, bias, options)?;
                let input = DeformInput { input, offset, mask: mask.as_deref() };
                Box::new(move |output| layer.run_into_with(input, output, &mut workspace))
            }
        })
    }

    /// The output by the definition.
    fn reference(&self) -> Result<Array4<f32>, Error> {
        let (config, input, bias) = (&self.config, &self.input, self.bias.as_deref());
        let mut output = match &self.weights {
            Weights::Standard(weight) => reference::conv2d(config, input, weight, bias)?,
            Weights::OneDimensional(weight) => {
                reference::conv2d(config, input, &weight.view().insert_axis(Axis(2)), bias)?
            }
            Weights::Transposed(weight) => reference::conv_transpose2d(config, input, weight, bias)?,
            Weights::DepthwiseSeparable { depthwise, depthwise_bias, pointwise, between } => {
                let weights =
                    DepthwiseSeparableWeights { depthwise, depthwise_bias: Some(depthwise_bias), pointwise, bias };
                reference::depthwise_separable_conv2d(config, input, weights, between)?
            }
            Weights::SpatiallySeparable { vertical, horizontal } => {
                let weights = SpatiallySeparableWeights { vertical, horizontal, bias };
                reference::spatially_separable_conv2d(config, input, weights)?
            }
            Weights::Deformable { weight, offset, mask } => {
                let input = DeformInput { input, offset, mask: mask.as_deref() };
                reference::deform_conv2d(config, input, weight, bias)?
            }
        };
        for ((_, channel, _, _), element) in output.indexed_iter_mut() {
            *element = self.activation.apply(*element, channel);
        }
        Ok(output)
    }
}

fn largest_difference(a: &Array4<f32>, b: &Array4<f32>) -> f32 {
    let difference = |(a, b): (&f32, &f32)| match (a - b).abs() {
        _ if a == b || a.is_nan() && b.is_nan() => 0.0,
        distance if distance.is_nan() => f32::INFINITY,
        distance => distance,
    };
    a.iter().zip(b).map(difference).fold(0.0, f32::max)
}
