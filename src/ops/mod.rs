//! The public operations: check the tensors, work out the sizes, plan, run.

mod check;
pub(crate) mod deformable;
mod engine;
pub(crate) mod inverted_residual;
pub(crate) mod separability;
pub(crate) mod separable;
pub(crate) mod standard;
pub(crate) mod transposed;
pub(crate) mod upsampling;

use std::sync::OnceLock;

use ndarray::{Array4, ArrayRef4, ArrayView4, ArrayViewMut4};

use crate::activation::Activation;
use crate::algo::{Cache, Schedule};
use crate::algorithm::Algorithm;
use crate::config::{Conv2d, PaddingMode, Pads};
use crate::element::Element;
use crate::error::{Axis, Error};
use crate::gemm::blocking::TileShape;
use crate::geometry::Problem;
use crate::parallel;
use crate::parts::{Chunks, gcd};
use crate::plan::schedule::{Demand, Taps, plane_memory};
use crate::scratch::Workspace;
use crate::simd::Isa;
use engine::{AnyLayer, Job};
pub(crate) use engine::{Engine, FloatEngine};

/// What a layer may be told beyond its configuration.
///
/// ```
/// use ndconv::{Activation, Conv2d, Conv2dLayer, Isa, Options};
/// use ndarray::{Array4, array};
///
/// let config = Conv2d::pointwise(1, 2);
/// let weight = Array4::from_shape_vec((2, 1, 1, 1), vec![1.0f32, -1.0]).unwrap();
/// let options = Options::new().activation(Activation::Relu).isa(Isa::SCALAR);
/// let layer = Conv2dLayer::with_options(&config, &weight, Some(&array![0.5, 0.5]), options)?;
/// let output = layer.run(&Array4::from_elem((1, 1, 1, 1), 2.0))?;
/// assert_eq!(output.into_raw_vec_and_offset().0, [2.5, 0.0]);
/// # Ok::<(), ndconv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Options<T> {
    activation: Activation<T>,
    isa: Isa,
    algorithm: Option<Algorithm>,
}

impl<T: Element> Options<T> {
    /// No activation, and the widest instruction set of this machine.
    #[must_use]
    pub fn new() -> Self {
        Options { activation: Activation::None, isa: Isa::best(), algorithm: None }
    }

    /// Applies a function to every element of the output while it is in cache.
    #[must_use]
    pub fn activation(mut self, activation: Activation<T>) -> Self {
        self.activation = activation;
        self
    }

    /// Uses an instruction set. In [`Numerics::Exact`](crate::Numerics::Exact) the bits do not depend on it.
    #[must_use]
    pub fn isa(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// Computes in this way, instead of what the sizes suggest. A [`Conv2dLayer`](crate::Conv2dLayer) can be told any, a
    /// [`ConvTranspose2dLayer`](crate::ConvTranspose2dLayer) Winograd's, the other layers none.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// An error if an algorithm is named.
    fn refuse_algorithm(&self) -> Result<(), Error> {
        match self.algorithm {
            None => Ok(()),
            Some(algorithm) => Err(Error::Unsupported {
                argument: "algorithm",
                axis: Axis::All,
                found: algorithm.to_string(),
                expected: "none: this layer is not told its algorithm".into(),
            }),
        }
    }
}

impl<T: Element> Default for Options<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// An operation on one input, ready to run.
trait Operation<T: Element> {
    /// The sizes for an input of these sizes.
    fn problem(&self, input: (usize, usize, usize, usize)) -> Result<Problem, Error>;

    /// Computes into an output of the right size.
    fn compute(
        &self,
        problem: &Problem,
        input: ArrayView4<'_, T>,
        output: ArrayViewMut4<'_, T>,
        workspace: &mut Workspace<T>,
    );
}

/// Computes into a new array.
fn run<T: Element>(operation: &impl AnyLayer<T>, input: &ArrayRef4<T>) -> Result<Array4<T>, Error> {
    let mut output = new_output(&operation.problem(input.dim())?)?;
    run_into(operation, input, &mut output, &mut Workspace::new())?;
    Ok(output)
}

/// An output to compute into.
fn new_output<T: Element>(problem: &Problem) -> Result<Array4<T>, Error> {
    let (n, channels, height, width) = problem.output_dim();
    // An allocation that fails ends the process, so ask first; then take pages that are zero already.
    Vec::<T>::new().try_reserve_exact(n * channels * height * width).map_err(|_| Error::TooLarge {
        argument: "output",
        axis: Axis::All,
        found: format!("{:?}", [n, channels, height, width]),
        expected: "at most what memory holds".into(),
    })?;
    Ok(Array4::zeros(problem.output_dim()))
}

/// Computes into the caller's array.
fn run_into<T: Element>(
    operation: &impl AnyLayer<T>,
    input: &ArrayRef4<T>,
    output: &mut ArrayRef4<T>,
    workspace: &mut Workspace<T>,
) -> Result<(), Error> {
    let problem = &operation.problem(input.dim())?;
    check::output(problem, output.dim())?;
    T::compute(Job { layer: operation.any(), problem, input: input.view(), output: output.view_mut(), workspace });
    Ok(())
}

/// The calls that layers on one input share.
macro_rules! layer_calls {
    () => {
        /// The shape of the output for an input of this shape.
        ///
        /// # Errors
        /// An input that does not fit the configuration.
        pub fn output_shape(&self, input: [usize; 4]) -> Result<[usize; 4], Error> {
            let [n, c, h, w] = input;
            Ok(self.problem((n, c, h, w))?.output_dim().into())
        }

        /// Computes into a new array.
        ///
        /// # Errors
        /// An input that does not fit the configuration.
        pub fn run(&self, input: &ArrayRef4<T>) -> Result<Array4<T>, Error> {
            super::run(self, input)
        }

        /// Computes into the caller's array, of any memory layout.
        ///
        /// # Errors
        /// An input that does not fit the configuration, or an output of the wrong shape.
        pub fn run_into(&self, input: &ArrayRef4<T>, output: &mut ArrayRef4<T>) -> Result<(), Error> {
            super::run_into(self, input, output, &mut Workspace::new())
        }

        /// [`run_into`](Self::run_into) with working memory that is kept from call to call.
        ///
        /// # Errors
        /// As [`run_into`](Self::run_into).
        pub fn run_into_with(
            &self,
            input: &ArrayRef4<T>,
            output: &mut ArrayRef4<T>,
            workspace: &mut Workspace<T>,
        ) -> Result<(), Error> {
            super::run_into(self, input, output, workspace)
        }
    };
}
use layer_calls;

/// The schedule of the first problem of a layer. Most see one size of input only, and to plan a tiny one takes as long as to compute it.
#[derive(Clone, Debug, Default)]
struct FirstSchedule(OnceLock<(Problem, usize, Schedule)>);

impl FirstSchedule {
    /// That of a problem with as many threads as there are now.
    fn or_make(&self, problem: &Problem, make: impl Fn(usize) -> Schedule) -> Schedule {
        let threads = parallel::threads();
        match self.0.get_or_init(|| (*problem, threads, make(threads))) {
            (first, with, schedule) if first == problem && *with == threads => *schedule,
            _ => make(threads),
        }
    }
}

/// What a problem asks of the machine. `phases` is the stride of a transposed convolution, else 1.
fn demand<T: Element>(config: &Conv2d, problem: &Problem, isa: Isa, phases: [usize; 2], macs: u64) -> Demand {
    let shape = TileShape::of::<T>(isa);
    let per_group = problem.out_channels_per_group();
    let taps = taps(config, problem, phases);
    let unpadded = problem.pads == Pads::default();
    Demand {
        kinds: shape.kinds(),
        batch: problem.batch,
        units: match problem.groups {
            1 => shape.panels(per_group),
            _ => Chunks { total: problem.out_channels, size: per_group },
        },
        channels_per_group: per_group,
        output: problem.output,
        phases,
        kept: 0,
        held: 0,
        lead: [0, 0],
        linear: unpadded && taps.kernel == [1, 1],
        column_step: problem.stride[1] / phases[1],
        unpadded,
        sampled: None,
        taps,
        seen: [0, 1].map(|axis| seen(config, problem, axis)),
        shape,
        cache: Cache::holding::<T>(problem.elements()),
        element_bytes: size_of::<T>(),
        memory: shape.region,
        plane_memory: plane_memory::<T>(),
        pixel_limit: usize::MAX,
        macs: macs.saturating_mul(problem.batch as u64),
    }
}

/// Pairs of an output position and a tap along an axis where the tap is on the image; all of them where padding is not of zeros.
fn seen(config: &Conv2d, problem: &Problem, axis: usize) -> usize {
    let (input, output) = (problem.input[axis], problem.output[axis]);
    match problem.mode {
        PaddingMode::Zeros => pairs(config, problem, axis, output, input),
        _ => output * config.kernel[axis],
    }
}

/// Pairs of one of `numbers` positions and a tap along an axis that lead to a place below a limit.
fn pairs(config: &Conv2d, problem: &Problem, axis: usize, numbers: usize, limit: usize) -> usize {
    let place = |tap: usize| (tap * config.dilation[axis]) as isize - problem.pads.begins()[axis] as isize;
    (0..config.kernel[axis]).map(|tap| steps_within(numbers, problem.stride[axis], place(tap), limit)).sum()
}

/// How many of the first numbers, times a step and plus a place, are from 0 on and below a limit.
fn steps_within(numbers: usize, step: usize, place: isize, limit: usize) -> usize {
    let below = |end: isize| end.max(0).unsigned_abs().div_ceil(step).min(numbers);
    below(limit as isize - place) - below(-place)
}

fn taps(config: &Conv2d, problem: &Problem, phases: [usize; 2]) -> Taps {
    let axes = [0, 1].map(|axis| {
        let (stride, dilation) = (problem.stride[axis] / phases[axis], config.dilation[axis]);
        let common = gcd(stride, dilation);
        (stride / common, dilation / common)
    });
    Taps {
        kernel: [0, 1].map(|axis| config.kernel[axis].div_ceil(phases[axis])),
        of_kernel: config.kernel[0] * config.kernel[1],
        channels: problem.in_channels_per_group(),
        classes: axes.map(|(classes, _)| classes),
        distance: axes.map(|(_, distance)| distance),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted() {
        for (numbers, step, place, limit) in [(4, 1, -1, 4), (5, 2, -3, 3), (7, 3, 2, 20), (3, 1, 9, 5), (0, 1, 0, 9)] {
            let within = |number: &usize| (0..limit as isize).contains(&((number * step) as isize + place));
            assert_eq!(steps_within(numbers, step, place, limit), (0..numbers).filter(within).count());
        }
    }

    #[test]
    fn taps_on_padding_are_not_seen() {
        let of = |config: &Conv2d, size| seen(config, &Problem::convolution(config, (1, 1, size, size)).unwrap(), 1);
        assert_eq!(of(&Conv2d::new(1, 1, 3).padding(1), 7), 19);
        assert_eq!(of(&Conv2d::new(1, 1, 3).padding(1).padding_mode(PaddingMode::Reflect), 7), 21);
        assert_eq!(of(&Conv2d::new(1, 1, 3).padding(12).dilation(12), 14), 14 + 2 * 2);
    }
}
