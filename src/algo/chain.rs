//! Two convolutions, a band of rows at a time: what lies between them is never there as a whole.
//!
//! ```text
//! for band of rows of output:
//!     keep the rows between that the band before has made and this one sees too
//!     first: the others                     → held
//!     second: the band, from what is held
//! ```
//!
//! What the second sees is made once. Its padding is not made at all: at the edges what is held is smaller than what the second's window covers, and the
//! second is told where its first window begins.

use core::ops::Range;

use ndarray::{ArrayView3, ArrayViewMut3, s};

use crate::algo::{Extent, Region, Stage};
use crate::config::Conv2d;
use crate::element::Element;
use crate::gemm::blocking::SPARE;
use crate::scratch::Scratch;

/// `second(first(input))`.
pub(crate) struct Chain<A, F> {
    pub(crate) first: A,
    /// Makes the second stage, for a first window that begins at these positions of what it is given.
    pub(crate) second: F,
    pub(crate) middle: Middle,
    /// Rows of output that are made at a time.
    pub(crate) band: usize,
}

/// What lies between the two, as the second sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Middle {
    channels: usize,
    /// Rows and columns that there are.
    size: [usize; 2],
    /// Where the second's first window begins: before 0 with padding.
    origin: [isize; 2],
    /// Stride and effective kernel of the second.
    stride: [usize; 2],
    effective: [usize; 2],
}

impl Middle {
    /// The input of a second convolution, with rows and columns of so many.
    pub(crate) fn new(second: &Conv2d, size: [usize; 2], origin: [isize; 2]) -> Middle {
        let effective = [0, 1].map(|axis| second.dilation[axis] * (second.kernel[axis] - 1) + 1);
        Middle { channels: second.in_channels, size, origin, stride: second.stride, effective }
    }

    /// Size of what is held for a band.
    pub(crate) fn held(&self, extent: Extent) -> Extent {
        let span =
            |axis: usize, len: usize| ((len - 1) * self.stride[axis] + self.effective[axis]).min(self.size[axis]);
        Extent { channels: self.channels, rows: span(0, extent.rows), columns: span(1, extent.columns) }
    }

    /// The positions that the second sees for a range of its output, and where its first window begins relative to them.
    fn seen(&self, axis: usize, output: &Range<usize>) -> (Range<usize>, isize) {
        let start = (output.start * self.stride[axis]) as isize + self.origin[axis];
        let end = start + ((output.len() - 1) * self.stride[axis] + self.effective[axis]) as isize;
        let [start_inside, end_inside] = [start, end].map(|at| at.clamp(0, self.size[axis] as isize).unsigned_abs());
        // If all of it is padding, any position will do.
        let first = start_inside.min(self.size[axis] - 1);
        (first..end_inside.max(first + 1), start - first as isize)
    }
}

impl<T: Element, A: Stage<T>, B: Stage<T>, F: Fn([isize; 2]) -> B + Sync> Stage<T> for Chain<A, F> {
    fn scratch_len(&self, extent: Extent) -> usize {
        let extent = Extent { rows: extent.rows.min(self.band), ..extent };
        let held = self.middle.held(extent);
        let inner = self.first.scratch_len(held).max((self.second)([0, 0]).scratch_len(extent));
        held_len(held) + inner
    }

    fn run(
        &self,
        input: ArrayView3<'_, T>,
        region: &Region,
        output: ArrayViewMut3<'_, T>,
        mut scratch: Scratch<'_, T>,
    ) {
        let extent = Extent { rows: region.rows.len().min(self.band), ..region.extent() };
        let held = self.middle.held(extent);
        let (memory, mut scratch) = scratch.split(held_len(held));
        let (columns, left) = self.middle.seen(1, &region.columns);
        let mut made = 0..0;
        for (rows, output) in super::chunks(output, 1, self.band, 0) {
            let band = region.rows.start + rows.start..region.rows.start + rows.end;
            let (wanted, top) = self.middle.seen(0, &band);
            // Bands go down: what is kept is the end of what was made and the beginning of what is wanted.
            let kept = wanted.start..made.end.clamp(wanted.start, wanted.end);
            let pitches = [made.len(), wanted.len()].map(|rows| rows * columns.len());
            let from = (wanted.start - made.start) * columns.len();
            keep(memory, held.channels, pitches, from..from + kept.len() * columns.len());
            let pixels = wanted.len() * columns.len();
            let shape = (held.channels + SPARE.div_ceil(pixels), wanted.len(), columns.len());
            let memory = &mut memory[..shape.0 * shape.1 * shape.2];
            let mut middle = ArrayViewMut3::from_shape(shape, memory).expect("as long as its shape");
            if kept.end < wanted.end {
                let first = Region {
                    sample: region.sample,
                    channels: 0..held.channels,
                    rows: kept.end..wanted.end,
                    columns: columns.clone(),
                    far: region.far,
                };
                let new = middle.slice_mut(s![..held.channels, kept.len().., ..]);
                self.first.run(input, &first, new, scratch.reborrow());
            }
            let second = Region { rows: 0..rows.len(), columns: 0..region.columns.len(), ..region.clone() };
            (self.second)([top, left]).run(middle.view(), &second, output, scratch.reborrow());
            made = wanted;
        }
    }
}

/// Elements that hold a band, with room to read a vector behind it, whatever its size: in channels that nobody reads.
fn held_len(held: Extent) -> usize {
    held.channels * held.pixels() + SPARE + held.pixels()
}

/// Moves a piece of each channel to its beginning, with channels then as far apart as `after` says.
fn keep<T: Copy>(memory: &mut [T], channels: usize, [before, after]: [usize; 2], piece: Range<usize>) {
    if piece.is_empty() {
        return;
    }
    let mut channel = |channel: usize| {
        let from = channel * before + piece.start;
        memory.copy_within(from..from + piece.len(), channel * after);
    };
    // So that none is overwritten before it is moved.
    if after > before { (0..channels).rev().for_each(&mut channel) } else { (0..channels).for_each(&mut channel) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_kept() {
        for (before, after) in [(5, 5), (5, 3), (5, 9), (4, 100)] {
            for piece in [0..3, 1..3, 2..4] {
                let mut memory: Vec<usize> = (0..1000).collect();
                keep(&mut memory, 7, [before, after], piece.clone());
                for channel in 0..7 {
                    for (index, from) in piece.clone().enumerate() {
                        assert_eq!(
                            memory[channel * after + index],
                            channel * before + from,
                            "{before} {after} {piece:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_seen_is_inside() {
        let middle = Middle { channels: 1, size: [5, 9], origin: [-7, -1], stride: [1, 2], effective: [3, 3] };
        // All padding: any row, and a window that begins before it.
        assert_eq!(middle.seen(0, &(0..2)), (0..1, -7));
        assert_eq!(middle.seen(0, &(4..8)), (0..3, -3));
        assert_eq!(middle.seen(0, &(9..20)), (2..5, 0));
        assert_eq!(middle.seen(0, &(14..15)), (4..5, 3));
        assert_eq!(middle.seen(1, &(0..5)), (0..9, -1));
        assert_eq!(middle.seen(1, &(2..3)), (3..6, 0));
    }
}
