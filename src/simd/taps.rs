//! Lists of the places at which kernels read, checked once for a whole list instead of at each access.
//!
//! A register tile reads two operands for each tap. Comparing both places with the lengths of what they lie in takes a tenth to a quarter of a
//! small tile's time, so that a list notes the largest of its places while it is made.

/// What a list says of a tap: where its pixels and its weights lie, and something more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tap<N> {
    /// Index of its first pixel.
    pixels: u32,
    /// Its number among the rows of weights.
    weight: u16,
    /// What else is to be known of it.
    note: N,
}

impl<N> Tap<N> {
    pub(crate) const fn new(pixels: u32, weight: u16, note: N) -> Self {
        Tap { pixels, weight, note }
    }
}

/// Lists of taps, one behind the other.
#[derive(Clone, Debug)]
pub(crate) struct TapLists<N> {
    taps: Vec<Tap<N>>,
    ends: Vec<End>,
    /// The largest places of the list that is not ended yet.
    pixels: u32,
    weight: u16,
}

/// Where a list ends, and the largest places in it.
#[derive(Clone, Copy, Debug)]
struct End {
    end: usize,
    pixels: u32,
    weight: u16,
}

impl<N> Default for TapLists<N> {
    fn default() -> Self {
        TapLists { taps: Vec::new(), ends: Vec::new(), pixels: 0, weight: 0 }
    }
}

impl<N: Copy> TapLists<N> {
    pub(crate) fn clear(&mut self) {
        self.taps.clear();
        self.ends.clear();
        (self.pixels, self.weight) = (0, 0);
    }

    /// Adds taps to the list that is not ended yet.
    pub(crate) fn extend(&mut self, taps: impl Iterator<Item = Tap<N>>) {
        let (mut pixels, mut weight) = (self.pixels, self.weight);
        self.taps.extend(taps.inspect(|tap| {
            pixels = pixels.max(tap.pixels);
            weight = weight.max(tap.weight);
        }));
        (self.pixels, self.weight) = (pixels, weight);
    }

    /// Adds the last `count` taps of the list that is not ended yet so many times more, each time a step of pixels and of weights further.
    pub(crate) fn repeat(&mut self, count: usize, times: usize, (pixels, weight): (u32, u16)) {
        let Some(last) = u32::try_from(times).ok().filter(|&times| times > 0 && count > 0) else { return };
        let start = self.taps.len().checked_sub(count).expect("taps to repeat");
        let (mut reach, mut number) = (0, 0);
        for tap in &self.taps[start..] {
            (reach, number) = (tap.pixels.max(reach), tap.weight.max(number));
        }
        // The largest places of the last repetition: if they do not overflow, none does.
        let reach = last.checked_mul(pixels).and_then(|step| reach.checked_add(step)).expect("places of 32 bits");
        let number = last.checked_mul(weight.into()).and_then(|step| step.checked_add(number.into()));
        let number = number.and_then(|number| u16::try_from(number).ok()).expect("numbers of 16 bits");
        (self.pixels, self.weight) = (self.pixels.max(reach), self.weight.max(number));
        self.taps.reserve(times * count);
        for time in 1..=last {
            for index in start..start + count {
                let Tap { pixels: first, weight: number, note } = self.taps[index];
                self.taps.push(Tap::new(first + time * pixels, number + time as u16 * weight, note));
            }
        }
    }

    /// Ends the list: what comes belongs to the next one.
    pub(crate) fn end(&mut self) {
        self.ends.push(End { end: self.taps.len(), pixels: self.pixels, weight: self.weight });
        (self.pixels, self.weight) = (0, 0);
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.taps.capacity() * size_of::<Tap<N>>() + self.ends.capacity() * size_of::<End>()
    }

    /// The taps of a list, each with the first `reach` of its pixels and the first `width` of its weights, of which it has `rows`: panics where
    /// a tap would have fewer.
    #[inline(always)]
    pub(crate) fn operands<'a, T>(
        &'a self,
        list: usize,
        (pixels, reach): (&'a [T], usize),
        (weights, rows, width): (&'a [T], usize, usize),
    ) -> Operands<'a, T, N> {
        let start = if list == 0 { 0 } else { self.ends[list - 1].end };
        let last = self.ends[list];
        let taps = &self.taps[start..last.end];
        if !taps.is_empty() {
            let of_pixels = (last.pixels as usize).checked_add(reach);
            let of_weights = (last.weight as usize).checked_mul(rows).and_then(|first| first.checked_add(width));
            let within = |end: Option<usize>, len: usize| end.is_some_and(|end| end <= len);
            assert!(
                within(of_pixels, pixels.len()) && within(of_weights, weights.len()),
                "taps reach beyond their operands"
            );
        }
        Operands { taps: taps.iter(), pixels, reach, weights, rows, width }
    }
}

/// The operands of the taps of a list: see [`TapLists::operands`].
#[derive(Clone)]
pub(crate) struct Operands<'a, T, N> {
    taps: core::slice::Iter<'a, Tap<N>>,
    pixels: &'a [T],
    reach: usize,
    weights: &'a [T],
    rows: usize,
    width: usize,
}

/// Those of one.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a, T, N> {
    pub(crate) pixels: &'a [T],
    pub(crate) weights: &'a [T],
    /// The tap's number among the rows of weights.
    pub(crate) number: usize,
    pub(crate) note: N,
}

impl<T, N> Operands<'_, T, N> {
    /// How many taps are left.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.taps.len()
    }
}

impl<'a, T, N: Copy> Iterator for Operands<'a, T, N> {
    type Item = Operand<'a, T, N>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let tap = self.taps.next()?;
        let (first, number) = (tap.pixels as usize, tap.weight as usize);
        let first_weight = number * self.rows;
        // SAFETY: `operands` has checked the largest places of the list, of which these are no larger.
        let (pixels, weights) = unsafe {
            (
                self.pixels.get_unchecked(first..first + self.reach),
                self.weights.get_unchecked(first_weight..first_weight + self.width),
            )
        };
        Some(Operand { pixels, weights, number, note: tap.note })
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

    fn lists() -> TapLists<()> {
        let mut lists = TapLists::default();
        lists.extend([Tap::new(0, 0, ()), Tap::new(5, 1, ())].into_iter());
        lists.end();
        lists.end();
        lists.extend([Tap::new(2, 3, ())].into_iter());
        lists.end();
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
        lists.extend([Tap::new(9, 9, ()), Tap::new(1, 0, ()), Tap::new(3, 1, ())].into_iter());
        lists.repeat(2, 2, (10, 4));
        lists.end();
        let taps = [(9, 9), (1, 0), (3, 1), (11, 4), (13, 5), (21, 8), (23, 9)];
        assert_eq!(lists.taps, taps.map(|(pixels, weight)| Tap::new(pixels, weight, ())));
        assert_eq!((lists.ends[0].pixels, lists.ends[0].weight), (23, 9));
        lists.repeat(0, 5, (1, 1));
        lists.repeat(1, 0, (1, 1));
        assert_eq!(lists.taps.len(), taps.len());
    }

    #[test]
    #[should_panic(expected = "32 bits")]
    fn repeated_places_must_not_overflow() {
        let mut lists = TapLists::default();
        lists.extend([Tap::new(5, 0, ())].into_iter());
        lists.repeat(1, 2, (u32::MAX / 2, 1));
    }

    #[test]
    #[should_panic(expected = "16 bits")]
    fn repeated_numbers_must_not_overflow() {
        let mut lists = TapLists::default();
        lists.extend([Tap::new(5, 2, ())].into_iter());
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
