//! Direct convolution of single output channels with any kernel: a few rows by a few vectors of pixels.
//!
//! ```text
//! for block of taps:                    # 256: one partial sum
//!     for tap in block:
//!         for r in 0..R: acc[r][0..V] += weight * pixels[tap][r][0..V]
//!     sum += acc, acc = 0
//! output[r] = sum[r]
//! ```
//!
//! A multiply-add needs a vector of pixels, and most begin within a cache line and end in the next one: with vectors of a line each, loading takes twice as
//! long as the multiply-add. So under kernels with as many rows of taps as a tile has rows, a row of pixels is loaded once for all rows of output that see it.
//! Where registers are few it is two rows of more vectors ([`pairs`](super::pairs)).
//! Under others the pixels under neighbours of a row of taps are shifts of those under the first one, in half of the vectors.

use core::iter::StepBy;
use core::ops::Range;

use super::copy::store_run;
use super::pairs::{Pair, are_best};
use super::tile::{FEW_TAPS, ask_for, limit};
use crate::simd::places::Places;
use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// Rows of a tile, and vectors of a tile of one row.
const ROWS: usize = 4;
const LONG: usize = 8;
/// Taps of a row from which on rows of output share pixels where that is not worth it for fewer loads across cache lines.
const WORTH_SHARING: usize = 7;
/// Columns from which on the rows below are asked for ahead of time.
const FAR: usize = 64;

/// One output channel of a region.
pub(crate) struct Plane<'a, 'o, T> {
    /// From the first pixel under the first tap on.
    pub(crate) pixels: &'a [T],
    /// Where the first pixel under each tap lies, in the order of the sum.
    pub(crate) places: Places<'a>,
    pub(crate) order: Order,
    /// The taps of each block.
    pub(crate) blocks: &'a [Range<usize>],
    pub(crate) weights: &'a [T],
    pub(crate) bias: T,
    /// What the outputs are kept within.
    pub(crate) limits: Option<[T; 2]>,
    /// Elements from the pixels of a row of output to those of the next one.
    pub(crate) pitch: usize,
    pub(crate) output: &'o mut [T],
    /// Elements from one row of it to the next.
    pub(crate) output_pitch: usize,
    /// Its rows and columns.
    pub(crate) size: [usize; 2],
    /// Whether caches do not hold the call's input and output.
    pub(crate) far: bool,
}

/// How a tile reads pixels: no more than there are in a row of it; in whole vectors; some of those by shifts of others, under rows of taps; or each once for
/// all rows of the tile that see it, under columns of taps or under any other kernel.
const PARTLY: usize = 0;
const WHOLE: usize = 1;
const SHIFTED: usize = 2;
const OF_COLUMN: usize = 3;
const SHARED: usize = 4;

/// Whether a vector of a [`SHIFTED`] tile is one, of so many rows and vectors: half of them are. Then shifts take as long as the loads of the other half,
/// and both as long as the multiply-adds.
struct IsShifted<const READING: usize, const ROW: usize, const VECTOR: usize, const R: usize, const V: usize>;

impl<const READING: usize, const ROW: usize, const VECTOR: usize, const R: usize, const V: usize>
    IsShifted<READING, ROW, VECTOR, R, V>
{
    const HOLDS: bool = READING == SHIFTED && if R > 1 { ROW < R / 2 } else { VECTOR < V / 2 };
}

/// How the pixels under taps lie to each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// Taps of a row: those of each lie a pixel behind those of the one before.
    across: usize,
    /// Such rows of which each lies a row of pixels below the one before.
    down: usize,
    /// Whether all are one row.
    is_row: bool,
    per_channel: usize,
    pair: Pair,
}

impl Order {
    /// That of the taps of a kernel of so many rows and columns, for each channel, whose first pixels lie there, where rows are `pitch` apart.
    pub(crate) fn new(places: &[u32], kernel: [usize; 2], pitch: usize) -> Self {
        let across = run_len(places.iter(), 1);
        let down = run_len(places.iter().step_by(across), pitch);
        let (is_row, per_channel) = (across == places.len(), kernel[0] * kernel[1]);
        Order { across, down, is_row, per_channel, pair: Pair::new(places, kernel, pitch) }
    }

    /// The taps of a channel.
    pub(super) fn per_channel(self) -> usize {
        self.per_channel
    }

    /// Whether all taps are one row.
    pub(super) fn is_row(self) -> bool {
        self.is_row
    }

    /// Rows of output that share pixels.
    pub(super) fn pair(self) -> Pair {
        self.pair
    }
}

/// The length of the runs that places fall into if those of a run are so far from each other; 1 if they fall into none.
fn run_len<'p>(places: impl ExactSizeIterator<Item = &'p u32> + Clone, distance: usize) -> usize {
    let follow = |(&before, &place): (&u32, &u32)| (place as usize).checked_sub(distance) == Some(before as usize);
    let mut pairs = places.clone().zip(places.clone().skip(1));
    let len = 1 + pairs.clone().take_while(|&pair| follow(pair)).count();
    let alike =
        places.len().is_multiple_of(len) && (1..).zip(&mut pairs).all(|(end, pair)| end % len == 0 || follow(pair));
    if alike { len } else { 1 }
}

/// Whether tiles of four rows may share pixels.
const fn shares<T: Copy, S: Simd<T>>() -> bool {
    S::CHANNEL_TILES && !are_best::<T, S>()
}

impl<T: Arithmetic> Kernel<T> for Plane<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(mut self, simd: S) {
        if const { are_best::<T, S>() } && self.has_pairs(S::LANES) {
            return self.run_pairs(simd);
        }
        let (rows, last_tap) = (self.size[0], self.places.most());
        let Order { across, down, is_row, .. } = self.order;
        let reading = if down < ROWS || const { are_best::<T, S>() } {
            WHOLE
        } else if across >= if S::SHIFTS { 2 } else { WORTH_SHARING } {
            SHARED
        } else if across == 1 {
            OF_COLUMN
        } else {
            WHOLE
        };
        let mut row = 0;
        while row < rows {
            // Rows of the tile share nothing under one row of taps, and memory is read fastest row by row.
            if rows >= ROWS && (!is_row || self.size[1] < LONG * S::LANES) {
                // The last tile computes some rows again.
                self.run_rows::<S, ROWS>(simd, row.min(rows - ROWS), last_tap, reading);
                row += ROWS;
            } else {
                self.run_rows::<S, 1>(simd, row, last_tap, reading);
                row += 1;
            }
        }
    }
}

impl<T: Arithmetic> Plane<'_, '_, T> {
    #[inline(always)]
    fn run_rows<S: Simd<T>, const R: usize>(&mut self, simd: S, row: usize, last_tap: usize, reading: usize) {
        let mut column = 0;
        while column < self.size[1] {
            let left = (self.size[1] - column).div_ceil(S::LANES);
            macro_rules! tile {
                ($vectors:expr) => {{
                    if R > 1 {
                        self.ask_below(simd, row + R, column, [R, $vectors]);
                    }
                    // Whether there is a whole vector behind every tap.
                    let end = (row + R - 1) * self.pitch + column + last_tap + $vectors * S::LANES;
                    if end > self.pixels.len() {
                        self.run_partly(simd, (row..row + R).step_by(1), [column, $vectors]);
                    } else if const { R > 1 && $vectors > 1 && shares::<T, S>() } && reading == SHARED {
                        self.run_tile::<S, R, $vectors, SHARED>(simd, row, column);
                    } else if const { R > 1 && shares::<T, S>() } && reading == OF_COLUMN {
                        self.run_tile::<S, R, $vectors, OF_COLUMN>(simd, row, column);
                    } else if const { S::SHIFTS && R * $vectors > 2 } && self.order.across > 2 {
                        self.run_tile::<S, R, $vectors, SHIFTED>(simd, row, column);
                    } else {
                        self.run_tile::<S, R, $vectors, WHOLE>(simd, row, column);
                    }
                    $vectors
                }};
            }
            // As many sums as the registers hold, or as a multiply-add takes to be done. Without vectors less is enough to compile, for ten types.
            let vectors = match left {
                LONG.. if const { R == 1 && S::CHANNEL_TILES } => tile!(LONG),
                3 | 5.. if const { R > 1 && S::REGISTERS > 16 } => tile!(3),
                2.. => tile!(2),
                _ => tile!(1),
            };
            column += vectors * S::LANES;
        }
    }

    /// Asks for what a tile whose rows begin there will see and the one above it does not, and if caches do not hold it, for what it will write.
    #[inline(always)]
    pub(super) fn ask_below<S: Simd<T>>(&self, simd: S, row: usize, column: usize, tile: [usize; 2]) {
        if self.size[1] >= FAR {
            ask_for(simd, self.pixels, row * self.pitch + column + self.places.most(), self.pitch, tile);
            if self.far && self.places.as_slice().len() <= FEW_TAPS {
                ask_for(simd, &*self.output, row * self.output_pitch + column, self.output_pitch, tile);
            }
        }
    }

    /// Computes some vectors of some rows, of whose pixels not all are there, one by one.
    #[inline(always)]
    pub(super) fn run_partly<S: Simd<T>>(
        &mut self,
        simd: S,
        rows: StepBy<Range<usize>>,
        [column, vectors]: [usize; 2],
    ) {
        for row in rows {
            for column in (column..self.size[1]).step_by(S::LANES).take(vectors) {
                self.run_tile::<S, 1, 1, PARTLY>(simd, row, column);
            }
        }
    }

    #[inline(always)]
    fn run_tile<S: Simd<T>, const R: usize, const V: usize, const READING: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
    ) {
        // 32 bits: sums of such numbers cannot overflow, and one comparison is enough to check a range.
        let pitch = self.pitch as u32 as usize;
        let len = if READING == PARTLY { (self.size[1] - column).min(V * S::LANES) } else { V * S::LANES };
        let tile = Tile::<T, R, V, READING> { pixels: &self.pixels[row * pitch + column..], pitch, len };
        let Order { across, down, .. } = self.order;
        let across = if READING == OF_COLUMN { 1 } else { across };
        let mut sums = [[simd.splat(self.bias); V]; R];
        // The row of taps, and its tap, that comes next.
        let mut place = [0, 0];
        for block in self.blocks {
            let mut part = [[simd.splat(T::ZERO); V]; R];
            let (mut offsets, mut weights) = (&self.places.as_slice()[block.clone()], &self.weights[block.clone()]);
            match READING {
                SHIFTED => {
                    let mut left = across - block.start % across;
                    while let [offset, ..] = *offsets {
                        let taps = left.min(S::LANES).min(weights.len());
                        tile.add_row(simd, offset, &weights[..taps], &mut part);
                        (offsets, weights) = (&offsets[taps..], &weights[taps..]);
                        left = if left == taps { across } else { left - taps };
                    }
                }
                OF_COLUMN | SHARED => {
                    while let [offset, ..] = *offsets {
                        // Rows that a block ends within are not shared.
                        let rows = if place[1] == 0 { (weights.len() / across).min(down - place[0]) } else { 0 };
                        let taps = if rows >= ROWS { rows * across } else { weights.len().min(across - place[1]) };
                        if rows >= ROWS {
                            tile.add_rows(simd, offset, (&weights[..taps], across), &mut part);
                            place = [place[0] + rows, 0];
                        } else {
                            for (&offset, weight) in offsets[..taps].iter().zip(weights) {
                                tile.add_row(simd, offset, core::slice::from_ref(weight), &mut part);
                            }
                            place[1] += taps;
                            if place[1] == across {
                                place = [place[0] + 1, 0];
                            }
                        }
                        if place[0] == down {
                            place[0] = 0;
                        }
                        (offsets, weights) = (&offsets[taps..], &weights[taps..]);
                    }
                }
                _ => {
                    for (&offset, weight) in offsets.iter().zip(weights) {
                        tile.add_row(simd, offset, core::slice::from_ref(weight), &mut part);
                    }
                }
            }
            unroll!(ROW < R, at most 4, {
                unroll!(VECTOR < V, at most 8, {
                    sums[ROW][VECTOR] = simd.add(sums[ROW][VECTOR], part[ROW][VECTOR]);
                });
            });
        }
        limit(simd, &mut sums, self.limits);
        unroll!(ROW < R, at most 4, {
            let to = &mut self.output[(row + ROW) * self.output_pitch..][..self.size[1]][column..];
            unroll!(VECTOR < V, at most 8, {
                store_run(simd, sums[ROW][VECTOR], &mut to[VECTOR * S::LANES..]);
            });
        });
    }
}

/// `R` rows by `V` vectors of pixels.
struct Tile<'a, T, const R: usize, const V: usize, const READING: usize> {
    /// From its first one under the first tap on.
    pixels: &'a [T],
    pitch: usize,
    /// How many are read of a row.
    len: usize,
}

impl<T: Arithmetic, const R: usize, const V: usize, const READING: usize> Tile<'_, T, R, V, READING> {
    /// Adds the products with some taps, each a pixel behind the one before: one, or with [`SHIFTED`] as many as a vector has lanes at most.
    #[inline(always)]
    fn add_row<S: Simd<T>>(&self, simd: S, offset: u32, weights: &[T], part: &mut [[S::Vector; V]; R]) {
        let Tile { pixels, pitch, len } = *self;
        let reach = len + weights.len() - 1;
        let pixels = &pixels[offset as usize..][..(R - 1) * pitch + reach];
        let mut rows = [pixels; R];
        // What is shifted, and behind its last vector what else is seen.
        let (mut held, mut behind) = ([[simd.splat(T::ZERO); V]; R], [simd.splat(T::ZERO); R]);
        unroll!(ROW < R, at most 4, {
            rows[ROW] = &pixels[ROW * pitch..][..reach];
            if IsShifted::<READING, ROW, 0, R, V>::HOLDS {
                unroll!(VECTOR < V, at most 8, {
                    held[ROW][VECTOR] = simd.load(&rows[ROW][VECTOR * S::LANES..]);
                });
                behind[ROW] = simd.load_partial(&rows[ROW][V * S::LANES..]);
            }
        });
        unroll!(TAP < (S::LANES), {
            if const { TAP == 0 || READING == SHIFTED } && TAP < weights.len() {
                let weight = simd.splat(weights[TAP]);
                unroll!(ROW < R, at most 4, {
                    let held = (&held[ROW], behind[ROW]);
                    self.add_tap::<S, ROW, TAP>(simd, rows[ROW], held, weight, &mut part[ROW]);
                });
            }
        });
    }

    /// Adds the products of a row with one tap.
    #[inline(always)]
    fn add_tap<S: Simd<T>, const ROW: usize, const TAP: usize>(
        &self,
        simd: S,
        row: &[T],
        (held, behind): (&[S::Vector; V], S::Vector),
        weight: S::Vector,
        part: &mut [S::Vector; V],
    ) {
        unroll!(VECTOR < V, at most 8, {
            let from = VECTOR * S::LANES;
            let x = if IsShifted::<READING, ROW, VECTOR, R, V>::HOLDS {
                let next = if VECTOR + 1 < V { held[(VECTOR + 1) % V] } else { behind };
                simd.shift(held[VECTOR], next, TAP)
            } else if READING == PARTLY {
                simd.load_partial(&row[from..self.len.min(from + S::LANES)])
            } else {
                simd.load(&row[TAP + from..])
            };
            part[VECTOR] = simd.fma(x, weight, part[VECTOR]);
        });
    }

    /// Adds the products with some rows of taps, as many as the [`ROWS`] of the tile at least, of so many taps each.
    #[inline(always)]
    fn add_rows<S: Simd<T>>(
        &self,
        simd: S,
        offset: u32,
        (weights, across): (&[T], usize),
        part: &mut [[S::Vector; V]; R],
    ) {
        let rows = weights.len() / across;
        let mut next = offset as usize;
        unroll!(LAST < (ROWS - 1), at most 4, {
            self.add_seen::<S, 0, LAST>(simd, &mut next, (weights, across), part);
        });
        for first in 0..=rows - ROWS {
            self.add_seen::<S, 0, { ROWS - 1 }>(simd, &mut next, (&weights[first * across..], across), part);
        }
        unroll!(BEFORE < (ROWS - 1), at most 4, {
            const FIRST: usize = BEFORE + 1;
            let weights = &weights[weights.len() - (ROWS - FIRST) * across..];
            self.add_seen::<S, FIRST, { ROWS - 1 }>(simd, &mut next, (weights, across), part);
        });
    }

    /// Adds the products of the next row of pixels with the first ones of some rows of taps, under which the rows `FIRST` to `LAST` of the tile see it: the last
    /// one's first.
    #[inline(always)]
    fn add_seen<S: Simd<T>, const FIRST: usize, const LAST: usize>(
        &self,
        simd: S,
        next: &mut usize,
        (weights, across): (&[T], usize),
        part: &mut [[S::Vector; V]; R],
    ) {
        let pixels = &self.pixels[*next..][..self.len + across - 1];
        *next += self.pitch;
        let mut taps = [weights; R];
        unroll!(ROW < R, at most 4, {
            if IsWithin::<ROW, FIRST, LAST>::HOLDS {
                taps[ROW] = &weights[(LAST - ROW) * across..][..across];
            }
        });
        for tap in 0..across {
            let pixels = &pixels[tap..][..V * S::LANES];
            unroll!(VECTOR < V, at most 8, {
                let x = simd.load(&pixels[VECTOR * S::LANES..]);
                unroll!(ROW < R, at most 4, {
                    if IsWithin::<ROW, FIRST, LAST>::HOLDS {
                        part[ROW][VECTOR] = simd.fma(x, simd.splat(taps[ROW][tap]), part[ROW][VECTOR]);
                    }
                });
            });
        }
    }
}

/// Whether a row is one of those from the first to the last.
struct IsWithin<const ROW: usize, const FIRST: usize, const LAST: usize>;

impl<const ROW: usize, const FIRST: usize, const LAST: usize> IsWithin<ROW, FIRST, LAST> {
    const HOLDS: bool = FIRST <= ROW && ROW <= LAST;
}
