//! Do the tensors fit the configuration and each other?

use ndarray::ArrayRef1;

use crate::config::Conv2d;
use crate::error::{Axis, Error};
use crate::geometry::Problem;

/// `argument` must have `expected` along `axis`.
pub(crate) fn size(
    argument: &'static str,
    axis: Axis,
    found: usize,
    expected: usize,
    why: impl FnOnce() -> Option<String>,
) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    let expected = why().map_or_else(|| expected.to_string(), |why| format!("{expected} ({why})"));
    Err(Error::shape(argument, axis, found, expected))
}

fn plain() -> Option<String> {
    None
}

/// The weight of a standard or deformable convolution.
pub(crate) fn weight(argument: &'static str, config: &Conv2d, dim: (usize, usize, usize, usize)) -> Result<(), Error> {
    let [out, input, height, width] = config.weight_shape();
    let why = || (config.groups > 1).then(|| format!("{} channels / {} groups", config.in_channels, config.groups));
    size(argument, Axis::OutputChannels, dim.0, out, plain)?;
    size(argument, Axis::InputChannelsPerGroup, dim.1, input, why)?;
    size(argument, Axis::KernelHeight, dim.2, height, plain)?;
    size(argument, Axis::KernelWidth, dim.3, width, plain)
}

/// The weight of a transposed convolution.
pub(crate) fn transposed_weight(config: &Conv2d, dim: (usize, usize, usize, usize)) -> Result<(), Error> {
    let [input, out, height, width] = config.transposed_weight_shape();
    let why = || (config.groups > 1).then(|| format!("{} channels / {} groups", config.out_channels, config.groups));
    size("weight", Axis::InputChannels, dim.0, input, plain)?;
    size("weight", Axis::OutputChannelsPerGroup, dim.1, out, why)?;
    size("weight", Axis::KernelHeight, dim.2, height, plain)?;
    size("weight", Axis::KernelWidth, dim.3, width, plain)
}

/// The bias, which is there exactly if the configuration says so.
pub(crate) fn bias<T: Clone>(config: &Conv2d, bias: Option<&ArrayRef1<T>>) -> Result<Option<Vec<T>>, Error> {
    let presence = |found, expected| Error::Presence { argument: "bias", axis: Axis::OutputChannels, found, expected };
    match (config.bias, bias) {
        (false, None) => Ok(None),
        (true, Some(bias)) => channel_bias("bias", bias, config.out_channels).map(Some),
        (true, None) => Err(presence(
            "missing",
            format!(
                "{} elements, as the configuration has a bias (Conv2d::bias(false) is one without)",
                config.out_channels
            ),
        )),
        (false, Some(_)) => Err(presence("given", "none, as the configuration has no bias".into())),
    }
}

/// One number for each output channel.
pub(crate) fn channel_bias<T: Clone>(
    argument: &'static str,
    bias: &ArrayRef1<T>,
    channels: usize,
) -> Result<Vec<T>, Error> {
    size(argument, Axis::OutputChannels, bias.len(), channels, plain)?;
    Ok(bias.to_vec())
}

/// The caller's output.
pub(crate) fn output(problem: &Problem, dim: (usize, usize, usize, usize)) -> Result<(), Error> {
    let (n, channels, height, width) = problem.output_dim();
    size("output", Axis::Batch, dim.0, n, plain)?;
    size("output", Axis::OutputChannels, dim.1, channels, plain)?;
    size("output", Axis::Height, dim.2, height, plain)?;
    size("output", Axis::Width, dim.3, width, plain)
}
