//! Tensors and pictures: the input made of a picture, and pictures made of outputs.

use std::error::Error;
use std::path::Path;

use ndconv::ndarray::{Array2, Array4};

use crate::picture::{self, Picture};
use crate::samples::Samples;

/// Makes a picture of an output.
pub(crate) type View = Box<dyn Fn(&Array4<f32>) -> Picture>;

/// The picture that the tour shows unless it is given one.
const HARBOUR: &[u8] = include_bytes!("../data/harbour.png");
/// Larger pictures are reduced: the reference takes its time.
const MAX_SIDE: usize = 256;
/// Smaller ones have nothing to show.
const MIN_SIDE: usize = 16;

/// Reads a picture, or takes the one that comes with the crate.
pub(crate) fn load(path: Option<&Path>) -> Result<Picture, Box<dyn Error + Send + Sync>> {
    let Some(path) = path else {
        return Ok(picture::from_samples(Samples::decode(HARBOUR)?));
    };
    let mut picture = picture::from_samples(Samples::read(path)?);
    let (height, width) = picture.dim();
    let larger = height.max(width);
    if larger > MAX_SIDE {
        let scale = MAX_SIDE as f64 / larger as f64;
        let reduced = [height, width].map(|side| ((side as f64 * scale).round() as usize).max(1));
        picture = picture::resize_smooth(&picture, reduced);
    }
    let (height, width) = picture.dim();
    if height.min(width) < MIN_SIDE {
        let wanted = format!("{width}x{height} pixels, expected at least {MIN_SIDE}x{MIN_SIDE}");
        return Err(format!("{}: {wanted}", path.display()).into());
    }
    Ok(picture)
}

/// `[1, 3, height, width]`, from 0 to 1.
pub(crate) fn tensor(picture: &Picture) -> Array4<f32> {
    let (height, width) = picture.dim();
    Array4::from_shape_fn((1, 3, height, width), |(_, c, y, x)| f32::from(picture[[y, x]][c]) / 255.0)
}

/// A picture of colours from 0 to 1, cut off beyond.
fn paint(height: usize, width: usize, colour: impl Fn(usize, usize) -> [f32; 3]) -> Picture {
    Array2::from_shape_fn((height, width), |(y, x)| colour(y, x).map(|level| (level * 255.0).round() as u8))
}

/// Red, green and blue; a single channel is all three of them.
fn levels(output: &Array4<f32>, y: usize, x: usize) -> [f32; 3] {
    let last = output.dim().1 - 1;
    [0, 1, 2].map(|channel| output[[0, channel.min(last), y, x]])
}

/// The channels as they are.
pub(crate) fn colour(output: &Array4<f32>) -> Picture {
    let (_, _, height, width) = output.dim();
    paint(height, width, |y, x| levels(output, y, x))
}

/// The channels around zero, which is gray.
pub(crate) fn signed(output: &Array4<f32>) -> Picture {
    let (_, _, height, width) = output.dim();
    paint(height, width, |y, x| levels(output, y, x).map(|level| 0.5 + level / 2.0))
}

/// The channels of a 1-D layer's output, whose batch are the rows.
pub(crate) fn rows(output: &Array4<f32>) -> Picture {
    colour(&output.view().permuted_axes([2, 1, 0, 3]).to_owned())
}

/// The middle, half as high and half as wide.
pub(crate) fn middle(output: &Array4<f32>) -> Picture {
    let (_, _, height, width) = output.dim();
    paint(height / 2, width / 2, |y, x| levels(output, height / 4 + y, width / 4 + x))
}

/// The colours, with a line around what is inside a border of so many rows and columns.
pub(crate) fn framed(output: &Array4<f32>, [rows, columns]: [usize; 2]) -> Picture {
    let mut picture = colour(output);
    let (height, width) = picture.dim();
    let (across, down) = ([columns - 1, width - columns], [rows - 1, height - rows]);
    for ((y, x), pixel) in picture.indexed_iter_mut() {
        let within = (across[0]..=across[1]).contains(&x) && (down[0]..=down[1]).contains(&y);
        if within && (across.contains(&x) || down.contains(&y)) {
            *pixel = [255; 3];
        }
    }
    picture
}

/// Two channels for each colour, one for each direction: the steepness.
pub(crate) fn steepness(output: &Array4<f32>) -> Picture {
    let (_, _, height, width) = output.dim();
    paint(height, width, |y, x| [0, 1, 2].map(|c| output[[0, 2 * c, y, x]].hypot(output[[0, 2 * c + 1, y, x]])))
}

/// One channel for each direction: the strongest one's hue, as bright as it is strong.
pub(crate) fn directions(output: &Array4<f32>) -> Picture {
    let (_, channels, height, width) = output.dim();
    paint(height, width, |y, x| {
        let strongest = (0..channels).max_by(|&a, &b| output[[0, a, y, x]].total_cmp(&output[[0, b, y, x]]));
        let channel = strongest.unwrap_or(0);
        hue(channel as f32 / channels as f32).map(|level| level * output[[0, channel, y, x]])
    })
}

/// Four bands for each colour, side by side: the small picture, and its details around gray.
pub(crate) fn bands(output: &Array4<f32>) -> Picture {
    let (_, _, height, width) = output.dim();
    paint(2 * height, 2 * width, |y, x| {
        let band = 2 * (y / height) + x / width;
        [0, 1, 2].map(|c| {
            let level = output[[0, 4 * c + band, y % height, x % width]];
            if band == 0 { level / 2.0 } else { 0.5 + level }
        })
    })
}

/// A saturated colour: red at 0, green at a third, blue at two thirds.
fn hue(turn: f32) -> [f32; 3] {
    [0.0, 1.0 / 3.0, 2.0 / 3.0].map(|at| {
        let distance = (turn - at).rem_euclid(1.0);
        (2.0 - 6.0 * distance.min(1.0 - distance)).clamp(0.0, 1.0)
    })
}
