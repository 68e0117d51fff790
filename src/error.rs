//! The crate's one error type: what was wrong with an argument, where, and what would have been right.

use core::fmt;

/// The axis of a tensor, or of the two-element settings, that an [`Error`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Axis {
    /// The first axis of `NCHW`.
    Batch,
    /// The channel axis of an input.
    InputChannels,
    /// The channel axis of an output; the first axis of a convolution weight.
    OutputChannels,
    /// The second axis of a convolution weight.
    InputChannelsPerGroup,
    /// The second axis of a transposed convolution weight.
    OutputChannelsPerGroup,
    /// The channels of a deformable convolution's offset.
    OffsetChannels,
    /// The channels of a deformable convolution's mask.
    MaskChannels,
    /// Rows.
    Height,
    /// Columns.
    Width,
    /// Rows of a kernel.
    KernelHeight,
    /// Columns of a kernel.
    KernelWidth,
    /// Channel groups.
    Groups,
    /// All axes together, as in an element count.
    All,
}

impl Axis {
    /// The two spatial axes in the order in which settings list them.
    pub(crate) const SPATIAL: [Axis; 2] = [Axis::Height, Axis::Width];

    /// "3 input channels", but "height 3".
    fn measure(self, size: usize) -> String {
        match self {
            Axis::Batch | Axis::Height | Axis::Width | Axis::KernelHeight | Axis::KernelWidth | Axis::All => {
                format!("{self} {size}")
            }
            _ => format!("{size} {self}"),
        }
    }

    /// " along height", and nothing for what has no direction.
    fn along(self) -> &'static str {
        match self {
            Axis::Height => " along height",
            Axis::Width => " along width",
            _ => "",
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Axis::Batch => "batch",
            Axis::InputChannels => "input channels",
            Axis::OutputChannels => "output channels",
            Axis::InputChannelsPerGroup => "input channels per group",
            Axis::OutputChannelsPerGroup => "output channels per group",
            Axis::OffsetChannels => "offset channels",
            Axis::MaskChannels => "mask channels",
            Axis::Height => "height",
            Axis::Width => "width",
            Axis::KernelHeight => "kernel height",
            Axis::KernelWidth => "kernel width",
            Axis::Groups => "groups",
            Axis::All => "size",
        })
    }
}

/// Why a call was refused.
///
/// Every variant names the argument, the axis, what was found and what was expected; the text says
/// the same.
///
/// ```
/// use ndconv::{Axis, Conv2d, Error, conv2d};
/// use ndarray::Array4;
///
/// let config = Conv2d::new(8, 16, 3).groups(2).bias(false);
/// let input = Array4::<f32>::zeros((1, 8, 10, 10));
/// let weight = Array4::<f32>::zeros((16, 3, 3, 3));
/// let error = conv2d(&config, &input, &weight, None).unwrap_err();
/// assert_eq!(error.to_string(), "weight has 3 input channels per group, expected 4 (8 channels / 2 groups)");
/// assert!(matches!(error, Error::Shape { argument: "weight", axis: Axis::InputChannelsPerGroup, found: 3, .. }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor has the wrong length along an axis.
    #[error("{argument} has {}, expected {expected}", axis.measure(*found))]
    Shape {
        /// The tensor.
        argument: &'static str,
        /// Its axis.
        axis: Axis,
        /// Its length there.
        found: usize,
        /// What the configuration or another tensor asks for.
        expected: String,
    },
    /// A setting has a value that it may not have.
    #[error("{argument} is {found}{}, expected {expected}", axis.along())]
    Setting {
        /// The setting.
        argument: &'static str,
        /// The axis it applies to.
        axis: Axis,
        /// Its value.
        found: usize,
        /// The values it may have.
        expected: String,
    },
    /// The kernel does not fit into the padded input even once.
    #[error("the padded input has {axis} {found}, expected at least the effective kernel's {expected}")]
    KernelTooLarge {
        /// Always `"input"`.
        argument: &'static str,
        /// Height or width.
        axis: Axis,
        /// The input's length with its padding.
        found: usize,
        /// The kernel's length with its dilation.
        expected: usize,
    },
    /// An optional tensor is missing, or present where none belongs.
    #[error("{argument} is {found}, expected {expected}")]
    Presence {
        /// The tensor.
        argument: &'static str,
        /// The axis it runs along.
        axis: Axis,
        /// `"missing"` or `"given"`.
        found: &'static str,
        /// What the configuration asks for.
        expected: String,
    },
    /// A size does not fit into the machine's integers.
    #[error("{argument} needs more {axis} than this machine has: {found}, expected {expected}")]
    TooLarge {
        /// The tensor or setting.
        argument: &'static str,
        /// The axis.
        axis: Axis,
        /// What was asked for.
        found: String,
        /// The limit.
        expected: String,
    },
    /// No configuration of the given kind gives the requested output size.
    #[error("{argument} asks for {axis} {found}, expected {expected}")]
    OutputSize {
        /// Always `"output_size"`.
        argument: &'static str,
        /// Height or width.
        axis: Axis,
        /// The size asked for.
        found: usize,
        /// The sizes that can be had.
        expected: String,
    },
    /// The element type or the operation lacks what was asked for.
    #[error("{argument} is {found}, expected {expected}")]
    Unsupported {
        /// The setting.
        argument: &'static str,
        /// The axis it applies to.
        axis: Axis,
        /// Its value.
        found: String,
        /// What is supported.
        expected: String,
    },
}

impl Error {
    pub(crate) fn shape(argument: &'static str, axis: Axis, found: usize, expected: impl Into<String>) -> Self {
        Error::Shape { argument, axis, found, expected: expected.into() }
    }

    pub(crate) fn setting(argument: &'static str, axis: Axis, found: usize, expected: impl Into<String>) -> Self {
        Error::Setting { argument, axis, found, expected: expected.into() }
    }

    pub(crate) fn too_large(argument: &'static str, axis: Axis, found: impl Into<String>) -> Self {
        Error::TooLarge { argument, axis, found: found.into(), expected: format!("at most {MAX_SIZE} elements") }
    }
}

/// Bound on every size and on every intermediate of the shape arithmetic, so that signed offsets
/// between any two positions of padded tensors never overflow.
pub(crate) const MAX_SIZE: usize = isize::MAX as usize / 64;
