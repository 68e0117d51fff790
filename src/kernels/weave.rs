//! Rows whose elements take turns in one row.

use crate::simd::{Arithmetic, Simd};

/// Weaves rows as far as there are whole vectors; how far that is.
macro_rules! weave_vectors {
    ($simd:ident, $to:ident, [$($row:ident)*], $of:ident) => {{
        let count = [$($row.len()),*].len();
        for (index, to) in $to.chunks_exact_mut(count * S::LANES).enumerate() {
            let vectors = $of($simd, [$($simd.load(&$row[index * S::LANES..])),*]);
            for (vector, to) in vectors.into_iter().zip(to.chunks_exact_mut(S::LANES)) {
                $simd.store(vector, to);
            }
        }
        $to.len() / (count * S::LANES) * count * S::LANES
    }};
}

/// Writes `to[i] = from[i % n][i / n]` for the `n` rows of `from`.
#[inline(always)]
pub(crate) fn weave<T: Arithmetic, S: Simd<T>>(simd: S, from: &[&[T]], to: &mut [T]) {
    let count = from.len();
    let done = match *from {
        [a] => return to.copy_from_slice(&a[..to.len()]),
        [a, b] => weave_vectors!(simd, to, [a b], of_two),
        [a, b, c] => of_three(a, b, c, to),
        [a, b, c, d] => weave_vectors!(simd, to, [a b c d], of_four),
        [a, b, c, d, e, f, g, h] => weave_vectors!(simd, to, [a b c d e f g h], of_eight),
        _ => 0,
    };
    for (turn, row) in from.iter().enumerate() {
        let places = to[done..].iter_mut().skip(turn).step_by(count);
        places.zip(&row[(done / count).min(row.len())..]).for_each(|(to, from)| *to = *from);
    }
}

#[inline(always)]
fn of_two<T: Arithmetic, S: Simd<T>>(simd: S, [a, b]: [S::Vector; 2]) -> [S::Vector; 2] {
    simd.zip(a, b).into()
}

#[inline(always)]
fn of_four<T: Arithmetic, S: Simd<T>>(simd: S, [a, b, c, d]: [S::Vector; 4]) -> [S::Vector; 4] {
    let ([a, c], [b, d]) = (of_two(simd, [a, c]), of_two(simd, [b, d]));
    let ([a, b], [c, d]) = (of_two(simd, [a, b]), of_two(simd, [c, d]));
    [a, b, c, d]
}

#[inline(always)]
fn of_eight<T: Arithmetic, S: Simd<T>>(simd: S, [a, b, c, d, e, f, g, h]: [S::Vector; 8]) -> [S::Vector; 8] {
    let (even, odd) = (of_four(simd, [a, c, e, g]), of_four(simd, [b, d, f, h]));
    let mut woven = [a; 8];
    for (pair, (even, odd)) in woven.chunks_exact_mut(2).zip(even.into_iter().zip(odd)) {
        pair.copy_from_slice(&of_two(simd, [even, odd]));
    }
    woven
}

/// The compiler has the shuffles for this.
#[inline(always)]
fn of_three<T: Copy>(a: &[T], b: &[T], c: &[T], to: &mut [T]) -> usize {
    for (to, ((a, b), c)) in to.chunks_exact_mut(3).zip(a.iter().zip(b).zip(c)) {
        (to[0], to[1], to[2]) = (*a, *b, *c);
    }
    to.len() / 3 * 3
}
