//! Random configurations: bit for bit the reference, and the identities that convolutions obey.

mod common;

use common::{LAYOUTS, Layer, Layout, Random, TestElement, assert_same, bias_for, isas, laid_out, on_threads, spoiled};
use ndarray::{Array, Array1, Array4, Axis, Dimension, concatenate, s};
use ndconv::{
    Candidate, Conv2d, Conv2dLayer, ConvTranspose2dLayer, DeformConv2dLayer, DeformInput, Float, Isa, Options, Padding,
    PaddingMode, Workspace, bilinear_upsampling, conv_transpose2d, conv2d, reference,
};
use proptest::prelude::*;
use proptest::sample::select;

/// A configuration and an input it can be run on.
#[derive(Clone, Debug)]
struct Case {
    config: Conv2d,
    /// Batch, height, width.
    size: [usize; 3],
    seed: u64,
    isa: Isa,
    threads: usize,
    layouts: [Layout; 3],
}

fn modes() -> impl Strategy<Value = PaddingMode> {
    use PaddingMode::*;
    prop_oneof![4 => Just(Zeros), 1 => Just(Reflect), 1 => Just(Symmetric), 1 => Just(Replicate), 1 => Just(Circular)]
}

fn paddings() -> impl Strategy<Value = Padding> {
    prop_oneof![
        6 => prop::array::uniform4(0usize..6).prop_map(Padding::Sides),
        1 => Just(Padding::Valid),
        1 => Just(Padding::SameUpper),
        1 => Just(Padding::SameLower),
    ]
}

/// Small enough for the reference, large enough for tails and for more than one block of taps.
fn configs() -> impl Strategy<Value = Conv2d> {
    let channels = (select(vec![1usize, 1, 1, 2, 3, 5]), 1usize..9, 1usize..18);
    let pair = |range: std::ops::Range<usize>| prop::array::uniform2(range);
    let spatial = (pair(1..6), pair(1..4), pair(1..4), paddings(), modes());
    (channels, spatial, any::<bool>()).prop_map(
        |((groups, per_in, per_out), (kernel, stride, dilation, padding, mode), bias)| {
            Conv2d::new(groups * per_in, groups * per_out, kernel)
                .groups(groups)
                .stride(stride)
                .dilation(dilation)
                .padding(padding)
                .padding_mode(mode)
                .bias(bias)
        },
    )
}

fn cases() -> impl Strategy<Value = Case> {
    let size = (0usize..4, 1usize..24, prop_oneof![4 => 1usize..24, 1 => 1usize..70]);
    let layouts = [0; 3].map(|_| select(LAYOUTS.to_vec()));
    let run = (select(isas()), select(vec![1usize, 2, 3, 8]), layouts);
    (configs(), size, any::<u64>(), run).prop_map(|(config, (n, h, w), seed, (isa, threads, layouts))| Case {
        config,
        size: [n, h, w],
        seed,
        isa,
        threads,
        layouts,
    })
}

/// Multiply-adds that the reference is asked for at most.
const AFFORDABLE: u64 = 3_000_000;

fn affordable(case: &Case, macs: Result<u64, ndconv::Error>) -> bool {
    macs.is_ok_and(|macs| macs * (case.size[0] as u64) < AFFORDABLE)
}

struct Tensors<T> {
    input: Array4<T>,
    weight: Array4<T>,
    bias: Option<Array1<T>>,
}

fn tensors<T: TestElement>(case: &Case, weight_shape: [usize; 4]) -> Tensors<T> {
    let (Case { config, size: [n, h, w], .. }, mut random) = (case, Random::new(case.seed));
    Tensors {
        input: random.array4([*n, config.in_channels, *h, *w]),
        weight: random.array4(weight_shape),
        bias: bias_for(config, &mut random),
    }
}

/// Runs a layer with the layouts and the threads of a case.
fn check_layer<T: TestElement>(case: &Case, layer: &(impl Layer<T> + Sync), input: &Array4<T>, want: &Array4<T>) {
    let (input, mut got) = (laid_out(input, case.layouts[0]), spoiled(want.dim().into(), case.layouts[2]));
    on_threads(case.threads, || layer.run_into_with(&input, &mut got, &mut Workspace::new()));
    assert_same(&got, want, case);
}

fn check_standard<T: TestElement>(case: &Case) {
    let Tensors { input, weight, bias } = tensors::<T>(case, case.config.weight_shape());
    let want = reference::conv2d(&case.config, &input, &weight, bias.as_deref()).unwrap();
    let (weight, options) = (laid_out(&weight, case.layouts[1]), Options::new().isa(case.isa));
    let layer = Conv2dLayer::with_options(&case.config, &weight, bias.as_deref(), options).unwrap();
    check_layer(case, &layer, &input, &want);
}

fn check_transposed<T: TestElement>(case: &Case) {
    let Tensors { input, weight, bias } = tensors::<T>(case, case.config.transposed_weight_shape());
    let want = reference::conv_transpose2d(&case.config, &input, &weight, bias.as_deref()).unwrap();
    let (weight, options) = (laid_out(&weight, case.layouts[1]), Options::new().isa(case.isa));
    let layer = ConvTranspose2dLayer::with_options(&case.config, &weight, bias.as_deref(), options).unwrap();
    check_layer(case, &layer, &input, &want);
}

fn check_deformable<T: TestElement + Float>(case: &Case, offset_groups: usize, masked: bool) {
    let Case { config, size: [n, h, w], seed, isa, threads, layouts } = case;
    let mut random = Random::new(*seed);
    let input = random.array4::<T>([*n, config.in_channels, *h, *w]);
    let weight = random.array4::<T>(config.weight_shape());
    let bias = bias_for(config, &mut random);
    let [oh, ow] = config.output_size([*h, *w]).unwrap();
    let taps = config.kernel[0] * config.kernel[1];
    let offset = random.array4::<T>([*n, 2 * offset_groups * taps, oh, ow]).mapv(|x| x * T::of(4.0));
    let mask = masked.then(|| random.array4::<T>([*n, offset_groups * taps, oh, ow]));
    let tensors = DeformInput { input: &input, offset: &offset, mask: mask.as_deref() };
    let want = reference::deform_conv2d(config, tensors, &weight, bias.as_deref()).unwrap();
    let options = Options::new().isa(*isa);
    let layer = DeformConv2dLayer::with_options(config, &weight, bias.as_deref(), options).unwrap();
    let mut got = spoiled(want.dim().into(), layouts[2]);
    let (input, offset) = (laid_out(&input, layouts[0]), laid_out(&offset, layouts[1]));
    let tensors = DeformInput { input: &input, offset: &offset, mask: mask.as_deref() };
    on_threads(*threads, || layer.run_into_with(tensors, &mut got, &mut Workspace::new()).unwrap());
    assert_same(&got, &want, case);
}

fn wide<T: Float, D: Dimension>(array: &Array<T, D>) -> Array<f64, D> {
    array.mapv(|x| x.to_f64().unwrap())
}

/// Whether a layer's result, with inputs in -1 to 1, is within a bound for all outputs: `sums` are those of the sizes of an output's weights, and
/// of all of its channel. And the same bits for any threads, batch and layout.
fn check_reordered<T: TestElement + Float>(
    case: &Case,
    layer: &(impl Layer<T> + Sync),
    candidate: &Candidate,
    input: &Array4<T>,
    want: &Array4<f64>,
    sums: impl Fn((usize, usize, usize)) -> [f64; 2],
) {
    let plain = on_threads(1, || layer.run(input));
    check_layer(case, layer, input, &plain);
    for sample in 0..case.size[0] {
        let alone = layer.run(&input.slice(s![sample..=sample, .., .., ..]).to_owned());
        assert_same(&alone, &plain.slice(s![sample..=sample, .., .., ..]).to_owned(), case);
    }
    for ((place, got), want) in plain.indexed_iter().zip(want) {
        let [weights, all] = sums((place.1, place.2, place.3));
        let error = (got.to_f64().unwrap() - want).abs() / T::epsilon().to_f64().unwrap();
        // The reference is not exact either.
        assert!(
            error <= candidate.bound.observed * weights + 10.0 * all,
            "{error} eps at {place:?}, {candidate} {case:?}"
        );
    }
}

/// All ways that are not the exact order.
fn check_reordered_standard<T: TestElement + Float>(case: &Case) {
    let Tensors { input, weight, bias } = tensors::<T>(case, case.config.weight_shape());
    let laid_out_weight = laid_out(&weight, case.layouts[1]);
    let layer = |options| Conv2dLayer::with_options(&case.config, &laid_out_weight, bias.as_deref(), options).unwrap();
    let (wide_weight, wide_bias) = (wide(&weight), bias.as_ref().map(wide));
    let want = reference::conv2d(&case.config, &wide(&input), &wide_weight, wide_bias.as_deref()).unwrap();
    let sums = |(channel, _, _)| {
        let weights: f64 = wide_weight.index_axis(Axis(0), channel).iter().map(|weight| weight.abs()).sum();
        [weights + wide_bias.as_ref().map_or(0.0, |bias| bias[channel].abs()); 2]
    };
    let candidates = layer(Options::new().isa(case.isa)).candidates(input.dim().into()).unwrap();
    for candidate in candidates.iter().filter(|candidate| !candidate.admitted) {
        let layer = layer(Options::new().isa(case.isa).algorithm(candidate.algorithm));
        check_reordered(case, &layer, candidate, &input, &want, sums);
    }
}

/// And those of a transposed convolution. Whether there were any.
fn check_reordered_transposed<T: TestElement + Float>(case: &Case) -> bool {
    let Case { config, size: [_, h, w], .. } = case;
    let Tensors { input, weight, bias } = tensors::<T>(case, config.transposed_weight_shape());
    let laid_out_weight = laid_out(&weight, case.layouts[1]);
    let layer =
        |options| ConvTranspose2dLayer::with_options(config, &laid_out_weight, bias.as_deref(), options).unwrap();
    let (wide_weight, wide_bias) = (wide(&weight), bias.as_ref().map(wide));
    let want = reference::conv_transpose2d(config, &wide(&input), &wide_weight, wide_bias.as_deref()).unwrap();
    let crop = config.transposed_resolved_pads([*h, *w]).unwrap();
    let sums = |(channel, y, x): (usize, usize, usize)| {
        let per_group = config.out_channels / config.groups;
        let (group, ins) = (channel / per_group, config.in_channels / config.groups);
        let at = [y + crop.top, x + crop.left];
        let mut sums = [wide_bias.as_ref().map_or(0.0, |bias| bias[channel].abs()); 2];
        for ((_, _, i, j), weight) in wide_weight
            .slice(s![group * ins..(group + 1) * ins, channel % per_group..=channel % per_group, .., ..])
            .indexed_iter()
        {
            // Taps that are a multiple of the stride away reach the output.
            let reaches =
                [i, j].iter().zip(at).zip(config.stride).all(|((tap, at), stride)| tap % stride == at % stride);
            sums[0] += if reaches { weight.abs() } else { 0.0 };
            sums[1] += weight.abs();
        }
        sums
    };
    let candidates = layer(Options::new().isa(case.isa)).candidates(input.dim().into()).unwrap();
    for candidate in candidates.iter().filter(|candidate| !candidate.admitted) {
        let layer = layer(Options::new().isa(case.isa).algorithm(candidate.algorithm));
        check_reordered(case, &layer, candidate, &input, &want, sums);
    }
    candidates.len() > 1
}

/// Closeness for identities that hold up to rounding: `terms` products of numbers below 1.
fn assert_close(got: &Array4<f64>, want: &Array4<f64>, terms: usize) {
    assert_eq!(got.dim(), want.dim());
    let bound = 4.0 * terms as f64 * f64::EPSILON * 4.0;
    got.iter().zip(want).for_each(|(got, want)| assert!((got - want).abs() <= bound, "{got} {want}"));
}

fn dot(a: &Array4<f64>, b: &Array4<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, ..ProptestConfig::default() })]

    #[test]
    fn standard_is_its_reference(case in cases()) {
        prop_assume!(affordable(&case, case.config.macs([case.size[1], case.size[2]])));
        check_standard::<f32>(&case);
        check_standard::<f64>(&case);
        check_standard::<i16>(&case);
    }

    #[test]
    fn other_orders_are_within_their_bounds(case in cases(), large in prop::bool::weighted(0.3)) {
        let mut case = case;
        if large {
            case.config.stride = [1, 1];
            case.config.kernel = case.config.kernel.map(|taps| taps + 6);
        } else {
            case.config.dilation = [1, 1];
        }
        prop_assume!(affordable(&case, case.config.macs([case.size[1], case.size[2]])));
        check_reordered_standard::<f32>(&case);
        check_reordered_standard::<f64>(&case);
    }

    #[test]
    fn other_orders_of_transposed_are_within_their_bounds(case in cases(), extra in prop::array::uniform2(0usize..3)) {
        let mut case = case;
        case.config.dilation = [1, 1];
        case.config.output_padding = [0, 1].map(|axis| extra[axis].min(case.config.stride[axis] - 1));
        let outputs = case.config.transposed_output_size([case.size[1], case.size[2]]).map(|[h, w]| (h * w) as u64);
        let taps = (case.config.parameters().unwrap() * case.size[0]) as u64;
        prop_assume!(outputs.is_ok_and(|outputs| outputs * taps < AFFORDABLE));
        // There is no tiling for one tap, and channels of a panel must hold whole pixels.
        let [rows, columns] = [0, 1].map(|axis| case.config.kernel[axis].div_ceil(case.config.stride[axis]));
        let count = case.config.stride[0] * case.config.stride[1];
        let expected = [rows, columns] != [1, 1] && count.is_power_of_two() && case.isa != Isa::SCALAR;
        let found = check_reordered_transposed::<f32>(&case);
        assert!(found || !expected, "no other order for {case:?}");
        check_reordered_transposed::<f64>(&case);
    }

    #[test]
    fn transposed_is_its_reference(case in cases(), extra in prop::array::uniform2(0usize..3)) {
        let mut case = case;
        let (stride, dilation) = (case.config.stride, case.config.dilation);
        case.config.output_padding = [0, 1].map(|axis| extra[axis].min(stride[axis].max(dilation[axis]) - 1));
        let size = [case.size[1], case.size[2]];
        // The textbook multiplies every tap of every output.
        let outputs = case.config.transposed_output_size(size).map(|[h, w]| (h * w) as u64);
        let taps = (case.config.parameters().unwrap() * case.size[0]) as u64;
        prop_assume!(outputs.is_ok_and(|outputs| outputs * taps < AFFORDABLE));
        check_transposed::<f32>(&case);
        check_transposed::<f64>(&case);
        check_transposed::<i16>(&case);
    }

    #[test]
    fn deformable_is_its_reference(case in cases(), masked: bool, divisor in 1usize..4) {
        let mut case = case;
        case.config.padding_mode = PaddingMode::Zeros;
        prop_assume!(affordable(&case, case.config.macs([case.size[1], case.size[2]])));
        let offset_groups = if case.config.in_channels % divisor == 0 { divisor } else { 1 };
        check_deformable::<f32>(&case, offset_groups, masked);
        check_deformable::<f64>(&case, offset_groups, masked);
    }

    #[test]
    fn a_batch_is_its_samples(case in cases()) {
        prop_assume!(affordable(&case, case.config.macs([case.size[1], case.size[2]])));
        let Case { config, size: [n, h, w], seed, .. } = case;
        let mut random = Random::new(seed);
        let input = random.array4::<f32>([n, config.in_channels, h, w]);
        let bias = bias_for(&config, &mut random);
        let layer = Conv2dLayer::new(&config, &random.array4(config.weight_shape()), bias.as_deref()).unwrap();
        let whole = layer.run(&input).unwrap();
        for sample in 0..n {
            let alone = layer.run(&input.slice(s![sample..=sample, .., .., ..])).unwrap();
            assert_same(&alone, &whole.slice(s![sample..=sample, .., .., ..]).to_owned(), &config);
        }
    }

    #[test]
    fn groups_are_separate_convolutions(case in cases()) {
        prop_assume!(affordable(&case, case.config.macs([case.size[1], case.size[2]])));
        let Case { config, size: [n, h, w], seed, .. } = case;
        let config = config.bias(false);
        let mut random = Random::new(seed);
        let input = random.array4::<f32>([n, config.in_channels, h, w]);
        let weight = random.array4::<f32>(config.weight_shape());
        let (per_in, per_out) = (config.in_channels / config.groups, config.out_channels / config.groups);
        let alone = Conv2d { in_channels: per_in, out_channels: per_out, groups: 1, ..config };
        let outputs: Vec<Array4<f32>> = (0..config.groups)
            .map(|g| {
                let input = input.slice(s![.., g * per_in..(g + 1) * per_in, .., ..]);
                conv2d(&alone, &input, &weight.slice(s![g * per_out..(g + 1) * per_out, .., .., ..]), None).unwrap()
            })
            .collect();
        let views: Vec<_> = outputs.iter().map(|output| output.view()).collect();
        let want = concatenate(Axis(1), &views).unwrap();
        assert_same(&conv2d(&config, &input, &weight, None).unwrap(), &want, &config);
    }

    /// A larger image computed whole, and the part of it that a crop with its surroundings gives.
    #[test]
    fn tiles_of_an_image_are_the_image(case in cases(), cut in 0.1f64..0.9) {
        let Case { config, size: [_, h, w], seed, .. } = case;
        let config = config.padding(0);
        let [_, ow] = match config.output_size([h, w]) { Ok(size) => size, Err(_) => return Ok(()) };
        prop_assume!(affordable(&case, config.macs([h, w])));
        let mut random = Random::new(seed);
        let input = random.array4::<f32>([1, config.in_channels, h, w]);
        let bias = bias_for(&config, &mut random);
        let layer = Conv2dLayer::new(&config, &random.array4(config.weight_shape()), bias.as_deref()).unwrap();
        let first = (ow as f64 * cut) as usize;
        let tile = layer.run(&input.slice(s![.., .., .., first * config.stride[1]..])).unwrap();
        let whole = layer.run(&input).unwrap();
        assert_same(&tile, &whole.slice(s![.., .., .., first..]).to_owned(), &config);
    }

    /// ⟨conv x, y⟩ = ⟨x, transposed y⟩, for every padding mode.
    #[test]
    fn transposed_is_the_adjoint(case in cases()) {
        let Case { config, size: [n, h, w], seed, .. } = case;
        let config = config.bias(false);
        prop_assume!(affordable(&case, config.macs([h, w])));
        let pads = config.resolved_pads([h, w]).unwrap();
        let config = config.padding([pads.top, pads.left, pads.bottom, pads.right]);
        let [oh, ow] = config.output_size([h, w]).unwrap();
        let back = Conv2d { in_channels: config.out_channels, out_channels: config.in_channels, ..config };
        // Rows that no window reaches come back by output padding, which may be more than it is allowed to be.
        let Ok(back) = back.with_output_size([oh, ow], [h, w]) else { return Ok(()) };
        let mut random = Random::new(seed);
        let x = random.array4::<f64>([n, config.in_channels, h, w]);
        let y = random.array4::<f64>([n, config.out_channels, oh, ow]);
        let weight = random.array4::<f64>(config.weight_shape());
        let forward = dot(&conv2d(&config, &x, &weight, None).unwrap(), &y);
        let backward = dot(&x, &conv_transpose2d(&back, &y, &weight, None).unwrap());
        let terms = (n * oh * ow) as f64 * config.parameters().unwrap() as f64;
        prop_assert!((forward - backward).abs() <= 4.0 * f64::EPSILON * terms.max(1.0), "{forward} {backward} {config:?}");
    }

    /// Away from the border a plane stays a plane, and every pixel keeps its place.
    #[test]
    fn bilinear_upsampling_interpolates(factors in [1usize..10, 1usize..10], slopes in [-1.0f64..1.0, -1.0f64..1.0], [h, w] in [1usize..6, 1usize..6]) {
        let (config, weight) = bilinear_upsampling::<f64>(2, factors).unwrap();
        let plane = |y: f64, x: f64| 3.0 + slopes[0] * y + slopes[1] * x;
        let input = Array4::from_shape_fn((1, 2, h, w), |(_, _, y, x)| plane(y as f64, x as f64));
        let output = conv_transpose2d(&config, &input, &weight, None).unwrap();
        prop_assert_eq!(output.dim(), (1, 2, h * factors[0], w * factors[1]));
        for ((_, _, y, x), &got) in output.indexed_iter() {
            let [y, x] = [(y, factors[0]), (x, factors[1])].map(|(at, factor)| (at as f64 + 0.5) / factor as f64 - 0.5);
            if (0.0..=h as f64 - 1.0).contains(&y) && (0.0..=w as f64 - 1.0).contains(&x) {
                prop_assert!((got - plane(y, x)).abs() < 1e-12, "{got} for {} at {y} {x}", plane(y, x));
            }
        }
    }

    #[test]
    fn linear_in_the_input(case in cases(), factor in -2.0f64..2.0) {
        prop_assume!(affordable(&case, case.config.macs([case.size[1], case.size[2]])));
        let Case { config, size: [n, h, w], seed, .. } = case;
        let config = config.bias(false);
        let mut random = Random::new(seed);
        let [x, y] = [0; 2].map(|_| random.array4::<f64>([n, config.in_channels, h, w]));
        let weight = random.array4::<f64>(config.weight_shape());
        let conv = |x: &Array4<f64>| conv2d(&config, x, &weight, None).unwrap();
        assert_close(&conv(&(&x * factor + &y)), &(conv(&x) * factor + conv(&y)), config.parameters().unwrap());
    }

    #[test]
    fn a_pointwise_convolution_is_a_matrix_product(c in 1usize..40, o in 1usize..40, h in 1usize..9, w in 1usize..9, seed: u64) {
        let mut random = Random::new(seed);
        let (x, weight) = (random.array4::<f64>([1, c, h, w]), random.array4::<f64>([o, c, 1, 1]));
        let got = conv2d(&Conv2d::pointwise(c, o).bias(false), &x, &weight, None).unwrap();
        let product = weight.to_shape((o, c)).unwrap().dot(&x.to_shape((c, h * w)).unwrap());
        assert_close(&got, &product.into_shape_with_order((1, o, h, w)).unwrap(), c);
    }

    #[test]
    fn an_outer_product_separates(h in 1usize..12, w in 1usize..12, kh in 1usize..6, kw in 1usize..6, seed: u64) {
        let mut random = Random::new(seed);
        let input = random.array4::<f64>([1, 2, h, w]);
        let (vertical, horizontal) = (random.array4::<f64>([2, 1, kh, 1]), random.array4::<f64>([2, 1, 1, kw]));
        let full = &vertical * &horizontal;
        let config = Conv2d::depthwise(2, [kh, kw]).padding([kh, kw]).bias(false);
        let weights = ndconv::SpatiallySeparableWeights { vertical: &vertical, horizontal: &horizontal, bias: None };
        let got = ndconv::spatially_separable_conv2d(&config, &input, weights).unwrap();
        assert_close(&got, &conv2d(&config, &input, &full, None).unwrap(), kh * kw);
    }
}
