//! The matrix of pixels under taps, packed from an image of any memory layout.
//!
//! Take one column of taps in one channel. Lay the input's rows, shifted by that column and cut to the width of the
//! output, one behind the other without gaps. Then the pixels under the tap in the next row of the kernel are
//! the same run of memory, begun one row later:
//!
//! ```text
//! tap (0, j):  row 0 | row 1 | row 2
//! tap (1, j):          row 1 | row 2 | row 3
//! ```
//!
//! and no pixel at the end of a row needs care. So each input row is copied once for each column of taps, not
//! once for each tap. With a row stride, the rows that one row of taps sees are laid out so, for each residue
//! of the rows modulo the stride; where rows of taps lie too far apart to share, they do not.

use core::ops::Range;

use ndarray::{ArrayView1, ArrayView3, s};

use super::{ImplicitGemm, Window};
use crate::algo::Region;
use crate::config::PaddingMode;
use crate::element::Element;
use crate::gemm::blocking::SPARE;
use crate::gemm::{Packed, Source};
use crate::kernels::copy::{copy_even_run, copy_run};
use crate::simd::Simd;

/// The input channels of one group.
struct Image<'a, T> {
    view: ArrayView3<'a, T>,
    /// All of it, where rows, and channels, follow each other without gaps.
    flat: Option<&'a [T]>,
    height: usize,
    width: usize,
}

/// One input row.
enum Row<'a, T> {
    /// Its elements, and maybe those of the rows behind it.
    Slice(&'a [T]),
    Strided(ArrayView1<'a, T>),
}

impl<'a, T: Element> Image<'a, T> {
    fn new(view: ArrayView3<'a, T>) -> Self {
        let (_, height, width) = view.dim();
        Image { flat: view.to_slice(), view, height, width }
    }

    #[inline(always)]
    fn row(&self, channel: usize, row: usize) -> Row<'a, T> {
        if let Some(flat) = self.flat {
            return Row::Slice(&flat[(channel * self.height + row) * self.width..]);
        }
        let view = self.view.slice_move(s![channel, row, ..]);
        match view.to_slice() {
            Some(slice) => Row::Slice(slice),
            None => Row::Strided(view),
        }
    }
}

/// The [`Source`] that an image is: the pixels of one region under the taps of a window.
pub(crate) struct WindowSource<'a, T> {
    image: Image<'a, T>,
    window: &'a Window,
    step: [usize; 2],
    mode: PaddingMode,
    /// Input position under offset 0 for the region's first pixel.
    origin: [isize; 2],
    /// Rows and columns of the region.
    rows: usize,
    columns: usize,
}

/// Where one column of taps reads along rows.
struct Span {
    /// Input column for the region's first output column.
    first: isize,
    /// The region's output columns for which it reads inside the image.
    inside: Range<usize>,
}

impl<'a, T: Element> WindowSource<'a, T> {
    pub(super) fn new(stage: &ImplicitGemm<'a, T>, image: ArrayView3<'a, T>, region: &Region) -> Self {
        let start = [region.rows.start, region.columns.start];
        WindowSource {
            image: Image::new(image),
            window: stage.window,
            step: stage.step,
            mode: stage.mode,
            origin: [0, 1].map(|axis| (start[axis] * stage.step[axis]) as isize + stage.origin[axis]),
            rows: region.rows.len(),
            columns: region.columns.len(),
        }
    }

    fn span(&self, dx: isize) -> Span {
        let (step, first) = (self.step[1], self.origin[1] + dx);
        // The number of output columns that read below input column `limit`.
        let below = |limit: usize| {
            let distance = limit as isize - first;
            if distance > 0 { distance.unsigned_abs().div_ceil(step).min(self.columns) } else { 0 }
        };
        Span { first, inside: below(0)..below(self.image.width) }
    }

    #[inline(always)]
    fn input_row(&self, channel: usize, row: isize) -> Option<Row<'a, T>> {
        let inside = row.unsigned_abs();
        let row =
            if row >= 0 && inside < self.image.height { inside } else { self.mode.source(row, self.image.height)? };
        Some(self.image.row(channel, row))
    }

    /// Writes the pixels of one output row under one column of taps. May write a vector behind them.
    #[inline(always)]
    fn copy_row<S: Simd<T>>(&self, simd: S, row: Option<Row<'_, T>>, span: &Span, to: &mut [T]) {
        let Some(row) = row else { return to[..self.columns].fill(T::ZERO) };
        let Range { start, end } = span.inside.clone();
        if start < end {
            let first = (span.first + (start * self.step[1]) as isize).unsigned_abs();
            let (to, count) = (&mut to[start..], end - start);
            match (&row, self.step[1]) {
                (Row::Slice(row), 1) => copy_run(simd, &row[first..], to, count),
                (Row::Slice(row), 2) => copy_even_run(simd, &row[first..], to, count),
                (Row::Slice(row), step) => {
                    to[..count].iter_mut().zip(row[first..].iter().step_by(step)).for_each(|(to, from)| *to = *from);
                }
                (Row::Strided(row), step) => {
                    let from = row.slice(s![first..; step]);
                    to[..count].iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
            }
        }
        if end - start < self.columns {
            match self.mode {
                PaddingMode::Zeros => {
                    to[..start].iter_mut().for_each(|to| *to = T::ZERO);
                    to[end..self.columns].iter_mut().for_each(|to| *to = T::ZERO);
                }
                _ => self.pad(&row, span, to),
            }
        }
    }

    /// The pixels of a row that lie on padding which is not zero.
    fn pad(&self, row: &Row<'_, T>, span: &Span, to: &mut [T]) {
        for column in (0..span.inside.start).chain(span.inside.end..self.columns) {
            let from = span.first + (column * self.step[1]) as isize;
            to[column] = match (self.mode.source(from, self.image.width), row) {
                (None, _) => T::ZERO,
                (Some(from), Row::Slice(row)) => row[from],
                (Some(from), Row::Strided(row)) => row[from],
            };
        }
    }
}

impl<T: Element> Source<T> for WindowSource<'_, T> {
    /// A 1x1 kernel with stride 1 sees whole planes where they lie. Parts of planes are better packed: read in place, every tap
    /// would be on another page.
    fn in_place(&self, taps: Range<usize>, offsets: &mut [u32]) -> Option<&[T]> {
        let origin = [self.origin[0] + self.window.rows[0], self.origin[1] + self.window.columns[0]];
        let whole = origin == [0, 0] && [self.rows, self.columns] == [self.image.height, self.image.width];
        if self.window.len() != 1 || self.step != [1, 1] || !whole {
            return None;
        }
        let plane = self.rows * self.columns;
        let memory = self.image.flat?.get(taps.start * plane..)?;
        if taps.len() * plane + SPARE > memory.len() {
            return None;
        }
        for (tap, offset) in offsets.iter_mut().enumerate() {
            *offset = (tap * plane) as u32;
        }
        Some(memory)
    }

    #[inline(always)]
    fn pack<S: Simd<T>>(&self, simd: S, taps: Range<usize>, packed: Packed<'_, T>) {
        let Packed { data, offsets } = packed;
        let width = self.window.columns.len();
        let (mut end, mut done) = (0usize, 0);
        for (channel, taps) in self.window.channels(taps) {
            for (column, &dx) in self.window.columns.iter().enumerate() {
                let span = self.span(dx);
                // The rows of taps whose tap in this column is in the block.
                let first = taps.start.saturating_sub(column).div_ceil(width);
                let last = taps.end.saturating_sub(column).div_ceil(width);
                for chain in Chains::new(&self.window.rows[first..last], self.step[0], self.rows) {
                    if chain.shared == 0 {
                        end = end.next_multiple_of(S::LANES);
                    }
                    let start = end - chain.shared * self.columns;
                    offsets[done + (first + chain.tap) * width + column - taps.start] = start as u32;
                    for row in chain.shared..self.rows {
                        let y = self.origin[0] + chain.offset + (row * self.step[0]) as isize;
                        self.copy_row(simd, self.input_row(channel, y), &span, &mut data[end..]);
                        end += self.columns;
                    }
                }
            }
            done += taps.len();
        }
    }
}

/// Rows of taps in an order in which each may share rows of pixels with the one before it.
struct Chains<'a> {
    offsets: &'a [isize],
    step: usize,
    rows: usize,
    /// The first tap of the chain, and the next one to look at.
    leader: usize,
    next: usize,
    /// The offset of the last tap of the chain, if any.
    last: Option<isize>,
}

/// A row of taps in a chain.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    tap: usize,
    offset: isize,
    /// Rows of pixels that it shares with the one before it: its first ones are the other's last ones.
    shared: usize,
}

impl<'a> Chains<'a> {
    fn new(offsets: &'a [isize], step: usize, rows: usize) -> Self {
        Chains { offsets, step, rows, leader: 0, next: 0, last: None }
    }

    fn residue(&self, tap: usize) -> isize {
        self.offsets[tap].rem_euclid(self.step as isize)
    }
}

impl Iterator for Chains<'_> {
    type Item = Link;

    #[inline(always)]
    fn next(&mut self) -> Option<Link> {
        while self.leader < self.offsets.len() {
            while self.next < self.offsets.len() {
                let tap = self.next;
                self.next += 1;
                if self.step > 1 && self.residue(tap) != self.residue(self.leader) {
                    continue;
                }
                let offset = self.offsets[tap];
                let ahead = self.last.map_or(self.rows, |last| (offset - last).unsigned_abs() / self.step);
                self.last = Some(offset);
                return Some(Link { tap, offset, shared: self.rows.saturating_sub(ahead) });
            }
            // The next leader is the next tap whose residue no tap before it has.
            self.leader += 1;
            while self.leader < self.offsets.len()
                && (0..self.leader).any(|tap| self.step == 1 || self.residue(tap) == self.residue(self.leader))
            {
                self.leader += 1;
            }
            (self.next, self.last) = (self.leader, None);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(offsets: &[isize], step: usize, rows: usize) -> Vec<(usize, usize)> {
        Chains::new(offsets, step, rows).map(|link| (link.tap, link.shared)).collect()
    }

    #[test]
    fn rows_of_taps_share_rows_of_pixels() {
        assert_eq!(links(&[0, 1, 2], 1, 4), [(0, 0), (1, 3), (2, 3)]);
        assert_eq!(links(&[0, 3, 6], 1, 4), [(0, 0), (1, 1), (2, 1)]);
        assert_eq!(links(&[0, 9, 18], 1, 4), [(0, 0), (1, 0), (2, 0)]);
        assert_eq!(links(&[0, 1, 2], 2, 4), [(0, 0), (2, 3), (1, 0)]);
        assert_eq!(links(&[-2, -1, 0, 1, 2], 3, 5), [(0, 0), (3, 4), (1, 0), (4, 4), (2, 0)]);
        assert_eq!(links(&[], 1, 4), []);
    }
}
