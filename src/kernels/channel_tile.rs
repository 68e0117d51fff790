//! The register tile with output channels as lanes: a few pixels by one or two vectors of channels.
//!
//! ```text
//! for tap in list:                      # of a block: one partial sum
//!     w[0..V] = weights[tap]            # V vectors of channels
//!     for p in 0..P: acc[p][0..V] += pixels[tap][p] * w[0..V]
//! sums[p] = (bias or sums[p]) + acc[p]
//! ```
//!
//! Pixels are read one by one, so they may begin anywhere and be any number: no lane is lost on the width of an image, and a pixel
//! that a tap sees on padding can be left out. Their sums are kept as `[pixel][channel]` until the last block: then
//! [`transpose`](super::transpose) turns them.

use super::gather::{ELSEWHERE, Gathering, Pixels};
use super::tile::{Block, CACHE_LINE, Panel, Tile, Upcoming, ask_for, before_lines, multiply_add};
use super::transpose::transpose;
use crate::simd::rows::EvenRows;
use crate::simd::taps::{Clip, Operand, Runs, RunsOfTap, RunsOfTaps};
use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// Weight panels times the pixels of a block, one after the other.
pub(crate) struct MultiplyChannels<'a, 's, 'r, 'g, T, P> {
    pub(crate) block: &'s Block<'a, T>,
    /// Of [`PanelOfAll`].
    pub(crate) panels: P,
    /// Where pixels come from, and lie, if they are gathered.
    pub(crate) gathering: Option<&'s mut Gathering<'g, T>>,
    /// `[panel][pixel][channel]`, a pixel's channels in whole vectors.
    pub(crate) sums: &'s mut [T],
    /// Likewise, of one panel, what is summed up of a block's taps before its last part.
    pub(crate) partial: &'s mut [T],
    /// What is packed next is brought into the second-level cache meanwhile.
    pub(crate) upcoming: &'s mut Upcoming<'a, T>,
    /// In the last block there is one panel: where its sums go at last, one row for each channel. Else none.
    pub(crate) rows: &'s mut [&'r mut [T]],
}

/// One of some weight panels.
pub(crate) struct PanelOfAll<'a, T> {
    pub(crate) panel: Panel<'a, T>,
    /// Where its sums begin.
    pub(crate) first_sum: usize,
    /// The weights that come next are brought into the second-level cache meanwhile.
    pub(crate) next: &'a [T],
}

/// Which of a block's taps they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    number: usize,
    first: bool,
    last: bool,
}

/// Most pixels of a tile that has so many vectors of channels. With one vector the compiler loads some pixels ahead, and spills sums where it has not two
/// registers to spare: 14 pixels are 1.4 times slower than 12 with AVX2.
pub(crate) const fn most_pixels(registers: usize, vectors: usize) -> usize {
    let held = if vectors == 1 { 3 } else { 1 };
    let fitting = (registers - held - vectors) / vectors;
    if fitting < 2 * MOST_IN_RUN { fitting } else { 2 * MOST_IN_RUN }
}

/// Most pixels that a tile takes of one run.
const MOST_IN_RUN: usize = 14;

/// Most pixels of a tile that has so many vectors of channels and one run.
pub(crate) const fn most_in_run(registers: usize, vectors: usize) -> usize {
    let most = most_pixels(registers, vectors);
    if most < MOST_IN_RUN { most } else { MOST_IN_RUN }
}

/// Whether a tap has multiply-adds enough to ask for pixels and weights meanwhile: with few registers it is cheaper to ask for all weights that a tile has to before
/// its first tap. With many that takes 2 to 7 % of a tile's time, since more is asked for than can be under way.
pub(super) const fn asks_by_tap(registers: usize) -> bool {
    registers > 16
}

/// Asks for the part of some memory that is more than a cache line for each of so many taps, or, if those do not ask, for all of it; what they are to ask for then begins
/// where the first number says, and goes on by the second.
#[inline(always)]
pub(super) fn ask_before<T: Copy, S: Simd<T>>(simd: S, memory: &[T], taps: usize, by_tap: bool) -> (usize, usize) {
    let line = CACHE_LINE / size_of::<T>();
    let (mut at, with_taps) = (0, if by_tap { taps * line } else { 0 });
    while at + with_taps < memory.len() {
        simd.prefetch(memory, at);
        at += line;
    }
    (at, memory.len().saturating_sub(at).div_ceil(taps.max(1)))
}

/// Pixels as far apart as the block says.
const ANY_STEP: usize = 0;

/// Whether the compiler loads all pixels of a tap that are so far apart before it uses them: it does with any step, if there are many registers. Then their offsets and they take registers.
/// Such tiles ask for nothing meanwhile, which would take more of them, and one of many cache lines that a tap sees. Measured with `cargo bench --bench layers` and vectors of 64 bytes: 1.0 to
/// 1.4 times as fast as asking; 0.86 times for nine pixels and 16 MB of weights.
const fn loads_ahead(registers: usize, step: usize) -> bool {
    asks_by_tap(registers) && step == ANY_STEP
}

/// Most pixels of a tile whose pixels are so far apart. Sums for which pixels that are loaded ahead leave no registers are kept in memory. Measured with `cargo bench --bench layers` and vectors
/// of 64 bytes, two of them by 10 pixels: 1.3 times as fast as by 12.
const fn most_at_step(registers: usize, vectors: usize, step: usize) -> usize {
    if !loads_ahead(registers, step) {
        return most_pixels(registers, vectors);
    }
    let fitting = (registers - vectors) / (vectors + 1);
    if fitting < 12 { fitting } else { 12 }
}

/// Runs, and pixels of each at most, of the tiles that cover runs of so many pixels `step` apart.
pub(crate) fn tile_of_runs(registers: usize, vectors: usize, run: usize, step: usize) -> (usize, usize) {
    let most = most_at_step(registers, vectors, if step > 2 { ANY_STEP } else { step });
    match run {
        ..=3 if most <= MOST_RUNS && run * 2 <= most => (most / run, run),
        ..=4 if run * 4 <= most && step == 1 => (4, run),
        _ if most >= 2 * MOST_IN_RUN && run > 4 => (2, MOST_IN_RUN),
        _ if run * 2 <= most => (2, run),
        _ => (1, if most < MOST_IN_RUN { most } else { MOST_IN_RUN }),
    }
}

/// Some runs that have a tile together of the first pixels of each, and how many of each, where the rest of a run then is whole tiles: with 6 pixels 13 are one of 6 runs together and
/// 12 of each instead of 5, 4 and 4. None if it is not so. Only small tiles gain by being a little larger.
pub(crate) const fn lead(most: usize, run: usize) -> Option<(usize, usize)> {
    let (half, rest) = (most / 2, run % most);
    match run {
        _ if most >= MOST_IN_RUN || run <= most => None,
        // There are few kinds of tiles of more than two runs.
        _ if most <= MOST_RUNS && 0 < rest && rest <= half => Some((most / rest, rest)),
        _ if (run - half).div_ceil(most) < run.div_ceil(most) => Some((2, half)),
        _ => None,
    }
}

/// Most runs of a tile.
const MOST_RUNS: usize = 6;

/// Runs that have a tile together, of so many that are left, if elsewhere it is `together` with `len` pixels of each.
pub(crate) const fn runs_of_tile(registers: usize, (together, len): (usize, usize), left: usize) -> usize {
    match left {
        _ if left >= together => together,
        _ if is_small(registers, left * len) => left,
        _ => 1,
    }
}

/// Whether there are tiles of any number of runs, with so many pixels in all.
const fn is_small(registers: usize, pixels: usize) -> bool {
    most_pixels(registers, 2) <= MOST_RUNS && pixels <= MOST_RUNS
}

/// Vectors of each row that are written one behind the other where caches do not hold the output: memory takes neighbouring cache lines faster than lines from
/// row to row. Measured with `cargo bench --bench layers` on batches of 8 and 32 images: 1.02 times as fast for 3x3 and 1x1 of few channels, 1.0 for others.
const TURNED_FAR: usize = 4;

/// Whether there is such a tile: what there is not is not compiled. Tiles of one vector serve the last panel too where the others have two,
/// so they are of all sizes.
const fn is_tile(registers: usize, vectors: usize, step: usize, runs: u16, len: u16) -> bool {
    let (runs, len) = (runs as usize, len as usize);
    let most = most_at_step(registers, vectors, step);
    match runs {
        ..=2 => len * runs <= most,
        4 if len * 4 <= most && step == 1 => true,
        _ => is_small(registers, len * runs),
    }
}

/// Whether tiles may gather their pixels, with so many registers: those of the first panel, one or two vectors for each tap. Measured with `cargo bench --bench layers` and AVX2.
pub(crate) const fn gathers(registers: usize) -> bool {
    registers <= 16
}

/// Whether there is such a tile.
const fn is_gathering_tile<T: Copy, S: Simd<T>>(vectors: usize, step: usize) -> bool {
    gathers(S::REGISTERS) && vectors == S::PANEL_VECTORS && step == 1
}

impl<'a, T: Arithmetic, P: Iterator<Item = PanelOfAll<'a, T>>> Kernel<T> for MultiplyChannels<'a, '_, '_, '_, T, P> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        if const { !S::CHANNEL_TILES } {
            unreachable!("not chosen where there are none");
        }
        let MultiplyChannels { block, panels, mut gathering, sums, partial, upcoming, rows } = self;
        let tiles = block.parts * block.tiles.len();
        for PanelOfAll { panel, first_sum, next } in panels {
            let asks = &mut Asks::new(next, tiles, upcoming);
            for number in 0..block.parts {
                let part = Part { number, first: number == 0, last: number + 1 == block.parts };
                let of_part = OfPart {
                    block,
                    panel: &panel,
                    part,
                    gathering: gathering.as_deref_mut(),
                    sums: &mut sums[first_sum..],
                    partial,
                    asks,
                    rows: if part.last { rows } else { &mut [] },
                };
                match (panel.rows.div_ceil(S::LANES), block.step) {
                    (1, 1) => of_part.run_tiles::<S, 1, 1>(simd),
                    (1, 2) => of_part.run_tiles::<S, 1, 2>(simd),
                    (1, _) => of_part.run_tiles::<S, 1, ANY_STEP>(simd),
                    (2, 1) if const { S::PANEL_VECTORS >= 2 } => of_part.run_tiles::<S, 2, 1>(simd),
                    (2, 2) if const { S::PANEL_VECTORS >= 2 } => of_part.run_tiles::<S, 2, 2>(simd),
                    (2, _) if const { S::PANEL_VECTORS >= 2 } => of_part.run_tiles::<S, 2, ANY_STEP>(simd),
                    (vectors, _) => unreachable!("no tile of {vectors} vectors"),
                }
            }
        }
    }
}

/// A part of a block's taps for a panel.
struct OfPart<'a, 's, 'u, 'r, 'g, T> {
    block: &'s Block<'a, T>,
    panel: &'s Panel<'a, T>,
    part: Part,
    gathering: Option<&'s mut Gathering<'g, T>>,
    sums: &'s mut [T],
    partial: &'s mut [T],
    asks: &'s mut Asks<'u, 'a, T>,
    rows: &'s mut [&'r mut [T]],
}

impl<T: Arithmetic> OfPart<'_, '_, '_, '_, '_, T> {
    #[inline(always)]
    fn run_tiles<S: Simd<T>, const V: usize, const STEP: usize>(mut self, simd: S) {
        let (block, panel, part, run) = (self.block, self.panel, self.part, self.block.run as usize);
        let (mut done, mut turned) = (0, 0);
        // Measured with `cargo bench --bench layers` and AVX2: vectors that begin with cache lines are worth a vector more if there are some, up to 1.03 times as fast.
        let skew = before_lines(self.rows).filter(|skew| skew + 4 * S::LANES <= self.rows[0].len()).unwrap_or(0);
        let mut rows = EvenRows::new(self.rows);
        while let Some(first) = block.tiles.get(done) {
            let left = self.gathering.as_ref().map_or(0, |gathering| gathering.tiles.saturating_sub(done));
            let most = (TOGETHER / first.pixels()).clamp(1, if left > 0 { left } else { usize::MAX });
            let is_alike = |tile: &&Tile| (tile.runs, tile.len) == (first.runs, first.len);
            let alike = block.tiles[done..].iter().take(most).take_while(is_alike).count();
            let tiles = &block.tiles[done..done + alike];
            let pixels = Pixels::of_tile(left > 0, self.gathering.as_deref_mut(), block.pixels);
            macro_rules! by_size {
                ($($runs:literal x $($len:literal)*),*) => {
                    match (first.runs, first.len) {
                        $($(($runs, $len) if const { S::CHANNEL_TILES && is_tile(S::REGISTERS, V, STEP, $runs, $len) } => {
                            let (asks, sums, partial) = (&mut *self.asks, &mut *self.sums, &mut *self.partial);
                            if const { $runs == 1 && is_gathering_tile::<T, S>(V, STEP) } && left > 0 {
                                simd.call(Tiles::<T, { $runs * $len }, $len, V, STEP, true> { block, panel, part, tiles, pixels, asks, sums, partial });
                            } else {
                                simd.call(Tiles::<T, { $runs * $len }, $len, V, STEP, false> { block, panel, part, tiles, pixels, asks, sums, partial });
                            }
                        })*)*
                        size => unreachable!("no tile of runs and pixels {size:?}"),
                    }
                };
            }
            by_size!(1 x 1 2 3 4 5 6 7 8 9 10 11 12 13 14, 2 x 1 2 3 4 5 6 7 8 9 10 11 12 13 14, 3 x 1 2, 4 x 1 2 3 4, 5 x 1, 6 x 1);
            done += alike;
            if rows.len() == 0 {
                continue;
            }
            // The sums of all pixels before the next tile's first are there, or of those before the runs that it is a part of.
            let next = block.tiles.get(done);
            let ready = next.map_or(rows.len(), |tile| match tile.runs {
                1 => tile.pixel as usize,
                _ => tile.pixel as usize / run * run,
            });
            let together = if block.far { TURNED_FAR * S::LANES } else { S::LANES };
            loop {
                let end = if turned == 0 && skew > 0 { skew } else { turned + together };
                if turned >= ready || (end > ready && next.is_some()) {
                    break;
                }
                let end = end.min(ready);
                while turned < end {
                    transpose::<T, S, V>(simd, self.sums, &mut rows, turned, block.limits);
                    turned = end.min(turned + S::LANES);
                }
                if block.far {
                    for row in rows.rows() {
                        ask_for(simd, row, turned, 0, [1, TURNED_FAR]);
                    }
                }
            }
        }
        if let Some(gathering) = self.gathering {
            gathering.tiles = 0;
        }
    }
}

/// Pixels of the tiles that are done one after the other before what is ready is turned: what a processor can look ahead over ends between tiles where much is done
/// between them. Measured with `cargo bench --bench layers` and AVX2: 1.01 to 1.02 times as fast as tile by tile, 48 pixels are 0.99 times as fast as 96.
const TOGETHER: usize = 96;

/// What tiles ask for meanwhile.
struct Asks<'s, 'a, T> {
    /// The weights that come next, so many for each tile.
    next: &'a [T],
    share: usize,
    /// What is packed next, of which the odd ones ask for a piece, if there is any.
    upcoming: Option<&'s mut Upcoming<'a, T>>,
    is_odd: bool,
}

impl<'s, 'a, T> Asks<'s, 'a, T> {
    #[inline(always)]
    fn new(next: &'a [T], tiles: usize, upcoming: &'s mut Upcoming<'a, T>) -> Self {
        let upcoming = Some(upcoming).filter(|upcoming| !upcoming.is_empty());
        let asking = if upcoming.is_some() { tiles / 2 } else { tiles };
        let share = next.len().div_ceil(asking.max(1));
        Asks { next, share, upcoming, is_odd: false }
    }

    /// The next tile's.
    #[inline(always)]
    fn next(&mut self) -> &'a [T] {
        if let Some(upcoming) = &mut self.upcoming {
            self.is_odd = !self.is_odd;
            if !self.is_odd
                && let Some(piece) = upcoming.next()
            {
                return piece;
            }
        }
        let next;
        (next, self.next) = self.next.split_at(self.share.min(self.next.len()));
        next
    }
}

/// Tiles of `N` pixels in runs of `P`, `STEP` apart or [`ANY_STEP`], and `V` vectors of channels.
struct Tiles<'a, 's, 'u, 'g, T, const N: usize, const P: usize, const V: usize, const STEP: usize, const GATHERS: bool>
{
    block: &'s Block<'a, T>,
    panel: &'s Panel<'a, T>,
    part: Part,
    tiles: &'s [Tile],
    /// In an image if they gather.
    pixels: Pixels<'s, 'g, T>,
    asks: &'s mut Asks<'u, 'a, T>,
    sums: &'s mut [T],
    partial: &'s mut [T],
}

impl<T: Arithmetic, const N: usize, const P: usize, const V: usize, const STEP: usize, const GATHERS: bool> Kernel<T>
    for Tiles<'_, '_, '_, '_, T, N, P, V, STEP, GATHERS>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(mut self, simd: S) {
        let width = V * S::LANES;
        for tile in self.tiles {
            let sums = if GATHERS { self.multiply_gathering(simd, tile) } else { self.multiply(simd, tile) };
            let to = if self.part.last { &mut *self.sums } else { &mut *self.partial };
            unroll!(RUN < (N / P), at most 6, {
                let first = tile.pixel as usize + RUN * self.block.run as usize;
                let places = &mut to[first * width..][..P * width];
                let sums = sums[RUN * P..].first_chunk().expect("as many pixels");
                if self.part.last {
                    add_run::<T, S, P, V>(simd, sums, self.panel.bias, places);
                } else {
                    store_run::<T, S, P, V>(simd, sums, places);
                }
            });
        }
    }
}

/// Takes the sums of a run as they are.
#[inline(always)]
fn load_run<T: Arithmetic, S: Simd<T>, const P: usize, const V: usize>(
    simd: S,
    places: &[T],
    sums: &mut [[S::Vector; V]; P],
) {
    unroll!(PIXEL < P, {
        sums[PIXEL] = vectors(simd, &places[PIXEL * V * S::LANES..]);
    });
}

/// Leaves the sums of a run as they are.
#[inline(always)]
fn store_run<T: Arithmetic, S: Simd<T>, const P: usize, const V: usize>(
    simd: S,
    sums: &[[S::Vector; V]; P],
    places: &mut [T],
) {
    unroll!(PIXEL < P, {
        unroll!(VECTOR < V, at most 2, {
            simd.store(sums[PIXEL][VECTOR], &mut places[(PIXEL * V + VECTOR) * S::LANES..]);
        });
    });
}

/// Adds the sums of a run to the bias, or to what is there.
#[inline(always)]
fn add_run<T: Arithmetic, S: Simd<T>, const P: usize, const V: usize>(
    simd: S,
    sums: &[[S::Vector; V]; P],
    bias: Option<&[T]>,
    places: &mut [T],
) {
    unroll!(VECTOR < V, at most 2, {
        let bias = bias.map(|bias| &bias[VECTOR * S::LANES..]);
        let bias = match bias {
            Some(bias) if bias.len() >= S::LANES => Some(simd.load(bias)),
            Some(bias) => Some(simd.load_partial(bias)),
            None => None,
        };
        unroll!(PIXEL < P, {
            let place = &mut places[(PIXEL * V + VECTOR) * S::LANES..][..S::LANES];
            let before = match bias {
                Some(bias) => bias,
                None => simd.load(place),
            };
            simd.store(simd.add(before, sums[PIXEL][VECTOR]), place);
        });
    });
}

impl<T: Arithmetic, const N: usize, const P: usize, const V: usize, const STEP: usize, const GATHERS: bool>
    Tiles<'_, '_, '_, '_, T, N, P, V, STEP, GATHERS>
{
    /// The partial sums.
    #[inline(always)]
    fn multiply<S: Simd<T>>(&mut self, simd: S, tile: &Tile) -> [[S::Vector; V]; N] {
        let Pixels::Held(pixels) = &self.pixels else { unreachable!("{ELSEWHERE}") };
        let block = self.block;
        let next = if loads_ahead(S::REGISTERS, STEP) { &[] } else { self.asks.next() };
        let pixel_step = if STEP == ANY_STEP { block.step as usize } else { STEP };
        let (count, len) = ((N / P) as u16, P as u16);
        let runs = Runs { count, len, pitch: block.pitch, step: pixel_step as u32 };
        let weights = (self.panel.weights, self.panel.rows, V * S::LANES);
        let operands = block.runs((self.part.number, tile), pixels, runs, weights);
        let (at, each) = ask_before(simd, next, operands.len(), asks_by_tap(S::REGISTERS) && V > 1);
        let mut sums = [[simd.splat(T::ZERO); V]; N];
        if !self.part.first {
            unroll!(RUN < (N / P), at most 6, {
                let (first, width) = (tile.pixel as usize + RUN * block.run as usize, V * S::LANES);
                let places = &self.partial[first * width..][..P * width];
                load_run::<T, S, P, V>(simd, places, sums[RUN * P..].first_chunk_mut().expect("as many pixels"));
            });
        }
        if P > 1 && operands.leave_out() {
            self.add_taps::<S, true>(simd, operands, (next, at, each), &mut sums);
        } else {
            self.add_taps::<S, false>(simd, operands, (next, at, each), &mut sums);
        }
        sums
    }

    /// Adds the taps' products, and asks for what comes next.
    #[inline(always)]
    fn add_taps<S: Simd<T>, const CLIPPED: bool>(
        &self,
        simd: S,
        taps: RunsOfTaps<'_, T>,
        (next, mut at, each): (&[T], usize, usize),
        sums: &mut [[S::Vector; V]; N],
    ) {
        let block = self.block;
        let pixel_step = if STEP == ANY_STEP { block.step as usize } else { STEP };
        // Their last pixels: those before are mostly in the same cache line, or in the one that the tile before has asked for.
        let (ahead, next_tile) = (block.ahead + (P - 1) * pixel_step, (2 * P - 1) * pixel_step);
        for tap in taps {
            if asks_by_tap(S::REGISTERS) && !loads_ahead(S::REGISTERS, STEP) {
                tap.prefetch_near(simd, ahead);
                // Tiles of one vector are bound by what they load, and have hardly any weights.
                if V > 1 {
                    tap.prefetch(simd, next_tile);
                    simd.prefetch(next, at);
                    at += each;
                }
            }
            if CLIPPED && tap.clip != Clip::NOTHING {
                seldom();
                // One, as ever with three columns of taps: small tiles have no time to ask for each pixel.
                match tap.clip {
                    Clip::FIRST => self.add_tap::<S, 1, 0>(simd, &tap, sums),
                    Clip::LAST => self.add_tap::<S, 0, 1>(simd, &tap, sums),
                    _ => self.add_seen(simd, &tap, sums),
                }
                continue;
            }
            self.add_tap::<S, 0, 0>(simd, &tap, sums);
        }
    }

    /// The sums of a tile whose pixels lie in an image, and are left where others read them.
    #[inline(always)]
    fn multiply_gathering<S: Simd<T>>(&mut self, simd: S, tile: &Tile) -> [[S::Vector; V]; N] {
        let next = self.asks.next();
        let Pixels::Image(gathering) = &mut self.pixels else { unreachable!("{ELSEWHERE}") };
        let Gathering { image, taps, list, ahead, to, slot, tiles: _ } = &mut **gathering;
        let weights = (self.panel.weights, self.panel.rows, V * S::LANES);
        let operands = taps.operands(*list, (&image[tile.pixel as usize..], N.next_multiple_of(S::LANES)), weights);
        ask_before(simd, next, 0, false);
        let (mut sums, mut to) = ([[simd.splat(T::ZERO); V]; N], &mut to[tile.place as usize..]);
        for Operand { pixels, weights, .. } in operands {
            simd.prefetch_near(pixels.as_ptr().wrapping_add(*ahead + P));
            // Those that some tiles further on see.
            simd.prefetch(pixels, 3 * P);
            // The next tap's overwrite what is too much.
            unroll!(VECTOR < (N.div_ceil(S::LANES)), at most 2, {
                simd.store(simd.load(&pixels[VECTOR * S::LANES..]), &mut to[VECTOR * S::LANES..]);
            });
            to = &mut to[*slot..];
            let w = vectors(simd, weights);
            unroll!(PIXEL < N, at most 28, {
                multiply_add(simd, &w, simd.splat(pixels[PIXEL]), &mut sums[PIXEL]);
            });
        }
        sums
    }

    /// Adds a tap's products, but for so many of the first and of the last pixels of each run. A function of its own, as the next ones, since compilers take long
    /// over loops that are written out within others.
    #[inline(always)]
    fn add_tap<S: Simd<T>, const FIRST: usize, const LAST: usize>(
        &self,
        simd: S,
        tap: &RunsOfTap<'_, T>,
        sums: &mut [[S::Vector; V]; N],
    ) {
        let w = vectors(simd, tap.weights);
        // Checks that it does not foresee keep the compiler from loading all pixels of a tap before it uses them: they would take registers too.
        // Where the tap leaves out pixels a run need not begin in memory.
        let (mut runs, checked) =
            ([tap.memory; MOST_RUNS], STEP == ANY_STEP && !asks_by_tap(S::REGISTERS) && FIRST + LAST == 0);
        if checked {
            unroll!(RUN < (N / P), at most 6, {
                runs[RUN] = tap.run(RUN);
            });
        }
        unroll!(PIXEL < N, at most 28, {
            let (run, pixel) = (PIXEL / P, PIXEL % P);
            if pixel >= FIRST && pixel + LAST < P {
                let x = if checked { runs[run][pixel * self.block.step as usize] } else { tap.pixel(run, pixel) };
                multiply_add(simd, &w, simd.splat(x), &mut sums[PIXEL]);
            }
        });
    }

    /// The same for as many pixels as the tap says.
    #[inline(always)]
    fn add_seen<S: Simd<T>>(&self, simd: S, tap: &RunsOfTap<'_, T>, sums: &mut [[S::Vector; V]; N]) {
        let w = vectors(simd, tap.weights);
        let [first, last] = tap.clip.ends();
        assert!(first <= Clip::MOST && last <= Clip::MOST, "or more pixels are to be looked at");
        let is_seen = |pixel: usize| first <= pixel && pixel + last < P;
        unroll!(PIXEL < P, {
            if is_seen(PIXEL) {
                unroll!(RUN < (N / P), at most 6, {
                    let x = simd.splat(tap.pixel(RUN, PIXEL));
                    multiply_add(simd, &w, x, &mut sums[RUN * P + PIXEL]);
                });
            }
        });
    }
}

/// The first elements of some memory, a vector after the other.
#[inline(always)]
fn vectors<T: Arithmetic, S: Simd<T>, const V: usize>(simd: S, memory: &[T]) -> [S::Vector; V] {
    let mut vectors = [simd.splat(T::ZERO); V];
    unroll!(VECTOR < V, at most 2, {
        vectors[VECTOR] = simd.load(&memory[VECTOR * S::LANES..]);
    });
    vectors
}

/// Says that what it is called in runs seldom, which keeps compilers from laying it out where the rest would jump over it: a jump more for each tap takes
/// 3 to 5 % of a tile's time where two vectors are multiplied in a cycle.
#[cold]
fn seldom() {}
