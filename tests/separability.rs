//! Ranks of kernels, and sums of outer products in their place.

mod common;

use common::Random;
use ndarray::{Array1, Array2, Array4, array, s};
use ndconv::{
    Conv2d, Error, LowRank, Options, Separability, SpatialFactors, SpatiallySeparableLayer, conv2d, separate,
};

fn outer(column: &[f32], row: &[f32]) -> Array2<f32> {
    Array2::from_shape_fn((column.len(), row.len()), |(i, j)| column[i] * row[j])
}

fn gaussian(size: usize, sigma: f32) -> Vec<f32> {
    let middle = (size - 1) as f32 / 2.0;
    let bell: Vec<f32> = (0..size).map(|i| (-((i as f32 - middle) / sigma).powi(2) / 2.0).exp()).collect();
    let sum: f32 = bell.iter().sum();
    bell.iter().map(|x| x / sum).collect()
}

/// How far the product of the factors is from the kernel, or the rank.
fn error_or_rank(kernel: &Array2<f32>) -> Result<f64, usize> {
    match separate(kernel, 1e-6).expect("a kernel") {
        Separability::Separable { vertical, horizontal, relative_error } => {
            let product = outer(&vertical.to_vec(), &horizontal.to_vec());
            let norm = |a: &Array2<f32>| a.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let seen = norm(&(&product - kernel)) / norm(kernel).max(f64::MIN_POSITIVE);
            assert!((seen - relative_error).abs() <= 1e-7, "{seen} and {relative_error}");
            Ok(relative_error)
        }
        Separability::NotSeparable { rank, .. } => Err(rank),
    }
}

#[test]
fn classic_kernels() {
    let binomial = [1.0, 4.0, 6.0, 4.0, 1.0];
    let exact = [
        ("sobel", outer(&[1.0, 2.0, 1.0], &[1.0, 0.0, -1.0])),
        ("sobel 5x5", outer(&binomial, &[1.0, 2.0, 0.0, -2.0, -1.0])),
        ("scharr", outer(&[3.0, 10.0, 3.0], &[-1.0, 0.0, 1.0])),
        ("prewitt", outer(&[1.0, 1.0, 1.0], &[1.0, 0.0, -1.0])),
        ("box", Array2::from_elem((7, 7), 1.0 / 49.0)),
        ("binomial", outer(&binomial, &binomial) / 256.0),
        ("one row", array![[0.1, 0.2, 0.7]]),
        ("one tap", array![[-3.5]]),
        ("zeros", Array2::zeros((3, 4))),
    ];
    for (name, kernel) in exact {
        for scale in [1.0, 1.0 / 64.0, 1024.0] {
            assert_eq!(error_or_rank(&(&kernel * scale)), Ok(0.0), "{name}");
        }
    }
    for (size, sigma) in [(3, 0.8), (9, 1.5), (31, 5.0)] {
        let bell = gaussian(size, sigma);
        let error = error_or_rank(&outer(&bell, &bell)).expect("separable");
        assert!(error < 1e-7, "{error}");
    }
    let others = [
        ("laplacian", array![[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]], 2),
        ("laplacian with diagonals", array![[1.0, 1.0, 1.0], [1.0, -8.0, 1.0], [1.0, 1.0, 1.0]], 2),
        ("emboss", array![[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]], 3),
        ("relief", array![[-2.0, -1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 1.0, 2.0]], 2),
        ("diagonal", Array2::eye(5), 5),
        ("sharpen", array![[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]], 2),
    ];
    for (name, kernel, rank) in others {
        for scale in [1.0, 1e-6, 1e-30, 1e30] {
            assert_eq!(error_or_rank(&(&kernel * scale)), Err(rank), "{name} times {scale}");
        }
    }
}

#[test]
fn random_kernels_have_the_rank_that_they_were_made_with() {
    let mut random = Random::new(3);
    for case in 0..10_000 {
        let [height, width] = [1 + random.bits() % 11, 1 + random.bits() % 11].map(|size| size as usize);
        let rank = 1 + random.bits() as usize % height.min(width);
        let mut side = |rows, columns| Array2::from_shape_simple_fn((rows, columns), || random.number());
        let kernel = side(height, rank).dot(&side(rank, width)) * 1e-6;
        let found = match separate(&kernel, 1e-11).expect("a kernel") {
            Separability::Separable { relative_error, .. } => {
                assert!(relative_error < 1e-15, "{relative_error}");
                1
            }
            Separability::NotSeparable { rank, .. } => rank,
        };
        assert_eq!(found, rank, "case {case}: {height}x{width}\n{kernel:?}");
    }
}

/// The weight that factors stand for.
fn product(config: &Conv2d, SpatialFactors { vertical, horizontal }: &SpatialFactors<f64>) -> Array4<f64> {
    let (rank, outs) = (horizontal.dim().1, config.out_channels / config.groups);
    Array4::from_shape_fn(config.weight_shape(), |(o, c, i, j)| {
        let term = |r: usize| vertical[[o / outs * rank + r, c, i, 0]] * horizontal[[o, r, 0, j]];
        (0..rank).map(term).sum()
    })
}

#[test]
fn the_first_terms_are_as_close_as_promised() {
    let configs = [
        Conv2d::depthwise(5, [3, 7]).padding([1, 3]),
        Conv2d::new(4, 12, 5).groups(4).padding(2),
        Conv2d::new(6, 8, [5, 3]).groups(2).stride(2).padding([2, 1, 0, 3]),
        Conv2d::new(3, 4, [1, 4]).dilation([1, 2]),
    ];
    for config in configs.map(|config| config.bias(false)) {
        let mut random = Random::new(5);
        let weight = random.array4::<f64>(config.weight_shape());
        let low_rank = LowRank::new(&config, &weight).expect("a weight");
        let norm = |a: &Array4<f64>| a.iter().map(|x| x * x).sum::<f64>().sqrt();
        let most = low_rank.singular_values(0).expect("a group").len();
        for rank in 1..=most {
            let factors = low_rank.factors::<f64>(rank).expect("a rank");
            let error = norm(&(&product(&config, &factors) - &weight)) / norm(&weight);
            assert!((error - low_rank.relative_error(rank)).abs() < 1e-14, "{config:?}, rank {rank}: {error}");
        }
        assert!(low_rank.relative_error(most) < 1e-15 && low_rank.relative_error(most - 1) > 1e-3);
        assert_eq!(low_rank.relative_error(0), 1.0);
        assert_eq!(low_rank.ranks(1e-10), vec![most; config.groups]);
        assert!(low_rank.singular_values(config.groups).is_none());

        let factors = low_rank.factors::<f64>(most).expect("a rank");
        let layer = SpatiallySeparableLayer::new(&config, factors.weights(None), Options::new()).expect("a layer");
        let image = random.array4::<f64>([2, config.in_channels, 12, 13]);
        let (got, want) = (layer.run(&image).expect("an image"), conv2d(&config, &image, &weight, None).expect("too"));
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-12), "{config:?}");
        let [vertical, horizontal] = layer.steps([12, 13]).expect("steps");
        let rows = vertical.output_size([12, 13]).expect("a size")[0];
        let steps = vertical.macs([12, 13]).expect("a count") + horizontal.macs([rows, 13]).expect("a count");
        assert_eq!(low_rank.macs(most, [12, 13]), Ok(steps));
    }
}

/// The squared values are the eigenvalues of the Gram matrix: of `[[a, 0], [0, b]]` turned by any angles they are known.
#[test]
fn known_singular_values() {
    for (a, b, turn, other) in [(3.0, 1.0, 0.3, 1.1), (1.0, 1e-9, 2.0, 0.7), (5.0, 5.0, 0.1, 0.2)] {
        let rotation = |angle: f64| array![[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]];
        let kernel = rotation(turn).dot(&array![[a, 0.0], [0.0, b]]).dot(&rotation(other));
        let config = Conv2d::new(1, 1, 2).bias(false);
        let weight = kernel.slice(s![.., ..]).to_shape((1, 1, 2, 2)).expect("as many").to_owned();
        let low_rank = LowRank::new(&config, &weight).expect("a weight");
        let values = Array1::from_vec(low_rank.singular_values(0).expect("a group").to_vec());
        assert!((values - array![a, b]).iter().all(|difference| difference.abs() < 1e-15), "{a}, {b}");
    }
}

#[test]
fn bad_arguments() {
    let kernel = array![[1.0, 2.0], [3.0, 4.0]];
    for (kernel, tolerance, text) in [
        (kernel.clone(), -0.1, "tolerance is -0.1, expected at least 0 and less than 1"),
        (kernel.clone(), f64::NAN, "tolerance is NaN, expected at least 0 and less than 1"),
        (array![[1.0, f64::NAN]], 0.1, "kernel is NaN in some places, expected finite numbers"),
        (Array2::zeros((2, 0)), 0.1, "kernel has kernel width 0, expected at least 1"),
    ] {
        assert_eq!(separate(&kernel, tolerance).unwrap_err().to_string(), text);
    }
    let config = Conv2d::new(2, 2, 3).bias(false);
    let error = LowRank::new(&config, &Array4::<f32>::zeros((2, 2, 3, 2))).unwrap_err();
    assert_eq!(error.to_string(), "weight has kernel width 2, expected 3");
    let low_rank = LowRank::new(&config, &Array4::<f32>::ones((2, 2, 3, 3))).expect("a weight");
    for rank in [0, 7] {
        assert!(matches!(low_rank.factors::<f32>(rank), Err(Error::Setting { argument: "rank", .. })));
    }
    assert!(low_rank.macs(0, [8, 8]).is_err());
}
