//! From recipes to plans: weights in the order in which they will be read.

use ndarray::ArrayView4;

use crate::activation::Activation;
use crate::algo::depthwise::{self, Depthwise};
use crate::algo::image::Sampling;
use crate::algo::implicit_gemm::{self, ImplicitGemm, Weights};
use crate::algo::window::Window;
use crate::algo::woven::Woven;
use crate::algo::{Either, Schedule, may_skip_zeros};
use crate::algorithm::Algorithm;
use crate::config::{Conv2d, PaddingMode};
use crate::element::Element;
use crate::error::Error;
use crate::gemm::PackedWeights;
use crate::gemm::blocking::{Lanes, TileShape};
use crate::geometry::Problem;
use crate::plan::choose;
use crate::plan::others::WeightSource;
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
    pub(super) window: Window,
    pub(super) weights: Weights<T>,
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
    pub(super) fn of_recipe(
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
                let taps: Vec<T> = taps.map(|(group, row, tap)| weight(group, row, tap)).collect();
                let skip_zeros = may_skip_zeros(taps.iter().all(|tap| tap.finite()), bias.as_deref());
                ConvolutionPlan::Depthwise(depthwise::Weights { isa, window, group, taps, bias, skip_zeros })
            }
            Recipe::Phases(_) | Recipe::Merged(_) => unreachable!("only a transposed convolution has phases"),
        }
    }

    pub(super) fn finite(&self) -> bool {
        match self {
            ConvolutionPlan::Product(plan, _) => plan.weights.packed.finite(),
            ConvolutionPlan::Depthwise(weights) => weights.taps.iter().all(|weight| weight.finite()),
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

impl<T: Element> WeightSource<T> for ConvolutionPlan<T> {
    fn weight(&self, group: usize, row: usize, tap: usize) -> T {
        match self {
            ConvolutionPlan::Product(plan, _) => plan.weights.packed.weight(group, row, tap),
            ConvolutionPlan::Depthwise(weights) => {
                let taps = weights.group[0] * weights.window.len();
                weights.taps[(group * weights.group[1] + row) * taps + tap]
            }
        }
    }

    fn bias(&self) -> Option<Vec<T>> {
        match self {
            ConvolutionPlan::Product(plan, _) => plan.weights.bias.clone(),
            ConvolutionPlan::Depthwise(weights) => weights.bias.clone(),
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
    pub(super) fn from_product(
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

    pub(super) fn stage_at<'a>(
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
