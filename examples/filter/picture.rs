//! Pictures as tensors: 8 or 16 bits a channel, the colours apart from alpha.

use std::path::Path;

use ndconv::ndarray::{Array3, ArrayRef4, ArrayView4, Axis, s};
use png::Compression;

use crate::samples::Samples;

/// A picture that has been read.
pub(crate) struct Picture {
    /// 16 bits a channel, not 8.
    sixteen: bool,
    /// `[height, width, channels]`, from 0 to 1.
    samples: Array3<f32>,
}

impl Picture {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        Ok(match Samples::read(path)? {
            Samples::Eight(levels) => {
                Picture { sixteen: false, samples: levels.mapv(|level| f32::from(level) / 255.0) }
            }
            Samples::Sixteen(levels) => {
                Picture { sixteen: true, samples: levels.mapv(|level| f32::from(level) / 65535.0) }
            }
        })
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        // `as` cuts off what exceeds the range.
        let samples = if self.sixteen {
            Samples::Sixteen(self.samples.mapv(|level| (level * 65535.0).round() as u16))
        } else {
            Samples::Eight(self.samples.mapv(|level| (level * 255.0).round() as u8))
        };
        // The others take many times as long for a photo.
        samples.write(path, Compression::Fast)
    }

    /// The colours, without alpha, `[1, channels, height, width]`: the same memory seen in another order.
    pub(crate) fn colours(&self) -> ArrayView4<'_, f32> {
        let colours = self.samples.slice(s![.., .., ..self.colour_count()]);
        colours.permuted_axes([2, 0, 1]).insert_axis(Axis(0))
    }

    /// Replaces the colours.
    pub(crate) fn set_colours(&mut self, colours: &ArrayRef4<f32>) {
        let count = self.colour_count();
        let interleaved = colours.view().index_axis_move(Axis(0), 0).permuted_axes([1, 2, 0]);
        self.samples.slice_mut(s![.., .., ..count]).assign(&interleaved);
    }

    fn colour_count(&self) -> usize {
        // One or three, and alpha.
        let channels = self.samples.dim().2;
        if channels.is_multiple_of(2) { channels - 1 } else { channels }
    }
}
