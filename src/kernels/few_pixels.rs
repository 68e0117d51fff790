//! The register tile with output channels as lanes for one to three pixels: several weight panels at a time.
//!
//! ```text
//! for tap in list:                      # of a block: one partial sum
//!     for m in 0..M: w[m][0..V] = weights[panel + m][tap]
//!     for p in 0..N: acc[p][0..M][0..V] += pixels[tap][p] * w[0..M][0..V]
//! sums[p] = (bias or sums[p]) + acc[p]
//! ```
//!
//! With one panel each multiply-add would wait for the one before it: there are four cycles between them, and two vectors of channels make two of them.
//! Every weight is read once, so memory is the limit.

use super::tile::{Block, Panel, limit};
use crate::simd::taps::Operand;
use crate::simd::{Arithmetic, Kernel, Simd, unroll};

/// Some weight panels, all of the same size, times the pixels of a block.
pub(crate) struct MultiplyFew<'a, 's, T> {
    pub(crate) block: &'s Block<'a, T>,
    pub(crate) panel: Panel<'a, T>,
    pub(crate) panels: usize,
    /// How many share a tile at most.
    pub(crate) most: usize,
    /// `[panel][pixel][channel]`, a pixel's channels in whole vectors.
    pub(crate) sums: &'s mut [T],
}

/// Most pixels of a tile.
pub(crate) const FEW: usize = 3;

/// And most panels.
pub(crate) const MOST: usize = 4;

/// Panels of so many vectors that go together at most, for tiles of so many pixels; one if they had better not.
pub(crate) const fn panels_together(registers: usize, vectors: usize, pixels: usize) -> usize {
    let sums = vectors * pixels;
    let fitting = registers * 3 / 4 / sums;
    match fitting {
        _ if pixels > FEW => 1,
        ..MOST => fitting,
        _ => MOST,
    }
}

impl<T: Arithmetic> Kernel<T> for MultiplyFew<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        if const { !S::CHANNEL_TILES } {
            unreachable!("not chosen where there are none");
        }
        match self.panel.rows / S::LANES {
            1 if const { S::PANEL_VECTORS == 1 } => self.run_tiles::<S, 1>(simd),
            2 if const { S::PANEL_VECTORS == 2 } => self.run_tiles::<S, 2>(simd),
            vectors => unreachable!("no tile of {vectors} vectors"),
        }
    }
}

impl<T: Arithmetic> MultiplyFew<'_, '_, T> {
    #[inline(always)]
    fn run_tiles<S: Simd<T>, const V: usize>(self, simd: S) {
        let MultiplyFew { block, panel, panels, most, sums } = self;
        let (each, of_panel) = (sums.len() / panels, V * S::LANES);
        for (first, sums) in (0..).step_by(most).zip(sums.chunks_mut(most * each)) {
            let weights = &panel.weights[first * of_panel * block.depth as usize..];
            let panel = Panel { weights, bias: panel.bias.map(|bias| &bias[first * of_panel..]), ..panel };
            let together = sums.len() / each;
            for tile in 0..block.tiles.len() {
                macro_rules! by_size {
                    ($($panels:literal x $($pixels:literal)*),*) => {
                        match (together, block.tiles[tile].pixels()) {
                            $($(($panels, $pixels) if const { S::CHANNEL_TILES && $panels <= panels_together(S::REGISTERS, V, $pixels) } => {
                                let (panel, sums) = (&panel, &mut *sums);
                                simd.call(OneTile::<T, $pixels, $panels, V> { block, panel, tile, sums });
                            })*)*
                            size => unreachable!("no tile of panels and pixels {size:?}"),
                        }
                    };
                }
                by_size!(1 x 1 2 3, 2 x 1 2 3, 3 x 1 2 3, 4 x 1 2 3);
            }
        }
    }
}

/// A tile of `N` pixels and `M` panels of `V` vectors.
struct OneTile<'a, 's, T, const N: usize, const M: usize, const V: usize> {
    block: &'s Block<'a, T>,
    panel: &'s Panel<'a, T>,
    tile: usize,
    sums: &'s mut [T],
}

impl<T: Arithmetic, const N: usize, const M: usize, const V: usize> Kernel<T> for OneTile<'_, '_, T, N, M, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, simd: S) {
        let (block, width) = (self.block, V * S::LANES);
        let tile = &block.tiles[self.tile];
        // From pixel to pixel, in memory and in number: they are neighbours in a row or in a column.
        let (step, apart) =
            if tile.runs > 1 { (block.pitch as usize, block.run as usize) } else { (block.step as usize, 1) };
        let pitch = block.depth as usize * width;
        let weights = (self.panel.weights, width, (M - 1) * pitch + width);
        let operands = block.operands(tile, (N - 1) * step + 1, weights);
        let mut acc = [[[simd.splat(T::ZERO); V]; M]; N];
        for Operand { pixels, weights, .. } in operands {
            let mut x = [simd.splat(T::ZERO); N];
            unroll!(PIXEL < N, at most 3, {
                x[PIXEL] = simd.splat(pixels[PIXEL * step]);
            });
            unroll!(PANEL < M, at most 4, {
                let weights = &weights[PANEL * pitch..][..width];
                unroll!(VECTOR < V, at most 2, {
                    let w = simd.load(&weights[VECTOR * S::LANES..]);
                    unroll!(PIXEL < N, at most 3, {
                        acc[PIXEL][PANEL][VECTOR] = simd.fma(x[PIXEL], w, acc[PIXEL][PANEL][VECTOR]);
                    });
                });
            });
        }
        let pitch = self.sums.len() / M;
        unroll!(PANEL < M, at most 4, {
            unroll!(PIXEL < N, at most 3, {
                let first = PANEL * pitch + (tile.pixel as usize + PIXEL * apart) * width;
                unroll!(VECTOR < V, at most 2, {
                    let before = match self.panel.bias {
                        Some(bias) => simd.load(&bias[(PANEL * V + VECTOR) * S::LANES..]),
                        None => simd.load(&self.sums[first + VECTOR * S::LANES..]),
                    };
                    acc[PIXEL][PANEL][VECTOR] = simd.add(before, acc[PIXEL][PANEL][VECTOR]);
                });
            });
        });
        unroll!(PIXEL < N, at most 3, {
            limit(simd, &mut acc[PIXEL], block.limits);
            unroll!(PANEL < M, at most 4, {
                let first = PANEL * pitch + (tile.pixel as usize + PIXEL * apart) * width;
                unroll!(VECTOR < V, at most 2, {
                    simd.store(acc[PIXEL][PANEL][VECTOR], &mut self.sums[first + VECTOR * S::LANES..]);
                });
            });
        });
    }
}

/// Turns the sums of a panel to rows of pixels.
pub(crate) fn turn<T: Copy>(sums: &[T], rows: &mut [&mut [T]]) {
    for (pixel, sums) in sums.chunks_exact(rows.len()).enumerate() {
        for (row, sum) in rows.iter_mut().zip(sums) {
            row[pixel] = *sum;
        }
    }
}
