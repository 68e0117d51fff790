//! What will run, as plain data: comparable, printable, made without looking at a weight.

use crate::algo::window::Window;
use crate::gemm::blocking::Lanes;
use crate::parts::Chunks;

/// A matrix product over a window of taps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    /// The output channels of a group, in weight panels.
    pub(crate) panels: Chunks,
    pub(crate) window: Window,
}

/// One phase of a transposed convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Phase {
    /// Of rows and columns: where its first output is.
    pub(crate) place: [usize; 2],
    /// Each tap's position in the flipped kernel, in ascending order.
    pub(crate) positions: Vec<usize>,
    pub(crate) recipe: Recipe,
}

/// All phases of a transposed convolution as the output channels of one convolution of stride 1: for each of its channels the rows of phases, and
/// in each the columns of phases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    /// Rows and columns of phases.
    pub(crate) phases: [usize; 2],
    /// Rows and columns of the first pixel's outputs that lie before the output.
    pub(crate) lead: [usize; 2],
    /// Where rows and columns of taps read, relative to the pixel; ascending.
    pub(crate) offsets: [Vec<isize>; 2],
    /// For each of them, the position in the flipped kernel that it has in each phase, if any.
    pub(crate) positions: [Vec<Vec<Option<usize>>>; 2],
    /// The row of the product that each phase of each channel has, if they are not one behind the other.
    pub(crate) order: Vec<usize>,
}

impl Joined {
    /// Outputs of a pixel.
    pub(crate) fn count(&self) -> usize {
        self.phases[0] * self.phases[1]
    }

    /// Rows and columns of taps.
    pub(crate) fn kernel(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.offsets[axis].len())
    }

    /// Whether each phase has all taps.
    pub(crate) fn alike(&self) -> bool {
        self.positions.iter().flatten().flatten().all(Option::is_some)
    }

    /// With rows of the product that have the same taps, or nearly so, behind each other: those with few of them first.
    pub(crate) fn sorted(self, channels: usize) -> Joined {
        let taps = |number: &usize| {
            let phase = number % self.count();
            let taps: Vec<bool> =
                (0..self.kernel()[0] * self.kernel()[1]).map(|tap| self.position(tap, phase).is_some()).collect();
            (taps.iter().filter(|&&is_there| is_there).count(), taps)
        };
        let mut numbers: Vec<usize> = (0..channels * self.count()).collect();
        numbers.sort_by_cached_key(taps);
        let mut order = vec![0; numbers.len()];
        numbers.iter().enumerate().for_each(|(row, &number)| order[number] = row);
        let order = if order.is_sorted() { Vec::new() } else { order };
        Joined { order, ..self }
    }

    /// The row of the product of a phase of a channel.
    pub(crate) fn row(&self, channel: usize, phase: usize) -> usize {
        let number = channel * self.count() + phase;
        self.order.get(number).copied().unwrap_or(number)
    }

    /// The channel and the phase of a row.
    pub(crate) fn of_row(&self, row: usize) -> (usize, usize) {
        let number = self.order.iter().position(|&at| at == row).unwrap_or(row);
        (number / self.count(), number % self.count())
    }

    /// The phase, along an axis, that has a position in the flipped kernel, and which of the offsets it has there.
    pub(crate) fn tap(&self, axis: usize, position: usize) -> (usize, usize) {
        let of_offset = |(offset, phases): (usize, &Vec<Option<usize>>)| {
            Some((phases.iter().position(|&at| at == Some(position))?, offset))
        };
        self.positions[axis].iter().enumerate().find_map(of_offset).expect("a phase that has it")
    }

    /// Row and column in the flipped kernel that a tap has in a phase, if any.
    pub(crate) fn position(&self, tap: usize, phase: usize) -> Option<[usize; 2]> {
        let [row, column] = [tap / self.offsets[1].len(), tap % self.offsets[1].len()];
        let [high, wide] = [phase / self.phases[1], phase % self.phases[1]];
        Some([self.positions[0][row][high]?, self.positions[1][column][wide]?])
    }
}

/// A transposed convolution of one pixel as a product: its rows are the outputs of each channel, one channel's behind the other's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OnePixel {
    pub(crate) product: Product,
    /// The row and column in the flipped kernel of the one tap that each output of a channel sees.
    pub(crate) positions: Vec<[usize; 2]>,
}

/// A product for all phases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    pub(crate) product: Product,
    pub(crate) kinds: &'static [Lanes],
    pub(crate) joined: Joined,
}

/// How an operation is computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recipe {
    /// One implicit matrix product, with register tiles of these kinds.
    ImplicitGemm { product: Product, kinds: &'static [Lanes] },
    /// Directly, each output channel by itself.
    Depthwise {
        window: Window,
        /// Input and output channels of a group.
        group: [usize; 2],
    },
    /// A convolution for each phase of the output that any tap reaches.
    Phases(Vec<Phase>),
    /// One product for all phases.
    Merged(Merged),
}
