//! The names of the ways in which a convolution can be computed.

use core::fmt;

/// A way to compute a convolution.
///
/// Layers choose for themselves, by the sizes; [`Options::algorithm`](crate::Options::algorithm) is for comparing. In
/// [`Numerics::Exact`](crate::Numerics::Exact) all of them give the same bits.
///
/// ```
/// use ndconv::{Algorithm, Conv2d, Conv2dLayer, Options};
/// use ndarray::Array4;
///
/// let config = Conv2d::new(32, 32, 3).padding(1).bias(false);
/// let weight = Array4::from_elem((32, 32, 3, 3), 0.1f32);
/// let chosen = Conv2dLayer::new(&config, &weight, None)?;
/// assert_ne!(chosen.algorithm([1, 32, 56, 56])?, Algorithm::Direct);
///
/// let direct = Conv2dLayer::with_options(&config, &weight, None, Options::new().algorithm(Algorithm::Direct))?;
/// let input = Array4::from_elem((1, 32, 9, 9), 0.3);
/// assert_eq!(chosen.run(&input)?, direct.run(&input)?);
/// # Ok::<(), ndconv::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Every output channel by itself, from the image: for depthwise convolution and filters. Every element type has it.
    Direct,
    /// An implicit matrix product whose vectors hold neighbouring pixels. Every element type has it.
    GemmPixels,
    /// An implicit matrix product whose vectors hold output channels: for floats on an instruction set with vectors.
    GemmChannels,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 3] = [Algorithm::Direct, Algorithm::GemmPixels, Algorithm::GemmChannels];
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Algorithm::Direct => "direct",
            Algorithm::GemmPixels => "gemm-pixels",
            Algorithm::GemmChannels => "gemm-channels",
        })
    }
}
