//! Every operation against its reference, bit for bit: named shapes, every instruction set, every memory layout.

mod common;

use common::cases::{
    check_into, check_layer, check_standard, check_transposed, conv, convolutions, options, tensors, transposed,
};
use common::{LAYOUTS, Layout, Random, TestElement, assert_same, bias_for, isas, laid_out, on_threads, spoiled};
use ndarray::{Array1, Array4, ArrayView4, ArrayViewMut4, s};
use ndconv::{
    Activation, Algorithm, Conv2d, Conv2dLayer, ConvTranspose2dLayer, DeformConv2dLayer, DeformInput,
    DepthwiseSeparableLayer, DepthwiseSeparableWeights, Error, Float, InvertedResidualLayer, InvertedResidualWeights,
    Isa, Padding, PaddingMode, SpatiallySeparableLayer, SpatiallySeparableWeights, Workspace, reference,
};

const MODES: [PaddingMode; 5] =
    [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Symmetric, PaddingMode::Replicate, PaddingMode::Circular];

#[test]
fn every_algorithm() {
    for (name, config, [n, h, w]) in convolutions() {
        let (input, weight, bias) = tensors::<f32>(7, &config, [n, h, w]);
        let want = reference::conv2d(&config, &input, &weight, bias.as_deref()).expect(name);
        for (isa, algorithm) in isas().into_iter().flat_map(|isa| Algorithm::EXACT.map(|algorithm| (isa, algorithm))) {
            let options = options(isa).algorithm(algorithm);
            let vectors = [Algorithm::GemmChannels, Algorithm::GatheredChannels, Algorithm::GatheredPixels];
            if isa == Isa::SCALAR && vectors.contains(&algorithm) {
                let error = Conv2dLayer::with_options(&config, &weight, bias.as_deref(), options).expect_err(name);
                assert!(matches!(error, Error::Unsupported { argument: "algorithm", .. }), "{error}");
                continue;
            }
            let layer = Conv2dLayer::with_options(&config, &weight, bias.as_deref(), options).expect(name);
            assert_eq!(layer.algorithm([n, config.in_channels, h, w]), Ok(algorithm));
            check_layer(&layer, &input, &want, &(name, isa, algorithm));
        }
    }
}

#[test]
fn standard_f32() {
    convolutions().iter().for_each(|(name, config, size)| check_standard::<f32>(config, *size, name));
}

#[test]
fn standard_f64() {
    convolutions().iter().for_each(|(name, config, size)| check_standard::<f64>(config, *size, name));
}

#[test]
fn padding_modes() {
    for mode in MODES {
        let small = Conv2d::new(3, 5, 3).padding([1, 2, 2, 1]).padding_mode(mode);
        let wide = Conv2d::new(2, 3, [9, 7]).padding([11, 9, 8, 13]).padding_mode(mode);
        let strided = Conv2d::new(2, 3, [4, 3]).stride([3, 2]).dilation([1, 2]).padding(5).padding_mode(mode);
        for (config, size) in [(small, [2, 9, 20]), (wide, [1, 3, 4]), (wide, [1, 1, 2]), (strided, [1, 11, 12])] {
            check_standard::<f32>(&config, size, &format!("{mode:?}"));
            check_standard::<f64>(&config, size, &format!("{mode:?}"));
        }
    }
}

/// Whose input and output no cache holds, so that both are asked for ahead of time.
#[test]
fn beyond_the_caches() {
    let cases = [
        ("read as it is", conv(1, 1, 3).padding(1), [1, 1399, 1401]),
        ("at every other pixel", conv(1, 1, 3).stride(2).padding(1), [1, 1699, 1701]),
        ("packed around its middle", conv(1, 1, [4, 2]).padding([1, 2]), [1, 1400, 1399]),
        ("small images", Conv2d::depthwise(400, 3).padding(1), [90, 7, 7]),
        ("groups of five", conv(6, 30, 3).groups(6), [30, 61, 71]),
    ];
    for (name, config, size) in cases {
        let (input, weight, bias) = tensors::<f32>(3, &config, size);
        let want = reference::conv2d(&config, &input, &weight, bias.as_deref()).expect(name);
        assert!((input.len() + want.len()) * size_of::<f32>() > 12 << 20, "{name}");
        for (isa, threads) in isas().into_iter().flat_map(|isa| [1, 2].map(|threads| (isa, threads))) {
            let layer = Conv2dLayer::with_options(&config, &weight, bias.as_deref(), options(isa)).expect(name);
            for layout in [Layout::Standard, Layout::Pitched] {
                let mut output = spoiled(want.dim().into(), layout);
                on_threads(threads, || layer.run_into(&input, &mut output)).expect(name);
                assert_same(&output, &want, &(name, isa, threads, layout));
            }
        }
    }
}

/// The same for every algorithm.
#[test]
fn products_beyond_the_caches() {
    let (config, size) = (conv(24, 40, 1), [2, 161, 163]);
    let (input, weight, bias) = tensors::<f32>(4, &config, size);
    let want = reference::conv2d(&config, &input, &weight, bias.as_deref()).expect("a result");
    assert!((input.len() + want.len()) * size_of::<f32>() > 12 << 20);
    for (isa, algorithm) in isas().into_iter().flat_map(|isa| Algorithm::EXACT.map(|algorithm| (isa, algorithm))) {
        let options = options(isa).algorithm(algorithm);
        let Ok(layer) = Conv2dLayer::with_options(&config, &weight, bias.as_deref(), options) else {
            assert_eq!(isa, Isa::SCALAR, "{algorithm:?}");
            continue;
        };
        for layout in [Layout::Standard, Layout::Pitched] {
            let mut output = spoiled(want.dim().into(), layout);
            layer.run_into(&input, &mut output).expect("a result");
            assert_same(&output, &want, &(isa, algorithm, layout));
        }
    }
}

/// Where rows of output are whole vectors, stores begin with cache lines, wherever in memory the first row does.
#[test]
fn wherever_cache_lines_begin() {
    let cases = [
        ("a plane", true, conv(1, 1, 3).padding(1), [1, 1264, 1264], vec![Algorithm::Direct]),
        ("rows", true, conv(3, 40, 3).padding(1), [1, 288, 272], Algorithm::EXACT.to_vec()),
        ("one run", true, conv(9, 40, 1), [1, 256, 252], Algorithm::EXACT.to_vec()),
        ("blocks of taps", false, conv(300, 39, 1), [1, 24, 42], Algorithm::EXACT.to_vec()),
    ];
    for (name, far, config, size, algorithms) in cases {
        let (input, weight, bias) = tensors::<f32>(5, &config, size);
        let want = reference::conv2d(&config, &input, &weight, bias.as_deref()).expect(name);
        assert_eq!((input.len() + want.len()) * size_of::<f32>() > 12 << 20, far, "{name}");
        let ways = isas().into_iter().flat_map(|isa| algorithms.iter().map(move |&algorithm| (isa, algorithm)));
        for (isa, algorithm) in ways {
            let options = options(isa).algorithm(algorithm);
            let Ok(layer) = Conv2dLayer::with_options(&config, &weight, bias.as_deref(), options) else {
                assert_eq!(isa, Isa::SCALAR, "{algorithm:?}");
                continue;
            };
            // Without vectors it does not matter where.
            for first in (0..if isa == Isa::SCALAR { 1 } else { 16 }).step_by(3) {
                let (mut read, mut written) = (vec![0.0; first], vec![0.77; first + want.len() + 16]);
                read.extend(&input);
                let input = ArrayView4::from_shape(input.dim(), &read[first..]).expect("as many");
                let output = &mut written[first..first + want.len()];
                let mut output = ArrayViewMut4::from_shape(want.dim(), output).expect("as many");
                layer.run_into(&input, &mut output).expect(name);
                assert_same(&output.to_owned(), &want, &(name, isa, algorithm, first));
                let around = written[..first].iter().chain(&written[first + want.len()..]);
                assert!(around.into_iter().all(|&element| element == 0.77), "{name} {isa:?} {algorithm:?} {first}");
            }
        }
    }
}

#[test]
fn transposed_f32() {
    transposed().iter().for_each(|(name, config, size)| check_transposed::<f32>(config, *size, name));
}

#[test]
fn transposed_f64() {
    transposed().iter().for_each(|(name, config, size)| check_transposed::<f64>(config, *size, name));
}

#[test]
fn transposed_padding_modes() {
    for mode in MODES {
        let plain = Conv2d::new(3, 5, 3).stride(2).padding([1, 2, 2, 1]).output_padding([1, 0]).padding_mode(mode);
        let grouped = Conv2d::new(4, 6, [5, 4]).groups(2).dilation([1, 2]).padding([2, 3]).padding_mode(mode);
        // Borders wider than the output: it is folded more than once.
        let wide = Conv2d::new(2, 3, 6).padding([4, 3, 3, 4]).padding_mode(mode);
        let sizes = [(plain, [2, 6, 7]), (grouped, [1, 5, 6]), (wide, [1, 3, 3]), (wide, [1, 4, 6])];
        for (config, size) in sizes {
            check_transposed::<f32>(&config, size, &format!("{mode:?}"));
            check_transposed::<f64>(&config, size, &format!("{mode:?}"));
        }
    }
}

/// A tap that reaches from beyond the input is not there: an infinite weight meets no zero.
#[test]
fn transposed_with_weights_that_are_not_finite() {
    for (name, config, size) in transposed() {
        let mut random = Random::new(3);
        let input = random.array4::<f32>([size[0], config.in_channels, size[1], size[2]]);
        let mut weight = random.array4::<f32>(config.transposed_weight_shape());
        weight[[0, 0, 0, 0]] = f32::INFINITY;
        weight[[1, 0, config.kernel[0] - 1, config.kernel[1] - 1]] = f32::NAN;
        let bias = bias_for(&config, &mut random);
        let want = reference::conv_transpose2d(&config, &input, &weight, bias.as_deref()).expect(name);
        for isa in isas() {
            let layer =
                ConvTranspose2dLayer::with_options(&config, &weight, bias.as_deref(), options(isa)).expect(name);
            assert_same(&layer.run(&input).expect(name), &want, &(name, isa));
        }
    }
}

fn check_deformable<T: TestElement + Float>(
    config: &Conv2d,
    [n, h, w]: [usize; 3],
    [offset_groups, masked]: [usize; 2],
    name: &str,
) {
    let mut random = Random::new(4);
    let input = random.array4::<T>([n, config.in_channels, h, w]);
    let weight = random.array4::<T>(config.weight_shape());
    let bias = bias_for(config, &mut random);
    let [oh, ow] = config.output_size([h, w]).expect(name);
    let taps = config.kernel[0] * config.kernel[1];
    let mut offset = random.array4::<T>([n, 2 * offset_groups * taps, oh, ow]);
    offset.mapv_inplace(|x| x * T::of(3.0));
    let strange = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e30, -0.0, 0.5, 1.0, -1.0];
    for (element, &value) in offset.iter_mut().step_by(7).zip(strange.iter().cycle()) {
        *element = T::of(value);
    }
    let mask = (masked == 1).then(|| random.array4::<T>([n, offset_groups * taps, oh, ow]));
    let tensors = DeformInput { input: &input, offset: &offset, mask: mask.as_deref() };
    let want = reference::deform_conv2d(config, tensors, &weight, bias.as_deref()).expect(name);
    for isa in isas() {
        let layer = DeformConv2dLayer::with_options(config, &weight, bias.as_deref(), options(isa)).expect(name);
        for layout in LAYOUTS {
            let (input, offset) = (laid_out(&input, layout), laid_out(&offset, layout));
            let mask = mask.as_ref().map(|mask| laid_out(mask, layout));
            let tensors = DeformInput { input: &input, offset: &offset, mask: mask.as_deref() };
            assert_same(&layer.run(tensors).expect(name), &want, &(name, isa, layout));
        }
        check_into(&want, &(name, isa), |output, workspace| {
            layer.run_into_with(tensors, output, workspace).expect(name);
        });
    }
}

#[test]
fn deformable() {
    let cases: [(&str, Conv2d, [usize; 3], [usize; 2]); 14] = [
        ("v1", conv(4, 6, 3).padding(1), [2, 9, 10], [1, 0]),
        ("v2", conv(4, 6, 3).padding(1), [1, 9, 10], [1, 1]),
        ("offset groups", conv(12, 7, 3).padding(1).stride(2), [1, 11, 12], [4, 1]),
        ("weight groups", conv(12, 8, 3).groups(4).padding(1), [1, 8, 9], [1, 0]),
        ("both, independent", conv(12, 6, [2, 3]).groups(2).dilation([2, 1]), [1, 9, 10], [3, 1]),
        ("depthwise", Conv2d::depthwise(6, 3).padding(1), [1, 7, 8], [6, 1]),
        ("blocks of taps", conv(40, 3, 3), [1, 6, 6], [2, 0]),
        ("empty batch", conv(4, 6, 3), [0, 6, 6], [1, 1]),
        ("depthwise, shared offsets", Conv2d::depthwise(37, 3).padding(1).stride([1, 2]), [2, 9, 23], [1, 1]),
        ("depthwise, offset groups of a vector and more", Conv2d::depthwise(34, [3, 2]).padding(1), [1, 6, 19], [2, 0]),
        ("depthwise, more taps than a block", Conv2d::depthwise(3, 17).padding(8), [1, 5, 6], [1, 1]),
        ("weight groups within a vector", conv(24, 24, 3).groups(6).padding(1).bias(false), [1, 7, 20], [2, 1]),
        ("beyond a plane", conv(5, 3, [3, 1]).stride([9, 1]).padding([0, 4]), [1, 700, 150], [1, 1]),
        ("one wide", conv(3, 2, [1, 3]).padding([0, 1]), [1, 30, 1], [1, 0]),
    ];
    for (name, config, size, groups) in cases {
        check_deformable::<f32>(&config, size, groups, name);
        check_deformable::<f64>(&config, size, groups, name);
    }
}

/// Positions at and next to where something changes, each in both axes.
fn check_borders<T: TestElement + Float>() {
    let above = |x: f64| (T::of(x) + T::of(x).abs().max(T::one()) * T::epsilon()).to_f64().expect("finite");
    let below = |x: f64| (T::of(x) - T::of(x).abs().max(T::one()) * T::epsilon()).to_f64().expect("finite");
    let along = |size: f64| -> Vec<f64> {
        let edges = [-1.0, 0.0, size - 1.0, size];
        let near = edges.into_iter().flat_map(|edge| [below(edge), edge, above(edge), edge + 0.5]);
        let tiny = [-0.0, 1e-30, -1e-30, f64::from(f32::MIN_POSITIVE)];
        near.chain(tiny).chain([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e30, 4e9, -4e9, 2.5]).collect()
    };
    let (rows, columns) = (along(5.0), along(6.0));
    let mut random = Random::new(11);
    let kernel = [5, 6];
    for config in [conv(3, 2, kernel), Conv2d::depthwise(3, kernel)] {
        // One output, whose first tap has no place but its offset, which is so exactly the position; a sample for each pair.
        let n = rows.len() * columns.len();
        let input = random.array4::<T>([1, 3, 5, 6]);
        let input = input.broadcast((n, 3, 5, 6)).expect("one sample for all");
        let weight = random.array4::<T>(config.weight_shape());
        let bias = bias_for(&config, &mut random);
        let mut offset = random.array4::<T>([n, 2 * 30, 1, 1]);
        for (pair, mut offset) in offset.outer_iter_mut().enumerate() {
            offset[[0, 0, 0]] = T::of(rows[pair / columns.len()]);
            offset[[1, 0, 0]] = T::of(columns[pair % columns.len()]);
        }
        let tensors = DeformInput { input: &input, offset: &offset, mask: None };
        let want = reference::deform_conv2d(&config, tensors, &weight, bias.as_deref()).expect("valid");
        for isa in isas() {
            let layer =
                DeformConv2dLayer::with_options(&config, &weight, bias.as_deref(), options(isa)).expect("valid");
            assert_same(&layer.run(tensors).expect("valid"), &want, &isa);
        }
    }
}

#[test]
fn aggregation_is_a_depthwise_convolution_of_ones() {
    let config = Conv2d::depthwise(24, [3, 2]).padding(1).stride([2, 1]).bias(false);
    let mut random = Random::new(12);
    let input = random.array4::<f32>([2, 24, 9, 8]);
    let offset = random.array4::<f32>([2, 2 * 3 * 6, 5, 9]).mapv(|x| 3.0 * x);
    let mask = random.array4::<f32>([2, 3 * 6, 5, 9]);
    let tensors = DeformInput { input: &input, offset: &offset, mask: Some(&mask) };
    let want = reference::deform_conv2d(&config, tensors, &Array4::ones((24, 1, 3, 2)), None).expect("valid");
    for isa in isas() {
        let layer = DeformConv2dLayer::aggregation(&config, options(isa)).expect("valid");
        assert_same(&layer.run(tensors).expect("valid"), &want, &isa);
    }
}

/// More rows than a 32-bit number counts, all of them the same memory.
#[test]
fn deformable_on_huge_images() {
    let (rows, step) = (1usize << 33, 1 << 25);
    let config = Conv2d::pointwise(2, 3).stride([step, 1]).bias(false);
    let mut random = Random::new(13);
    let row = random.array4::<f64>([1, 2, 1, 9]);
    let input = row.broadcast((1, 2, rows, 9)).expect("one row for all");
    let weight = random.array4::<f64>([3, 2, 1, 1]);
    let offset = random.array4::<f64>([1, 2, rows / step, 9]).mapv(|x| 3.0 * x);
    let tensors = DeformInput { input: &input, offset: &offset, mask: None };
    let want = reference::deform_conv2d(&config, tensors, &weight, None).expect("valid");
    for isa in isas() {
        let layer = DeformConv2dLayer::with_options(&config, &weight, None, options(isa)).expect("valid");
        assert_same(&layer.run(tensors).expect("valid"), &want, &isa);
    }
}

#[test]
fn deformable_at_the_borders() {
    check_borders::<f32>();
    check_borders::<f64>();
}

#[test]
fn zero_offsets_are_the_plain_convolution() {
    for (name, config, [n, h, w]) in convolutions() {
        let (input, weight, bias) = tensors::<f32>(5, &config, [n, h, w]);
        let [oh, ow] = config.output_size([h, w]).expect(name);
        let taps = config.kernel[0] * config.kernel[1];
        let (offset, mask) = (Array4::zeros((n, 2 * taps, oh, ow)), Array4::ones((n, taps, oh, ow)));
        let want = ndconv::conv2d(&config, &input, &weight, bias.as_deref()).expect(name);
        for mask in [None, Some(&*mask)] {
            let tensors = DeformInput { input: &input, offset: &offset, mask };
            let got = ndconv::deform_conv2d(&config, tensors, &weight, bias.as_deref()).expect(name);
            assert_same(&got, &want, &name);
        }
    }
}

fn check_depthwise_separable<T: TestElement>(config: &Conv2d, [n, h, w]: [usize; 3], multiplier: usize) {
    let mut random = Random::new(6);
    let middle = config.in_channels * multiplier;
    let input = random.array4::<T>([n, config.in_channels, h, w]);
    let depthwise = random.array4::<T>([middle, 1, config.kernel[0], config.kernel[1]]);
    let pointwise = random.array4::<T>([config.out_channels, middle / config.groups, 1, 1]);
    let (middle_bias, bias) = (random.array1::<T>(middle), bias_for(config, &mut random));
    for depthwise_bias in [None, Some(&*middle_bias)] {
        let weights = DepthwiseSeparableWeights {
            depthwise: &depthwise,
            depthwise_bias,
            pointwise: &pointwise,
            bias: bias.as_deref(),
        };
        let between = Activation::Relu;
        let want = reference::depthwise_separable_conv2d(config, &input, weights, &between).expect("a result");
        for isa in isas() {
            let layer = DepthwiseSeparableLayer::new(config, weights, between.clone(), options(isa)).expect("a layer");
            check_layer(&layer, &input, &want, &(config, isa));
        }
    }
}

#[test]
fn depthwise_separable() {
    for mode in MODES {
        let config = Conv2d::new(6, 10, 3).padding([1, 2, 0, 1]).padding_mode(mode);
        check_depthwise_separable::<f32>(&config, [2, 12, 30], 1);
        check_depthwise_separable::<f64>(&config.stride([2, 3]).dilation([1, 2]).groups(2), [1, 13, 14], 3);
        check_depthwise_separable::<i32>(&config.bias(false), [1, 9, 9], 2);
    }
    check_depthwise_separable::<f32>(&Conv2d::new(200, 64, 3).padding(1), [1, 24, 24], 2);
    check_depthwise_separable::<f32>(&Conv2d::new(4, 3, 3), [0, 8, 8], 1);
}

fn check_inverted_residual<T: TestElement>(config: &Conv2d, [n, h, w]: [usize; 3], hidden: Option<usize>) {
    let mut random = Random::new(12);
    let input = random.array4::<T>([n, config.in_channels, h, w]);
    let expand = hidden.map(|hidden| random.array4::<T>([hidden, config.in_channels, 1, 1]));
    let hidden = hidden.unwrap_or(config.in_channels);
    let depthwise = random.array4::<T>([hidden, 1, config.kernel[0], config.kernel[1]]);
    let project = random.array4::<T>([config.out_channels, hidden, 1, 1]);
    // What the first step makes of a zero is not zero.
    let [expand_bias, depthwise_bias] =
        [(); 2].map(|()| random.array1::<T>(hidden).mapv(|x| if x < T::zero() { T::one() } else { x }));
    let bias = bias_for(config, &mut random);
    let fits = config.stride == [1, 1] && config.out_channels == config.in_channels;
    for (biased, residual) in [(true, false), (false, true), (true, true)].into_iter().filter(|&(_, r)| fits || !r) {
        let weights = InvertedResidualWeights {
            expand: expand.as_deref(),
            expand_bias: (biased && expand.is_some()).then_some(&*expand_bias),
            depthwise: &depthwise,
            depthwise_bias: biased.then_some(&*depthwise_bias),
            project: &project,
            bias: bias.as_deref(),
        };
        let between = Activation::Relu;
        let want = reference::inverted_residual(config, &input, weights, &between, residual).expect("a result");
        let want = want.mapv(|x| Activation::relu6().apply(x, 0));
        for isa in isas() {
            let options = options(isa).activation(Activation::relu6());
            let layer =
                InvertedResidualLayer::new(config, weights, between.clone(), residual, options).expect("a layer");
            check_layer(&layer, &input, &want, &(config, isa, biased, residual));
            for threads in [2, 5] {
                assert_same(&on_threads(threads, || layer.run(&input).expect("a result")), &want, &(config, threads));
            }
        }
    }
}

#[test]
fn inverted_residual() {
    for mode in MODES {
        let same = Conv2d::new(6, 6, 3).padding(1).padding_mode(mode);
        check_inverted_residual::<f32>(&same, [2, 12, 30], Some(20));
        check_inverted_residual::<f64>(&same, [1, 7, 8], None);
        let other = Conv2d::new(5, 9, [5, 3]).padding([3, 1, 0, 2]).padding_mode(mode);
        check_inverted_residual::<f32>(&other.stride([2, 3]), [1, 13, 14], Some(18));
        check_inverted_residual::<f32>(&other.dilation([1, 2]).bias(false), [2, 9, 9], None);
        check_inverted_residual::<i32>(&same, [1, 9, 9], Some(11));
        // Padding wider than the image.
        check_inverted_residual::<f32>(&other.padding(9), [1, 2, 3], Some(4));
    }
    // Several bands of rows, which share rows of what is expanded; and wider than one region.
    check_inverted_residual::<f32>(&Conv2d::new(8, 8, 3).padding(1), [1, 45, 64], Some(96));
    check_inverted_residual::<f32>(&Conv2d::new(4, 7, 5).padding(2).stride(2), [2, 61, 65], Some(64));
    check_inverted_residual::<f32>(&Conv2d::new(3, 3, 3).padding(1), [1, 5, 3000], Some(40));
    check_inverted_residual::<f32>(&Conv2d::new(3, 3, 3).padding(1), [0, 5, 30], Some(40));
}

fn check_spatially_separable<T: TestElement>(config: &Conv2d, [n, h, w]: [usize; 3], middle: usize) {
    let mut random = Random::new(7);
    let input = random.array4::<T>([n, config.in_channels, h, w]);
    let vertical = random.array4::<T>([middle, config.in_channels / config.groups, config.kernel[0], 1]);
    let horizontal = random.array4::<T>([config.out_channels, middle / config.groups, 1, config.kernel[1]]);
    let bias = bias_for(config, &mut random);
    let weights = SpatiallySeparableWeights { vertical: &vertical, horizontal: &horizontal, bias: bias.as_deref() };
    let want = reference::spatially_separable_conv2d(config, &input, weights).expect("a result");
    for isa in isas() {
        let layer = SpatiallySeparableLayer::new(config, weights, options(isa)).expect("a layer");
        check_layer(&layer, &input, &want, &(config, isa));
    }
}

#[test]
fn spatially_separable() {
    for mode in MODES {
        let per_channel = Conv2d::depthwise(3, [5, 7]).padding([2, 3]).padding_mode(mode);
        check_spatially_separable::<f32>(&per_channel, [2, 12, 40], 3);
        check_spatially_separable::<f64>(&per_channel.stride([2, 3]).padding([3, 1, 0, 6]), [1, 13, 14], 6);
        let dense = Conv2d::new(4, 5, 3).padding(Padding::SameUpper).stride(2).dilation([2, 3]).padding_mode(mode);
        check_spatially_separable::<f32>(&dense, [1, 11, 12], 7);
        // Padding wider than the image.
        check_spatially_separable::<f32>(&dense.padding(9).bias(false), [1, 2, 3], 2);
        check_spatially_separable::<i32>(&dense.groups(1), [1, 9, 8], 3);
    }
    // Wider than one region.
    check_spatially_separable::<f32>(&Conv2d::depthwise(2, 9).padding(4), [1, 10, 3000], 2);
    check_spatially_separable::<f32>(&Conv2d::new(4, 3, 3), [0, 8, 8], 2);
}

/// The zero that pads the tensor between the steps is a zero even where the first step's weights are infinite.
#[test]
fn spatially_separable_pads_between_the_steps() {
    let config = Conv2d::new(1, 1, 3).padding(1).bias(false);
    let mut random = Random::new(8);
    let input = random.array4::<f32>([1, 1, 5, 6]);
    let mut vertical = random.array4::<f32>([1, 1, 3, 1]);
    vertical[[0, 0, 1, 0]] = f32::INFINITY;
    let horizontal = random.array4::<f32>([1, 1, 1, 3]);
    let weights = SpatiallySeparableWeights { vertical: &vertical, horizontal: &horizontal, bias: None };
    let want = reference::spatially_separable_conv2d(&config, &input, weights).expect("a result");
    let got = ndconv::spatially_separable_conv2d(&config, &input, weights).expect("a result");
    assert_same(&got, &want, &config);
}

#[test]
fn broadcast_inputs_and_weights() {
    let config = Conv2d::new(6, 8, 3).padding(1).bias(false);
    let mut random = Random::new(9);
    let row = random.array4::<f32>([1, 6, 1, 12]);
    let kernel = random.array4::<f32>([1, 1, 3, 3]);
    let (input, weight) = (row.broadcast((3, 6, 10, 12)).unwrap(), kernel.broadcast((8, 6, 3, 3)).unwrap());
    let want = reference::conv2d(&config, &input, &weight, None).unwrap();
    assert_same(&ndconv::conv2d(&config, &input, &weight, None).unwrap(), &want, &"broadcast");
    let pixel = random.array4::<f32>([1, 1, 1, 1]);
    let input = pixel.broadcast((2, 6, 7, 9)).unwrap();
    let want = reference::conv2d(&config, &input, &weight, None).unwrap();
    assert_same(&ndconv::conv2d(&config, &input, &weight, None).unwrap(), &want, &"broadcast pixel");
}

/// What is noted down for one layer is kept for its next call, and must not be taken for another one's: not if they differ in little, or if there are more
/// than there is room for.
#[test]
fn layers_may_share_a_workspace() {
    let shapes = convolutions().into_iter().flat_map(|(name, config, [n, h, w])| {
        [[n, h, w], [n, h, w + 1], [n, h + 1, w]].map(|size| (name, config, size))
    });
    let layers: Vec<_> = shapes
        .map(|(name, config, size)| {
            let (input, weight, bias) = tensors::<f32>(12, &config, size);
            let layer = Conv2dLayer::new(&config, &weight, bias.as_deref()).expect(name);
            let want = reference::conv2d(&config, &input, &weight, bias.as_deref()).expect(name);
            (name, layer, input, want)
        })
        .collect();
    let mut workspace = Workspace::new();
    for (name, layer, input, want) in layers.iter().chain(&layers).chain(layers.iter().rev()) {
        for layout in [Layout::Standard, Layout::Fortran] {
            let mut output = Array4::zeros(want.dim());
            on_threads(1, || layer.run_into_with(&laid_out(input, layout), &mut output, &mut workspace).expect(name));
            assert_same(&output, want, &(name, layout));
        }
    }
}

#[test]
fn threads_and_batch_cannot_be_seen() {
    for (name, config, [n, h, w]) in convolutions() {
        let (input, weight, bias) = tensors::<f32>(10, &config, [n, h, w]);
        let layer = Conv2dLayer::new(&config, &weight, bias.as_deref()).expect(name);
        let want = on_threads(1, || layer.run(&input).expect(name));
        for threads in [2, 3, 8] {
            assert_same(&on_threads(threads, || layer.run(&input).expect(name)), &want, &(name, threads));
        }
        for sample in 0..n {
            let alone = layer.run(&input.slice(s![sample..sample + 1, .., .., ..])).expect(name);
            assert_same(&alone, &want.slice(s![sample..sample + 1, .., .., ..]).to_owned(), &(name, sample));
        }
    }
}

#[test]
fn activations_are_those_of_the_plain_result() {
    let config = Conv2d::new(5, 7, 3).padding(1);
    let mut random = Random::new(11);
    let input = random.array4::<f32>([2, 5, 12, 20]);
    let weight = random.array4::<f32>(config.weight_shape());
    let bias = random.array1::<f32>(7);
    let plain = reference::conv2d(&config, &input, &weight, Some(&bias)).unwrap();
    let transposed_weight = random.array4::<f32>(config.transposed_weight_shape());
    let up = config.stride(2);
    let transposed = reference::conv_transpose2d(&up, &input, &transposed_weight, Some(&bias)).unwrap();
    for activation in [
        Activation::None,
        Activation::Relu,
        Activation::relu6(),
        Activation::Clamp { min: -0.5, max: 0.25 },
        Activation::LeakyRelu { slope: 0.1 },
        Activation::Prelu(vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        Activation::Silu,
        Activation::HardSwish,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Sigmoid,
        Activation::Tanh,
    ] {
        let apply =
            |plain: &Array4<f32>| Array4::from_shape_fn(plain.dim(), |index| activation.apply(plain[index], index.1));
        for isa in isas() {
            let options = options(isa).activation(activation.clone());
            let layer = Conv2dLayer::with_options(&config, &weight, Some(&bias), options.clone()).unwrap();
            assert_same(&layer.run(&input).unwrap(), &apply(&plain), &(&activation, isa));
            let mut output = spoiled(plain.dim().into(), Layout::ChannelsLast);
            layer.run_into(&input, &mut output).unwrap();
            assert_same(&output, &apply(&plain), &(&activation, isa, "channels last"));
            let layer = ConvTranspose2dLayer::with_options(&up, &transposed_weight, Some(&bias), options).unwrap();
            assert_same(&layer.run(&input).unwrap(), &apply(&transposed), &(&activation, isa, "transposed"));
        }
    }
}

fn check_limits<T: TestElement>(limits: [f64; 2]) {
    let few = [([3, 3], 1), ([3, 3], 2), ([5, 5], 1), ([7, 7], 1), ([3, 1], 1), ([9, 9], 1), ([1, 11], 1), ([2, 4], 3)];
    let few = few.map(|(kernel, stride)| Conv2d::depthwise(6, kernel).stride(stride).padding([1, 2]));
    let few = few.into_iter().flat_map(|config| [[1, 9, 12], [1, 7, 7], [2, 11, 70]].map(|size| ("few", config, size)));
    let wide = ("framed", Conv2d::depthwise(2, [3, 5]).padding([1, 2]).dilation(2), [1, 9, 400]);
    let pixel = ("one pixel", Conv2d::new(300, 150, 1), [1, 1, 1]);
    for (name, config, [n, h, w]) in convolutions().into_iter().chain(few).chain([wide, pixel]) {
        let (mut input, weight, bias) = tensors::<T>(12, &config, [n, h, w]);
        if let Some(first) = input.first_mut() {
            *first = T::of(f64::NAN);
        }
        let plain = reference::conv2d(&config, &input, &weight, bias.as_deref()).expect(name);
        let [min, max] = limits.map(T::of);
        for activation in [Activation::Relu, Activation::Clamp { min, max }] {
            let want = plain.mapv(|x| activation.apply(x, 0));
            for isa in isas() {
                let options = options(isa).activation(activation.clone());
                let layer = Conv2dLayer::with_options(&config, &weight, bias.as_deref(), options).expect(name);
                assert_same(&layer.run(&input).expect(name), &want, &(name, config, &activation, isa));
            }
        }
    }
}

#[test]
fn limits_are_kept_by_every_kernel() {
    check_limits::<f32>([-0.5, 0.25]);
    check_limits::<f64>([-0.5, 0.25]);
    check_limits::<i32>([-3.0, 7.0]);
}

fn check_depthwise<T: TestElement + Float>(config: &Conv2d, [n, h, w]: [usize; 3]) {
    let mut random = Random::new(14);
    let mut input = random.array4::<T>([n, config.in_channels, h, w]);
    // What lies beside a channel in memory must not be seen: its neighbours' corners are not finite.
    for (channel, value) in [(1, T::nan()), (3, T::infinity())] {
        input[[0, channel, 0, 0]] = value;
        input[[0, channel, h - 1, w - 1]] = value;
    }
    let weight = random.array4::<T>(config.weight_shape());
    let bias = bias_for(config, &mut random);
    let want = reference::conv2d(config, &input, &weight, bias.as_deref()).expect("a result");
    for isa in isas() {
        let layer = Conv2dLayer::with_options(config, &weight, bias.as_deref(), options(isa)).expect("a layer");
        assert_same(&layer.run(&input).expect("a result"), &want, &(config, h, w, isa));
    }
}

/// Images of one vector and less, of one and two, of many; with edges on all sides, on some, on none.
#[test]
fn depthwise_of_every_size() {
    let widths = [1, 2, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 28, 30, 31, 32, 33, 56, 65];
    let square = [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1)].map(|(kernel, stride)| ([kernel, kernel], stride));
    let lines = [[1, 3], [3, 1], [1, 5], [5, 1], [1, 7], [7, 1]].map(|kernel| (kernel, 1));
    for (kernel, stride) in square.into_iter().chain(lines) {
        let [kh, kw] = kernel;
        for padding in [[kh / 2, kw / 2, kh / 2, kw / 2], [0; 4], [0, 1, kh, 2], [kh + 1, 3, 0, 0]] {
            let config = Conv2d::depthwise(5, kernel).stride(stride).padding(padding);
            for width in widths {
                for height in [1, 3, 7, 18] {
                    if config.output_size([height, width]).is_ok() {
                        check_depthwise::<f32>(&config, [1, height, width]);
                        check_depthwise::<f64>(&config, [1, height, width]);
                    }
                }
            }
            check_depthwise::<f32>(&config, [2, 7, 300]);
            check_depthwise::<f32>(&config, [1, 8, 530]);
            check_depthwise::<f32>(&Conv2d { out_channels: 10, ..config }, [2, 14, 14]);
            check_depthwise::<f32>(&config.padding_mode(PaddingMode::Replicate), [1, 9, 14]);
        }
    }
}

/// Rows and columns of taps, and blocks of them that end within a row; images that are packed, read in place, and in place but for what is around it.
#[test]
fn few_channels_with_any_kernel() {
    for kernel in [[1, 9], [1, 41], [9, 1], [33, 1], [4, 4], [3, 8], [9, 10], [20, 15]] {
        let [kh, kw] = kernel;
        for padding in [[kh / 2, kw / 2, kh / 2, kw / 2], [0; 4], [0, kw, 1, 2], [kh + 1, 0, 2, kw]] {
            let config = Conv2d::depthwise(4, kernel).padding(padding);
            for size in [[1, 3, 50], [1, 4, 130], [2, 11, 340], [1, 40, 17], [1, 37, 1300]] {
                if config.output_size([size[1], size[2]]).is_ok() && (kh < 20 || size[2] < 1000 || kw == 1) {
                    check_depthwise::<f32>(&config, size);
                }
            }
            for config in [conv(8, 4, kernel).groups(4), conv(4, 8, kernel).groups(4), config.stride([1, 2])] {
                let config = config.padding([kh, kw / 2, kh / 2, 0]);
                check_depthwise::<f32>(&config, [1, 9, 350]);
                check_depthwise::<f64>(&config.dilation([2, 1]), [1, 43, 60]);
            }
            // Rows of output that see the same pixels: not neighbours, not with taps of neighbouring rows, neither, or none.
            for (stride, dilation) in [([2, 1], [1, 1]), ([1, 1], [3, 2]), ([2, 2], [2, 1]), ([3, 2], [2, 1])] {
                check_depthwise::<f32>(
                    &config.padding([kh, 1, kh / 2, kw]).stride(stride).dilation(dilation),
                    [1, 55, 61],
                );
            }
        }
        for mode in MODES {
            check_depthwise::<f64>(&Conv2d::depthwise(4, kernel).padding([kh / 2, 3]).padding_mode(mode), [1, 34, 333]);
        }
    }
}

/// Taps on padding are multiplied by zeros where that can be seen: an infinite weight makes NaN of them, and a bias of -0.0 becomes +0.0.
#[test]
fn depthwise_padding_that_can_be_seen() {
    for (kernel, stride, width) in [(3, 1, 7), (3, 2, 14), (3, 1, 40), (5, 1, 14), (7, 1, 33)] {
        let config = Conv2d::depthwise(5, kernel).stride(stride).padding(kernel / 2);
        let mut random = Random::new(15);
        let input = random.array4::<f32>([1, 5, 9, width]);
        let mut weight = random.array4::<f32>(config.weight_shape());
        let zeros = Array4::zeros(weight.raw_dim());
        let bias = Array1::from_elem(5, -0.0);
        let zero = reference::conv2d(&config, &input, &zeros, Some(&bias)).unwrap();
        weight[[1, 0, 0, 0]] = f32::INFINITY;
        weight[[4, 0, kernel - 1, kernel - 1]] = f32::NAN;
        let want = reference::conv2d(&config, &input, &weight, Some(&bias)).unwrap();
        for isa in isas() {
            for (weight, want) in [(&weight, &want), (&zeros, &zero)] {
                let layer = Conv2dLayer::with_options(&config, weight, Some(&bias), options(isa)).unwrap();
                assert_same(&layer.run(&input).unwrap(), want, &(kernel, stride, width, isa));
            }
        }
    }
}

/// A NaN or an infinity in the input reaches exactly the outputs whose window holds it.
#[test]
fn not_a_number_stays_in_its_window() {
    for mode in MODES {
        let config = Conv2d::new(3, 17, 3).padding(1).padding_mode(mode);
        let mut random = Random::new(12);
        let mut input = random.array4::<f32>([1, 3, 9, 40]);
        input[[0, 1, 4, 17]] = f32::NAN;
        input[[0, 2, 0, 39]] = f32::INFINITY;
        let weight = random.array4::<f32>(config.weight_shape());
        let bias = random.array1::<f32>(17);
        let want = reference::conv2d(&config, &input, &weight, Some(&bias)).unwrap();
        if mode == PaddingMode::Zeros {
            assert_eq!(want.iter().filter(|x| x.is_nan()).count(), 17 * 9);
        }
        for isa in isas() {
            let layer = Conv2dLayer::with_options(&config, &weight, Some(&bias), options(isa)).unwrap();
            assert_same(&layer.run(&input).unwrap(), &want, &(mode, isa));
        }
    }
}
