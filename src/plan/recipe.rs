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
pub(crate) struct PhaseProduct {
    /// Of rows and columns, modulo the stride.
    pub(crate) residues: [usize; 2],
    /// Each tap's position in the flipped kernel, in ascending order.
    pub(crate) positions: Vec<usize>,
    pub(crate) product: Product,
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
    /// One implicit matrix product for each phase of the output that any tap reaches.
    Phases(Vec<PhaseProduct>),
}
