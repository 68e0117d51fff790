//! Pictures as tensors: 8 or 16 bits a channel, the colours apart from alpha.

use std::fmt::Display;
use std::path::Path;

use image::{ColorType, ImageReader};
use ndconv::ndarray::{Array3, ArrayRef4, ArrayView4, Axis, s};

/// A picture that has been read.
pub(crate) struct Picture {
    kind: ColorType,
    /// `[height, width, channels]`, from 0 to 1.
    samples: Array3<f32>,
}

impl Picture {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let named = |error: &dyn Display| format!("cannot read {}: {error}", path.display());
        let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
        let picture = reader.map_err(|error| named(&error))?.decode().map_err(|error| named(&error))?;
        let (kind, bytes) = (picture.color(), picture.as_bytes());
        let samples: Vec<f32> = match bytes_per_channel(kind) {
            1 => bytes.iter().map(|&level| f32::from(level) / 255.0).collect(),
            2 => {
                let levels = bytes.chunks_exact(2).map(|pair| u16::from_ne_bytes([pair[0], pair[1]]));
                levels.map(|level| f32::from(level) / 65535.0).collect()
            }
            _ => return Err(named(&format_args!("{kind:?} samples, expected 8 or 16 bits"))),
        };
        let shape = (picture.height() as usize, picture.width() as usize, usize::from(kind.channel_count()));
        let samples = Array3::from_shape_vec(shape, samples).map_err(|error| named(&error))?;
        Ok(Picture { kind, samples })
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let (height, width, _) = self.samples.dim();
        // `as` cuts off what exceeds the range.
        let bytes: Vec<u8> = match bytes_per_channel(self.kind) {
            1 => self.samples.iter().map(|level| (level * 255.0).round() as u8).collect(),
            _ => self.samples.iter().flat_map(|level| ((level * 65535.0).round() as u16).to_ne_bytes()).collect(),
        };
        image::save_buffer(path, &bytes, width as u32, height as u32, self.kind)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
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
        usize::from(self.kind.channel_count()) - usize::from(self.kind.has_alpha())
    }
}

fn bytes_per_channel(kind: ColorType) -> u8 {
    kind.bytes_per_pixel() / kind.channel_count()
}
