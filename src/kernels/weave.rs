//! Rows whose elements take turns in one row.

use crate::simd::{Arithmetic, Simd};

/// Weaves rows a vector of each at a time.
macro_rules! weave_vectors {
    ($simd:ident, $from:ident, $places:ident, $to:ident, $count:literal by $of:ident) => {
        for (index, to) in $to.chunks_mut($count * S::LANES).enumerate() {
            let mut vectors = [$simd.splat(T::ZERO); $count];
            for (turn, vector) in vectors.iter_mut().enumerate() {
                let row = &$from[$places[turn] + index * S::LANES..];
                *vector = match to.len().saturating_sub(turn).div_ceil($count) {
                    len if len < S::LANES => $simd.load_partial(&row[..len]),
                    _ => $simd.load(row),
                };
            }
            for (vector, to) in $of($simd, vectors).into_iter().zip(to.chunks_mut(S::LANES)) {
                match to.len() {
                    len if len < S::LANES => $simd.store_partial(vector, to),
                    _ => $simd.store(vector, to),
                }
            }
        }
    };
}

/// Writes `to[i] = from[places[i % n] + i / n]` for `n` places, where rows begin.
#[inline(always)]
pub(crate) fn weave<T: Arithmetic, S: Simd<T>>(simd: S, from: &[T], places: &[usize], to: &mut [T]) {
    let count = places.len();
    match count {
        1 => to.copy_from_slice(&from[places[0]..][..to.len()]),
        2 => weave_vectors!(simd, from, places, to, 2 by of_two),
        4 => weave_vectors!(simd, from, places, to, 4 by of_four),
        8 => weave_vectors!(simd, from, places, to, 8 by of_eight),
        _ => {
            let done = if count == 3 { of_three(from, places, to) } else { 0 };
            for (turn, place) in places.iter().enumerate() {
                let to = to[done..].iter_mut().skip(turn).step_by(count);
                to.zip(&from[place + done / count..]).for_each(|(to, from)| *to = *from);
            }
        }
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

/// Whole turns, and how many elements they are. The compiler has the shuffles for this.
#[inline(always)]
fn of_three<T: Copy>(from: &[T], places: &[usize], to: &mut [T]) -> usize {
    let (a, b, c) = (&from[places[0]..], &from[places[1]..], &from[places[2]..]);
    for (to, ((a, b), c)) in to.chunks_exact_mut(3).zip(a.iter().zip(b).zip(c)) {
        (to[0], to[1], to[2]) = (*a, *b, *c);
    }
    to.len() / 3 * 3
}
