//! The checkerboard effect of transposed convolutions (`docs/checkerboard.md`): the same picture enlarged with kernels that are a multiple of
//! the stride, and with others.

use std::collections::BTreeSet;

use ndconv::ndarray::{Array4, s};
use ndconv::{Conv2d, bilinear_upsampling, conv_transpose2d};

use crate::Result;
use crate::picture::Picture;
use crate::sheet::Panel;
use crate::views;

/// Rows and columns of the part of the picture that is enlarged.
const PART: [usize; 2] = [24, 32];

/// Kernels and strides: first those with the effect, then those without it.
const SIZES: [(usize, usize); 9] = [(3, 2), (5, 2), (4, 3), (5, 4), (9, 4), (2, 2), (4, 2), (6, 3), (8, 4)];

/// One panel for each kernel, all with equal weights that keep the mean, and a last one for bilinear weights.
pub(crate) fn panels(picture: &Picture) -> Result<Vec<Panel>> {
    let input = views::tensor(picture);
    let (_, channels, height, width) = input.dim();
    let [y, x] = [height.saturating_sub(PART[0]) / 2, width.saturating_sub(PART[1]) / 2];
    let input = input.slice(s![.., .., y..height.min(y + PART[0]), x..width.min(x + PART[1])]).to_owned();
    let mut panels = Vec::new();
    for (kernel, stride) in SIZES {
        let config = Conv2d::depthwise(channels, kernel).stride(stride).padding((kernel - stride) / 2).bias(false);
        let weight = Array4::from_elem(config.weight_shape(), (stride * stride) as f32 / (kernel * kernel) as f32);
        let output = conv_transpose2d(&config, &input, &weight, None)?;
        panels.push(Panel {
            picture: views::colour(&output),
            title: format!("kernel {kernel}, stride {stride}"),
            caption: counts(&config)?,
        });
    }
    let (config, weight) = bilinear_upsampling(channels, 2)?;
    panels.push(Panel {
        picture: views::colour(&conv_transpose2d(&config, &input, &weight, None)?),
        title: "kernel 4, stride 2".into(),
        caption: format!("bilinear, {}", counts(&config)?),
    });
    Ok(panels)
}

/// How many taps reach an output away from the border, as text: "1, 2 or 4 taps an output".
fn counts(config: &Conv2d) -> Result<String> {
    let config = Conv2d { in_channels: 1, out_channels: 1, groups: 1, ..*config };
    let (input, weight) = (Array4::<u32>::ones((1, 1, 30, 30)), Array4::ones(config.transposed_weight_shape()));
    let output = conv_transpose2d(&config, &input, &weight, None)?;
    let far = config.kernel[0];
    let inner = output.slice(s![0, 0, far..output.dim().2 - far, far..output.dim().3 - far]);
    let counts: BTreeSet<u32> = inner.iter().copied().collect();
    let counts: Vec<String> = counts.iter().map(u32::to_string).collect();
    Ok(match counts.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last} taps an output", others.join(", ")),
        _ if counts == ["1"] => "1 tap an output".into(),
        _ => format!("{} taps an output", counts.join("")),
    })
}
