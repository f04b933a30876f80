//! Dense products on slices: a safe face on the `gemm` crate, and the few vector loops that the laws need.

use gemm::Parallelism;
use multiversion::multiversion;

use crate::half::Number;

/// A view of a matrix of shape `[rows, cols]` in a slice.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major `[rows, cols]`.
    ///
    /// # Panics
    /// If the slice is shorter than `rows * cols`.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::with_stride(data, rows, cols, cols)
    }

    /// Row-major `[rows, cols]` whose rows begin `stride` elements apart.
    ///
    /// # Panics
    /// If the slice ends before the last row does.
    pub fn with_stride(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(fits(data.len(), rows, cols, stride), "a slice of {} cannot hold [{rows}, {cols}]", data.len());
        Self { data, rows, cols, row_stride: stride, col_stride: 1 }
    }

    /// The transpose, `[cols, rows]`, of the same numbers.
    pub fn t(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }
}

fn fits(len: usize, rows: usize, cols: usize, stride: usize) -> bool {
    stride >= cols && (rows == 0 || (rows - 1) * stride + cols <= len)
}

/// How many threads a product may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread only: for products inside a parallel loop, and small ones.
    One,
    /// The current rayon pool.
    Pool,
}

/// `dst = beta * dst + a · b`; with `beta = 0`, whatever `dst` held (NaN too) is overwritten.
///
/// # Shapes
/// - dst: `[a.rows, b.cols]`, row-major, rows `stride` elements apart
///
/// # Panics
/// If the shapes do not agree or `dst` is too short.
#[allow(unsafe_code)]
pub fn matmul(dst: &mut [f32], stride: usize, beta: f32, a: Matrix<'_>, b: Matrix<'_>, threads: Threads) {
    let (rows, cols, inner) = (a.rows, b.cols, a.cols);
    assert_eq!(inner, b.rows, "product of [{rows}, {inner}] and [{}, {cols}]", b.rows);
    assert!(fits(dst.len(), rows, cols, stride), "a slice of {} cannot hold [{rows}, {cols}]", dst.len());
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::Pool => Parallelism::Rayon(0),
    };
    // SAFETY: `Matrix` and the assertions above keep every index of the three views inside its slice, and `dst` is
    // borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            rows,
            cols,
            inner,
            dst.as_mut_ptr(),
            1,
            stride as isize,
            beta != 0.0,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            beta,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Partial sums of [`dot`]: one AVX-512 register, and always this many, so that a result does not depend on the
/// processor.
const LANES: usize = 16;

/// `a · b`, over the shorter of the two, summed in 2 x 16 lanes.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let [[sum]] = dots_of([b], [a]);
    sum
}

/// `x · row` for consecutive rows, `stride` apart: the same numbers as [`dot`] gives, but `x` is read once for four rows.
///
/// # Shapes
/// - x: `[d]`, `d <= stride`
/// - rows: `[out.len(), stride]`
///
/// # Panics
/// If `rows` is too short.
pub fn row_dots(x: &[f32], rows: &[f32], stride: usize, out: &mut [f32]) {
    all_dots(&[x], rows, stride, out);
}

/// [`row_dots`] of several vectors with the same rows, to the last bit: four rows stay in the nearest cache while all
/// vectors pass, two at a time.
///
/// # Shapes
/// - xs: `[k, d]`, `d <= stride`
/// - rows: `[r, stride]`
/// - out: `[k, r]`
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn all_dots<T: Number>(xs: &[&[f32]], rows: &[T], stride: usize, out: &mut [f32]) {
    dots_of_rows(xs, |i| &rows[i * stride..], out);
}

/// [`all_dots`] of rows that do not lie side by side.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2+fma", "aarch64+neon"))]
pub(crate) fn scattered_dots(xs: &[&[f32]], rows: &[&[f32]], out: &mut [f32]) {
    dots_of_rows(xs, |i| rows[i], out);
}

#[inline(always)]
fn dots_of_rows<'r, T: Number + 'r>(xs: &[&[f32]], row: impl Fn(usize) -> &'r [T], out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    let count = out.len() / xs.len();
    let row = |i: usize| &row(i)[..xs[0].len()];
    let fours = count - count % 4;
    for at in (0..fours).step_by(4) {
        let rows = [row(at), row(at + 1), row(at + 2), row(at + 3)];
        let (pairs, rest) = xs.as_chunks::<2>();
        for (pair, out) in pairs.iter().zip(out.chunks_exact_mut(2 * count)) {
            let [first, second] = dots_of(rows, *pair);
            out[at..at + 4].copy_from_slice(&first);
            out[count + at..count + at + 4].copy_from_slice(&second);
        }
        if let [x] = rest {
            let [dots] = dots_of(rows, [*x]);
            out[(xs.len() - 1) * count + at..][..4].copy_from_slice(&dots);
        }
    }
    for at in fours..count {
        for (x, out) in xs.iter().zip(out.chunks_exact_mut(count)) {
            [[out[at]]] = dots_of([row(at)], [*x]);
        }
    }
}

/// One AVX-512 register's worth of partial sums. Small functions on whole lanes are what the compiler vectorises; loops
/// over an array of sums it unrolls into single numbers.
#[derive(Clone, Copy)]
struct Lanes([f32; LANES]);

impl Lanes {
    #[inline(always)]
    fn load<T: Number>(xs: &[T]) -> Self {
        let mut out = Self([0.0; LANES]);
        out.0.iter_mut().zip(&xs[..LANES]).for_each(|(lane, x)| *lane = x.widen());
        out
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        let mut out = self;
        for lane in 0..LANES {
            out.0[lane] += a.0[lane] * b.0[lane];
        }
        out
    }
}

/// Products of `X` vectors with `K` rows.
#[inline(always)]
fn dots_of<T: Number, const K: usize, const X: usize>(rows: [&[T]; K], xs: [&[f32]; X]) -> [[f32; K]; X] {
    let len = rows.iter().map(|row| row.len()).chain(xs.iter().map(|x| x.len())).fold(usize::MAX, usize::min);
    // Slices of one known length: no check is left in the loop.
    let blocks = len / (2 * LANES);
    let blocked_rows = rows.map(|row| &row.as_chunks::<{ 2 * LANES }>().0[..blocks]);
    let blocked_xs = xs.map(|x| &x.as_chunks::<{ 2 * LANES }>().0[..blocks]);
    let mut halves = [[[Lanes([0.0; LANES]); 2]; K]; X];
    for at in 0..blocks {
        for i in 0..X {
            let x = &blocked_xs[i][at];
            let (low, high) = (Lanes::load(&x[..LANES]), Lanes::load(&x[LANES..]));
            for k in 0..K {
                let row = &blocked_rows[k][at];
                halves[i][k][0] = halves[i][k][0].add_product(Lanes::load(&row[..LANES]), low);
                halves[i][k][1] = halves[i][k][1].add_product(Lanes::load(&row[LANES..]), high);
            }
        }
    }
    // Without this wall the compiler takes the odd shapes of the sums below into the loop above.
    let halves = std::hint::black_box(halves);
    let mut sums = [[0.0; K]; X];
    for i in 0..X {
        for k in 0..K {
            sums[i][k] =
                (blocks * 2 * LANES..len).fold(total(&halves[i][k]), |sum, at| sum + rows[k][at].widen() * xs[i][at]);
        }
    }
    sums
}

/// The sum of all lanes: halves are added to halves until one number is left.
#[inline(always)]
fn total([Lanes(low), Lanes(high)]: &[Lanes; 2]) -> f32 {
    let mut four = [0.0; 4];
    for i in 0..4 {
        four[i] = ((low[i] + high[i]) + (low[i + 8] + high[i + 8]))
            + ((low[i + 4] + high[i + 4]) + (low[i + 12] + high[i + 12]));
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(a: &[f32], b: &[f32], rows: usize, inner: usize, cols: usize) -> Vec<f32> {
        let at = |i: usize, j: usize| (0..inner).map(|k| a[i * inner + k] * b[k * cols + j]).sum::<f32>();
        (0..rows * cols).map(|at_| at(at_ / cols, at_ % cols)).collect()
    }

    #[test]
    fn products_agree_with_the_triple_loop() {
        let (rows, inner, cols) = (5, 7, 3);
        let a: Vec<f32> = (0..rows * inner).map(|i| (i as f32).sin()).collect();
        let b: Vec<f32> = (0..inner * cols).map(|i| (i as f32).cos()).collect();
        let want = naive(&a, &b, rows, inner, cols);
        let mut got = vec![f32::NAN; rows * cols];
        matmul(&mut got, cols, 0.0, Matrix::new(&a, rows, inner), Matrix::new(&b, inner, cols), Threads::One);
        assert!(got.iter().zip(&want).all(|(x, y)| (x - y).abs() < 1e-5), "{got:?} {want:?}");

        let b_t: Vec<f32> = (0..inner * cols).map(|i| b[i % inner * cols + i / inner]).collect();
        matmul(&mut got, cols, 1.0, Matrix::new(&a, rows, inner), Matrix::new(&b_t, cols, inner).t(), Threads::Pool);
        assert!(got.iter().zip(&want).all(|(x, y)| (x - 2.0 * y).abs() < 1e-5), "{got:?} {want:?}");
    }

    #[test]
    fn dot_agrees_with_a_plain_sum_at_every_length() {
        let a: Vec<f32> = (0..100).map(|i| (i as f32 * 0.7).sin()).collect();
        let b: Vec<f32> = (0..100).map(|i| (i as f32 * 0.3).cos()).collect();
        for len in 0..100 {
            let want: f32 = (0..len).map(|i| a[i] * b[i]).sum();
            assert!((dot(&a[..len], &b[..len]) - want).abs() < 1e-4);
        }
    }

    #[test]
    fn row_dots_are_dots_to_the_last_bit() {
        let (stride, dim) = (50, 47);
        let rows: Vec<f32> = (0..11 * stride).map(|i| (i as f32 * 0.37).sin()).collect();
        let x: Vec<f32> = (0..dim).map(|i| (i as f32 * 0.11).cos()).collect();
        for count in 0..=11 {
            let mut out = vec![f32::NAN; count];
            row_dots(&x, &rows, stride, &mut out);
            let want: Vec<f32> = (0..count).map(|i| dot(&rows[i * stride..][..dim], &x)).collect();
            assert_eq!(out, want);
            for vectors in 1..=5 {
                let xs: Vec<&[f32]> = (0..vectors).map(|k| &rows[k * 13..][..dim]).collect();
                let mut out = vec![f32::NAN; vectors * count];
                all_dots(&xs, &rows, stride, &mut out);
                let want: Vec<f32> =
                    xs.iter().flat_map(|x| (0..count).map(|i| dot(&rows[i * stride..][..dim], x))).collect();
                assert_eq!(out, want);
            }
        }
    }
}
