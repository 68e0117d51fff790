//! The names of the ways in which a convolution can be computed.

use core::fmt;

/// A way to compute a convolution.
///
/// Layers choose for themselves, by the sizes; [`Options::algorithm`](crate::Options::algorithm) is for comparing. Those of
/// [`EXACT`](Self::EXACT) give the same bits, and are all that [`Numerics::Exact`](crate::Numerics::Exact) admits; the others sum in another order.
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
    /// As [`GemmPixels`](Self::GemmPixels), with the pixels of each register tile copied together first: for many output channels, where the taps of
    /// a pixel lie far apart, as in pointwise convolution.
    GatheredPixels,
    /// As [`GemmChannels`](Self::GemmChannels), with the pixels copied together.
    GatheredChannels,
    /// Winograd's minimal filtering, with tiles of so many rows and columns of outputs: fewer multiplications, for floats on an instruction
    /// set with vectors.
    Winograd([usize; 2]),
    /// Products of Fourier transforms, tile by tile: for large kernels and floats, with the feature `fft`.
    Fft,
}

impl Algorithm {
    /// Those that sum in the exact order.
    pub const EXACT: [Algorithm; 5] = [
        Algorithm::Direct,
        Algorithm::GemmPixels,
        Algorithm::GemmChannels,
        Algorithm::GatheredPixels,
        Algorithm::GatheredChannels,
    ];
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Algorithm::Direct => f.write_str("direct"),
            Algorithm::GemmPixels => f.write_str("gemm-pixels"),
            Algorithm::GemmChannels => f.write_str("gemm-channels"),
            Algorithm::GatheredPixels => f.write_str("gathered-pixels"),
            Algorithm::GatheredChannels => f.write_str("gathered-channels"),
            Algorithm::Winograd([rows, columns]) => write!(f, "winograd-{rows}x{columns}"),
            Algorithm::Fft => f.write_str("fft"),
        }
    }
}

/// How far an output may be from the exact one, in units of the element type's eps, relative to `|bias| + Σ |w| max |x|`: each weight times the
/// largest value of its input channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorBound {
    /// What follows from the number of roundings, whatever the values. Nothing overflows.
    pub proven: f64,
    /// What millions of random and adversarial cases stay below: `cargo test --release --test accuracy`.
    pub observed: f64,
}

/// A way to compute a convolution, as the planner sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// The way.
    pub algorithm: Algorithm,
    /// What a sample is expected to cost with one thread, in multiply-adds of a vector.
    pub cost: usize,
    /// How far its results may be off.
    pub bound: ErrorBound,
    /// Whether the numerics of the configuration admit it.
    pub admitted: bool,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Candidate { algorithm, cost, bound: ErrorBound { proven, observed }, admitted } = self;
        let verdict = if *admitted { "" } else { ", not admitted" };
        write!(f, "{algorithm}: cost {cost}, at most {proven:.0} eps off (observed {observed:.0}){verdict}")
    }
}
