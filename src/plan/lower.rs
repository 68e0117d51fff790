//! From recipes to plans: weights in the order in which they will be read.

use core::iter::repeat_n;

use ndarray::ArrayView4;

use crate::activation::Activation;
use crate::algo::depthwise::{self, Depthwise};
use crate::algo::image::Sampling;
use crate::algo::implicit_gemm::{self, ImplicitGemm, Weights};
use crate::algo::transposed::borders::Borders;
use crate::algo::transposed::{Phases, Transposed};
use crate::algo::window::Window;
use crate::algo::woven::Woven;
use crate::algo::{Either, Schedule};
use crate::algorithm::Algorithm;
use crate::config::{Conv2d, PaddingMode};
use crate::element::Element;
use crate::error::Error;
use crate::gemm::PackedWeights;
use crate::gemm::blocking::{Lanes, TileShape};
use crate::geometry::Problem;
use crate::numerics::SUMMATION_BLOCK;
use crate::parts::Chunks;
use crate::plan::choose;
use crate::plan::recipe::{Merged, Phase, Product, Recipe};
use crate::plan::schedule::{Demand, Taps};
use crate::simd::Isa;

/// A convolution with its weights.
#[derive(Clone, Debug)]
pub(crate) enum ConvolutionPlan<T> {
    Product(ProductPlan<T>, &'static [Lanes]),
    Depthwise(depthwise::Weights<T>),
}

/// A convolution as a matrix product, with its weights.
#[derive(Clone, Debug)]
pub(crate) struct ProductPlan<T> {
    window: Window,
    weights: Weights<T>,
    skip_zeros: bool,
}

impl<T: Element> ConvolutionPlan<T> {
    pub(crate) fn new(
        config: &Conv2d,
        isa: Isa,
        algorithm: Option<Algorithm>,
        weight: ArrayView4<'_, T>,
        bias: Option<Vec<T>>,
    ) -> Result<Self, Error> {
        let recipe = choose::convolution(config, TileShape::of::<T>(isa), algorithm)?;
        let (taps, rows) = (weight.len() / config.out_channels, config.out_channels / config.groups);
        let weight = weight.as_standard_layout();
        let weight = weight.as_slice().expect("standard layout");
        let at = |group: usize, row: usize, tap: usize| weight[(group * rows + row) * taps + tap];
        Ok(Self::of_recipe(recipe, config, isa, bias, at))
    }

    /// With a weight for each group, output channel of it, and tap.
    fn of_recipe(
        recipe: Recipe,
        config: &Conv2d,
        isa: Isa,
        bias: Option<Vec<T>>,
        weight: impl Fn(usize, usize, usize) -> T,
    ) -> Self {
        match recipe {
            Recipe::ImplicitGemm { product, kinds } => {
                let weight = |group: usize, row: usize, tap: usize, _: usize| Some(weight(group, row, tap));
                ConvolutionPlan::Product(ProductPlan::from_product(product, isa, config.groups, bias, weight), kinds)
            }
            Recipe::Depthwise { window, group } => {
                let channels =
                    (0..config.groups).flat_map(|group_index| (0..group[1]).map(move |row| (group_index, row)));
                let of_channel = group[0] * window.len();
                let taps = channels.flat_map(|(group, row)| (0..of_channel).map(move |tap| (group, row, tap)));
                let taps = taps.map(|(group, row, tap)| weight(group, row, tap)).collect();
                ConvolutionPlan::Depthwise(depthwise::Weights { isa, window, group, taps, bias })
            }
            Recipe::Phases(_) | Recipe::Merged(_) => unreachable!("only a transposed convolution has phases"),
        }
    }

    fn finite(&self) -> bool {
        match self {
            ConvolutionPlan::Product(plan, _) => plan.weights.packed.finite(),
            ConvolutionPlan::Depthwise(weights) => weights.taps.iter().all(|weight| weight.finite()),
        }
    }

    /// The weight of a group, output channel of it, and tap of all its input channels.
    pub(crate) fn weight(&self, group: usize, row: usize, tap: usize) -> T {
        match self {
            ConvolutionPlan::Product(plan, _) => plan.weights.packed.weight(group, row, tap),
            ConvolutionPlan::Depthwise(weights) => {
                let taps = weights.group[0] * weights.window.len();
                weights.taps[(group * weights.group[1] + row) * taps + tap]
            }
        }
    }

    pub(crate) fn bias(&self) -> Option<&[T]> {
        match self {
            ConvolutionPlan::Product(plan, _) => plan.weights.bias.as_deref(),
            ConvolutionPlan::Depthwise(weights) => weights.bias.as_deref(),
        }
    }

    /// What it takes with one thread, in multiply-adds of a vector.
    pub(crate) fn cost(&self, demand: &Demand) -> usize {
        match self {
            ConvolutionPlan::Product(_, kinds) => Demand { kinds, ..*demand }.least_cost(1),
            ConvolutionPlan::Depthwise(_) => demand.plane_cost(),
        }
    }

    /// How the work is cut.
    pub(crate) fn schedule(&self, demand: &Demand, threads: usize) -> Schedule {
        match self {
            ConvolutionPlan::Product(_, kinds) => Demand { kinds, ..*demand }.schedule(threads),
            ConvolutionPlan::Depthwise(_) => demand.schedule_planes(threads),
        }
    }

    /// What such a schedule runs.
    pub(crate) fn algorithm(&self, schedule: &Schedule) -> Algorithm {
        match self {
            ConvolutionPlan::Product(..) => schedule.lanes.algorithm(),
            ConvolutionPlan::Depthwise(_) => Algorithm::Direct,
        }
    }

    /// The stage for inputs of the problem's size.
    pub(crate) fn stage<'a>(
        &'a self,
        problem: &Problem,
        activation: &'a Activation<T>,
        lanes: Lanes,
    ) -> ConvolutionStage<'a, T> {
        self.stage_at(problem, problem.pads.begins().map(|pad| -(pad as isize)), activation, lanes)
    }

    /// The same with a first window that begins at these positions.
    pub(crate) fn stage_at<'a>(
        &'a self,
        problem: &Problem,
        origin: [isize; 2],
        activation: &'a Activation<T>,
        lanes: Lanes,
    ) -> ConvolutionStage<'a, T> {
        match self {
            ConvolutionPlan::Product(plan, _) => {
                Either::First(plan.stage_at(problem.stride, origin, problem.mode, activation, lanes))
            }
            ConvolutionPlan::Depthwise(weights) => {
                let sampling = Sampling { window: &weights.window, step: problem.stride, origin, mode: problem.mode };
                Either::Second(Depthwise { weights, activation, sampling })
            }
        }
    }
}

/// The stage of either plan.
pub(crate) type ConvolutionStage<'a, T> = Either<ImplicitGemm<'a, T>, Depthwise<'a, T>>;

impl<T: Element> ProductPlan<T> {
    /// Always a product: for convolutions whose pixels come from elsewhere.
    pub(crate) fn new(config: &Conv2d, isa: Isa, weight: ArrayView4<'_, T>, bias: Option<Vec<T>>) -> Self {
        let product = choose::product(config, TileShape::of::<T>(isa));
        let taps = config.in_channels / config.groups * product.window.len();
        let rows = config.out_channels / config.groups;
        let weight = weight.as_standard_layout();
        let weight = weight.as_slice().expect("standard layout");
        let at = |group: usize, row: usize, tap: usize, _: usize| Some(weight[(group * rows + row) * taps + tap]);
        Self::from_product(product, isa, config.groups, bias, at)
    }

    /// With a weight for each group, row of it, tap and block of taps, where there is one.
    fn from_product(
        Product { panels, window }: Product,
        isa: Isa,
        groups: usize,
        bias: Option<Vec<T>>,
        weight: impl Fn(usize, usize, usize, usize) -> Option<T>,
    ) -> Self {
        let packed = PackedWeights::new(groups, panels, window.blocks(), weight);
        let weights = Weights { isa, packed, bias };
        ProductPlan { window, skip_zeros: weights.may_skip_zeros(), weights }
    }

    pub(crate) fn weights(&self) -> &Weights<T> {
        &self.weights
    }

    fn stage_at<'a>(
        &'a self,
        step: [usize; 2],
        origin: [isize; 2],
        mode: PaddingMode,
        activation: &'a Activation<T>,
        lanes: Lanes,
    ) -> ImplicitGemm<'a, T> {
        let product = implicit_gemm::Product { weights: &self.weights, activation, lanes, woven: Woven::NOT };
        let skip_zeros = mode == PaddingMode::Zeros && self.skip_zeros;
        ImplicitGemm { product, sampling: Sampling { window: &self.window, step, origin, mode }, skip_zeros }
    }
}

/// A transposed convolution with its weights.
#[derive(Clone, Debug)]
pub(crate) struct TransposedPlan<T> {
    isa: Isa,
    parts: Parts<T>,
    bias: Option<Vec<T>>,
    finite: bool,
    /// For [`Borders`], where they are needed.
    borders: Option<Vec<T>>,
}

/// Columns of phases that are kept in working memory until all are there.
const MOST_KEPT: usize = 8;

/// Its phases, each with the place of its first output, or all in one.
#[derive(Clone, Debug)]
enum Parts<T> {
    Phases(Vec<([usize; 2], ConvolutionPlan<T>)>),
    Merged { plan: Box<ProductPlan<T>>, kinds: &'static [Lanes], lead: [usize; 2] },
}

impl<T: Element> TransposedPlan<T> {
    pub(crate) fn new(config: &Conv2d, isa: Isa, weight: ArrayView4<'_, T>, bias: Option<Vec<T>>) -> Self {
        let taps = config.kernel[0] * config.kernel[1];
        let (groups, rows) = (config.groups, config.out_channels / config.groups);
        let in_channels = config.in_channels / config.groups;
        let weight = weight.as_standard_layout();
        let weight = weight.as_slice().expect("standard layout");
        // Weight of an input channel of a group, an output channel of it, and a position in the flipped kernel.
        let at = |group: usize, channel: usize, row: usize, position: usize| {
            weight[((group * in_channels + channel) * rows + row) * taps + taps - 1 - position]
        };
        let parts = match choose::transposed(config, TileShape::of::<T>(isa)) {
            Recipe::Phases(phases) => {
                let plan = |phase: Phase| {
                    let len = phase.positions.len();
                    let of_phase =
                        |group: usize, row: usize, tap: usize| at(group, tap / len, row, phase.positions[tap % len]);
                    (phase.place, ConvolutionPlan::of_recipe(phase.recipe, config, isa, bias.clone(), of_phase))
                };
                Parts::Phases(phases.into_iter().map(plan).collect())
            }
            Recipe::Merged(Merged { product, kinds, lead, positions }) => {
                let (len, width, [_, columns]) = (product.window.len(), positions[1].len(), config.stride);
                let count = config.stride[0] * columns;
                let of_row = |group: usize, row: usize, tap: usize, block: usize| {
                    let (channel, tap, phase) = (tap / len, tap % len, row % count);
                    let position = positions[0][tap / width][phase / columns]? * config.kernel[1]
                        + positions[1][tap % width][phase % columns]?;
                    let here = (channel * taps + position) / SUMMATION_BLOCK == block;
                    here.then(|| at(group, channel, row / count, position))
                };
                let bias = bias.as_ref().map(|bias| bias.iter().flat_map(|&bias| repeat_n(bias, count)).collect());
                Parts::Merged {
                    plan: Box::new(ProductPlan::from_product(product, isa, groups, bias, of_row)),
                    kinds,
                    lead,
                }
            }
            recipe => unreachable!("not a transposed convolution: {recipe:?}"),
        };
        // Every tap belongs to a phase.
        let finite = match &parts {
            Parts::Phases(phases) => phases.iter().all(|(_, plan)| plan.finite()),
            Parts::Merged { plan, .. } => plan.weights.packed.finite(),
        };
        let borders = (!finite || config.padding_mode != PaddingMode::Zeros).then(|| {
            let channels = (0..groups).flat_map(|group| (0..in_channels).map(move |channel| (group, channel)));
            let columns = channels.flat_map(|(group, channel)| (0..taps).map(move |tap| (group, channel, tap)));
            columns.flat_map(|(group, channel, tap)| (0..rows).map(move |row| at(group, channel, row, tap))).collect()
        });
        TransposedPlan { isa, parts, bias, finite, borders }
    }

    /// Whether phases are computed in working memory, a row of them at a time: if each has taps, and they are few enough.
    fn weaves(&self, stride: [usize; 2]) -> bool {
        match &self.parts {
            Parts::Phases(phases) => (2..=MOST_KEPT).contains(&stride[1]) && phases.len() == stride[0] * stride[1],
            Parts::Merged { .. } => false,
        }
    }

    /// How the work is cut. `demand` is that of a phase.
    pub(crate) fn schedule(&self, demand: &Demand, threads: usize) -> Schedule {
        match &self.parts {
            Parts::Phases(phases) => match phases.first() {
                Some((_, plan)) => {
                    let kept = if self.weaves(demand.phases) { demand.phases[1] } else { 0 };
                    plan.schedule(&Demand { kept, ..*demand }, threads)
                }
                None => demand.schedule(threads),
            },
            Parts::Merged { plan, kinds, lead } => {
                let (panels, count) = (plan.weights.packed.panels(), demand.phases[0] * demand.phases[1]);
                let total = demand.units.total * count;
                let size = if panels.total == total { panels.size } else { panels.total };
                let merged = Demand {
                    kinds,
                    lead: *lead,
                    units: Chunks { total, size },
                    channels_per_group: panels.total,
                    taps: Taps { kernel: plan.window.kernel(), ..demand.taps },
                    ..*demand
                };
                let schedule = merged.schedule(threads);
                let units = Chunks { total: demand.units.total, size: (size / count).min(demand.units.total) };
                Schedule { units, ..schedule }
            }
        }
    }

    /// The stage for inputs of the problem's size.
    pub(crate) fn stage<'a>(
        &'a self,
        config: &Conv2d,
        problem: &'a Problem,
        activation: &'a Activation<T>,
        lanes: Lanes,
    ) -> Transposed<'a, T, ConvolutionStage<'a, T>> {
        let once = Problem { stride: [1, 1], mode: PaddingMode::Zeros, ..*problem };
        let phases = match &self.parts {
            Parts::Phases(phases) => {
                let phase = |(place, plan): &'a ([usize; 2], ConvolutionPlan<T>)| {
                    (*place, plan.stage_at(&once, [0, 0], &Activation::None, lanes))
                };
                let stages = phases.iter().map(phase);
                if self.weaves(problem.stride) {
                    Phases::Rows(stages.map(|(_, stage)| stage).collect())
                } else {
                    Phases::Each(stages.collect())
                }
            }
            Parts::Merged { plan, lead, .. } => {
                let stage = plan.stage_at([1, 1], [0, 0], PaddingMode::Zeros, &Activation::None, lanes);
                Phases::Woven(stage, *lead)
            }
        };
        let bias = self.bias.as_deref();
        let borders = self.borders.as_deref().map(|weights| Borders {
            isa: self.isa,
            problem,
            kernel: config.kernel,
            dilation: config.dilation,
            weights,
            bias,
            finite: self.finite,
        });
        Transposed { isa: self.isa, phases, stride: problem.stride, bias, activation, borders }
    }
}
