//! Direct convolution of single output channels with any kernel, two rows of output at a time.
//!
//! ```text
//! for block of taps: for the taps of a channel in it:
//!     for tap in those before `lag`:  first += weight[tap] * pixels[tap]
//!     for tap in those behind:        first += weight[tap] * pixels[tap], second += weight[tap - lag] * pixels[tap]
//!     for tap in the last `lag`:      second += weight[tap] * pixels[tap] of the second row
//! ```
//!
//! With each tap the second row sees what the first one sees with the tap `lag` behind it, so that most pixels are loaded once for both. Each row's sum is
//! nonetheless that of its taps in their order.

use super::copy::store_run;
use super::planes::Plane;
use super::tile::limit;
use crate::simd::places::{Places, Runs};
use crate::simd::{Arithmetic, Simd, unroll};

/// Taps and vectors of a row from which on two rows of more vectors are better than four of fewer. Measured with `cargo bench --bench layers`, AVX2, with images of
/// 56 and of 1920 columns: 0.9 times as fast with 2x2 taps, 1.1 with 3x3 taps, 1.15 to 1.3 from 6x6 on.
const WORTH_PAIRING: usize = 6;
const WIDE: usize = 3;
/// Rows of taps, and of output, up to which it is looked for rows that share pixels.
const MOST: usize = 8;

/// Two rows of output: how far below the first the second one lies, and with how many taps the first sees what the second does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    spread: usize,
    lag: usize,
}

impl Pair {
    /// Neighbours that share nothing.
    const STRANGERS: Pair = Pair { spread: 1, lag: usize::MAX };

    /// Those that share most under a kernel of `[rows, columns]` of taps, where rows of pixels are `pitch` apart.
    pub(super) fn new(places: &[u32], [rows, columns]: [usize; 2], pitch: usize) -> Self {
        let lags = (1..rows.min(MOST)).map(|lag| lag * columns);
        let mut pairs = lags.flat_map(|lag| (1..=MOST).map(move |spread| Pair { spread, lag }));
        let share = |Pair { spread, lag }: &Pair| {
            let mut pixels = places[*lag..rows * columns].iter().zip(places);
            pixels.all(|(&place, &before)| place as usize == before as usize + spread * pitch)
        };
        pairs.find(share).unwrap_or(Pair::STRANGERS)
    }
}

/// Some taps of a channel, and where the pixels lie that rows see with them: those with which only the first row sees what it sees, those with which both
/// do, the second row with its own taps, and those with which only the second does.
#[derive(Clone, Copy)]
struct Segment<'a, T> {
    first: (Places<'a>, &'a [T]),
    both: (Places<'a>, [&'a [T]; 2]),
    second: (Places<'a>, &'a [T]),
}

impl<'a, T> Segment<'a, T> {
    #[inline(always)]
    fn new(places: Places<'a>, weights: &'a [T], lag: usize) -> Self {
        let taps = weights.len();
        let lag = lag.min(taps);
        let rest = taps - lag;
        Segment {
            first: (places.part(0..lag), &weights[..lag]),
            both: (places.part(lag..taps), [&weights[lag..], &weights[..rest]]),
            second: (places.part(rest..taps), &weights[rest..]),
        }
    }
}

/// Whether registers are so few that four rows of output cannot share pixels.
pub(super) const fn are_best<T: Copy, S: Simd<T>>() -> bool {
    S::CHANNEL_TILES && S::REGISTERS <= 16
}

impl<'a, T: Arithmetic> Plane<'a, '_, T> {
    /// Whether it is large enough, and not under one row of taps, where rows share nothing and memory is read fastest row by row.
    #[inline(always)]
    pub(super) fn has_pairs(&self, lanes: usize) -> bool {
        let [rows, columns] = self.size;
        rows > 1 && columns > (WIDE - 1) * lanes && self.weights.len() >= WORTH_PAIRING && !self.order.is_row()
    }

    /// All of it: two rows at least.
    #[inline(always)]
    pub(super) fn run_pairs<S: Simd<T>>(&mut self, simd: S) {
        let (rows, pair) = (self.size[0], self.order.pair());
        let whole = self.whole(pair);
        let mut row = 0;
        while rows - row >= 2 * pair.spread {
            for first in row..row + pair.spread {
                self.run_pair(simd, first, pair, whole);
            }
            row += 2 * pair.spread;
        }
        let pair = if pair.spread == 1 { pair } else { Pair::STRANGERS };
        let whole = self.whole(pair);
        while row < rows {
            // The last pair computes a row again.
            self.run_pair(simd, row.min(rows - 2), pair, whole);
            row += 2;
        }
    }

    /// All taps, if they are one block of one channel.
    #[inline(always)]
    fn whole(&self, pair: Pair) -> Option<Segment<'a, T>> {
        let one = self.blocks.len() == 1 && self.weights.len() == self.order.per_channel();
        if one { Some(Segment::new(self.places, self.weights, pair.lag)) } else { None }
    }

    #[inline(always)]
    fn run_pair<S: Simd<T>>(&mut self, simd: S, row: usize, pair: Pair, whole: Option<Segment<'a, T>>) {
        let mut column = 0;
        while column < self.size[1] {
            let left = (self.size[1] - column).div_ceil(S::LANES);
            macro_rules! tile {
                ($vectors:literal) => {{
                    self.ask_below(simd, row + 2 * pair.spread, column, [2, $vectors]);
                    let behind = (row + pair.spread) * self.pitch + column + self.places.most() + $vectors * S::LANES;
                    if behind <= self.pixels.len() {
                        self.run_tile_of_pair::<S, $vectors>(simd, [row, column], pair, whole);
                    } else {
                        let rows = (row..row + pair.spread + 1).step_by(pair.spread);
                        self.run_partly(simd, rows, [column, $vectors]);
                    }
                    $vectors
                }};
            }
            // Twelve sums at most, a tap of each row and pixels. What is left of a row becomes two tiles of the same width rather than a wide and a narrow one.
            let vectors = match if (7..12).contains(&left) { left.div_ceil(2) } else { left } {
                5.. => tile!(6),
                4 => tile!(4),
                3 => tile!(3),
                _ => tile!(2),
            };
            column += vectors * S::LANES;
        }
    }

    #[inline(always)]
    fn run_tile_of_pair<S: Simd<T>, const V: usize>(
        &mut self,
        simd: S,
        [row, column]: [usize; 2],
        pair: Pair,
        whole: Option<Segment<'a, T>>,
    ) {
        let pixels = &self.pixels[row * self.pitch + column..];
        let pixels = [pixels, &pixels[pair.spread * self.pitch..]];
        let mut sums = [[simd.splat(T::ZERO); V]; 2];
        if let Some(whole) = whole {
            let mut part = sums;
            whole.add(simd, pixels, &mut part);
            // Not before: it would take a register.
            sums = [[simd.splat(self.bias); V]; 2];
            add_part(simd, &mut sums, &part);
        } else {
            sums = [[simd.splat(self.bias); V]; 2];
            let per_channel = self.order.per_channel();
            let mut left = per_channel;
            for block in self.blocks {
                let mut part = [[simd.splat(T::ZERO); V]; 2];
                let mut first = block.start;
                while first < block.end {
                    let taps = first..first + left.min(block.end - first);
                    first = taps.end;
                    left = if left == taps.len() { per_channel } else { left - taps.len() };
                    let segment = Segment::new(self.places.part(taps.clone()), &self.weights[taps], pair.lag);
                    segment.add(simd, pixels, &mut part);
                }
                add_part(simd, &mut sums, &part);
            }
        }
        limit(simd, &mut sums, self.limits);
        unroll!(ROW < 2, at most 2, {
            let to = &mut self.output[(row + ROW * pair.spread) * self.output_pitch..][..self.size[1]][column..];
            if to.len() >= V * S::LANES {
                let to = &mut to[..V * S::LANES];
                unroll!(VECTOR < V, at most 6, {
                    simd.store(sums[ROW][VECTOR], &mut to[VECTOR * S::LANES..]);
                });
            } else {
                unroll!(VECTOR < V, at most 6, {
                    if let Some(to) = to.get_mut(VECTOR * S::LANES..) {
                        store_run(simd, sums[ROW][VECTOR], to);
                    }
                });
            }
        });
    }
}

impl<T: Arithmetic> Segment<'_, T> {
    /// Adds the products with the pixels of both rows.
    #[inline(always)]
    fn add<S: Simd<T>, const V: usize>(&self, simd: S, pixels: [&[T]; 2], part: &mut [[S::Vector; V]; 2]) {
        let (Segment { first, both, second }, reach) = (*self, V * S::LANES);
        add(simd, first.0.of(pixels[0], reach), first.1, &mut part[0]);
        add_both(simd, both.0.of(pixels[0], reach), both.1, part);
        add(simd, second.0.of(pixels[1], reach), second.1, &mut part[1]);
    }
}

/// Adds the sum of a block.
#[inline(always)]
fn add_part<T: Arithmetic, S: Simd<T>, const V: usize>(
    simd: S,
    sums: &mut [[S::Vector; V]; 2],
    part: &[[S::Vector; V]; 2],
) {
    unroll!(ROW < 2, at most 2, {
        unroll!(VECTOR < V, at most 6, {
            sums[ROW][VECTOR] = simd.add(sums[ROW][VECTOR], part[ROW][VECTOR]);
        });
    });
}

/// Adds the products of some pixels with a tap each, for one row.
#[inline(always)]
fn add<T: Arithmetic, S: Simd<T>, const V: usize>(
    simd: S,
    pixels: Runs<'_, T>,
    weights: &[T],
    part: &mut [S::Vector; V],
) {
    for (pixels, weight) in pixels.zip(weights) {
        let weight = simd.splat(*weight);
        unroll!(VECTOR < V, at most 6, {
            part[VECTOR] = simd.fma(simd.load(&pixels[VECTOR * S::LANES..]), weight, part[VECTOR]);
        });
    }
}

/// The same with a tap of each of two rows.
#[inline(always)]
fn add_both<T: Arithmetic, S: Simd<T>, const V: usize>(
    simd: S,
    pixels: Runs<'_, T>,
    [first, second]: [&[T]; 2],
    part: &mut [[S::Vector; V]; 2],
) {
    for ((pixels, first), second) in pixels.zip(first).zip(second) {
        unroll!(VECTOR < V, at most 6, {
            let x = simd.load(&pixels[VECTOR * S::LANES..]);
            part[0][VECTOR] = simd.fma(x, simd.splat(*first), part[0][VECTOR]);
            part[1][VECTOR] = simd.fma(x, simd.splat(*second), part[1][VECTOR]);
        });
    }
}
