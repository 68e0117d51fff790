//! A convolution in all the ways in which it may run, of which the sizes of each input choose one.

use std::sync::OnceLock;

use ndarray::ArrayView4;

use crate::activation::Activation;
use crate::algo::winograd::{self, Tiling, Winograd};
use crate::algo::{Either, Schedule};
use crate::algorithm::{Algorithm, Candidate, ErrorBound};
use crate::config::Conv2d;
use crate::element::Element;
use crate::error::{Axis, Error};
use crate::geometry::Problem;
use crate::numerics::{Numerics, SUMMATION_BLOCK};
use crate::plan::choose;
use crate::plan::lower::{ConvolutionPlan, ConvolutionStage};
use crate::plan::schedule::Demand;
use crate::plan::tiles::Tiles;
use crate::simd::Isa;

/// A convolution with its weights.
#[derive(Clone, Debug)]
pub(crate) struct LayerPlan<T> {
    isa: Isa,
    groups: usize,
    /// Input and output channels of a group.
    group: [usize; 2],
    exact: ConvolutionPlan<T>,
    /// Taps of a sum.
    taps: usize,
    tilings: Vec<Tiled<T>>,
    /// Whether it must be one of the tilings.
    forced: bool,
}

/// One of Winograd's tilings, with weights that are worked out when they are first wanted.
#[derive(Clone, Debug)]
struct Tiled<T> {
    tiling: Tiling,
    bound: ErrorBound,
    admitted: bool,
    weights: OnceLock<winograd::Weights<T>>,
}

/// The stage of any of them.
pub(crate) type LayerStage<'a, T> = Either<ConvolutionStage<'a, T>, Winograd<'a, T>>;

impl<T: Element> LayerPlan<T> {
    pub(crate) fn new(
        config: &Conv2d,
        isa: Isa,
        algorithm: Option<Algorithm>,
        weight: ArrayView4<'_, T>,
        bias: Option<Vec<T>>,
    ) -> Result<Self, Error> {
        let group = [config.in_channels, config.out_channels].map(|channels| channels / config.groups);
        let tiled = |tiling: Tiling| {
            let bound = tiling.error_bound(group[0]);
            let admitted = match (algorithm, config.numerics) {
                (Some(algorithm), _) => algorithm == Algorithm::Winograd(tiling.outputs),
                (None, Numerics::Exact) => false,
                (None, Numerics::Fast) => true,
                (None, Numerics::Within(limit)) => bound.proven <= f64::from(limit),
            };
            Tiled { tiling, bound, admitted, weights: OnceLock::new() }
        };
        let tilings: Vec<Tiled<T>> = choose::tilings::<T>(config, isa).map(tiled).collect();
        let forced = matches!(algorithm, Some(Algorithm::Winograd(_)));
        if forced && !tilings.iter().any(|tiled| tiled.admitted) {
            return Err(no_tiling(algorithm, &tilings));
        }
        let exact = ConvolutionPlan::new(config, isa, algorithm.filter(|_| !forced), weight, bias)?;
        let taps = group[0] * config.kernel[0] * config.kernel[1];
        Ok(LayerPlan { isa, groups: config.groups, group, exact, taps, tilings, forced })
    }

    /// How the work is cut.
    pub(crate) fn schedule(&self, demand: &Demand, threads: usize) -> Schedule {
        match self.chosen(demand) {
            Some(tiled) => Tiles::new(demand, tiled.tiling).schedule(threads),
            None => self.exact.schedule(demand, threads),
        }
    }

    /// The tiling that is expected to be the fastest, if it is faster than the exact order. It depends neither on the threads nor on the batch, since it
    /// changes bits.
    fn chosen(&self, demand: &Demand) -> Option<&Tiled<T>> {
        if !self.tilings.iter().any(|tiled| tiled.admitted) {
            return None;
        }
        let one = Demand { batch: 1, ..*demand };
        let limit = if self.forced { usize::MAX } else { self.exact.cost(&one) };
        let admitted = self.tilings.iter().filter(|tiled| tiled.admitted);
        let costs = admitted.map(|tiled| (Tiles::new(&one, tiled.tiling).cost(), tiled));
        costs.filter(|&(cost, _)| cost < limit).min_by_key(|&(cost, _)| cost).map(|(_, tiled)| tiled)
    }

    /// All ways, the one that runs first.
    pub(crate) fn candidates(&self, demand: &Demand, threads: usize) -> Vec<Candidate> {
        let one = Demand { batch: 1, ..*demand };
        let sums = self.taps.min(SUMMATION_BLOCK) + self.taps.div_ceil(SUMMATION_BLOCK);
        let proven = sums as f64 / 2.0;
        let exact = Candidate {
            algorithm: self.exact.algorithm(&self.exact.schedule(demand, threads)),
            cost: self.exact.cost(&one),
            bound: ErrorBound { proven, observed: proven },
            admitted: !self.forced,
        };
        let tiled = self.tilings.iter().map(|tiled| Candidate {
            algorithm: Algorithm::Winograd(tiled.tiling.outputs),
            cost: Tiles::new(&one, tiled.tiling).cost(),
            bound: tiled.bound,
            admitted: tiled.admitted,
        });
        let mut all: Vec<Candidate> = core::iter::once(exact).chain(tiled).collect();
        all.sort_by_key(|candidate| (!candidate.admitted, candidate.cost));
        all
    }

    /// What such a schedule runs.
    pub(crate) fn algorithm(&self, schedule: &Schedule) -> Algorithm {
        match schedule.tiling {
            Some(tiling) => Algorithm::Winograd(tiling.outputs),
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
        let Some(tiling) = schedule.tiling else {
            return Either::First(self.exact.stage(problem, activation, schedule.lanes));
        };
        let tiled = self.tilings.iter().find(|tiled| tiled.tiling == tiling).expect("chosen from them");
        let weights = tiled.weights.get_or_init(|| {
            let weight = |group: usize, row: usize, tap: usize| self.exact.weight(group, row, tap);
            let bias = self.exact.bias().map(<[T]>::to_vec);
            winograd::Weights::new(tiling, self.isa, self.groups, self.group, bias, weight)
        });
        let origin = problem.pads.begins().map(|pad| -(pad as isize));
        Either::Second(Winograd { weights, activation, origin, mode: problem.mode })
    }
}

fn no_tiling<T>(wanted: Option<Algorithm>, tilings: &[Tiled<T>]) -> Error {
    let names = tilings.iter().map(|tiled| Algorithm::Winograd(tiled.tiling.outputs).to_string());
    Error::Unsupported {
        argument: "algorithm",
        axis: Axis::All,
        found: wanted.map_or_else(String::new, |algorithm| algorithm.to_string()),
        expected: match tilings {
            [] => "another: this one is for floats, vectors, stride 1, no dilation, and kernels of 1 to 7 taps along each axis".into(),
            _ => format!("one of {}", names.collect::<Vec<_>>().join(", ")),
        },
    }
}
