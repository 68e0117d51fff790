//! Separable convolutions fused and step by step: `cargo bench --bench fused`.
//!
//! The blocks are MobileNetV2's at 224x224. "steps" runs a prepared layer for each step, into tensors that exist already; "fused" is the one layer.

#[path = "shared/values.rs"]
mod values;

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndconv::ndarray::Array4;
use ndconv::{
    Activation, Conv2d, Conv2dLayer, DepthwiseSeparableLayer, DepthwiseSeparableWeights, Error, InvertedResidualLayer,
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

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Times some layers one after the other, and one layer that does the same.
fn compare(
    group: &mut Group<'_>,
    name: &str,
    layers: &[Conv2dLayer<f32>],
    input: &Array4<f32>,
    fused: impl Fn(&Array4<f32>, &mut Array4<f32>, &mut Workspace<f32>) -> Result<(), Error>,
) {
    let (mut shape, mut flops): ([usize; 4], u64) = (input.dim().into(), 0);
    for layer in layers {
        flops += layer.config().flops([shape[2], shape[3]]).expect("a count");
        shape = layer.output_shape(shape).expect("a shape");
    }
    group.throughput(Throughput::Elements(flops));
    group.bench_function(BenchmarkId::new("steps", name), |bencher| bencher.iter(steps(layers, input)));
    let (mut output, mut workspace) = (Array4::zeros(shape), Workspace::new());
    group.bench_function(BenchmarkId::new("fused", name), |bencher| {
        bencher.iter(|| fused(black_box(input), &mut output, &mut workspace));
    });
}

/// A layer of random weights without bias, which are returned too.
fn layer(config: &Conv2d, activation: Activation<f32>) -> (Array4<f32>, Conv2dLayer<f32>) {
    let weight = values(config.weight_shape());
    let options = Options::new().activation(activation);
    let layer = Conv2dLayer::with_options(config, &weight, None, options).expect("a layer");
    (weight, layer)
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
        let (depthwise, first) = layer(&depthwise, Activation::relu6());
        let (pointwise, second) = layer(&pointwise, Activation::None);
        let weights = DepthwiseSeparableWeights {
            depthwise: &depthwise,
            depthwise_bias: None,
            pointwise: &pointwise,
            bias: None,
        };
        let fused =
            DepthwiseSeparableLayer::new(&config, weights, Activation::relu6(), Options::new()).expect("a layer");
        let name = format!("{channels}-{out} {size}x{size} stride {stride}");
        let input = values([1, channels, size, size]);
        compare(&mut group, &name, &[first, second], &input, |input, output, workspace| {
            fused.run_into_with(input, output, workspace)
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
        let (expand, first) = layer(&expand, Activation::relu6());
        let (depthwise, second) = layer(&depthwise, Activation::relu6());
        let (project, third) = layer(&project, Activation::None);
        let weights = InvertedResidualWeights {
            expand: Some(&expand),
            expand_bias: None,
            depthwise: &depthwise,
            depthwise_bias: None,
            project: &project,
            bias: None,
        };
        let fused = InvertedResidualLayer::new(&config, weights, Activation::relu6(), residual, Options::new())
            .expect("a layer");
        let name = format!("{channels}-{hidden}-{out} {size}x{size} stride {stride}");
        let input = values([1, channels, size, size]);
        compare(&mut group, &name, &[first, second, third], &input, |input, output, workspace| {
            fused.run_into_with(input, output, workspace)
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
        let (vertical, first) = layer(&vertical, Activation::None);
        let (horizontal, second) = layer(&horizontal, Activation::None);
        let weights = SpatiallySeparableWeights { vertical: &vertical, horizontal: &horizontal, bias: None };
        let fused = SpatiallySeparableLayer::new(&config, weights, Options::new()).expect("a layer");
        let name = format!("{channels}x{}x{} {kernel}x{kernel}", size[0], size[1]);
        let input = values([1, channels, size[0], size[1]]);
        compare(&mut group, &name, &[first, second], &input, |input, output, workspace| {
            fused.run_into_with(input, output, workspace)
        });
        let (_, whole) = layer(&config, Activation::None);
        group.bench_function(BenchmarkId::new("whole", &name), |bencher| {
            bencher.iter(steps(std::slice::from_ref(&whole), &input));
        });
    }
}

criterion_group! {
    name = fused;
    config = Criterion::default().warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(400)).sample_size(20);
    targets = depthwise_separable, inverted_residual, spatially_separable
}
criterion_main!(fused);
