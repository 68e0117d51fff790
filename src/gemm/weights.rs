//! Weights in the order in which the register tile reads them.

use core::ops::Range;

use super::blocking::{SPARE, TileShape};
use crate::aligned::Aligned;
use crate::element::Element;
use crate::kernels::channel_tile::PanelOfAll;
use crate::kernels::tile::Panel;
use crate::parts::Chunks;

/// `[group][block of taps][panel][tap][row]`: each panel of a block is one run of memory.
#[derive(Clone, Debug)]
pub(crate) struct PackedWeights<T> {
    data: Aligned<T>,
    /// The rows of each group, in panels.
    panels: Chunks,
    /// The taps of each block. Blocks may share some, where their rows have different taps.
    blocks: Vec<Range<usize>>,
    /// How many taps the blocks before each have, and last all of them.
    before: Vec<usize>,
    /// The rows that each tap of each block has, if not all have all.
    masks: Vec<u32>,
    finite: bool,
}

impl<T: Element> PackedWeights<T> {
    /// Packs `weight(group, row, tap, block)`, which is none where a row does not have the tap in that block. Then there is one panel,
    /// and it is so in all groups.
    pub(crate) fn new(
        groups: usize,
        panels: Chunks,
        blocks: &[Range<usize>],
        weight: impl Fn(usize, usize, usize, usize) -> Option<T>,
    ) -> Self {
        let mut before = vec![0];
        before.extend(blocks.iter().scan(0, |sum, block| {
            *sum += block.len();
            Some(*sum)
        }));
        let taps = before[blocks.len()];
        // Behind them zeros, for each row of a group.
        let mut data = Aligned::filled(T::ZERO, groups * panels.total * taps + panels.total.max(SPARE));
        let mut places = data.elements_mut().iter_mut();
        let (mut masks, mut all) = (Vec::new(), true);
        for group in 0..groups {
            for (block, taps) in blocks.iter().enumerate() {
                for panel in 0..panels.count() {
                    let rows = panels.range(panel..panel + 1);
                    for tap in taps.clone() {
                        let mut mask = 0u32;
                        for ((row, place), bit) in rows.clone().zip(&mut places).zip(0..) {
                            let weight = weight(group, row, tap, block);
                            mask |= u32::from(weight.is_some()) << bit;
                            *place = weight.unwrap_or(T::ZERO);
                        }
                        all &= mask.count_ones() as usize == rows.len();
                        if group == 0 && panel == 0 {
                            masks.push(mask);
                        }
                    }
                }
            }
        }
        let finite = data.elements().iter().all(|weight| weight.finite());
        let masks = if all { Vec::new() } else { masks };
        debug_assert!(all || panels.count() == 1, "masks are those of one panel");
        PackedWeights { data, panels, blocks: blocks.to_vec(), before, masks, finite }
    }

    /// The weight of a group, row and tap.
    pub(crate) fn weight(&self, group: usize, row: usize, tap: usize) -> T {
        let panel = row / self.panels.size;
        let rows = self.panels.range(panel..panel + 1);
        let first = self.blocks.partition_point(|block| block.end <= tap);
        let blocks = (first..).zip(&self.blocks[first..]).take_while(|(_, block)| block.start <= tap);
        let of_block = |(index, block): (usize, &Range<usize>)| {
            self.panel(group, index, panel)[(tap - block.start) * rows.len() + row - rows.start]
        };
        // Where blocks share a tap it is zero in all but one.
        blocks.map(of_block).fold(T::ZERO, T::plus)
    }

    /// Whether all of them are finite.
    pub(crate) fn finite(&self) -> bool {
        self.finite
    }

    /// Taps that are summed over.
    pub(crate) fn taps(&self) -> usize {
        self.blocks.last().map_or(0, |block| block.end)
    }

    /// The blocks of taps, in order.
    pub(crate) fn blocks(&self) -> &[Range<usize>] {
        &self.blocks
    }

    /// The rows of each group, in panels.
    pub(crate) fn panels(&self) -> Chunks {
        self.panels
    }

    /// `[tap][row]` of one panel in one block, and at least [`SPARE`] elements behind it.
    pub(crate) fn panel(&self, group: usize, block: usize, panel: usize) -> &[T] {
        self.consecutive(group, block, panel..panel + 1)
    }

    /// `[panel][tap][row]` of some panels in one block, and at least [`SPARE`] elements behind them.
    pub(crate) fn consecutive(&self, group: usize, block: usize, panels: Range<usize>) -> &[T] {
        let taps = self.blocks[block].len();
        let of_group = self.before[self.blocks.len()];
        let rows = self.panels.range(panels);
        let before = (group * of_group + self.before[block]) * self.panels.total + rows.start * taps;
        &self.data.elements()[before..before + taps * rows.len() + SPARE]
    }

    /// The panel that is read after one, where some panels are read block by block; none after the last.
    pub(crate) fn panel_after(&self, group: usize, block: usize, panel: usize, panels: &Range<usize>) -> Option<&[T]> {
        if panel + 1 < panels.end {
            Some(self.panel(group, block, panel + 1))
        } else if block + 1 < self.blocks.len() {
            Some(self.panel(group, block + 1, panels.start))
        } else {
            None
        }
    }

    /// The bias of so many rows where there is none.
    pub(crate) fn zeros(&self, rows: usize) -> &[T] {
        let all = self.data.elements();
        &all[all.len() - rows..]
    }

    /// Taps of the largest block.
    pub(crate) fn most_taps(&self) -> usize {
        self.blocks.iter().map(ExactSizeIterator::len).max().unwrap_or(0)
    }

    /// Whether some rows have not all taps.
    pub(crate) fn has_masks(&self) -> bool {
        !self.masks.is_empty()
    }

    /// The rows that each tap of a block has, or nothing if all have all.
    pub(crate) fn masks(&self, block: usize) -> &[u32] {
        if self.masks.is_empty() { &[] } else { &self.masks[self.before[block]..self.before[block + 1]] }
    }
}

/// Some panels of a group's rows. They know of no source: kernels that take what is made of them are compiled once for all sources.
pub(crate) struct WeightRows<'a, T> {
    pub(crate) weights: &'a PackedWeights<T>,
    pub(crate) group: usize,
    /// Which panels of the group.
    pub(crate) panels: Range<usize>,
    /// One number for each row of those panels, or none.
    pub(crate) bias: Option<&'a [T]>,
}

impl<'a, T: Element> WeightRows<'a, T> {
    /// The rows of some panels, of those of all of these.
    pub(super) fn of(&self, panels: Range<usize>) -> Range<usize> {
        let all = self.weights.panels();
        let (before, rows) = (all.range(self.panels.clone()).start, all.range(panels));
        rows.start - before..rows.end - before
    }

    /// Some panels in a block.
    pub(super) fn panel(&self, block: usize, panels: Range<usize>) -> Panel<'a, T> {
        let rows = self.of(panels.clone());
        let bias = match (block, self.bias) {
            (0, Some(bias)) => Some(&bias[rows.clone()]),
            (0, None) => Some(self.weights.zeros(rows.len())),
            _ => None,
        };
        let weights = self.weights.consecutive(self.group, block, panels);
        Panel { weights, rows: self.weights.panels().size.min(rows.len()), bias }
    }

    /// Panels in a block one by one, with channels as lanes and so many pixels.
    pub(super) fn each(
        &self,
        block: usize,
        panels: Range<usize>,
        (shape, pixels): (TileShape, usize),
    ) -> impl Iterator<Item = PanelOfAll<'a, T>> {
        panels.map(move |panel| PanelOfAll {
            panel: self.panel(block, panel..panel + 1),
            first_sum: shape.padded(self.of(panel..panel + 1).start) * pixels,
            next: self.weights.panel_after(self.group, block, panel, &self.panels).unwrap_or_default(),
        })
    }
}
