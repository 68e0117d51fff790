//! Whether a kernel is an outer product, and sums of outer products that come close to one that is not.
//!
//! A `kh x kw` kernel that is a column times a row is two small convolutions instead of a large one: `kh + kw` taps instead of
//! `kh * kw`. Most kernels are not. Every kernel is a sum of such products, and its singular value decomposition has the
//! shortest sum, and for each number of terms the closest (Eckart and Young, "The approximation of one matrix by another of lower rank", 1936).

mod jacobi;

use ndarray::{Array1, Array2, Array4, ArrayRef1, ArrayRef2, ArrayRef4, ArrayView2, s};

use crate::config::Conv2d;
use crate::element::Float;
use crate::error::{Axis, Error};
use crate::geometry;
use crate::ops::check;
use crate::ops::separable::{spatial_steps, with_pads};
use crate::tensors::SpatiallySeparableWeights;
use jacobi::Svd;

/// What [`separate`] finds.
#[derive(Clone, Debug, PartialEq)]
pub enum Separability<T> {
    /// The kernel is `vertical ⊗ horizontal`.
    Separable {
        /// `[kh]`.
        vertical: Array1<T>,
        /// `[kw]`.
        horizontal: Array1<T>,
        /// `‖kernel - vertical ⊗ horizontal‖ / ‖kernel‖` (Frobenius norm): 0 if the product is the kernel to the last bit.
        relative_error: f64,
    },
    /// It is no outer product.
    NotSeparable {
        /// How many outer products it is the sum of.
        rank: usize,
        /// Of the closest outer product.
        relative_error: f64,
    },
}

/// Finds the column and the row whose outer product a kernel `[kh, kw]` is, or says how many it takes.
///
/// The rank is the number of singular values above `tolerance` times the largest, so that the scale of the kernel makes no difference. 1e-6 is
/// a good tolerance for kernels that were computed in `f32`, 1e-12 in `f64`. Of the factors of a separable kernel those are chosen that
/// come closest to it; for kernels of small whole numbers, or multiples of such, they are exact. A kernel of zeros is separable.
///
/// ```
/// use ndconv::{Separability, separate};
/// use ndarray::array;
///
/// let sobel = array![[1.0f32, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]];
/// let found = separate(&sobel, 1e-6)?;
/// assert_eq!(
///     found,
///     Separability::Separable {
///         vertical: array![1.0, 2.0, 1.0],
///         horizontal: array![1.0, 0.0, -1.0],
///         relative_error: 0.0,
///     },
/// );
///
/// let laplacian = array![[0.0f32, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]];
/// assert!(matches!(separate(&laplacian, 1e-6)?, Separability::NotSeparable { rank: 2, .. }));
/// # Ok::<(), ndconv::Error>(())
/// ```
///
/// # Errors
/// An empty kernel, one with numbers that are not finite, or a tolerance that is not in 0 to 1.
pub fn separate<T: Float>(kernel: &ArrayRef2<T>, tolerance: f64) -> Result<Separability<T>, Error> {
    if !(0.0..1.0).contains(&tolerance) {
        let (found, expected) = (tolerance.to_string(), "at least 0 and less than 1".into());
        return Err(Error::Unsupported { argument: "tolerance", axis: Axis::All, found, expected });
    }
    for (axis, size) in [(Axis::KernelHeight, kernel.nrows()), (Axis::KernelWidth, kernel.ncols())] {
        if size == 0 {
            return Err(Error::shape("kernel", axis, 0, "at least 1"));
        }
    }
    let svd = Svd::new(&in_f64("kernel", kernel.view())?);
    let (rank, all) = (svd.rank(tolerance), svd.rest(0));
    if rank > 1 {
        return Ok(Separability::NotSeparable { rank, relative_error: (svd.rest(1) / all).sqrt() });
    }
    let [vertical, horizontal] = svd.term(0).map(|factor| factor.mapv(from_f64::<T>));
    let mut best = (distance(kernel, &vertical, &horizontal), vertical, horizontal);
    // A column of the kernel, and a row divided by what they have in common: often exact where the decomposition is rounded.
    let entries = || kernel.indexed_iter().filter(|(_, entry)| **entry != T::zero());
    let size = |(_, entry): &((usize, usize), &T)| entry.abs().to_f64().unwrap_or(0.0);
    // The first of several, unlike the maximum.
    let largest = entries().min_by(|a, b| size(b).total_cmp(&size(a)));
    let least = entries().min_by(|a, b| size(a).total_cmp(&size(b)));
    for ((i, j), &pivot) in largest.into_iter().chain(least) {
        let (vertical, horizontal) = (kernel.column(j).to_owned(), kernel.row(i).mapv(|entry| entry / pivot));
        let distance = distance(kernel, &vertical, &horizontal);
        // Written so that NaN is refused.
        if distance < best.0 {
            best = (distance, vertical, horizontal);
        }
    }
    let (distance, vertical, horizontal) = best;
    let relative_error = if all > 0.0 { distance / all.sqrt() } else { 0.0 };
    Ok(Separability::Separable { vertical, horizontal, relative_error })
}

/// `‖kernel - vertical ⊗ horizontal‖`, with the products rounded as the element type does.
fn distance<T: Float>(kernel: &ArrayRef2<T>, vertical: &ArrayRef1<T>, horizontal: &ArrayRef1<T>) -> f64 {
    let square = |((i, j), &entry): ((usize, usize), &T)| {
        let difference = (entry - vertical[i] * horizontal[j]).to_f64().unwrap_or(f64::NAN);
        difference * difference
    };
    kernel.indexed_iter().map(square).sum::<f64>().sqrt()
}

fn in_f64<T: Float>(argument: &'static str, kernel: ArrayView2<'_, T>) -> Result<Array2<f64>, Error> {
    match kernel.iter().find(|entry| !entry.is_finite()) {
        None => Ok(kernel.mapv(|entry| entry.to_f64().unwrap_or(f64::NAN))),
        Some(entry) => Err(Error::Unsupported {
            argument,
            axis: Axis::All,
            found: format!("{entry:?} in some places"),
            expected: "finite numbers".into(),
        }),
    }
}

fn from_f64<T: Float>(number: f64) -> T {
    T::from(number).unwrap_or_else(T::nan)
}

/// The weight of a convolution as a sum of outer products, for each group: of a column of `kh` taps in each input channel and a row of `kw` taps in each
/// output channel.
///
/// For a depthwise weight these are the decompositions of its kernels, channel by channel. For a dense one it is the scheme of Jaderberg,
/// Vedaldi and Zisserman, "Speeding up convolutional neural networks with low rank expansions", 2014. The first few terms make a
/// [`SpatiallySeparableLayer`](crate::SpatiallySeparableLayer).
///
/// ```
/// use ndconv::{Conv2d, LowRank, Options, SpatiallySeparableLayer, conv2d};
/// use ndarray::Array4;
///
/// // Two channels: a bell, and the sum of two outer products.
/// let config = Conv2d::depthwise(2, 9).padding(4).bias(false);
/// let weight = Array4::from_shape_fn((2, 1, 9, 9), |(c, _, i, j)| {
///     let (y, x) = (i as f64 - 4.0, j as f64 - 4.0);
///     if c == 0 { (-(x * x + y * y) / 8.0).exp() } else { x * x + y * y }
/// });
/// let low_rank = LowRank::new(&config, &weight)?;
/// assert_eq!(low_rank.ranks(1e-12), [1, 2]);
/// assert!(low_rank.relative_error(2) < 1e-14);
/// // Two columns and two rows of 9 taps instead of 81.
/// assert_eq!(low_rank.macs(2, [64, 64])?, config.macs([64, 64])? * 36 / 81);
///
/// let factors = low_rank.factors::<f64>(2)?;
/// let layer = SpatiallySeparableLayer::new(&config, factors.weights(None), Options::new())?;
/// let image = Array4::from_shape_fn((1, 2, 64, 64), |(_, c, y, x)| ((c + 1) * (y + 1) * (x + 1) % 7) as f64);
/// let (whole, separated) = (conv2d(&config, &image, &weight, None)?, layer.run(&image)?);
/// assert!(whole.iter().zip(&separated).all(|(a, b)| (a - b).abs() < 1e-9));
/// # Ok::<(), ndconv::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LowRank {
    config: Conv2d,
    groups: Vec<Svd>,
}

/// The first terms of a [`LowRank`] sum.
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialFactors<T> {
    /// `[groups * rank, in / groups, kh, 1]`.
    pub vertical: Array4<T>,
    /// `[out, rank, 1, kw]`.
    pub horizontal: Array4<T>,
}

impl<T> SpatialFactors<T> {
    /// As a layer takes them, with the bias `[out]` of the convolution that they stand for, if it has one.
    #[must_use]
    pub fn weights<'a>(&'a self, bias: Option<&'a ArrayRef1<T>>) -> SpatiallySeparableWeights<'a, T> {
        SpatiallySeparableWeights { vertical: &self.vertical, horizontal: &self.horizontal, bias }
    }
}

impl LowRank {
    /// Decomposes a weight `[out, in / groups, kh, kw]`.
    ///
    /// Takes time in the third power of the lesser of `in / groups * kh` and `out / groups * kw`.
    ///
    /// # Errors
    /// Whatever is wrong with the configuration, a weight that does not fit it, or numbers in it that are not finite.
    pub fn new<T: Float>(config: &Conv2d, weight: &ArrayRef4<T>) -> Result<Self, Error> {
        geometry::validate(config)?;
        check::weight("weight", config, weight.dim())?;
        let ([ins, outs], [kh, kw]) = (per_group(config), config.kernel);
        let of_group = |group: usize| {
            let weight = weight.slice(s![group * outs..(group + 1) * outs, .., .., ..]);
            let matrix = weight.permuted_axes([1, 2, 0, 3]);
            let matrix = matrix.to_shape((ins * kh, outs * kw)).expect("as many elements");
            Ok(Svd::new(&in_f64("weight", matrix.view())?))
        };
        Ok(LowRank { config: *config, groups: (0..config.groups).map(of_group).collect::<Result<_, Error>>()? })
    }

    /// The singular values of a group, largest first.
    #[must_use]
    pub fn singular_values(&self, group: usize) -> Option<&[f64]> {
        Some(&self.groups.get(group)?.values)
    }

    /// For each group the number of terms whose singular value is above `tolerance` times its largest.
    #[must_use]
    pub fn ranks(&self, tolerance: f64) -> Vec<usize> {
        self.groups.iter().map(|svd| svd.rank(tolerance)).collect()
    }

    /// `‖weight - its first terms‖ / ‖weight‖` (Frobenius norm). No other sum of so many outer products is closer.
    ///
    /// It bounds the error of an output: that is at most this times the norm of the weight times the norm of the input under the window.
    #[must_use]
    pub fn relative_error(&self, rank: usize) -> f64 {
        let sum = |rank: usize| self.groups.iter().map(|svd| svd.rest(rank)).sum::<f64>();
        let all = sum(0);
        if all > 0.0 { (sum(rank) / all).sqrt() } else { 0.0 }
    }

    /// Multiply-adds for an image of this height and width and so many terms: compare with [`Conv2d::macs`].
    ///
    /// # Errors
    /// As [`Conv2d::macs`], or a rank of 0.
    pub fn macs(&self, rank: usize, input: [usize; 2]) -> Result<u64, Error> {
        let [vertical, horizontal] = spatial_steps(&self.config, rank * self.config.groups);
        let [vertical, horizontal] = with_pads([vertical, horizontal], self.config.resolved_pads(input)?);
        let [rows, _] = vertical.output_size(input)?;
        Ok(vertical.macs(input)?.saturating_add(horizontal.macs([rows, input[1]])?))
    }

    /// The first terms of each group.
    ///
    /// # Errors
    /// A rank of 0, or above `in / groups * kh` or `out / groups * kw`, beyond which there are no terms.
    pub fn factors<T: Float>(&self, rank: usize) -> Result<SpatialFactors<T>, Error> {
        let ([ins, outs], [kh, kw]) = (per_group(&self.config), self.config.kernel);
        let most = (ins * kh).min(outs * kw);
        if !(1..=most).contains(&rank) {
            return Err(Error::setting("rank", Axis::All, rank, format!("1 to {most}")));
        }
        let groups = self.groups.len();
        let mut vertical = Array4::zeros((groups * rank, ins, kh, 1));
        let mut horizontal = Array4::zeros((groups * outs, rank, 1, kw));
        for (group, svd) in self.groups.iter().enumerate() {
            for index in 0..rank {
                let [column, row] = svd.term(index);
                let places = vertical.slice_mut(s![group * rank + index, .., .., 0]);
                places.into_iter().zip(column).for_each(|(place, number)| *place = from_f64(number));
                let places = horizontal.slice_mut(s![group * outs..(group + 1) * outs, index, 0, ..]);
                places.into_iter().zip(row).for_each(|(place, number)| *place = from_f64(number));
            }
        }
        Ok(SpatialFactors { vertical, horizontal })
    }
}

/// Input and output channels of a group.
fn per_group(config: &Conv2d) -> [usize; 2] {
    [config.in_channels / config.groups, config.out_channels / config.groups]
}
