//! The pixels under the taps of a window, from an image of any memory layout.
//!
//! The part of a channel that a region's windows see is copied once, padding included. In it the pixels under one tap are those
//! under another, begun some rows and columns later; so a tap is an offset, and nothing is there twice:
//!
//! ```text
//! tap (0, 0):  rows 0..4, columns 0..8          of 6 rows and 10 columns:
//! tap (1, 2):  rows 1..5, columns 2..10         3 x 3 taps of 4 x 8 pixels
//! ```
//!
//! With a stride, the rows that one row of taps sees are laid out so, for each residue of the rows modulo the stride, and the
//! columns likewise: neighbouring pixels are neighbours in memory. Where taps lie too far apart to share pixels, they do not.

use core::ops::Range;

use ndarray::{ArrayView3, s};

use super::{ImplicitGemm, Window};
use crate::algo::{Extent, Region};
use crate::config::PaddingMode;
use crate::element::Element;
use crate::gemm::blocking::{Lanes, SPARE};
use crate::gemm::{Packed, Runs, Sight, Source};
use crate::kernels::copy::{CopyPlanes, Padded, copy_run, fill_run};
use crate::kernels::tile::{Clip, Tap};
use crate::simd::Simd;

/// The input channels of one group.
struct Image<'a, T> {
    view: ArrayView3<'a, T>,
    /// All of it, where rows, and channels, follow each other without gaps.
    flat: Option<&'a [T]>,
    height: usize,
    width: usize,
}

impl<'a, T: Element> Image<'a, T> {
    fn new(view: ArrayView3<'a, T>) -> Self {
        let (_, height, width) = view.dim();
        Image { flat: view.to_slice(), view, height, width }
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
    size: [usize; 2],
    /// Elements from one row, and one pixel, to the next in what is packed.
    pitch: usize,
    pixel_step: usize,
    /// Whether the image itself is what would be packed.
    direct: bool,
    /// Whether taps of some pixels are left out.
    leaves_out: bool,
}

/// What a strip reads along an axis.
struct Reading {
    /// Input position of its first element.
    first: isize,
    step: usize,
    len: usize,
    /// Its elements that lie inside the image, and the input position of their first.
    inside: Range<usize>,
    from: usize,
}

impl Reading {
    fn padded(&self) -> Padded {
        let Range { start, end } = self.inside;
        Padded { before: start, len: end - start, behind: self.len - end }
    }

    /// Its elements that lie on padding.
    fn outside(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.inside.start).chain(self.inside.end..self.len)
    }
}

/// Elements that packing a block of taps takes at most, for a region of this size or a smaller one.
pub(super) fn packed_len(window: &Window, step: [usize; 2], pixel_step: usize, extent: Extent) -> usize {
    let rows: usize = Strips::new(&window.rows, step[0], extent.rows).map(|strip| strip.len).sum();
    let columns = |size: usize| {
        let strips = column_strips(window, step[1], pixel_step, size);
        let (count, pitch) = strips.fold((0, 0), |(count, pitch), strip| (count + 1, strip.len.max(pitch)));
        count * pitch
    };
    // Smaller regions may need more strips: down to the distances at which taps cease to share them.
    let distances = Strips::new(&window.columns, step[1] / pixel_step, usize::MAX).flat_map(|strip| strip.distances());
    let smaller = distances.map(|distance| distance.div_ceil(pixel_step));
    let smaller = smaller.filter(|&size| size < extent.columns).map(columns).max();
    let columns = columns(extent.columns).max(smaller.unwrap_or(0));
    window.channels_per_block() * (rows * columns + window.len() * SPARE) + SPARE
}

impl<'a, T: Element> WindowSource<'a, T> {
    pub(super) fn new(stage: &ImplicitGemm<'a, T>, image: ArrayView3<'a, T>, region: &Region) -> Self {
        let start = [region.rows.start, region.columns.start];
        let columns = region.columns.len();
        let pixel_step = stage.pixel_step();
        let mut source = WindowSource {
            image: Image::new(image),
            window: stage.window,
            step: stage.step,
            mode: stage.mode,
            origin: [0, 1].map(|axis| (start[axis] * stage.step[axis]) as isize + stage.origin[axis]),
            size: [region.rows.len(), columns],
            pitch: 0,
            pixel_step,
            direct: false,
            leaves_out: false,
        };
        let padding = source.touches_padding();
        source.leaves_out = stage.skip_zeros && padding;
        let readable = match stage.product.lanes {
            Lanes::Channels => pixel_step == stage.step[1],
            // Where memory ends too soon for whole vectors a block is packed after all, as pixels without gaps.
            Lanes::Pixels => stage.window.len() == 1 && stage.step == [1, 1] && columns == source.image.width,
        };
        source.direct = readable && source.image.flat.is_some() && !padding;
        source.pitch = if source.direct {
            stage.step[0] * source.image.width
        } else {
            let strips = column_strips(stage.window, stage.step[1], pixel_step, columns);
            strips.map(|strip| strip.len).max().unwrap_or(columns)
        };
        source
    }

    fn offsets(&self, axis: usize) -> &'a [isize] {
        if axis == 0 { &self.window.rows } else { &self.window.columns }
    }

    /// The taps along an axis, in ascending order, under which a position of the region reads inside the image.
    fn inside(&self, axis: usize, position: usize) -> Range<usize> {
        let first = self.origin[axis] + (position * self.step[axis]) as isize;
        let size = if axis == 0 { self.image.height } else { self.image.width } as isize;
        let below = |limit: isize| self.offsets(axis).iter().take_while(|&offset| first + offset < limit).count();
        below(0)..below(size)
    }

    /// Whether some pixels see padding.
    fn touches_padding(&self) -> bool {
        (0..2).any(|axis| {
            let all = 0..self.offsets(axis).len();
            self.inside(axis, 0) != all || self.inside(axis, self.size[axis] - 1) != all
        })
    }

    /// What a strip along an axis reads.
    fn read(&self, axis: usize, strip: &Strip<'_>) -> Reading {
        let (first, step) = (self.origin[axis] + strip.first, strip.step);
        let size = if axis == 0 { self.image.height } else { self.image.width };
        // The number of positions that lie below input position `limit`.
        let below = |limit: usize| {
            let distance = limit as isize - first;
            if distance <= 0 {
                0
            } else if step == 1 {
                distance.unsigned_abs().min(strip.len)
            } else {
                distance.unsigned_abs().div_ceil(step).min(strip.len)
            }
        };
        let inside = below(0)..below(size);
        let from = (first + (inside.start * step) as isize).unsigned_abs();
        Reading { first, step, len: strip.len, inside, from }
    }

    /// The rows of taps that a range of taps has a part in.
    fn rows_of(&self, taps: &Range<usize>) -> Range<usize> {
        let width = self.window.columns.len();
        taps.start / width..taps.end.div_ceil(width)
    }

    /// The strips that rows of taps see of a channel, those of the columns first, each with where it begins.
    fn strips(&self, rows: Range<usize>) -> impl Iterator<Item = (usize, Strip<'a>, Strip<'a>)> {
        let columns = column_strips(self.window, self.step[1], self.pixel_step, self.size[1]);
        let (step, size, pitch) = (self.step[0], self.size[0], self.pitch);
        let rows = &self.window.rows[rows];
        let pairs =
            columns.flat_map(move |columns| Strips::new(rows, step, size).map(move |strip| (strip, columns.clone())));
        pairs.scan(0, move |end, (rows, columns)| {
            let start = *end;
            *end += strip_len(rows.len, pitch);
            Some((start, rows, columns))
        })
    }

    /// Notes where each of some taps of a channel begins, if the channel's strips begin at `start`.
    fn note_offsets(&self, taps: Range<usize>, start: usize, offsets: &mut [u32]) {
        let width = self.window.columns.len();
        let first = self.rows_of(&taps).start;
        for (at, rows, columns) in self.strips(self.rows_of(&taps)) {
            for (row, shift) in rows.taps() {
                for (column, ahead) in columns.taps() {
                    let tap = (first + row) * width + column;
                    if taps.contains(&tap) {
                        offsets[tap - taps.start] = (start + at + shift * self.pitch + ahead) as u32;
                    }
                }
            }
        }
    }

    /// What all strips of a channel take.
    fn channel_len(&self, rows: Range<usize>) -> usize {
        self.strips(rows).last().map_or(0, |(start, rows, _)| start + strip_len(rows.len, self.pitch))
    }

    /// Packs what some rows of taps see of some channels, each `len` elements behind the one before it.
    #[inline(always)]
    fn pack_channels<S: Simd<T>>(
        &self,
        simd: S,
        channels: Range<usize>,
        rows: Range<usize>,
        data: &mut [T],
        len: usize,
    ) {
        for (start, rows, columns) in self.strips(rows) {
            let (rows, columns) = (self.read(0, &rows), self.read(1, &columns));
            match (self.mode, self.image.flat) {
                (PaddingMode::Zeros, Some(flat)) => {
                    let Image { height, width, .. } = self.image;
                    let seen = !columns.inside.is_empty() && !rows.inside.is_empty();
                    let first = (channels.start * height + rows.from) * width + columns.from;
                    CopyPlanes {
                        planes: channels.len(),
                        rows: if seen { rows.padded() } else { Padded { before: rows.len, len: 0, behind: 0 } },
                        columns: columns.padded(),
                        from: if seen { &flat[first..] } else { &[] },
                        from_pitch: [height * width, rows.step * width, columns.step],
                        to: &mut data[start..],
                        to_pitch: [len, self.pitch],
                    }
                    .run(simd);
                }
                _ => {
                    for (channel, at) in channels.clone().zip((start..).step_by(len)) {
                        self.pack_rows(simd, channel, &rows, &columns, &mut data[at..]);
                    }
                }
            }
        }
    }

    /// A strip of any image, with any padding.
    #[inline(always)]
    fn pack_rows<S: Simd<T>>(&self, simd: S, channel: usize, rows: &Reading, columns: &Reading, data: &mut [T]) {
        for row in 0..rows.len {
            let to = &mut data[row * self.pitch..][..columns.len];
            let y = rows.first + (row * rows.step) as isize;
            let inside = rows.inside.contains(&row);
            let y = if inside { Some(y.unsigned_abs()) } else { self.mode.source(y, self.image.height) };
            let Some(y) = y else {
                fill_run(simd, to, columns.len);
                continue;
            };
            let row = self.image.view.slice(s![channel, y, ..]);
            let inside = columns.inside.clone();
            if !inside.is_empty() {
                let to = &mut to[inside];
                match row.to_slice() {
                    Some(row) if columns.step == 1 => copy_run(simd, &row[columns.from..], to, to.len()),
                    _ => {
                        let from = row.slice(s![columns.from..;columns.step]);
                        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                    }
                }
            }
            for column in columns.outside() {
                let x = columns.first + (column * columns.step) as isize;
                to[column] = self.mode.source(x, self.image.width).map_or(T::ZERO, |x| row[x]);
            }
        }
    }
}

/// The strips that the columns of taps see, for so many pixels; with pixels as far apart as the step of the convolution is one strip for all
/// of its residues.
fn column_strips(window: &Window, step: usize, pixel_step: usize, size: usize) -> Strips<'_> {
    Strips::new(&window.columns, step / pixel_step, (size - 1) * pixel_step + 1)
}

/// Elements that a strip of so many rows takes, and a vector that may be written behind it.
fn strip_len(rows: usize, pitch: usize) -> usize {
    rows * pitch + SPARE
}

impl<T: Element> Source<T> for WindowSource<'_, T> {
    fn runs(&self) -> Runs {
        let [rows, columns] = self.size;
        let step = self.pixel_step;
        if (self.pitch == columns || rows == 1) && step == 1 && !self.leaves_out {
            return Runs { count: 1, len: rows * columns, pitch: rows * columns, step };
        }
        Runs { count: rows, len: columns, pitch: self.pitch, step }
    }

    fn in_place(&self, taps: Range<usize>, offsets: &mut [u32], spare: usize) -> Option<&[T]> {
        if !self.direct {
            return None;
        }
        let [width, len] = [self.window.columns.len(), self.window.len()];
        let plane = self.image.height * self.image.width;
        let channels = taps.start / len..taps.end.div_ceil(len);
        let memory = &self.image.flat?[channels.start * plane..];
        // Where a tap begins in its plane: no tap sees padding.
        let row = |row: usize| (self.origin[0] + self.window.rows[row]).unsigned_abs() * self.image.width;
        let column = |column: usize| (self.origin[1] + self.window.columns[column]).unsigned_abs();
        let last = row(self.window.rows.len() - 1) + column(width - 1);
        let pixels = (self.size[0] - 1) * self.pitch + (self.size[1] - 1) * self.pixel_step + 1;
        if (channels.len() - 1) * plane + last + pixels + spare > memory.len() {
            return None;
        }
        u32::try_from(channels.len() * plane).ok()?;
        if offsets.is_empty() {
            return Some(memory);
        }
        for (n, tap) in (0..offsets.len()).zip(taps) {
            offsets[n] = match n.checked_sub(len) {
                // The same tap of the channel before.
                Some(before) => offsets[before] + plane as u32,
                None => {
                    let within = tap % len;
                    ((tap / len - channels.start) * plane + row(within / width) + column(within % width)) as u32
                }
            };
        }
        Some(memory)
    }

    #[inline(always)]
    fn pack<S: Simd<T>>(&self, simd: S, taps: Range<usize>, packed: Packed<'_, T>) {
        let Packed { data, offsets } = packed;
        let len = self.window.len();
        let whole_len = self.channel_len(0..self.window.rows.len());
        let wanted = !offsets.is_empty();
        let (mut start, mut done) = (0, 0);
        let mut channels = self.window.channels(taps).peekable();
        while let Some((channel, taps)) = channels.next() {
            let whole = taps.len() == len;
            if wanted {
                self.note_offsets(taps.clone(), start, &mut offsets[done..done + taps.len()]);
            }
            done += taps.len();
            let mut end = channel + 1;
            // Further channels with all taps: their offsets differ by a constant.
            while whole && channels.next_if(|(_, taps)| taps.len() == len).is_some() {
                if wanted {
                    let (before, offsets) = offsets[done - len..done + len].split_at_mut(len);
                    offsets.iter_mut().zip(before).for_each(|(to, from)| *to = *from + whole_len as u32);
                }
                done += len;
                end += 1;
            }
            let rows = self.rows_of(&taps);
            let len = if whole { whole_len } else { self.channel_len(rows.clone()) };
            self.pack_channels(simd, channel..end, rows, &mut data[start..], len);
            start += (end - channel) * len;
        }
    }

    fn sight(&self, runs: Range<usize>, pixels: Range<usize>) -> Option<Sight> {
        if !self.leaves_out {
            return None;
        }
        // Taps are in ascending order: the first pixel loses the first ones, the last pixel the last ones.
        let [rows, columns] = [runs, pixels].map(|range| (range.start, range.end - 1));
        Some(Sight {
            rows: self.inside(0, rows.1).start..self.inside(0, rows.0).end,
            columns: self.inside(1, columns.1).start..self.inside(1, columns.0).end,
            whole: self.inside(1, columns.0).start..self.inside(1, columns.1).end,
        })
    }

    fn list(&self, sight: &Sight, taps: Range<usize>, offsets: &[u32], list: &mut Vec<Tap>) {
        let width = self.window.columns.len();
        let Sight { rows, columns, whole } = sight;
        // Columns of taps in three parts, with what each part leaves out.
        let first = columns.start..whole.start.clamp(columns.start, columns.end);
        let last = whole.end.clamp(first.end, columns.end)..columns.end;
        let parts = [(first.clone(), Clip::First), (first.end..last.start, Clip::Nothing), (last, Clip::Last)];
        let (mut start, len) = (0, self.window.len());
        // Where the list of a channel with all taps begins.
        let mut whole: Option<usize> = None;
        for (_, within) in self.window.channels(taps) {
            match whole {
                // Another one: its taps lie a constant further on.
                Some(first) if within.len() == len => {
                    let distance = offsets[start] - offsets[start - len];
                    let end = list.len();
                    list.extend_from_within(first..);
                    list[end..].iter_mut().for_each(|tap| *tap = tap.moved(distance, len as u16));
                    whole = Some(end);
                }
                _ => {
                    whole = (within.len() == len).then_some(list.len());
                    for row in rows.clone() {
                        for (columns, clip) in &parts {
                            let in_block = |column: usize| {
                                start + (row * width + column).clamp(within.start, within.end) - within.start
                            };
                            let taps = in_block(columns.start)..in_block(columns.end);
                            let numbered = offsets[taps.clone()].iter().zip(taps.start as u16..);
                            list.extend(numbered.map(|(&pixels, weight)| Tap { pixels, weight, clip: *clip }));
                        }
                    }
                }
            }
            start += within.len();
        }
    }
}

/// Rows or columns of taps cut into sets that see overlapping pixels of the same residue modulo the step: each set sees a strip.
struct Strips<'a> {
    /// Ascending.
    offsets: &'a [isize],
    step: usize,
    /// Rows or columns that each tap sees.
    size: usize,
    /// The first tap of the residue that is being cut, and the next one to look at.
    leader: usize,
    next: usize,
}

/// What some taps see along an axis: input positions `first`, `first + step` and so on.
#[derive(Clone)]
struct Strip<'a> {
    first: isize,
    len: usize,
    /// Those of all taps.
    offsets: &'a [isize],
    step: usize,
    /// The first of its taps, and the one behind the last.
    range: Range<usize>,
}

impl<'a> Strip<'a> {
    /// How far each tap but the first is behind the one before it, where that differs from the one before.
    fn distances(&self) -> impl Iterator<Item = usize> + use<'a> {
        let mut last = None;
        let mut seen = 0;
        self.clone().taps().filter_map(move |(_, place)| {
            let distance = place - last.replace(place)?;
            (core::mem::replace(&mut seen, distance) != distance).then_some(distance)
        })
    }

    /// Its taps, and where in the strip each begins.
    fn taps(&self) -> impl Iterator<Item = (usize, usize)> + use<'a> {
        let offsets = self.offsets[self.range.clone()].iter().zip(self.range.clone());
        let (first, step) = (self.first, self.step);
        offsets.filter_map(move |(offset, tap)| {
            let distance = (offset - first) as usize;
            if step == 1 {
                return Some((tap, distance));
            }
            distance.is_multiple_of(step).then(|| (tap, distance / step))
        })
    }
}

impl<'a> Strips<'a> {
    fn new(offsets: &'a [isize], step: usize, size: usize) -> Self {
        Strips { offsets, step, size, leader: 0, next: 0 }
    }

    fn same_residue(&self, a: usize, b: usize) -> bool {
        self.step == 1 || (self.offsets[a] - self.offsets[b]) % self.step as isize == 0
    }
}

impl<'a> Iterator for Strips<'a> {
    type Item = Strip<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Strip<'a>> {
        let taps = self.offsets.len();
        while self.next < taps && !self.same_residue(self.next, self.leader) {
            self.next += 1;
        }
        if self.next == taps {
            // The next leader is the next tap whose residue no tap before it has.
            self.leader += 1;
            while self.leader < taps && (0..self.leader).any(|tap| self.same_residue(tap, self.leader)) {
                self.leader += 1;
            }
            self.next = self.leader;
        }
        let start = self.next;
        let first = *self.offsets.get(start)?;
        let (mut end, mut last) = (start + 1, first);
        let mut next = end;
        while next < taps {
            if self.same_residue(next, start) {
                if (self.offsets[next] - last).unsigned_abs() / self.step >= self.size {
                    break;
                }
                (last, end) = (self.offsets[next], next + 1);
            }
            next += 1;
        }
        self.next = next;
        let len = ((last - first).unsigned_abs() / self.step).saturating_add(self.size);
        Some(Strip { first, len, offsets: self.offsets, step: self.step, range: start..end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First position, length, and the taps with their places.
    type Parts = (isize, usize, Vec<(usize, usize)>);

    fn strips(offsets: &[isize], step: usize, size: usize) -> Vec<Parts> {
        Strips::new(offsets, step, size).map(|strip| (strip.first, strip.len, strip.taps().collect())).collect()
    }

    #[test]
    fn taps_share_strips() {
        assert_eq!(strips(&[0, 1, 2], 1, 4), [(0, 6, vec![(0, 0), (1, 1), (2, 2)])]);
        assert_eq!(strips(&[0, 3, 6], 1, 4), [(0, 10, vec![(0, 0), (1, 3), (2, 6)])]);
        assert_eq!(strips(&[0, 9, 18], 1, 4), [(0, 4, vec![(0, 0)]), (9, 4, vec![(1, 0)]), (18, 4, vec![(2, 0)])]);
        assert_eq!(strips(&[0, 1, 2], 2, 4), [(0, 5, vec![(0, 0), (2, 1)]), (1, 4, vec![(1, 0)])]);
        assert_eq!(
            strips(&[-2, -1, 0, 1, 2], 3, 5),
            [(-2, 6, vec![(0, 0), (3, 1)]), (-1, 6, vec![(1, 0), (4, 1)]), (0, 5, vec![(2, 0)])]
        );
        assert_eq!(
            strips(&[0, 1, 2, 3], 2, 1),
            [(0, 1, vec![(0, 0)]), (2, 1, vec![(2, 0)]), (1, 1, vec![(1, 0)]), (3, 1, vec![(3, 0)])]
        );
        assert_eq!(strips(&[], 1, 4), []);
    }
}
