//! A convolution in all the ways in which it may run, of which the sizes of each input choose one.

use ndarray::ArrayView4;

use crate::activation::Activation;
use crate::algo::{Either, Schedule};
use crate::algorithm::{Algorithm, Candidate, ErrorBound};
use crate::config::Conv2d;
use crate::element::Element;
use crate::error::Error;
use crate::geometry::Problem;
use crate::numerics::SUMMATION_BLOCK;
use crate::plan::choose;
use crate::plan::lower::{ConvolutionPlan, ConvolutionStage};
use crate::plan::others::{self, OtherStage, Others};
use crate::plan::schedule::Demand;
use crate::simd::Isa;

/// A convolution with its weights.
#[derive(Clone, Debug)]
pub(crate) struct LayerPlan<T> {
    exact: ConvolutionPlan<T>,
    others: Others<T>,
    /// Of the exact order.
    bound: ErrorBound,
}

/// The stage of any of them.
pub(crate) type LayerStage<'a, T> = Either<ConvolutionStage<'a, T>, OtherStage<'a, T>>;

impl<T: Element> LayerPlan<T> {
    pub(crate) fn new(
        config: &Conv2d,
        isa: Isa,
        algorithm: Option<Algorithm>,
        weight: ArrayView4<'_, T>,
        bias: Option<Vec<T>>,
    ) -> Result<Self, Error> {
        let others = Others::new(config, isa, algorithm, choose::reorderings::<T>)?;
        let exact = ConvolutionPlan::new(config, isa, algorithm.filter(|_| !others.forced()), weight, bias)?;
        Ok(LayerPlan { exact, others, bound: exact_bound(config) })
    }

    /// How the work is cut.
    pub(crate) fn schedule(&self, demand: &Demand, threads: usize) -> Schedule {
        match self.others.chosen(demand, |one| self.exact.cost(one)) {
            Some(reordering) => others::schedule(demand, reordering, threads),
            None => self.exact.schedule(demand, threads),
        }
    }

    /// All ways: first the one that runs, then what else is admitted, by cost.
    pub(crate) fn candidates(&self, demand: &Demand, threads: usize) -> Vec<Candidate> {
        let exact = Candidate {
            algorithm: self.exact.algorithm(&self.exact.schedule(demand, threads)),
            cost: self.exact.cost(&Demand { batch: 1, ..*demand }),
            bound: self.bound,
            admitted: !self.others.forced(),
        };
        self.others.candidates(exact, demand, self.algorithm(&self.schedule(demand, threads)))
    }

    /// What such a schedule runs.
    pub(crate) fn algorithm(&self, schedule: &Schedule) -> Algorithm {
        match schedule.reordering {
            Some(reordering) => reordering.algorithm(),
            None => self.exact.algorithm(schedule),
        }
    }

    /// The stage for inputs of the problem's size.
    pub(crate) fn stage<'a>(
        &'a self,
        problem: &Problem,
        activation: &'a Activation<T>,
        schedule: &Schedule,
    ) -> LayerStage<'a, T> {
        let Some(reordering) = schedule.reordering else {
            return Either::First(self.exact.stage(problem, activation, schedule.lanes));
        };
        let origin = problem.pads.begins().map(|pad| -(pad as isize));
        Either::Second(self.others.stage(reordering, &self.exact, activation, origin, problem.mode))
    }
}

/// What the exact order is off by: half an eps for each rounding of an output.
pub(super) fn exact_bound(config: &Conv2d) -> ErrorBound {
    let taps = config.in_channels / config.groups * config.kernel[0] * config.kernel[1];
    let proven = (taps.min(SUMMATION_BLOCK) + taps.div_ceil(SUMMATION_BLOCK)) as f64 / 2.0;
    ErrorBound { proven, observed: proven }
}
