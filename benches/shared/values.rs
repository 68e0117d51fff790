//! What benches compute on.

use ndarray::Array4;
use ndconv::{Element, Float};

/// Numbers in -1 to 1 without a pattern that a cache or a predictor could like.
pub(crate) fn values<T: Element + Float>(shape: [usize; 4]) -> Array4<T> {
    let mut state = 1u64;
    Array4::from_shape_simple_fn(shape, || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        T::from((state >> 40) as f64 / (1 << 23) as f64 - 1.0).expect("a float")
    })
}
