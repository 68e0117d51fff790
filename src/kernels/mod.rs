//! Micro-kernels: written once over [`Simd`](crate::simd::Simd), on slices, single-threaded, without allocation.

pub(crate) mod axpy;
pub(crate) mod channel_tile;
pub(crate) mod copy;
pub(crate) mod few_pixels;
pub(crate) mod gather;
pub(crate) mod image_tile;
mod pairs;
pub(crate) mod pixel_tile;
pub(crate) mod plain_tile;
pub(crate) mod planes;
pub(crate) mod sample;
pub(crate) mod tile;
pub(crate) mod toom_cook;
pub(crate) mod transpose;
pub(crate) mod weave;
