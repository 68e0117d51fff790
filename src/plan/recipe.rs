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

/// All phases of a transposed convolution as output channels of one product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Its rows are output channels, in each the rows of phases, in each the columns of phases.
    pub(crate) product: Product,
    pub(crate) kinds: &'static [Lanes],
    /// Rows and columns of the first pixel's outputs that lie before the output.
    pub(crate) lead: [usize; 2],
    /// For rows and columns of taps of the window: the position in the flipped kernel that it has in each phase, if any.
    pub(crate) positions: [Vec<Vec<Option<usize>>>; 2],
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
