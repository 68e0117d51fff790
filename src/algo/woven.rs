//! Outputs that were computed apart, brought together: neighbouring outputs of a transposed convolution are of different phases.

use ndarray::{ArrayViewMut3, s};

use crate::element::Element;
use crate::kernels::weave::weave;
use crate::simd::{Kernel, Simd};

/// Columns of phases that are woven a vector at a time; with more of them, each is copied to its places.
pub(crate) const MOST_WOVEN: usize = 16;

/// Rows and columns of neighbouring outputs that are computed as one pixel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Woven {
    pub(crate) phases: [usize; 2],
    /// Rows and columns of the first pixel's outputs that lie before the output.
    pub(crate) lead: [usize; 2],
}

impl Woven {
    /// Each output is a pixel.
    pub(crate) const NOT: Woven = Woven { phases: [1, 1], lead: [0, 0] };

    /// Outputs of a pixel.
    pub(crate) fn count(self) -> usize {
        self.phases[0] * self.phases[1]
    }
}

/// Copies the phases of each channel to an output: with the lead added to `y` and `x`, `output[c][y][x]` is element
/// `[y / high][x / wide]` of phase `[y % high][x % wide]`.
pub(crate) struct Weave<'a, 'o, T> {
    pub(crate) rows: &'a [T],
    /// Rows and columns of each phase.
    pub(crate) size: [usize; 2],
    pub(crate) woven: Woven,
    /// Elements from one channel, row of phases, and phase of a row to the next.
    pub(crate) pitches: [usize; 3],
    pub(crate) output: ArrayViewMut3<'o, T>,
}

impl<T: Element> Kernel<T> for Weave<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(mut self, simd: S) {
        let Woven { phases: [high, wide], lead } = self.woven;
        let columns = self.size[1];
        for (channel, mut plane) in self.output.outer_iter_mut().enumerate() {
            for (y, mut to) in (lead[0]..).zip(plane.outer_iter_mut()) {
                let first = channel * self.pitches[0] + y % high * self.pitches[1] + y / high * columns;
                let from = |turn: usize| {
                    let x = turn + lead[1];
                    &self.rows[first + x % wide * self.pitches[2]..][x / wide..columns]
                };
                match to.as_slice_mut() {
                    Some(to) if wide <= MOST_WOVEN => {
                        let mut turns: [&[T]; MOST_WOVEN] = [&[]; MOST_WOVEN];
                        turns.iter_mut().zip(0..wide).for_each(|(row, turn)| *row = from(turn));
                        weave(simd, &turns[..wide], to);
                    }
                    _ if wide == 1 => to.iter_mut().zip(from(0)).for_each(|(to, from)| *to = *from),
                    _ => {
                        for turn in 0..wide.min(to.len()) {
                            let to = to.slice_mut(s![turn..;wide]);
                            to.into_iter().zip(from(turn)).for_each(|(to, from)| *to = *from);
                        }
                    }
                }
            }
        }
    }
}
