//! Direct convolution of single channels of a small image, from a copy of each channel.
//!
//! A channel is copied with its padding, rows a constant number of elements apart, so that a tap is a constant number of elements away from the
//! one before; with step 2 it is copied as four, one for each residue of rows and columns, in which neighbouring pixels are neighbours again. Where two
//! rows fit into a vector it takes both. What is seen behind the end of a row is what is seen before the begin of the next one: zeros.
//!
//! ```text
//! for R by V vectors of output:
//!     for row of the copy under them:           # loaded once for all vectors that see it
//!         for column of taps: x[0..V] = row[column..]; acc[r][0..V] += weight[r] * x[0..V]
//! ```

use super::copy::{copy_there, store_run};
use super::image_tile::{ImagePlanes, first_bits};
use super::tile::{limit, multiply_add};
use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// Elements that a copy may take.
const HELD: usize = 2048;
/// Elements behind it that may be read and written.
const MARGIN: usize = 128;
/// Elements of a row that are read, at most.
const MOST: usize = 80;
/// Vectors of a tile, one below the other: where it has two side by side, and where it has one and few registers, so that the rows of 7 pixels and
/// 14 are none too few for the sums to wait for each other.
const ROWS: usize = 4;
const ROWS_OF_ONE: usize = 7;

/// Some output channels, with the kernel's size and step, and the elements from one row of a copy to the next.
pub(crate) struct SmallPlanes<'a, 'o, T, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const PITCH: usize>
{
    pub(crate) planes: ImagePlanes<'a, 'o, T, HEIGHT, WIDTH, STEP>,
}

/// The smallest of 8, 16 and 32 elements from row to row of a copy that will do, if any does.
pub(crate) fn pitch(
    kernel: [usize; 2],
    step: usize,
    image: [usize; 2],
    origin: [isize; 2],
    size: [usize; 2],
) -> Option<usize> {
    let seen = size[1] + (kernel[1] - 1) / step;
    let (before, behind) = (-origin[1], origin[1] + (size[1] + kernel[1] - 1) as isize - image[1] as isize);
    // With step 1 the padding behind a row and before the next one may be the same.
    let shared = if step == 1 { before.min(behind).max(0) as usize } else { 0 };
    let fits =
        |pitch: usize| pitch + shared >= seen && step * step * plane_len(kernel[0], step, pitch, size[0]) <= HELD;
    [8, 16, 32].into_iter().find(|&pitch| fits(pitch))
}

/// How many times `part` there is in `whole`, once at least.
const fn times(whole: usize, part: usize) -> usize {
    if whole > part { whole / part } else { 1 }
}

/// Elements of a copy, for each residue, and a vector that may be written behind it.
const fn plane_len(height: usize, step: usize, pitch: usize, rows: usize) -> usize {
    (rows + (height - 1) / step) * pitch + 16
}

impl<T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const PITCH: usize> Kernel<T>
    for SmallPlanes<'_, '_, T, HEIGHT, WIDTH, STEP, PITCH>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let planes = self.planes;
        let [height, width] = planes.image;
        let mut held = [T::ZERO; HELD + MARGIN];
        let plane = plane_len(HEIGHT, STEP, PITCH, planes.size[0]);
        let (copy, pixels) = (STEP * STEP * plane, planes.size[0] * planes.size[1]);
        let channels = planes.output.len() / pixels;
        // As many at a time as there is room for: what has just been written cannot be read yet by vectors that begin elsewhere.
        let together = HELD / copy * planes.multiplier;
        for first in (0..channels).step_by(together) {
            let last = channels.min(first + together);
            for (input, at) in (first / planes.multiplier..last.div_ceil(planes.multiplier)).zip((0..).step_by(copy)) {
                let start = planes.start + input * height * width;
                let take = Take {
                    memory: planes.memory,
                    start,
                    image: planes.image,
                    origin: planes.origin,
                    size: planes.size,
                };
                take.run::<S, HEIGHT, WIDTH, STEP, PITCH>(simd, plane, &mut held[at..]);
            }
            for channel in first..last {
                let weights = &planes.weights[channel * HEIGHT * WIDTH..][..HEIGHT * WIDTH];
                let bias = planes.bias.map_or(T::ZERO, |bias| bias[channel]);
                let output = &mut planes.output[channel * pixels..][..pixels];
                let held = &held[(channel - first) / planes.multiplier * copy..];
                let (limits, size) = (planes.limits, planes.size);
                Small::<T, HEIGHT, WIDTH, STEP, PITCH> { held, plane, weights, bias, limits, output, size }.run(simd);
            }
        }
    }
}

/// Makes the copies of a channel.
struct Take<'a, T> {
    memory: &'a [T],
    start: usize,
    image: [usize; 2],
    origin: [isize; 2],
    size: [usize; 2],
}

impl<T: Arithmetic> Take<'_, T> {
    #[inline(always)]
    fn run<S: Simd<T>, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const PITCH: usize>(
        self,
        simd: S,
        plane: usize,
        held: &mut [T],
    ) {
        // The rows and columns of the image that are seen.
        let kernel = [HEIGHT, WIDTH];
        let seen = |axis: usize| {
            let end = self.origin[axis] + ((self.size[axis] - 1) * STEP + kernel[axis]) as isize;
            (self.origin[axis].max(0), end.min(self.image[axis] as isize))
        };
        let ((top, bottom), (left, right)) = (seen(0), seen(1));
        if left >= right {
            return;
        }
        let columns = (right - left) as usize;
        let across = times(PITCH, S::LANES);
        // For each residue of the columns: which lanes are columns, and where the first one goes.
        let mut masks = [[simd.mask(0); 8]; 2];
        let mut places = [0; 2];
        let first = (left - self.origin[1]) as usize;
        for residue in 0..STEP {
            let count = (columns - residue.min(columns)).div_ceil(STEP);
            for (vector, mask) in masks[residue].iter_mut().enumerate() {
                *mask = simd.mask(first_bits(count - (vector * S::LANES).min(count)));
            }
            places[residue] = (first + residue) % STEP * plane + (first + residue) / STEP;
        }
        let len = across * S::LANES * STEP + STEP - 1;
        for y in top..bottom {
            let from = self.start + y as usize * self.image[1] + left as usize;
            let row = (y - self.origin[0]) as usize;
            let to = &mut held[row % STEP * STEP * plane + row / STEP * PITCH..];
            let end;
            let from = match self.memory.get(from..from + len) {
                Some(from) => from,
                None => {
                    end = held_at(self.memory, from);
                    &end[..len]
                }
            };
            unroll!(RESIDUE < STEP, at most 2, {
                let to = &mut to[places[RESIDUE]..][..across * S::LANES];
                unroll!(VECTOR < 8, at most 8, {
                    if VECTOR < across {
                        let from = &from[RESIDUE + VECTOR * S::LANES * STEP..];
                        let vector = if STEP == 1 { simd.load(from) } else { simd.load_even(from) };
                        simd.store(simd.keep(vector, masks[RESIDUE][VECTOR]), &mut to[VECTOR * S::LANES..]);
                    }
                });
            });
        }
    }
}

/// One output channel.
struct Small<'h, 'o, T, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const PITCH: usize> {
    held: &'h [T],
    plane: usize,
    weights: &'h [T],
    bias: T,
    limits: Option<[T; 2]>,
    output: &'o mut [T],
    size: [usize; 2],
}

impl<T: Arithmetic, const HEIGHT: usize, const WIDTH: usize, const STEP: usize, const PITCH: usize>
    Small<'_, '_, T, HEIGHT, WIDTH, STEP, PITCH>
{
    #[inline(always)]
    fn run<S: Simd<T>>(&mut self, simd: S) {
        // Rows of output in a vector, or vectors in a row.
        let together = times(S::LANES, PITCH);
        let vectors = self.size[0].div_ceil(together);
        let mut column = 0;
        while column < self.size[1] {
            if const { PITCH > S::LANES } && column + S::LANES < self.size[1] {
                self.run_column::<S, ROWS, 2>(simd, vectors, column);
                column += 2 * S::LANES;
            } else if const { S::REGISTERS <= 16 } && vectors >= ROWS_OF_ONE {
                self.run_column::<S, ROWS_OF_ONE, 1>(simd, vectors, column);
                column += S::LANES;
            } else {
                self.run_column::<S, ROWS, 1>(simd, vectors, column);
                column += S::LANES;
            }
        }
    }

    /// All tiles of a column, of `R` vectors if there are so many, else of one.
    #[inline(always)]
    fn run_column<S: Simd<T>, const R: usize, const V: usize>(&mut self, simd: S, vectors: usize, column: usize) {
        let mut vector = 0;
        while vector < vectors {
            if vectors >= R {
                self.run_tile::<S, R, V>(simd, vector.min(vectors - R), column);
                vector += R;
            } else {
                self.run_tile::<S, 1, V>(simd, vector, column);
                vector += 1;
            }
        }
    }

    /// The sums of `R` by `V` vectors, which are `TOGETHER` rows each.
    #[inline(always)]
    fn multiply<S: Simd<T>, const R: usize, const V: usize, const TOGETHER: usize>(
        &self,
        simd: S,
        start: usize,
    ) -> [[S::Vector; V]; R] {
        let wide = V * S::LANES;
        let mut sums = [[simd.splat(T::ZERO); V]; R];
        if STEP == 1 {
            // One vector is so many rows of the copy below the one before.
            let len = ((R - 1) * TOGETHER + HEIGHT - 1) * PITCH + wide + WIDTH - 1;
            let pixels = &self.held[start..][..len];
            unroll!(INPUT < ((R - 1) * TOGETHER + HEIGHT), {
                self.add_row::<S, R, V, TOGETHER, INPUT>(simd, pixels, &mut sums);
            });
        } else {
            let len = ((R - 1) * TOGETHER + (HEIGHT - 1) / STEP) * PITCH + wide + (WIDTH - 1) / STEP;
            unroll!(TAP < (HEIGHT * WIDTH), at most 28, {
                self.add_tap::<S, R, V, TOGETHER>(simd, TAP, (start, len), &mut sums);
            });
        }
        sums
    }

    /// Adds the products of a row of the copy. A function of its own, since compilers take long over loops that are written out within others.
    #[inline(always)]
    fn add_row<S: Simd<T>, const R: usize, const V: usize, const TOGETHER: usize, const INPUT: usize>(
        &self,
        simd: S,
        pixels: &[T],
        sums: &mut [[S::Vector; V]; R],
    ) {
        unroll!(COLUMN < WIDTH, at most 8, {
            let mut x = [simd.splat(T::ZERO); V];
            unroll!(VECTOR < V, at most 2, {
                x[VECTOR] = simd.load(&pixels[INPUT * PITCH + COLUMN + VECTOR * S::LANES..]);
            });
            self.add_column::<S, R, V, TOGETHER, INPUT>(simd, COLUMN, &x, sums);
        });
    }

    /// Adds the products of what a column of taps sees of it.
    #[inline(always)]
    fn add_column<S: Simd<T>, const R: usize, const V: usize, const TOGETHER: usize, const INPUT: usize>(
        &self,
        simd: S,
        column: usize,
        x: &[S::Vector; V],
        sums: &mut [[S::Vector; V]; R],
    ) {
        let weights = &self.weights[..HEIGHT * WIDTH];
        unroll!(ROW < R, at most 8, {
            if Sees::<ROW, TOGETHER, HEIGHT, INPUT>::HOLDS {
                let weight = simd.splat(weights[(INPUT - ROW * TOGETHER) * WIDTH + column]);
                multiply_add(simd, x, weight, &mut sums[ROW]);
            }
        });
    }

    /// Adds the products of one tap, for a step of two.
    #[inline(always)]
    fn add_tap<S: Simd<T>, const R: usize, const V: usize, const TOGETHER: usize>(
        &self,
        simd: S,
        tap: usize,
        (start, len): (usize, usize),
        sums: &mut [[S::Vector; V]; R],
    ) {
        let (row, column) = (tap / WIDTH, tap % WIDTH);
        let place = row % STEP * STEP + column % STEP;
        let pixels = &self.held[place * self.plane + start..][..len];
        let weight = simd.splat(self.weights[..HEIGHT * WIDTH][tap]);
        unroll!(ROW < R, at most 8, {
            unroll!(VECTOR < V, at most 2, {
                let at = (ROW * TOGETHER + row / STEP) * PITCH + column / STEP + VECTOR * S::LANES;
                sums[ROW][VECTOR] = simd.fma(simd.load(&pixels[at..]), weight, sums[ROW][VECTOR]);
            });
        });
    }

    #[inline(always)]
    fn run_tile<S: Simd<T>, const R: usize, const V: usize>(&mut self, simd: S, first: usize, column: usize) {
        let together = times(S::LANES, PITCH);
        let start = first * together * PITCH + column;
        let mut sums = if const { times(S::LANES, PITCH) == 1 } {
            self.multiply::<S, R, V, 1>(simd, start)
        } else {
            self.multiply::<S, R, V, 2>(simd, start)
        };
        let bias = simd.splat(self.bias);
        let [rows, columns] = self.size;
        // The lanes that are pixels.
        let mut bits = u32::MAX;
        if together > 1 {
            bits = first_bits(columns);
            bits |= bits << PITCH;
        }
        unroll!(ROW < R, at most 8, {
            unroll!(VECTOR < V, at most 2, {
                sums[ROW][VECTOR] = simd.add(bias, sums[ROW][VECTOR]);
            });
        });
        limit(simd, &mut sums, self.limits);
        unroll!(ROW < R, at most 8, {
            let row = (first + ROW) * together;
            if together > 1 {
                let end = rows.min(row + together) * columns;
                store_run(simd, simd.compress(sums[ROW][0], bits), &mut self.output[row * columns..end]);
            } else {
                let to = &mut self.output[row * columns + column..(row + 1) * columns];
                let (whole, part) = to.split_at_mut((V - 1) * S::LANES);
                if V == 2 {
                    simd.store(sums[ROW][0], whole);
                }
                store_run(simd, sums[ROW][V - 1], part);
            }
        });
    }
}

/// Whether a row of a tile sees a row of input.
struct Sees<const ROW: usize, const STEP: usize, const HEIGHT: usize, const INPUT: usize>;

impl<const ROW: usize, const STEP: usize, const HEIGHT: usize, const INPUT: usize> Sees<ROW, STEP, HEIGHT, INPUT> {
    const HOLDS: bool = ROW * STEP <= INPUT && INPUT < ROW * STEP + HEIGHT;
}

/// A row at the end of the memory, with zeros behind it.
#[cold]
#[inline(never)]
fn held_at<T: Arithmetic>(memory: &[T], place: usize) -> [T; MOST] {
    let mut held = [T::ZERO; MOST];
    copy_there(memory, place as isize, &mut held);
    held
}
