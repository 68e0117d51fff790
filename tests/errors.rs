//! Bad calls, and the message that each gives. None panics.

use std::panic::catch_unwind;

use ndarray::{Array1, Array3, Array4};
use ndconv::{
    Activation, Conv2d, Conv2dLayer, ConvTranspose2dLayer, DeformConv2dLayer, DeformInput, DepthwiseSeparableLayer,
    DepthwiseSeparableWeights, Error, InvertedResidualLayer, InvertedResidualWeights, Options, Padding, PaddingMode,
    SpatiallySeparableLayer, SpatiallySeparableWeights, bilinear_upsampling, conv_transpose2d, conv1d, conv2d,
    deform_conv2d, receptive_field,
};

type Shape = (usize, usize, usize, usize);

fn zeros(shape: Shape) -> Array4<f32> {
    Array4::zeros(shape)
}

/// The configuration that bad calls differ from in one thing: 4 to 6 channels in 2 groups, 3x3.
fn good() -> Conv2d {
    Conv2d::new(4, 6, 3).groups(2)
}

const INPUT: Shape = (1, 4, 8, 9);
const WEIGHT: Shape = (6, 2, 3, 3);

fn conv(config: Conv2d, input: Shape, weight: Shape, bias: Option<usize>) -> Result<(), Error> {
    conv2d(&config, &zeros(input), &zeros(weight), bias.map(Array1::zeros).as_deref()).map(drop)
}

/// A call in which only the configuration is bad.
fn configured(config: Conv2d) -> Result<(), Error> {
    conv(config, INPUT, WEIGHT, Some(6))
}

fn into(output: Shape) -> Result<(), Error> {
    let layer = Conv2dLayer::new(&good(), &zeros(WEIGHT), Some(&Array1::zeros(6)))?;
    layer.run_into(&zeros(INPUT), &mut zeros(output))
}

fn up(config: Conv2d, input: Shape, weight: Shape, bias: Option<usize>) -> Result<(), Error> {
    conv_transpose2d(&config, &zeros(input), &zeros(weight), bias.map(Array1::zeros).as_deref()).map(drop)
}

const UP_WEIGHT: Shape = (4, 3, 3, 3);

fn up_configured(config: Conv2d) -> Result<(), Error> {
    up(config, INPUT, UP_WEIGHT, Some(6))
}

fn deform(config: Conv2d, offset: Shape, mask: Option<Shape>) -> Result<(), Error> {
    let mask = mask.map(zeros);
    let (input, offset) = (zeros(INPUT), zeros(offset));
    let tensors = DeformInput { input: &input, offset: &offset, mask: mask.as_deref() };
    deform_conv2d(&config, tensors, &zeros(WEIGHT), Some(&Array1::zeros(6))).map(drop)
}

fn aggregation(config: Conv2d) -> Result<(), Error> {
    DeformConv2dLayer::<f32>::aggregation(&config, Options::new()).map(drop)
}

fn depthwise_separable(
    depthwise: Shape,
    middle_bias: Option<usize>,
    pointwise: Shape,
    bias: Option<usize>,
) -> Result<(), Error> {
    let config = Conv2d::new(4, 6, 3);
    let (middle_bias, bias) = (middle_bias.map(Array1::zeros), bias.map(Array1::zeros));
    let weights = DepthwiseSeparableWeights {
        depthwise: &zeros(depthwise),
        depthwise_bias: middle_bias.as_deref(),
        pointwise: &zeros(pointwise),
        bias: bias.as_deref(),
    };
    DepthwiseSeparableLayer::new(&config, weights, Activation::None, Options::new())?.run(&zeros(INPUT)).map(drop)
}

/// A block with 8 hidden channels.
fn inverted_residual(
    config: Conv2d,
    [expand, depthwise, project]: [Shape; 3],
    [expand_bias, depthwise_bias]: [Option<usize>; 2],
    residual: bool,
) -> Result<(), Error> {
    let (expand_bias, depthwise_bias) = (expand_bias.map(Array1::zeros), depthwise_bias.map(Array1::zeros));
    let expand = (expand.0 > 0).then(|| zeros(expand));
    let weights = InvertedResidualWeights {
        expand: expand.as_deref(),
        expand_bias: expand_bias.as_deref(),
        depthwise: &zeros(depthwise),
        depthwise_bias: depthwise_bias.as_deref(),
        project: &zeros(project),
        bias: None,
    };
    let config = config.bias(false);
    InvertedResidualLayer::new(&config, weights, Activation::None, residual, Options::new())?
        .run(&zeros(INPUT))
        .map(drop)
}

fn spatially_separable(vertical: Shape, horizontal: Shape, bias: Option<usize>) -> Result<(), Error> {
    let bias = bias.map(Array1::zeros);
    let weights =
        SpatiallySeparableWeights { vertical: &zeros(vertical), horizontal: &zeros(horizontal), bias: bias.as_deref() };
    SpatiallySeparableLayer::new(&good(), weights, Options::new())?.run(&zeros(INPUT)).map(drop)
}

fn activated<T: ndconv::Element>(activation: Activation<T>) -> Result<(), Error> {
    let weight = Array4::zeros(WEIGHT);
    let options = Options::new().activation(activation);
    Conv2dLayer::with_options(&good(), &weight, Some(&Array1::zeros(6)), options).map(drop)
}

/// The largest size that is not refused as such.
const LIMIT: usize = isize::MAX as usize / 64;

type Call = (Box<dyn Fn() -> Result<(), Error> + std::panic::UnwindSafe>, String);

macro_rules! calls {
    ($($call:expr => $message:expr),* $(,)?) => {
        vec![$((Box::new(move || $call) as _, $message.to_string())),*]
    };
}

/// The configuration's settings.
fn settings() -> Vec<Call> {
    let one_up = format!("expected 1 to {LIMIT}");
    calls![
        configured(Conv2d { in_channels: 0, ..good() }) => format!("in_channels is 0, {one_up}"),
        configured(Conv2d { out_channels: 0, ..good() }) => format!("out_channels is 0, {one_up}"),
        configured(good().groups(0)) => format!("groups is 0, {one_up}"),
        configured(good().groups(3)) => "in_channels is 4, expected a multiple of 3 groups",
        configured(good().groups(4)) => "out_channels is 6, expected a multiple of 4 groups",
        configured(Conv2d { kernel: [0, 3], ..good() }) => format!("kernel is 0 along height, {one_up}"),
        configured(Conv2d { kernel: [3, 0], ..good() }) => format!("kernel is 0 along width, {one_up}"),
        configured(good().stride([0, 1])) => format!("stride is 0 along height, {one_up}"),
        configured(good().stride([1, 0])) => format!("stride is 0 along width, {one_up}"),
        configured(good().dilation([0, 1])) => format!("dilation is 0 along height, {one_up}"),
        configured(good().dilation([1, 0])) => format!("dilation is 0 along width, {one_up}"),
        configured(good().stride([1, usize::MAX])) => format!("stride is {} along width, {one_up}", usize::MAX),
        configured(good().dilation([LIMIT, 1])) => format!(
            "kernel needs more height than this machine has: 3 taps with dilation {LIMIT}, expected at most {LIMIT} elements"
        ),
        configured(good().dilation([usize::MAX, 1])) => format!("dilation is {} along height, {one_up}", usize::MAX),
        configured(good().padding([usize::MAX, 0])) => format!("padding is {} along height, expected at most {LIMIT}", usize::MAX),
        configured(good().padding([0, 0, 0, LIMIT + 1])) => format!("padding is {} along width, expected at most {LIMIT}", LIMIT + 1),
        configured(good().padding([LIMIT, LIMIT])) => format!(
            "output needs more size than this machine has: [1, 6, {}, {}], expected at most {LIMIT} elements",
            2 * LIMIT + 6, 2 * LIMIT + 7
        ),
        // Addressable, but more than any machine has.
        conv(good().padding([1 << 40, 0]), INPUT, WEIGHT, Some(6)) => format!(
            "output needs more size than this machine has: [1, 6, {}, 7], expected at most what memory holds", (1u64 << 41) + 6
        ),
        configured(Conv2d { in_channels: LIMIT - 1, out_channels: 2, groups: 1, ..good() }) => format!(
            "weight needs more size than this machine has: [{}, 2, 3, 3], expected at most {LIMIT} elements", LIMIT - 1
        ),
        configured(good().output_padding([1, 0])) => "output_padding is 1 along height, expected 0 (only transposed convolution has output padding)",
        configured(good().output_padding([0, 2])) => "output_padding is 2 along width, expected 0 (only transposed convolution has output padding)",
    ]
}

/// The tensors of a standard convolution.
fn tensors() -> Vec<Call> {
    calls![
        conv(good(), (1, 5, 8, 9), WEIGHT, Some(6)) => "input has 5 input channels, expected 4",
        conv(good(), (1, 0, 8, 9), WEIGHT, Some(6)) => "input has 0 input channels, expected 4",
        conv(good(), (1, 4, 0, 9), WEIGHT, Some(6)) => "input has height 0, expected at least 1",
        conv(good(), (1, 4, 8, 0), WEIGHT, Some(6)) => "input has width 0, expected at least 1",
        conv(good().padding(4), (0, 4, 0, 9), WEIGHT, Some(6)) => "input has height 0, expected at least 1",
        conv(good(), (1, 4, 2, 9), WEIGHT, Some(6)) => "the padded input has height 2, expected at least the effective kernel's 3",
        conv(good().padding([1, 0]), (1, 4, 2, 2), WEIGHT, Some(6)) => "the padded input has width 2, expected at least the effective kernel's 3",
        conv(good().dilation([1, 5]), INPUT, WEIGHT, Some(6)) => "the padded input has width 9, expected at least the effective kernel's 11",
        conv(good(), INPUT, (5, 2, 3, 3), Some(6)) => "weight has 5 output channels, expected 6",
        conv(good(), INPUT, (6, 4, 3, 3), Some(6)) => "weight has 4 input channels per group, expected 2 (4 channels / 2 groups)",
        conv(good().groups(1), INPUT, (6, 2, 3, 3), Some(6)) => "weight has 2 input channels per group, expected 4",
        conv(good(), INPUT, (6, 2, 5, 3), Some(6)) => "weight has kernel height 5, expected 3",
        conv(good(), INPUT, (6, 2, 3, 1), Some(6)) => "weight has kernel width 1, expected 3",
        conv(good(), INPUT, (0, 0, 0, 0), Some(6)) => "weight has 0 output channels, expected 6",
        conv(good(), INPUT, WEIGHT, Some(4)) => "bias has 4 output channels, expected 6",
        conv(good(), INPUT, WEIGHT, None) => "bias is missing, expected 6 elements, as the configuration has a bias (Conv2d::bias(false) is one without)",
        conv(good().bias(false), INPUT, WEIGHT, Some(6)) => "bias is given, expected none, as the configuration has no bias",
        into((2, 6, 6, 7)) => "output has batch 2, expected 1",
        into((1, 4, 6, 7)) => "output has 4 output channels, expected 6",
        into((1, 6, 8, 7)) => "output has height 8, expected 6",
        into((1, 6, 6, 9)) => "output has width 9, expected 7",
        conv1d(&Conv2d::new(4, 6, [1, 3]), &Array3::<f32>::zeros((1, 3, 9)), &Array3::zeros((6, 4, 3)), Some(&Array1::zeros(6))).map(drop) => "input has 3 input channels, expected 4",
        conv1d(&Conv2d::new(4, 6, 3), &Array3::<f32>::zeros((1, 4, 9)), &Array3::zeros((6, 4, 3)), Some(&Array1::zeros(6))).map(drop) => "weight has kernel height 1, expected 3",
        conv1d(&Conv2d::new(4, 6, [1, 3]).padding(1), &Array3::<f32>::zeros((1, 4, 9)), &Array3::zeros((6, 4, 3)), Some(&Array1::zeros(6))).map(drop) => "output has height 3, expected 1 (a one-dimensional result)",
    ]
}

fn transposed() -> Vec<Call> {
    let layer = || ConvTranspose2dLayer::new(&good(), &zeros(UP_WEIGHT), Some(&Array1::zeros(6)));
    calls![
        up(good(), (1, 6, 8, 9), UP_WEIGHT, Some(6)) => "input has 6 input channels, expected 4",
        up(good(), (1, 4, 0, 9), UP_WEIGHT, Some(6)) => "input has height 0, expected at least 1",
        up(good(), INPUT, (6, 2, 3, 3), Some(6)) => "weight has 6 input channels, expected 4",
        up(good(), INPUT, (4, 6, 3, 3), Some(6)) => "weight has 6 output channels per group, expected 3 (6 channels / 2 groups)",
        up(good(), INPUT, (4, 3, 2, 3), Some(6)) => "weight has kernel height 2, expected 3",
        up(good(), INPUT, (4, 3, 3, 4), Some(6)) => "weight has kernel width 4, expected 3",
        up(good(), INPUT, UP_WEIGHT, Some(4)) => "bias has 4 output channels, expected 6",
        up(good(), INPUT, UP_WEIGHT, None) => "bias is missing, expected 6 elements, as the configuration has a bias (Conv2d::bias(false) is one without)",
        up_configured(good().output_padding([1, 0])) => "output_padding is 1 along height, expected less than 1 (the larger of stride and dilation)",
        up_configured(good().stride(2).dilation([1, 3]).output_padding([0, 3])) => "output_padding is 3 along width, expected less than 3 (the larger of stride and dilation)",
        up_configured(good().padding(5)) => "padding is 10 along height, expected a total below the uncropped output's 10 (padding crops a transposed convolution)",
        up_configured(good().padding([0, 6])) => "padding is 12 along width, expected a total below the uncropped output's 11 (padding crops a transposed convolution)",
        up_configured(good().stride([LIMIT, 1])) => format!(
            "output needs more height than this machine has: 8 times stride {LIMIT}, expected at most {LIMIT} elements"
        ),
        up_configured(good().groups(5)) => "in_channels is 4, expected a multiple of 5 groups",
        layer()?.run_into(&zeros(INPUT), &mut zeros((1, 6, 10, 10))) => "output has width 10, expected 11",
        good().stride(2).with_output_size([8, 9], [30, 19]).map(drop) => "output_size asks for height 30, expected 17 to 18 for an input of 8",
        good().stride(2).with_output_size([8, 9], [17, 18]).map(drop) => "output_size asks for width 18, expected 19 to 20 for an input of 9",
        good().padding(Padding::SameUpper).stride(2).with_output_size([8, 9], [16, 19]).map(drop) => "output_size asks for width 19, expected 18 (padding is SAME)",
        good().stride(2).with_output_shape([8, 9], [0, 18]).map(drop) => "output_size asks for height 0, expected 1 to 18 for an input of 8",
        good().stride(2).with_output_shape([8, 9], [16, 21]).map(drop) => "output_size asks for width 21, expected 1 to 20 for an input of 9",
    ]
}

fn deformable() -> Vec<Call> {
    let offset = (1, 18, 6, 7);
    calls![
        deform(good(), (1, 17, 6, 7), None) => "offset has 17 offset channels, expected 2 * 9 taps * a number of offset groups that divides 4 input channels",
        deform(good(), (1, 0, 6, 7), None) => "offset has 0 offset channels, expected 2 * 9 taps * a number of offset groups that divides 4 input channels",
        deform(good(), (1, 54, 6, 7), None) => "offset has 54 offset channels, expected 2 * 9 taps * a number of offset groups that divides 4 input channels",
        deform(good(), (2, 18, 6, 7), None) => "offset has batch 2, expected 1",
        deform(good(), (1, 18, 8, 7), None) => "offset has height 8, expected 6 (one for each output)",
        deform(good(), (1, 18, 6, 9), None) => "offset has width 9, expected 7 (one for each output)",
        deform(good(), offset, Some((1, 18, 6, 7))) => "mask has 18 mask channels, expected 9 (1 offset groups * 9 taps)",
        deform(good(), offset, Some((0, 9, 6, 7))) => "mask has batch 0, expected 1",
        deform(good(), offset, Some((1, 9, 5, 7))) => "mask has height 5, expected 6 (one for each output)",
        deform(good(), offset, Some((1, 9, 6, 1))) => "mask has width 1, expected 7 (one for each output)",
        deform(good().padding_mode(PaddingMode::Reflect), offset, None) => "padding_mode is Reflect, expected Zeros: a deformable convolution's samples outside the image are 0",
        deform(good().output_padding(1), offset, None) => "output_padding is 1 along height, expected 0 (only transposed convolution has output padding)",
        deform(good().stride([1, 0]), offset, None) => format!("stride is 0 along width, expected 1 to {LIMIT}"),
        bilinear_upsampling::<f32>(3, [2, 0]).map(drop) => format!("stride is 0 along width, expected 1 to {LIMIT}"),
        bilinear_upsampling::<f64>(0, 2).map(drop) => format!("in_channels is 0, expected 1 to {LIMIT}"),
        aggregation(good()) => "groups is 2, expected 4, the number of input channels: channels are not mixed",
        aggregation(good().groups(4)) => "out_channels is 6, expected 4, the number of input channels: channels are not mixed",
        aggregation(Conv2d::depthwise(4, 3)) => "bias is missing, expected 4 elements, as the configuration has a bias (Conv2d::bias(false) is one without)",
        DeformConv2dLayer::new(&good(), &zeros((6, 2, 3, 2)), None).map(drop) => "weight has kernel width 2, expected 3",
    ]
}

fn separable() -> Vec<Call> {
    let (depthwise, pointwise) = ((8, 1, 3, 3), (6, 8, 1, 1));
    let (vertical, horizontal) = ((4, 2, 3, 1), (6, 2, 1, 3));
    let (plain, steps) = (Conv2d::new(4, 6, 3), [(8, 4, 1, 1), (8, 1, 3, 3), (6, 8, 1, 1)]);
    calls![
        depthwise_separable((7, 1, 3, 3), None, pointwise, Some(6)) => "depthwise has 7 output channels, expected a multiple of 4 input channels",
        depthwise_separable((0, 1, 3, 3), None, pointwise, Some(6)) => "depthwise has 0 output channels, expected a multiple of 4 input channels",
        depthwise_separable((8, 4, 3, 3), None, pointwise, Some(6)) => "depthwise has 4 input channels per group, expected 1 (4 channels / 4 groups)",
        depthwise_separable((8, 1, 1, 3), None, pointwise, Some(6)) => "depthwise has kernel height 1, expected 3",
        depthwise_separable(depthwise, Some(4), pointwise, Some(6)) => "depthwise_bias has 4 output channels, expected 8",
        depthwise_separable(depthwise, None, (6, 4, 1, 1), Some(6)) => "pointwise has 4 input channels per group, expected 8",
        depthwise_separable(depthwise, None, (5, 8, 1, 1), Some(6)) => "pointwise has 5 output channels, expected 6",
        depthwise_separable(depthwise, None, (6, 8, 1, 3), Some(6)) => "pointwise has kernel width 3, expected 1",
        depthwise_separable(depthwise, None, pointwise, Some(8)) => "bias has 8 output channels, expected 6",
        inverted_residual(good(), steps, [None; 2], false) => "groups is 2, expected 1: the pointwise steps mix all channels",
        inverted_residual(plain, [(8, 3, 1, 1), steps[1], steps[2]], [None; 2], false) => "expand has 3 input channels per group, expected 4",
        inverted_residual(plain, [(7, 4, 1, 1), steps[1], steps[2]], [None; 2], false) => "expand has 7 output channels, expected 8",
        inverted_residual(plain, [(0, 0, 0, 0), steps[1], steps[2]], [None; 2], false) => "depthwise has 8 output channels, expected 4 (the input's, as nothing expands them)",
        inverted_residual(plain, [(0, 0, 0, 0), (4, 1, 3, 3), (6, 4, 1, 1)], [Some(4), None], false) => "expand_bias is given, expected none, as there is no expand step",
        inverted_residual(plain, [steps[0], (8, 2, 3, 3), steps[2]], [None; 2], false) => "depthwise has 2 input channels per group, expected 1 (8 channels / 8 groups)",
        inverted_residual(plain, [steps[0], (0, 1, 3, 3), steps[2]], [None; 2], false) => format!("out_channels is 0, expected 1 to {LIMIT}"),
        inverted_residual(plain, [steps[0], steps[1], (6, 7, 1, 1)], [None; 2], false) => "project has 7 input channels per group, expected 8",
        inverted_residual(plain, steps, [Some(4), None], false) => "expand_bias has 4 output channels, expected 8",
        inverted_residual(plain, steps, [None, Some(9)], false) => "depthwise_bias has 9 output channels, expected 8",
        inverted_residual(plain, steps, [None; 2], true) => "output has 6 output channels, expected 4 (as many as the input that is added)",
        inverted_residual(Conv2d::new(4, 4, 3).stride([1, 2]), steps, [None; 2], true) => "stride is 2 along width, expected 1, as the input is added to the output",
        // The sizes must be the same too.
        inverted_residual(Conv2d::new(4, 4, 3), [steps[0], steps[1], (4, 8, 1, 1)], [None; 2], true) => "input has height 8, expected 6 (that of the output it is added to)",
        spatially_separable((3, 2, 3, 1), horizontal, Some(6)) => "vertical has 3 output channels, expected a multiple of 2 groups",
        spatially_separable((4, 4, 3, 1), horizontal, Some(6)) => "vertical has 4 input channels per group, expected 2 (4 channels / 2 groups)",
        spatially_separable((4, 2, 3, 3), horizontal, Some(6)) => "vertical has kernel width 3, expected 1",
        spatially_separable(vertical, (6, 3, 1, 3), Some(6)) => "horizontal has 3 input channels per group, expected 2 (4 channels / 2 groups)",
        spatially_separable(vertical, (6, 2, 3, 3), Some(6)) => "horizontal has kernel height 3, expected 1",
        spatially_separable(vertical, horizontal, Some(1)) => "bias has 1 output channels, expected 6",
        spatially_separable(vertical, horizontal, None) => "bias is missing, expected 6 elements, as the configuration has a bias (Conv2d::bias(false) is one without)",
    ]
}

fn others() -> Vec<Call> {
    calls![
        activated(Activation::Prelu(vec![0.1f32; 5])) => "activation has 5 output channels, expected 6 slopes",
        activated(Activation::Clamp { min: 1.0f64, max: 0.0 }) => "activation is a clamp from 1.0 to 0.0, expected a minimum that is at most the maximum",
        activated(Activation::Clamp { min: f32::NAN, max: 0.0 }) => "activation is a clamp from NaN to 0.0, expected a minimum that is at most the maximum",
        activated(Activation::<i32>::Gelu) => "activation is Gelu on i32, expected a floating-point type, or an activation that integers have",
        good().macs([2, 9]).map(drop) => "the padded input has height 2, expected at least the effective kernel's 3",
        good().groups(0).parameters().map(drop) => format!("groups is 0, expected 1 to {LIMIT}"),
        good().effective_kernel().and_then(|_| good().dilation(0).effective_kernel()).map(drop) => format!("dilation is 0 along height, expected 1 to {LIMIT}"),
        receptive_field(&[good().stride(LIMIT), good().stride(LIMIT), good()]).map(drop) => format!("receptive field needs more height than this machine has: 3 after stride {LIMIT}, expected at most {LIMIT} elements"),
        Conv2d::new(1 << 20, 1 << 20, 1).macs([1 << 20, 1 << 20]).map(drop) => format!("macs needs more size than this machine has: [1048576, 1048576, 1048576, 1048576, 1, 1], expected at most {LIMIT} elements"),
    ]
}

#[test]
fn every_bad_call_says_what_is_wrong() {
    let calls: Vec<Call> =
        [settings(), tensors(), transposed(), deformable(), separable(), others()].into_iter().flatten().collect();
    assert!(calls.len() >= 60, "{}", calls.len());
    let mut wrong = Vec::new();
    for (call, message) in calls {
        match catch_unwind(call) {
            Err(_) => wrong.push(format!("panicked instead of: {message}")),
            Ok(Ok(())) => wrong.push(format!("no error instead of: {message}")),
            Ok(Err(error)) if error.to_string() != message => {
                wrong.push(format!("   got: {error}\nwanted: {message}"));
            }
            Ok(Err(_)) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Calls at the edge of what is allowed are not refused.
#[test]
fn calls_at_the_edge_succeed() {
    conv(good(), INPUT, WEIGHT, Some(6)).unwrap();
    conv(good(), (0, 4, 8, 9), WEIGHT, Some(6)).unwrap();
    conv(good(), (1, 4, 3, 3), WEIGHT, Some(6)).unwrap();
    conv(good().stride(LIMIT), INPUT, WEIGHT, Some(6)).unwrap();
    conv(good().dilation([3, 4]), INPUT, WEIGHT, Some(6)).unwrap();
    up(good(), INPUT, UP_WEIGHT, Some(6)).unwrap();
    up(good().padding([0, 5]), INPUT, UP_WEIGHT, Some(6)).unwrap();
    up(good().stride(LIMIT / 2), (0, 4, 1, 1), UP_WEIGHT, Some(6)).unwrap();
    up(good().dilation(4).output_padding(3), INPUT, UP_WEIGHT, Some(6)).unwrap();
    deform(good(), (1, 72, 6, 7), Some((1, 36, 6, 7))).unwrap();
    activated(Activation::Clamp { min: 1.0f32, max: 1.0 }).unwrap();
}
