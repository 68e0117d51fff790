//! Rows whose elements take turns in one row.

use crate::simd::{Arithmetic, Simd};

/// Writes `to[i] = from[i % n][i / n]` for the `n` rows of `from`.
#[inline(always)]
pub(crate) fn weave<T: Arithmetic, S: Simd<T>>(simd: S, from: &[&[T]], to: &mut [T]) {
    let count = from.len();
    let mut done = 0;
    match *from {
        [a] => return to.copy_from_slice(&a[..to.len()]),
        [a, b] => {
            while done + 2 * S::LANES <= to.len() {
                let (low, high) = simd.zip(simd.load(&a[done / 2..]), simd.load(&b[done / 2..]));
                simd.store(low, &mut to[done..]);
                simd.store(high, &mut to[done + S::LANES..]);
                done += 2 * S::LANES;
            }
        }
        [a, b, c, d] => {
            while done + 4 * S::LANES <= to.len() {
                let at = done / 4;
                let even = simd.zip(simd.load(&a[at..]), simd.load(&c[at..]));
                let odd = simd.zip(simd.load(&b[at..]), simd.load(&d[at..]));
                let (low, high) = (simd.zip(even.0, odd.0), simd.zip(even.1, odd.1));
                for (vector, place) in [low.0, low.1, high.0, high.1].into_iter().zip(0..) {
                    simd.store(vector, &mut to[done + place * S::LANES..]);
                }
                done += 4 * S::LANES;
            }
        }
        _ => {}
    }
    for (turn, row) in from.iter().enumerate() {
        to[done..].iter_mut().skip(turn).step_by(count).zip(&row[done / count..]).for_each(|(to, from)| *to = *from);
    }
}
