//! Fourier transforms, and the one place that knows rustfft: without the feature `fft` there are none.

use core::fmt;
use std::sync::Arc;

use num_complex::Complex;

/// A transform of rows of one length. It does not scale.
pub(crate) trait Transform<T>: Send + Sync {
    /// Elements of working memory.
    fn scratch_len(&self) -> usize;
    /// Transforms rows that lie one behind the other.
    fn run(&self, rows: &mut [Complex<T>], scratch: &mut [Complex<T>]);
}

/// The transforms of one length.
#[derive(Clone)]
pub struct Fourier<T> {
    pub(crate) forward: Arc<dyn Transform<T>>,
    pub(crate) inverse: Arc<dyn Transform<T>>,
}

impl<T> fmt::Debug for Fourier<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fourier")
    }
}

#[cfg(feature = "fft")]
mod planned {
    use rustfft::{Fft, FftNum, FftPlanner};

    use super::{Arc, Complex, Fourier, Transform};

    impl<T: FftNum> Fourier<T> {
        pub(crate) fn new(len: usize) -> Option<Self> {
            let mut planner = FftPlanner::new();
            let (forward, inverse) = (planner.plan_fft_forward(len), planner.plan_fft_inverse(len));
            Some(Fourier { forward: Arc::new(Planned(forward)), inverse: Arc::new(Planned(inverse)) })
        }
    }

    struct Planned<T>(Arc<dyn Fft<T>>);

    impl<T: FftNum> Transform<T> for Planned<T> {
        fn scratch_len(&self) -> usize {
            self.0.get_inplace_scratch_len()
        }

        fn run(&self, rows: &mut [Complex<T>], scratch: &mut [Complex<T>]) {
            self.0.process_with_scratch(rows, scratch);
        }
    }
}

#[cfg(not(feature = "fft"))]
impl<T> Fourier<T> {
    pub(crate) fn new(_: usize) -> Option<Self> {
        None
    }
}
