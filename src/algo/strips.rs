//! Which taps of a window share pixels along an axis.

use core::ops::Range;

/// Rows or columns of taps cut into sets that see overlapping pixels of the same residue modulo the step: each set sees a strip.
pub(super) struct Strips<'a> {
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
pub(super) struct Strip<'a> {
    pub(super) first: isize,
    pub(super) len: usize,
    /// Those of all taps.
    offsets: &'a [isize],
    pub(super) step: usize,
    /// The first of its taps, and the one behind the last.
    range: Range<usize>,
}

impl<'a> Strip<'a> {
    /// The part of it that some taps see `size` elements of, and how far behind its begin that is.
    #[inline]
    pub(super) fn seen_by(&self, taps: &Range<usize>, size: usize) -> Option<(usize, Strip<'a>)> {
        if taps.start <= self.range.start && self.range.end <= taps.end {
            return Some((0, self.clone()));
        }
        let mut places = self.taps().filter(|(tap, _)| taps.contains(tap)).map(|(_, place)| place);
        let first = places.next()?;
        let last = places.last().unwrap_or(first);
        let begin = self.first + (first * self.step) as isize;
        Some((first, Strip { first: begin, len: last - first + size, ..self.clone() }))
    }

    /// How far each tap but the first is behind the one before it, where that differs from the one before.
    #[inline]
    pub(super) fn distances(&self) -> impl Iterator<Item = usize> + use<'a> {
        let mut last = None;
        let mut seen = 0;
        self.clone().taps().filter_map(move |(_, place)| {
            let distance = place - last.replace(place)?;
            (core::mem::replace(&mut seen, distance) != distance).then_some(distance)
        })
    }

    /// Its taps, and where in the strip each begins.
    #[inline]
    pub(super) fn taps(&self) -> impl Iterator<Item = (usize, usize)> + use<'a> {
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
    #[inline]
    pub(super) fn new(offsets: &'a [isize], step: usize, size: usize) -> Self {
        Strips { offsets, step, size, leader: 0, next: 0 }
    }

    #[inline]
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
