//! Outputs that were computed apart, brought together: neighbouring outputs of a transposed convolution are of different phases.

use ndarray::{ArrayViewMut3, s};

use crate::element::Element;
use crate::kernels::tile::CACHE_LINE;
use crate::kernels::weave::weave;
use crate::parts::whole_chunks;
use crate::simd::{Kernel, Simd};

/// Columns of phases that are woven a vector at a time; with more of them, each is copied to its places.
pub(crate) const MOST_WOVEN: usize = 16;

/// Rows and columns of neighbouring outputs that are computed as one pixel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Woven<'a> {
    pub(crate) phases: [usize; 2],
    /// Rows and columns of the first pixel's outputs that lie before the output.
    pub(crate) lead: [usize; 2],
    /// Where each phase of each channel is computed, if they are not computed one behind the other.
    pub(crate) order: &'a [usize],
}

impl Woven<'_> {
    /// Each output is a pixel.
    pub(crate) const NOT: Woven<'static> = Woven { phases: [1, 1], lead: [0, 0], order: &[] };

    /// Outputs of a pixel.
    pub(crate) fn count(self) -> usize {
        self.phases[0] * self.phases[1]
    }

    /// The fewest rows of a product that are whole channels of the output, and whole panels of so many.
    pub(crate) fn together(self, panel: usize) -> usize {
        whole_chunks(panel, self.count())
    }
}

/// Copies the phases of each channel to some rows of an output. With the lead added to `y` and `x`, `output[c][y][x]` is element
/// `[y / high][x / wide]` of phase `[y % high][x % wide]`.
pub(crate) struct Weave<'a, 'o, T> {
    pub(crate) rows: &'a [T],
    /// Rows and columns of each phase.
    pub(crate) size: [usize; 2],
    pub(crate) woven: Woven<'a>,
    /// Elements from one channel, row of phases, and phase of a row to the next; the last of them is that of all if they have an order.
    pub(crate) pitches: [usize; 3],
    pub(crate) output: ArrayViewMut3<'o, T>,
    /// The first row of the output that is written, and how far apart they are: they count as its only ones.
    pub(crate) every: [usize; 2],
}

impl<T: Element> Kernel<T> for Weave<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let Weave { rows: from, size: [_, columns], woven, pitches, mut output, every: [first, step] } = self;
        let Woven { phases: [high, wide], lead, order } = woven;
        let (_, rows, width) = output.dim();
        let place = |channel: usize, phase: usize, x: usize| match order.get((channel * high + phase) * wide + x % wide)
        {
            Some(row) => row * pitches[2] + x / wide,
            None => channel * pitches[0] + phase * pitches[1] + x % wide * pitches[2] + x / wide,
        };
        let mut turns = [0; MOST_WOVEN];
        let mut planes = output.outer_iter_mut().enumerate().peekable();
        while let Some((channel, mut plane)) = planes.next() {
            // Stores wait for their lines one after the other where they are not in the cache.
            let next = planes.peek().and_then(|(_, plane)| plane.as_slice());
            let (mut phase, mut y) = (lead[0] % high, lead[0] / high);
            for row in (first..rows).step_by(step) {
                let start = y * columns;
                for (turn, x) in turns.iter_mut().zip(lead[1]..lead[1] + wide) {
                    *turn = place(channel, phase, x);
                }
                let here = phase;
                (phase, y) = if phase + 1 == high { (0, y + 1) } else { (phase + 1, y) };
                if let Some(next) = next {
                    for at in (0..width).step_by(CACHE_LINE / size_of::<T>()) {
                        simd.prefetch(next, row * width + at);
                    }
                }
                if wide <= MOST_WOVEN {
                    // Rows one behind the other need not be looked up one by one.
                    if let Some(plane) = plane.as_slice_mut() {
                        weave(simd, &from[start..], &turns[..wide], &mut plane[row * width..][..width]);
                        continue;
                    }
                    if let Some(to) = plane.row_mut(row).as_slice_mut() {
                        weave(simd, &from[start..], &turns[..wide], to);
                        continue;
                    }
                }
                for (turn, x) in (0..wide.min(width)).zip(lead[1]..) {
                    let from = &from[start + place(channel, here, x)..][..columns - x / wide];
                    let to = plane.slice_mut(s![row, turn..;wide]);
                    to.into_iter().zip(from).for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
}
