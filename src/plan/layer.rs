//! A convolution in all the ways in which it may run, of which the sizes of each input choose one.

use std::sync::OnceLock;

use ndarray::ArrayView4;

use crate::activation::Activation;
use crate::algo::frequency::{self, Frequency};
use crate::algo::winograd::{self, Winograd};
use crate::algo::{Either, Reordering, Schedule};
use crate::algorithm::{Algorithm, Candidate, ErrorBound};
use crate::config::Conv2d;
use crate::element::Element;
use crate::error::{Axis, Error};
use crate::geometry::Problem;
use crate::numerics::{Numerics, SUMMATION_BLOCK};
use crate::plan::lower::{ConvolutionPlan, ConvolutionStage};
use crate::plan::schedule::Demand;
use crate::plan::tiles::Tiles;
use crate::plan::{choose, spectra};
use crate::simd::Isa;

/// A convolution with its weights.
#[derive(Clone, Debug)]
pub(crate) struct LayerPlan<T> {
    config: Conv2d,
    isa: Isa,
    exact: ConvolutionPlan<T>,
    /// Those that are admitted, the one that errs the least first.
    others: Vec<Other<T>>,
    /// Whether it must be one of the others.
    forced: bool,
}

/// Another order of summation, with weights that are worked out when they are first wanted.
#[derive(Clone, Debug)]
struct Other<T> {
    reordering: Reordering,
    bound: ErrorBound,
    weights: OnceLock<Weights<T>>,
}

#[derive(Clone, Debug)]
enum Weights<T> {
    Winograd(winograd::Weights<T>),
    Fft(frequency::Weights<T>),
}

/// The stage of any of them.
pub(crate) type LayerStage<'a, T> = Either<ConvolutionStage<'a, T>, Either<Winograd<'a, T>, Frequency<'a, T>>>;

impl<T: Element> LayerPlan<T> {
    pub(crate) fn new(
        config: &Conv2d,
        isa: Isa,
        algorithm: Option<Algorithm>,
        weight: ArrayView4<'_, T>,
        bias: Option<Vec<T>>,
    ) -> Result<Self, Error> {
        let forced = matches!(algorithm, Some(Algorithm::Winograd(_) | Algorithm::Fft));
        let others = match (algorithm, config.numerics) {
            (None, Numerics::Exact) => Vec::new(),
            (None, Numerics::Fast) => Self::others(config, isa, |_| true),
            (None, Numerics::Within(limit)) => {
                Self::others(config, isa, |other| other.bound.proven <= f64::from(limit))
            }
            (Some(wanted), _) if forced => Self::others(config, isa, |other| other.reordering.algorithm() == wanted),
            (Some(_), _) => Vec::new(),
        };
        if forced && others.is_empty() {
            return Err(unsupported(algorithm, &Self::others(config, isa, |_| true)));
        }
        let exact = ConvolutionPlan::new(config, isa, algorithm.filter(|_| !forced), weight, bias)?;
        Ok(LayerPlan { config: *config, isa, exact, others, forced })
    }

    /// The other orders that there are, and that are admitted.
    fn others(config: &Conv2d, isa: Isa, admitted: impl Fn(&Other<T>) -> bool) -> Vec<Other<T>> {
        let channels = config.in_channels / config.groups;
        let other = |reordering: Reordering| Other {
            reordering,
            bound: reordering.error_bound(channels),
            weights: OnceLock::new(),
        };
        let mut others: Vec<_> = choose::reorderings::<T>(config, isa).map(other).filter(admitted).collect();
        others.sort_by(|a, b| a.bound.observed.total_cmp(&b.bound.observed));
        others
    }

    /// How the work is cut.
    pub(crate) fn schedule(&self, demand: &Demand, threads: usize) -> Schedule {
        match self.chosen(demand) {
            Some(Reordering::Winograd(tiling)) => Tiles::new(demand, tiling).schedule(threads),
            Some(Reordering::Fft(spectrum)) => spectra::schedule(demand, spectrum, threads),
            None => self.exact.schedule(demand, threads),
        }
    }

    /// Another order, if one is expected to be faster by an eighth. Of those that are within a twentieth of the fastest the one that errs the least:
    /// costs are guesses. The choice depends neither on the threads nor on the batch, since it changes bits.
    fn chosen(&self, demand: &Demand) -> Option<Reordering> {
        let one = Demand { batch: 1, ..*demand };
        let least = self.others.iter().map(|other| cost(&one, other.reordering)).min()?;
        if !self.forced && least >= self.exact.cost(&one) / 8 * 7 {
            return None;
        }
        let close = |other: &&Other<T>| cost(&one, other.reordering) <= least + least / 20;
        self.others.iter().find(close).map(|other| other.reordering)
    }

    /// All ways, of Fourier transforms only the cheapest: first the one that runs, then what else is admitted, by cost.
    pub(crate) fn candidates(&self, demand: &Demand, threads: usize) -> Vec<Candidate> {
        let one = Demand { batch: 1, ..*demand };
        let Conv2d { in_channels, groups, kernel, .. } = self.config;
        let taps = in_channels / groups * kernel[0] * kernel[1];
        let sums = taps.min(SUMMATION_BLOCK) + taps.div_ceil(SUMMATION_BLOCK);
        let proven = sums as f64 / 2.0;
        let exact = Candidate {
            algorithm: self.exact.algorithm(&self.exact.schedule(demand, threads)),
            cost: self.exact.cost(&one),
            bound: ErrorBound { proven, observed: proven },
            admitted: !self.forced,
        };
        let candidate = |other: Other<T>| Candidate {
            algorithm: other.reordering.algorithm(),
            cost: cost(&one, other.reordering),
            bound: other.bound,
            admitted: self.others.iter().any(|admitted| admitted.reordering == other.reordering),
        };
        let others = Self::others(&self.config, self.isa, |_| true).into_iter().map(candidate);
        let mut all: Vec<Candidate> = core::iter::once(exact).chain(others).collect();
        let runs = self.algorithm(&self.schedule(demand, threads));
        all.sort_by_key(|candidate| (candidate.algorithm != runs, !candidate.admitted, candidate.cost));
        let mut transforms = 0;
        all.retain(|candidate| {
            transforms += usize::from(candidate.algorithm == Algorithm::Fft);
            candidate.algorithm != Algorithm::Fft || transforms == 1
        });
        all
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
        let other = self.others.iter().find(|other| other.reordering == reordering).expect("chosen from them");
        let (origin, mode) = (problem.pads.begins().map(|pad| -(pad as isize)), problem.mode);
        Either::Second(match other.weights.get_or_init(|| self.weights(reordering)) {
            Weights::Winograd(weights) => Either::First(Winograd { weights, activation, origin, mode }),
            Weights::Fft(weights) => Either::Second(Frequency { weights, activation, origin, mode }),
        })
    }

    fn weights(&self, reordering: Reordering) -> Weights<T> {
        let Conv2d { in_channels, out_channels, groups, .. } = self.config;
        let (isa, group) = (self.isa, [in_channels / groups, out_channels / groups]);
        let weight = |group: usize, row: usize, tap: usize| self.exact.weight(group, row, tap);
        let bias = self.exact.bias().map(<[T]>::to_vec);
        match reordering {
            Reordering::Winograd(tiling) => {
                Weights::Winograd(winograd::Weights::new(tiling, isa, groups, group, bias, weight))
            }
            Reordering::Fft(spectrum) => {
                Weights::Fft(frequency::Weights::new(spectrum, isa, groups, group, bias, weight))
            }
        }
    }
}

/// What one sample costs with one thread.
fn cost(demand: &Demand, reordering: Reordering) -> usize {
    match reordering {
        Reordering::Winograd(tiling) => Tiles::new(demand, tiling).cost(),
        Reordering::Fft(spectrum) => spectra::cost(demand, spectrum),
    }
}

fn unsupported<T>(wanted: Option<Algorithm>, others: &[Other<T>]) -> Error {
    let mut names: Vec<String> = others.iter().map(|other| other.reordering.algorithm().to_string()).collect();
    names.dedup();
    Error::Unsupported {
        argument: "algorithm",
        axis: Axis::All,
        found: wanted.map_or_else(String::new, |algorithm| algorithm.to_string()),
        expected: match &names[..] {
            [] => {
                "an algorithm that sums in the exact order: there is no other for this configuration and element type"
                    .into()
            }
            names => format!("one of {}, or one that sums in the exact order", names.join(", ")),
        },
    }
}
