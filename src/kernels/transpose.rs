//! From `[pixel][channel]` to one row of pixels for each channel, and back.

use super::tile::limit_row;
use crate::simd::{Arithmetic, Simd, by_lanes, unroll};

/// Writes the sums of pixels `first..first + S::LANES`, as far as there are so many, to the rows of their channels.
///
/// `sums` is `[pixel][channel]`, a pixel's channels in `V` whole vectors; behind the last pixel is room to read those of a vector's worth of
/// pixels. `rows` are as many as the panel has channels, each with all pixels. What is written is kept within the limits.
#[inline(always)]
pub(crate) fn transpose<T: Arithmetic, S: Simd<T>, const V: usize>(
    simd: S,
    sums: &[T],
    rows: &mut [&mut [T]],
    first: usize,
    limits: Option<[T; 2]>,
) {
    by_lanes!(N = S::LANES => turn_block::<T, S, V, N>(simd, sums, rows, first, limits));
}

#[inline(always)]
fn turn_block<T: Arithmetic, S: Simd<T>, const V: usize, const N: usize>(
    simd: S,
    sums: &[T],
    rows: &mut [&mut [T]],
    first: usize,
    limits: Option<[T; 2]>,
) {
    let whole = first + N <= rows[0].len();
    for (part, rows) in rows.chunks_mut(N).enumerate() {
        let sums = &sums[first * V * N + part * N..];
        let mut vectors = [simd.splat(sums[0]); N];
        unroll!(PIXEL < N, {
            vectors[PIXEL] = simd.load(&sums[PIXEL * V * N..]);
        });
        let mut vectors = turned(simd, vectors);
        if let Some(limits) = limits {
            limit_row(simd, &mut vectors, limits);
        }
        unroll!(ROW < N, {
            if ROW < rows.len() {
                let row = &mut rows[ROW][first..];
                if whole {
                    simd.store(vectors[ROW], row);
                } else {
                    simd.store_partial(vectors[ROW], row);
                }
            }
        });
    }
}

/// Turns rows of pixels, one for each lane, to `[pixel][lane]`, for as many pixels as `to` has room for.
#[inline(always)]
pub(crate) fn interleave<T: Arithmetic, S: Simd<T>, const N: usize>(simd: S, rows: &[&[T]; N], to: &mut [T]) {
    let pixels = to.len() / N;
    if pixels < N {
        let mut vectors = [simd.splat(T::ZERO); N];
        unroll!(LANE < N, {
            vectors[LANE] = simd.load_partial(&rows[LANE][..pixels]);
        });
        let vectors = turned(simd, vectors);
        unroll!(PIXEL < N, {
            if PIXEL < pixels {
                simd.store(vectors[PIXEL], &mut to[PIXEL * N..]);
            }
        });
        return;
    }
    // The last ones whole, so that some are written twice.
    let mut first = 0;
    while first < pixels {
        let start = first.min(pixels - N);
        let mut vectors = [simd.splat(T::ZERO); N];
        unroll!(LANE < N, {
            vectors[LANE] = simd.load(&rows[LANE][start..]);
        });
        let vectors = turned(simd, vectors);
        let to = &mut to[start * N..(start + N) * N];
        unroll!(PIXEL < N, {
            simd.store(vectors[PIXEL], &mut to[PIXEL * N..]);
        });
        first += N;
    }
}

/// The matrix turned: each step exchanges a bit of the row's number with a bit of the lane's, first those within groups of lanes, then those of
/// the groups.
#[inline(always)]
pub(crate) fn turned<T: Copy, S: Simd<T>, const N: usize>(simd: S, mut rows: [S::Vector; N]) -> [S::Vector; N] {
    unroll!(STEP < 4, at most 4, {
        let within = S::GROUP.ilog2() as usize;
        let distance = if STEP < within { S::GROUP >> (STEP + 1) } else { S::GROUP << (STEP - within) };
        if distance < N {
            unroll!(ROW < N, {
                if (ROW / distance).is_multiple_of(2) {
                    let (a, b) = (rows[ROW], rows[ROW + distance]);
                    let pair = if STEP < within { simd.zip_groups(a, b) } else { simd.split_groups(a, b) };
                    (rows[ROW], rows[ROW + distance]) = pair;
                }
            });
        }
    });
    rows
}
