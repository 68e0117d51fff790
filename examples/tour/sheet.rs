//! The contact sheet: panels in a grid, with two lines of text under each.

use ndconv::ndarray::{Array2, s};

use crate::font;
use crate::picture::{self, Picture, Rgb};

/// Panels in a row.
const COLUMNS: usize = 5;
/// Width of a panel: 32 characters.
const PANEL_WIDTH: usize = 32 * font::ADVANCE;
/// Space between panels and around them.
const GAP: usize = 14;
/// From a panel to its caption.
const MARGIN: usize = 5;
/// From line to line.
const LEADING: usize = font::HEIGHT + 3;

const BACKGROUND: Rgb = [38, 40, 44];
/// Behind pictures that do not fill their panel.
const MOUNT: Rgb = [28, 29, 32];
const TITLE: Rgb = [236, 237, 240];
const CAPTION: Rgb = [158, 163, 172];

/// One picture of the sheet.
pub(crate) struct Panel {
    pub(crate) picture: Picture,
    pub(crate) title: String,
    pub(crate) caption: String,
}

/// Draws the panels. The first one's picture fills its panel, and the others are scaled as it is, so that sizes compare.
pub(crate) fn draw(panels: &[Panel]) -> Picture {
    let (height, width) = panels.first().map_or((3, 4), |panel| panel.picture.dim());
    let size @ [panel_height, panel_width] = [(PANEL_WIDTH * height / width).clamp(48, 2 * PANEL_WIDTH), PANEL_WIDTH];
    let scale = panel_width as f64 / width as f64;
    let pitch = [panel_height + MARGIN + 2 * LEADING + GAP, panel_width + GAP];
    let rows = panels.len().div_ceil(COLUMNS);
    let mut sheet = Array2::from_elem((rows * pitch[0] + GAP, COLUMNS * pitch[1] + GAP), BACKGROUND);
    for (index, panel) in panels.iter().enumerate() {
        let [y, x] = [GAP + index / COLUMNS * pitch[0], GAP + index % COLUMNS * pitch[1]];
        place(&mut sheet, &mounted(&panel.picture, size, scale), [y, x]);
        let below = y + panel_height + MARGIN;
        font::write(&mut sheet, &panel.title, [below, x], TITLE);
        font::write(&mut sheet, &panel.caption, [below + LEADING, x], CAPTION);
    }
    sheet
}

/// The scaled picture in the middle of a panel, reduced if it does not fit.
fn mounted(picture: &Picture, [height, width]: [usize; 2], scale: f64) -> Picture {
    let (h, w) = picture.dim();
    let scale = scale.min(width as f64 / w as f64).min(height as f64 / h as f64);
    let [h, w] = [h, w].map(|side| ((side as f64 * scale).round() as usize).max(1));
    // Much enlarged, the pixels themselves are what there is to see.
    let resize = if scale >= 2.0 { picture::resize_nearest } else { picture::resize_smooth };
    let mut panel = Array2::from_elem((height, width), MOUNT);
    place(&mut panel, &resize(picture, [h, w]), [(height - h) / 2, (width - w) / 2]);
    panel
}

/// Puts a picture onto a larger one, with its top left corner at `[y, x]`.
fn place(onto: &mut Picture, picture: &Picture, [y, x]: [usize; 2]) {
    let (height, width) = picture.dim();
    onto.slice_mut(s![y..y + height, x..x + width]).assign(picture);
}
