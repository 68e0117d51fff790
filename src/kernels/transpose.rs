//! From `[pixel][channel]` to one row of pixels for each channel, and back.

use super::tile::limit_row;
use crate::simd::rows::EvenRows;
use crate::simd::{Arithmetic, Simd, by_lanes, unroll};

/// Writes the sums of pixels `first..first + S::LANES`, as far as there are so many, to the rows of their channels: the last ones whole, so that some are written twice.
///
/// `sums` is `[pixel][channel]`, a pixel's channels in `V` whole vectors; behind the last pixel is room to read those of a vector's worth of
/// pixels. `rows` are as many as the panel has channels, each with all pixels. What is written is kept within the limits.
#[inline(always)]
pub(crate) fn transpose<T: Arithmetic, S: Simd<T>, const V: usize>(
    simd: S,
    sums: &[T],
    rows: &mut EvenRows<'_, '_, T>,
    first: usize,
    limits: Option<[T; 2]>,
) {
    by_lanes!(N = S::LANES => turn_block::<T, S, V, N>(simd, sums, rows, first, limits));
}

#[inline(always)]
fn turn_block<T: Arithmetic, S: Simd<T>, const V: usize, const N: usize>(
    simd: S,
    sums: &[T],
    rows: &mut EvenRows<'_, '_, T>,
    first: usize,
    limits: Option<[T; 2]>,
) {
    let first = first.min(rows.len().saturating_sub(N));
    let sums = &sums[first * V * N..][..N * V * N];
    unroll!(PART < V, at most 2, {
        let mut pixels = [sums.first_chunk::<N>().expect("a vector of each"); N];
        unroll!(PIXEL < N, {
            pixels[PIXEL] = sums[(PIXEL * V + PART) * N..].first_chunk().expect("a vector of each");
        });
        let mut vectors = turned_from(simd, pixels);
        if let Some(limits) = limits {
            limit_row(simd, &mut vectors, limits);
        }
        match rows.strip::<N>(PART * N, first, N) {
            Some(mut strip) => {
                unroll!(ROW < N, {
                    simd.store(vectors[ROW], strip.row(ROW));
                });
            }
            None => store_partly(simd, &vectors, rows.rows().get_mut(PART * N..).unwrap_or_default(), first),
        }
    });
}

/// Writes as many vectors as there are rows, as far as there are so many pixels.
#[inline(always)]
fn store_partly<T: Arithmetic, S: Simd<T>, const N: usize>(
    simd: S,
    vectors: &[S::Vector; N],
    rows: &mut [&mut [T]],
    first: usize,
) {
    unroll!(ROW < N, {
        if let Some(row) = rows.get_mut(ROW) {
            let row = &mut row[first..];
            if row.len() >= N {
                simd.store(vectors[ROW], row);
            } else {
                simd.store_partial(vectors[ROW], row);
            }
        }
    });
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
        let mut lanes = [rows[0][start..].first_chunk::<N>().expect("a vector of each"); N];
        unroll!(LANE < N, {
            lanes[LANE] = rows[LANE][start..].first_chunk().expect("a vector of each");
        });
        let vectors = turned_from(simd, lanes);
        let to = &mut to[start * N..(start + N) * N];
        unroll!(PIXEL < N, {
            simd.store(vectors[PIXEL], &mut to[PIXEL * N..]);
        });
        first += N;
    }
}

/// The matrix of some rows of memory turned. Memory is loaded group by group, which exchanges whole groups without a shuffle: half as many steps remain.
#[inline(always)]
fn turned_from<T: Copy, S: Simd<T>, const N: usize>(simd: S, rows: [&[T; N]; N]) -> [S::Vector; N] {
    let mut vectors = [simd.splat(rows[0][0]); N];
    unroll!(ROW < N, {
        let (row, at) = (ROW % S::GROUP, ROW / S::GROUP * S::GROUP);
        let mut groups = [&rows[row][at..]; 4];
        unroll!(GROUP < 4, at most 4, {
            groups[GROUP] = &rows[(row + GROUP * S::GROUP) % N][at..at + S::GROUP];
        });
        vectors[ROW] = simd.load_groups(groups);
    });
    turned_in_groups(simd, vectors)
}

/// The matrix turned: each step exchanges a bit of the row's number with a bit of the lane's, first those within groups of lanes, then those of
/// the groups.
#[inline(always)]
pub(crate) fn turned<T: Copy, S: Simd<T>, const N: usize>(simd: S, rows: [S::Vector; N]) -> [S::Vector; N] {
    let mut rows = turned_in_groups(simd, rows);
    unroll!(STEP < 2, at most 2, {
        let distance = S::GROUP << STEP;
        if distance < N {
            unroll!(ROW < N, {
                if (ROW / distance).is_multiple_of(2) {
                    (rows[ROW], rows[ROW + distance]) = simd.split_groups(rows[ROW], rows[ROW + distance]);
                }
            });
        }
    });
    rows
}

/// Each square of a group's rows by a group's lanes turned.
#[inline(always)]
fn turned_in_groups<T: Copy, S: Simd<T>, const N: usize>(simd: S, mut rows: [S::Vector; N]) -> [S::Vector; N] {
    unroll!(STEP < 3, at most 3, {
        if S::GROUP > 1 << STEP {
            let distance = S::GROUP >> (STEP + 1);
            unroll!(ROW < N, {
                if (ROW / distance).is_multiple_of(2) {
                    (rows[ROW], rows[ROW + distance]) = simd.zip_groups(rows[ROW], rows[ROW + distance]);
                }
            });
        }
    });
    rows
}
