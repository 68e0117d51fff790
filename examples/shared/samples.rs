//! Pictures in files: PNG and JPEG are read, PNG is written.

use std::fmt::Display;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use ndconv::ndarray::Array3;
use png::{BitDepth, ColorType, Compression, Filter, Limits, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG_SIGNATURE: &[u8] = b"\xff\xd8\xff";
/// A few bytes can claim to be a picture of any size: beyond this one nobody allocates what they claim.
const MAX_BYTES: usize = 512 << 20;

/// The samples of a picture, `[height, width, channels]`: gray, gray and alpha, RGB, or RGB and alpha.
pub(crate) enum Samples {
    Eight(Array3<u8>),
    Sixteen(Array3<u16>),
}

impl Samples {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let samples = fs::read(path).map_err(reason).and_then(|file| Samples::decode(&file));
        samples.map_err(|error| format!("cannot read {}: {error}", path.display()))
    }

    /// The picture that a file's bytes are, whatever the file's name.
    pub(crate) fn decode(file: &[u8]) -> Result<Self, String> {
        if file.starts_with(PNG_SIGNATURE) {
            decode_png(file).map_err(|error| format!("PNG: {error}"))
        } else if file.starts_with(JPEG_SIGNATURE) {
            decode_jpeg(file).map_err(|error| format!("JPEG: {error}"))
        } else {
            Err("neither a PNG nor a JPEG".into())
        }
    }

    /// Writes a PNG file.
    pub(crate) fn write(&self, path: &Path, compression: Compression) -> Result<(), String> {
        let written = self.encode(compression).map_err(reason).and_then(|file| fs::write(path, file).map_err(reason));
        written.map_err(|error| format!("cannot write {}: {error}", path.display()))
    }

    fn encode(&self, compression: Compression) -> Result<Vec<u8>, png::EncodingError> {
        let (depth, (height, width, channels), bytes): (_, _, Vec<u8>) = match self {
            Samples::Eight(levels) => (BitDepth::Eight, levels.dim(), levels.iter().copied().collect()),
            Samples::Sixteen(levels) => {
                (BitDepth::Sixteen, levels.dim(), levels.iter().flat_map(|level| level.to_be_bytes()).collect())
            }
        };
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
        encoder.set_color(match channels {
            1 => ColorType::Grayscale,
            2 => ColorType::GrayscaleAlpha,
            3 => ColorType::Rgb,
            _ => ColorType::Rgba,
        });
        encoder.set_depth(depth);
        encoder.set_compression(compression);
        encoder.set_filter(Filter::Adaptive);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&bytes)?;
        writer.finish()?;
        Ok(file)
    }
}

fn decode_png(file: &[u8]) -> Result<Samples, String> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(file), Limits { bytes: MAX_BYTES });
    // Palettes become colours, single bits whole bytes, and a transparent colour alpha.
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(reason)?;
    let mut bytes = buffer(reader.output_buffer_size())?;
    let frame = reader.next_frame(&mut bytes).map_err(reason)?;
    bytes.truncate(frame.buffer_size());
    let shape = (frame.height as usize, frame.width as usize, frame.color_type.samples());
    if frame.bit_depth == BitDepth::Sixteen {
        let levels = bytes.as_chunks().0.iter().map(|&level| u16::from_be_bytes(level));
        Array3::from_shape_vec(shape, levels.collect()).map(Samples::Sixteen).map_err(reason)
    } else {
        Array3::from_shape_vec(shape, bytes).map(Samples::Eight).map_err(reason)
    }
}

fn decode_jpeg(file: &[u8]) -> Result<Samples, String> {
    // The bytes are counted below, so that a panorama may be as long as it likes.
    let options = DecoderOptions::default().set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(file), options);
    decoder.decode_headers().map_err(reason)?;
    // Gray stays gray; everything else, also CMYK, becomes RGB.
    let colours = if decoder.input_colorspace() == Some(ColorSpace::Luma) { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let mut bytes = buffer(decoder.output_buffer_size())?;
    decoder.decode_into(&mut bytes).map_err(reason)?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    Array3::from_shape_vec((height, width, colours.num_components()), bytes).map(Samples::Eight).map_err(reason)
}

/// Memory for a picture of so many bytes; None is more than can be counted.
fn buffer(bytes: Option<usize>) -> Result<Vec<u8>, String> {
    match bytes {
        Some(bytes @ ..=MAX_BYTES) => Ok(vec![0; bytes]),
        _ => Err(format!("the picture has more than {} MiB", MAX_BYTES >> 20)),
    }
}

fn reason(error: impl Display) -> String {
    // Some of zune-jpeg's end in a new line.
    error.to_string().trim_end().to_owned()
}
