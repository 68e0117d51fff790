//! Direct convolution of single channels with a small kernel, straight from the image: a few rows by one or two vectors of pixels.
//!
//! ```text
//! for input row under the tile:         # loaded once for all rows of output that see it, left out if it is padding
//!     x[columns of taps][0..V] = pixels, zeros where they are padding
//!     for r in rows that see it: for column of taps: acc[r][0..V] += weight[r][column] * x[column][0..V]
//! output[r] = bias + acc[r]
//! ```
//!
//! The kernel's size and step are constants, so that the accumulators are registers and nothing is looked up. Padding to the left and right costs
//! a mask, which is the same for all channels. What a mask hides may be anything, a neighbouring row or channel; only at the ends of the image's
//! memory is it nothing. Where rows are no longer than half a vector, it takes those of two channels.

use core::ops::Range;

use super::tile::{self, FEW_TAPS, ask_for, limit, multiply_add};
use crate::simd::rows::Rows;
use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// Rows of a tile where its sums and the taps of a small kernel fit into the registers together, and of any other.
const TALL: usize = 7;
const ROWS: usize = 4;
/// Rows that are worked on from left to right before those below: whole tiles of either height. Memory is read fastest row by row.
const BAND: usize = 28;
/// Columns from which a band is one tile high, and from which the rows below are asked for ahead of time; and both where caches do not hold the image. Measured with
/// `cargo bench --bench layers`: 1.7 to 2.8 times as fast beyond the caches, 1.07 at 112 columns, nothing at 56.
const WIDE: usize = 256;
const FAR: usize = 64;
/// Columns of tiles of which it is known from channel to channel where they see padding.
const COLUMNS: usize = 4;
/// Rows of input under a tile, at most.
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
    fn run<S: Simd<T>>(mut self, simd: S) {
        if const { S::HALVES } && self.size[1] <= S::LANES / 2 {
            self.run_pairs(simd);
        } else {
            self.run_planes(simd);
        }
    }
}

impl<'a, T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize>
    ImagePlanes<'a, '_, T, HEIGHT, WIDTH, STEP>
{
    /// Two channels at a time, the last one by itself if it is alone.
    #[inline(always)]
    fn run_pairs<S: Simd<T>>(&mut self, simd: S) {
        let [rows, columns] = self.size;
        let (view, output) = (self.view(), core::mem::take(&mut self.output));
        let mut pairs = output.chunks_exact_mut(2 * rows * columns);
        let mut across = Across::<1, WIDTH>::new();
        let mut first = 0;
        for pair in &mut pairs {
            let (one, other) = pair.split_at_mut(rows * columns);
            let channels = [self.channel(first), self.channel(first + 1)];
            let mut planes = Planes::<T, HEIGHT, WIDTH, STEP, 2> { view, channels, outputs: [one, other] };
            planes.run_column(simd, 0..rows, 0, &mut across);
            first += 2;
        }
        let last = pairs.into_remainder();
        if !last.is_empty() {
            let channels = [self.channel(first)];
            let mut plane = Planes::<T, HEIGHT, WIDTH, STEP, 1> { view, channels, outputs: [last] };
            plane.run_column(simd, 0..rows, 0, &mut Across::<1, WIDTH>::new());
        }
    }

    #[inline(always)]
    fn run_planes<S: Simd<T>>(&mut self, simd: S) {
        let [rows, columns] = self.size;
        let wide = if self.far { FAR } else { WIDE };
        let band = if columns < wide { BAND } else { tile_rows::<HEIGHT>(S::REGISTERS, rows) };
        let (view, output) = (self.view(), core::mem::take(&mut self.output));
        let before = self.before_line(output, S::LANES);
        // Each channel has the same columns of tiles.
        let mut of_one = Across::<1, WIDTH>::new();
        let mut of_two = [const { Across::<2, WIDTH>::new() }; COLUMNS];
        for (index, output) in output.chunks_exact_mut(rows * columns).enumerate() {
            let channels = [self.channel(index)];
            let mut plane = Planes::<T, HEIGHT, WIDTH, STEP, 1> { view, channels, outputs: [output] };
            let mut first = 0;
            while first < rows {
                let band = first..rows.min(first + band);
                let mut column = 0;
                while column < columns {
                    if column + S::LANES < columns {
                        let across = &mut of_two[column.div_ceil(2 * S::LANES) % COLUMNS];
                        plane.run_column(simd, band.clone(), column, across);
                        column += if column == 0 && before > 0 { S::LANES + before } else { 2 * S::LANES };
                    } else {
                        plane.run_column(simd, band.clone(), column, &mut of_one);
                        column += S::LANES;
                    }
                }
                first = band.end;
            }
        }
    }

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

    #[inline(always)]
    fn view(&self) -> View<'a, T> {
        let ImagePlanes { memory, image, origin, size, limits, far, .. } = *self;
        View { memory, image, origin, size, limits, far }
    }

    #[inline(always)]
    fn channel(&self, channel: usize) -> Channel<'a, T, HEIGHT, WIDTH> {
        let taps = &self.weights[channel * HEIGHT * WIDTH..][..HEIGHT * WIDTH];
        Channel {
            start: (self.start + channel / self.multiplier * self.image[0] * self.image[1]) as isize,
            weights: taps.as_chunks().0.try_into().expect("as many rows"),
            bias: match self.bias {
                Some(bias) => bias[channel],
                None => T::ZERO,
            },
        }
    }
}

/// What all channels share.
#[derive(Clone, Copy)]
struct View<'a, T> {
    memory: &'a [T],
    image: [usize; 2],
    origin: [isize; 2],
    size: [usize; 2],
    limits: Option<[T; 2]>,
    far: bool,
}

/// An output channel.
#[derive(Clone, Copy)]
struct Channel<'a, T, const HEIGHT: usize, const WIDTH: usize> {
    /// Where its channel of input begins: before the memory where a copy is read that begins further on.
    start: isize,
    weights: &'a [[T; WIDTH]; HEIGHT],
    bias: T,
}

/// Which lanes see the image under each column of taps, for the tiles that begin in a column.
struct Across<const V: usize, const WIDTH: usize> {
    column: usize,
    /// Whether some lanes see padding.
    padded: bool,
    lanes: [[u32; V]; WIDTH],
}

impl<const V: usize, const WIDTH: usize> Across<V, WIDTH> {
    const fn new() -> Self {
        Across { column: usize::MAX, padded: false, lanes: [[u32::MAX; V]; WIDTH] }
    }
}

/// Rows of the tiles that some rows of output are cut into, which overlap where they do not fit: as few multiply-adds as can be, with what is
/// around a tile counted as three rows.
#[inline(always)]
const fn tile_rows<const HEIGHT: usize>(registers: usize, rows: usize) -> usize {
    let tall = registers > 16 && HEIGHT <= 3 && rows >= TALL;
    match rows {
        _ if tall && rows.div_ceil(TALL) * (TALL + 3) <= rows.div_ceil(ROWS) * (ROWS + 3) => TALL,
        ROWS.. => ROWS,
        _ => 1,
    }
}

/// `C` output channels, whose pixels share a vector.
struct Planes<'a, 'o, T, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const C: usize> {
    view: View<'a, T>,
    channels: [Channel<'a, T, HEIGHT, WIDTH>; C],
    outputs: [&'o mut [T]; C],
}

impl<T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const C: usize>
    Planes<'_, '_, T, HEIGHT, WIDTH, STEP, C>
{
    /// The tiles of some rows, one below the other.
    #[inline(always)]
    fn run_column<S: Simd<T>, const V: usize>(
        &mut self,
        simd: S,
        rows: Range<usize>,
        column: usize,
        across: &mut Across<V, WIDTH>,
    ) {
        let View { image, origin, size, .. } = self.view;
        let lanes = S::LANES / C;
        // A full tile where there is one: then some pixels are computed again.
        let column = if size[1] < V * lanes { column } else { column.min(size[1] - V * lanes) };
        if across.column != column {
            let first = origin[1] + (column * STEP) as isize;
            across.column = column;
            across.padded = first < 0 || first as usize + (V * lanes - 1) * STEP + WIDTH > image[1];
            unroll!(COLUMN < WIDTH, at most 8, {
                unroll!(VECTOR < V, at most 2, {
                    let first = first + (VECTOR * lanes * STEP + COLUMN) as isize;
                    let [before, upto] = [0, image[1] as isize]
                        .map(|limit| (limit - first).max(0).unsigned_abs().div_ceil(STEP).min(lanes));
                    let bits = first_bits(upto) & !first_bits(before);
                    across.lanes[COLUMN][VECTOR] = if C == 2 { bits | bits << lanes } else { bits };
                });
            });
        }
        if const { S::FREE_MASKS && shifted_columns(WIDTH, STEP) == 0 } || across.padded {
            self.run_rows::<S, V, true>(simd, rows, across);
        } else {
            self.run_rows::<S, V, false>(simd, rows, across);
        }
    }

    /// With `MASKED` some lanes may see no pixel of the image.
    #[inline(always)]
    fn run_rows<S: Simd<T>, const V: usize, const MASKED: bool>(
        &mut self,
        simd: S,
        rows: Range<usize>,
        across: &Across<V, WIDTH>,
    ) {
        let all = self.view.size[0];
        let height = tile_rows::<HEIGHT>(S::REGISTERS, all);
        let mut row = rows.start;
        while row < rows.end {
            let first = row.min(all - height);
            macro_rules! tile {
                ($rows:expr) => {
                    simd.call(Tile::<T, HEIGHT, WIDTH, STEP, C, $rows, V, MASKED> { planes: self, row: first, across })
                };
            }
            match height {
                TALL if const { tile_rows::<HEIGHT>(S::REGISTERS, TALL) == TALL } => tile!(TALL),
                ROWS => tile!(ROWS),
                _ => tile!(1),
            }
            row += height;
        }
    }
}

/// `R` rows by `V` vectors.
struct Tile<
    'p,
    'a,
    'o,
    T,
    const HEIGHT: usize,
    const WIDTH: usize,
    const STEP: usize,
    const C: usize,
    const R: usize,
    const V: usize,
    const MASKED: bool,
> {
    planes: &'p mut Planes<'a, 'o, T, HEIGHT, WIDTH, STEP, C>,
    row: usize,
    across: &'p Across<V, WIDTH>,
}

impl<
    T: Arithmetic,
    const HEIGHT: usize,
    const WIDTH: usize,
    const STEP: usize,
    const C: usize,
    const R: usize,
    const V: usize,
    const MASKED: bool,
> Kernel<T> for Tile<'_, '_, '_, T, HEIGHT, WIDTH, STEP, C, R, V, MASKED>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let View { memory, image, .. } = self.planes.view;
        let first = self.first();
        // The rows of input under the tile that are rows of the image.
        let top = if first[0] < 0 { first[0].unsigned_abs() } else { 0 };
        let left = image[0] as isize - first[0];
        let bottom = if left < 0 { 0 } else { left.unsigned_abs().min((R - 1) * STEP + HEIGHT) };
        let place = first[0] * image[1] as isize + first[1];
        let len = match (C, STEP) {
            (1, _) => V * S::LANES * STEP,
            (_, 1) => S::LANES / 2,
            _ => S::LANES,
        } + (WIDTH - 1).next_multiple_of(STEP);
        let channels = &self.planes.channels;
        let one = Rows::new(memory, channels[0].start + place, image[1], len, top..bottom);
        let other = Rows::new(memory, channels[C - 1].start + place, image[1], len, top..bottom);
        let (Some(one), Some(other)) = (one, other) else {
            return self.run_held(simd, len, top..bottom);
        };
        self.ask_ahead(simd, place);
        let sums = self.multiply(simd, [one, other]);
        self.store(simd, sums);
    }
}

impl<
    T: Arithmetic,
    const HEIGHT: usize,
    const WIDTH: usize,
    const STEP: usize,
    const C: usize,
    const R: usize,
    const V: usize,
    const MASKED: bool,
> Tile<'_, '_, '_, T, HEIGHT, WIDTH, STEP, C, R, V, MASKED>
{
    /// Input position under the first tap for the tile's first pixel.
    #[inline(always)]
    fn first(&self) -> [isize; 2] {
        let origin = self.planes.view.origin;
        [origin[0] + (self.row * STEP) as isize, origin[1] + (self.across.column * STEP) as isize]
    }

    /// Asks for what the tile below will see and this one does not, and if caches do not hold it, for what that one will write.
    #[inline(always)]
    fn ask_ahead<S: Simd<T>>(&self, simd: S, place: isize) {
        let View { memory, image, size, far, .. } = self.planes.view;
        if size[1] < FAR {
            return;
        }
        let below = place + (((R - 1) * STEP + HEIGHT) * image[1]) as isize;
        let below = (self.planes.channels[0].start + below).max(0).unsigned_abs();
        ask_for(simd, memory, below, image[1], [R * STEP, V * STEP]);
        if const { HEIGHT * WIDTH <= FEW_TAPS } && far {
            let below = (self.row + R) * size[1] + self.across.column;
            ask_for(simd, self.planes.outputs[0], below, size[1], [R, V]);
        }
    }

    /// The sums, with the bias, within the limits.
    #[inline(always)]
    fn multiply<S: Simd<T>>(&self, simd: S, rows: [Rows<'_, T>; 2]) -> [[S::Vector; V]; R] {
        let channels = &self.planes.channels;
        let (one, other) = (&channels[0], &channels[C - 1]);
        let mut masks = [[simd.mask(0); V]; WIDTH];
        let mut taps = [[simd.splat(T::ZERO); WIDTH]; HEIGHT];
        unroll!(COLUMN < WIDTH, at most 8, {
            unroll!(VECTOR < V, at most 2, {
                masks[COLUMN][VECTOR] = simd.mask(self.across.lanes[COLUMN][VECTOR]);
            });
            unroll!(ROW < HEIGHT, at most 8, {
                taps[ROW][COLUMN] = match C {
                    1 => simd.splat(one.weights[ROW][COLUMN]),
                    _ => simd.splat_halves(one.weights[ROW][COLUMN], other.weights[ROW][COLUMN]),
                };
            });
        });
        let mut sums = [[simd.splat(T::ZERO); V]; R];
        unroll!(INPUT < ((R - 1) * STEP + HEIGHT), {
            // A branch for each row: without one the compiler loads all pixels before it uses any, more than there are registers.
            if let (Some(pixels), Some(others)) = (rows[0].row(INPUT), rows[1].row(INPUT)) {
                let x = self.pixels(simd, pixels, others);
                self.add_row::<S, INPUT>(simd, x, &masks, &taps, &mut sums);
            }
        });
        let bias = if C == 1 { simd.splat(one.bias) } else { simd.splat_halves(one.bias, other.bias) };
        unroll!(ROW < R, at most 8, {
            unroll!(VECTOR < V, at most 2, {
                sums[ROW][VECTOR] = simd.add(bias, sums[ROW][VECTOR]);
            });
        });
        limit(simd, &mut sums, self.planes.view.limits);
        sums
    }

    /// What the taps of each column see of a row of input. A function of its own, as the next, since compilers take long over loops that are written out within
    /// others.
    #[inline(always)]
    fn pixels<S: Simd<T>>(&self, simd: S, pixels: &[T], others: &[T]) -> [[S::Vector; V]; WIDTH] {
        let shifted = if S::SHIFTS && C == 1 && !MASKED { shifted_columns(WIDTH, STEP) } else { 0 };
        let mut x = [[simd.splat(T::ZERO); V]; WIDTH];
        let mut behind = simd.splat(T::ZERO);
        if shifted > 0 {
            behind = simd.load_partial(&pixels[V * S::LANES..V * S::LANES + WIDTH - 1]);
        }
        unroll!(VECTOR < V, at most 2, {
            unroll!(COLUMN < WIDTH, at most 8, {
                let (first, at) = (VECTOR * S::LANES, VECTOR * S::LANES * STEP + COLUMN);
                if (1..=shifted).contains(&COLUMN) {
                    let next = if VECTOR + 1 == V { behind } else { simd.load(&pixels[first + S::LANES..]) };
                    x[COLUMN][VECTOR] = simd.shift(x[0][VECTOR], next, COLUMN);
                } else if STEP == 1 {
                    x[COLUMN][VECTOR] = match C {
                        1 => simd.load(&pixels[at..]),
                        _ => simd.load_halves(&pixels[at..], &others[at..]),
                    };
                } else if COLUMN.is_multiple_of(2) {
                    let behind = if C == 1 { &pixels[at + S::LANES..] } else { &others[at..] };
                    let (even, odd) = simd.unzip(simd.load(&pixels[at..]), simd.load(behind));
                    x[COLUMN][VECTOR] = even;
                    if COLUMN + 1 < WIDTH {
                        x[COLUMN + 1][VECTOR] = odd;
                    }
                }
            });
        });
        x
    }

    /// Adds the products of what the taps of each column see of a row of input.
    #[inline(always)]
    fn add_row<S: Simd<T>, const INPUT: usize>(
        &self,
        simd: S,
        x: [[S::Vector; V]; WIDTH],
        masks: &[[S::Mask; V]; WIDTH],
        taps: &[[S::Vector; WIDTH]; HEIGHT],
        sums: &mut [[S::Vector; V]; R],
    ) {
        unroll!(COLUMN < WIDTH, at most 8, {
            let mut x = x[COLUMN];
            if MASKED {
                unroll!(VECTOR < V, at most 2, {
                    x[VECTOR] = simd.keep(x[VECTOR], masks[COLUMN][VECTOR]);
                });
            }
            self.add_column::<S, INPUT>(simd, COLUMN, x, taps, sums);
        });
    }

    /// Adds those of one column.
    #[inline(always)]
    fn add_column<S: Simd<T>, const INPUT: usize>(
        &self,
        simd: S,
        column: usize,
        x: [S::Vector; V],
        taps: &[[S::Vector; WIDTH]; HEIGHT],
        sums: &mut [[S::Vector; V]; R],
    ) {
        unroll!(ROW < R, at most 8, {
            if Sees::<ROW, STEP, HEIGHT, INPUT>::HOLDS {
                // Without registers for all taps they are read at each use.
                let tap = if S::REGISTERS <= 16 || (C == 1 && HEIGHT * WIDTH > S::REGISTERS) {
                    simd.splat(self.planes.channels[0].weights[INPUT - ROW * STEP][column])
                } else {
                    taps[INPUT - ROW * STEP][column]
                };
                multiply_add(simd, &x, tap, &mut sums[ROW]);
            }
        });
    }

    #[inline(always)]
    fn store<S: Simd<T>>(self, simd: S, sums: [[S::Vector; V]; R]) {
        let (width, column) = (self.planes.view.size[1], self.across.column);
        let rows = self.row * width..(self.row + R) * width;
        let (first, others) = self.planes.outputs.split_at_mut(1);
        let one = &mut first[0][rows.clone()];
        if C == 2 {
            let other = &mut others[0][rows];
            unroll!(ROW < R, at most 8, {
                let to = ROW * width..(ROW + 1) * width;
                simd.store_halves(sums[ROW][0], &mut one[to.clone()], &mut other[to]);
            });
            return;
        }
        // One question for all rows: with one for each, the compiler works on one row after the other and keeps the pixels in memory meanwhile.
        if column + V * S::LANES <= width {
            unroll!(ROW < R, at most 8, {
                let to = &mut one[ROW * width + column..][..V * S::LANES];
                unroll!(VECTOR < V, at most 2, {
                    simd.store(sums[ROW][VECTOR], &mut to[VECTOR * S::LANES..]);
                });
            });
        } else {
            unroll!(ROW < R, at most 8, {
                let (whole, part) = one[ROW * width + column..(ROW + 1) * width].split_at_mut((V - 1) * S::LANES);
                if V == 2 {
                    simd.store(sums[ROW][0], whole);
                }
                simd.store_partial(sums[ROW][V - 1], part);
            });
        }
    }

    /// At an end of the memory: with a copy of what the tile sees, and zeros where there is nothing.
    #[cold]
    #[inline(never)]
    fn run_held<S: Simd<T>>(self, simd: S, len: usize, there: Range<usize>) {
        let [y, x] = self.first();
        let Tile { planes, row, across } = self;
        let View { memory, image, .. } = planes.view;
        let mut held = [[[T::ZERO; MOST]; INPUTS]; C];
        let mut channels = planes.channels;
        for (index, (channel, held)) in channels.iter_mut().zip(&mut held).enumerate() {
            for (row, held) in there.clone().zip(held) {
                let place = channel.start + (y + row as isize) * image[1] as isize + x;
                let (before, from) = ((-place).max(0).unsigned_abs(), place.max(0).unsigned_abs());
                if before < len && from < memory.len() {
                    let count = (len - before).min(memory.len() - from);
                    held[before..before + count].copy_from_slice(&memory[from..from + count]);
                }
            }
            channel.start = (index * INPUTS * MOST) as isize - (y + there.start as isize) * MOST as isize - x;
        }
        let memory = held.as_flattened().as_flattened();
        let view = View { memory, image: [image[0], MOST], ..planes.view };
        let outputs = planes.outputs.each_mut().map(|output| &mut **output);
        let mut planes = Planes::<T, HEIGHT, WIDTH, STEP, C> { view, channels, outputs };
        simd.call(Tile::<T, HEIGHT, WIDTH, STEP, C, R, V, MASKED> { planes: &mut planes, row, across });
    }
}

/// Behind the first column of taps, the columns whose pixels are the first one's, shifted, where that is worth it: half of them, so that shifts and the loads of
/// the others take about as long. Measured with `cargo bench --bench layers`: 1.05 to 1.15 times as fast with 5x5 and 7x7; all of them 1.0 to 1.1.
const fn shifted_columns(width: usize, step: usize) -> usize {
    if step == 1 && width >= 5 { width / 2 } else { 0 }
}

/// Whether a row of a tile sees a row of input.
pub(super) struct Sees<const ROW: usize, const STEP: usize, const HEIGHT: usize, const INPUT: usize>;

impl<const ROW: usize, const STEP: usize, const HEIGHT: usize, const INPUT: usize> Sees<ROW, STEP, HEIGHT, INPUT> {
    pub(super) const HOLDS: bool = is_seen(INPUT, ROW * STEP, HEIGHT);
}

/// Whether a row of input is under a kernel so high that begins at row `first`.
pub(super) const fn is_seen(input: usize, first: usize, height: usize) -> bool {
    first <= input && input < first + height
}

/// The lowest bits, so many; all of them from 32 on.
pub(super) const fn first_bits(count: usize) -> u32 {
    if count < 32 { (1 << count) - 1 } else { u32::MAX }
}

/// A piece of memory that begins before it or ends behind it, with zeros where there is none.
#[cold]
#[inline(never)]
pub(super) fn held_at<T: Arithmetic>(memory: &[T], place: isize) -> [T; MOST] {
    let mut held = [T::ZERO; MOST];
    let (before, from) = ((-place).max(0) as usize, place.max(0) as usize);
    if before < MOST && from < memory.len() {
        let len = (MOST - before).min(memory.len() - from);
        held[before..before + len].copy_from_slice(&memory[from..from + len]);
    }
    held
}
