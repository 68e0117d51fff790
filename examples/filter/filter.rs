//! Runs a kernel on the channels of a picture.

use ndconv::ndarray::{Array1, Array2, Array4, ArrayRef4, Axis, Zip};
use ndconv::{
    Conv2d, Error, Options, Padding, PaddingMode, Separability, SpatiallySeparableLayer, SpatiallySeparableWeights,
    conv2d, flip, separate,
};

use crate::kernels::Stencil;

/// Of the singular values of kernels, which are given or made in `f32`.
const TOLERANCE: f64 = 1e-6;

/// A kernel and how to apply it.
pub(crate) struct Filter {
    pub(crate) stencil: Stencil,
    pub(crate) padding: PaddingMode,
    /// Whether to turn the kernel by 180°.
    pub(crate) flip: bool,
}

impl Filter {
    /// Filters channels `[1, channels, height, width]`; the results for display, which may exceed 0 to 1.
    pub(crate) fn apply(&self, channels: &ArrayRef4<f32>) -> Result<Array4<f32>, Error> {
        let count = channels.dim().1;
        match &self.stencil {
            Stencil::Separable { column, row } => {
                let (vertical, horizontal) = (column.view().insert_axis(Axis(1)), row.view().insert_axis(Axis(0)));
                let weights = SpatiallySeparableWeights {
                    vertical: &self.weight(count, &[vertical.to_owned()]),
                    horizontal: &self.weight(count, &[horizontal.to_owned()]),
                    bias: None,
                };
                let config = self.config(count, count, [column.len(), row.len()]);
                SpatiallySeparableLayer::new(&config, weights, Options::new())?.run(channels)
            }
            Stencil::Plain(kernel) => {
                let result = match separated(kernel)? {
                    Some(stencil) => Filter { stencil, ..*self }.apply(channels)?,
                    None => {
                        let config = self.config(count, count, kernel.dim());
                        conv2d(&config, channels, &self.weight(count, std::slice::from_ref(kernel)), None)?
                    }
                };
                Ok(if sums_to_zero(kernel) { result / 2.0 + 0.5 } else { result })
            }
            Stencil::Magnitude(kernels) => {
                let config = self.config(count, 2 * count, kernels[0].dim());
                let slopes = conv2d(&config, channels, &self.weight(count, kernels), None)?;
                let mut steepness = Array4::zeros(channels.dim());
                for (channel, to) in steepness.axis_iter_mut(Axis(1)).enumerate() {
                    let [across, down] = [0, 1].map(|slope| slopes.index_axis(Axis(1), 2 * channel + slope));
                    Zip::from(to).and(across).and(down).for_each(|to, &across: &f32, &down| *to = across.hypot(down));
                }
                Ok(steepness)
            }
        }
    }

    /// One group for each channel, and an output of the input's size.
    fn config(&self, channels: usize, outputs: usize, kernel: impl ndconv::IntoPair) -> Conv2d {
        let config = Conv2d::new(channels, outputs, kernel).groups(channels).bias(false);
        config.padding(Padding::SameUpper).padding_mode(self.padding)
    }

    /// The same kernels for every channel, flipped if so wished.
    fn weight(&self, channels: usize, kernels: &[Array2<f32>]) -> Array4<f32> {
        let (height, width) = kernels[0].dim();
        let shape = (channels * kernels.len(), 1, height, width);
        let weight = Array4::from_shape_fn(shape, |(o, _, i, j)| kernels[o % kernels.len()][[i, j]]);
        if self.flip { flip(&weight).to_owned() } else { weight }
    }
}

/// What two steps make of a kernel that separates, if that are fewer taps; says what it found.
fn separated(kernel: &Array2<f32>) -> Result<Option<Stencil>, Error> {
    let (height, width) = kernel.dim();
    Ok(match separate(kernel, TOLERANCE)? {
        Separability::Separable { vertical, horizontal, .. } if height + width < height * width => {
            let numbers = |factor: &Array1<f32>| factor.iter().map(|x| format!(" {}", x + 0.0)).collect::<String>();
            eprintln!("The kernel separates: column{}, row{}.", numbers(&vertical), numbers(&horizontal));
            Some(Stencil::Separable { column: vertical, row: horizontal })
        }
        Separability::Separable { .. } => None,
        Separability::NotSeparable { rank, relative_error } => {
            let percent = 100.0 * relative_error;
            eprintln!(
                "The kernel does not separate: its rank is {rank}, and the closest outer product is {percent:.0} % off."
            );
            None
        }
    })
}

/// Up to rounding, for kernels that are not 0 everywhere.
fn sums_to_zero(kernel: &Array2<f32>) -> bool {
    kernel.sum().abs() < 1e-6 * kernel.mapv(f32::abs).sum()
}
