//! Standard convolution: pointwise, grouped, dilated and depthwise ones are configurations of it.

use ndarray::{Array3, Array4, ArrayRef1, ArrayRef3, ArrayRef4, ArrayView4, ArrayViewMut4, Axis, s};

use super::{FirstSchedule, Operation, Options, check, demand, layer_calls};
use crate::activation::Activation;
use crate::algo::{Schedule, drive};
use crate::algorithm::{Algorithm, Candidate};
use crate::config::Conv2d;
use crate::element::Element;
use crate::error::Error;
use crate::geometry::{self, Problem};
use crate::parallel;
use crate::plan::LayerPlan;
use crate::plan::schedule::Demand;
use crate::scratch::Workspace;
use crate::simd::Isa;

/// A convolution with its weights, ready for any batch, height and width.
///
/// This is a cross-correlation, as in every deep-learning library: the kernel is not flipped.
///
/// ```text
/// output[n, o, y, x] = bias[o] + Σ weight[o, c, i, j] * input[n, group(o) + c, y s - p + i d, x s - p + j d]
/// ```
///
/// ```
/// use ndconv::{Activation, Conv2d, Conv2dLayer, Options};
/// use ndarray::{Array1, Array4};
///
/// let config = Conv2d::new(16, 32, 3).padding(1);
/// let weight = Array4::from_elem((32, 16, 3, 3), 0.1f32);
/// let options = Options::new().activation(Activation::Relu);
/// let layer = Conv2dLayer::with_options(&config, &weight, Some(&Array1::zeros(32)), options)?;
///
/// assert_eq!(layer.run(&Array4::ones((1, 16, 24, 24)))?.dim(), (1, 32, 24, 24));
/// assert_eq!(layer.run(&Array4::ones((4, 16, 10, 30)))?.dim(), (4, 32, 10, 30));
/// # Ok::<(), ndconv::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Conv2dLayer<T> {
    config: Conv2d,
    isa: Isa,
    plan: LayerPlan<T>,
    activation: Activation<T>,
    first: FirstSchedule,
}

impl<T: Element> Conv2dLayer<T> {
    /// Packs a weight `[out, in / groups, kh, kw]` and, if the configuration has one, a bias `[out]`.
    ///
    /// # Errors
    /// Whatever is wrong with the configuration, or tensors that do not fit it.
    pub fn new(config: &Conv2d, weight: &ArrayRef4<T>, bias: Option<&ArrayRef1<T>>) -> Result<Self, Error> {
        Self::with_options(config, weight, bias, Options::new())
    }

    /// [`new`](Self::new) with an activation, an instruction set or an algorithm.
    ///
    /// # Errors
    /// As [`new`](Self::new), or an activation that does not fit, or an algorithm that there is not for the element type and instruction set.
    pub fn with_options(
        config: &Conv2d,
        weight: &ArrayRef4<T>,
        bias: Option<&ArrayRef1<T>>,
        options: Options<T>,
    ) -> Result<Self, Error> {
        geometry::validate(config)?;
        check::weight("weight", config, weight.dim())?;
        let bias = check::bias(config, bias)?;
        options.activation.validate(config.out_channels)?;
        let plan = LayerPlan::new(config, options.isa, options.algorithm, weight.view(), bias)?;
        Ok(Conv2dLayer {
            config: *config,
            isa: options.isa,
            plan,
            activation: options.activation,
            first: FirstSchedule::default(),
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Conv2d {
        &self.config
    }

    /// How an input of this shape is computed with as many threads as there are now.
    ///
    /// # Errors
    /// An input that does not fit the configuration.
    pub fn algorithm(&self, input: [usize; 4]) -> Result<Algorithm, Error> {
        let [n, c, h, w] = input;
        Ok(self.plan.algorithm(&self.schedule(&self.problem((n, c, h, w))?)))
    }

    /// All ways to compute an input of this shape, with what they cost and how far off their results may be. The first one runs; those that the
    /// configuration's numerics do not admit come last.
    ///
    /// ```
    /// use ndconv::{Algorithm, Conv2d, Conv2dLayer, Numerics};
    /// use ndarray::Array4;
    ///
    /// let config = Conv2d::new(64, 64, 3).padding(1).bias(false);
    /// let layer = Conv2dLayer::new(&config, &Array4::from_elem((64, 64, 3, 3), 0.1f32), None)?;
    /// let candidates = layer.candidates([1, 64, 56, 56])?;
    /// assert_eq!(candidates[0].algorithm, layer.algorithm([1, 64, 56, 56])?);
    /// // In exact numerics only the exact order is admitted.
    /// assert!(candidates[1..].iter().all(|candidate| !candidate.admitted));
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// An input that does not fit the configuration.
    pub fn candidates(&self, input: [usize; 4]) -> Result<Vec<Candidate>, Error> {
        let [n, c, h, w] = input;
        Ok(self.plan.candidates(&self.demand(&self.problem((n, c, h, w))?), parallel::threads()))
    }

    fn demand(&self, problem: &Problem) -> Demand {
        demand::<T>(&self.config, problem, self.isa, [1, 1], problem.convolution_macs(&self.config))
    }

    fn schedule(&self, problem: &Problem) -> Schedule {
        self.first.or_make(problem, |threads| self.plan.schedule(&self.demand(problem), threads))
    }

    layer_calls!();

    /// [`run`](Self::run) on an input `[n, in, width]`, for a configuration whose kernel has height 1.
    ///
    /// # Errors
    /// As [`run`](Self::run); height 1 must be what comes out.
    pub fn run_1d(&self, input: &ArrayRef3<T>) -> Result<Array3<T>, Error> {
        one_row(self.run(&with_row(input))?)
    }
}

impl<T: Element> Operation<T> for Conv2dLayer<T> {
    fn problem(&self, input: (usize, usize, usize, usize)) -> Result<Problem, Error> {
        Problem::convolution(&self.config, input)
    }

    fn compute(
        &self,
        problem: &Problem,
        input: ArrayView4<'_, T>,
        output: ArrayViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        let schedule = self.schedule(problem);
        let stage = self.plan.stage(problem, &self.activation, &schedule);
        drive(&stage, input, output, schedule, workspace);
    }
}

/// Convolves an input `[n, in, h, w]` with a weight `[out, in / groups, kh, kw]`.
///
/// A cross-correlation: the kernel is not flipped; [`flip`] the weight for the convolution of mathematics.
/// Arguments may have any memory layout. To use a weight more than once, make a [`Conv2dLayer`].
///
/// ```
/// use ndconv::{Conv2d, conv2d};
/// use ndarray::{Array, Array4};
///
/// let image = Array::from_iter(1..=9).into_shape_with_order((1, 1, 3, 3)).unwrap();
/// let ones = Array4::<i32>::ones((1, 1, 2, 2));
/// let sums = conv2d(&Conv2d::new(1, 1, 2).bias(false), &image, &ones, None)?;
/// assert_eq!(sums.into_raw_vec_and_offset().0, [12, 16, 24, 28]);
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// Whatever is wrong with the configuration, or tensors that do not fit it.
pub fn conv2d<T: Element>(
    config: &Conv2d,
    input: &ArrayRef4<T>,
    weight: &ArrayRef4<T>,
    bias: Option<&ArrayRef1<T>>,
) -> Result<Array4<T>, Error> {
    Conv2dLayer::new(config, weight, bias)?.run(input)
}

/// [`conv2d`] on an input `[n, in, width]` with a weight `[out, in / groups, k]`.
///
/// The configuration has kernel `[1, k]`; its other settings count in the width.
///
/// ```
/// use ndconv::{Conv2d, conv1d};
/// use ndarray::array;
///
/// let config = Conv2d::new(1, 1, [1, 3]).stride([1, 2]).padding([0, 1]).bias(false);
/// let output = conv1d(&config, &array![[[1.0, 2.0, 3.0, 4.0]]], &array![[[1.0, 10.0, 100.0]]], None)?;
/// assert_eq!(output, array![[[210.0, 432.0]]]);
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// As [`conv2d`]; height 1 must be what comes out.
pub fn conv1d<T: Element>(
    config: &Conv2d,
    input: &ArrayRef3<T>,
    weight: &ArrayRef3<T>,
    bias: Option<&ArrayRef1<T>>,
) -> Result<Array3<T>, Error> {
    Conv2dLayer::new(config, &with_row(weight), bias)?.run_1d(input)
}

/// `[a, b, width]` as `[a, b, 1, width]`.
pub(super) fn with_row<T>(array: &ArrayRef3<T>) -> ArrayView4<'_, T> {
    array.view().insert_axis(Axis(2))
}

/// `[a, b, 1, width]` as `[a, b, width]`.
pub(super) fn one_row<T: Element>(array: Array4<T>) -> Result<Array3<T>, Error> {
    let height = array.dim().2;
    check::size("output", crate::error::Axis::Height, height, 1, || Some("a one-dimensional result".into()))?;
    Ok(array.index_axis_move(Axis(2), 0))
}

/// The weight with its kernels turned by 180°: with it, a cross-correlation is the convolution of mathematics.
///
/// ```
/// use ndconv::{Conv2d, conv1d, flip};
/// use ndarray::{Axis, array};
///
/// // (1 + 2x)(3 + 4x) = 3 + 10x + 8x²
/// let config = Conv2d::new(1, 1, [1, 2]).padding([0, 1]).bias(false);
/// let kernel = array![[[[3, 4]]]];
/// let product = conv1d(&config, &array![[[1, 2]]], &flip(&kernel).index_axis(Axis(2), 0), None)?;
/// assert_eq!(product, array![[[3, 10, 8]]]);
/// # Ok::<(), ndconv::Error>(())
/// ```
#[must_use]
pub fn flip<T>(weight: &ArrayRef4<T>) -> ArrayView4<'_, T> {
    weight.slice(s![.., .., ..;-1, ..;-1])
}
