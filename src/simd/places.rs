//! Places that kernels read from, checked once for all of them.

use core::ops::Range;

/// Some places, of which the largest is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'p> {
    places: &'p [u32],
    /// No place is larger.
    most: u32,
}

impl<'p> Places<'p> {
    pub(crate) fn new(places: &'p [u32]) -> Self {
        Places { places, most: places.iter().copied().max().unwrap_or(0) }
    }

    #[inline(always)]
    pub(crate) fn as_slice(self) -> &'p [u32] {
        self.places
    }

    /// What no place is larger than.
    #[inline(always)]
    pub(crate) fn most(self) -> usize {
        self.most as usize
    }

    /// Some of them.
    #[inline(always)]
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        Places { places: &self.places[range], most: self.most }
    }

    /// So many elements from each place on. Panics if there are fewer behind the largest one.
    #[inline(always)]
    pub(crate) fn of<'m, T>(self, memory: &'m [T], len: usize) -> Runs<'m, T>
    where
        'p: 'm,
    {
        let behind = memory.len().checked_sub(self.most());
        assert!(
            self.places.is_empty() || behind.is_some_and(|behind| len <= behind),
            "places behind the end of memory"
        );
        Runs { places: self.places.iter(), memory, len }
    }
}

/// Equal runs of elements: see [`Places::of`].
#[derive(Clone)]
pub(crate) struct Runs<'p, T> {
    places: core::slice::Iter<'p, u32>,
    memory: &'p [T],
    len: usize,
}

impl<'p, T> Iterator for Runs<'p, T> {
    type Item = &'p [T];

    #[inline(always)]
    fn next(&mut self) -> Option<&'p [T]> {
        let first = *self.places.next()? as usize;
        // SAFETY: `Places::of` has checked the largest place, which `Places::new` has found and which this one is not above.
        Some(unsafe { self.memory.get_unchecked(first..first + self.len) })
    }

    #[inline(always)]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.places.size_hint()
    }
}

impl<T> ExactSizeIterator for Runs<'_, T> {}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: [u8; 6] = [0, 1, 2, 3, 4, 5];

    #[test]
    fn runs_begin_at_places() {
        let places = Places::new(&[4, 0, 2]);
        assert_eq!(places.of(&MEMORY, 2).collect::<Vec<_>>(), [[4, 5], [0, 1], [2, 3]]);
        assert_eq!(places.part(1..3).of(&MEMORY, 1).collect::<Vec<_>>(), [[0], [2]]);
        assert_eq!(places.part(1..1).of(&MEMORY, 7).len(), 0);
    }

    #[test]
    #[should_panic(expected = "behind the end")]
    fn runs_end_within_memory() {
        Places::new(&[4, 0]).of(&MEMORY, 3);
    }

    #[test]
    #[should_panic(expected = "behind the end")]
    fn places_are_within_memory() {
        Places::new(&[0, 7]).of(&MEMORY, 0);
    }
}
