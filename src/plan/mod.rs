//! From a configuration to something that can run.
//!
//! ```text
//! choose    configuration + machine   → Recipe     pure: what will run, as data
//! lower     Recipe + weights          → Plan       packs the weights in the recipe's order
//! schedule  sizes + threads           → Schedule   which piece each thread computes
//! ```

pub(crate) mod choose;
pub(crate) mod layer;
pub(crate) mod lower;
mod others;
pub(crate) mod recipe;
pub(crate) mod schedule;
pub(crate) mod spectra;
pub(crate) mod tiles;
mod transposed;

pub(crate) use layer::LayerPlan;
pub(crate) use lower::{ConvolutionPlan, ProductPlan};
pub(crate) use transposed::TransposedPlan;
