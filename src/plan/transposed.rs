//! The plan of a transposed convolution: by phases, or with all phases as channels of one convolution.

use core::iter::repeat_n;
use std::sync::OnceLock;

use ndarray::ArrayView4;

use crate::activation::Activation;
use crate::algo::transposed::borders::Borders;
use crate::algo::transposed::{AxisPhase, Joint, Phases, Transposed};
use crate::algo::woven::Woven;
use crate::algo::{Either, Schedule};
use crate::algorithm::{Algorithm, Candidate};
use crate::config::{Conv2d, PaddingMode};
use crate::element::Element;
use crate::error::{Axis, Error};
use crate::gemm::blocking::{Lanes, TileShape};
use crate::geometry::{self, Problem};
use crate::numerics::SUMMATION_BLOCK;
use crate::parts::{Chunks, whole_chunks};
use crate::plan::choose;
use crate::plan::layer::exact_bound;
use crate::plan::lower::{ConvolutionPlan, ConvolutionStage, ProductPlan};
use crate::plan::others::{self, Others, WeightSource};
use crate::plan::recipe::{Joined, Merged, OnePixel, Phase, Recipe};
use crate::plan::schedule::{Demand, Taps};
use crate::simd::Isa;

/// A transposed convolution with its weights.
#[derive(Clone, Debug)]
pub(crate) struct TransposedPlan<T> {
    config: Conv2d,
    isa: Isa,
    parts: Parts<T>,
    bias: Option<Vec<T>>,
    finite: bool,
    /// For [`Borders`], where they are needed.
    borders: Option<Vec<T>>,
    /// Other orders of summation, if any are admitted.
    others: Option<(Joined, Others<T>)>,
    /// For inputs of one pixel, if there is a product for them: made of the other weights when the first one comes.
    one_pixel: OnceLock<Option<ProductPlan<T>>>,
}

/// Columns of phases that are kept in working memory until all are there.
const MOST_KEPT: usize = 8;

/// Its phases, each with the place of its first output, or all in one.
#[derive(Clone, Debug)]
enum Parts<T> {
    Phases(Vec<([usize; 2], ConvolutionPlan<T>)>),
    Merged { plan: Box<ProductPlan<T>>, kinds: &'static [Lanes], joined: Joined },
}

impl<T: Element> TransposedPlan<T> {
    pub(crate) fn new(
        config: &Conv2d,
        isa: Isa,
        algorithm: Option<Algorithm>,
        weight: ArrayView4<'_, T>,
        bias: Option<Vec<T>>,
    ) -> Result<Self, Error> {
        let taps = config.kernel[0] * config.kernel[1];
        let (groups, rows) = (config.groups, config.out_channels / config.groups);
        let in_channels = config.in_channels / config.groups;
        let weight = weight.as_standard_layout();
        let weight = weight.as_slice().expect("standard layout");
        // Weight of an input channel of a group, an output channel of it, and a position in the flipped kernel.
        let at = |group: usize, channel: usize, row: usize, position: usize| {
            weight[((group * in_channels + channel) * rows + row) * taps + taps - 1 - position]
        };
        let shape = TileShape::of::<T>(isa);
        let parts = match choose::transposed(config, shape) {
            Recipe::Phases(phases) => {
                let plan = |phase: Phase| {
                    let len = phase.positions.len();
                    let of_phase =
                        |group: usize, row: usize, tap: usize| at(group, tap / len, row, phase.positions[tap % len]);
                    (phase.place, ConvolutionPlan::of_recipe(phase.recipe, config, isa, bias.clone(), of_phase))
                };
                Parts::Phases(phases.into_iter().map(plan).collect())
            }
            Recipe::Merged(Merged { product, kinds, joined }) => {
                let (len, count) = (product.window.len(), joined.count());
                let of_row = |group: usize, row: usize, tap: usize, block: usize| {
                    let (row, phase) = joined.of_row(row);
                    let [high, wide] = joined.position(tap % len, phase)?;
                    let (channel, position) = (tap / len, high * config.kernel[1] + wide);
                    let here = (channel * taps + position) / SUMMATION_BLOCK == block;
                    here.then(|| at(group, channel, row, position))
                };
                let bias = bias.as_deref().map(|bias| {
                    let of_group =
                        |bias: &[T]| (0..rows * count).map(|row| bias[joined.of_row(row).0]).collect::<Vec<_>>();
                    bias.chunks_exact(rows).flat_map(of_group).collect()
                });
                let plan = Box::new(ProductPlan::from_product(product, isa, groups, bias, of_row));
                Parts::Merged { plan, kinds, joined }
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
        // A tap that is not there is multiplied as a zero in other orders, which only finite weights allow.
        let others = choose::joined_convolution(config, shape).filter(|_| finite);
        let others = others
            .map(|(joined, convolution)| Ok((joined, Others::new(&convolution, isa, algorithm, choose::tilings::<T>)?)))
            .transpose()?;
        if let Some(wanted) = algorithm.filter(|_| !others.as_ref().is_some_and(|(_, others)| others.forced())) {
            return Err(Error::Unsupported {
                argument: "algorithm",
                axis: Axis::All,
                found: wanted.to_string(),
                expected: "none, or Winograd's where there is a tiling for the taps of a phase".into(),
            });
        }
        let one_pixel = OnceLock::new();
        Ok(TransposedPlan { config: *config, isa, parts, bias, finite, borders, others, one_pixel })
    }

    /// Whether phases are computed in working memory, a row of them at a time: if each has taps, and they are few enough.
    fn weaves(&self) -> bool {
        let stride = self.config.stride;
        match &self.parts {
            Parts::Phases(phases) => (2..=MOST_KEPT).contains(&stride[1]) && phases.len() == stride[0] * stride[1],
            Parts::Merged { .. } => false,
        }
    }

    /// The product for an input of one pixel, if this is one.
    fn one_pixel(&self, problem: &Problem) -> Option<&ProductPlan<T>> {
        if problem.input != [1, 1] {
            return None;
        }
        let make = || {
            let OnePixel { product, positions } =
                choose::one_pixel(&self.config, problem.output, TileShape::of::<T>(self.isa))?;
            let count = positions.len();
            let of_row = |group: usize, row: usize, channel: usize, _: usize| {
                Some(self.at(group, channel, row / count, positions[row % count]))
            };
            let bias = of_pixels(self.bias.as_deref(), count);
            Some(ProductPlan::from_product(product, self.isa, self.config.groups, bias, of_row))
        };
        self.one_pixel.get_or_init(make).as_ref()
    }

    /// How the work is cut. `demand` is that of a phase.
    pub(crate) fn schedule(&self, problem: &Problem, demand: &Demand, threads: usize) -> Schedule {
        if let Some((joined, others)) = &self.others {
            let all = of_all(demand, joined);
            let exact = |_: &Demand| self.exact_cost(problem, &Demand { batch: 1, ..*demand });
            if let Some(reordering) = others.chosen(&all, exact) {
                return of_channels(others::schedule(&all, reordering, threads), joined, demand);
            }
        }
        self.exact_schedule(problem, demand, threads)
    }

    fn exact_schedule(&self, problem: &Problem, demand: &Demand, threads: usize) -> Schedule {
        if self.one_pixel(problem).is_some() {
            let schedule = of_one_pixel(demand).schedule(threads);
            return of_outputs(schedule, demand);
        }
        match &self.parts {
            Parts::Phases(phases) => match phases.first() {
                Some((_, plan)) => plan.schedule(&self.kept(demand), threads),
                None => demand.schedule(threads),
            },
            Parts::Merged { kinds, joined, .. } => {
                let all = Demand { kinds, ..of_all(demand, joined) };
                of_channels(all.schedule(threads), joined, demand)
            }
        }
    }

    /// All ways: first the one that runs, then what else is admitted, by cost.
    pub(crate) fn candidates(&self, problem: &Problem, demand: &Demand, threads: usize) -> Vec<Candidate> {
        let algorithm = |schedule: &Schedule| match (&self.parts, schedule.reordering) {
            (_, Some(reordering)) => reordering.algorithm(),
            _ if self.one_pixel(problem).is_some() => schedule.lanes.algorithm(),
            (Parts::Phases(phases), None) => {
                phases.first().map_or(Algorithm::Direct, |(_, plan)| plan.algorithm(schedule))
            }
            (Parts::Merged { .. }, None) => schedule.lanes.algorithm(),
        };
        let exact = Candidate {
            algorithm: algorithm(&self.exact_schedule(problem, demand, threads)),
            cost: self.exact_cost(problem, &Demand { batch: 1, ..*demand }),
            bound: exact_bound(&self.config),
            admitted: !self.others.as_ref().is_some_and(|(_, others)| others.forced()),
        };
        let runs = algorithm(&self.schedule(problem, demand, threads));
        match &self.others {
            Some((joined, others)) => others.candidates(exact, &of_all(demand, joined), runs),
            None => vec![exact],
        }
    }

    /// What the exact order takes with one thread.
    fn exact_cost(&self, problem: &Problem, demand: &Demand) -> usize {
        match &self.parts {
            _ if self.one_pixel(problem).is_some() => of_one_pixel(demand).least_cost(1),
            Parts::Phases(phases) => phases.iter().map(|(_, plan)| plan.cost(&self.kept(demand))).sum(),
            Parts::Merged { kinds, joined, .. } => Demand { kinds, ..of_all(demand, joined) }.least_cost(1),
        }
    }

    /// With the phases that are kept.
    fn kept(&self, demand: &Demand) -> Demand {
        Demand { kept: if self.weaves() { demand.phases[1] } else { 0 }, ..*demand }
    }

    /// The stage for inputs of the problem's size.
    pub(crate) fn stage<'a>(
        &'a self,
        problem: &'a Problem,
        activation: &'a Activation<T>,
        schedule: &Schedule,
    ) -> Transposed<'a, T, ConvolutionStage<'a, T>> {
        let once = Problem { stride: [1, 1], mode: PaddingMode::Zeros, ..*problem };
        let phases = match (&self.parts, self.one_pixel(problem), schedule.reordering.zip(self.others.as_ref())) {
            (_, _, Some((reordering, (joined, others)))) => {
                let origin = joined.offsets.each_ref().map(|offsets| offsets[0]);
                let stage = others.stage(reordering, self, &Activation::None, origin, PaddingMode::Zeros);
                let Either::First(stage) = stage else { unreachable!("none but these are admitted") };
                Phases::Woven(Joint::Winograd(stage), woven(joined))
            }
            (_, Some(plan), None) => {
                let mode = PaddingMode::Zeros;
                Phases::One(plan.stage_at([1, 1], [0, 0], mode, &Activation::None, schedule.lanes))
            }
            (Parts::Phases(phases), ..) => {
                let phase = |(place, plan): &'a ([usize; 2], ConvolutionPlan<T>)| {
                    (*place, plan.stage_at(&once, [0, 0], &Activation::None, schedule.lanes))
                };
                let stages = phases.iter().map(phase);
                if self.weaves() {
                    Phases::Rows(stages.map(|(_, stage)| stage).collect())
                } else {
                    Phases::Each(stages.collect())
                }
            }
            (Parts::Merged { plan, joined, .. }, ..) => {
                let stage = plan.stage_at([1, 1], [0, 0], PaddingMode::Zeros, &Activation::None, schedule.lanes);
                Phases::Woven(Joint::Product(stage), woven(joined))
            }
        };
        let bias = self.bias.as_deref();
        let borders = self.borders.as_deref().map(|weights| Borders {
            isa: self.isa,
            problem,
            kernel: self.config.kernel,
            dilation: self.config.dilation,
            weights,
            bias,
            finite: self.finite,
        });
        Transposed { isa: self.isa, phases, stride: problem.stride, bias, activation, borders }
    }
}

impl<T: Element> TransposedPlan<T> {
    /// The weight of an input channel of a group, an output channel of it, and a position in the flipped kernel, without dilation.
    fn at(&self, group: usize, channel: usize, row: usize, position: [usize; 2]) -> T {
        let phases = match &self.parts {
            Parts::Merged { plan, joined, .. } => {
                let ((high, y), (wide, x)) = (joined.tap(0, position[0]), joined.tap(1, position[1]));
                let (phase, [rows, columns]) = (high * joined.phases[1] + wide, joined.kernel());
                let tap = (channel * rows + y) * columns + x;
                return plan.weights.packed.weight(group, joined.row(row, phase), tap);
            }
            Parts::Phases(phases) => phases,
        };
        let Conv2d { kernel, stride, .. } = self.config;
        // Positions of a phase are a stride apart.
        let along = |axis: usize| {
            let crop = geometry::transposed_crop(&self.config, axis);
            let place = AxisPhase::place_of(kernel[axis] - 1 - position[axis], stride[axis], 1, crop);
            let (number, first) = (position[axis] / stride[axis], position[axis] % stride[axis]);
            (place, number, (kernel[axis] - first).div_ceil(stride[axis]))
        };
        let ((high, y, rows), (wide, x, columns)) = (along(0), along(1));
        let (_, plan) = phases.iter().find(|(place, _)| *place == [high, wide]).expect("a phase that a tap reaches");
        plan.weight(group, row, (channel * rows + y) * columns + x)
    }
}

/// Of the convolution of all phases, without gaps between its taps.
impl<T: Element> WeightSource<T> for TransposedPlan<T> {
    fn weight(&self, group: usize, row: usize, tap: usize) -> T {
        let (joined, _) = self.others.as_ref().expect("asked for by others");
        let [height, width] = joined.kernel();
        let (channel, tap, phase) = (tap / (height * width), tap % (height * width), row % joined.count());
        let position = joined.position(tap, phase);
        position.map_or(T::ZERO, |position| self.at(group, channel, row / joined.count(), position))
    }

    fn bias(&self) -> Option<Vec<T>> {
        self.others.as_ref().and_then(|(joined, _)| of_pixels(self.bias.as_deref(), joined.count()))
    }
}

/// How outputs of all phases become those of the output.
fn woven(Joined { phases, lead, order, .. }: &Joined) -> Woven<'_> {
    Woven { phases: *phases, lead: *lead, order }
}

/// The bias of each channel, for so many outputs of a pixel.
fn of_pixels<T: Element>(bias: Option<&[T]>, count: usize) -> Option<Vec<T>> {
    bias.map(|bias| bias.iter().flat_map(|&bias| repeat_n(bias, count)).collect())
}

/// Where a product has so many rows for each channel: those of a group, in panels, and those of all, in units of whole panels and whole channels, or of whole groups.
fn rows_of(demand: &Demand, count: usize) -> [Chunks; 2] {
    let panels = demand.shape.panels(demand.channels_per_group * count);
    let total = demand.units.total * count;
    let size = if panels.total == total { whole_chunks(panels.size, count) } else { panels.total };
    [panels, Chunks { total, size }]
}

/// What the convolution of all phases asks for where each phase asks for this.
fn of_all(demand: &Demand, joined: &Joined) -> Demand {
    let [panels, units] = rows_of(demand, joined.count());
    let held = woven(joined).together(panels.size);
    Demand {
        lead: joined.lead,
        units,
        held: if held > panels.size { held } else { 0 },
        channels_per_group: panels.total,
        taps: Taps { kernel: joined.kernel(), ..demand.taps },
        // What a phase has not is multiplied too.
        seen: [usize::MAX; 2],
        ..*demand
    }
}

/// Its schedule, in channels of the output.
fn of_channels(schedule: Schedule, joined: &Joined, demand: &Demand) -> Schedule {
    let total = demand.units.total;
    Schedule { units: Chunks { total, size: (schedule.units.size / joined.count()).min(total) }, ..schedule }
}

/// What the product for one pixel asks for where each phase asks for this.
fn of_one_pixel(demand: &Demand) -> Demand {
    let [panels, units] = rows_of(demand, demand.output[0] * demand.output[1]);
    Demand {
        units,
        channels_per_group: panels.total,
        output: [1, 1],
        phases: [1, 1],
        taps: Taps { kernel: [1, 1], classes: [1, 1], distance: [1, 1], ..demand.taps },
        seen: [usize::MAX; 2],
        linear: true,
        unpadded: true,
        column_step: 1,
        ..*demand
    }
}

/// Its schedule, in channels of the output, of which each region has all pixels.
fn of_outputs(schedule: Schedule, demand: &Demand) -> Schedule {
    let [rows, columns] = demand.output;
    let (total, count) = (demand.units.total, rows * columns);
    Schedule { units: Chunks { total, size: schedule.units.size / count }, rows, columns, ..schedule }
}
