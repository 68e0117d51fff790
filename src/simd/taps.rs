//! Lists of the places at which kernels read, checked once for a whole list instead of at each access.
//!
//! A register tile reads two operands for each tap. Comparing both places with the lengths of what they lie in takes a tenth to a quarter of a
//! small tile's time, so that a list notes the largest of its places while it is made.

use super::Simd;

/// How many of the first and of the last pixels of each run of a tile a tap leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clip(u16);

impl Clip {
    /// None.
    pub(crate) const NOTHING: Clip = Clip(0);
    /// The first, and the last.
    pub(crate) const FIRST: Clip = Clip::new([1, 0]);
    pub(crate) const LAST: Clip = Clip::new([0, 1]);
    /// At each end it is so many at most.
    pub(crate) const MOST: usize = 3;

    /// As many as may be of the first and of the last ones.
    pub(crate) const fn new([first, last]: [usize; 2]) -> Self {
        const fn fitting(pixels: usize) -> u16 {
            if pixels < Clip::MOST { pixels as u16 } else { Clip::MOST as u16 }
        }
        Clip(fitting(first) | fitting(last) << 8)
    }

    /// How many of the first and of the last ones.
    #[inline(always)]
    pub(crate) fn ends(self) -> [usize; 2] {
        [self.0 & 0xff, self.0 >> 8].map(usize::from)
    }
}

/// What a list says of a tap: where its pixels and its weights lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tap {
    /// Index of its first pixel.
    pixels: u32,
    /// Its number among the rows of weights.
    weight: u16,
    clip: Clip,
}

impl Tap {
    pub(crate) const fn new(pixels: u32, weight: u16, clip: Clip) -> Self {
        Tap { pixels, weight, clip }
    }
}

/// Lists of taps, one behind the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct TapLists {
    taps: Vec<Tap>,
    lists: Vec<List>,
    /// Of the list that is not ended yet.
    bounds: Bounds,
}

/// The places in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    /// The first of the pixels' places, of taps that leave out so many of a run's first pixels; the largest number if there are none.
    first: [i64; Clip::MOST + 1],
    /// And one more than the last, of taps that leave out so many of its last ones; 0 if there are none.
    end: [i64; Clip::MOST + 1],
    /// Most pixels of a run that a tap leaves out.
    left_out: usize,
    /// The largest number of a row of weights.
    weight: u16,
}

impl Default for Bounds {
    fn default() -> Self {
        let [first, end] = [i64::MAX, 0].map(|none| [none; Clip::MOST + 1]);
        Bounds { first, end, left_out: 0, weight: 0 }
    }
}

impl Bounds {
    fn add(&mut self, tap: Tap) {
        let ([first, last], place) = (tap.clip.ends(), i64::from(tap.pixels));
        self.first[first] = self.first[first].min(place);
        self.end[last] = self.end[last].max(place + 1);
        self.left_out = self.left_out.max(first + last);
        self.weight = self.weight.max(tap.weight);
    }
}

/// One of the lists, and what is to be checked before it is gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct List {
    start: usize,
    end: usize,
    /// The places of the first pixel that is not left out, and of the one behind the last, if runs had only one pixel; 0 if there are none.
    first: i64,
    behind: i64,
    /// How far pixels of a run are from each other, if any are left out.
    step: u32,
    /// Most pixels of a run that a tap leaves out.
    left_out: u16,
    /// The largest number of a row of weights.
    weight: u16,
}

impl List {
    /// Taps of these bounds, of runs of pixels a step apart.
    fn new((start, end): (usize, usize), bounds: Bounds, step: u32) -> Self {
        let Bounds { first, end: behind, left_out, weight } = bounds;
        let ahead = |left_out: usize| left_out as i64 * i64::from(step);
        let first = first.iter().enumerate().filter(|(_, first)| **first != i64::MAX);
        let behind = behind.iter().enumerate().filter(|(_, behind)| **behind != 0);
        List {
            start,
            end,
            first: first.map(|(left_out, first)| first + ahead(left_out)).min().unwrap_or(0),
            behind: behind.map(|(left_out, behind)| behind - ahead(left_out)).max().unwrap_or(0),
            step,
            left_out: left_out as u16,
            weight,
        }
    }

    /// Whether all pixels are there that are not left out, of so many elements, and a pixel is left.
    #[inline(always)]
    fn is_within(&self, (len, before): (usize, u32), runs: Runs) -> bool {
        // Numbers of 32 and 16 bits: nothing overflows.
        let reach = i64::from(runs.count.saturating_sub(1)) * i64::from(runs.pitch)
            + i64::from(runs.len.saturating_sub(1)) * i64::from(runs.step);
        let before = i64::from(before);
        self.first >= before
            && self.behind + reach <= len as i64 + before
            && self.left_out < runs.len
            && (self.left_out == 0 || self.step == runs.step)
    }
}

impl TapLists {
    /// Keeps the first lists only.
    pub(crate) fn truncate(&mut self, lists: usize) {
        self.lists.truncate(lists);
        self.taps.truncate(self.lists.last().map_or(0, |last| last.end));
        self.bounds = Bounds::default();
    }

    /// How many lists there are.
    pub(crate) fn lists(&self) -> usize {
        self.lists.len()
    }

    /// Elements from where the taps of a list count from to behind the first pixel of the last, if none leaves out a pixel.
    pub(crate) fn reach(&self, list: usize) -> usize {
        self.lists[list].behind as usize
    }

    /// How many taps they have in all.
    pub(crate) fn len(&self) -> usize {
        self.taps.len()
    }

    /// Adds taps to the list that is not ended yet.
    pub(crate) fn extend(&mut self, taps: impl Iterator<Item = Tap>) {
        let mut bounds = self.bounds;
        self.taps.extend(taps.inspect(|&tap| bounds.add(tap)));
        self.bounds = bounds;
    }

    /// Adds the last `count` taps of the list that is not ended yet so many times more, each time a step of pixels and of weights further.
    pub(crate) fn repeat(&mut self, count: usize, times: usize, (pixels, weight): (u32, u16)) {
        let Some(last) = u32::try_from(times).ok().filter(|&times| times > 0 && count > 0) else { return };
        let start = self.taps.len().checked_sub(count).expect("taps to repeat");
        for index in start..start + count {
            // The places of the last repetition: if they do not overflow, none does.
            let Tap { pixels: first, weight: number, clip } = self.taps[index];
            let first = last.checked_mul(pixels).and_then(|step| first.checked_add(step)).expect("places of 32 bits");
            let number = last.checked_mul(weight.into()).and_then(|step| step.checked_add(number.into()));
            let number = number.and_then(|number| u16::try_from(number).ok()).expect("numbers of 16 bits");
            self.bounds.add(Tap::new(first, number, clip));
        }
        self.taps.reserve(times * count);
        for time in 1..=last {
            for index in start..start + count {
                let Tap { pixels: first, weight: number, clip } = self.taps[index];
                self.taps.push(Tap::new(first + time * pixels, number + time as u16 * weight, clip));
            }
        }
    }

    /// Ends the list, of runs whose pixels are a step apart: what comes belongs to the next one.
    pub(crate) fn end(&mut self, step: u32) {
        let range = (self.lists.last().map_or(0, |last| last.end), self.taps.len());
        self.lists.push(List::new(range, core::mem::take(&mut self.bounds), step));
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.taps.capacity() * size_of::<Tap>() + self.lists.capacity() * size_of::<List>()
    }

    /// The taps of a list, each with the first `width` of its `rows` weights, and the list: panics where a tap would have fewer.
    #[inline(always)]
    fn weighted<'a, T>(
        &'a self,
        list: usize,
        (weights, rows, width): (&'a [T], usize, usize),
    ) -> (WeightedTaps<'a, T>, &'a List) {
        let list = &self.lists[list];
        let taps = &self.taps[list.start..list.end];
        let of_weights = (list.weight as usize).checked_mul(rows).and_then(|first| first.checked_add(width));
        assert!(taps.is_empty() || of_weights.is_some_and(|end| end <= weights.len()), "{BEYOND}");
        (WeightedTaps { taps: taps.iter(), weights, rows, width }, list)
    }

    /// The taps of a list, each with the first `reach` of its pixels and the first `width` of its weights, of which it has `rows`: panics where
    /// a tap would have fewer, or leaves out a pixel.
    #[inline(always)]
    pub(crate) fn operands<'a, T>(
        &'a self,
        list: usize,
        (pixels, reach): (&'a [T], usize),
        weights: (&'a [T], usize, usize),
    ) -> Operands<'a, T> {
        let (taps, &List { behind, left_out, .. }) = self.weighted(list, weights);
        let of_pixels = (behind as usize).checked_add(reach);
        let read = behind == 0 || of_pixels.is_some_and(|end| end - 1 <= pixels.len());
        assert!(read && left_out == 0, "{BEYOND}");
        Operands { taps, pixels, reach }
    }

    /// The taps of a list, each with the pixels of some runs and the first `width` of its weights, of which it has `rows`. Places count from so many
    /// elements `before` the pixels: what lies there can only be left out. Panics where a pixel that is not left out would not be there, or a weight, or
    /// where a pixel is left out that must not be.
    #[inline(always)]
    pub(crate) fn runs<'a, T>(
        &'a self,
        list: usize,
        (pixels, before): (&'a [T], u32),
        shape: Runs,
        weights: (&'a [T], usize, usize),
    ) -> RunsOfTaps<'a, T> {
        let (taps, list) = self.weighted(list, weights);
        assert!(taps.len() == 0 || list.is_within((pixels.len(), before), shape), "{BEYOND}");
        let first = pixels.as_ptr().wrapping_sub(before as usize);
        RunsOfTaps { taps, pixels, first, shape, leave_out: list.left_out > 0 }
    }
}

/// What is said where there are not as many pixels or weights as taps need.
const BEYOND: &str = "taps reach beyond their operands";

/// The taps of a list with their weights: see [`TapLists::weighted`].
#[derive(Clone)]
struct WeightedTaps<'a, T> {
    taps: core::slice::Iter<'a, Tap>,
    weights: &'a [T],
    rows: usize,
    width: usize,
}

impl<'a, T> Iterator for WeightedTaps<'a, T> {
    type Item = (&'a Tap, &'a [T]);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let tap = self.taps.next()?;
        let first = tap.weight as usize * self.rows;
        // SAFETY: `weighted` has checked the largest number of the list, of which this is no larger.
        Some((tap, unsafe { self.weights.get_unchecked(first..first + self.width) }))
    }

    #[inline(always)]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.taps.size_hint()
    }
}

impl<T> ExactSizeIterator for WeightedTaps<'_, T> {}

/// Pixels as far apart as `step`, in runs as far apart as `pitch`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runs {
    pub(crate) count: u16,
    pub(crate) len: u16,
    pub(crate) pitch: u32,
    pub(crate) step: u32,
}

/// The operands of the taps of a list: see [`TapLists::runs`].
#[derive(Clone)]
pub(crate) struct RunsOfTaps<'a, T> {
    taps: WeightedTaps<'a, T>,
    pixels: &'a [T],
    /// What the taps' places count from.
    first: *const T,
    shape: Runs,
    /// Whether any tap leaves out a pixel.
    leave_out: bool,
}

/// Those of one.
#[derive(Clone, Copy)]
pub(crate) struct RunsOfTap<'a, T> {
    /// What the pixels are a part of.
    pub(crate) memory: &'a [T],
    /// Where the first of them is, or would be.
    first: *const T,
    shape: Runs,
    pub(crate) clip: Clip,
    pub(crate) weights: &'a [T],
}

impl<T> RunsOfTaps<'_, T> {
    /// How many taps are left.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.taps.len()
    }

    /// Whether any of them leaves out a pixel.
    #[inline(always)]
    pub(crate) fn leave_out(&self) -> bool {
        self.leave_out
    }
}

impl<'a, T> Iterator for RunsOfTaps<'a, T> {
    type Item = RunsOfTap<'a, T>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let (tap, weights) = self.taps.next()?;
        let first = self.first.wrapping_add(tap.pixels as usize);
        // All are nothing anyway: so the compiler knows it, too.
        let clip = if self.leave_out { tap.clip } else { Clip::NOTHING };
        Some(RunsOfTap { memory: self.pixels, first, shape: self.shape, clip, weights })
    }
}

impl<T: Copy> RunsOfTap<'_, T> {
    /// Asks for the cache line so many elements behind the first pixel to be brought into the second-level cache. It may be none of the memory's.
    #[inline(always)]
    pub(crate) fn prefetch<S: Simd<T>>(&self, simd: S, behind: usize) {
        simd.prefetch_at(self.first.wrapping_add(behind));
    }

    /// The same for the first-level cache.
    #[inline(always)]
    pub(crate) fn prefetch_near<S: Simd<T>>(&self, simd: S, behind: usize) {
        simd.prefetch_near(self.first.wrapping_add(behind));
    }

    /// Where in the memory the first pixel is.
    #[inline(always)]
    fn place(&self) -> usize {
        (self.first.addr().wrapping_sub(self.memory.as_ptr().addr()) as isize / size_of::<T>() as isize) as usize
    }

    /// A run from its first pixel to its last: panics if the memory has not all of them.
    #[inline(always)]
    pub(crate) fn run(&self, run: usize) -> &[T] {
        let Runs { len, pitch, step, .. } = self.shape;
        &self.memory[self.place() + run * pitch as usize..][..(len as usize - 1) * step as usize + 1]
    }

    /// A pixel of a run: panics if it is left out.
    #[inline(always)]
    pub(crate) fn pixel(&self, run: usize, pixel: usize) -> T {
        let Runs { count, len, pitch, step, .. } = self.shape;
        let ([count, len], [first, last]) = ([count, len].map(usize::from), self.clip.ends());
        // All of it is known when a tile is compiled, but the clip, which it has looked at before.
        assert!(run < count && pixel < len && first <= pixel && pixel + last < len, "no such pixel");
        // SAFETY: `runs` has checked the first pixel that is not left out of the first run of the list's first tap, and the last one of the last run of
        // its last: this one lies between, whatever the numbers in between wrap to.
        unsafe { *self.first.wrapping_add(run * pitch as usize + pixel * step as usize) }
    }
}

/// The operands of the taps of a list: see [`TapLists::operands`].
#[derive(Clone)]
pub(crate) struct Operands<'a, T> {
    taps: WeightedTaps<'a, T>,
    pixels: &'a [T],
    reach: usize,
}

/// Those of one.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a, T> {
    pub(crate) pixels: &'a [T],
    pub(crate) weights: &'a [T],
    /// The tap's number among the rows of weights.
    pub(crate) number: usize,
}

impl<'a, T> Iterator for Operands<'a, T> {
    type Item = Operand<'a, T>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let (tap, weights) = self.taps.next()?;
        let first = tap.pixels as usize;
        // SAFETY: `operands` has checked the largest place of the list, of which this is no larger.
        let pixels = unsafe { self.pixels.get_unchecked(first..first + self.reach) };
        Some(Operand { pixels, weights, number: tap.weight as usize })
    }
}

/// Runs of as many elements, each a step behind the one before: checked once, when it is made.
#[derive(Clone)]
pub(crate) struct Strided<'a, T> {
    from: &'a [T],
    at: usize,
    step: usize,
    width: usize,
    left: usize,
}

impl<'a, T> Strided<'a, T> {
    /// `count` runs of `width` elements, `step` apart: panics where there are fewer.
    #[inline(always)]
    pub(crate) fn new(from: &'a [T], step: usize, width: usize, count: usize) -> Self {
        let last = count.saturating_sub(1).checked_mul(step);
        let end = last.and_then(|last| last.checked_add(width));
        assert!(count == 0 || end.is_some_and(|end| end <= from.len()), "too few elements");
        Strided { from, at: 0, step, width, left: count }
    }
}

impl<'a, T> Iterator for Strided<'a, T> {
    type Item = &'a [T];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [T]> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: `new` has checked the last run, which is no earlier than this one.
        let run = unsafe { self.from.get_unchecked(self.at..self.at + self.width) };
        self.at += self.step;
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tap(pixels: u32, weight: u16) -> Tap {
        Tap::new(pixels, weight, Clip::NOTHING)
    }

    fn lists() -> TapLists {
        let mut lists = TapLists::default();
        lists.extend([tap(0, 0), tap(5, 1)].into_iter());
        lists.end(2);
        lists.end(2);
        lists.extend([tap(2, 3)].into_iter());
        lists.end(2);
        lists
    }

    /// The operands of a list, where each tap sees two pixels and three of its four weights.
    fn operands(list: usize, pixels: usize, weights: usize) -> Vec<(Vec<usize>, Vec<usize>, usize)> {
        let (pixels, weights): (Vec<_>, Vec<_>) = ((0..pixels).collect(), (100..100 + weights).collect());
        let lists = lists();
        let operands = lists.operands(list, (&pixels, 2), (&weights, 4, 3));
        operands.map(|operand| (operand.pixels.to_vec(), operand.weights.to_vec(), operand.number)).collect()
    }

    #[test]
    fn each_tap_sees_its_operands() {
        assert_eq!(operands(0, 7, 7), [(vec![0, 1], vec![100, 101, 102], 0), (vec![5, 6], vec![104, 105, 106], 1)]);
        assert_eq!(operands(1, 0, 0), []);
        assert_eq!(operands(2, 4, 15), [(vec![2, 3], vec![112, 113, 114], 3)]);
    }

    #[test]
    fn taps_are_repeated() {
        let mut lists = TapLists::default();
        let last = Clip::new([0, 1]);
        lists.extend([tap(9, 9), tap(1, 0), Tap::new(3, 1, last)].into_iter());
        lists.repeat(2, 2, (10, 4));
        lists.end(2);
        let taps = [(9, 9), (1, 0), (3, 1), (11, 4), (13, 5), (21, 8), (23, 9)];
        assert!(lists.taps.iter().map(|tap| (tap.pixels, tap.weight)).eq(taps));
        let clipped = |tap: &Tap| tap.weight % 4 == 1 && tap.weight != 9 || tap.pixels == 23;
        assert!(lists.taps.iter().all(|tap| (tap.clip == last) == clipped(tap)));
        let list = List { start: 0, end: 7, first: 1, behind: 22, step: 2, left_out: 1, weight: 9 };
        assert_eq!(lists.lists, [list]);
        lists.repeat(0, 5, (1, 1));
        lists.repeat(1, 0, (1, 1));
        assert_eq!(lists.taps.len(), taps.len());
    }

    #[test]
    #[should_panic(expected = "32 bits")]
    fn repeated_places_must_not_overflow() {
        let mut lists = TapLists::default();
        lists.extend([tap(5, 0)].into_iter());
        lists.repeat(1, 2, (u32::MAX / 2, 1));
    }

    #[test]
    #[should_panic(expected = "16 bits")]
    fn repeated_numbers_must_not_overflow() {
        let mut lists = TapLists::default();
        lists.extend([tap(5, 2)].into_iter());
        lists.repeat(1, 2, (1, u16::MAX / 2));
    }

    #[test]
    #[should_panic(expected = "beyond their operands")]
    fn pixels_must_be_there() {
        operands(0, 6, 7);
    }

    #[test]
    #[should_panic(expected = "beyond their operands")]
    fn weights_must_be_there() {
        operands(2, 4, 14);
    }

    /// The pixels of all taps that are not left out: two runs, 20 apart, of five pixels, 2 apart, counted from 4 elements before.
    fn pixels(taps: &[(u32, [usize; 2])], len: usize) -> Vec<usize> {
        let mut lists = TapLists::default();
        lists.extend(taps.iter().map(|&(pixels, ends)| Tap::new(pixels, 0, Clip::new(ends))));
        lists.end(2);
        let memory: Vec<_> = (0..len).collect();
        let shape = Runs { count: 2, len: 5, pitch: 20, step: 2 };
        let of_tap = |tap: RunsOfTap<'_, usize>| {
            let [first, last] = tap.clip.ends();
            let runs = (0..2).map(|run| (first..5 - last).map(|pixel| tap.pixel(run, pixel)).collect::<Vec<_>>());
            runs.collect::<Vec<_>>().concat()
        };
        lists.runs(0, (&memory, 4), shape, (&[0], 1, 1)).flat_map(of_tap).collect()
    }

    #[test]
    fn pixels_that_are_left_out_need_not_be_there() {
        assert_eq!(pixels(&[(4, [0, 0])], 29), [0, 2, 4, 6, 8, 20, 22, 24, 26, 28]);
        assert_eq!(pixels(&[(2, [1, 0])], 27), [0, 2, 4, 6, 20, 22, 24, 26]);
        assert_eq!(pixels(&[(0, [2, 0])], 25), [0, 2, 4, 20, 22, 24]);
        assert_eq!(pixels(&[(8, [0, 3]), (1, [2, 2])], 27), [4, 6, 24, 26, 1, 21]);
        assert_eq!(pixels(&[], 0), []);
    }

    #[test]
    #[should_panic(expected = "beyond their operands")]
    fn pixels_before_the_memory_must_be_left_out() {
        pixels(&[(2, [1, 0]), (1, [0, 1])], 40);
    }

    #[test]
    #[should_panic(expected = "beyond their operands")]
    fn more_pixels_before_the_memory_must_be_left_out() {
        pixels(&[(0, [1, 0])], 40);
    }

    #[test]
    #[should_panic(expected = "beyond their operands")]
    fn pixels_behind_the_memory_must_be_left_out() {
        pixels(&[(4, [0, 0]), (9, [0, 2])], 29);
    }

    #[test]
    #[should_panic(expected = "beyond their operands")]
    fn a_pixel_must_be_left() {
        pixels(&[(4, [2, 3])], 40);
    }

    /// A tap that leaves out the first of two pixels, in a list of runs whose pixels are a step apart, and the runs.
    fn without_the_first(step: u32) -> (TapLists, Runs) {
        let mut lists = TapLists::default();
        lists.extend([Tap::new(0, 0, Clip::new([1, 0]))].into_iter());
        lists.end(step);
        (lists, Runs { count: 1, len: 2, pitch: 0, step: 1 })
    }

    #[test]
    #[should_panic(expected = "beyond their operands")]
    fn pixels_that_are_left_out_must_be_as_far_apart_as_listed() {
        let (lists, shape) = without_the_first(2);
        lists.runs(0, (&[7, 8, 9], 1), shape, (&[0], 1, 1));
    }

    #[test]
    #[should_panic(expected = "no such pixel")]
    fn pixels_that_are_left_out_are_not_read() {
        let (lists, shape) = without_the_first(1);
        lists.runs(0, (&[7], 1), shape, (&[0], 1, 1)).next().expect("a tap").pixel(0, 0);
    }

    #[test]
    fn runs_are_a_step_apart() {
        let elements = [0, 1, 2, 3, 4, 5, 6];
        let runs: Vec<_> = Strided::new(&elements, 2, 3, 3).collect();
        assert_eq!(runs, [[0, 1, 2], [2, 3, 4], [4, 5, 6]]);
        assert_eq!(Strided::new(&elements, usize::MAX, usize::MAX, 0).count(), 0);
    }

    #[test]
    #[should_panic(expected = "too few")]
    fn all_runs_must_be_there() {
        Strided::new(&[0, 1, 2, 3, 4, 5, 6], 2, 4, 3);
    }

    #[test]
    #[should_panic(expected = "too few")]
    fn steps_must_not_overflow() {
        Strided::new(&[0, 1, 2], usize::MAX, 2, 3);
    }
}
