//! Rows of memory that are as far from each other as the next ones, checked once for all of them.

use core::hint::assert_unchecked;
use core::marker::PhantomData;

/// Rows of as many elements, each a pitch behind the one before, in `C` places at a time. Some are not there: the first ones, and those behind the last one.
pub(crate) struct Rows<'a, T, const C: usize> {
    /// Where the next row begins, if it is there.
    next: [*const T; C],
    pitch: usize,
    len: usize,
    /// Its number, from the first one on that is there; and how many are there.
    number: usize,
    count: usize,
    memory: PhantomData<&'a [T]>,
}

impl<'a, T, const C: usize> Rows<'a, T, C> {
    /// `count` rows that are there, the first of which begin at `places`, behind some that are not. Nothing if some of them are not in memory.
    #[inline(always)]
    pub(crate) fn new(
        memory: &'a [T],
        places: [isize; C],
        pitch: usize,
        len: usize,
        [before, count]: [usize; 2],
    ) -> Option<Self> {
        let mut next = [memory.as_ptr(); C];
        if count > 0 {
            for (next, place) in next.iter_mut().zip(places) {
                let first = usize::try_from(place).ok()?;
                if !reaches(memory.len(), first, pitch, len, count) {
                    return None;
                }
                *next = next.wrapping_add(first).wrapping_sub(before.wrapping_mul(pitch));
            }
        }
        Some(Rows { next, pitch, len, number: 0usize.wrapping_sub(before), count, memory: PhantomData })
    }

    /// The next row of each place, if it is there.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<[&'a [T]; C]> {
        let (rows, number) = (self.next, self.number);
        self.next = rows.map(|row| row.wrapping_add(self.pitch));
        self.number = number.wrapping_add(1);
        if number >= self.count {
            return None;
        }
        Some(rows.map(|row| {
            // SAFETY: `new` has checked the first and the last of the rows that are there, and the others lie between. The memory is borrowed for as long as
            // the rows are.
            unsafe {
                assert_unchecked(!row.is_null());
                core::slice::from_raw_parts(row, self.len)
            }
        }))
    }
}

/// The same to be written, of which all are there.
pub(crate) struct RowsMut<'a, T, const C: usize> {
    next: [*mut T; C],
    pitch: usize,
    len: usize,
    left: usize,
    memory: PhantomData<&'a mut [T]>,
}

impl<'a, T, const C: usize> RowsMut<'a, T, C> {
    /// `count` rows from element `first` of each of `C` equal parts of some memory. Nothing if some of them are not there.
    #[inline(always)]
    pub(crate) fn new(memory: &'a mut [T], first: usize, pitch: usize, len: usize, count: usize) -> Option<Self> {
        let part = memory.len() / C;
        if count > 0 && !reaches(part, first, pitch, len, count) {
            return None;
        }
        let mut next = [memory.as_mut_ptr().wrapping_add(first); C];
        for (index, next) in next.iter_mut().enumerate() {
            *next = next.wrapping_add(index * part);
        }
        Some(RowsMut { next, pitch, len, left: count, memory: PhantomData })
    }

    /// The next row of each part, if there is one.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<[&mut [T]; C]> {
        if self.left == 0 {
            return None;
        }
        let rows = self.next;
        (self.next, self.left) = (rows.map(|row| row.wrapping_add(self.pitch)), self.left - 1);
        // SAFETY: `new` has checked the first and the last row of a part, and the others lie between. Parts do not overlap, and the rows before are no longer borrowed.
        Some(rows.map(|row| unsafe {
            assert_unchecked(!row.is_null());
            core::slice::from_raw_parts_mut(row, self.len)
        }))
    }
}

/// Rows that have as many elements each, of which some places are written at a time.
pub(crate) struct EvenRows<'s, 'r, T> {
    rows: &'s mut [&'r mut [T]],
    len: usize,
}

impl<'s, 'r, T> EvenRows<'s, 'r, T> {
    /// Panics if they have not.
    #[inline(always)]
    pub(crate) fn new(rows: &'s mut [&'r mut [T]]) -> Self {
        let len = rows.first().map_or(0, |row| row.len());
        assert!(rows.iter().all(|row| row.len() == len), "rows of different lengths");
        EvenRows { rows, len }
    }

    /// Elements of each.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    pub(crate) fn rows(&mut self) -> &mut [&'r mut [T]] {
        self.rows
    }

    /// The same elements, from `first` on, of each of `R` rows, or nothing where there are fewer: checked once for all of them.
    #[inline(always)]
    pub(crate) fn strip<const R: usize>(
        &mut self,
        first_row: usize,
        first: usize,
        len: usize,
    ) -> Option<Strip<'_, 'r, T, R>> {
        let rows = self.rows.get_mut(first_row..)?.first_chunk_mut()?;
        reaches(self.len, first, 0, len, 1).then_some(Strip { rows, first, len })
    }
}

/// Some elements of each of `R` rows: see [`EvenRows::strip`]. It is no array of slices, which compilers keep in memory: that would take longer than to write them.
pub(crate) struct Strip<'s, 'r, T, const R: usize> {
    rows: &'s mut [&'r mut [T]; R],
    first: usize,
    len: usize,
}

impl<T, const R: usize> Strip<'_, '_, T, R> {
    /// Those of a row.
    #[inline(always)]
    pub(crate) fn row(&mut self, row: usize) -> &mut [T] {
        let row = self.rows[row].as_mut_ptr();
        // SAFETY: `EvenRows::strip` has checked that a row has as many elements from `first` on, and `EvenRows::new` that all rows are as long.
        unsafe { core::slice::from_raw_parts_mut(row.add(self.first), self.len) }
    }
}

/// Whether so much memory has some rows, one at least.
#[inline(always)]
fn reaches(memory: usize, first: usize, pitch: usize, len: usize, count: usize) -> bool {
    let last = (count - 1).checked_mul(pitch).and_then(|rows| rows.checked_add(first));
    last.is_some_and(|last| memory >= len && last <= memory - len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: [usize; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

    fn rows(place: isize, there: [usize; 2]) -> Option<Vec<Option<[&'static [usize]; 2]>>> {
        let mut rows = Rows::new(&MEMORY, [place, place - 1], 3, 2, there)?;
        Some((0..5).map(|_| rows.next()).collect())
    }

    #[test]
    fn rows_that_are_there_are_read() {
        let some = |first: usize| Some([&MEMORY[first..first + 2], &MEMORY[first - 1..first + 1]]);
        assert_eq!(rows(2, [2, 2]), Some(vec![None, None, some(2), some(5), None]));
        assert_eq!(rows(2, [0, 3]), Some(vec![some(2), some(5), some(8), None, None]));
        assert_eq!(rows(-100, [2, 0]), Some(vec![None; 5]));
    }

    #[test]
    fn rows_must_be_in_memory() {
        assert_eq!(rows(0, [1, 2]), None);
        assert_eq!(rows(3, [0, 3]), None);
        assert_eq!(rows(isize::MAX, [0, 3]), None);
        assert!(Rows::new(&MEMORY, [0], usize::MAX, 2, [0, 2]).is_none());
        assert!(Rows::new(&MEMORY, [0], 1, 11, [0, 1]).is_none());
    }

    #[test]
    fn rows_are_written() {
        let mut memory = MEMORY;
        assert!(RowsMut::<_, 2>::new(&mut memory, 1, 3, 2, 2).is_none());
        let mut rows = RowsMut::<_, 2>::new(&mut memory, 0, 3, 2, 2).expect("two rows");
        while let Some([one, other]) = rows.next() {
            one.fill(0);
            other[0] = 1;
        }
        assert_eq!(memory, [0, 0, 2, 0, 0, 1, 6, 7, 1, 9]);
    }

    #[test]
    fn strips_are_written() {
        let mut memory = MEMORY;
        let (first, second) = memory.split_at_mut(5);
        let mut rows = [first, second];
        let mut rows = EvenRows::new(&mut rows);
        assert_eq!(rows.len(), 5);
        assert!(rows.strip::<2>(1, 0, 2).is_none() && rows.strip::<2>(0, 4, 2).is_none());
        assert!(rows.strip::<2>(usize::MAX, 0, 2).is_none() && rows.strip::<2>(0, usize::MAX, 2).is_none());
        let mut strip = rows.strip::<2>(0, 3, 2).expect("two of each");
        strip.row(0).copy_from_slice(&[30, 40]);
        strip.row(1)[1] = 90;
        assert_eq!(memory, [0, 1, 2, 30, 40, 5, 6, 7, 8, 90]);
    }

    #[test]
    #[should_panic(expected = "different lengths")]
    fn rows_must_be_even() {
        EvenRows::new(&mut [&mut [0, 1][..], &mut [2]]);
    }
}
