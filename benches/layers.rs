//! GFLOP/s on real network layers: `cargo bench --bench layers`, or with a filter such as `-- f32/3x3`.
//!
//! Criterion reports "elements" per second: an element is one floating-point operation. Compare with the
//! multiply-add peak of one core (two operations for each lane, port and cycle).

#[path = "shared/values.rs"]
mod values;

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndconv::ndarray::{Array1, Array4};
use ndconv::{
    Conv2d, Conv2dLayer, ConvTranspose2dLayer, DeformConv2dLayer, DeformInput, Float, Isa, Options, Workspace,
};
use values::values;

/// Name, configuration, height and width.
fn convolutions() -> Vec<(&'static str, Conv2d, [usize; 2])> {
    vec![
        ("3x3_64_56", Conv2d::new(64, 64, 3).padding(1), [56, 56]),
        ("3x3_128_28", Conv2d::new(128, 128, 3).padding(1), [28, 28]),
        ("3x3_256_14", Conv2d::new(256, 256, 3).padding(1), [14, 14]),
        ("3x3_512_7", Conv2d::new(512, 512, 3).padding(1), [7, 7]),
        ("3x3_s2_128_56", Conv2d::new(128, 128, 3).stride(2).padding(1), [56, 56]),
        ("1x1_64_256_56", Conv2d::pointwise(64, 256), [56, 56]),
        ("1x1_256_64_56", Conv2d::pointwise(256, 64), [56, 56]),
        ("7x7_s2_first", Conv2d::new(3, 64, 7).stride(2).padding(3), [224, 224]),
        ("grouped_32x4", Conv2d::new(128, 128, 3).padding(1).groups(32), [56, 56]),
        ("depthwise_96_112", Conv2d::depthwise(96, 3).padding(1), [112, 112]),
        ("dilated_12", Conv2d::new(64, 64, 3).padding(12).dilation(12), [33, 33]),
    ]
}

fn convolution<T: Float>(group: &mut BenchmarkGroup<'_, WallTime>, isa: Isa) {
    for (name, config, [height, width]) in convolutions() {
        let options = Options::new().isa(isa);
        let bias = Array1::zeros(config.out_channels);
        let layer = Conv2dLayer::with_options(&config, &values::<T>(config.weight_shape()), Some(&bias), options)
            .expect("a layer");
        let shape = [1, config.in_channels, height, width];
        let (input, mut output) = (values::<T>(shape), Array4::zeros(layer.output_shape(shape).expect("a shape")));
        let mut workspace = Workspace::new();
        group.throughput(Throughput::Elements(config.flops([height, width]).expect("a count")));
        group.bench_function(BenchmarkId::new(name, isa), |bencher| {
            bencher.iter(|| layer.run_into_with(black_box(&input), &mut output, &mut workspace));
        });
    }
}

fn f32_layers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("f32");
    for isa in Isa::available() {
        if isa != Isa::SCALAR {
            convolution::<f32>(&mut group, isa);
        }
    }
}

fn f64_layers(criterion: &mut Criterion) {
    convolution::<f64>(&mut criterion.benchmark_group("f64"), Isa::best());
}

fn transposed_layers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transposed");
    for (name, config, size) in [
        ("2x2_s2_128_64", Conv2d::new(128, 64, 2).stride(2), [64, 64]),
        ("4x4_s2_128_64", Conv2d::new(128, 64, 4).stride(2).padding(1), [32, 32]),
    ] {
        let weight = values::<f32>(config.transposed_weight_shape());
        let bias = Array1::zeros(config.out_channels);
        let layer = ConvTranspose2dLayer::new(&config, &weight, Some(&bias)).expect("a layer");
        let shape = [1, config.in_channels, size[0], size[1]];
        let (input, mut output) = (values::<f32>(shape), Array4::zeros(layer.output_shape(shape).expect("a shape")));
        let mut workspace = Workspace::new();
        group.throughput(Throughput::Elements(config.transposed_flops(size).expect("a count")));
        group.bench_function(name, |bencher| {
            bencher.iter(|| layer.run_into_with(black_box(&input), &mut output, &mut workspace));
        });
    }
}

fn deformable_layers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("deformable");
    let config = Conv2d::new(64, 64, 3).padding(1);
    let layer = DeformConv2dLayer::new(&config, &values::<f32>(config.weight_shape()), Some(&Array1::zeros(64)))
        .expect("a layer");
    let (input, offset) = (values::<f32>([1, 64, 40, 40]), values::<f32>([1, 18, 40, 40]));
    let (mask, mut output) = (values::<f32>([1, 9, 40, 40]), Array4::zeros((1, 64, 40, 40)));
    let mut workspace = Workspace::new();
    group.throughput(Throughput::Elements(config.flops([40, 40]).expect("a count")));
    for (name, mask) in [("v1_3x3_64_40", None), ("v2_3x3_64_40", Some(&*mask))] {
        let tensors = DeformInput { input: &input, offset: &offset, mask };
        group.bench_function(name, |bencher| {
            bencher.iter(|| layer.run_into_with(black_box(tensors), &mut output, &mut workspace));
        });
    }
}

criterion_group! {
    name = layers;
    config = Criterion::default().warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1)).sample_size(20);
    targets = f32_layers, f64_layers, transposed_layers, deformable_layers
}
criterion_main!(layers);
