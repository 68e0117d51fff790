//! Separable convolutions fused and step by step: `cargo bench --bench fused`.
//!
//! The blocks are MobileNetV2's at 224x224. "steps" runs a prepared layer for each step, into tensors that exist already; "fused" is the one layer.

#[path = "shared/values.rs"]
mod values;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndconv::ndarray::Array4;
use ndconv::{
    Activation, Conv2d, Conv2dLayer, DepthwiseSeparableLayer, DepthwiseSeparableWeights, InvertedResidualLayer,
    InvertedResidualWeights, Options, SpatiallySeparableLayer, SpatiallySeparableWeights, Workspace,
};
use values::values;

/// Runs layers one after the other.
fn steps(layers: &[Conv2dLayer<f32>], input: &Array4<f32>) -> impl FnMut() {
    let mut tensors = vec![input.clone()];
    for layer in layers {
        let shape = layer.output_shape(tensors[tensors.len() - 1].dim().into()).expect("a shape");
        tensors.push(Array4::zeros(shape));
    }
    let mut workspace = Workspace::new();
    move || {
        for (index, layer) in layers.iter().enumerate() {
            let (before, after) = tensors.split_at_mut(index + 1);
            layer.run_into_with(black_box(&before[index]), &mut after[0], &mut workspace).expect("tensors that fit");
        }
    }
}

fn depthwise_separable(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("depthwise-separable");
    for (channels, out, size, stride) in [
        (32, 16, 112, 1),
        (96, 24, 112, 2),
        (144, 24, 56, 1),
        (192, 32, 28, 1),
        (384, 64, 14, 1),
        (576, 160, 14, 2),
        (960, 320, 7, 1),
    ] {
        let config = Conv2d::new(channels, out, 3).stride(stride).padding(1).bias(false);
        let depthwise = Conv2d::depthwise(channels, 3).stride(stride).padding(1).bias(false);
        let pointwise = Conv2d::pointwise(channels, out).bias(false);
        let [depthwise_weight, pointwise_weight] =
            [depthwise, pointwise].map(|step| values::<f32>(step.weight_shape()));
        let input = values([1, channels, size, size]);
        let middle = depthwise.output_size([size, size]).expect("a size");
        let flops = depthwise.flops([size, size]).expect("a count") + pointwise.flops(middle).expect("a count");
        group.throughput(Throughput::Elements(flops));

        let relu6 = || Options::new().activation(Activation::relu6());
        let layers = [
            Conv2dLayer::with_options(&depthwise, &depthwise_weight, None, relu6()).expect("a layer"),
            Conv2dLayer::new(&pointwise, &pointwise_weight, None).expect("a layer"),
        ];
        let name = format!("{channels}-{out} {size}x{size} stride {stride}");
        group.bench_function(BenchmarkId::new("steps", &name), |bencher| bencher.iter(steps(&layers, &input)));

        let weights = DepthwiseSeparableWeights {
            depthwise: &depthwise_weight,
            depthwise_bias: None,
            pointwise: &pointwise_weight,
            bias: None,
        };
        let fused =
            DepthwiseSeparableLayer::new(&config, weights, Activation::relu6(), Options::new()).expect("a layer");
        let mut output = Array4::zeros(fused.output_shape([1, channels, size, size]).expect("a shape"));
        let mut workspace = Workspace::new();
        group.bench_function(BenchmarkId::new("fused", &name), |bencher| {
            bencher.iter(|| fused.run_into_with(black_box(&input), &mut output, &mut workspace));
        });
    }
}

fn inverted_residual(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inverted-residual");
    for (channels, hidden, out, size, stride) in [
        (16, 96, 24, 112, 2),
        (24, 144, 24, 56, 1),
        (24, 144, 32, 56, 2),
        (32, 192, 32, 28, 1),
        (64, 384, 64, 14, 1),
        (96, 576, 96, 14, 1),
        (96, 576, 160, 14, 2),
        (160, 960, 160, 7, 1),
    ] {
        let residual = channels == out && stride == 1;
        let config = Conv2d::new(channels, out, 3).stride(stride).padding(1).bias(false);
        let expand = Conv2d::pointwise(channels, hidden).bias(false);
        let depthwise = Conv2d::depthwise(hidden, 3).stride(stride).padding(1).bias(false);
        let project = Conv2d::pointwise(hidden, out).bias(false);
        let [first, second, third] = [expand, depthwise, project].map(|step| values::<f32>(step.weight_shape()));
        let input = values([1, channels, size, size]);
        let middle = depthwise.output_size([size, size]).expect("a size");
        let [a, b, c] = [(expand, [size, size]), (depthwise, [size, size]), (project, middle)]
            .map(|(step, size)| step.flops(size).expect("a count"));
        group.throughput(Throughput::Elements(a + b + c));

        let relu6 = || Options::new().activation(Activation::relu6());
        let layers = [
            Conv2dLayer::with_options(&expand, &first, None, relu6()).expect("a layer"),
            Conv2dLayer::with_options(&depthwise, &second, None, relu6()).expect("a layer"),
            Conv2dLayer::new(&project, &third, None).expect("a layer"),
        ];
        let name = format!("{channels}-{hidden}-{out} {size}x{size} stride {stride}");
        let mut run = steps(&layers, &input);
        group.bench_function(BenchmarkId::new("steps", &name), |bencher| bencher.iter(&mut run));

        let weights = InvertedResidualWeights {
            expand: Some(&first),
            expand_bias: None,
            depthwise: &second,
            depthwise_bias: None,
            project: &third,
            bias: None,
        };
        let fused = InvertedResidualLayer::new(&config, weights, Activation::relu6(), residual, Options::new())
            .expect("a layer");
        let mut output = Array4::zeros(fused.output_shape([1, channels, size, size]).expect("a shape"));
        let mut workspace = Workspace::new();
        group.bench_function(BenchmarkId::new("fused", &name), |bencher| {
            bencher.iter(|| fused.run_into_with(black_box(&input), &mut output, &mut workspace));
        });
    }
}

fn spatially_separable(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spatially-separable");
    for (channels, size, kernel) in
        [(1, [1080, 1920], 5), (1, [1080, 1920], 11), (3, [1080, 1920], 31), (64, [56, 56], 7)]
    {
        let config = Conv2d::depthwise(channels, kernel).padding(kernel / 2).bias(false);
        let vertical = Conv2d::depthwise(channels, [kernel, 1]).padding([kernel / 2, 0]).bias(false);
        let horizontal = Conv2d::depthwise(channels, [1, kernel]).padding([0, kernel / 2]).bias(false);
        let [first, second] = [vertical, horizontal].map(|step| values::<f32>(step.weight_shape()));
        let input = values([1, channels, size[0], size[1]]);
        let flops = vertical.flops(size).expect("a count") + horizontal.flops(size).expect("a count");
        group.throughput(Throughput::Elements(flops));
        let name = format!("{channels}x{}x{} {kernel}x{kernel}", size[0], size[1]);
        let layers = [
            Conv2dLayer::new(&vertical, &first, None).expect("a layer"),
            Conv2dLayer::new(&horizontal, &second, None).expect("a layer"),
        ];
        group.bench_function(BenchmarkId::new("steps", &name), |bencher| bencher.iter(steps(&layers, &input)));
        let whole = Conv2dLayer::new(&config, &values::<f32>(config.weight_shape()), None).expect("a layer");
        group.bench_function(BenchmarkId::new("whole", &name), |bencher| {
            bencher.iter(steps(std::slice::from_ref(&whole), &input));
        });
        let weights = SpatiallySeparableWeights { vertical: &first, horizontal: &second, bias: None };
        let fused = SpatiallySeparableLayer::new(&config, weights, Options::new()).expect("a layer");
        let mut output = Array4::zeros(input.dim());
        let mut workspace = Workspace::new();
        group.bench_function(BenchmarkId::new("fused", &name), |bencher| {
            bencher.iter(|| fused.run_into_with(black_box(&input), &mut output, &mut workspace));
        });
    }
}

criterion_group! {
    name = fused;
    config = Criterion::default().warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(400)).sample_size(20);
    targets = depthwise_separable, inverted_residual, spatially_separable
}
criterion_main!(fused);
