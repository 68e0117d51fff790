//! A length cut into parts that are as even as can be.

use core::ops::Range;

/// `total` things in `parts` parts, whose sizes differ by one at most; the larger ones come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) total: usize,
    pub(crate) parts: usize,
}

impl Parts {
    /// As few parts of at most `most` as can be.
    pub(crate) fn of_at_most(total: usize, most: usize) -> Self {
        Parts { total, parts: total.div_ceil(most) }
    }

    /// Where a part begins; the total for the one behind the last.
    pub(crate) fn start(&self, part: usize) -> usize {
        let (size, larger) = (self.total / self.parts, self.total % self.parts);
        part * size + part.min(larger)
    }

    /// What some consecutive parts hold.
    pub(crate) fn range(&self, parts: Range<usize>) -> Range<usize> {
        self.start(parts.start)..self.start(parts.end)
    }

    /// The part that begins at a position.
    pub(crate) fn starting_at(&self, position: usize) -> usize {
        let (size, larger) = (self.total / self.parts, self.total % self.parts);
        let in_larger = larger * (size + 1);
        if position <= in_larger { position / (size + 1) } else { larger + (position - in_larger) / size }
    }

    /// The size of the largest part.
    pub(crate) fn most(&self) -> usize {
        self.total.div_ceil(self.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_even_and_cover_the_total() {
        for total in 1..200 {
            for most in 1..20 {
                let parts = Parts::of_at_most(total, most);
                assert!(parts.most() <= most);
                assert_eq!((parts.start(0), parts.start(parts.parts)), (0, total));
                for part in 0..parts.parts {
                    let range = parts.range(part..part + 1);
                    assert!(range.len() == parts.most() || range.len() + 1 == parts.most());
                    assert_eq!(parts.starting_at(range.start), part);
                }
                assert_eq!(parts.starting_at(total), parts.parts);
            }
        }
    }
}
