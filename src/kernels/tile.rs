//! What the two register tiles of the matrix product share.

/// A tap in the list of those that a tile's pixels see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tap {
    /// Where the tap's value for the region's first pixel lies.
    pub(crate) pixels: u32,
    /// Its number in the block of taps, hence in the weight panel.
    pub(crate) weight: u16,
    /// Which pixels of the tile see nothing but zero under it.
    pub(crate) clip: Clip,
}

/// Pixels of a tile that a tap may leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Clip {
    /// None.
    Nothing,
    /// The first.
    First,
    /// The last.
    Last,
}

/// Pixels that are computed at a time: as many neighbours in each of one or more runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Where its first pixel lies, relative to the region's first.
    pub(crate) place: u32,
    /// Its first pixel's number in the region.
    pub(crate) pixel: u32,
    /// How many they are in each run.
    pub(crate) len: u16,
    /// Neighbouring runs.
    pub(crate) runs: u16,
    /// Which list of taps they see.
    pub(crate) taps: u32,
}

/// The operands of one weight panel and one block of taps.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a, T> {
    /// `[taps][rows]`, with a vector's length to spare.
    pub(crate) weights: &'a [T],
    /// Output channels of the panel.
    pub(crate) rows: u32,
    /// Which rows have each tap, one bit for each; nothing if all have all. Only tiles with pixels as lanes look at it.
    pub(crate) masks: &'a [u32],
    /// Tap `t` of a pixel lies at `t.pixels` + the pixel's place; behind the last one is room to read a vector.
    pub(crate) pixels: &'a [T],
    /// Pixels of a run, and elements from one run to the next.
    pub(crate) run: u32,
    pub(crate) pitch: u32,
    /// Elements from one pixel of a run to the next. With pixels as lanes it is 1.
    pub(crate) step: u32,
    pub(crate) tiles: &'a [Tile],
    /// The lists of taps, one behind the other.
    pub(crate) taps: &'a [Tap],
    /// Where each list ends.
    pub(crate) ends: &'a [u32],
    /// Number of the block's first list.
    pub(crate) first_list: usize,
    /// What the sums are added to in the first block: a number for each row. In further blocks they are added to what is there.
    pub(crate) bias: Option<&'a [T]>,
}

impl<'a, T> Block<'a, T> {
    /// The taps that a tile sees.
    #[inline(always)]
    pub(crate) fn taps_of(&self, tile: &Tile) -> &'a [Tap] {
        let list = self.first_list + tile.taps as usize;
        let start = if list == 0 { 0 } else { self.ends[list - 1] };
        &self.taps[start as usize..self.ends[list] as usize]
    }
}
