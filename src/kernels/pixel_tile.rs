//! The register tile with pixels as lanes: a few output channels by a few vectors of pixels.
//!
//! ```text
//! for tap in list:                      # of a block: one partial sum
//!     x[0..V]   = pixels[tap]           # V vectors
//!     for r in 0..R: acc[r][0..V] += weights[tap][r] * x[0..V]
//! output[r] = (bias[r] or output[r]) + acc[r]
//! ```
//!
//! One accumulator chain per output element, taps in order: the order of summation is the contract,
//! and many outputs side by side hide the latency of the multiply-add. The fewer the channels, the more vectors of pixels.

use core::ops::Range;

use super::gather::{ELSEWHERE, Gathering, Pixels};
use super::tile::{Block, CACHE_LINE, Panel, Tile, ask_for, multiply_add};
use crate::simd::taps::{Operand, Operands};
use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// Some weight panels times the pixels of a block, added to rows of the output.
pub(crate) struct MultiplyPixels<'a, 'r, 'g, T> {
    pub(crate) block: Block<'a, T>,
    pub(crate) panel: Panel<'a, T>,
    /// One row for each channel of the panels.
    pub(crate) rows: &'a mut [&'r mut [T]],
    /// Where pixels come from, and lie, if they are gathered.
    pub(crate) gathering: Option<&'a mut Gathering<'g, T>>,
}

/// Rows of a tile from which on it has time to ask for pixels. With fewer it asks for the next tile's only, if caches do not hold input and output. Measured with
/// `cargo bench --bench layers`, 1x1 of 64 to 256 channels to 2 or 3 on Zen 4: 1.1 to 1.5 times as fast at 250x250, 2 to 3 times at 112x112; 0.95 for 12 to 3 channels.
pub(crate) const ASKING: usize = 4;

/// Taps up to which a tile is done before memory answers, so that it asks for what the next one writes. Measured with `cargo bench --bench layers`: 1x1 of 12 to 56 channels and 64 to
/// 32 are 1.1 to 1.4 times as fast; 3x3 of 32 channels 0.97 times.
const SHORT: u32 = 64;

/// Most vectors of pixels in a tile of so many rows: one register is for a weight, and with one more to spare the compiler spills none. With masks it
/// wants a third, or it keeps sums in memory in some versions of a tile: 4 channels by 6 vectors were up to 1.3 times slower than by 5.
pub(crate) const fn most_vectors(registers: usize, rows: usize) -> usize {
    let held = if registers > 16 { 3 } else { 2 };
    match registers.saturating_sub(held) / (rows + 1) {
        0 => 1,
        fitting if fitting < MOST_VECTORS => fitting,
        _ => MOST_VECTORS,
    }
}

/// More vectors would save no loads worth having.
const MOST_VECTORS: usize = 6;

/// Whether tiles of one vector read no further than they have pixels. In larger ones a mask would take 4 % of the time of all tiles for the sake of the last.
pub(crate) const fn reads_partly<T: Copy, S: Simd<T>>() -> bool {
    S::FREE_MASKS && S::CHANNEL_TILES
}

/// Most rows that are multiplied at a time, of any instruction set.
pub(crate) const MOST_ROWS: usize = 48;

/// The same where tiles have `most` rows: those of panels of 8 or 16 are then whole tiles, if tiles have rows of two panels.
pub(crate) const fn rows_at_a_time(most: usize) -> usize {
    if most == ACROSS { MOST_ROWS } else { 32 }
}

/// Rows of the tiles that a panel of `rows` is cut into: as even as can be.
pub(crate) const fn tile_rows(most: usize, rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(most))
}

/// Rows of the tiles that may have some of one panel, and some of the next. A panel of 16 alone is 6, 6 and 4, which take nearly as long as 6, 6 and 6.
const ACROSS: usize = 6;

/// Some rows that share a tile.
#[derive(Clone, Copy, Default)]
struct Cut {
    first: u8,
    rows: u8,
    /// Those that are in the panel of the first one; others are in the next panel.
    of_first: u8,
    /// The panel's first row, and how many it has.
    panel: u8,
    panel_rows: u8,
}

/// Whether there are tiles of so many rows, so many of them of the first one's panel.
const fn is_cut(most: usize, rows: u8, of_first: u8) -> bool {
    rows as usize <= most && (rows == of_first || (most == ACROSS && rows as usize == ACROSS))
}

/// Cuts rows of some panels of the same size, but for the last one, into such as share a tile, and tells how many these are.
#[inline(always)]
fn cut(rows: usize, panel_rows: usize, most: usize, masked: bool) -> ([Cut; MOST_ROWS], usize) {
    let (mut cuts, mut count, mut first) = ([Cut::default(); MOST_ROWS], 0, 0);
    let whole = rows.is_multiple_of(panel_rows) && panel_rows.is_multiple_of(2) && rows.is_multiple_of(most);
    let across = most == ACROSS && whole && !masked;
    while first < rows {
        let panel = first / panel_rows * panel_rows;
        let panel_rows = panel_rows.min(rows - panel);
        let rest = panel + panel_rows - first;
        let of_tile = if across { most } else { tile_rows(most, panel_rows).min(rest) };
        let [first_row, rows, of_first] = [first, of_tile, of_tile.min(rest)].map(|number| number as u8);
        cuts[count] = Cut { first: first_row, rows, of_first, panel: panel as u8, panel_rows: panel_rows as u8 };
        count += 1;
        first += of_tile;
    }
    (cuts, count)
}

impl<T: Arithmetic> Kernel<T> for MultiplyPixels<'_, '_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let MultiplyPixels { block, panel, rows, mut gathering } = self;
        let (cuts, count) = cut(rows.len(), panel.rows, S::TILE_ROWS, !block.masks.is_empty());
        for (index, tile) in block.tiles.iter().enumerate() {
            let mut gathers = gathering.as_ref().is_some_and(|gathering| index < gathering.tiles);
            let mut done = 0;
            while done < count {
                let first = cuts[done];
                let is_alike = |cut: &&Cut| (cut.rows, cut.of_first) == (first.rows, first.of_first);
                // The first ones alone gather what all others read.
                let alike = if gathers || !shares(S::REGISTERS) {
                    1
                } else {
                    cuts[done..count].iter().take_while(is_alike).count()
                };
                let cuts = &cuts[done..done + alike];
                let list = block.first_list + done * block.of_part + tile.taps as usize;
                let rows = &mut rows[first.first as usize..][..alike * first.rows as usize];
                let parts = Parts { tile, panel: &panel, list, cuts, rows };
                let pixels = Pixels::of_tile(gathers, gathering.as_deref_mut(), block.pixels);
                if core::mem::take(&mut gathers) {
                    parts.run_rows::<S, true>(simd, &block, pixels);
                } else {
                    parts.run_rows::<S, false>(simd, &block, pixels);
                }
                done += alike;
            }
        }
        if let Some(gathering) = gathering {
            gathering.tiles = 0;
        }
    }
}

/// Whether parts that are cut alike share what there is to find out about a tile. Measured with `cargo bench --bench layers`, 1x1 of 16 to 128 channels: 1.01 to 1.03 times as fast with many
/// registers; with few, where two parts at most are cut alike, 0.93 to 0.99 times.
const fn shares(registers: usize) -> bool {
    registers > 16
}

/// Rows of some parts that are cut alike, and a tile of pixels.
struct Parts<'s, 'r, T> {
    tile: &'s Tile,
    panel: &'s Panel<'s, T>,
    /// Of the first part.
    list: usize,
    cuts: &'s [Cut],
    rows: &'s mut [&'r mut [T]],
}

impl<T: Arithmetic> Parts<'_, '_, T> {
    #[inline(always)]
    fn run_rows<S: Simd<T>, const GATHERS: bool>(self, simd: S, block: &Block<'_, T>, pixels: Pixels<'_, '_, T>) {
        let Cut { rows, of_first, .. } = self.cuts[0];
        macro_rules! by_rows {
            ($($rows:literal of $of_first:literal),*) => {
                match (rows, of_first) {
                    $(($rows, $of_first) if const { is_cut(S::TILE_ROWS, $rows, $of_first) && (!GATHERS || ($rows == $of_first && $rows >= ASKING)) } => {
                        self.run_vectors::<S, $rows, $of_first, GATHERS>(simd, block, pixels);
                    })*
                    (rows, of_first) => unreachable!("tiles have 1 to {} rows, not {rows}, {of_first} of a panel", S::TILE_ROWS),
                }
            };
        }
        by_rows!(1 of 1, 2 of 2, 3 of 3, 4 of 4, 5 of 5, 6 of 6, 7 of 7, 8 of 8, 6 of 2, 6 of 4);
    }

    #[inline(always)]
    fn run_vectors<S: Simd<T>, const R: usize, const P: usize, const GATHERS: bool>(
        self,
        simd: S,
        block: &Block<'_, T>,
        pixels: Pixels<'_, '_, T>,
    ) {
        macro_rules! by_vectors {
            ($($vectors:literal)*) => {
                match (self.tile.len as usize).div_ceil(S::LANES) {
                    $($vectors if const { $vectors <= most_vectors(S::REGISTERS, R) } => {
                        simd.call(OneTile::<T, R, P, $vectors, GATHERS> { block, parts: self, pixels });
                    })*
                    vectors => unreachable!("no tile of {R} rows and {vectors} vectors"),
                }
            };
        }
        by_vectors!(1 2 3 4 5 6);
    }
}

/// A tile of `V` vectors of pixels by parts of `R` rows, `P` of them of one panel. What is the same for all parts is found out once.
struct OneTile<'a, 's, 'r, 'g, T, const R: usize, const P: usize, const V: usize, const GATHERS: bool> {
    block: &'s Block<'a, T>,
    parts: Parts<'s, 'r, T>,
    /// In an image if it gathers.
    pixels: Pixels<'s, 'g, T>,
}

impl<T: Arithmetic, const R: usize, const P: usize, const V: usize, const GATHERS: bool> Kernel<T>
    for OneTile<'_, '_, '_, '_, T, R, P, V, GATHERS>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let OneTile { block, parts: Parts { tile, panel: Panel { weights, bias, .. }, list, cuts, rows }, mut pixels } =
            self;
        let range = tile.pixel as usize..tile.pixel as usize + tile.len as usize;
        let (rows, _) = rows.as_chunks_mut::<R>();
        // There is one anyway where none are shared: so compilers know it, too.
        let most = if shares(S::REGISTERS) { cuts.len() } else { 1 };
        for ((number, cut), rows) in cuts.iter().enumerate().zip(rows).take(most) {
            let [first, panel, panel_rows] = [cut.first, cut.panel, cut.panel_rows].map(usize::from);
            // A block without taps has no weights.
            let first_weight = (panel * block.depth as usize + first - panel).min(weights.len());
            // From a row of weights of the panel to that of the next one, without those of one tap.
            let gap = if P < R { panel_rows * (block.depth as usize).saturating_sub(1) } else { 0 };
            let weights = (&weights[first_weight..], panel_rows, gap + R);
            if block.far {
                let place = tile.pixel as usize + if block.depth <= SHORT { V * S::LANES } else { 0 };
                for row in rows.iter() {
                    ask_for(simd, row, place, 0, [1, V]);
                }
            }
            // Caches beyond the second level take longer than a few taps: every few rows ask for another vector of the next tile. Measured with
            // `cargo bench --bench layers`, 1x1 on Emerald Rapids: with 50 MB of input and output 1.6 to 2 times as fast, with 2 to 6 MB 1.0 to 1.2.
            let next_tile = (V + first / R % V) * S::LANES;
            let sums = match &mut pixels {
                Pixels::Image(gathering) if GATHERS => {
                    let Gathering { image, taps, list, ahead, to, slot, tiles: _ } = &mut **gathering;
                    let operands = taps.operands(*list, (&image[tile.pixel as usize..], V * S::LANES), weights);
                    let to = to[tile.place as usize..].chunks_exact_mut(*slot);
                    multiply_gathering::<T, S, R, V>(simd, operands, to, *ahead)
                }
                Pixels::Held(pixels) if !GATHERS => {
                    let reach = if V == 1 && reads_partly::<T, S>() { tile.len as usize } else { V * S::LANES };
                    let list = list + number * block.of_part;
                    let operands = block.taps.operands(list, (&pixels[tile.place as usize..], reach), weights);
                    // Tiles of two panels are never masked: see `cut`.
                    if P < R || block.masks.is_empty() {
                        let next_tile = if block.ahead > 0 { next_tile } else { 0 };
                        let asks = R >= ASKING || block.far;
                        let ahead = if asks { block.ahead } else { 0 };
                        multiply::<T, S, R, P, V, false>(simd, operands, &[], first, [ahead, next_tile])
                    } else {
                        multiply::<T, S, R, P, V, true>(simd, operands, block.masks, first, [0; 2])
                    }
                }
                _ => unreachable!("{ELSEWHERE}"),
            };
            let bias = bias.map(|bias| bias[first..][..R].try_into().expect("as many rows"));
            match block.limits {
                _ if range.len() < V * S::LANES => {
                    add_partly::<T, S, R, V>(simd, sums, bias, block.limits, rows, range.clone());
                }
                None => add::<T, S, R, V, false>(simd, sums, bias, [T::ZERO; 2], rows, range.clone()),
                Some(limits) => add::<T, S, R, V, true>(simd, sums, bias, limits, rows, range.clone()),
            }
        }
    }
}

/// Adds the sums to the bias, or to what is there, and with `LIMITED` keeps them within limits.
#[inline(always)]
fn add<T: Arithmetic, S: Simd<T>, const R: usize, const V: usize, const LIMITED: bool>(
    simd: S,
    sums: [[S::Vector; V]; R],
    bias: Option<&[T; R]>,
    [min, max]: [T; 2],
    rows: &mut [&mut [T]; R],
    range: Range<usize>,
) {
    let limits = [simd.splat(min), simd.splat(max)];
    unroll!(ROW < R, at most 8, {
        let row = &mut rows[ROW][range.start..range.start + V * S::LANES];
        add_row::<T, S, V, LIMITED>(simd, &sums[ROW], bias.map(|bias| bias[ROW]), limits, row);
    });
}

/// The same for a row. A function of its own, as the one for others, since compilers take long over loops that are written out within others.
#[inline(always)]
fn add_row<T: Arithmetic, S: Simd<T>, const V: usize, const LIMITED: bool>(
    simd: S,
    sums: &[S::Vector; V],
    bias: Option<T>,
    limits: [S::Vector; 2],
    row: &mut [T],
) {
    unroll!(VECTOR < V, at most 6, {
        let place = &mut row[VECTOR * S::LANES..(VECTOR + 1) * S::LANES];
        let before = match bias {
            Some(bias) => simd.splat(bias),
            None => simd.load(place),
        };
        let sum = simd.add(before, sums[VECTOR]);
        simd.store(if LIMITED { simd.within(sum, limits[0], limits[1]) } else { sum }, place);
    });
}

/// The same where the last vector is not whole.
#[inline(always)]
fn add_partly<T: Arithmetic, S: Simd<T>, const R: usize, const V: usize>(
    simd: S,
    sums: [[S::Vector; V]; R],
    bias: Option<&[T; R]>,
    limits: Option<[T; 2]>,
    rows: &mut [&mut [T]; R],
    range: Range<usize>,
) {
    let limits = limits.map(|limits| limits.map(|limit| simd.splat(limit)));
    unroll!(ROW < R, at most 8, {
        add_row_partly(simd, &sums[ROW], bias.map(|bias| bias[ROW]), limits, &mut rows[ROW][range.clone()]);
    });
}

#[inline(always)]
fn add_row_partly<T: Arithmetic, S: Simd<T>, const V: usize>(
    simd: S,
    sums: &[S::Vector; V],
    bias: Option<T>,
    limits: Option<[S::Vector; 2]>,
    row: &mut [T],
) {
    unroll!(VECTOR < V, at most 6, {
        let (place, whole) = (&mut row[VECTOR * S::LANES..], VECTOR + 1 < V);
        let before = match bias {
            Some(bias) => simd.splat(bias),
            None if whole => simd.load(place),
            None => simd.load_partial(place),
        };
        let sum = simd.add(before, sums[VECTOR]);
        let sum = match limits {
            Some([min, max]) => simd.within(sum, min, max),
            None => sum,
        };
        if whole {
            simd.store(sum, place);
        } else {
            simd.store_partial(sum, place);
        }
    });
}

/// The partial sums of one tile, for the panel's rows from `first` on. With `MASKED` each tap is added to those only that have it, which are
/// mostly all: one branch for all of them is foreseen where one for each row is not.
#[inline(always)]
fn multiply<T: Arithmetic, S: Simd<T>, const R: usize, const P: usize, const V: usize, const MASKED: bool>(
    simd: S,
    operands: Operands<'_, T>,
    masks: &[u32],
    first: usize,
    [ahead, next_tile]: [usize; 2],
) -> [[S::Vector; V]; R] {
    let mut sums = [[simd.splat(T::ZERO); V]; R];
    for Operand { pixels, weights, number, .. } in operands {
        let all = (1 << R) - 1;
        let mask = if MASKED { masks[number] >> first & all } else { all };
        if const { !MASKED && R >= ASKING } && ahead > 0 {
            unroll!(VECTOR < V, at most 6, {
                simd.prefetch_near(pixels.as_ptr().wrapping_add(ahead + VECTOR * S::LANES));
            });
            simd.prefetch(pixels, next_tile);
        }
        if const { !MASKED && R < ASKING } && ahead > 0 {
            unroll!(VECTOR < V, at most 6, {
                if const { (VECTOR * S::LANES * size_of::<T>()).is_multiple_of(CACHE_LINE) } {
                    simd.prefetch(pixels, (V + VECTOR) * S::LANES);
                }
            });
        }
        let mut x = [simd.splat(T::ZERO); V];
        unroll!(VECTOR < V, at most 6, {
            let pixels = &pixels[VECTOR * S::LANES..];
            x[VECTOR] = if V == 1 && reads_partly::<T, S>() { simd.load_partial(pixels) } else { simd.load(pixels) };
        });
        // The last `R` of them: those of the second panel end there.
        let others = &weights[weights.len() - R..];
        let weight = |row: usize| simd.splat(if row < P { weights[row] } else { others[row] });
        if !MASKED || mask == all {
            unroll!(ROW < R, at most 8, {
                multiply_add(simd, &x, weight(ROW), &mut sums[ROW]);
            });
            continue;
        }
        unroll!(ROW < R, at most 8, {
            if mask & (1 << ROW) != 0 {
                multiply_add(simd, &x, weight(ROW), &mut sums[ROW]);
            }
        });
    }
    sums
}

/// The partial sums of a tile whose pixels lie in an image, and are left where others read them.
#[inline(always)]
fn multiply_gathering<'t, T: Arithmetic + 't, S: Simd<T>, const R: usize, const V: usize>(
    simd: S,
    operands: Operands<'_, T>,
    to: impl Iterator<Item = &'t mut [T]>,
    ahead: usize,
) -> [[S::Vector; V]; R] {
    let mut sums = [[simd.splat(T::ZERO); V]; R];
    for (Operand { pixels, weights, .. }, to) in operands.zip(to) {
        let mut x = [simd.splat(T::ZERO); V];
        unroll!(VECTOR < V, at most 6, {
            simd.prefetch_near(pixels.as_ptr().wrapping_add(ahead + VECTOR * S::LANES));
            simd.prefetch(pixels, (V + VECTOR) * S::LANES);
            x[VECTOR] = simd.load(&pixels[VECTOR * S::LANES..]);
            simd.store(x[VECTOR], &mut to[VECTOR * S::LANES..]);
        });
        unroll!(ROW < R, at most 8, {
            let weight = simd.splat(weights[ROW]);
            multiply_add(simd, &x, weight, &mut sums[ROW]);
        });
    }
    sums
}
