//! The tour's stops: every kind of convolution, each with a kernel that does something to a picture.

use std::f32::consts::TAU;

use ndconv::ndarray::{Array1, Array2, Array3, Array4, Axis, array};
use ndconv::{Activation, Conv2d, Numerics, Padding, PaddingMode};

use crate::kernels::{self, IDENTITY, LUMA, dense, depthwise, each_colour, gaussian, gaussian_2d};
use crate::operation::{Operation, Weights};
use crate::views;

/// All operations on a picture `[1, 3, height, width]`.
pub(crate) fn operations(picture: &Array4<f32>, numerics: Numerics) -> Vec<Operation> {
    let mut operations = vec![
        standard_emboss(picture),
        standard_directions(picture),
        pointwise_sepia(picture),
        grouped_wavelet(picture),
        dilated_outlines(picture),
        depthwise_fringes(picture),
        depthwise_gradients(picture),
        strided_half(picture),
        depthwise_separable_neon(picture),
        spatially_separable_blur(picture),
        one_dimensional_motion(picture),
        transposed_double(picture),
        deformable_swirl(picture),
        deformable_lens(picture),
        padding(picture, "padding: reflect", PaddingMode::Reflect),
        padding(picture, "padding: circular", PaddingMode::Circular),
        padding(picture, "padding: replicate", PaddingMode::Replicate),
        fused_clamp(picture),
        fused_sigmoid(picture),
    ];
    operations.iter_mut().for_each(|operation| operation.config.numerics = numerics);
    operations
}

/// What most operations have in common: no bias, no activation, and colours as output.
fn plain(
    picture: &Array4<f32>,
    kind: &'static str,
    effect: &'static str,
    config: Conv2d,
    weights: Weights,
) -> Operation {
    Operation {
        kind,
        effect,
        input: picture.clone(),
        config: config.bias(false),
        weights,
        bias: None,
        activation: Activation::None,
        view: Box::new(views::colour),
    }
}

/// Brightness lit from the top left, over a pale picture.
fn standard_emboss(picture: &Array4<f32>) -> Operation {
    let weight = dense(&[LUMA.map(|part| 0.35 * part); 3], &kernels::emboss())
        + dense(&IDENTITY.map(|row| row.map(|part| 0.6 * part)), &kernels::impulse(3));
    let config = Conv2d::new(3, 3, 3).padding(1).padding_mode(PaddingMode::Replicate);
    let operation = plain(picture, "standard 3x3", "emboss", config, Weights::Standard(weight));
    Operation { config: config.bias(true), bias: Some(Array1::from_elem(3, 0.15)), ..operation }
}

/// Slopes of brightness in eight directions, less a threshold; the picture shows the strongest as a hue.
fn standard_directions(picture: &Array4<f32>) -> Operation {
    let mut weight = Array4::zeros((8, 3, 5, 5));
    for (direction, mut filter) in weight.outer_iter_mut().enumerate() {
        let slope = kernels::slope(5, 0.9, TAU * direction as f32 / 8.0);
        filter.assign(&dense(&[LUMA.map(|part| 9.0 * part)], &slope).index_axis(Axis(0), 0));
    }
    let config = Conv2d::new(3, 8, 5).padding(2).padding_mode(PaddingMode::Replicate);
    let operation = plain(picture, "standard 5x5, 3 to 8", "edges by direction", config, Weights::Standard(weight));
    Operation {
        config: config.bias(true),
        bias: Some(Array1::from_elem(8, -0.1)),
        view: Box::new(views::directions),
        ..operation
    }
}

fn pointwise_sepia(picture: &Array4<f32>) -> Operation {
    let sepia = [[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]];
    let weight = dense(&sepia, &kernels::impulse(1));
    plain(picture, "pointwise 1x1", "sepia", Conv2d::pointwise(3, 3), Weights::Standard(weight))
}

/// Daubechies' wavelet with four taps. The input is the picture with its 2x2 blocks as channels, so that every
/// colour is a group of four channels, and so are its four bands.
fn grouped_wavelet(picture: &Array4<f32>) -> Operation {
    let root = 3.0f32.sqrt();
    let low = [1.0 + root, 3.0 + root, 3.0 - root, 1.0 - root].map(|tap| tap / (4.0 * 2.0f32.sqrt()));
    let high = [low[3], -low[2], low[1], -low[0]];
    let filters = [low, high];
    // Tap 2 i + p of a filter meets phase p of block i.
    let weight = Array4::from_shape_fn((12, 4, 2, 2), |(band, phase, i, j)| {
        let (vertical, horizontal) = (filters[band % 4 / 2], filters[band % 2]);
        vertical[2 * i + phase / 2] * horizontal[2 * j + phase % 2]
    });
    let (_, _, height, width) = picture.dim();
    let blocks = Array4::from_shape_fn((1, 12, height / 2, width / 2), |(_, c, y, x)| {
        picture[[0, c / 4, 2 * y + c % 4 / 2, 2 * x + c % 2]]
    });
    let config = Conv2d::new(12, 12, 2).groups(3).padding([0, 0, 1, 1]).padding_mode(PaddingMode::Circular);
    let operation = plain(&blocks, "grouped 2x2, 3 groups", "wavelet bands", config, Weights::Standard(weight));
    Operation { view: Box::new(views::bands), ..operation }
}

fn dilated_outlines(picture: &Array4<f32>) -> Operation {
    let weight = dense(&[LUMA], &(kernels::laplacian() / 3.0));
    let config = Conv2d::new(3, 1, 3).dilation(4).padding(4).padding_mode(PaddingMode::Reflect);
    let operation = plain(picture, "dilated 3x3, dilation 4", "wide outlines", config, Weights::Standard(weight));
    Operation { view: Box::new(views::signed), ..operation }
}

/// Every channel has a bell of its own: red in the left of its kernel, blue in the right.
fn depthwise_fringes(picture: &Array4<f32>) -> Operation {
    let column = gaussian(7, 0.8);
    let rows = [-4, 0, 4].map(|shift| kernels::shifted(&gaussian(15, 0.8), shift));
    let weight = depthwise(&rows.map(|row| kernels::outer(&column, &row)));
    let config = Conv2d::depthwise(3, [7, 15]).padding([3, 7]).padding_mode(PaddingMode::Reflect);
    plain(picture, "depthwise 7x15", "gaussians, moved by colour", config, Weights::Standard(weight))
}

/// Two slopes of every channel; the picture shows the steepness.
fn depthwise_gradients(picture: &Array4<f32>) -> Operation {
    let across = kernels::sobel_x() / 2.5;
    let down = across.t().to_owned();
    let weight = depthwise(&[&across, &down, &across, &down, &across, &down].map(Array2::clone));
    let config = Conv2d::new(3, 6, 3).groups(3).padding(1).padding_mode(PaddingMode::Replicate);
    let operation =
        plain(picture, "depthwise 3x3, multiplier 2", "gradients of colours", config, Weights::Standard(weight));
    Operation { view: Box::new(views::steepness), ..operation }
}

fn strided_half(picture: &Array4<f32>) -> Operation {
    let weight = each_colour(&gaussian_2d(5, 1.0));
    let config = Conv2d::depthwise(3, 5).stride(2).padding(2).padding_mode(PaddingMode::Symmetric);
    plain(picture, "strided 5x5, stride 2", "half the size", config, Weights::Standard(weight))
}

/// Bright and dark lines of every channel, those above a threshold, each in a colour of its own.
fn depthwise_separable_neon(picture: &Array4<f32>) -> Operation {
    let spots = kernels::difference_of_gaussians(7, 0.7, 1.8);
    let dark = -&spots;
    let weights = Weights::DepthwiseSeparable {
        depthwise: depthwise(&[&spots, &dark, &spots, &dark, &spots, &dark].map(Array2::clone)),
        depthwise_bias: Array1::from_elem(6, -0.03),
        pointwise: array![
            [7.0, 0.0, 0.0, 4.0, 0.0, 5.0],
            [0.0, 6.0, 4.0, 0.0, 0.0, 1.0],
            [0.0, 8.0, 1.0, 7.0, 5.0, 4.0f32]
        ]
        .insert_axis(Axis(2))
        .insert_axis(Axis(3)),
        between: Activation::Relu,
    };
    let config = Conv2d::new(3, 3, 7).padding(3).padding_mode(PaddingMode::Replicate);
    let operation = plain(picture, "depthwise-separable 7x7", "lines, ReLU, neon colours", config, weights);
    Operation { config: config.bias(true), bias: Some(array![0.04, 0.03, 0.10]), ..operation }
}

fn spatially_separable_blur(picture: &Array4<f32>) -> Operation {
    let bell = gaussian(9, 2.0);
    let weights = Weights::SpatiallySeparable {
        vertical: Array4::from_shape_fn((3, 1, 9, 1), |(_, _, i, _)| bell[i]),
        horizontal: Array4::from_shape_fn((3, 1, 1, 9), |(_, _, _, j)| bell[j]),
    };
    let config = Conv2d::depthwise(3, 9).padding(4).padding_mode(PaddingMode::Reflect);
    plain(picture, "spatially separable 9x9", "gaussian blur", config, weights)
}

/// Every row of the picture is a sample of the batch.
fn one_dimensional_motion(picture: &Array4<f32>) -> Operation {
    let rows = picture.view().permuted_axes([2, 1, 0, 3]).to_owned();
    let weight = Array3::from_elem((3, 1, 21), 1.0 / 21.0);
    let config = Conv2d::depthwise(3, [1, 21]).padding([0, 10]).padding_mode(PaddingMode::Replicate);
    let operation = plain(&rows, "1-D, 21 taps", "motion blur of rows", config, Weights::OneDimensional(weight));
    Operation { view: Box::new(views::rows), ..operation }
}

/// The tent of bilinear interpolation; the picture shows the middle.
fn transposed_double(picture: &Array4<f32>) -> Operation {
    let tent = array![0.25, 0.75, 0.75, 0.25];
    let weight = each_colour(&kernels::outer(&tent, &tent));
    let config = Conv2d::depthwise(3, 4).stride(2).padding(1);
    let operation =
        plain(picture, "transposed 4x4, stride 2", "twice the size (the middle)", config, Weights::Transposed(weight));
    Operation { view: Box::new(views::middle), ..operation }
}

/// Every window is turned about the centre, the more the nearer it is.
fn deformable_swirl(picture: &Array4<f32>) -> Operation {
    let offset = offsets(picture, |[y, x], radius| {
        let angle = 3.0 * (1.0 - y.hypot(x) / radius).max(0.0).powi(2);
        let (sin, cos) = angle.sin_cos();
        [y * cos - x * sin, y * sin + x * cos]
    });
    let weights = Weights::Deformable { weight: each_colour(&gaussian_2d(3, 0.5)), offset, mask: None };
    plain(picture, "deformable v1, 3x3", "swirl by offsets", Conv2d::depthwise(3, 3).padding(1), weights)
}

/// A lens that bulges, and a mask that darkens the corners.
fn deformable_lens(picture: &Array4<f32>) -> Operation {
    let bulge = |[y, x]: [f32; 2], radius: f32| {
        let scale = 0.45 + 0.5 * (y * y + x * x) / (radius * radius);
        [y * scale, x * scale]
    };
    let (_, _, height, width) = picture.dim();
    let mask = Array4::from_shape_fn((1, 9, height, width), |(_, _, y, x)| {
        let [y, x] = from_centre(picture, y, x);
        let radius = height.min(width) as f32 / 2.0;
        (1.15 - 0.65 * (y * y + x * x) / (radius * radius)).clamp(0.0, 1.0)
    });
    let weights = Weights::Deformable {
        weight: each_colour(&gaussian_2d(3, 0.5)),
        offset: offsets(picture, bulge),
        mask: Some(mask),
    };
    plain(picture, "deformable v2, 3x3", "lens by offsets, masked", Conv2d::depthwise(3, 3).padding(1), weights)
}

/// Offsets for a 3x3 kernel that move a window to where `source` puts its middle, both seen from the centre. The
/// second argument is half the shorter side.
fn offsets(picture: &Array4<f32>, source: impl Fn([f32; 2], f32) -> [f32; 2]) -> Array4<f32> {
    let (_, _, height, width) = picture.dim();
    let radius = height.min(width) as f32 / 2.0;
    Array4::from_shape_fn((1, 2 * 9, height, width), |(_, channel, y, x)| {
        let at = from_centre(picture, y, x);
        source(at, radius)[channel % 2] - at[channel % 2]
    })
}

/// Rows and columns from the centre of the picture.
fn from_centre(picture: &Array4<f32>, y: usize, x: usize) -> [f32; 2] {
    let (_, _, height, width) = picture.dim();
    [y as f32 - (height - 1) as f32 / 2.0, x as f32 - (width - 1) as f32 / 2.0]
}

/// More padding than the kernel needs, so that the border is seen.
fn padding(picture: &Array4<f32>, kind: &'static str, mode: PaddingMode) -> Operation {
    let (_, _, height, width) = picture.dim();
    let border = [height / 5, width / 5];
    let weight = each_colour(&gaussian_2d(9, 1.2));
    let config = Conv2d::depthwise(3, 9).padding(border.map(|pixels| pixels + 4)).padding_mode(mode);
    let operation = plain(picture, kind, "blur with a wide border", config, Weights::Standard(weight));
    Operation { view: Box::new(move |output| views::framed(output, border)), ..operation }
}

fn fused_clamp(picture: &Array4<f32>) -> Operation {
    let weight = each_colour(&(kernels::impulse(5) * 2.6 - gaussian_2d(5, 1.2) * 1.6));
    let config = Conv2d::depthwise(3, 5).padding(Padding::SameUpper).padding_mode(PaddingMode::Reflect);
    let operation = plain(picture, "fused clamp, 5x5", "sharpen, kept in 0..1", config, Weights::Standard(weight));
    Operation { activation: Activation::Clamp { min: 0.0, max: 1.0 }, ..operation }
}

/// Dark lines where brightness dips, on white paper.
fn fused_sigmoid(picture: &Array4<f32>) -> Operation {
    let lines = kernels::difference_of_gaussians(9, 0.8, 2.0);
    let weight = dense(&[LUMA.map(|part| 80.0 * part)], &lines);
    let config = Conv2d::new(3, 1, 9).padding(Padding::SameUpper).padding_mode(PaddingMode::Symmetric);
    let operation = plain(picture, "fused sigmoid, 9x9", "pencil drawing", config, Weights::Standard(weight));
    Operation { config: config.bias(true), bias: Some(array![2.6]), activation: Activation::Sigmoid, ..operation }
}
