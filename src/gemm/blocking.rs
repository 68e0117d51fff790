//! The sizes of what is worked on at a time.

use core::ops::Range;

use crate::algorithm::Algorithm;
use crate::element::Element;
use crate::kernels::{channel_tile, few_pixels, pixel_tile};
use crate::parts::{Chunks, even_part};
use crate::simd::{Isa, Kernel, Simd, second_level_cache};

/// Elements behind the pixels of a tap, and behind a weight panel, that may be read but count for nothing: a vector of any
/// instruction set.
pub(crate) const SPARE: usize = 16;

/// Bytes of a region where the second-level cache has twice as many or more, as where vectors are wide, and half as many elsewhere. Measured with `cargo bench --bench layers` and AVX2 on Zen 4: 1.01 times as
/// fast in the mean as with half as many, 1x1 of 512 to 1024 channels at 14x14 1.02 to 1.09 times.
const REGION_BYTES: usize = 512 << 10;

/// What a register tile takes before its first tap and after its last one, in multiply-adds, where vectors are wide and elsewhere. Measured on layers of some
/// microseconds with `cargo bench --bench planner`; with 80 for AVX2 a deep 3x3 layer gets tiles that are 1.07 times slower.
const BEGIN_WIDE: usize = 80;
const BEGIN: usize = 30;

/// Multiply-adds that a tap of a tile takes at least: with fewer each would wait for the one before it.
const LATENCY: usize = 8;
/// Instructions of a tap beside its multiply-adds and what they load, and how many of all run in a cycle (two multiply-adds do). The first
/// is counted in the loop of 6 pixels by 2 vectors with AVX2, the second is measured with `cargo bench --bench layers`.
const LOOP: usize = 8;
const PER_CYCLE: usize = 5;

/// Pixels that a part of a run should have where tiles are made smaller for the sake of padding, if they have `most` at most.
pub(super) fn least_part(most: usize) -> usize {
    most.div_ceil(2).max(4)
}

/// What the lanes of a register tile are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lanes {
    /// Output channels: [`channel_tile`].
    Channels,
    /// Pixels: [`pixel_tile`].
    Pixels,
    /// Output channels, with the pixels of each tile gathered: [`gather`](crate::kernels::gather).
    GatheredChannels,
    /// Pixels, gathered.
    GatheredPixels,
}

impl Lanes {
    /// The algorithm that such tiles make.
    pub(crate) fn algorithm(self) -> Algorithm {
        match self {
            Lanes::Channels => Algorithm::GemmChannels,
            Lanes::Pixels => Algorithm::GemmPixels,
            Lanes::GatheredChannels => Algorithm::GatheredChannels,
            Lanes::GatheredPixels => Algorithm::GatheredPixels,
        }
    }

    pub(crate) fn are_pixels(self) -> bool {
        matches!(self, Lanes::Pixels | Lanes::GatheredPixels)
    }

    pub(crate) fn gathered(self) -> bool {
        matches!(self, Lanes::GatheredChannels | Lanes::GatheredPixels)
    }

    /// How far apart in packed memory pixels lie that are `step` apart in the image: with channels as lanes pixels are read one by one, so
    /// that any distance is as good as none.
    pub(crate) fn pixel_step(self, step: usize) -> usize {
        if self == Lanes::Pixels { 1 } else { step }
    }
}

/// The register tiles of an instruction set for an element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TileShape {
    /// Elements of a vector.
    pub(crate) lanes: usize,
    /// Output channels of a weight panel.
    panel: usize,
    registers: usize,
    rows: usize,
    /// Whether there are tiles with channels as lanes, or any but the simplest.
    pub(crate) channel_tiles: bool,
    /// Whether tiles of one vector of pixels read no further than they have pixels.
    pub(crate) reads_partly: bool,
    /// What a tile takes beside its taps, in multiply-adds.
    pub(crate) begin: usize,
    /// Elements of working memory that a region may take: they stay in the second-level cache along with what streams through it. That has 1 MiB or more
    /// on machines with vectors of 64 bytes, and on some others.
    pub(crate) region: usize,
}

impl TileShape {
    pub(crate) fn of<T: Element>(isa: Isa) -> TileShape {
        struct Shape;
        impl<T: Copy> Kernel<T> for Shape {
            type Output = TileShape;
            #[inline(always)]
            fn run<S: Simd<T>>(self, _: S) -> TileShape {
                let panel = S::PANEL_VECTORS * S::LANES;
                let wide = S::LANES * size_of::<T>() >= 64;
                let large = wide || second_level_cache() >= 2 * REGION_BYTES;
                TileShape {
                    lanes: S::LANES,
                    panel,
                    registers: S::REGISTERS,
                    rows: S::TILE_ROWS,
                    channel_tiles: S::CHANNEL_TILES,
                    reads_partly: pixel_tile::reads_partly::<T, S>(),
                    begin: if wide { BEGIN_WIDE } else { BEGIN },
                    region: if large { REGION_BYTES } else { REGION_BYTES / 2 } / size_of::<T>(),
                }
            }
        }
        T::launch(isa, Shape)
    }

    /// The kinds of tiles that there are.
    pub(crate) fn kinds(self) -> &'static [Lanes] {
        if self.channel_tiles {
            &[Lanes::Channels, Lanes::Pixels, Lanes::GatheredChannels, Lanes::GatheredPixels]
        } else {
            &[Lanes::Pixels]
        }
    }

    /// So many output channels in weight panels.
    pub(crate) fn panels(self, channels: usize) -> Chunks {
        Chunks { total: channels, size: self.panel }
    }

    /// Weight panels that go through the tiles together. With pixels as lanes those of a tile are read again for each few output channels, so that
    /// the more there are, the less of them comes from beyond the first-level cache.
    /// With channels as lanes it is tiles of a few pixels that need more than one to be busy.
    pub(crate) fn panels_together(self, lanes: Lanes, tile_pixels: usize) -> usize {
        match lanes {
            Lanes::Pixels | Lanes::GatheredPixels => pixel_tile::rows_at_a_time(self.rows) / self.panel,
            Lanes::Channels => few_pixels::panels_together(self.registers, self.panel_vectors(), tile_pixels),
            Lanes::GatheredChannels => 1,
        }
    }

    /// What a tap costs for a panel, if so many go together.
    fn panel_cost(self, pixels: usize, vectors: usize, together: usize) -> usize {
        (pixels * vectors).max(LATENCY.div_ceil(together))
    }

    /// Vectors of the first panel of so many output channels.
    fn vectors_of(self, channels: usize) -> usize {
        channels.min(self.panel).div_ceil(self.lanes)
    }

    /// Whether a tile of so many pixels has enough to do.
    pub(crate) fn busy_alone(self, lanes: Lanes, channels: usize, pixels: usize) -> bool {
        !lanes.are_pixels() && pixels * self.vectors_of(channels) >= LATENCY
    }

    /// From how many pixels on a run has tiles of which each pixel leaves out the taps that it sees on padding, if they are the first or the last of
    /// a run: if tiles are ever so.
    pub(crate) fn clipped_run(self, lanes: Lanes, channels: usize) -> Option<usize> {
        let busy = LATENCY.div_ceil(self.vectors_of(channels));
        (lanes == Lanes::Channels).then(|| busy.max(few_pixels::FEW + 1))
    }

    /// From how many pixels on neighbours that all see the same taps have tiles of their own, whatever the run. Measured with `cargo bench --bench layers`, 3x3 with
    /// dilation 4 to 6 on 9 to 65 columns: 1.05 to 1.4 times as fast as with half of a tile's pixels at least.
    pub(crate) fn least_alike(self, channels: usize) -> usize {
        LATENCY.div_ceil(self.vectors_of(channels))
    }

    /// Whether pixels of a small image are better computed one by one, each with the taps that see the image from there, and not all with all taps
    /// that do from anywhere; where `seen` are the taps of all pixels, and `anywhere` those of them all together. Around each there is as much to do again.
    pub(crate) fn better_apart(self, channels: usize, pixels: usize, seen: usize, anywhere: usize) -> bool {
        let vectors = self.vectors_of(channels);
        let together = self.panels_together(Lanes::Channels, 1).min(channels / self.panel).max(1);
        2 * seen * self.panel_cost(1, vectors, together) < anywhere * self.panel_cost(pixels, vectors, 1)
    }

    /// Runs, and pixels of each at most, of the tiles that cover runs of so many pixels `step` apart, for weights with so many
    /// output channels in a group.
    pub(crate) fn tile_of_runs(self, lanes: Lanes, channels: usize, run: usize, step: usize) -> (usize, usize) {
        let rows = channels.min(self.panel);
        match lanes {
            Lanes::Channels => channel_tile::tile_of_runs(self.registers, rows.div_ceil(self.lanes), run, step),
            Lanes::GatheredChannels => {
                (1, channel_tile::most_in_run(self.registers, rows.div_ceil(self.lanes)).min(run))
            }
            Lanes::Pixels | Lanes::GatheredPixels => {
                let rows = pixel_tile::tile_rows(self.rows, rows);
                (1, self.lanes * pixel_tile::most_vectors(self.registers, rows))
            }
        }
    }

    /// One of the tiles of `most` pixels at most that cover a run: as even as can be, in whole vectors if pixels are lanes. A tile of one vector of pixels takes nearly
    /// as long as one of two.
    pub(crate) fn part(self, lanes: Lanes, run: usize, most: usize, part: usize) -> Range<usize> {
        let unit = if lanes.are_pixels() { self.lanes } else { 1 };
        let units = even_part(run.div_ceil(unit), run.div_ceil(most), part);
        units.start * unit..run.min(units.end * unit)
    }

    /// Runs that have a tile together, of so many that are left: see [`tile_of_runs`](TileShape::tile_of_runs), whose result that is for most.
    pub(crate) fn runs_of_tile(self, tile: (usize, usize), left: usize) -> usize {
        channel_tile::runs_of_tile(self.registers, tile, left)
    }

    /// Runs whose first pixels have a tile together, and how many of each do, if any.
    pub(crate) fn lead(self, lanes: Lanes, channels: usize, run: usize, step: usize) -> Option<(usize, usize)> {
        let (_, most) = self.tile_of_runs(lanes, channels, run, step);
        channel_tile::lead(most, run).filter(|_| lanes == Lanes::Channels)
    }

    /// Multiply-adds of vectors that a tap costs for some runs of pixels and all channels of a group. Tiles that are too small to be busy
    /// all the time count as what they wait for: each other, or the instructions around them.
    pub(crate) fn tap_cost(self, lanes: Lanes, channels: usize, [runs, run]: [usize; 2], step: usize) -> usize {
        let (together, most) = self.tile_of_runs(lanes, channels, run, step);
        let tile_of = |rows: usize, vectors: usize, panels: usize| {
            let loads = rows + vectors;
            let instructions = rows * vectors + loads + LOOP / panels;
            // As many loads as multiply-adds, or nearly so, where registers are few: a third of them come late.
            let loads = if self.many_registers() { 0 } else { loads * 4 / 3 };
            self.panel_cost(rows, vectors, panels).max(instructions * 2 / PER_CYCLE).max(loads)
        };
        let tile = |rows: usize, vectors: usize| tile_of(rows, vectors, 1);
        match lanes {
            Lanes::Channels | Lanes::GatheredChannels => {
                let of_panels = |pixels: usize| {
                    let (whole, rest) = (channels / self.panel, (channels % self.panel).div_ceil(self.lanes));
                    let last = if rest > 0 { tile(pixels, rest) } else { 0 };
                    let together = self.panels_together(lanes, pixels).min(whole).max(1);
                    whole * tile_of(pixels, self.panel_vectors(), together) + last
                };
                // Some parts have a pixel less.
                let of_parts = |runs: usize, run: usize| {
                    let parts = run.div_ceil(most);
                    let (less, more) = (parts - run % parts, run % parts);
                    let more = if more > 0 { more * of_panels(runs * (run / parts + 1)) } else { 0 };
                    less * of_panels(runs * (run / parts)) + more
                };
                let lead = self.lead(lanes, channels, run, step);
                let of_runs = |runs: usize| match lead {
                    Some((_, lead)) if runs > 1 => of_panels(runs * lead) + runs * of_parts(1, run - lead),
                    _ => of_parts(runs, run),
                };
                let (together, len) = lead.unwrap_or((together, most.min(run)));
                let rest = runs % together;
                let at_last = self.runs_of_tile((together, len), rest).max(1);
                runs / together * of_runs(together) + rest / at_last * of_runs(at_last)
            }
            Lanes::Pixels | Lanes::GatheredPixels => {
                let rows = self.rows_of(lanes, channels);
                let (vectors, parts) = (run.div_ceil(self.lanes), run.div_ceil(most));
                let (less, more) = (parts - vectors % parts, vectors % parts);
                let more = if more > 0 { more * tile(rows, vectors / parts + 1) } else { 0 };
                runs * (less * tile(rows, vectors / parts) + more) * channels.div_ceil(rows)
            }
        }
    }

    /// Tiles that the same pixels have, one for each few of a group's channels.
    pub(crate) fn tiles_of_pixels(self, lanes: Lanes, channels: usize) -> usize {
        channels.div_ceil(self.rows_of(lanes, channels))
    }

    /// The output channels of a tile, of so many of a group.
    pub(super) fn rows_of(self, lanes: Lanes, channels: usize) -> usize {
        if lanes.are_pixels() { pixel_tile::tile_rows(self.rows, channels.min(self.panel)) } else { self.panel }
    }

    /// Whether tiles gather their pixels themselves: those of the first of so many output channels for all others.
    pub(crate) fn tiles_gather(self, lanes: Lanes, channels: usize) -> bool {
        match lanes {
            Lanes::GatheredPixels => pixel_tile::tile_rows(self.rows, channels.min(self.panel)) >= pixel_tile::ASKING,
            Lanes::GatheredChannels => channel_tile::gathers(self.registers) && channels >= self.panel,
            Lanes::Channels | Lanes::Pixels => false,
        }
    }

    /// Channels of a group in whole vectors: what the sums of a pixel take.
    pub(crate) fn padded(self, channels: usize) -> usize {
        channels.next_multiple_of(self.lanes)
    }

    /// Elements that the sums of some channels and pixels take, and what may be read behind them.
    pub(crate) fn sums_len(self, lanes: Lanes, channels: usize, pixels: usize) -> usize {
        if lanes.are_pixels() { 0 } else { self.padded(channels) * pixels + self.lanes * self.panel }
    }

    /// And what the sums of a part of a block take, of a panel.
    pub(crate) fn partial_len(self, lanes: Lanes, pixels: usize) -> usize {
        if lanes == Lanes::Channels { self.panel * pixels } else { 0 }
    }

    /// Elements from one tile of gathered pixels to the next, for so many output channels and pixels in all.
    pub(crate) fn gathered_tile(self, lanes: Lanes, channels: usize, pixels: usize, taps: usize) -> usize {
        let (_, most) = self.tile_of_runs(lanes, channels, pixels, 1);
        most * taps + SPARE
    }

    /// Elements that gathered pixels take.
    pub(crate) fn gathered_len(self, lanes: Lanes, channels: usize, pixels: usize, taps: usize) -> usize {
        let (_, most) = self.tile_of_runs(lanes, channels, pixels, 1);
        // A tile more if they do not begin with whole vectors.
        (pixels.div_ceil(most) + 1) * self.gathered_tile(lanes, channels, pixels, taps)
    }

    /// Vectors of output channels in a weight panel.
    pub(crate) fn panel_vectors(self) -> usize {
        self.panel / self.lanes
    }

    /// Whether there are 32 of them.
    pub(crate) fn many_registers(self) -> bool {
        self.registers > 16
    }
}
