//! Which recipe a configuration gets.

use std::collections::BTreeSet;

use crate::algo::Reordering;
use crate::algo::depthwise;
use crate::algo::frequency::Spectrum;
use crate::algo::transposed::AxisPhase;
use crate::algo::window::Window;
use crate::algo::winograd::Tiling;
use crate::algorithm::Algorithm;
use crate::config::{Conv2d, PaddingMode};
use crate::element::Element;
use crate::error::{Axis, Error};
use crate::gemm::blocking::{Lanes, TileShape};
use crate::geometry;
use crate::numerics::SUMMATION_BLOCK;
use crate::parts::Chunks;
use crate::plan::recipe::{Joined, Merged, OnePixel, Phase, Product, Recipe};
use crate::simd::Isa;

/// For a standard convolution, in the way that is asked for.
pub(crate) fn convolution(config: &Conv2d, shape: TileShape, wanted: Option<Algorithm>) -> Result<Recipe, Error> {
    let group = [config.in_channels / config.groups, config.out_channels / config.groups];
    let kinds: &[Lanes] = match wanted {
        None if !direct_is_faster(group, config.groups) && !sums_few_taps(config, shape) => shape.kinds(),
        None | Some(Algorithm::Direct) => {
            let window = Window::dense(config.kernel, config.dilation, group[0]);
            return Ok(Recipe::Depthwise { window, group });
        }
        Some(Algorithm::GemmPixels) => &[Lanes::Pixels],
        Some(Algorithm::GemmChannels) => &[Lanes::Channels],
        Some(Algorithm::GatheredPixels) => &[Lanes::GatheredPixels],
        Some(Algorithm::GatheredChannels) => &[Lanes::GatheredChannels],
        Some(Algorithm::Winograd(_) | Algorithm::Fft) => unreachable!("not one product"),
    };
    if let Some(lanes) = kinds.iter().find(|lanes| !shape.kinds().contains(lanes)) {
        return Err(Error::Unsupported {
            argument: "algorithm",
            axis: Axis::All,
            found: lanes.algorithm().to_string(),
            expected: format!(
                "{} or {}: this element type has no vectors in this instruction set",
                Algorithm::Direct,
                Algorithm::GemmPixels
            ),
        });
    }
    Ok(Recipe::ImplicitGemm { product: product(config, shape), kinds })
}

/// The other orders of summation that there are for a standard convolution.
pub(crate) fn reorderings<T: Element>(config: &Conv2d, isa: Isa) -> Vec<Reordering> {
    let channels = [config.out_channels, config.in_channels / config.groups];
    let spectra = Spectrum::all(config.kernel, config.dilation, channels).map(Reordering::Fft);
    let transformed = T::FLOATING && config.stride == [1, 1] && cfg!(feature = "fft");
    tilings::<T>(config, isa).into_iter().chain(spectra.filter(|_| transformed)).collect()
}

/// And for one whose channels are the phases of a transposed convolution.
pub(crate) fn tilings<T: Element>(config: &Conv2d, isa: Isa) -> Vec<Reordering> {
    let tiled = T::FLOATING && config.dilation == [1, 1] && TileShape::of::<T>(isa).channel_tiles;
    Tiling::all(config.kernel, config.stride).filter(|_| tiled).map(Reordering::Winograd).collect()
}

/// A matrix product keeps an input vector in a register for up to eight output channels: worth nothing with one, and with two less than what it
/// takes to set it up for each of many groups. But it keeps large sums over many channels in cache. Measured with `cargo bench --bench planner`.
fn direct_is_faster([ins, outs]: [usize; 2], groups: usize) -> bool {
    (outs == 1 && ins <= 128) || (ins == 1 && outs == 2) || (ins == 2 && outs == 2 && groups > 32)
}

/// Where few taps are summed, products wait for what they write, and more so with few registers. Measured with `cargo bench --bench planner`, AVX2. Of one channel, to 3 to
/// 128: 1.2 to 2 times as fast with 3x3 taps, 1.1 to 1.3 with 5x5, 0.75 to 0.97 with 7x7, and so with a step of 2 in large images. Groups of up to four channels with 1x1
/// taps: 1.1 to 1.9 times, of two with up to nine: 1.0 to 2.2 times. Of one channel, to three or four, with up to 25 taps: 1.0 to 2.2 times (0.9 at worst), and to six with
/// 3x3 or 5x5 taps and a step of 2: 1.1 to 4 times. Not measured with more registers.
fn sums_few_taps(config: &Conv2d, shape: TileShape) -> bool {
    if !shape.channel_tiles || shape.many_registers() {
        return false;
    }
    let (taps, ins) = (config.kernel[0] * config.kernel[1], config.in_channels / config.groups);
    let outs = config.out_channels / config.groups;
    let (known, grouped) = (depthwise::is_known(config.kernel, config.stride), config.groups > 1);
    let dense = config.padding_mode == PaddingMode::Zeros && [config.stride, config.dilation] == [[1, 1]; 2];
    let few_of_each = grouped && (outs <= 4 || outs <= 6 && known && config.stride == [2, 2]);
    let of_one = ins == 1 && taps <= 25 && (known && dense || few_of_each);
    let most = ins.max(outs);
    of_one || grouped && (most <= 4 && taps == 1 || most <= 2 && taps <= 9)
}

/// For a convolution of pixels from anywhere.
pub(crate) fn product(config: &Conv2d, shape: TileShape) -> Product {
    Product {
        panels: shape.panels(config.out_channels / config.groups),
        window: Window::dense(config.kernel, config.dilation, config.in_channels / config.groups),
    }
}

/// For a transposed convolution.
pub(crate) fn transposed(config: &Conv2d, shape: TileShape) -> Recipe {
    if let Some(merged) = merged(config, shape) {
        return Recipe::Merged(merged);
    }
    let [rows, columns] = phases(config, [0, 0]);
    let group = [config.in_channels / config.groups, config.out_channels / config.groups];
    let phase = |row: &AxisPhase, column: &AxisPhase| {
        let window = Window::sparse(&row.taps, &column.taps, config.kernel, group[0]);
        let along = |&(i, _): &(usize, isize)| column.taps.iter().map(move |&(j, _)| i * config.kernel[1] + j);
        Phase {
            place: [row.place, column.place],
            positions: row.taps.iter().flat_map(along).collect(),
            recipe: if direct_is_faster(group, config.groups) {
                Recipe::Depthwise { window, group }
            } else {
                Recipe::ImplicitGemm {
                    product: Product { panels: shape.panels(group[1]), window },
                    kinds: shape.kinds(),
                }
            },
        }
    };
    Recipe::Phases(rows.iter().flat_map(|row| columns.iter().map(|column| phase(row, column))).collect())
}

/// The phases along each axis that any tap reaches, with some more outputs before the first one.
fn phases(config: &Conv2d, lead: [usize; 2]) -> [Vec<AxisPhase>; 2] {
    [0, 1].map(|axis| {
        let crop = geometry::transposed_crop(config, axis) - lead[axis];
        AxisPhase::reached(config.kernel[axis], config.stride[axis], config.dilation[axis], crop)
    })
}

/// All phases as channels of one convolution.
fn joined(config: &Conv2d) -> Joined {
    let lead = [0, 1].map(|axis| geometry::transposed_crop(config, axis) % config.stride[axis]);
    let phases = phases(config, lead);
    let offsets = phases.each_ref().map(|phases| {
        let offsets: BTreeSet<isize> =
            phases.iter().flat_map(|phase| phase.taps.iter().map(|&(_, offset)| offset)).collect();
        offsets.into_iter().collect::<Vec<isize>>()
    });
    let positions = [0, 1].map(|axis| {
        let of_phase = |place: usize, offset: isize| {
            let phase = phases[axis].iter().find(|phase| phase.place == place)?;
            phase.taps.iter().find(|&&(_, at)| at == offset).map(|&(position, _)| position)
        };
        let of_offset = |&offset: &isize| (0..config.stride[axis]).map(|place| of_phase(place, offset)).collect();
        offsets[axis].iter().map(of_offset).collect()
    });
    Joined { phases: config.stride, lead, offsets, positions, order: Vec::new() }
}

/// Output channels, phases included, of a group of a convolution of all phases, and how many each of the output's channels has.
fn joined_channels(config: &Conv2d) -> Option<[usize; 2]> {
    let count = config.stride[0].checked_mul(config.stride[1])?;
    Some([(config.out_channels / config.groups).checked_mul(count)?, count])
}

/// All phases in one product, which reads and packs each pixel once for all of them: if all have the same taps, or with a panel at most.
fn merged(config: &Conv2d, shape: TileShape) -> Option<Merged> {
    let [total, count] = joined_channels(config).filter(|_| config.stride != [1, 1])?;
    let (channels, panel) = (config.in_channels / config.groups, shape.panels(total).size);
    // Phases without taps are not alike, and may be very many.
    if total > panel && (0..2).any(|axis| config.kernel[axis] < config.stride[axis]) {
        return None;
    }
    let joined = joined(config);
    // Outputs begin in the middle of a pixel's, which costs up to a row and a column of pixels: too much where images are small, as those of many
    // channels are. But channels that do not fill a panel leave lanes idle in each phase. Measured with `cargo bench --bench layers` on Emerald Rapids, 8 to 24 channels, strides of
    // 2 to 8, images of 5 to 64 columns: 1.0 to 4 times as fast.
    if joined.lead != [0, 0] && total > panel && total / count >= panel {
        return None;
    }
    let kernel_taps = config.kernel[0] * config.kernel[1];
    let (kinds, joined): (&[Lanes], _) = match joined.alike() && cut_alike(channels, kernel_taps) {
        true => (shape.kinds(), joined),
        // Tiles have only the taps that any of their rows has.
        false if total <= panel => (&[Lanes::Pixels], joined.sorted(config.out_channels / config.groups)),
        _ => return None,
    };
    let [rows, columns] = joined.offsets.clone();
    let window = Window::merged(rows, columns, kernel_taps, channels);
    Some(Merged { product: Product { panels: Chunks { total, size: panel }, window }, kinds, joined })
}

/// For an input of one pixel: if every output sees a tap, which is then its only one, so that its weights can be read in order.
pub(crate) fn one_pixel(config: &Conv2d, output: [usize; 2], shape: TileShape) -> Option<OnePixel> {
    let [high, wide] = config.kernel;
    let channels = config.in_channels / config.groups;
    let first = [0, 1].map(|axis| geometry::transposed_crop(config, axis));
    let seen = (0..2).all(|axis| {
        let dense = config.dilation[axis] == 1 || config.kernel[axis] == 1;
        dense && first[axis] + output[axis] <= config.kernel[axis]
    });
    let group = [channels, config.out_channels / config.groups];
    if high * wide == 1 || !seen || !cut_alike(channels, high * wide) || direct_is_faster(group, config.groups) {
        return None;
    }
    let rows = first[0]..first[0] + output[0];
    let of_row = |row: usize| (first[1]..first[1] + output[1]).map(move |column| [high - 1 - row, wide - 1 - column]);
    let positions: Vec<_> = rows.flat_map(of_row).collect();
    let window = Window::merged(vec![0], vec![0], high * wide, channels);
    let panels = shape.panels(group[1].checked_mul(positions.len())?);
    Some(OnePixel { product: Product { panels, window }, positions })
}

/// Whether all taps of a channel are in the same block of the sum.
fn cut_alike(channels: usize, kernel_taps: usize) -> bool {
    channels * kernel_taps <= SUMMATION_BLOCK || SUMMATION_BLOCK.is_multiple_of(kernel_taps)
}

/// The convolution of all phases, for other orders of summation: without gaps between its taps.
pub(crate) fn joined_convolution(config: &Conv2d, shape: TileShape) -> Option<(Joined, Conv2d)> {
    let [total, count] = joined_channels(config).filter(|_| config.dilation == [1, 1])?;
    let panel = shape.panels(total).size;
    // Others are not measured.
    if total > panel && !panel.is_multiple_of(count) {
        return None;
    }
    let joined = joined(config);
    let whole = joined.offsets.iter().all(|offsets| offsets.windows(2).all(|pair| pair[1] == pair[0] + 1));
    let convolution = Conv2d::new(config.in_channels, total.checked_mul(config.groups)?, joined.kernel());
    whole.then_some((joined, convolution.groups(config.groups).numerics(config.numerics)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one product, none for phase by phase.
    fn product(config: Conv2d, isa: Isa) -> Option<Merged> {
        match transposed(&config, TileShape::of::<f32>(isa)) {
            Recipe::Merged(merged) => Some(merged),
            Recipe::Phases(_) => None,
            recipe => unreachable!("{recipe:?}"),
        }
    }

    /// Its output channels, phases included, and its kinds of tiles.
    fn merged_into(config: Conv2d, isa: Isa) -> Option<(usize, &'static [Lanes])> {
        product(config, isa).map(|merged| (merged.product.panels.total, merged.kinds))
    }

    #[test]
    fn phases_with_the_same_taps_share_a_product() {
        let isa = Isa::best();
        if isa == Isa::SCALAR {
            println!("skipped: this machine has no vectors");
            return;
        }
        let both = TileShape::of::<f32>(isa).kinds();
        assert_eq!(merged_into(Conv2d::new(128, 64, 2).stride(2), isa), Some((256, both)));
        // A panel at most: phases need not have the same taps, and the output may begin within a pixel's.
        assert_eq!(merged_into(Conv2d::new(56, 1, 9).stride(2).padding(4), isa), Some((4, &[Lanes::Pixels][..])));
        assert_eq!(merged_into(Conv2d::new(64, 3, 4).stride(2).padding(1), isa), Some((12, both)));
        assert_eq!(merged_into(Conv2d::depthwise(21, 4).stride(2).padding(1), isa), Some((4, both)));
        // A channel's phases may be in several panels, whole or not, and begin within a pixel's if channels do not fill a panel.
        assert_eq!(merged_into(Conv2d::new(64, 3, 8).stride(8), isa), Some((192, both)));
        assert_eq!(merged_into(Conv2d::new(28, 70, 3).stride(3), isa), Some((630, both)));
        assert_eq!(merged_into(Conv2d::new(64, 5, 4).stride(2).padding(1), isa), Some((20, both)));
        assert_eq!(merged_into(Conv2d::new(21, 3, 16).stride(8).padding(4), isa), Some((192, both)));
        // Many channels, taps that differ or an output that begins within a pixel's: one by one.
        assert_eq!(merged_into(Conv2d::new(64, 64, 3).stride(2), isa), None);
        assert_eq!(merged_into(Conv2d::new(256, 128, 4).stride(2).padding(1), isa), None);
        assert_eq!(merged_into(Conv2d::new(64, 64, 3), isa), None);
    }

    #[test]
    fn phases_with_the_same_taps_are_neighbours() {
        let isa = Isa::best();
        if isa == Isa::SCALAR {
            println!("skipped: this machine has no vectors");
            return;
        }
        let joined = |config: Conv2d| product(config, isa).expect("few channels").joined;
        let halves = joined(Conv2d::new(64, 3, 3).stride(2).padding(1));
        let taps = |row: usize| (0..4).filter(|&tap| halves.position(tap, halves.of_row(row).1).is_some()).count();
        assert_eq!(Vec::from_iter((0..12).map(taps)), [1, 1, 1, 2, 2, 2, 2, 2, 2, 4, 4, 4]);
        for (channel, phase) in (0..3).flat_map(|channel| (0..4).map(move |phase| (channel, phase))) {
            assert_eq!(halves.of_row(halves.row(channel, phase)), (channel, phase));
        }
        // As they are, where all have the same.
        assert_eq!(joined(Conv2d::new(56, 1, 9).stride(3).padding(4)).order, []);
    }

    #[test]
    fn phases_of_one_channel_are_direct() {
        let Recipe::Phases(phases) = transposed(&Conv2d::depthwise(8, 3).padding(1), TileShape::of::<f32>(Isa::SCALAR))
        else {
            unreachable!("one phase");
        };
        assert!(matches!(phases[..], [Phase { recipe: Recipe::Depthwise { .. }, .. }]));
    }
}
