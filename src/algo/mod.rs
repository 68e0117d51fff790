//! Algorithms. Each is a [`Stage`]: it computes any rectangle of the output of one sample, on one thread.
//!
//! [`drive`] splits the output into such rectangles and spreads them over the threads. Composites
//! (transposed convolution by phases, a chain of two convolutions) are stages that are given other stages.

pub(crate) mod chain;
pub(crate) mod channels_last;
pub(crate) mod deformable;
pub(crate) mod depthwise;
pub(crate) mod frequency;
pub(crate) mod image;
pub(crate) mod implicit_gemm;
pub(crate) mod residual;
pub(crate) mod rows;
mod strips;
pub(crate) mod transposed;
pub(crate) mod window;
pub(crate) mod winograd;
pub(crate) mod woven;

use core::ops::Range;

use ndarray::{ArrayView3, ArrayView4, ArrayViewMut3, ArrayViewMut4, Axis};

use crate::activation::Activation;
use crate::algo::frequency::Spectrum;
use crate::algo::winograd::Tiling;
use crate::algorithm::{Algorithm, ErrorBound};
use crate::element::Element;
use crate::gemm::blocking::Lanes;
use crate::parallel;
use crate::parts::{Chunks, even_part};
use crate::scratch::{Buffer, Scratch, Workspace};
use crate::simd::Isa;

/// Bytes of a call's input and output that caches hold. Measured with `cargo bench --bench layers`, depthwise 3x3 on 112 to 512 columns and 32 MiB of third-level
/// cache: from 16 MiB on to ask for outputs is 1.0 to 1.9 times as fast, up to 8 MiB 0.95 to 1.0.
const FAR_BYTES: usize = 12 << 20;

/// Bytes of them that a second-level cache holds, or nearly so, where vectors are wide. Measured with `cargo bench --bench layers` on 1x1 layers and a cache of 2 MiB: with
/// 3.2 MB pixels are better read in place, from 4.2 MB on gathered.
const NEAR_BYTES: usize = 7 << 19;

/// The cache that holds a call's input and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cache {
    SecondLevel,
    ThirdLevel,
    None,
}

impl Cache {
    /// For so many elements.
    pub(crate) fn holding<T>(elements: usize) -> Cache {
        let bytes = elements.saturating_mul(size_of::<T>());
        if bytes <= NEAR_BYTES {
            Cache::SecondLevel
        } else if bytes <= FAR_BYTES {
            Cache::ThirdLevel
        } else {
            Cache::None
        }
    }
}

/// A rectangle of the output of one sample, for a range of channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) sample: usize,
    pub(crate) channels: Range<usize>,
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    /// Whether the call's input and output are more than caches hold, so that they are to be asked for ahead of time.
    pub(crate) far: bool,
}

impl Region {
    pub(crate) fn extent(&self) -> Extent {
        Extent { channels: self.channels.len(), rows: self.rows.len(), columns: self.columns.len() }
    }
}

/// The size of a [`Region`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) channels: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Extent {
    pub(crate) fn pixels(self) -> usize {
        self.rows * self.columns
    }
}

/// A convolution with its weights, ready for inputs of one size.
pub(crate) trait Stage<T>: Sync {
    /// Elements of working memory for a region of at most this size.
    fn scratch_len(&self, extent: Extent) -> usize;

    /// Computes a region. `input` is the whole sample, `output` exactly the region.
    fn run(&self, input: ArrayView3<'_, T>, region: &Region, output: ArrayViewMut3<'_, T>, scratch: Scratch<'_, T>);
}

/// One of two stages.
pub(crate) enum Either<A, B> {
    First(A),
    Second(B),
}

impl<T, A: Stage<T>, B: Stage<T>> Stage<T> for Either<A, B> {
    fn scratch_len(&self, extent: Extent) -> usize {
        match self {
            Either::First(stage) => stage.scratch_len(extent),
            Either::Second(stage) => stage.scratch_len(extent),
        }
    }

    fn run(&self, input: ArrayView3<'_, T>, region: &Region, output: ArrayViewMut3<'_, T>, scratch: Scratch<'_, T>) {
        match self {
            Either::First(stage) => stage.run(input, region, output, scratch),
            Either::Second(stage) => stage.run(input, region, output, scratch),
        }
    }
}

/// How [`drive`] splits an output into regions, and on how many threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) workers: usize,
    /// Channels in units that stay together.
    pub(crate) units: Chunks,
    /// Into how many runs of units the channels are split.
    pub(crate) splits: usize,
    /// Rows and columns of a region; fewer at the ends, and in the first ones by as many as `lead` says.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) lead: [usize; 2],
    /// What the lanes of the register tiles are.
    pub(crate) lanes: Lanes,
    /// Whether, and how, it is summed in another order than the exact one.
    pub(crate) reordering: Option<Reordering>,
}

/// An algorithm that sums in another order than the exact one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reordering {
    Winograd(Tiling),
    Fft(Spectrum),
}

impl Reordering {
    pub(crate) fn algorithm(self) -> Algorithm {
        match self {
            Reordering::Winograd(tiling) => Algorithm::Winograd(tiling.outputs),
            Reordering::Fft(_) => Algorithm::Fft,
        }
    }

    /// How far an output may be from the exact one, where so many channels are summed over.
    pub(crate) fn error_bound(self, channels: usize) -> ErrorBound {
        match self {
            Reordering::Winograd(tiling) => tiling.error_bound(channels),
            Reordering::Fft(spectrum) => spectrum.error_bound(channels),
        }
    }
}

impl Schedule {
    /// The channels of one split.
    fn channels(&self, split: usize) -> Range<usize> {
        self.units.range(even_part(self.units.count(), self.splits, split))
    }

    /// The size of the largest region.
    pub(crate) fn region(&self) -> Extent {
        let most = (0..self.splits).map(|split| self.channels(split).len()).max();
        Extent { channels: most.unwrap_or(0), rows: self.rows, columns: self.columns }
    }
}

/// Runs a stage over a batch.
///
/// The regions are disjoint pieces of `output` by type. What a region's elements are does not depend
/// on the split, so neither the schedule nor the number of threads can be seen in the result.
pub(crate) fn drive<T: Element>(
    stage: &impl Stage<T>,
    input: ArrayView4<'_, T>,
    output: ArrayViewMut4<'_, T>,
    schedule: Schedule,
    workspace: &mut Workspace<T>,
) {
    let buffers = workspace.buffers(schedule.workers, stage.scratch_len(schedule.region()));
    let run = |region: Region, output: ArrayViewMut3<'_, T>, buffer: &mut Buffer<T>| {
        stage.run(input.index_axis_move(Axis(0), region.sample), &region, output, buffer.scratch());
    };
    let (samples, channels, rows, columns) = output.dim();
    // A broadcast input may have any length.
    let far = Cache::holding::<T>(input.len().saturating_add(output.len())) == Cache::None;
    let first = [schedule.rows - schedule.lead[0], schedule.columns - schedule.lead[1]];
    if let ([buffer], 1, 1) = (&mut *buffers, samples, schedule.splits)
        && (1..=first[0]).contains(&rows)
        && (1..=first[1]).contains(&columns)
    {
        // Small layers take as long to cut as to compute.
        let region = Region { sample: 0, channels: 0..channels, rows: 0..rows, columns: 0..columns, far };
        return run(region, output.index_axis_move(Axis(0), 0), buffer);
    }
    let regions = output.into_outer_iter_mut().enumerate().flat_map(move |(sample, output)| {
        let mut rest = Some(output);
        (0..schedule.splits).flat_map(move |split| {
            let channels = schedule.channels(split);
            let (output, others) = rest.take().expect("put back below").split_at(Axis(0), channels.len());
            rest = Some(others);
            chunks(output, 1, schedule.rows, schedule.lead[0]).flat_map(move |(rows, output)| {
                let channels = channels.clone();
                chunks(output, 2, schedule.columns, schedule.lead[1]).map(move |(columns, output)| {
                    (Region { sample, channels: channels.clone(), rows: rows.clone(), columns, far }, output)
                })
            })
        })
    });
    parallel::for_each(regions, buffers, |(region, output), buffer| run(region, output, buffer));
}

/// Consecutive pieces of `size` along an axis, the first one shorter by `lead`, the last one maybe shorter, with their ranges.
pub(crate) fn chunks<T>(
    view: ArrayViewMut3<'_, T>,
    axis: usize,
    size: usize,
    lead: usize,
) -> impl Iterator<Item = (Range<usize>, ArrayViewMut3<'_, T>)> {
    let (mut rest, mut next) = (Some((0, view)), size - lead);
    core::iter::from_fn(move || {
        let (start, view) = rest.take()?;
        let len = view.len_of(Axis(axis));
        if len == 0 {
            return None;
        }
        let size = core::mem::replace(&mut next, size).min(len);
        let (piece, after) = view.split_at(Axis(axis), size);
        rest = Some((start + size, after));
        Some((start..start + size, piece))
    })
}

/// Applies an activation to an output of any layout, whose first channel is `first`.
pub(crate) fn activate<T: Element>(
    isa: Isa,
    activation: &Activation<T>,
    mut output: ArrayViewMut3<'_, T>,
    first: usize,
) {
    if *activation == Activation::None {
        return;
    }
    let (_, rows, columns) = output.dim();
    if let Some(elements) = output.as_slice_mut() {
        return activation.apply_to(isa, elements, rows * columns, first);
    }
    for (channel, mut plane) in (first..).zip(output.outer_iter_mut()) {
        for mut row in plane.outer_iter_mut() {
            match row.as_slice_mut() {
                Some(row) => activation.apply_to(isa, row, columns, channel),
                None => row.mapv_inplace(|x| activation.apply(x, channel)),
            }
        }
    }
}

/// Whether leaving out a tap on zero padding changes no bit of the sums: if all weights are finite, and no bias is -0.0, the only number from which
/// +0.0 and -0.0 make different sums.
pub(crate) fn may_skip_zeros<T: Element>(finite_weights: bool, bias: Option<&[T]>) -> bool {
    finite_weights && bias.into_iter().flatten().all(|bias| !bias.negative_zero())
}

/// The groups that a range of channels runs over, each with the channels of it.
pub(crate) fn by_group(channels: Range<usize>, per_group: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let groups = channels.start / per_group..channels.end.div_ceil(per_group);
    groups.map(move |group| {
        let start = channels.start.max(group * per_group);
        (group, start..channels.end.min((group + 1) * per_group))
    })
}
