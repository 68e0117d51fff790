//! Padding modes as index maps: which element a position outside the image reads.

use core::ops::Range;

use crate::config::PaddingMode;

/// Which of `len` positions from `first` on lie inside `0..size`.
pub(crate) fn inside(first: isize, len: usize, size: usize) -> Range<usize> {
    let before = |limit: usize| (limit as isize - first).clamp(0, len as isize) as usize;
    before(0)..before(size)
}

impl PaddingMode {
    /// The index in `0..len` that position `index` reads, or `None` where it reads a zero.
    ///
    /// ```
    /// use ndconv::PaddingMode::*;
    /// let row = |mode: ndconv::PaddingMode| (-2..5).map(|i| mode.source(i, 3)).collect::<Vec<_>>();
    /// assert_eq!(row(Zeros), [None, None, Some(0), Some(1), Some(2), None, None]);
    /// assert_eq!(row(Reflect), [2, 1, 0, 1, 2, 1, 0].map(Some));
    /// assert_eq!(row(Symmetric), [1, 0, 0, 1, 2, 2, 1].map(Some));
    /// assert_eq!(row(Replicate), [0, 0, 0, 1, 2, 2, 2].map(Some));
    /// assert_eq!(row(Circular), [1, 2, 0, 1, 2, 0, 1].map(Some));
    /// ```
    #[must_use]
    pub fn source(self, index: isize, len: usize) -> Option<usize> {
        if let Ok(inside) = usize::try_from(index)
            && inside < len
        {
            return Some(inside);
        }
        let n = isize::try_from(len).ok().filter(|&n| n > 0)?;
        let source = match self {
            PaddingMode::Zeros => return None,
            PaddingMode::Reflect if n == 1 => 0,
            PaddingMode::Reflect => {
                let at = index.rem_euclid(2 * (n - 1));
                at.min(2 * (n - 1) - at)
            }
            PaddingMode::Symmetric => {
                let at = index.rem_euclid(2 * n);
                at.min(2 * n - 1 - at)
            }
            PaddingMode::Replicate => index.clamp(0, n - 1),
            PaddingMode::Circular => index.rem_euclid(n),
        };
        Some(source.unsigned_abs())
    }
}
