//! Weights in the order in which the register tile reads them.

use core::ops::Range;

use super::blocking::SPARE;
use crate::aligned::Aligned;
use crate::element::Element;
use crate::parts::Chunks;

/// `[group][block of taps][panel][tap][row]`: each panel of a block is one run of memory, and together they are
/// exactly as many elements as the weight has.
#[derive(Clone, Debug)]
pub(crate) struct PackedWeights<T> {
    data: Aligned<T>,
    /// The rows of each group, in panels.
    panels: Chunks,
    /// Where each block of taps ends; the first starts at 0.
    block_ends: Vec<usize>,
    finite: bool,
}

impl<T: Element> PackedWeights<T> {
    /// Packs `weight(group, row, tap)`. Blocks of taps end at `block_ends`, the last with the last tap.
    pub(crate) fn new(
        groups: usize,
        panels: Chunks,
        block_ends: Vec<usize>,
        weight: impl Fn(usize, usize, usize) -> T,
    ) -> Self {
        let taps = block_ends.last().copied().unwrap_or(0);
        let data = Aligned::filled(T::ZERO, groups * panels.total * taps + SPARE);
        let mut packed = PackedWeights { data, panels, block_ends, finite: true };
        let mut data = core::mem::take(&mut packed.data);
        let mut places = data.elements_mut().iter_mut();
        for group in 0..groups {
            for block in packed.blocks() {
                for panel in 0..panels.count() {
                    let rows = panels.range(panel..panel + 1);
                    for tap in block.clone() {
                        rows.clone().zip(&mut places).for_each(|(row, to)| *to = weight(group, row, tap));
                    }
                }
            }
        }
        packed.finite = data.elements().iter().all(|weight| weight.finite());
        packed.data = data;
        packed
    }

    /// Whether all of them are finite.
    pub(crate) fn finite(&self) -> bool {
        self.finite
    }

    /// Taps in all.
    pub(crate) fn taps(&self) -> usize {
        self.block_ends.last().copied().unwrap_or(0)
    }

    /// The blocks of taps, in order.
    pub(crate) fn blocks(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        (0..self.block_ends.len()).map(|block| self.block(block))
    }

    fn block(&self, block: usize) -> Range<usize> {
        let start = if block == 0 { 0 } else { self.block_ends[block - 1] };
        start..self.block_ends[block]
    }

    /// The rows of each group, in panels.
    pub(crate) fn panels(&self) -> Chunks {
        self.panels
    }

    /// `[tap][row]` of one panel in one block, and at least [`SPARE`] elements behind it.
    pub(crate) fn panel(&self, group: usize, block: usize, panel: usize) -> &[T] {
        let (start, taps) = (self.block(block).start, self.block(block).len());
        let rows = self.panels.range(panel..panel + 1);
        let before = group * self.panels.total * self.taps() + self.panels.total * start + rows.start * taps;
        &self.data.elements()[before..before + taps * rows.len() + SPARE]
    }
}
