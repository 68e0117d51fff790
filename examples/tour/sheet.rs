//! The contact sheet: panels in a grid, with two lines of text under each.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::imageops::{self, FilterType};
use image::{ImageResult, Rgb, RgbImage};

use crate::font;

/// Panels in a row.
const COLUMNS: u32 = 5;
/// Width of a panel: 32 characters.
const PANEL_WIDTH: u32 = 32 * font::ADVANCE;
/// Space between panels and around them.
const GAP: u32 = 14;
/// From a panel to its caption.
const MARGIN: u32 = 5;
/// From line to line.
const LEADING: u32 = font::HEIGHT + 3;

const BACKGROUND: Rgb<u8> = Rgb([38, 40, 44]);
/// Behind pictures that do not fill their panel.
const MOUNT: Rgb<u8> = Rgb([28, 29, 32]);
const TITLE: Rgb<u8> = Rgb([236, 237, 240]);
const CAPTION: Rgb<u8> = Rgb([158, 163, 172]);

/// One picture of the sheet.
pub(crate) struct Panel {
    pub(crate) picture: RgbImage,
    pub(crate) title: String,
    pub(crate) caption: String,
}

/// Draws the panels. The first one's picture fills its panel, and the others are scaled as it is, so that sizes compare.
pub(crate) fn draw(panels: &[Panel]) -> RgbImage {
    let (width, height) = panels.first().map_or((4, 3), |panel| panel.picture.dimensions());
    let size @ [panel_width, panel_height] = [PANEL_WIDTH, (PANEL_WIDTH * height / width).clamp(48, 2 * PANEL_WIDTH)];
    let scale = f64::from(panel_width) / f64::from(width);
    let pitch = [panel_width + GAP, panel_height + MARGIN + 2 * LEADING + GAP];
    let rows = (panels.len() as u32).div_ceil(COLUMNS);
    let mut sheet = RgbImage::from_pixel(COLUMNS * pitch[0] + GAP, rows * pitch[1] + GAP, BACKGROUND);
    for (index, panel) in (0..).zip(panels) {
        let [x, y] = [GAP + index % COLUMNS * pitch[0], GAP + index / COLUMNS * pitch[1]];
        imageops::replace(&mut sheet, &mounted(&panel.picture, size, scale), x.into(), y.into());
        let below = y + panel_height + MARGIN;
        font::write(&mut sheet, &panel.title, [x, below], TITLE);
        font::write(&mut sheet, &panel.caption, [x, below + LEADING], CAPTION);
    }
    sheet
}

/// The scaled picture in the middle of a panel, reduced if it does not fit.
fn mounted(picture: &RgbImage, [width, height]: [u32; 2], scale: f64) -> RgbImage {
    let (w, h) = picture.dimensions();
    let scale = scale.min(f64::from(width) / f64::from(w)).min(f64::from(height) / f64::from(h));
    let scaled = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    let [w, h] = [scaled(w), scaled(h)];
    // Much enlarged, the pixels themselves are what there is to see.
    let filter = if scale >= 2.0 { FilterType::Nearest } else { FilterType::Triangle };
    let fitted = imageops::resize(picture, w, h, filter);
    let mut panel = RgbImage::from_pixel(width, height, MOUNT);
    imageops::replace(&mut panel, &fitted, i64::from((width - w) / 2), i64::from((height - h) / 2));
    panel
}

/// Writes a PNG file, as small as may be.
pub(crate) fn write(sheet: &RgbImage, path: &Path) -> ImageResult<()> {
    let file = BufWriter::new(File::create(path)?);
    sheet.write_with_encoder(PngEncoder::new_with_quality(file, CompressionType::Best, PngFilter::Adaptive))
}
