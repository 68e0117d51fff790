//! The orders of summation beside the exact one, of which the sizes of each input choose one, or none.

use std::sync::OnceLock;

use crate::activation::Activation;
use crate::algo::frequency::{self, Frequency};
use crate::algo::winograd::{self, Winograd};
use crate::algo::woven::Woven;
use crate::algo::{Either, Reordering, Schedule};
use crate::algorithm::{Algorithm, Candidate, ErrorBound};
use crate::config::{Conv2d, PaddingMode};
use crate::element::{Element, floats_only};
use crate::error::{Axis, Error};
use crate::numerics::Numerics;
use crate::plan::schedule::Demand;
use crate::plan::spectra;
use crate::plan::tiles::Tiles;
use crate::simd::Isa;

/// The other orders of a convolution.
#[derive(Clone, Debug)]
pub(super) struct Others<T> {
    config: Conv2d,
    isa: Isa,
    /// All that there are.
    all: fn(&Conv2d, Isa) -> Vec<Reordering>,
    /// Those that are admitted, the one that errs the least first.
    admitted: Vec<Other<T>>,
    /// Whether it must be one of them.
    forced: bool,
}

/// One of them, with weights that are worked out when they are first wanted.
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
pub(super) type OtherStage<'a, T> = Either<Winograd<'a, T>, Frequency<'a, T>>;

/// Where the weights of a convolution are found.
pub(super) trait WeightSource<T> {
    /// That of a group, output channel of it, and tap of all its input channels.
    fn weight(&self, group: usize, row: usize, tap: usize) -> T;
    fn bias(&self) -> Option<Vec<T>>;
}

impl<T: Element> Others<T> {
    /// Those that the configuration's numerics admit, or the one that is wanted, of all that there are for a configuration of this kind.
    pub(super) fn new(
        config: &Conv2d,
        isa: Isa,
        wanted: Option<Algorithm>,
        all: fn(&Conv2d, Isa) -> Vec<Reordering>,
    ) -> Result<Self, Error> {
        let forced = matches!(wanted, Some(Algorithm::Winograd(_) | Algorithm::Fft));
        let mut others = Others { config: *config, isa, all, admitted: Vec::new(), forced };
        // Not worked out where none is admitted.
        if forced || (wanted.is_none() && config.numerics != Numerics::Exact) {
            others.admitted = others.all();
        }
        others.admitted.retain(|other| match (wanted, config.numerics) {
            (Some(wanted), _) => other.reordering.algorithm() == wanted,
            (None, Numerics::Within(limit)) => other.bound.proven <= f64::from(limit),
            (None, _) => true,
        });
        match wanted {
            Some(wanted) if forced && others.admitted.is_empty() => Err(unsupported(wanted, &all(config, isa))),
            _ => Ok(others),
        }
    }

    /// All that there are, the one that errs the least first.
    fn all(&self) -> Vec<Other<T>> {
        let channels = self.config.in_channels / self.config.groups;
        let other = |reordering: Reordering| Other {
            reordering,
            bound: reordering.error_bound(channels),
            weights: OnceLock::new(),
        };
        let mut all: Vec<_> = (self.all)(&self.config, self.isa).into_iter().map(other).collect();
        all.sort_by(|a, b| a.bound.observed.total_cmp(&b.bound.observed));
        all
    }

    /// Whether it must be one of them.
    pub(super) fn forced(&self) -> bool {
        self.forced
    }

    /// All ways, of Fourier transforms only the cheapest: first the one that runs, then what else is admitted, by cost.
    pub(super) fn candidates(&self, exact: Candidate, demand: &Demand, runs: Algorithm) -> Vec<Candidate> {
        let one = Demand { batch: 1, ..*demand };
        let candidate = |other: Other<T>| Candidate {
            algorithm: other.reordering.algorithm(),
            cost: cost(&one, other.reordering),
            bound: other.bound,
            admitted: self.admitted.iter().any(|admitted| admitted.reordering == other.reordering),
        };
        let others = self.all().into_iter().map(candidate);
        let mut all: Vec<Candidate> = core::iter::once(exact).chain(others).collect();
        all.sort_by_key(|candidate| (candidate.algorithm != runs, !candidate.admitted, candidate.cost));
        let mut transforms = 0;
        all.retain(|candidate| {
            transforms += usize::from(candidate.algorithm == Algorithm::Fft);
            candidate.algorithm != Algorithm::Fft || transforms == 1
        });
        all
    }

    /// The one that runs instead of the exact order: the one that is expected to take the least, if that is less by an eighth. Of those that are
    /// within a fiftieth of the fastest it is the one that errs the least: costs are guesses. The choice depends neither on the threads nor on the
    /// batch, since it changes bits.
    pub(super) fn chosen(&self, demand: &Demand, exact: impl FnOnce(&Demand) -> usize) -> Option<Reordering> {
        let one = Demand { batch: 1, ..*demand };
        let least = self.admitted.iter().map(|other| cost(&one, other.reordering)).min()?;
        if !self.forced && least >= exact(&one) / 8 * 7 {
            return None;
        }
        let close = |other: &&Other<T>| cost(&one, other.reordering) <= least + least / 50;
        self.admitted.iter().find(close).map(|other| other.reordering)
    }

    /// The stage of one of them.
    pub(super) fn stage<'a>(
        &'a self,
        reordering: Reordering,
        weights: &impl WeightSource<T>,
        activation: &'a Activation<T>,
        origin: [isize; 2],
        mode: PaddingMode,
    ) -> OtherStage<'a, T> {
        let other = self.admitted.iter().find(|other| other.reordering == reordering).expect("chosen from them");
        match other.weights.get_or_init(|| self.weights(reordering, weights)) {
            Weights::Winograd(weights) => {
                Either::First(Winograd { weights, activation, origin, mode, woven: Woven::NOT })
            }
            Weights::Fft(weights) => Either::Second(Frequency { weights, activation, origin, mode }),
        }
    }

    fn weights(&self, reordering: Reordering, weights: &impl WeightSource<T>) -> Weights<T> {
        floats_only!(T);
        let Conv2d { in_channels, out_channels, groups, .. } = self.config;
        let (isa, group) = (self.isa, [in_channels / groups, out_channels / groups]);
        let (bias, weight) = (weights.bias(), |group, row, tap| weights.weight(group, row, tap));
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

/// How the work is cut.
pub(super) fn schedule(demand: &Demand, reordering: Reordering, threads: usize) -> Schedule {
    match reordering {
        Reordering::Winograd(tiling) => Tiles::new(demand, tiling).schedule(threads),
        Reordering::Fft(spectrum) => spectra::schedule(demand, spectrum, threads),
    }
}

/// There is no such order, but maybe these.
pub(super) fn unsupported(wanted: Algorithm, others: &[Reordering]) -> Error {
    let mut names: Vec<String> = others.iter().map(|other| other.algorithm().to_string()).collect();
    names.dedup();
    Error::Unsupported {
        argument: "algorithm",
        axis: Axis::All,
        found: wanted.to_string(),
        expected: match &names[..] {
            [] => {
                "an algorithm that sums in the exact order: there is no other for this configuration and element type"
                    .into()
            }
            names => format!("one of {}, or one that sums in the exact order", names.join(", ")),
        },
    }
}
