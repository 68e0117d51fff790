//! Weights in the order in which the register tile reads them.

use core::ops::Range;

use crate::element::Element;

/// Elements behind a panel that may be read, but count for nothing: a vector of any instruction set.
const SPARE: usize = 16;

/// `[group][block of taps][panel][tap][row]`: each panel of a block is one run of memory, and together they are
/// exactly as many elements as the weight has.
#[derive(Clone, Debug)]
pub(crate) struct PackedWeights<T> {
    data: Vec<T>,
    groups: usize,
    /// Rows of each group.
    rows: usize,
    panel_rows: usize,
    /// Where each block of taps ends; the first starts at 0.
    block_ends: Vec<usize>,
}

impl<T: Element> PackedWeights<T> {
    /// Packs `weight(group, row, tap)`. Blocks of taps end at `block_ends`, the last with the last tap.
    pub(crate) fn new(
        [groups, rows, panel_rows]: [usize; 3],
        block_ends: Vec<usize>,
        weight: impl Fn(usize, usize, usize) -> T,
    ) -> Self {
        let taps = block_ends.last().copied().unwrap_or(0);
        let mut packed = PackedWeights { data: Vec::new(), groups, rows, panel_rows, block_ends };
        let mut data = Vec::with_capacity(groups * rows * taps + SPARE);
        for group in 0..groups {
            for block in packed.blocks() {
                for first in (0..rows).step_by(panel_rows) {
                    let panel = first..rows.min(first + panel_rows);
                    for tap in block.clone() {
                        data.extend(panel.clone().map(|row| weight(group, row, tap)));
                    }
                }
            }
        }
        data.resize(data.len() + SPARE, T::ZERO);
        packed.data = data;
        packed
    }

    /// Taps in all.
    pub(crate) fn taps(&self) -> usize {
        self.block_ends.last().copied().unwrap_or(0)
    }

    /// The blocks of taps, in order.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let starts = core::iter::once(0).chain(self.block_ends.iter().copied());
        starts.zip(&self.block_ends).map(|(start, &end)| start..end)
    }

    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Rows of every panel but a group's last.
    pub(crate) fn panel_rows(&self) -> usize {
        self.panel_rows
    }

    /// Rows of a group's panel.
    pub(crate) fn rows_of(&self, panel: usize) -> usize {
        self.panel_rows.min(self.rows - panel * self.panel_rows)
    }

    /// `[tap][row]` of one panel in one block, and at least [`SPARE`] elements behind it.
    pub(crate) fn panel(&self, group: usize, block: usize, panel: usize) -> &[T] {
        let start = if block == 0 { 0 } else { self.block_ends[block - 1] };
        let taps = self.block_ends[block] - start;
        let before = group * self.rows * self.taps() + self.rows * start + panel * self.panel_rows * taps;
        &self.data[before..before + taps * self.rows_of(panel) + SPARE]
    }
}
