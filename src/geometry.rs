//! Shape arithmetic: the only place that knows how sizes follow from a configuration.
//!
//! Per axis, with effective kernel `e = d(k - 1) + 1`:
//!
//! ```text
//! convolution  o = floor((i + begin + end - e) / s) + 1
//! transposed   o = (i - 1)s - begin - end + e + output_padding
//! ```
//!
//! Everything is checked; a [`Problem`] can only be built valid, and nothing below it checks again.

use crate::config::{Conv2d, Padding, PaddingMode, Pads};
use crate::error::{Axis, Error, MAX_SIZE};

/// The sizes of one call, validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) batch: usize,
    pub(crate) in_channels: usize,
    pub(crate) out_channels: usize,
    pub(crate) groups: usize,
    /// Height and width of the input.
    pub(crate) input: [usize; 2],
    /// Height and width of the output.
    pub(crate) output: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) pads: Pads,
    pub(crate) mode: PaddingMode,
}

impl Problem {
    /// Elements of input and output.
    pub(crate) fn elements(&self) -> usize {
        let of = |channels: usize, [rows, columns]: [usize; 2]| {
            [self.batch, channels, rows, columns].into_iter().fold(1, usize::saturating_mul)
        };
        of(self.in_channels, self.input).saturating_add(of(self.out_channels, self.output))
    }

    /// A standard or deformable convolution of an input with these `NCHW` sizes.
    pub(crate) fn convolution(config: &Conv2d, dim: (usize, usize, usize, usize)) -> Result<Self, Error> {
        no_output_padding(config)?;
        Self::new(config, dim, convolution_axis)
    }

    /// A transposed convolution of an input with these `NCHW` sizes.
    pub(crate) fn transposed(config: &Conv2d, dim: (usize, usize, usize, usize)) -> Result<Self, Error> {
        Self::new(config, dim, transposed_axis)
    }

    fn new(
        config: &Conv2d,
        (batch, channels, height, width): (usize, usize, usize, usize),
        axis: fn(&Conv2d, usize, usize) -> Result<AxisSizes, Error>,
    ) -> Result<Self, Error> {
        validate(config)?;
        if channels != config.in_channels {
            return Err(Error::shape("input", Axis::InputChannels, channels, config.in_channels.to_string()));
        }
        let input = [height, width];
        let [rows, columns] = [axis(config, 0, height)?, axis(config, 1, width)?];
        let problem = Problem {
            batch,
            in_channels: config.in_channels,
            out_channels: config.out_channels,
            groups: config.groups,
            input,
            output: [rows.output, columns.output],
            stride: config.stride,
            pads: Pads::from_axes(rows.pads, columns.pads),
            mode: config.padding_mode,
        };
        let elements = [batch.max(1), config.out_channels, rows.output, columns.output];
        product(&elements).ok_or_else(|| Error::too_large("output", Axis::All, format!("{elements:?}")))?;
        Ok(problem)
    }

    pub(crate) fn output_dim(&self) -> (usize, usize, usize, usize) {
        (self.batch, self.out_channels, self.output[0], self.output[1])
    }

    /// Multiply-adds of one sample, if this is a convolution with that configuration.
    pub(crate) fn convolution_macs(&self, config: &Conv2d) -> u64 {
        let ([height, width], [rows, columns]) = (self.output, config.kernel);
        macs(config, &[height, width, rows, columns]).unwrap_or(u64::MAX)
    }

    /// The pointwise convolution of this one's output, which has `middle` channels, to the same channels as this problem's.
    pub(crate) fn then_pointwise(&self, middle: usize) -> Problem {
        Problem {
            in_channels: middle,
            input: self.output,
            stride: [1, 1],
            pads: Pads::default(),
            mode: PaddingMode::Zeros,
            ..*self
        }
    }

    pub(crate) fn in_channels_per_group(&self) -> usize {
        self.in_channels / self.groups
    }

    pub(crate) fn out_channels_per_group(&self) -> usize {
        self.out_channels / self.groups
    }
}

/// What one spatial axis comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AxisSizes {
    /// Begin and end.
    pub(crate) pads: [usize; 2],
    pub(crate) output: usize,
}

/// Refuses a configuration that no input can make right.
pub(crate) fn validate(config: &Conv2d) -> Result<(), Error> {
    let at_least_one = |argument, axis, found: usize| {
        let range = || Error::setting(argument, axis, found, format!("1 to {MAX_SIZE}"));
        if (1..=MAX_SIZE).contains(&found) { Ok(()) } else { Err(range()) }
    };
    at_least_one("in_channels", Axis::InputChannels, config.in_channels)?;
    at_least_one("out_channels", Axis::OutputChannels, config.out_channels)?;
    at_least_one("groups", Axis::Groups, config.groups)?;
    let [h, w] = Axis::SPATIAL;
    for (argument, values) in [("kernel", config.kernel), ("stride", config.stride), ("dilation", config.dilation)] {
        at_least_one(argument, h, values[0])?;
        at_least_one(argument, w, values[1])?;
    }
    for (argument, axis, channels) in [
        ("in_channels", Axis::InputChannels, config.in_channels),
        ("out_channels", Axis::OutputChannels, config.out_channels),
    ] {
        if channels % config.groups != 0 {
            return Err(Error::setting(argument, axis, channels, format!("a multiple of {} groups", config.groups)));
        }
    }
    for index in 0..2 {
        effective_kernel(config, index)?;
    }
    let taps = [config.in_channels, config.out_channels, config.kernel[0], config.kernel[1]];
    product(&taps).ok_or_else(|| Error::too_large("weight", Axis::All, format!("{taps:?}")))?;
    Ok(())
}

fn no_output_padding(config: &Conv2d) -> Result<(), Error> {
    match (0..2).find(|&i| config.output_padding[i] != 0) {
        None => Ok(()),
        Some(i) => {
            let expected = "0 (only transposed convolution has output padding)";
            Err(Error::setting("output_padding", Axis::SPATIAL[i], config.output_padding[i], expected))
        }
    }
}

/// `d(k - 1) + 1`, at most [`MAX_SIZE`].
pub(crate) fn effective_kernel(config: &Conv2d, index: usize) -> Result<usize, Error> {
    let (kernel, dilation) = (config.kernel[index], config.dilation[index]);
    let size = kernel.saturating_sub(1).checked_mul(dilation).and_then(|reach| reach.checked_add(1));
    size.filter(|&size| size <= MAX_SIZE).ok_or_else(|| {
        Error::too_large("kernel", Axis::SPATIAL[index], format!("{kernel} taps with dilation {dilation}"))
    })
}

/// The padding given in numbers, if it is.
fn explicit_pads(config: &Conv2d, index: usize) -> Result<Option<[usize; 2]>, Error> {
    let pads = match config.padding {
        Padding::Sides(sides) => [sides[index], sides[index + 2]],
        Padding::Valid => [0, 0],
        Padding::SameUpper | Padding::SameLower => return Ok(None),
    };
    match pads.into_iter().find(|&pad| pad > MAX_SIZE) {
        Some(pad) => Err(Error::setting("padding", Axis::SPATIAL[index], pad, format!("at most {MAX_SIZE}"))),
        None => Ok(Some(pads)),
    }
}

/// A total split in two, the odd one where the convention wants it.
fn split(total: usize, padding: Padding) -> [usize; 2] {
    let half = total / 2;
    if padding == Padding::SameUpper { [half, total - half] } else { [total - half, half] }
}

fn input_size(index: usize, input: usize) -> Result<(), Error> {
    if input == 0 {
        return Err(Error::shape("input", Axis::SPATIAL[index], 0, "at least 1"));
    }
    if input > MAX_SIZE {
        return Err(Error::too_large("input", Axis::SPATIAL[index], input.to_string()));
    }
    Ok(())
}

/// Pads and output size of a convolution along one axis.
pub(crate) fn convolution_axis(config: &Conv2d, index: usize, input: usize) -> Result<AxisSizes, Error> {
    input_size(index, input)?;
    let (stride, effective) = (config.stride[index], effective_kernel(config, index)?);
    let pads = match explicit_pads(config, index)? {
        Some(pads) => pads,
        None => {
            // Fits: stride * (ceil(input / stride) - 1) < input.
            let covered = (input.div_ceil(stride) - 1) * stride + effective;
            split(covered.saturating_sub(input), config.padding)
        }
    };
    let padded = input + pads[0] + pads[1]; // at most 4 * MAX_SIZE
    match padded.checked_sub(effective) {
        Some(room) => Ok(AxisSizes { pads, output: room / stride + 1 }),
        None => Err(Error::KernelTooLarge {
            argument: "input",
            axis: Axis::SPATIAL[index],
            found: padded,
            expected: effective,
        }),
    }
}

/// Size of a transposed convolution's uncropped output along one axis, output padding included.
fn transposed_full(config: &Conv2d, index: usize, input: usize) -> Result<usize, Error> {
    input_size(index, input)?;
    let (stride, extra) = (config.stride[index], config.output_padding[index]);
    let limit = stride.max(config.dilation[index]);
    if extra >= limit {
        let expected = format!("less than {limit} (the larger of stride and dilation)");
        return Err(Error::setting("output_padding", Axis::SPATIAL[index], extra, expected));
    }
    let full =
        (input - 1).checked_mul(stride).and_then(|n| n.checked_add(effective_kernel(config, index).ok()? + extra));
    full.filter(|&full| full <= MAX_SIZE)
        .ok_or_else(|| Error::too_large("output", Axis::SPATIAL[index], format!("{input} times stride {stride}")))
}

/// Rows or columns that a valid transposed convolution crops before its output: for SAME padding they do not depend on the input either.
pub(crate) fn transposed_crop(config: &Conv2d, index: usize) -> usize {
    match config.padding {
        Padding::Sides(sides) => sides[index],
        Padding::Valid => 0,
        Padding::SameUpper | Padding::SameLower => {
            let reach = (config.kernel[index] - 1) * config.dilation[index] + 1 + config.output_padding[index];
            split(reach.saturating_sub(config.stride[index]), config.padding)[0]
        }
    }
}

/// Crop and output size of a transposed convolution along one axis.
pub(crate) fn transposed_axis(config: &Conv2d, index: usize, input: usize) -> Result<AxisSizes, Error> {
    let full = transposed_full(config, index, input)?;
    let Some(pads) = explicit_pads(config, index)? else {
        let output = input * config.stride[index]; // at most full + stride
        return Ok(AxisSizes { pads: split(full.saturating_sub(output), config.padding), output });
    };
    let crop = pads[0] + pads[1];
    match full.checked_sub(crop) {
        Some(output) if output > 0 => Ok(AxisSizes { pads, output }),
        _ => Err(Error::setting(
            "padding",
            Axis::SPATIAL[index],
            crop,
            format!("a total below the uncropped output's {full} (padding crops a transposed convolution)"),
        )),
    }
}

/// The configuration whose output padding makes the output this large. See [`Conv2d::with_output_size`].
pub(crate) fn solve_output_padding(config: &Conv2d, input: [usize; 2], output: [usize; 2]) -> Result<Conv2d, Error> {
    let mut solved = config.output_padding(0);
    validate(&solved)?;
    for index in 0..2 {
        let full = transposed_full(&solved, index, input[index])?;
        let Some(pads) = explicit_pads(&solved, index)? else {
            let same = input[index] * solved.stride[index];
            if output[index] != same {
                return Err(output_size(index, output[index], format!("{same} (padding is SAME)")));
            }
            continue;
        };
        let (crop, reach) = (pads[0] + pads[1], solved.stride[index].max(solved.dilation[index]));
        let extra = (output[index] + crop).checked_sub(full).filter(|&extra| extra < reach);
        solved.output_padding[index] = extra.ok_or_else(|| {
            let least = full.saturating_sub(crop);
            let most = (full + reach - 1).saturating_sub(crop);
            output_size(index, output[index], format!("{least} to {most} for an input of {}", input[index]))
        })?;
    }
    Ok(solved)
}

/// The configuration whose padding makes the output this large. See [`Conv2d::with_output_shape`].
pub(crate) fn solve_padding(config: &Conv2d, input: [usize; 2], output: [usize; 2]) -> Result<Conv2d, Error> {
    validate(config)?;
    let mut solved = *config;
    let mut sides = [0; 4];
    for index in 0..2 {
        let full = transposed_full(config, index, input[index])?;
        let [begin, end] = split(full.saturating_sub(output[index]), config.padding);
        (sides[index], sides[index + 2]) = (begin, end);
        solved.output_padding[index] += output[index].saturating_sub(full);
        let most = full - config.output_padding[index] + config.stride[index].max(config.dilation[index]) - 1;
        if output[index] == 0 || output[index] > most {
            return Err(output_size(index, output[index], format!("1 to {most} for an input of {}", input[index])));
        }
    }
    solved.padding = Padding::Sides(sides);
    Ok(solved)
}

fn output_size(index: usize, found: usize, expected: String) -> Error {
    Error::OutputSize { argument: "output_size", axis: Axis::SPATIAL[index], found, expected }
}

/// Pairs of output position and tap, along one axis of a convolution, that read the input and not its padding.
fn pairs_on_input(config: &Conv2d, index: usize, input: usize) -> Result<usize, Error> {
    let sizes = convolution_axis(config, index, input)?;
    let stride = config.stride[index];
    let inside = |tap: usize| {
        // Output o reads o * stride + reach - begin: the o with that in 0..input are first..end.
        let reach = tap * config.dilation[index];
        let first = sizes.pads[0].saturating_sub(reach).div_ceil(stride);
        let end = (input + sizes.pads[0]).saturating_sub(reach).div_ceil(stride).min(sizes.output);
        end.saturating_sub(first)
    };
    Ok((0..config.kernel[index]).map(inside).sum())
}

/// Multiply-adds of a convolution of one sample.
pub(crate) fn convolution_macs(config: &Conv2d, input: [usize; 2]) -> Result<u64, Error> {
    let output = axes(config, input, convolution_axis)?.map(|axis| axis.output);
    macs(config, &[output[0], output[1], config.kernel[0], config.kernel[1]])
}

/// The same without taps that read padding.
pub(crate) fn convolution_macs_on_input(config: &Conv2d, input: [usize; 2]) -> Result<u64, Error> {
    axes(config, input, convolution_axis)?;
    macs(config, &[pairs_on_input(config, 0, input[0])?, pairs_on_input(config, 1, input[1])?])
}

/// Multiply-adds of a transposed convolution of one sample: every input position meets every tap.
pub(crate) fn transposed_macs(config: &Conv2d, input: [usize; 2]) -> Result<u64, Error> {
    axes(config, input, transposed_axis)?;
    macs(config, &[input[0], input[1], config.kernel[0], config.kernel[1]])
}

/// Both axes of a valid configuration.
pub(crate) fn axes(
    config: &Conv2d,
    input: [usize; 2],
    axis: fn(&Conv2d, usize, usize) -> Result<AxisSizes, Error>,
) -> Result<[AxisSizes; 2], Error> {
    validate(config)?;
    Ok([axis(config, 0, input[0])?, axis(config, 1, input[1])?])
}

fn macs(config: &Conv2d, spatial: &[usize]) -> Result<u64, Error> {
    let channels = [config.in_channels / config.groups, config.out_channels];
    let factors = channels.iter().chain(spatial);
    let total = factors.clone().try_fold(1u64, |total, &factor| total.checked_mul(factor as u64));
    total.ok_or_else(|| Error::too_large("macs", Axis::All, format!("{:?}", factors.collect::<Vec<_>>())))
}

/// The product, if it is at most [`MAX_SIZE`].
fn product(factors: &[usize]) -> Option<usize> {
    factors.iter().try_fold(1usize, |total, &factor| total.checked_mul(factor)).filter(|&total| total <= MAX_SIZE)
}
