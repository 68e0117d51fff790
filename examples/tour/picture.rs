//! RGB pictures, as arrays of pixels.

use ndconv::ndarray::{Array2, Array3, ArrayRef2};

use crate::samples::Samples;

/// Red, green and blue.
pub(crate) type Rgb = [u8; 3];
/// `[height, width]`
pub(crate) type Picture = Array2<Rgb>;

/// The colours of samples, without alpha and with 8 bits; gray has three equal ones.
pub(crate) fn from_samples(samples: Samples) -> Picture {
    let levels = match samples {
        Samples::Eight(levels) => levels,
        // Rounded: 255 is 65535 / 257.
        Samples::Sixteen(levels) => levels.mapv(|level| ((u32::from(level) + 128) / 257) as u8),
    };
    let (height, width, channels) = levels.dim();
    let last = if channels < 3 { 0 } else { 2 };
    Array2::from_shape_fn((height, width), |(y, x)| [0, 1, 2].map(|channel| levels[[y, x, last.min(channel)]]))
}

pub(crate) fn to_samples(picture: &Picture) -> Samples {
    let (height, width) = picture.dim();
    Samples::Eight(Array3::from_shape_fn((height, width, 3), |(y, x, channel)| picture[[y, x]][channel]))
}

/// A picture of another size, of which every pixel is that of the picture which it lies on.
pub(crate) fn resize_nearest(picture: &Picture, [height, width]: [usize; 2]) -> Picture {
    let (rows, columns) = picture.dim();
    let nearest = |index: usize, from: usize, to: usize| (2 * index + 1) * from / (2 * to);
    Array2::from_shape_fn((height, width), |(y, x)| picture[[nearest(y, rows, height), nearest(x, columns, width)]])
}

/// A picture of another size: interpolated linearly where it is larger, averaged where it is smaller.
pub(crate) fn resize_smooth(picture: &Picture, [height, width]: [usize; 2]) -> Picture {
    let rows = resize_axis(&picture.mapv(|pixel| pixel.map(f32::from)), height);
    let transposed = resize_axis(&rows.t(), width);
    transposed.t().mapv(|pixel| pixel.map(|level| level.round() as u8))
}

/// So many rows, which are means of the rows around their places: the weights are a triangle, as wide as two rows of the
/// smaller picture.
fn resize_axis(rows: &ArrayRef2<[f32; 3]>, count: usize) -> Array2<[f32; 3]> {
    let (from, width) = rows.dim();
    let step = from as f32 / count as f32;
    let reach = step.max(1.0);
    let mut resized = Array2::from_elem((count, width), [0.0; 3]);
    for (index, mut row) in resized.outer_iter_mut().enumerate() {
        let middle = (index as f32 + 0.5) * step - 0.5;
        let weight = |at: usize| (1.0 - (at as f32 - middle).abs() / reach).max(0.0);
        // `as` takes what is left of the picture for 0.
        let within = (middle - reach).ceil() as usize..from.min((middle + reach).floor() as usize + 1);
        let sum: f32 = within.clone().map(weight).sum();
        for at in within {
            let part = weight(at) / sum;
            row.zip_mut_with(&rows.row(at), |to, pixel| {
                to.iter_mut().zip(pixel).for_each(|(to, level)| *to += part * level);
            });
        }
    }
    resized
}
