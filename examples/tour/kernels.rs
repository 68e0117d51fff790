//! Kernels, and weights made of them.

use ndconv::ndarray::{Array1, Array2, Array4, Axis, array};

/// How much red, green and blue contribute to brightness (ITU-R BT.601).
pub(crate) const LUMA: [f32; 3] = [0.299, 0.587, 0.114];

/// Keeps every channel as it is.
pub(crate) const IDENTITY: [[f32; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// A bell of sum 1.
pub(crate) fn gaussian(taps: usize, sigma: f32) -> Array1<f32> {
    let middle = (taps - 1) as f32 / 2.0;
    let bell = Array1::from_shape_fn(taps, |i| (-(i as f32 - middle).powi(2) / (2.0 * sigma * sigma)).exp());
    let sum = bell.sum();
    bell / sum
}

/// A gaussian in both directions.
pub(crate) fn gaussian_2d(taps: usize, sigma: f32) -> Array2<f32> {
    let bell = gaussian(taps, sigma);
    outer(&bell, &bell)
}

/// The taps moved to higher indices, or to lower ones by a negative number; nothing may fall off that matters.
pub(crate) fn shifted(taps: &Array1<f32>, by: isize) -> Array1<f32> {
    Array1::from_shape_fn(taps.len(), |i| i.checked_add_signed(-by).and_then(|at| taps.get(at)).copied().unwrap_or(0.0))
}

/// `column` times `row`.
pub(crate) fn outer(column: &Array1<f32>, row: &Array1<f32>) -> Array2<f32> {
    column.view().insert_axis(Axis(1)).dot(&row.view().insert_axis(Axis(0)))
}

/// 1 in the middle and 0 around it.
pub(crate) fn impulse(taps: usize) -> Array2<f32> {
    Array2::from_shape_fn((taps, taps), |at| if at == (taps / 2, taps / 2) { 1.0 } else { 0.0 })
}

/// A narrow bell minus a wide one: positive on spots and lines, zero on plain areas.
pub(crate) fn difference_of_gaussians(taps: usize, narrow: f32, wide: f32) -> Array2<f32> {
    gaussian_2d(taps, narrow) - gaussian_2d(taps, wide)
}

/// Light that falls from the top left.
pub(crate) fn emboss() -> Array2<f32> {
    array![[-2.0, -1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 1.0, 2.0]]
}

/// The middle against its eight neighbours.
pub(crate) fn laplacian() -> Array2<f32> {
    array![[-1.0, -1.0, -1.0], [-1.0, 8.0, -1.0], [-1.0, -1.0, -1.0]]
}

/// The slope from left to right.
pub(crate) fn sobel_x() -> Array2<f32> {
    array![[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]
}

/// The slope in a direction, in radians clockwise from the right, under a bell.
pub(crate) fn slope(taps: usize, sigma: f32, direction: f32) -> Array2<f32> {
    let (sin, cos) = direction.sin_cos();
    let middle = (taps / 2) as f32;
    let ramp = Array2::from_shape_fn((taps, taps), |(i, j)| (j as f32 - middle) * cos + (i as f32 - middle) * sin);
    ramp * gaussian_2d(taps, sigma)
}

/// A weight in which output channel `o` sees input channel `c` through `kernel`, times `mix[o][c]`.
pub(crate) fn dense(mix: &[[f32; 3]], kernel: &Array2<f32>) -> Array4<f32> {
    let (height, width) = kernel.dim();
    Array4::from_shape_fn((mix.len(), 3, height, width), |(o, c, i, j)| mix[o][c] * kernel[[i, j]])
}

/// A weight in which output channel `o` has kernel `o` and sees one channel.
pub(crate) fn depthwise(kernels: &[Array2<f32>]) -> Array4<f32> {
    let (height, width) = kernels[0].dim();
    Array4::from_shape_fn((kernels.len(), 1, height, width), |(o, _, i, j)| kernels[o][[i, j]])
}

/// The same kernel for each of three channels.
pub(crate) fn each_colour(kernel: &Array2<f32>) -> Array4<f32> {
    depthwise(&[0; 3].map(|_| kernel.clone()))
}
