//! Which recipe a configuration gets.

use crate::algo::transposed::AxisPhase;
use crate::algo::window::Window;
use crate::algorithm::Algorithm;
use crate::config::Conv2d;
use crate::error::{Axis, Error};
use crate::gemm::blocking::{Lanes, TileShape};
use crate::plan::recipe::{PhaseProduct, Product, Recipe};

/// For a standard convolution, in the way that is asked for.
pub(crate) fn convolution(config: &Conv2d, shape: TileShape, wanted: Option<Algorithm>) -> Result<Recipe, Error> {
    let group = [config.in_channels / config.groups, config.out_channels / config.groups];
    let kinds: &[Lanes] = match wanted {
        None if !direct_is_faster(group, config.groups) => shape.kinds(),
        None | Some(Algorithm::Direct) => {
            let window = Window::dense(config.kernel, config.dilation, group[0]);
            return Ok(Recipe::Depthwise { window, group });
        }
        Some(Algorithm::GemmPixels) => &[Lanes::Pixels],
        Some(Algorithm::GemmChannels) => &[Lanes::Channels],
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

/// A matrix product keeps an input vector in a register for up to eight output channels: worth nothing with one, and with two less than what it
/// takes to set it up for each of many groups. But it keeps large sums over many channels in cache. Measured with `cargo bench --bench planner`.
fn direct_is_faster([ins, outs]: [usize; 2], groups: usize) -> bool {
    (outs == 1 && ins <= 128) || (ins == 1 && outs == 2) || (ins == 2 && outs == 2 && groups > 32)
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
    let along = |axis: usize| AxisPhase::all(config.kernel[axis], config.stride[axis], config.dilation[axis]);
    let (rows, columns) = (along(0), along(1));
    let panels = shape.panels(config.out_channels / config.groups);
    let pairs = rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
    let phases = pairs.map(|(row, column)| {
        let in_channels = config.in_channels / config.groups;
        let window = Window::sparse(&row.taps, &column.taps, config.kernel, in_channels);
        let along = |&(i, _): &(usize, isize)| column.taps.iter().map(move |&(j, _)| i * config.kernel[1] + j);
        PhaseProduct {
            residues: [row.residue, column.residue],
            positions: row.taps.iter().flat_map(along).collect(),
            product: Product { panels, window },
        }
    });
    Recipe::Phases(phases.collect())
}
