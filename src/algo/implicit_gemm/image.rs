//! The matrix of pixels under taps, packed from an image of any memory layout.
//!
//! A panel's pixels are a few runs along output rows, the same for every tap. A tap's row of the panel is
//! then a few pieces of input rows, each copied whole where it lies inside the image; only the ends of
//! rows that lie on padding take the slow way.

use core::ops::Range;

use ndarray::{ArrayView1, ArrayView3, s};

use super::{ImplicitGemm, Window};
use crate::algo::Region;
use crate::config::PaddingMode;
use crate::element::Element;
use crate::gemm::Panels;
use crate::kernels::copy::{copy_run, fill_run};
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
        let view = self.view.clone().slice_move(s![channel, row, ..]);
        match view.to_slice() {
            Some(slice) => Row::Slice(slice),
            None => Row::Strided(view),
        }
    }
}

/// [`Panels`] of an image: the pixels of one region under the taps of a window.
pub(crate) struct WindowPanels<'a, T> {
    image: Image<'a, T>,
    window: &'a Window,
    step: [usize; 2],
    mode: PaddingMode,
    /// Input position under offset 0 for the region's first pixel.
    origin: [isize; 2],
    /// Output columns of the region.
    columns: usize,
}

impl<'a, T: Element> WindowPanels<'a, T> {
    pub(super) fn new(stage: &ImplicitGemm<'a, T>, image: ArrayView3<'a, T>, region: &Region) -> Self {
        let start = [region.rows.start, region.columns.start];
        WindowPanels {
            image: Image::new(image),
            window: stage.window,
            step: stage.step,
            mode: stage.mode,
            origin: [0, 1].map(|axis| (start[axis] * stage.step[axis]) as isize + stage.origin[axis]),
            columns: region.columns.len(),
        }
    }

    /// One run of pixels under one tap.
    #[inline(always)]
    fn copy<S: Simd<T>>(&self, simd: S, run: &Run, (channel, [dy, dx]): (usize, [isize; 2]), to: &mut [T]) {
        let (y, x) = (run.y + dy, run.x + dx);
        let row = match usize::try_from(y) {
            Ok(row) if row < self.image.height => row,
            _ => match self.mode.source(y, self.image.height) {
                Some(row) => row,
                None => return fill_run(simd, T::ZERO, to, run.len),
            },
        };
        let row = self.image.row(channel, row);
        if let (Row::Slice(row), 1, Ok(first)) = (&row, self.step[1], usize::try_from(x))
            && first + run.len <= self.image.width
        {
            return copy_run(simd, &row[first..], to, run.len);
        }
        self.copy_edge(simd, row, x, run.len, to);
    }

    /// A run of pixels that is strided or reaches beyond the image.
    #[inline(always)]
    fn copy_edge<S: Simd<T>>(&self, simd: S, row: Row<'_, T>, x: isize, len: usize, to: &mut [T]) {
        let (step, width) = (self.step[1], self.image.width);
        // Pixel i reads column x + i * step: inside the image for i in start..end.
        let start = if x < 0 { x.unsigned_abs().div_ceil(step).min(len) } else { 0 };
        let beyond = width as isize - x;
        let end = if beyond > 0 { beyond.unsigned_abs().div_ceil(step).min(len) } else { 0 }.max(start);
        let first = (x + (start * step) as isize).max(0).unsigned_abs();
        if start > 0 {
            fill_run(simd, T::ZERO, to, start);
        }
        if end > start {
            let (to, count) = (&mut to[start..], end - start);
            match &row {
                Row::Slice(row) if step == 1 => copy_run(simd, &row[first..], to, count),
                Row::Slice(row) => {
                    let from = row[first..first + (count - 1) * step + 1].iter().step_by(step);
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
                Row::Strided(row) => {
                    let from = row.slice(s![first..; step]);
                    to[..count].iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
            }
        }
        if end < len {
            fill_run(simd, T::ZERO, &mut to[end..], len - end);
        }
        if self.mode != PaddingMode::Zeros {
            for pixel in (0..start).chain(end..len) {
                if let Some(column) = self.mode.source(x + (pixel * step) as isize, width) {
                    to[pixel] = match &row {
                        Row::Slice(row) => row[column],
                        Row::Strided(row) => row[column],
                    };
                }
            }
        }
    }
}

/// Pixels of a panel that are neighbours in one output row.
#[derive(Clone, Copy, Default)]
struct Run {
    /// Input position under offset 0 for the first of them.
    y: isize,
    x: isize,
    /// Where in the panel they are.
    at: usize,
    len: usize,
}

/// Most pixels of a panel, of any instruction set.
const MAX_WIDTH: usize = 32;

/// The runs that make up a range of a region's pixels.
struct Runs {
    runs: [Run; MAX_WIDTH],
    count: usize,
}

impl Runs {
    #[inline(always)]
    fn new<T: Element>(panels: &WindowPanels<'_, T>, pixels: Range<usize>) -> Self {
        let mut runs = Runs { runs: [Run::default(); MAX_WIDTH], count: 0 };
        let (mut row, mut column) = (pixels.start / panels.columns, pixels.start % panels.columns);
        let mut at = 0;
        while at < pixels.len() {
            let len = (panels.columns - column).min(pixels.len() - at);
            let position = [row, column];
            let [y, x] = [0, 1].map(|axis| panels.origin[axis] + (position[axis] * panels.step[axis]) as isize);
            runs.runs[runs.count] = Run { y, x, at, len };
            runs.count += 1;
            (row, column, at) = (row + 1, 0, at + len);
        }
        runs
    }
}

impl<T: Element> Panels<T> for WindowPanels<'_, T> {
    #[inline(always)]
    fn pack<S: Simd<T>>(&self, simd: S, taps: Range<usize>, pixels: Range<usize>, width: usize, panel: &mut [T]) {
        let runs = Runs::new(self, pixels);
        let mut start = 0;
        for tap in self.window.iter(taps) {
            for run in &runs.runs[..runs.count] {
                self.copy(simd, run, tap, &mut panel[start + run.at..]);
            }
            start += width;
        }
    }
}
