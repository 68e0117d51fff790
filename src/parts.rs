//! A length cut into parts.

use core::ops::Range;

/// `total` things in chunks of `size`, the last one maybe smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunks {
    pub(crate) total: usize,
    pub(crate) size: usize,
}

impl Chunks {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.total.div_ceil(self.size)
    }

    /// What some consecutive chunks hold.
    pub(crate) fn range(&self, chunks: Range<usize>) -> Range<usize> {
        (chunks.start * self.size).min(self.total)..(chunks.end * self.size).min(self.total)
    }

    /// The chunks that make up a range, which begins and ends with chunks.
    pub(crate) fn within(&self, range: Range<usize>) -> Range<usize> {
        range.start / self.size..range.end.div_ceil(self.size)
    }
}

/// The greatest common divisor.
pub(crate) fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The fewest things that are whole chunks of one size and of another: their least common multiple.
pub(crate) fn whole_chunks(size: usize, other: usize) -> usize {
    size / gcd(size, other) * other
}

/// One of `parts` parts of `total` things, whose sizes differ by one at most; the larger ones come first.
pub(crate) fn even_part(total: usize, parts: usize, part: usize) -> Range<usize> {
    let start = |part: usize| part * (total / parts) + part.min(total % parts);
    start(part)..start(part + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_total() {
        for total in 1..100 {
            for size in 1..20 {
                let chunks = Chunks { total, size };
                let mut end = 0;
                for chunk in 0..chunks.count() {
                    let range = chunks.range(chunk..chunk + 1);
                    assert_eq!(range.start, end);
                    assert!(range.len() == size || (range.len() < size && range.end == total));
                    assert_eq!(chunks.within(range.clone()), chunk..chunk + 1);
                    end = range.end;
                }
                assert_eq!(end, total);
            }
        }
    }

    #[test]
    fn whole_chunks_are_whole_for_both() {
        for (size, other) in (1..40).flat_map(|size| (1..40).map(move |other| (size, other))) {
            let whole = (1..).find(|&all: &usize| all.is_multiple_of(size) && all.is_multiple_of(other));
            assert_eq!(Some(whole_chunks(size, other)), whole, "{size} and {other}");
        }
    }

    #[test]
    fn even_parts_cover_the_total() {
        for total in 1..100 {
            for parts in 1..20 {
                let sizes: Vec<usize> = (0..parts).map(|part| even_part(total, parts, part).len()).collect();
                assert_eq!(sizes.iter().sum::<usize>(), total);
                assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes[0] - sizes[parts - 1] <= 1, "{sizes:?}");
                assert_eq!(even_part(total, parts, parts - 1).end, total);
            }
        }
    }
}
