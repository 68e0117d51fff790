//! Named shapes, and how a layer is compared with its reference: on every instruction set, with every memory layout.

use ndarray::{Array1, Array4};
use ndconv::{Conv2d, Conv2dLayer, ConvTranspose2dLayer, IntoPair, Isa, Options, Padding, Workspace, reference};

use super::{LAYOUTS, Layer, Random, TestElement, assert_same, bias_for, isas, laid_out, spoiled};

/// A configuration and an input size, with a name for failures.
pub(crate) type Case = (&'static str, Conv2d, [usize; 3]);

pub(crate) fn conv(in_channels: usize, out_channels: usize, kernel: impl IntoPair) -> Conv2d {
    Conv2d::new(in_channels, out_channels, kernel)
}

pub(crate) fn convolutions() -> Vec<Case> {
    vec![
        ("first layer", conv(3, 16, 7).stride(2).padding(3), [1, 33, 35]),
        ("1x1", conv(24, 40, 1), [2, 14, 14]),
        ("1x1 with tails", conv(13, 29, 1), [1, 7, 7]),
        ("1x1 strided", conv(16, 17, 1).stride(2), [1, 9, 11]),
        ("3x3", conv(16, 32, 3).padding(1), [1, 28, 28]),
        ("3x3 with tails", conv(7, 15, 3).padding(1), [3, 13, 17]),
        ("3x3 strided", conv(8, 12, 3).stride(2).padding(1), [1, 15, 16]),
        ("more than one block of taps", conv(70, 5, 3).padding(1), [1, 6, 7]),
        ("blocks that end at a tap of every kind", conv(300, 3, [1, 2]), [1, 3, 5]),
        ("5x5", conv(4, 6, 5).padding(2), [1, 20, 21]),
        ("wide kernel", conv(2, 3, [1, 11]).padding([0, 5]), [1, 5, 40]),
        ("tall kernel", conv(2, 3, [11, 1]).padding([5, 0]), [1, 40, 5]),
        ("grouped", conv(12, 18, 3).padding(1).groups(3), [1, 12, 13]),
        ("grouped with one output each", conv(12, 4, 3).padding(1).groups(4), [2, 9, 9]),
        ("depthwise", Conv2d::depthwise(10, 3).padding(1), [2, 16, 17]),
        ("depthwise multiplier 3", conv(5, 15, 5).padding(2).groups(5), [1, 11, 12]),
        ("dilated", conv(6, 9, 3).padding(4).dilation(4), [1, 18, 19]),
        ("dilated with wide edges", conv(70, 20, 3).padding(12).dilation(12), [1, 27, 40]),
        (
            "dilated with uneven edges",
            conv(5, 33, [3, 4]).stride([1, 2]).padding([7, 20, 9, 5]).dilation(9),
            [1, 20, 61],
        ),
        ("rows of padding, and none beside short rows", conv(9, 12, [3, 1]).padding([1, 0]), [1, 6, 7]),
        ("dilated beyond the input", conv(4, 4, 3).padding(12).dilation(12), [1, 7, 9]),
        ("uneven padding", conv(3, 5, [3, 2]).padding([0, 3, 2, 1]), [1, 9, 10]),
        ("stride above the kernel", conv(3, 4, 2).stride([3, 5]), [1, 17, 23]),
        ("same upper", conv(3, 4, 4).stride(3).padding(Padding::SameUpper), [1, 10, 11]),
        ("same lower", conv(3, 4, [2, 4]).padding(Padding::SameLower), [1, 10, 11]),
        ("one column", conv(5, 6, [3, 1]).padding([1, 0]), [1, 30, 1]),
        ("one pixel", conv(40, 33, 1), [1, 1, 1]),
        ("one row", conv(6, 7, [1, 5]).padding([0, 2]), [1, 1, 2000]),
        ("kernel of the padded input's size", conv(3, 20, [4, 6]).padding([1, 0]), [2, 2, 6]),
        ("empty batch", conv(3, 4, 3), [0, 5, 6]),
        ("no bias", conv(9, 14, 3).bias(false), [1, 12, 12]),
        ("large kernel", conv(1, 2, 17).padding(8), [1, 20, 22]),
        ("many threads", conv(16, 64, 3).padding(1), [3, 20, 20]),
        ("few pixels, panels alone and together", conv(300, 77, 1), [1, 1, 1]),
        ("two pixels of a row, no bias", conv(70, 200, 1).bias(false), [3, 1, 2]),
        ("padding that only ends of rows see", conv(37, 48, 3).padding(1), [2, 9, 15]),
        ("and that both ends see at once", conv(19, 40, 1).padding(1).stride([1, 5]), [1, 3, 16]),
        ("padding that three pixels of a row see", conv(37, 48, [1, 7]).padding([0, 3]), [1, 9, 17]),
        ("and two of each row and column", conv(19, 40, 5).padding(2), [2, 7, 15]),
        ("four at the right", conv(19, 40, [1, 9]).padding([0, 3, 0, 4]), [1, 7, 17]),
        ("at both ends of short rows", conv(33, 40, [3, 7]).padding([1, 3]), [1, 5, 6]),
        ("and four at the left", conv(19, 40, [1, 9]).padding([0, 4, 0, 3]), [1, 7, 17]),
        ("three and one, dilated", conv(21, 33, [3, 4]).dilation([1, 2]).padding([1, 3, 1, 1]), [1, 6, 20]),
        ("strides across an image of one column", conv(20, 40, [1, 3]).stride([1, 2]).padding([0, 5]), [1, 9, 1]),
        ("blocks in two parts", conv(70, 44, [7, 1]).padding([3, 0]), [2, 9, 17]),
        ("and of one row in place", conv(390, 51, 1).stride([1, 2]), [1, 3, 40]),
        ("groups in place", conv(64, 64, 3).padding(1).stride(2).groups(4), [2, 14, 14]),
        ("three pixels of a column", conv(270, 144, 1), [1, 3, 1]),
        ("every tap on padding but some", conv(40, 136, 3).padding(1), [2, 2, 2]),
        ("an image of the kernel's size", conv(33, 129, 3).padding(1), [1, 3, 3]),
        ("pixels one by one, with groups", conv(48, 288, [3, 2]).padding([1, 0]).groups(3), [2, 2, 3]),
        ("stride 3", conv(20, 33, [4, 5]).stride(3).padding(2), [2, 30, 31]),
        ("stride 4, dilated", conv(20, 33, 3).stride([2, 4]).dilation([2, 3]).padding(3), [1, 30, 61]),
        ("patches", conv(3, 40, 16).stride(16), [1, 48, 80]),
        ("depthwise 7x7", Conv2d::depthwise(6, 7).padding(3), [2, 11, 50]),
        ("depthwise dilated", Conv2d::depthwise(6, 3).padding(2).dilation(2), [1, 14, 40]),
        ("depthwise of several blocks", Conv2d::depthwise(3, [17, 31]).padding([8, 15]), [1, 20, 45]),
        ("few channels", conv(2, 2, 3).padding(1), [2, 20, 37]),
        ("gray", conv(3, 1, [5, 3]).padding([2, 1]), [1, 20, 37]),
        ("a wide image, packed around its middle", conv(2, 2, [3, 4]).padding([1, 2]).groups(2), [1, 6, 340]),
        ("gray, read in place to its end", conv(3, 1, [4, 3]), [2, 9, 31]),
        ("one output row read in place to its end", conv(2, 1, [4, 2]).stride([1, 3]), [2, 4, 100]),
        ("one pixel of one channel", conv(1, 1, 1), [3, 1, 1]),
        ("no padding, few channels", conv(4, 5, 3), [2, 8, 37]),
        ("more channels than sums have room for", conv(40, 2100, 1), [1, 17, 19]),
        ("few pixels, many channels", conv(64, 96, 3).padding(1), [1, 4, 4]),
    ]
}

pub(crate) fn transposed() -> Vec<Case> {
    vec![
        ("2x2 stride 2", conv(16, 8, 2).stride(2), [2, 7, 9]),
        ("4x4 stride 2", conv(10, 12, 4).stride(2).padding(1), [1, 8, 8]),
        ("1x1 to 4x4", conv(40, 16, 4), [2, 1, 1]),
        ("1x1 to 4x4 with many channels", conv(300, 80, 4), [2, 1, 1]),
        ("one pixel, cropped and grouped", conv(40, 24, 4).stride(3).padding([1, 0, 0, 2]).groups(4), [3, 1, 1]),
        ("one pixel, panels that end within channels", conv(17, 50, [3, 5]), [1, 1, 1]),
        ("one pixel, blocks that end within channels", conv(60, 9, 3), [1, 1, 1]),
        ("one pixel, outputs that no tap reaches", conv(12, 8, 3).stride(4).output_padding(2), [1, 1, 1]),
        ("one pixel, dilated", conv(5, 8, [3, 1]).dilation([2, 3]), [1, 1, 1]),
        ("one pixel, stride as the kernel", conv(300, 70, 2).stride(2), [1, 1, 1]),
        ("9x9 stride 3", conv(6, 1, 9).stride(3).padding(4).output_padding(2), [1, 6, 7]),
        ("phases in tiles that each have taps of their own", conv(20, 3, [7, 8]).stride(3).padding(2), [1, 5, 40]),
        ("3x3 stride 1", conv(5, 6, 3).padding(1), [1, 10, 11]),
        ("holes", conv(3, 4, 2).stride([3, 4]), [1, 4, 5]),
        ("dilated", conv(4, 3, 3).stride(2).dilation(3).padding(2), [1, 6, 5]),
        ("dilated with holes", conv(4, 3, 3).stride(4).dilation(2), [1, 5, 4]),
        ("grouped", conv(8, 12, 3).stride(2).padding(1).output_padding(1).groups(4), [1, 6, 7]),
        ("depthwise", Conv2d::depthwise(6, 4).stride(2).padding(1), [2, 9, 10]),
        ("crop beyond the kernel", conv(3, 4, 2).stride(1).padding([2, 3, 1, 2]), [1, 9, 11]),
        ("uneven padding", conv(3, 4, [3, 5]).stride([2, 3]).padding([0, 2, 1, 3]), [1, 6, 6]),
        ("blocks of taps", conv(60, 7, 3).stride(2), [1, 5, 6]),
        ("same upper", conv(3, 4, 5).stride(2).padding(Padding::SameUpper), [1, 5, 6]),
        ("same lower with k < s", conv(3, 4, 2).stride(3).padding(Padding::SameLower), [1, 5, 6]),
        (
            "a block that some phases have no taps of",
            conv(13, 3, [4, 5]).stride([3, 2]).padding([0, 2, 2, 3]),
            [1, 3, 2],
        ),
        (
            "the same, and rows of a panel in more than one tile",
            conv(22, 40, [4, 3]).stride(4).padding(4).dilation([5, 7]),
            [1, 5, 20],
        ),
        ("a channel's phases in two panels or more", conv(5, 3, 8).stride(8), [1, 3, 4]),
        ("the same within a pixel's", conv(3, 5, 16).stride(8).padding([4, 3, 5, 4]), [2, 4, 3]),
        ("phases of many channels, in some panels and a half", conv(28, 70, 3).stride(3), [2, 4, 5]),
        ("the same of several groups", conv(6, 40, [3, 5]).stride([3, 5]).groups(2).output_padding([2, 1]), [1, 6, 7]),
        ("few channels, within a pixel's", conv(7, 20, 6).stride(3).padding(1), [1, 6, 9]),
        ("huge stride", conv(2, 3, 2).stride(1_000_000), [1, 1, 1]),
        ("mostly holes", conv(2, 3, 2).stride(90).output_padding(80), [1, 1, 2]),
        ("empty batch", conv(3, 4, 3), [0, 5, 6]),
        ("many threads", conv(24, 24, 4).stride(2).padding(1), [2, 16, 16]),
    ]
}

pub(crate) fn options<T: TestElement>(isa: Isa) -> Options<T> {
    Options::new().isa(isa)
}

/// Runs into a spoiled output of some layout and compares.
pub(crate) fn check_into<T: TestElement>(
    want: &Array4<T>,
    what: &dyn std::fmt::Debug,
    mut run_into: impl FnMut(&mut Array4<T>, &mut Workspace<T>),
) {
    let mut workspace = Workspace::new();
    for layout in LAYOUTS {
        let shape = want.dim().into();
        let mut output = spoiled(shape, layout);
        run_into(&mut output, &mut workspace);
        assert_same(&output, want, &(what, "output", layout));
    }
}

/// Runs a layer on inputs of every layout, into outputs of every layout.
pub(crate) fn check_layer<T: TestElement>(
    layer: &impl Layer<T>,
    input: &Array4<T>,
    want: &Array4<T>,
    what: &dyn std::fmt::Debug,
) {
    for layout in LAYOUTS {
        assert_same(&layer.run(&laid_out(input, layout)), want, &(what, layout));
    }
    check_into(want, what, |output, workspace| layer.run_into_with(input, output, workspace));
}

/// An input, a weight and, if the configuration has one, a bias.
pub(crate) type Tensors<T> = (Array4<T>, Array4<T>, Option<Array1<T>>);

/// Those of a convolution.
pub(crate) fn tensors<T: TestElement>(seed: u64, config: &Conv2d, size: [usize; 3]) -> Tensors<T> {
    tensors_with(seed, config, config.weight_shape(), size)
}

fn tensors_with<T: TestElement>(
    seed: u64,
    config: &Conv2d,
    weight_shape: [usize; 4],
    [n, h, w]: [usize; 3],
) -> Tensors<T> {
    let mut random = Random::new(seed);
    let input = random.array4::<T>([n, config.in_channels, h, w]);
    let weight = random.array4::<T>(weight_shape);
    (input, weight, bias_for(config, &mut random))
}

/// Compares layers of every instruction set, and the function with weights of every layout.
fn check<T: TestElement, L: Layer<T>>(
    (input, weight): (&Array4<T>, &Array4<T>),
    want: &Array4<T>,
    name: &str,
    layer: impl Fn(Options<T>) -> L,
    function: impl Fn(&Array4<T>) -> Array4<T>,
) {
    for isa in isas() {
        check_layer(&layer(Options::new().isa(isa)), input, want, &(name, isa));
    }
    for layout in LAYOUTS {
        assert_same(&function(&laid_out(weight, layout)), want, &(name, "weight", layout));
    }
}

pub(crate) fn check_standard<T: TestElement>(config: &Conv2d, size: [usize; 3], name: &str) {
    let (input, weight, bias) = tensors::<T>(1, config, size);
    let bias = bias.as_deref();
    let want = reference::conv2d(config, &input, &weight, bias).expect(name);
    let layer = |options| Conv2dLayer::with_options(config, &weight, bias, options).expect(name);
    let function = |weight: &Array4<T>| ndconv::conv2d(config, &input, weight, bias).expect(name);
    check((&input, &weight), &want, name, layer, function);
}

pub(crate) fn check_transposed<T: TestElement>(config: &Conv2d, size: [usize; 3], name: &str) {
    let (input, weight, bias) = tensors_with::<T>(2, config, config.transposed_weight_shape(), size);
    let bias = bias.as_deref();
    let want = reference::conv_transpose2d(config, &input, &weight, bias).expect(name);
    let layer = |options| ConvTranspose2dLayer::with_options(config, &weight, bias, options).expect(name);
    let function = |weight: &Array4<T>| ndconv::conv_transpose2d(config, &input, weight, bias).expect(name);
    check((&input, &weight), &want, name, layer, function);
}
