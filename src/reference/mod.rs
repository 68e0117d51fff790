//! The definition of every operation, as loops that anybody can check by reading.
//!
//! They share no code with the fast paths, not even the arithmetic of sizes, and sum in the order that
//! [`Numerics::Exact`](crate::Numerics::Exact) promises, so that the fast paths can be held to them bit for bit.
//! They are slow.
//!
//! Tensors that do not fit are reported by the first check that finds them; sizes so large that their
//! products overflow are not checked here.

mod deformable;
mod separable;
mod standard;
mod transposed;

pub use deformable::deform_conv2d;
pub use separable::{depthwise_separable_conv2d, inverted_residual, spatially_separable_conv2d};
pub use standard::conv2d;
pub use transposed::conv_transpose2d;

use crate::element::Element;
use crate::error::{Axis, Error};
use crate::numerics::SUMMATION_BLOCK;

/// The sum of one output element: from the bias, in partial sums of [`SUMMATION_BLOCK`] taps.
struct Sum<T> {
    total: T,
    partial: T,
    taps: usize,
}

impl<T: Element> Sum<T> {
    fn new(bias: Option<T>) -> Self {
        Sum { total: bias.unwrap_or(T::zero()), partial: T::zero(), taps: 0 }
    }

    /// The next tap: `None` for one that is not there but keeps its place in the order.
    fn tap(&mut self, factors: Option<(T, T)>) {
        if let Some((x, weight)) = factors {
            self.partial = x.fma(weight, self.partial);
        }
        self.taps += 1;
        if self.taps == SUMMATION_BLOCK {
            self.close();
        }
    }

    /// Ends the partial sum under way, if any.
    fn close(&mut self) {
        if self.taps > 0 {
            self.total = self.total.plus(self.partial);
            (self.partial, self.taps) = (T::zero(), 0);
        }
    }

    fn finish(mut self) -> T {
        self.close();
        self.total
    }
}

/// Refuses a shape that is not the expected one.
fn expect<const N: usize>(argument: &'static str, found: &[usize], expected: [usize; N]) -> Result<(), Error> {
    match found.iter().zip(expected).find(|&(&found, expected)| found != expected) {
        None => Ok(()),
        Some((&found, expected)) => {
            Err(Error::Shape { argument, axis: Axis::All, found, expected: expected.to_string() })
        }
    }
}
