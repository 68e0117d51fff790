//! Transposed convolution.

use ndarray::{Array3, Array4, ArrayRef1, ArrayRef3, ArrayRef4, ArrayView4, ArrayViewMut4};

use super::standard::{one_row, with_row};
use super::{FirstSchedule, Operation, Options, check, demand, layer_calls, pairs};
use crate::activation::Activation;
use crate::algo::drive;
use crate::algorithm::Candidate;
use crate::config::Conv2d;
use crate::element::Element;
use crate::error::Error;
use crate::geometry::{self, Problem};
use crate::parallel;
use crate::plan::TransposedPlan;
use crate::plan::schedule::Demand;
use crate::scratch::Workspace;
use crate::simd::Isa;

/// A transposed convolution with its weights, ready for any batch, height and width.
///
/// The adjoint of the convolution (cross-correlation, kernel not flipped) with the same configuration and
/// in and out exchanged, also called fractionally strided convolution or, wrongly, deconvolution.
/// Padding crops the output. By the textbook: insert `s - 1` zeros between inputs, pad with `d(k - 1) - p`,
/// flip the kernel, convolve with stride 1 (Dumoulin and Visin, "A guide to convolution arithmetic for deep
/// learning", 2016). Here no inserted zero is multiplied.
///
/// With a padding mode other than zeros it is the adjoint of the convolution with that mode.
///
/// Where the kernel is not a multiple of the stride, outputs see different numbers of taps, which shows as a checkerboard: `docs/checkerboard.md`
/// has pictures, and [`bilinear_upsampling`](crate::bilinear_upsampling) weights to begin with.
///
/// ```
/// use ndconv::{Conv2d, ConvTranspose2dLayer};
/// use ndarray::Array4;
///
/// let up = Conv2d::new(128, 64, 2).stride(2).bias(false);
/// let layer = ConvTranspose2dLayer::new(&up, &Array4::from_elem((128, 64, 2, 2), 0.01f32), None)?;
/// assert_eq!(layer.run(&Array4::ones((1, 128, 8, 8)))?.dim(), (1, 64, 16, 16));
/// # Ok::<(), ndconv::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConvTranspose2dLayer<T> {
    config: Conv2d,
    isa: Isa,
    plan: TransposedPlan<T>,
    activation: Activation<T>,
    first: FirstSchedule,
}

impl<T: Element> ConvTranspose2dLayer<T> {
    /// Packs a weight `[in, out / groups, kh, kw]` and, if the configuration has one, a bias `[out]`.
    ///
    /// # Errors
    /// Whatever is wrong with the configuration, or tensors that do not fit it.
    pub fn new(config: &Conv2d, weight: &ArrayRef4<T>, bias: Option<&ArrayRef1<T>>) -> Result<Self, Error> {
        Self::with_options(config, weight, bias, Options::new())
    }

    /// [`new`](Self::new) with an activation, an instruction set or an algorithm.
    ///
    /// # Errors
    /// As [`new`](Self::new), or an activation that does not fit, or an algorithm that there is not.
    pub fn with_options(
        config: &Conv2d,
        weight: &ArrayRef4<T>,
        bias: Option<&ArrayRef1<T>>,
        options: Options<T>,
    ) -> Result<Self, Error> {
        geometry::validate(config)?;
        check::transposed_weight(config, weight.dim())?;
        let bias = check::bias(config, bias)?;
        options.activation.validate(config.out_channels)?;
        let plan = TransposedPlan::new(config, options.isa, options.algorithm, weight.view(), bias)?;
        Ok(ConvTranspose2dLayer {
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

    /// All ways to compute an input of this shape, with what they cost and how far off their results may be. The first one runs; those that the
    /// configuration's numerics do not admit come last. A tile of Winograd's algorithm is one of input positions, each of which has a
    /// stride's rows and columns of outputs.
    ///
    /// ```
    /// use ndconv::{Algorithm, Conv2d, ConvTranspose2dLayer, Numerics};
    /// use ndarray::Array4;
    ///
    /// let config = Conv2d::new(512, 256, 4).stride(2).padding(1).bias(false).numerics(Numerics::Fast);
    /// let layer = ConvTranspose2dLayer::new(&config, &Array4::from_elem((512, 256, 4, 4), 0.1f32), None)?;
    /// let candidates = layer.candidates([1, 512, 16, 16])?;
    /// assert!(candidates.iter().all(|candidate| candidate.admitted));
    /// # Ok::<(), ndconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// An input that does not fit the configuration.
    pub fn candidates(&self, input: [usize; 4]) -> Result<Vec<Candidate>, Error> {
        let [n, c, h, w] = input;
        let problem = self.problem((n, c, h, w))?;
        Ok(self.plan.candidates(&problem, &self.demand(&problem), parallel::threads()))
    }

    fn demand(&self, problem: &Problem) -> Demand {
        let macs = self.config.transposed_macs(problem.input).unwrap_or(u64::MAX);
        let demand = demand::<T>(&self.config, problem, self.isa, problem.stride, macs);
        // Here it is the input whose positions lead to places of the output.
        let seen = [0, 1].map(|axis| pairs(&self.config, problem, axis, problem.input[axis], problem.output[axis]));
        Demand { seen, ..demand }
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

impl<T: Element> Operation<T> for ConvTranspose2dLayer<T> {
    fn problem(&self, input: (usize, usize, usize, usize)) -> Result<Problem, Error> {
        Problem::transposed(&self.config, input)
    }

    fn compute(
        &self,
        problem: &Problem,
        input: ArrayView4<'_, T>,
        output: ArrayViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        let schedule =
            self.first.or_make(problem, |threads| self.plan.schedule(problem, &self.demand(problem), threads));
        let stage = self.plan.stage(problem, &self.activation, &schedule);
        drive(&stage, input, output, schedule, workspace);
    }
}

/// Transposed convolution of an input `[n, in, h, w]` with a weight `[in, out / groups, kh, kw]`.
///
/// See [`ConvTranspose2dLayer`], which serves to use a weight more than once. As everywhere in this crate the
/// convolution that it is the adjoint of is a cross-correlation. Arguments may have any memory layout.
///
/// ```
/// use ndconv::{Conv2d, conv_transpose2d};
/// use ndarray::array;
///
/// let config = Conv2d::new(1, 1, [1, 3]).stride([1, 2]).bias(false);
/// let output = conv_transpose2d(&config, &array![[[[1, 2]]]], &array![[[[1, 10, 100]]]], None)?;
/// assert_eq!(output, array![[[[1, 10, 102, 20, 200]]]]);
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// Whatever is wrong with the configuration, or tensors that do not fit it.
pub fn conv_transpose2d<T: Element>(
    config: &Conv2d,
    input: &ArrayRef4<T>,
    weight: &ArrayRef4<T>,
    bias: Option<&ArrayRef1<T>>,
) -> Result<Array4<T>, Error> {
    ConvTranspose2dLayer::new(config, weight, bias)?.run(input)
}

/// [`conv_transpose2d`] on an input `[n, in, width]` with a weight `[in, out / groups, k]`.
///
/// The configuration has kernel `[1, k]`; its other settings count in the width.
///
/// ```
/// use ndconv::{Conv2d, conv_transpose1d};
/// use ndarray::array;
///
/// let config = Conv2d::new(1, 1, [1, 2]).stride([1, 2]).bias(false);
/// let output = conv_transpose1d(&config, &array![[[1.0, 2.0]]], &array![[[1.0, 0.5]]], None)?;
/// assert_eq!(output, array![[[1.0, 0.5, 2.0, 1.0]]]);
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// As [`conv_transpose2d`]; height 1 must be what comes out.
pub fn conv_transpose1d<T: Element>(
    config: &Conv2d,
    input: &ArrayRef3<T>,
    weight: &ArrayRef3<T>,
    bias: Option<&ArrayRef1<T>>,
) -> Result<Array3<T>, Error> {
    ConvTranspose2dLayer::new(config, &with_row(weight), bias)?.run_1d(input)
}
