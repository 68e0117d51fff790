//! Rows of an image that has none above its first one and below its last one, checked once for all of them.

use core::ops::Range;

/// Rows of as many elements, each a pitch behind the one before, of which only some are there.
pub(crate) struct Rows<'a, T> {
    memory: &'a [T],
    /// Where row 0 would begin: maybe before the memory, if it is not there.
    place: isize,
    pitch: isize,
    len: usize,
    /// The first row that is there, and how many are.
    first: usize,
    count: usize,
}

impl<'a, T> Rows<'a, T> {
    /// Nothing if some of the rows that are `there` are not in memory.
    #[inline(always)]
    pub(crate) fn new(memory: &'a [T], place: isize, pitch: usize, len: usize, there: Range<usize>) -> Option<Self> {
        let pitch = isize::try_from(pitch).ok()?;
        if !there.is_empty() {
            let first = pitch.checked_mul(there.start as isize)?.checked_add(place)?;
            let last = pitch.checked_mul((there.end - 1) as isize)?.checked_add(place)?;
            if first < 0 || last < 0 || memory.len() < len || last.unsigned_abs() > memory.len() - len {
                return None;
            }
        }
        Some(Rows { memory, place, pitch, len, first: there.start, count: there.len() })
    }

    /// A row, if it is there.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> Option<&'a [T]> {
        if row.wrapping_sub(self.first) >= self.count {
            return None;
        }
        let start = (self.place + row as isize * self.pitch).unsigned_abs();
        // SAFETY: `new` has checked the first and the last of the rows that are there, and the others lie between.
        Some(unsafe { self.memory.get_unchecked(start..start + self.len) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: [usize; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

    fn rows(place: isize, there: Range<usize>) -> Option<Vec<Option<&'static [usize]>>> {
        let rows = Rows::new(&MEMORY, place, 3, 2, there)?;
        Some((0..5).map(|row| rows.row(row)).collect())
    }

    #[test]
    fn rows_that_are_there_are_read() {
        let some = |first: usize| Some(&MEMORY[first..first + 2]);
        assert_eq!(rows(-4, 2..4), Some(vec![None, None, some(2), some(5), None]));
        assert_eq!(rows(2, 0..3), Some(vec![some(2), some(5), some(8), None, None]));
        assert_eq!(rows(-100, 2..2), Some(vec![None; 5]));
    }

    #[test]
    fn rows_must_be_in_memory() {
        assert_eq!(rows(-4, 1..3), None);
        assert_eq!(rows(3, 0..3), None);
        assert_eq!(rows(isize::MAX, 0..3), None);
        assert!(Rows::new(&MEMORY, 0, usize::MAX, 2, 0..2).is_none() && Rows::new(&MEMORY, 0, 1, 11, 0..1).is_none());
    }
}
