//! Direct convolution of single channels with a small kernel, straight from the image: one or two vectors of pixels, row by row.
//!
//! ```text
//! for row of input:                     # loaded once for all rows of output that see it, left out if it is padding
//!     x[columns of taps][0..V] = pixels, zeros where they are padding
//!     for r in rows of output that see it: for column of taps: acc[r][0..V] += weight[r][column] * x[column][0..V]
//!     output = bias + acc[0]; acc[0], acc[1], … = acc[1], acc[2], …, 0
//! ```
//!
//! The kernel's size and step are constants, so that the accumulators are registers and nothing is looked up. That they move up costs little, since
//! registers are renamed, and it makes a loop of few instructions: with tiles of 7 rows what was around them took as long as the multiply-adds.
//! Padding to the left and right costs a mask, which is the same for all channels. What a mask hides may be anything, a neighbouring row or channel; only at
//! the ends of the image's memory is it nothing. Where rows are no longer than half a vector, it takes those of two channels.

use core::ops::Range;

use super::copy::{copy_there, store_run};
use super::tile::{self, FEW_TAPS, ask_for, limit_row, multiply_add};
use crate::simd::rows::{Rows, RowsMut};
use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// Rows that are worked on from left to right before those below: where images are wide, where they are not, and with more than [`FEW_TAPS`]. Few rows are read and
/// written fastest beyond the caches, many share what they see. Measured with `cargo bench --bench layers`: 1.05 to 1.2 times as fast as with 28 rows at 56
/// and 112 columns, 1.3 to 1.8 at 512 and more; 5x5 and 7x7 taps 1.1 times as fast as in bands of 6 rows.
const LOW_BAND: usize = 4;
const BAND: usize = 7;
const HIGH_BAND: usize = 8;
/// Where registers are few more rows make up for what begins with each tile: so many with many taps, or as many as see and write so many bytes, with few taps or, if
/// caches do not hold input and output, with many. Measured with `cargo bench --bench layers`, AVX2: 1.2 to 1.3 times as fast at 56 and 112 columns, 1.1 to 1.2 at
/// 300; 5x5 and 7x7 taps 1.2 to 1.4. Beyond the caches few taps are 0.7 to 1.2 times as fast with more rows, and 5x5 taps on 1920 columns 0.77 times with 28.
const MOST_ROWS: usize = 28;
const BAND_BYTES: usize = 24 << 10;
const HIGH_BAND_BYTES: usize = 64 << 10;
/// Columns from which an image is wide.
const WIDE: usize = 256;
/// Columns from which the rows below are asked for ahead of time. Measured with `cargo bench --bench layers`: 1.7 to 2.8 times as fast beyond the caches, 1.07 at 112
/// columns, nothing at 56.
const FAR: usize = 64;
/// Columns of tiles of which it is known from channel to channel where they see padding.
const COLUMNS: usize = 4;
/// Rows of input that are copied at an end of the memory, at most.
const INPUTS: usize = 16;
/// Elements of one of them that a tile sees, at most.
const MOST: usize = 80;

/// A region of some output channels, with the kernel's size and step. The output has no gaps. Taps on rows of padding are left out.
pub(crate) struct ImagePlanes<'a, 'o, T, const HEIGHT: usize, const WIDTH: usize, const STEP: usize> {
    /// The image and what lies around it.
    pub(crate) memory: &'a [T],
    /// Where in that memory the first channel of input begins.
    pub(crate) start: usize,
    /// Output channels of each channel of input.
    pub(crate) multiplier: usize,
    /// Rows and columns of the image.
    pub(crate) image: [usize; 2],
    /// Input position under the first tap for the region's first pixel.
    pub(crate) origin: [isize; 2],
    /// `[channel][kh][kw]`.
    pub(crate) weights: &'a [T],
    pub(crate) bias: Option<&'a [T]>,
    /// What the outputs are kept within.
    pub(crate) limits: Option<[T; 2]>,
    pub(crate) output: &'o mut [T],
    /// Rows and columns of the output.
    pub(crate) size: [usize; 2],
    /// Whether caches do not hold what is read and written.
    pub(crate) far: bool,
}

impl<T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize> Kernel<T>
    for ImagePlanes<'_, '_, T, HEIGHT, WIDTH, STEP>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let ImagePlanes { memory, image, origin, size, limits, multiplier, far, weights, bias, .. } = self;
        let (start, plane, before) =
            (self.start as isize, image[0] * image[1], self.before_line(self.output, S::LANES));
        let view = View { memory, start, plane, pitch: image[1], multiplier, image, origin, size, limits, far, before };
        let (rows, columns, output) = (0..size[0], 0..size[1], self.output);
        if const { !S::HALVES } || size[1] > S::LANES / 2 {
            let one = Planes::<T, HEIGHT, WIDTH, STEP, 1> { view, first: 0, weights, bias, output, rows, columns };
            return one.run(simd);
        }
        let channels = output.len() / (size[0] * size[1]);
        let pairs = channels / 2 * 2;
        let (output, last) = output.split_at_mut(pairs * size[0] * size[1]);
        let (weights, last_weights) = weights.split_at(pairs * HEIGHT * WIDTH);
        let (rows_of_last, columns_of_last) = (rows.clone(), columns.clone());
        Planes::<T, HEIGHT, WIDTH, STEP, 2> { view, first: 0, weights, bias, output, rows, columns }.run(simd);
        let last = Planes::<T, HEIGHT, WIDTH, STEP, 1> {
            view,
            first: pairs,
            weights: last_weights,
            bias: bias.map(|bias| &bias[pairs..]),
            output: last,
            rows: rows_of_last,
            columns: columns_of_last,
        };
        last.run(simd);
    }
}

impl<T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize>
    ImagePlanes<'_, '_, T, HEIGHT, WIDTH, STEP>
{
    /// Columns of each row before the first that begins a vector of memory, if caches hold neither input nor output and both are alike in it. Then all tiles
    /// but the first begin there. Measured with `cargo bench --bench layers`, 512 to 1024 columns: 1.0 to 1.06 times as fast with all rows 16 bytes from lines; within
    /// the caches, with more taps, or where only what is written begins with lines, 0.93 to 1.0.
    #[inline(always)]
    fn before_line(&self, output: &[T], lanes: usize) -> usize {
        let whole = [self.size[1], self.image[1]].iter().all(|columns| columns.is_multiple_of(lanes));
        let before = |memory: &[T]| tile::before_line(memory) % lanes;
        let worth = const { STEP == 1 && HEIGHT * WIDTH <= FEW_TAPS } && self.far && whole;
        match self.memory.get(self.start..) {
            Some(input) if worth && before(input) == before(output) => before(output),
            _ => 0,
        }
    }
}

/// What all tiles share.
#[derive(Clone, Copy)]
struct View<'a, T> {
    memory: &'a [T],
    /// Where the first channel of input begins, before the memory where a copy is read that begins further on; and elements from one to the next, and
    /// from row to row.
    start: isize,
    plane: usize,
    pitch: usize,
    multiplier: usize,
    image: [usize; 2],
    origin: [isize; 2],
    size: [usize; 2],
    limits: Option<[T; 2]>,
    far: bool,
    /// See [`ImagePlanes::before_line`].
    before: usize,
}

impl<T> View<'_, T> {
    /// How many rows are worked on from left to right before those below.
    #[inline(always)]
    fn band<S: Simd<T>>(&self, taps: usize, step: usize) -> usize
    where
        T: Copy,
    {
        let least = if taps > FEW_TAPS {
            HIGH_BAND
        } else if self.size[1] < WIDE {
            BAND
        } else {
            LOW_BAND
        };
        let row = (step * self.pitch + self.size[1]) * size_of::<T>();
        match (taps > FEW_TAPS, self.far) {
            _ if S::REGISTERS > 16 => least,
            (true, false) => MOST_ROWS,
            (true, true) => (HIGH_BAND_BYTES / row).clamp(least, MOST_ROWS),
            (false, true) => least,
            (false, false) => (BAND_BYTES / row).clamp(least, MOST_ROWS),
        }
    }

    /// Where the input of a channel of output begins.
    #[inline(always)]
    fn start_of(&self, channel: usize) -> isize {
        let input = if self.multiplier == 1 { channel } else { channel / self.multiplier };
        self.start + (input * self.plane) as isize
    }
}

/// Rows of output before the one that begins under a row of input, which see it, too.
const fn began(height: usize, step: usize) -> usize {
    height.div_ceil(step) - 1
}

/// Which vectors of a tile are masked, where masks are not free: none; those at the sides, under the columns of taps that see padding there if it is half a kernel at
/// most; or all.
const NONE: usize = 0;
const SIDES: usize = 1;
const ALL: usize = 2;

/// Whether one of so many vectors is masked under one of so many columns of taps.
const fn hides<const STEP: usize>(masks: usize, [column, width]: [usize; 2], [vector, vectors]: [usize; 2]) -> bool {
    let left = column < width / 2 && vector == 0;
    let reach = if width > 3 && STEP == 1 { 2 } else { 1 };
    let right = column > width / 2 && vector + reach >= vectors;
    masks == ALL || masks == SIDES && (left || right)
}

/// Which lanes see the image under each column of taps, for the tiles that begin in a column.
struct Across<const V: usize, const WIDTH: usize> {
    column: usize,
    /// How many tiles side by side see alike lanes.
    tiles: usize,
    /// Whether some lanes see padding, and if so, some that masks at the [`SIDES`] do not hide.
    padded: bool,
    within: bool,
    lanes: [[u32; V]; WIDTH],
}

impl<const V: usize, const WIDTH: usize> Across<V, WIDTH> {
    const fn new() -> Self {
        Across { column: usize::MAX, tiles: 0, padded: false, within: false, lanes: [[u32::MAX; V]; WIDTH] }
    }

    /// Looks at the tiles of `V` vectors from a column on, `C` channels of which share a vector of so many lanes.
    #[inline(always)]
    fn look<T, const STEP: usize, const C: usize>(&mut self, view: &View<'_, T>, column: usize, lanes: usize) {
        let View { image, origin, size, .. } = *view;
        let (lanes, wide) = (lanes / C, V * lanes / C);
        // A full tile where there is one: then some pixels are computed again.
        let column = if size[1] < wide { column } else { column.min(size[1] - wide) };
        if self.column == column {
            return;
        }
        let first = origin[1] + (column * STEP) as isize;
        self.column = column;
        self.padded = first < 0 || first as usize + (wide - 1) * STEP + WIDTH > image[1];
        self.tiles = 1;
        let alone = column == 0 && view.before > 0;
        if !self.padded && !alone {
            let unpadded = (image[1] - first.unsigned_abs() - WIDTH) / STEP + 1;
            self.tiles = (unpadded.min(size[1] - column) / wide).max(1);
        }
        self.within = false;
        unroll!(COLUMN < WIDTH, at most 8, {
            unroll!(VECTOR < V, at most 3, {
                let first = first + (VECTOR * lanes * STEP + COLUMN) as isize;
                let [before, upto] = [0, image[1] as isize]
                    .map(|limit| (limit - first).max(0).unsigned_abs().div_ceil(STEP).min(lanes));
                let bits = first_bits(upto) & !first_bits(before);
                let pixels = first_bits((size[1] - column).saturating_sub(VECTOR * lanes).min(lanes));
                self.within |= pixels & !bits != 0 && !hides::<STEP>(SIDES, [COLUMN, WIDTH], [VECTOR, V]);
                self.lanes[COLUMN][VECTOR] = if C == 2 { bits | bits << lanes } else { bits };
            });
        });
    }

    #[inline(always)]
    fn masks<T: Copy, S: Simd<T>, const STEP: usize>(&self, simd: S) -> [[S::Mask; V]; WIDTH] {
        let mut masks = [[simd.mask(0); V]; WIDTH];
        unroll!(COLUMN < WIDTH, at most 8, {
            unroll!(VECTOR < V, at most 3, {
                let lanes = self.lanes[COLUMN][VECTOR];
                masks[COLUMN][VECTOR] = if STEP == 1 { simd.mask(lanes) } else { simd.mask_unordered(lanes) };
            });
        });
        masks
    }
}

/// Some channels, `C` of which share a vector.
struct Planes<'v, 'o, T, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const C: usize> {
    view: View<'v, T>,
    /// The first of the channels, whose weights, bias and output these are.
    first: usize,
    weights: &'v [T],
    bias: Option<&'v [T]>,
    output: &'o mut [T],
    /// What of them is computed: some rows, and the tiles that begin in some columns.
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const C: usize> Kernel<T>
    for Planes<'_, '_, T, HEIGHT, WIDTH, STEP, C>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let columns = self.view.size[1];
        // Constants by themselves, so that what they rule out is not compiled.
        if const { C > 1 } || columns <= S::LANES {
            simd.call(Narrow::<T, HEIGHT, WIDTH, STEP, C, 1>(self));
        } else if const { most_vectors::<T, S>(HEIGHT, STEP) >= 2 } && columns <= 2 * S::LANES {
            simd.call(Narrow::<T, HEIGHT, WIDTH, STEP, C, 2>(self));
        } else if const { most_vectors::<T, S>(HEIGHT, STEP) >= 3 } && columns <= 3 * S::LANES {
            simd.call(Narrow::<T, HEIGHT, WIDTH, STEP, C, 3>(self));
        } else {
            simd.call(Wide::<T, HEIGHT, WIDTH, STEP, C>(self));
        }
    }
}

/// Vectors of a tile at most: two if there are registers for their sums. Three, where few registers hold them, the pixels of a column of taps or of a step, and a tap:
/// measured with `cargo bench --bench layers`, AVX2, 3x3 taps: 1.1 to 1.2 times as fast, 1.4 times with 17 to 24 columns.
const fn most_vectors<T: Copy, S: Simd<T>>(height: usize, step: usize) -> usize {
    let sums = began(height, step) + 1;
    if S::REGISTERS <= 16 && 3 * (sums + step) + 1 < S::REGISTERS {
        3
    } else if 2 * sums + 3 <= S::REGISTERS {
        2
    } else {
        1
    }
}

/// Channels of which one tile of `V` vectors has all columns: then they have little more in them than their rows.
struct Narrow<'v, 'o, T, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const C: usize, const V: usize>(
    Planes<'v, 'o, T, HEIGHT, WIDTH, STEP, C>,
);

impl<T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const C: usize, const V: usize>
    Kernel<T> for Narrow<'_, '_, T, HEIGHT, WIDTH, STEP, C, V>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let Narrow(Planes { view, first, weights, bias, output, rows, .. }) = self;
        let mut across = Across::<V, WIDTH>::new();
        across.look::<T, STEP, C>(&view, 0, S::LANES);
        let masks = across.masks::<T, S, STEP>(simd);
        let band = Band::new::<T, HEIGHT, STEP>(&view, rows);
        let plane = view.size[0] * view.size[1];
        for (weights, channel) in weights.chunks_exact(C * HEIGHT * WIDTH).zip((0..).step_by(C)) {
            let mut output = &mut output[channel * plane..];
            // What is written behind the end of a row is overwritten by the next one, which costs less than to write parts of vectors.
            let mut written = V * S::LANES;
            if C > 1 || S::FREE_MASKS || output.len() < band.rows.end * view.size[1] + V * S::LANES {
                (output, written) = (&mut output[..C * plane], view.size[1]);
            }
            let channel = Channel::<T, S, HEIGHT, WIDTH, STEP, C>::new(simd, &view, first, weights, bias, channel);
            if const { S::FREE_MASKS } || across.within {
                channel.run_tile::<V, ALL>(simd, &band, 0, &masks, (output, written));
            } else {
                channel.run_tile::<V, SIDES>(simd, &band, 0, &masks, (output, written));
            }
        }
    }
}

/// Channels of several tiles side by side.
struct Wide<'v, 'o, T, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const C: usize>(
    Planes<'v, 'o, T, HEIGHT, WIDTH, STEP, C>,
);

impl<T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const C: usize> Kernel<T>
    for Wide<'_, '_, T, HEIGHT, WIDTH, STEP, C>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let Wide(Planes { view, first, weights, bias, output, rows, columns }) = self;
        let band = view.band::<S>(HEIGHT * WIDTH, STEP);
        // Tiles are the same for all channels.
        let mut of_one = Across::<1, WIDTH>::new();
        let mut of_two = [const { Across::<2, WIDTH>::new() }; COLUMNS];
        let mut of_three = [const { Across::<3, WIDTH>::new() }; COLUMNS];
        // Four vectors are two of two.
        let three = const { most_vectors::<T, S>(HEIGHT, STEP) >= 3 } && view.size[1] > 4 * S::LANES;
        let planes = output.chunks_exact_mut(C * view.size[0] * view.size[1]);
        let channels = planes.zip(weights.chunks_exact(C * HEIGHT * WIDTH)).zip((0..).step_by(C));
        for ((output, weights), channel) in channels {
            let channel = Channel::<T, S, HEIGHT, WIDTH, STEP, C>::new(simd, &view, first, weights, bias, channel);
            let mut row = rows.start;
            while row < rows.end {
                let band = Band::new::<T, HEIGHT, STEP>(&view, row..rows.end.min(row + band));
                row = band.rows.end;
                let (mut column, mut visit) = (columns.start, 0);
                while column < columns.end {
                    let (left, number) = (view.size[1] - column, visit % COLUMNS);
                    visit += 1;
                    column = if const { most_vectors::<T, S>(HEIGHT, STEP) >= 3 } && three && left > 2 * S::LANES {
                        channel.run_tiles(simd, &band, column, &mut of_three[number], output)
                    } else if const { most_vectors::<T, S>(HEIGHT, STEP) >= 2 } && left > S::LANES {
                        channel.run_tiles(simd, &band, column, &mut of_two[number], output)
                    } else {
                        channel.run_tiles(simd, &band, column, &mut of_one, output)
                    };
                }
            }
        }
    }
}

/// Some rows of output.
struct Band {
    rows: Range<usize>,
    /// The first row of the image that they see, how many of those before it that are none, and how many rows of the image.
    first: usize,
    above: usize,
    there: usize,
}

impl Band {
    #[inline(always)]
    fn new<T, const HEIGHT: usize, const STEP: usize>(view: &View<'_, T>, rows: Range<usize>) -> Self {
        let first = view.origin[0] + (rows.start * STEP) as isize;
        let above = (-first).max(0).unsigned_abs();
        let left = (view.image[0] as isize - first).max(0).unsigned_abs();
        let there = left.min((rows.len() - 1) * STEP + HEIGHT).saturating_sub(above);
        Band { rows, first: first.max(0).unsigned_abs(), above, there }
    }
}

/// An output channel, or `C` of them.
struct Channel<'c, 'v, T: Copy, S: Simd<T>, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const C: usize>
{
    view: &'c View<'v, T>,
    number: usize,
    operands: Operands<'c, T, S, HEIGHT, WIDTH, C>,
    weights: &'c [T],
    bias: Option<&'c [T]>,
}

impl<'c, 'v, T: Arithmetic, S: Simd<T>, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const C: usize>
    Channel<'c, 'v, T, S, HEIGHT, WIDTH, STEP, C>
{
    /// The `channel`th of some channels, the first of which has a number.
    #[inline(always)]
    fn new(
        simd: S,
        view: &'c View<'v, T>,
        first: usize,
        weights: &'c [T],
        bias: Option<&'c [T]>,
        channel: usize,
    ) -> Self {
        let bias = bias.map(|bias| &bias[channel..][..C]);
        Channel { view, number: first + channel, operands: Operands::new(simd, weights, bias), weights, bias }
    }

    /// The tiles from a column on as long as what they see is alike. Says which column is the next.
    #[inline(always)]
    fn run_tiles<const V: usize>(
        &self,
        simd: S,
        band: &Band,
        column: usize,
        across: &mut Across<V, WIDTH>,
        output: &mut [T],
    ) -> usize {
        across.look::<T, STEP, C>(self.view, column, S::LANES);
        let masks = across.masks::<T, S, STEP>(simd);
        let wide = V * S::LANES / C;
        for column in (across.column..).step_by(wide).take(across.tiles) {
            let output = (&mut *output, wide.min(self.view.size[1] - column));
            let free = const { S::FREE_MASKS && shifted_columns(WIDTH, STEP) == 0 };
            if free || across.padded && (S::FREE_MASKS || across.within) {
                self.run_tile::<V, ALL>(simd, band, column, &masks, output);
            } else if const { !S::FREE_MASKS } && across.padded {
                self.run_tile::<V, SIDES>(simd, band, column, &masks, output);
            } else {
                self.run_tile::<V, NONE>(simd, band, column, &masks, output);
            }
        }
        if column == 0 && self.view.before > 0 { S::LANES + self.view.before } else { column + across.tiles * wide }
    }

    #[inline(always)]
    fn run_tile<const V: usize, const MASKS: usize>(
        &self,
        simd: S,
        band: &Band,
        column: usize,
        masks: &[[S::Mask; V]; WIDTH],
        (output, written): (&mut [T], usize),
    ) {
        let View { memory, pitch, origin, size, limits, far, .. } = *self.view;
        let (rows, count) = (&band.rows, band.rows.len());
        let place = (band.first * pitch) as isize + origin[1] + (column * STEP) as isize;
        let len = match (C, STEP) {
            (1, _) => V * S::LANES * STEP,
            (_, 1) => S::LANES / 2,
            _ => S::LANES,
        } + (WIDTH - 1).next_multiple_of(STEP);
        let mut places = [place; C];
        for (index, place) in places.iter_mut().enumerate() {
            *place += self.view.start_of(self.number + index);
        }
        let Some(mut input) = Rows::new(memory, places, pitch, len, [band.above, band.there]) else {
            let (view, first, weights, bias) = (*self.view, self.number, self.weights, self.bias);
            let (rows, columns) = (rows.clone(), column..column + 1);
            let planes = Planes::<T, HEIGHT, WIDTH, STEP, C> { view, first, weights, bias, output, rows, columns };
            return planes.run_held(simd, band.first..band.first + band.there, len);
        };
        let at = rows.start * size[1] + column;
        if V > 1 && size[1] >= FAR {
            // What the rows below will see and these do not, and if caches do not hold it, what those will write.
            let below = places[0] + (band.there * pitch) as isize;
            ask_for(simd, memory, below.max(0).unsigned_abs(), pitch, [count * STEP, V * STEP]);
            if const { HEIGHT * WIDTH <= FEW_TAPS } && far {
                ask_for(simd, output, at + count * size[1], size[1], [count, V]);
            }
        }
        let Some(mut output) = RowsMut::<T, C>::new(output, at, size[1], written, count) else { return };
        let mut sums = [[simd.splat(T::ZERO); V]; HEIGHT];
        for turn in 0..const { began(HEIGHT, STEP) } + count {
            unroll!(INNER < STEP, at most 2, {
                if let Some(rows) = input.next() {
                    let (row, other) = (&rows[0][..len], &rows[C - 1][..len]);
                    let x = self.operands.pixels::<V, STEP, MASKS>(simd, row, other, masks);
                    self.operands.add::<V, STEP, INNER>(simd, &x, [turn, count], &mut sums);
                }
            });
            if turn >= const { began(HEIGHT, STEP) }
                && let Some(mut to) = output.next()
            {
                let results = self.operands.results::<V, STEP>(simd, sums[0], limits);
                let (to, other) = to.split_at_mut(1);
                if C == 1 {
                    unroll!(VECTOR < V, at most 3, {
                        store_run(simd, results[VECTOR], &mut to[0][VECTOR * S::LANES..]);
                    });
                } else {
                    simd.store_halves(results[0], to[0], other[0]);
                }
            }
            unroll!(ROW < HEIGHT, at most 8, {
                sums[ROW] = if ROW + 1 < HEIGHT { sums[(ROW + 1) % HEIGHT] } else { [simd.splat(T::ZERO); V] };
            });
        }
    }
}

impl<T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const C: usize>
    Planes<'_, '_, T, HEIGHT, WIDTH, STEP, C>
{
    /// A tile at an end of the memory: with a copy of what its first or last rows see, `len` elements of each, and zeros where there is nothing. They see so many rows
    /// of the image, from `seen` on.
    #[cold]
    #[inline(never)]
    fn run_held<S: Simd<T>>(self, simd: S, seen: Range<usize>, len: usize) {
        let Planes { view, first, weights, bias, output, rows, columns } = self;
        let mut run = |view: View<'_, T>, rows: Range<usize>| {
            let (output, columns) = (&mut *output, columns.clone());
            Planes::<T, HEIGHT, WIDTH, STEP, C> { view, first, weights, bias, output, rows, columns }.run(simd);
        };
        // Rows of output that see no more than can be copied.
        let few = const { (INPUTS - HEIGHT) / STEP + 1 };
        if rows.len() > few {
            let end = rows.end.saturating_sub(few).max(rows.start + few);
            let parts = [rows.start..rows.start + few, rows.start + few..end, end..rows.end];
            parts.into_iter().filter(|rows| !rows.is_empty()).for_each(|rows| run(view, rows));
            return;
        }
        let View { memory, pitch, origin, .. } = view;
        let x = origin[1] + (columns.start * STEP) as isize;
        let mut held = [[[T::ZERO; MOST]; INPUTS]; C];
        for (index, held) in held.iter_mut().enumerate() {
            let start = view.start_of(first + index) + x;
            for (row, held) in seen.clone().zip(held) {
                copy_there(memory, start + (row * pitch) as isize, &mut held[..len]);
            }
        }
        let plane = INPUTS * MOST;
        let start = -((seen.start * MOST + first * plane) as isize) - x;
        let memory = held.as_flattened().as_flattened();
        run(View { memory, start, plane, pitch: MOST, multiplier: 1, ..view }, rows);
    }
}

/// What the rows of a channel, or of `C` channels, are multiplied with.
struct Operands<'w, T: Copy, S: Simd<T>, const HEIGHT: usize, const WIDTH: usize, const C: usize> {
    taps: [[S::Vector; WIDTH]; HEIGHT],
    weights: &'w [[T; WIDTH]; HEIGHT],
    bias: S::Vector,
}

impl<'w, T: Arithmetic, S: Simd<T>, const HEIGHT: usize, const WIDTH: usize, const C: usize>
    Operands<'w, T, S, HEIGHT, WIDTH, C>
{
    #[inline(always)]
    fn new(simd: S, weights: &'w [T], bias: Option<&[T]>) -> Self {
        let taps = |channel: usize| -> &'w [[T; WIDTH]; HEIGHT] {
            let taps = &weights[channel * HEIGHT * WIDTH..][..HEIGHT * WIDTH];
            taps.as_chunks().0.try_into().expect("as many rows")
        };
        let (weights, others) = (taps(0), taps(C - 1));
        let mut taps = [[simd.splat(T::ZERO); WIDTH]; HEIGHT];
        unroll!(COLUMN < WIDTH, at most 8, {
            unroll!(ROW < HEIGHT, at most 8, {
                taps[ROW][COLUMN] = splat::<T, S, C>(simd, weights[ROW][COLUMN], others[ROW][COLUMN]);
            });
        });
        let bias = match bias {
            Some(bias) => splat::<T, S, C>(simd, bias[0], bias[C - 1]),
            None => simd.splat(T::ZERO),
        };
        Operands { taps, weights, bias }
    }

    /// What the taps of each column see of a row of input, of one channel and maybe of another one.
    #[inline(always)]
    fn pixels<const V: usize, const STEP: usize, const MASKS: usize>(
        &self,
        simd: S,
        row: &[T],
        other: &[T],
        masks: &[[S::Mask; V]; WIDTH],
    ) -> [[S::Vector; V]; WIDTH] {
        let shifted = if S::SHIFTS && C == 1 && MASKS == NONE { shifted_columns(WIDTH, STEP) } else { 0 };
        let mut x = [[simd.splat(T::ZERO); V]; WIDTH];
        let mut behind = simd.splat(T::ZERO);
        if shifted > 0 {
            behind = simd.load_partial(&row[V * S::LANES..V * S::LANES + WIDTH - 1]);
        }
        unroll!(VECTOR < V, at most 3, {
            unroll!(COLUMN < WIDTH, at most 8, {
                let (first, at) = (VECTOR * S::LANES, VECTOR * S::LANES * STEP + COLUMN);
                if (1..=shifted).contains(&COLUMN) {
                    let next = if VECTOR + 1 == V { behind } else { simd.load(&row[first + S::LANES..]) };
                    x[COLUMN][VECTOR] = simd.shift(x[0][VECTOR], next, COLUMN);
                } else if STEP == 1 {
                    x[COLUMN][VECTOR] = match C {
                        1 => simd.load(&row[at..]),
                        _ => simd.load_halves(&row[at..], &other[at..]),
                    };
                } else if COLUMN.is_multiple_of(2) {
                    let behind = if C == 1 { &row[at + S::LANES..] } else { &other[at..] };
                    let (even, odd) = simd.unzip_unordered(simd.load(&row[at..]), simd.load(behind));
                    x[COLUMN][VECTOR] = even;
                    if COLUMN + 1 < WIDTH {
                        x[COLUMN + 1][VECTOR] = odd;
                    }
                }
            });
        });
        unroll!(COLUMN < WIDTH, at most 8, {
            unroll!(VECTOR < V, at most 3, {
                if hides::<STEP>(MASKS, [COLUMN, WIDTH], [VECTOR, V]) {
                    x[COLUMN][VECTOR] = simd.keep(x[COLUMN][VECTOR], masks[COLUMN][VECTOR]);
                }
            });
        });
        x
    }

    /// Adds the products of a row of input to the sums of the rows of output that see it. A function of its own, as the next, since compilers take long over
    /// loops that are written out within others.
    #[inline(always)]
    fn add<const V: usize, const STEP: usize, const INNER: usize>(
        &self,
        simd: S,
        x: &[[S::Vector; V]; WIDTH],
        [turn, count]: [usize; 2],
        sums: &mut [[S::Vector; V]; HEIGHT],
    ) {
        // Where few registers hold the sums of many rows there are none for the pixels of more than one column of taps. Measured with `cargo bench --bench layers`: 1.1 to
        // 1.4 times as fast with 5x5 taps.
        if const { S::REGISTERS <= 16 && WIDTH > 1 && (HEIGHT == 5 || V == 3) } {
            unroll!(COLUMN < WIDTH, at most 8, {
                self.add_column::<V, STEP, INNER>(simd, &x[COLUMN], COLUMN, sums);
            });
            return;
        }
        unroll!(BEFORE < HEIGHT, at most 8, {
            if const { BEFORE * STEP + INNER < HEIGHT } {
                // The row of output that began so many turns before. With few taps it costs less to compute rows that there are not than to ask.
                if const { HEIGHT <= 3 || WIDTH == 1 } || turn.wrapping_sub(BEFORE) < count {
                    let row = const { began(HEIGHT, STEP) } - BEFORE;
                    self.add_row::<V, STEP>(simd, x, BEFORE * STEP + INNER, &mut sums[row]);
                }
            }
        });
    }

    /// Adds those of a row of taps.
    #[inline(always)]
    fn add_row<const V: usize, const STEP: usize>(
        &self,
        simd: S,
        x: &[[S::Vector; V]; WIDTH],
        row: usize,
        sums: &mut [S::Vector; V],
    ) {
        unroll!(COLUMN < WIDTH, at most 8, {
            multiply_add(simd, &x[COLUMN], self.tap::<V, STEP>(simd, row, COLUMN), sums);
        });
    }

    /// Adds those of a column of taps.
    #[inline(always)]
    fn add_column<const V: usize, const STEP: usize, const INNER: usize>(
        &self,
        simd: S,
        x: &[S::Vector; V],
        column: usize,
        sums: &mut [[S::Vector; V]; HEIGHT],
    ) {
        unroll!(BEFORE < HEIGHT, at most 8, {
            if const { BEFORE * STEP + INNER < HEIGHT } {
                let tap = self.tap::<V, STEP>(simd, BEFORE * STEP + INNER, column);
                multiply_add(simd, x, tap, &mut sums[const { began(HEIGHT, STEP) } - BEFORE]);
            }
        });
    }

    /// A tap in all lanes.
    #[inline(always)]
    fn tap<const V: usize, const STEP: usize>(&self, simd: S, row: usize, column: usize) -> S::Vector {
        // Without registers for all taps they are read at each use.
        let held = HEIGHT * WIDTH + (began(HEIGHT, STEP) + 1 + WIDTH) * V <= S::REGISTERS;
        if C == 2 || held { self.taps[row][column] } else { simd.splat(self.weights[row][column]) }
    }

    /// What becomes of the sums of a row.
    #[inline(always)]
    fn results<const V: usize, const STEP: usize>(
        &self,
        simd: S,
        mut sums: [S::Vector; V],
        limits: Option<[T; 2]>,
    ) -> [S::Vector; V] {
        unroll!(VECTOR < V, at most 3, {
            let ordered = if STEP == 1 { sums[VECTOR] } else { simd.in_order(sums[VECTOR]) };
            sums[VECTOR] = simd.add(self.bias, ordered);
        });
        if let Some(limits) = limits {
            limit_row(simd, &mut sums, limits);
        }
        sums
    }
}

/// One value in all lanes, or two in half of them each.
#[inline(always)]
fn splat<T: Arithmetic, S: Simd<T>, const C: usize>(simd: S, one: T, other: T) -> S::Vector {
    if C == 1 { simd.splat(one) } else { simd.splat_halves(one, other) }
}

/// Behind the first column of taps, the columns whose pixels are the first one's, shifted, where that is worth it: half of them, so that shifts and the loads of
/// the others take about as long. Measured with `cargo bench --bench layers`: 1.05 to 1.15 times as fast with 5x5 and 7x7; all of them 1.0 to 1.1.
const fn shifted_columns(width: usize, step: usize) -> usize {
    if step == 1 && width >= 5 { width / 2 } else { 0 }
}

/// The lowest bits, so many; all of them from 32 on.
pub(super) const fn first_bits(count: usize) -> u32 {
    if count < 32 { (1 << count) - 1 } else { u32::MAX }
}
