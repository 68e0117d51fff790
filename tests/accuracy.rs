//! Errors of the algorithms that reorder sums, over random and adversarial data, against their declared bounds.
//!
//! `NDCONV_ACCURACY_CASES` says how many cases are drawn for each element type; CI draws few. A million:
//!
//! ```text
//! NDCONV_ACCURACY_CASES=1000000 cargo test --release --test accuracy -- --nocapture
//! ```

mod common;

use std::collections::BTreeMap;

use ndarray::{Array1, Array4, Axis};
use ndconv::{Algorithm, Conv2d, Conv2dLayer, Element, ErrorBound, Isa, Numerics, Options};

use common::{Random, isas};

/// Uniform in 0 to 1.
fn uniform(random: &mut Random) -> f64 {
    (random.number() + 1.0) / 2.0
}

fn below(random: &mut Random, limit: usize) -> usize {
    (random.bits() % limit as u64) as usize
}

fn pick<E: Copy>(random: &mut Random, from: &[E]) -> E {
    from[below(random, from.len())]
}

fn sign(random: &mut Random) -> f64 {
    if random.bits() & 1 == 0 { 1.0 } else { -1.0 }
}

/// What the values of a tensor are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Uniform,
    /// All of one sign: nothing cancels in the sum, much in the transforms.
    Positive,
    /// Of equal size, all digits in use, signs that alternate or not along each axis: what transforms make the most of.
    Signs,
    /// Sizes over forty binary orders.
    Wide,
    /// One large value among small ones.
    Spike,
    Sparse,
}

const KINDS: [Kind; 6] = [Kind::Uniform, Kind::Positive, Kind::Signs, Kind::Wide, Kind::Spike, Kind::Sparse];

fn tensor(random: &mut Random, kind: Kind, shape: (usize, usize, usize, usize)) -> Array4<f64> {
    let (_, channels, height, width) = shape;
    let signs: Vec<f64> = (0..channels + height + width).map(|_| sign(random)).collect();
    let alternate = [below(random, 2), below(random, 2)];
    let spike = (below(random, channels), below(random, height), below(random, width));
    Array4::from_shape_fn(shape, |(_, c, y, x)| match kind {
        Kind::Uniform => random.number(),
        Kind::Positive => 1.0 + uniform(random) * 1e-3,
        Kind::Signs => {
            let alternating = if (y * alternate[0] + x * alternate[1]).is_multiple_of(2) { 1.0 } else { -1.0 };
            let sign =
                if alternate == [0, 0] { signs[channels + y] * signs[channels + height + x] } else { alternating };
            signs[c] * sign * (1.0 - uniform(random) * 1e-2)
        }
        Kind::Wide => sign(random) * (uniform(random) + 1.0) * 2f64.powi(below(random, 40) as i32 - 20),
        Kind::Spike if (c, y, x) == spike => 1e6 * (1.0 + uniform(random)),
        Kind::Spike => random.number(),
        Kind::Sparse if below(random, 4) > 0 => 0.0,
        Kind::Sparse => random.number(),
    })
}

/// A sum in twice the precision of `f64` (Dekker, 1971; Knuth, 1969).
#[derive(Clone, Copy, Default)]
struct Double(f64, f64);

impl Double {
    fn add_product(self, a: f64, b: f64) -> Double {
        let product = a * b;
        let low = a.mul_add(b, -product);
        let sum = self.0 + product;
        let back = sum - self.0;
        let lost = (self.0 - (sum - back)) + (product - back);
        Double(sum, self.1 + lost + low)
    }
}

trait Number: Element + num_traits::Float {
    const TYPE: &'static str;
    fn of(value: f64) -> Self;
    fn double(self) -> f64;
}
macro_rules! numbers {
    ($($type:ident)*) => {$(
        impl Number for $type {
            const TYPE: &'static str = stringify!($type);
            fn of(value: f64) -> Self {
                value as $type
            }
            fn double(self) -> f64 {
                f64::from(self)
            }
        }
    )*};
}
numbers!(f32 f64);

/// A convolution and what its values are like.
#[derive(Debug)]
struct Case {
    config: Conv2d,
    size: [usize; 2],
    kinds: [Kind; 2],
    algorithm: Algorithm,
    isa: Isa,
}

impl Case {
    fn draw(random: &mut Random) -> Case {
        match below(random, 8) {
            0 if cfg!(feature = "fft") => Case::draw_large(random),
            _ => Case::draw_small(random),
        }
    }

    /// A convolution for Fourier transforms.
    fn draw_large(random: &mut Random) -> Case {
        let kernel = [7 + below(random, 9), 7 + below(random, 9)];
        Case {
            config: Conv2d::new(pick(random, &[1, 1, 2, 5, 17]), 1, kernel)
                .padding([below(random, 7), below(random, 7)]),
            size: kernel.map(|taps| taps + below(random, 20)),
            kinds: [pick(random, &KINDS), pick(random, &KINDS)],
            algorithm: Algorithm::Fft,
            isa: pick(random, &isas()),
        }
    }

    /// A convolution that Winograd's algorithm has a tiling for.
    fn draw_small(random: &mut Random) -> Case {
        let taps = |random: &mut Random| -> usize { pick(random, &[1, 2, 3, 3, 3, 3, 4, 5, 6, 7]) };
        let mut kernel = [taps(random), taps(random)];
        if kernel == [1, 1] {
            kernel = [3, 3];
        }
        // Outputs share something only where there are more taps than strides.
        let stride = kernel.map(|taps| pick(random, &[1, 1, 2, 3]).min(taps.max(2) - 1));
        let outputs = [0, 1].map(|axis| {
            // Of the part with the most taps.
            let (taps, stride) = (kernel[axis].div_ceil(stride[axis]), stride[axis]);
            let points: &[usize] = if stride == 1 { &[4, 6, 8] } else { &[3, 4, 5, 6] };
            let outputs: Vec<usize> =
                points.iter().filter_map(|points| (points + 1).checked_sub(taps)).filter(|&m| m > 1).collect();
            if taps == 1 { 1 } else { pick(random, &outputs) }
        });
        // Many channels take long and are like few, mostly.
        let many = below(random, 50) == 0;
        let channels = if many { pick(random, &[64, 256, 300]) } else { pick(random, &[1, 1, 2, 3, 5, 8, 17]) };
        let pad = [below(random, kernel[0]), below(random, kernel[1])];
        Case {
            config: Conv2d::new(channels, 1 + below(random, 3), kernel).padding(pad).stride(stride),
            size: [0, 1].map(|axis| kernel[axis] + below(random, stride[axis] * outputs[axis] + 2)),
            kinds: [pick(random, &KINDS), pick(random, &KINDS)],
            algorithm: Algorithm::Winograd(outputs),
            isa: pick(random, &isas()),
        }
    }

    /// The greatest error in units of eps times `|bias| + Σ |w| max |x|`, and the declared bound. There is none where the instruction set has no vectors.
    fn error<T: Number>(&self, random: &mut Random) -> Option<(f64, ErrorBound)> {
        let Case { config, size, kinds, algorithm, isa } = self;
        let shape = [1, config.in_channels, size[0], size[1]];
        let input = tensor(random, kinds[0], shape.into()).mapv(T::of);
        let [outs, ins, height, width] = config.weight_shape();
        let weight = tensor(random, kinds[1], (outs, ins, height, width)).mapv(T::of);
        let bias = Array1::from_shape_simple_fn(outs, || T::of(uniform(random)));
        let options = Options::new().algorithm(*algorithm).isa(*isa);
        if *isa == Isa::SCALAR && *algorithm != Algorithm::Fft {
            return None;
        }
        let layer = Conv2dLayer::with_options(config, &weight, Some(&bias), options).expect("a layer");
        let candidates = layer.candidates(shape).expect("candidates");
        assert_eq!(candidates[0].algorithm, *algorithm);
        let output = layer.run(&input).expect("an output");
        let (input, weight) = (input.mapv(T::double), weight.mapv(T::double));
        let largest: Vec<f64> =
            input.axis_iter(Axis(1)).map(|channel| channel.fold(0.0, |most: f64, x| most.max(x.abs()))).collect();
        let pads = config.resolved_pads(*size).expect("pads");
        let mut most = 0.0f64;
        for ((_, o, y, x), got) in output.indexed_iter() {
            let (y, x) = (y * config.stride[0], x * config.stride[1]);
            let (mut sum, mut scale) = (Double(bias[o].double(), 0.0), bias[o].double().abs());
            for ((c, i, j), weight) in weight.index_axis(Axis(0), o).indexed_iter() {
                scale += weight.abs() * largest[c];
                let (y, x) = ((y + i).wrapping_sub(pads.top), (x + j).wrapping_sub(pads.left));
                if y < size[0] && x < size[1] {
                    sum = sum.add_product(input[[0, c, y, x]], *weight);
                }
            }
            most = most.max(((got.double() - sum.0) - sum.1).abs() / (T::epsilon().double() * scale));
        }
        Some((most, candidates[0].bound))
    }
}

/// Draws cases and holds each to its bound; prints how much of the bounds was reached.
fn hold<T: Number>() {
    let cases: usize = std::env::var("NDCONV_ACCURACY_CASES").map_or(3000, |text| text.parse().expect("a number"));
    let (mut random, mut drawn) = (Random::new(7), 0);
    let mut worst: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for _ in 0..cases {
        let case = Case::draw(&mut random);
        let Some((error, bound)) = case.error::<T>(&mut random) else { continue };
        assert!(error <= bound.observed && error <= bound.proven, "{error} eps, more than {bound:?}: {case:?}");
        let Conv2d { in_channels, kernel, stride, .. } = case.config;
        if case.algorithm == Algorithm::Winograd([2, 2]) && kernel == [3, 3] && stride == [1, 1] {
            // A plain sum of as many products, from left to right, has as many roundings of half an eps.
            let plain = (in_channels * 9) as f64 / 2.0;
            assert!(error <= plain, "{error} eps, and a plain sum {plain}: {case:?}");
        }
        let name = match case.algorithm {
            Algorithm::Fft => "fft".to_owned(),
            algorithm => format!("{kernel:?} by {stride:?} {algorithm}"),
        };
        let entry = worst.entry(name).or_insert((0.0, 0.0));
        *entry = (entry.0.max(error), entry.1.max(error / bound.observed));
        drawn += 1;
    }
    for (name, (error, part)) in worst {
        println!("{} {name}: {error:.1} eps, {:.0} % of the bound", T::TYPE, 100.0 * part);
    }
    println!("{}: {drawn} cases", T::TYPE);
    assert!(drawn > 0 || isas().iter().all(|isa| *isa == Isa::SCALAR), "no case was drawn");
}

#[test]
fn f32_errors_are_within_the_bounds() {
    hold::<f32>();
}

#[test]
fn f64_errors_are_within_the_bounds() {
    hold::<f64>();
}

/// The stages of ResNet-50: width, height and width of the image, and blocks.
const STAGES: [(usize, usize, usize); 4] = [(64, 56, 3), (128, 28, 4), (256, 14, 6), (512, 7, 3)];

/// A chain of bottleneck blocks, `relu(x + conv1x1(relu(conv3x3(relu(conv1x1(x))))))`, on random data. The same numbers come with any precision.
fn chain<T: Number>((width, size, blocks): (usize, usize, usize), numerics: Numerics) -> Array4<f64> {
    let mut random = Random::new(50);
    let mut numbers = |shape: [usize; 4], scale: f64| {
        Array4::from_shape_simple_fn(shape, || T::of(f64::from((random.number() * scale) as f32)))
    };
    let mut x = numbers([1, 4 * width, size, size], 1.0);
    for _ in 0..blocks {
        let mut y = x.clone();
        for (ins, outs, kernel, gain) in
            [(4 * width, width, 1, 2.45), (width, width, 3, 2.45), (width, 4 * width, 1, 1.0)]
        {
            let config = Conv2d::new(ins, outs, kernel).padding(kernel / 2).bias(false).numerics(numerics);
            let weight = numbers(config.weight_shape(), gain / ((ins * kernel * kernel) as f64).sqrt());
            y = Conv2dLayer::new(&config, &weight, None).expect("a layer").run(&y).expect("an output");
            if outs == width {
                y.mapv_inplace(|y| y.max(T::zero()));
            }
        }
        x.zip_mut_with(&y, |x, y| *x = (*x + *y).max(T::zero()));
    }
    x.mapv(T::double)
}

/// Errors of whole chains of layers in fast numerics: they are not many times those of the exact order.
#[test]
fn chains_of_layers_stay_close() {
    for stage in STAGES {
        let want = chain::<f64>(stage, Numerics::Exact);
        let rms = |numbers: &Array4<f64>| (numbers.mapv(|x| x * x).sum() / numbers.len() as f64).sqrt();
        let [exact, fast] = [Numerics::Exact, Numerics::Fast].map(|numerics| {
            let errors = chain::<f32>(stage, numerics) - &want;
            let most = errors.fold(0.0, |most: f64, error| most.max(error.abs()));
            (rms(&errors) / rms(&want), most / want.fold(0.0, |most: f64, x| most.max(x.abs())))
        });
        println!(
            "{stage:?}: exact {:.2e} rms {:.2e} max, fast {:.2e} rms {:.2e} max",
            exact.0, exact.1, fast.0, fast.1
        );
        assert!(fast.0 < 30.0 * exact.0 && fast.0 < 1e-5, "{stage:?}: {fast:?}, {exact:?}");
    }
}
