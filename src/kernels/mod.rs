//! Micro-kernels: written once over [`Simd`](crate::simd::Simd), on slices, single-threaded, without allocation.

pub(crate) mod axpy;
pub(crate) mod copy;
pub(crate) mod gemm_tile;
