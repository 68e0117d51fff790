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

use super::strips::{Strip, Strips};
use super::window::Window;
use super::{Extent, Region};
use crate::config::PaddingMode;
use crate::element::Element;
use crate::gemm::blocking::SPARE;
use crate::gemm::{Runs, Sight, Source};
use crate::kernels::copy::{CopyPlanes, Padded, copy_run, copy_there, fill_run};
use crate::simd::Simd;
use crate::simd::taps::Clip;

/// Bytes of the channels that a block of taps has of an image which is read in place although some see padding: a part of the second-level cache, since
/// their rows lie as far apart as those of the image.
const IN_PLACE: usize = 512 << 10;

/// Bytes of the channels of a group from which on what is packed next is asked for meanwhile. Measured with `cargo bench --bench layers` on Emerald Rapids: 3x3 with 6 to
/// 17 MB of input is 1.01 to 1.05 times as fast, with 2 to 3 MB 0.98 to 1.0.
const FAR: usize = 6 << 20;

/// The input channels of one group.
#[derive(Clone, Copy)]
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

/// How the pixels of an output see an input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling<'a> {
    pub(crate) window: &'a Window,
    /// Output pixel `(y, x)` has its window at `(y, x) * step + origin`.
    pub(crate) step: [usize; 2],
    pub(crate) origin: [isize; 2],
    pub(crate) mode: PaddingMode,
}

/// What a kernel asks of the pixels that it reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Elements between neighbouring pixels of an output row.
    pub(crate) pixel_step: usize,
    /// Pixels of a run are read in whole vectors of so many elements, or, the last ones of all, in a part of one.
    pub(crate) vector: usize,
    pub(crate) reads_partly: bool,
    /// Whether taps on zero padding are left out.
    pub(crate) skip_zeros: bool,
    /// From how many pixels on a run has tiles that leave out all that they see on padding, if any do, so that no zero is read if only the first and the
    /// last pixel of a row see padding beside it.
    pub(crate) clipped_run: Option<usize>,
    /// From how many pixels on a part of a run whose pixels see the same columns of taps has tiles of its own, if any does.
    pub(crate) least_alike: Option<usize>,
    /// Channels that are read. The image may have more.
    pub(crate) channels: usize,
}

/// The [`Source`] that an image is: the pixels of one region under the taps of a window.
#[derive(Clone, Copy)]
pub(crate) struct WindowSource<'a, T> {
    image: Image<'a, T>,
    sampling: Sampling<'a>,
    /// Input position under offset 0 for the region's first pixel.
    origin: [isize; 2],
    /// Rows and columns of the region.
    size: [usize; 2],
    /// Elements from one row, and one pixel, to the next in what is read.
    pitch: usize,
    pixel_step: usize,
    /// From one channel to the next.
    distance: usize,
    /// Where the image itself is what is read: the place of the first pixel under the first tap. It is before the image if that is on padding, and left out.
    direct: Option<isize>,
    /// Whether a whole vector may be read wherever a pixel is.
    whole_vectors: bool,
    /// Along rows and columns: whether taps of some pixels are left out.
    leaves_out: [bool; 2],
}

/// An image in memory without gaps.
#[derive(Clone, Copy)]
pub(crate) struct BareImage<'a, T> {
    /// Of all channels.
    pub(crate) memory: &'a [T],
    /// Rows and columns.
    pub(crate) size: [usize; 2],
    /// Input position under the first tap for the region's first pixel.
    pub(crate) origin: [isize; 2],
}

impl<T: Element> BareImage<'_, T> {
    /// Copies what is seen of a channel, so many rows and columns from its origin on, with zeros for padding.
    pub(crate) fn copy_channel(&self, channel: usize, [rows, columns]: [usize; 2], to: &mut [T]) {
        let [height, width] = self.size;
        for (y, to) in (self.origin[0]..).zip(to.chunks_exact_mut(columns).take(rows)) {
            to.fill(T::ZERO);
            if let Some(y) = usize::try_from(y).ok().filter(|&y| y < height) {
                copy_there(&self.memory[(channel * height + y) * width..][..width], self.origin[1], to);
            }
        }
    }
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

impl Sampling<'_> {
    /// Elements that packing some channels takes at most, for a region of this size or a smaller one.
    pub(crate) fn packed_len(&self, channels: usize, pixel_step: usize, extent: Extent) -> usize {
        let Sampling { window, step, .. } = self;
        let rows: usize = Strips::new(&window.rows, step[0], extent.rows).map(|strip| strip.len).sum();
        let columns = |size: usize| {
            let strips = column_strips(window, step[1], pixel_step, size);
            let (count, pitch) = strips.fold((0, 0), |(count, pitch), strip| (count + 1, strip.len.max(pitch)));
            count * pitch
        };
        // Smaller regions may need more strips: down to the distances at which taps cease to share them.
        let strips = Strips::new(&window.columns, step[1] / pixel_step, usize::MAX);
        let smaller = strips.flat_map(|strip| strip.distances()).map(|distance| distance.div_ceil(pixel_step));
        let smaller = smaller.filter(|&size| size < extent.columns).map(columns).max();
        let columns = columns(extent.columns).max(smaller.unwrap_or(0));
        channels * (rows * columns + window.len() * SPARE) + SPARE
    }
}

impl<'a, T: Element> WindowSource<'a, T> {
    /// Of an image of the channels that are summed over, or of any others that are seen alike.
    pub(crate) fn new(sampling: Sampling<'a>, image: ArrayView3<'a, T>, region: &Region, wanted: Wanted) -> Self {
        let (start, size) = ([region.rows.start, region.columns.start], [region.rows.len(), region.columns.len()]);
        let Sampling { window, step, origin, .. } = sampling;
        let mut source = WindowSource {
            image: Image::new(image),
            sampling,
            origin: [0, 1].map(|axis| (start[axis] * step[axis]) as isize + origin[axis]),
            size,
            pitch: 0,
            pixel_step: wanted.pixel_step,
            distance: 0,
            direct: None,
            whole_vectors: true,
            leaves_out: [false; 2],
        };
        let padding = [0, 1].map(|axis| source.touches_padding(axis));
        source.leaves_out = padding.map(|padding| padding && wanted.skip_zeros);
        let readable = padding == [false; 2] || source.reads_no_padding(wanted);
        if let Some((place, whole_vectors)) = readable.then(|| source.place_in_image(wanted)).flatten() {
            (source.direct, source.whole_vectors) = (Some(place), whole_vectors);
        }
        if source.direct.is_some() {
            (source.pitch, source.distance) = (step[0] * source.image.width, source.plane());
        } else {
            let strips = column_strips(window, step[1], wanted.pixel_step, size[1]);
            source.pitch = strips.map(|strip| strip.len).max().unwrap_or(size[1]);
            source.distance =
                source.strips().last().map_or(0, |(start, rows, _)| start + strip_len(rows.len, source.pitch));
        }
        source
    }

    /// Whether taps of some pixels are left out.
    fn leaves_out(&self) -> bool {
        self.leaves_out != [false; 2]
    }

    /// Whether all zeros are left out by tiles of pixels that see the same taps, or by those that leave out the first ones or the last ones of a row.
    fn reads_no_padding(&self, Wanted { clipped_run, least_alike, .. }: Wanted) -> bool {
        let all = 0..self.offsets(1).len();
        let [_, columns] = self.size;
        let block = self.sampling.window.channels_per_block().saturating_mul(self.plane());
        if !self.leaves_out() || block.saturating_mul(size_of::<T>()) > IN_PLACE {
            return false;
        }
        let clipped = clipped_run.is_some_and(|least| columns >= least.max(Clip::MOST + 1))
            && self.inside(1, Clip::MOST).start == all.start
            && self.inside(1, columns - 1 - Clip::MOST).end == all.end;
        clipped || least_alike.is_some_and(|least| self.parts().all(|part| part >= least))
    }

    /// How many neighbours of a row see the same columns of taps, from left to right.
    fn parts(&self) -> impl Iterator<Item = usize> {
        let mut start = Some(0);
        core::iter::from_fn(move || {
            let from = start?;
            start = self.edge_behind(from);
            Some(start.unwrap_or(self.size[1]) - from)
        })
    }

    /// Where in the image the first pixel under the first tap lies, if the image can be read as it is, and whether in whole vectors. No tap that is not
    /// left out sees padding.
    fn place_in_image(&self, Wanted { vector, reads_partly, channels, .. }: Wanted) -> Option<(isize, bool)> {
        let Sampling { window, step, .. } = self.sampling;
        let (flat, width) = (self.image.flat?, self.image.width as isize);
        let place = |pixel: [usize; 2], tap: [isize; 2]| {
            let [y, x] = [0, 1].map(|axis| self.origin[axis] + tap[axis] + ((pixel[axis] - 1) * step[axis]) as isize);
            y * width + x
        };
        let first = place([1, 1], [*window.rows.first()?, *window.columns.first()?]);
        let last = place(self.size, [*window.rows.last()?, *window.columns.last()?]);
        let run = self.run(step[0] * self.image.width);
        // Vectors may begin anywhere where the last one can be read in a part.
        let spare = if reads_partly { vector - 1 } else { run.next_multiple_of(vector) - run } as isize;
        let behind = last + (channels.checked_sub(1)? * self.plane()) as isize + 1;
        // Taps are told where their pixels lie in 32 bits.
        let near = u32::try_from(window.channels_per_block().saturating_add(1).saturating_mul(self.plane())).is_ok();
        let whole_vectors = self.leaves_out() || behind + spare <= flat.len() as isize;
        let there = whole_vectors || (reads_partly && behind <= flat.len() as isize);
        (self.pixel_step == step[1] && near && there).then_some((first, whole_vectors))
    }

    /// Pixels of a run, where rows are so far apart: a row, or all rows if they follow each other.
    fn run(&self, pitch: usize) -> usize {
        let [rows, columns] = self.size;
        let one = (pitch == columns || rows == 1) && self.pixel_step == 1 && !self.leaves_out();
        if one { rows * columns } else { columns }
    }

    /// The image, if it can be read as it is: without padding, or but for padding of zeros whose taps may be left out.
    pub(crate) fn bare(&self, skip_zeros: bool) -> Option<BareImage<'a, T>> {
        let Window { rows, columns, .. } = self.sampling.window;
        let first = [*rows.first()?, *columns.first()?];
        let zeros = (self.sampling.mode == PaddingMode::Zeros && skip_zeros) || self.direct.is_some();
        let Image { flat, height, width, .. } = self.image;
        let origin = [0, 1].map(|axis| self.origin[axis] + first[axis]);
        Some(BareImage { memory: flat.filter(|_| zeros)?, size: [height, width], origin })
    }

    /// Adds what is read of the image for the given taps, of these pixels or of those below.
    fn list_spans(&self, taps: Range<usize>, below: bool, spans: &mut Vec<Range<usize>>) {
        let (Sampling { window, step, .. }, width) = (self.sampling, self.image.width);
        let down = if below { (self.size[0] * step[0]) as isize } else { 0 };
        let source = WindowSource { origin: [self.origin[0] + down, self.origin[1]], ..*self };
        for columns in source.covered(1, column_strips(window, step[1], self.pixel_step, self.size[1])) {
            for channel in taps.start / window.len()..taps.end.div_ceil(window.len()) {
                for row in source.covered(0, Strips::new(&window.rows, step[0], self.size[0])).flatten() {
                    let first = channel * self.plane() + row * width;
                    let [start, end] = [first + columns.start, first + columns.end];
                    match spans.last_mut() {
                        // What is between two rows is in a line of one of them.
                        Some(span) if (span.end..span.end + SPARE).contains(&start) => span.end = end,
                        _ => spans.push(start..end),
                    }
                }
            }
        }
    }

    /// Elements from the pixels of one row to those of the next.
    pub(crate) fn pitch(&self) -> usize {
        self.pitch
    }

    /// Elements of a channel of the image.
    fn plane(&self) -> usize {
        self.image.height * self.image.width
    }

    fn offsets(&self, axis: usize) -> &'a [isize] {
        if axis == 0 { &self.sampling.window.rows } else { &self.sampling.window.columns }
    }

    /// The taps along an axis, in ascending order, under which a position of the region reads inside the image.
    fn inside(&self, axis: usize, position: usize) -> Range<usize> {
        let first = self.origin[axis] + (position * self.sampling.step[axis]) as isize;
        let size = if axis == 0 { self.image.height } else { self.image.width } as isize;
        let below = |limit: isize| self.offsets(axis).iter().take_while(|&offset| first + offset < limit).count();
        below(0)..below(size)
    }

    /// Whether some pixels see padding along an axis.
    fn touches_padding(&self, axis: usize) -> bool {
        self.unpadded(axis) != (0..self.size[axis])
    }

    /// The positions of the region, along an axis, that see no padding: they follow each other.
    pub(crate) fn unpadded(&self, axis: usize) -> Range<usize> {
        let size = if axis == 0 { self.image.height } else { self.image.width } as isize;
        let (first, step, count) = (self.origin[axis], self.sampling.step[axis], self.size[axis]);
        let [Some(first_tap), Some(last_tap)] = [self.offsets(axis).first(), self.offsets(axis).last()] else {
            return 0..count;
        };
        // How many positions have a tap before input position `limit`.
        let before = |tap: isize, limit: isize| (limit - first - tap).max(0).unsigned_abs().div_ceil(step).min(count);
        let start = before(*first_tap, 0);
        start..before(*last_tap, size).max(start)
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

    /// The input positions inside the image from the first to the last one of each strip along an axis, if there are any. Of strips a step apart it is those of one: the
    /// others lie between, or next to them.
    fn covered<'s>(&self, axis: usize, strips: Strips<'s>) -> impl Iterator<Item = Range<usize>> {
        let one = |&(number, ref strip): &(usize, Strip<'_>)| number == 0 || strip.step == 1;
        strips.enumerate().filter(one).filter_map(move |(_, strip)| {
            let Reading { inside, from, step, .. } = self.read(axis, &strip);
            let last = inside.len().checked_sub(1)?;
            Some(from..from + last * step + 1)
        })
    }

    /// The strips that the taps see of a channel, those of the columns first, each with where it begins.
    fn strips(&self) -> impl Iterator<Item = (usize, Strip<'a>, Strip<'a>)> + use<'a, T> {
        let Sampling { window, step, .. } = self.sampling;
        let columns = column_strips(window, step[1], self.pixel_step, self.size[1]);
        let (rows, step, size, pitch) = (&window.rows, step[0], self.size[0], self.pitch);
        let pairs =
            columns.flat_map(move |columns| Strips::new(rows, step, size).map(move |strip| (strip, columns.clone())));
        pairs.scan(0, move |end, (rows, columns)| {
            let start = *end;
            *end += strip_len(rows.len, pitch);
            Some((start, rows, columns))
        })
    }

    /// Packs a strip of some channels.
    #[inline(always)]
    fn pack_channels<S: Simd<T>>(
        &self,
        simd: S,
        channels: Range<usize>,
        rows: &Reading,
        columns: &Reading,
        data: &mut [T],
    ) {
        match (self.sampling.mode, self.image.flat) {
            (PaddingMode::Zeros, Some(flat)) => {
                let width = self.image.width;
                let seen = !columns.inside.is_empty() && !rows.inside.is_empty();
                let first = channels.start * self.plane() + rows.from * width + columns.from;
                CopyPlanes {
                    planes: channels.len(),
                    rows: if seen { rows.padded() } else { Padded { before: rows.len, len: 0, behind: 0 } },
                    columns: columns.padded(),
                    from: if seen { &flat[first..] } else { &[] },
                    from_pitch: [self.plane(), rows.step * width, columns.step],
                    to: data,
                    to_pitch: [self.distance, self.pitch],
                }
                .run(simd);
            }
            _ => {
                for (channel, at) in channels.zip((0..).step_by(self.distance)) {
                    self.pack_rows(simd, channel, rows, columns, &mut data[at..]);
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
            let y = if inside { Some(y.unsigned_abs()) } else { self.sampling.mode.source(y, self.image.height) };
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
                to[column] = self.sampling.mode.source(x, self.image.width).map_or(T::ZERO, |x| row[x]);
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
        let (len, step) = (self.run(self.pitch), self.pixel_step);
        if len == columns {
            Runs { count: rows, len, pitch: self.pitch, step }
        } else {
            Runs { count: 1, len, pitch: len, step }
        }
    }

    fn channel_taps(&self) -> usize {
        self.sampling.window.len()
    }

    fn offsets(&self, offsets: &mut [u32]) {
        let Window { rows, columns, .. } = self.sampling.window;
        if self.direct.is_some() {
            let places = rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
            for (offset, (row, column)) in offsets.iter_mut().zip(places) {
                *offset = ((row - rows[0]) * self.image.width as isize + column - columns[0]) as u32;
            }
            return;
        }
        for (start, rows, columns) in self.strips() {
            for (row, shift) in rows.taps() {
                let (first, start) = (row * self.sampling.window.columns.len(), start + shift * self.pitch);
                for (column, ahead) in columns.taps() {
                    offsets[first + column] = (start + ahead) as u32;
                }
            }
        }
    }

    fn distance(&self) -> usize {
        self.distance
    }

    fn in_place(&self, first_channel: usize) -> Option<&[T]> {
        let (flat, direct) = self.image.flat.zip(self.direct)?;
        let place = if self.leaves_out() { 0 } else { direct.unsigned_abs() };
        Some(&flat[first_channel * self.plane() + place..])
    }

    fn describe(&self, words: &mut Vec<isize>) {
        let Sampling { window: Window { rows, columns, .. }, step, .. } = self.sampling;
        let Image { height, width, .. } = self.image;
        let [size, step] = [self.size, step].map(|pair| pair.map(|number| number as isize));
        let counts =
            [rows.len(), columns.len(), self.pixel_step, self.pitch, self.distance, self.direct.map_or(0, |_| width)];
        words.extend(counts.map(|number| number as isize).into_iter().chain([isize::from(self.whole_vectors)]));
        words.extend(size.into_iter().chain(step));
        words.extend(rows.iter().chain(columns));
        // Where in the image it is matters only where some pixels see what others do not.
        if self.leaves_out() {
            let limits = [height, width].map(|limit| limit as isize);
            let place = |axis: usize| if self.leaves_out[axis] { [self.origin[axis], limits[axis]] } else { [0, 0] };
            words.extend([0, 1].into_iter().flat_map(place).chain([self.direct.unwrap_or(isize::MAX)]));
        }
    }

    fn whole_vectors(&self) -> bool {
        self.whole_vectors
    }

    fn image_place(&self) -> Option<isize> {
        self.direct.filter(|_| self.leaves_out())
    }

    #[inline(always)]
    fn pack<S: Simd<T>>(&self, simd: S, taps: Range<usize>, data: &mut [T]) {
        let first = taps.start / self.sampling.window.len();
        // Channels with the same rows of taps: at most a part of one, whole ones, and a part of one.
        let mut spans = [const { (0..0, 0..0) }; 3];
        let (mut count, width) = (0, self.sampling.window.columns.len());
        for (channel, taps) in self.sampling.window.channels(taps) {
            let rows = taps.start / width..taps.end.div_ceil(width);
            match spans[..count].last_mut() {
                Some((channels, same)) if *same == rows => channels.end = channel + 1,
                _ => {
                    spans[count] = (channel..channel + 1, rows);
                    count += 1;
                }
            }
        }
        for (start, rows, columns) in self.strips() {
            let columns = self.read(1, &columns);
            for (channels, seen) in &spans[..count] {
                let Some((before, rows)) = rows.seen_by(seen, self.size[0]) else { continue };
                let at = (channels.start - first) * self.distance + start + before * self.pitch;
                self.pack_channels(simd, channels.clone(), &self.read(0, &rows), &columns, &mut data[at..]);
            }
        }
    }

    fn list_upcoming(&self, taps: Range<usize>, below: bool, spans: &mut Vec<Range<usize>>) -> Option<&[T]> {
        let flat = self.image.flat.filter(|flat| size_of_val(*flat) > FAR)?;
        self.list_spans(taps, below, spans);
        Some(flat)
    }

    fn edge_behind(&self, pixel: usize) -> Option<usize> {
        if !self.leaves_out() {
            return None;
        }
        // A tap is first seen by the pixel from which on it is not before the image, and last by the one before it is behind it.
        let (first, step) = (self.origin[1], self.sampling.step[1]);
        let crossing =
            |offset: &isize, limit: usize| (limit as isize - first - offset).max(0).unsigned_abs().div_ceil(step);
        let crossings = |offset: &isize| [crossing(offset, 0), crossing(offset, self.image.width)];
        let edges = self.offsets(1).iter().flat_map(crossings);
        edges.filter(|&edge| pixel < edge && edge < self.size[1]).min()
    }

    fn sight(&self, runs: Range<usize>, pixels: Range<usize>) -> Option<Sight> {
        if !self.leaves_out() {
            return None;
        }
        // Taps are in ascending order: the first pixel loses the first ones, the last pixel the last ones.
        let [first, last] = [pixels.start, pixels.end - 1].map(|pixel| self.inside(1, pixel));
        Some(Sight {
            width: self.sampling.window.columns.len(),
            rows: self.inside(0, runs.end - 1).start..self.inside(0, runs.start).end,
            columns: last.start..first.end,
            clipped: if first == last { 0..0 } else { pixels },
            first: None,
        })
    }

    fn left_out(&self, column: usize, pixels: &Range<usize>) -> [usize; 2] {
        let sees = |pixel: &usize| self.inside(1, *pixel).contains(&column);
        let first = pixels.clone().take_while(|pixel| !sees(pixel)).count();
        [first, pixels.clone().rev().take_while(|pixel| !sees(pixel)).count()]
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::element::Kernels;
    use crate::simd::{Isa, Kernel};

    /// All that is packed lies in the spans that are listed, and they are of the image, wherever a region is.
    #[test]
    fn spans_hold_what_is_packed() {
        struct Pack<'a, 'd>(&'a WindowSource<'a, f32>, Range<usize>, &'d mut [f32]);
        impl Kernel<f32> for Pack<'_, '_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd<f32>>(self, simd: S) {
                self.0.pack(simd, self.1, self.2);
            }
        }
        let [channels, height, width] = [5, 14, 18];
        let image = Array3::from_shape_fn([channels, height, width], |(channel, y, x)| {
            ((channel * height + y) * width + x + 1) as f32
        });
        for (kernel, dilation, step, origin) in [
            ([3, 3], [1, 1], [1, 1], [-1, -1]),
            ([3, 3], [1, 1], [2, 2], [-1, 0]),
            ([1, 1], [1, 1], [2, 3], [0, 0]),
            ([3, 2], [5, 9], [1, 1], [-5, -9]),
            ([2, 3], [3, 1], [2, 1], [-9, -30]),
        ] {
            let window = Window::dense(kernel, dilation, channels);
            let sampling = Sampling { window: &window, step, origin, mode: PaddingMode::Zeros };
            let wanted = Wanted {
                pixel_step: 1,
                vector: 16,
                reads_partly: false,
                skip_zeros: false,
                clipped_run: None,
                least_alike: None,
                channels,
            };
            for (first, below) in [(0, false), (0, true), (4, false), (4, true), (10, true)] {
                let region = |first: usize| Region {
                    sample: 0,
                    channels: 0..1,
                    rows: first..first + 4,
                    columns: 2..9,
                    far: false,
                };
                let here = WindowSource::new(sampling, image.view(), &region(first), wanted);
                let seen = region(if below { first + 4 } else { first });
                let packs = WindowSource::new(sampling, image.view(), &seen, wanted);
                let taps = window.len()..3 * window.len() + 1;
                let mut spans = Vec::new();
                here.list_spans(taps.clone(), below, &mut spans);
                assert!(spans.iter().all(|span| span.start < span.end && span.end <= image.len()), "{spans:?}");
                let mut packed = vec![0.; sampling.packed_len(channels, 1, seen.extent())];
                f32::launch(Isa::SCALAR, Pack(&packs, taps, &mut packed));
                for place in packed.into_iter().filter(|&element| element > 0.).map(|element| element as usize - 1) {
                    // With a step neighbours stand for each other: they share a cache line, or a row below is next.
                    let near = |span: &Range<usize>| {
                        span.start < place + step[1] + (step[0] - 1) * width
                            && place < span.end + step[1] - 1 + (step[0] - 1) * width
                    };
                    assert!(spans.iter().any(near), "{place} of {spans:?}");
                }
            }
        }
    }
}
