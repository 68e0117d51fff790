//! From recipes to plans: weights in the order in which they will be read.

use ndarray::ArrayView4;

use crate::activation::Activation;
use crate::algo::depthwise::{self, Depthwise};
use crate::algo::image::Sampling;
use crate::algo::implicit_gemm::{self, ImplicitGemm, Weights};
use crate::algo::transposed::borders::Borders;
use crate::algo::transposed::{Phase, Transposed};
use crate::algo::window::Window;
use crate::algo::{Either, Schedule};
use crate::algorithm::Algorithm;
use crate::config::{Conv2d, PaddingMode};
use crate::element::Element;
use crate::error::Error;
use crate::gemm::PackedWeights;
use crate::gemm::blocking::{Lanes, TileShape};
use crate::geometry::Problem;
use crate::plan::choose;
use crate::plan::recipe::{Product, Recipe};
use crate::plan::schedule::Demand;
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
        Ok(match choose::convolution(config, TileShape::of::<T>(isa), algorithm)? {
            Recipe::ImplicitGemm { product, kinds } => {
                ConvolutionPlan::Product(ProductPlan::of_product(product, config, isa, weight, bias), kinds)
            }
            Recipe::Depthwise { window, group } => {
                let taps = weight.iter().copied().collect();
                ConvolutionPlan::Depthwise(depthwise::Weights { isa, window, group, taps, bias })
            }
            Recipe::Phases(_) => unreachable!("only a transposed convolution has phases"),
        })
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
        Self::of_product(choose::product(config, TileShape::of::<T>(isa)), config, isa, weight, bias)
    }

    fn of_product(
        product: Product,
        config: &Conv2d,
        isa: Isa,
        weight: ArrayView4<'_, T>,
        bias: Option<Vec<T>>,
    ) -> Self {
        let taps = config.in_channels / config.groups * product.window.len();
        let rows = config.out_channels / config.groups;
        let weight = weight.as_standard_layout();
        let weight = weight.as_slice().expect("standard layout");
        let at = |group: usize, row: usize, tap: usize| weight[(group * rows + row) * taps + tap];
        Self::from_product(product, isa, config.groups, bias, at)
    }

    fn from_product(
        Product { panels, window }: Product,
        isa: Isa,
        groups: usize,
        bias: Option<Vec<T>>,
        weight: impl Fn(usize, usize, usize) -> T,
    ) -> Self {
        let packed = PackedWeights::new(groups, panels, window.block_ends().to_vec(), weight);
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
        let product = implicit_gemm::Product { weights: &self.weights, activation, lanes };
        let skip_zeros = mode == PaddingMode::Zeros && self.skip_zeros;
        ImplicitGemm { product, sampling: Sampling { window: &self.window, step, origin, mode }, skip_zeros }
    }
}

/// A transposed convolution with its weights.
#[derive(Clone, Debug)]
pub(crate) struct TransposedPlan<T> {
    isa: Isa,
    phases: Vec<([usize; 2], ProductPlan<T>)>,
    bias: Option<Vec<T>>,
    finite: bool,
    /// For [`Borders`], where they are needed.
    borders: Option<Vec<T>>,
}

impl<T: Element> TransposedPlan<T> {
    pub(crate) fn new(config: &Conv2d, isa: Isa, weight: ArrayView4<'_, T>, bias: Option<Vec<T>>) -> Self {
        let Recipe::Phases(recipes) = choose::transposed(config, TileShape::of::<T>(isa)) else {
            unreachable!("a transposed convolution is computed by phases");
        };
        let taps = config.kernel[0] * config.kernel[1];
        let (groups, rows) = (config.groups, config.out_channels / config.groups);
        let in_channels = config.in_channels / config.groups;
        let weight = weight.as_standard_layout();
        let weight = weight.as_slice().expect("standard layout");
        // Weight of an input channel of a group, an output channel of it, and a position in the flipped kernel.
        let at = |group: usize, channel: usize, row: usize, position: usize| {
            weight[((group * in_channels + channel) * rows + row) * taps + taps - 1 - position]
        };
        let phases = recipes.into_iter().map(|phase| {
            let len = phase.positions.len();
            let of_phase = |group: usize, row: usize, tap: usize| at(group, tap / len, row, phase.positions[tap % len]);
            let plan = ProductPlan::from_product(phase.product, isa, groups, bias.clone(), of_phase);
            (phase.residues, plan)
        });
        let phases: Vec<_> = phases.collect();
        // Every tap belongs to a phase.
        let finite = phases.iter().all(|(_, plan): &(_, ProductPlan<T>)| plan.weights.packed.finite());
        let borders = (!finite || config.padding_mode != PaddingMode::Zeros).then(|| {
            let channels = (0..groups).flat_map(|group| (0..in_channels).map(move |channel| (group, channel)));
            let columns = channels.flat_map(|(group, channel)| (0..taps).map(move |tap| (group, channel, tap)));
            columns.flat_map(|(group, channel, tap)| (0..rows).map(move |row| at(group, channel, row, tap))).collect()
        });
        TransposedPlan { isa, phases, bias, finite, borders }
    }

    /// The stage for inputs of the problem's size.
    pub(crate) fn stage<'a>(
        &'a self,
        config: &Conv2d,
        problem: &'a Problem,
        activation: &'a Activation<T>,
        lanes: Lanes,
    ) -> Transposed<'a, T, ImplicitGemm<'a, T>> {
        let phase = |(residues, plan): &'a ([usize; 2], ProductPlan<T>)| Phase {
            residues: *residues,
            stage: plan.stage_at([1, 1], [0, 0], PaddingMode::Zeros, &Activation::None, lanes),
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
        Transposed {
            isa: self.isa,
            phases: self.phases.iter().map(phase).collect(),
            stride: problem.stride,
            crop: problem.pads.begins(),
            bias,
            activation,
            borders,
        }
    }
}
