//! Singular value decomposition by one-sided Jacobi rotations.
//!
//! ```text
//! until all columns of A are orthogonal:
//!     for p < q: turn columns p and q of A, and of V, so that these two are
//! σ = lengths of the columns, U = A / σ, A_at_first = U σ Vᵀ
//! ```
//!
//! Hestenes, "Inversion of matrices by biorthogonalization", 1958. Kernels are small, so that its cubic time does not matter, and small singular
//! values come out as accurate as large ones (Demmel and Veselić, "Jacobi's method is more accurate than QR", 1992), which a verdict on
//! the rank rests on. The linear algebra crates that have a decomposition bring dozens of packages for these sixty lines.

use ndarray::{Array1, Array2, ArrayView1, Axis, s};

/// `Σ σᵢ uᵢ vᵢᵀ`, largest first.
#[derive(Clone, Debug)]
pub(super) struct Svd {
    pub(super) values: Vec<f64>,
    /// Rows, and as many columns as there are values.
    pub(super) left: Array2<f64>,
    pub(super) right: Array2<f64>,
}

/// Far more sweeps than any matrix has needed.
const SWEEPS: usize = 60;

impl Svd {
    /// Of a matrix of finite numbers.
    pub(super) fn new(matrix: &Array2<f64>) -> Svd {
        if matrix.nrows() < matrix.ncols() {
            let Svd { values, left, right } = Svd::new(&matrix.t().to_owned());
            return Svd { values, left: right, right: left };
        }
        // By a power of two, which no bit is lost to, so that no square is too large or small.
        let largest = matrix.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        let scale = if largest > 0.0 { largest.log2().floor().clamp(-1000.0, 1000.0).exp2() } else { 1.0 };
        // Columns as rows, for contiguous memory.
        let mut columns = matrix.t().mapv(|x| x / scale);
        let mut right = Array2::eye(matrix.ncols());
        let negligible = f64::EPSILON.powi(2) * columns.iter().map(|x| x * x).sum::<f64>();
        for _ in 0..SWEEPS {
            let mut turned = false;
            for p in 0..columns.nrows() {
                for q in p + 1..columns.nrows() {
                    if let Some(turn) = turn_of(columns.row(p), columns.row(q), negligible) {
                        turn_rows(&mut columns, p, q, turn);
                        turn_rows(&mut right, p, q, turn);
                        turned = true;
                    }
                }
            }
            if !turned {
                break;
            }
        }
        let lengths: Vec<f64> = columns.rows().into_iter().map(|column| column.dot(&column).sqrt()).collect();
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by(|&a, &b| lengths[b].total_cmp(&lengths[a]));
        for (mut column, length) in columns.rows_mut().into_iter().zip(&lengths) {
            if *length > 0.0 {
                column /= *length;
            }
        }
        Svd {
            values: order.iter().map(|&index| lengths[index] * scale).collect(),
            left: columns.select(Axis(0), &order).reversed_axes(),
            right: right.select(Axis(0), &order).reversed_axes(),
        }
    }
}

/// Cosine and sine that make two vectors orthogonal, unless they are.
fn turn_of(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>, negligible: f64) -> Option<[f64; 2]> {
    let (aa, bb, ab) = (a.dot(&a), b.dot(&b), a.dot(&b));
    if ab.abs() <= f64::EPSILON * (aa * bb).sqrt() || ab.abs() <= negligible {
        return None;
    }
    let zeta = (bb - aa) / (2.0 * ab);
    let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    Some([cosine, cosine * tangent])
}

fn turn_rows(matrix: &mut Array2<f64>, p: usize, q: usize, [cosine, sine]: [f64; 2]) {
    let (a, b) = matrix.multi_slice_mut((s![p, ..], s![q, ..]));
    for (a, b) in a.into_iter().zip(b) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
}

impl Svd {
    /// Values above `tolerance` times the largest.
    pub(super) fn rank(&self, tolerance: f64) -> usize {
        let least = tolerance * self.values.first().copied().unwrap_or(0.0);
        self.values.iter().filter(|value| **value > least).count()
    }

    /// The sum of the squares of all values but the first few.
    pub(super) fn rest(&self, rank: usize) -> f64 {
        self.values.iter().skip(rank).map(|value| value * value).sum()
    }

    /// The two vectors of a term, each times the root of its value.
    pub(super) fn term(&self, index: usize) -> [Array1<f64>; 2] {
        let root = self.values[index].sqrt();
        [&self.left, &self.right].map(|side| &side.column(index) * root)
    }
}
