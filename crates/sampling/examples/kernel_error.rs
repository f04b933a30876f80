//! The mean squared error of each map against the exponential kernel, beside table 1 of Rawat et al. 2019.
//!
//! `cargo run --release -p rf-sampling --example kernel_error`
//!
//! The paper takes USPS digits, d = 256 and unit norm, and names neither the sharpness nor the pairs. The vectors here
//! are generated: pairs of random directions whose cosines are spread evenly over a range. For `D` independent
//! frequencies the error is `(1 - exp(-nu r²))² / (2D)`, `r` the distance of a pair, so each of the paper's three
//! figures names the mean of `(1 - exp(-nu r²))²`: 0.52, 0.54 and 0.72. They do not fall as `1/D`, as the theory has
//! it, so that no vectors give all three exactly. The first table takes `nu = 11` (the published temperature 0.3) and
//! cosines from 0.82 to 1, which give 0.59: measured errors then lie within 20 % of all three figures, and of the
//! paper's for the best quadratic kernel. Sharpness and range are fitted to these four figures; that is no proof that
//! the paper's digits are like this.
//!
//! The errors of positive features at this sharpness sit in draws so rare that no measurement sees them.
//!
//! The second table has `nu = 4` and cosines around zero, as a query has with most classes.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rf_sampling::{FeatureMapKind, Purpose, dot, stream};

const DIM: usize = 256;
/// Pairs of vectors, each with two directions of its own.
const PAIRS: usize = 200;

/// Frequencies, and projections that the mean is taken over.
const SIZES: [(usize, u64); 3] = [(100, 40), (1_000, 20), (256 * 256, 4)];
/// The paper's errors for these sizes.
const PAPER: [f64; 3] = [2.6e-3, 2.7e-4, 5.5e-6];
/// The paper's error of the best `alpha x² + beta`.
const PAPER_QUADRATIC: f64 = 2.8e-3;

/// Unit vectors at a sharpness.
struct Pairs {
    nu: f64,
    /// `[2 PAIRS, DIM]`, partners one after the other.
    vectors: Vec<f32>,
    /// `u·v`, `[PAIRS]`.
    cosines: Vec<f64>,
}

fn main() {
    let fitted = Pairs::new(11.0, 0.82, 1.0);
    println!("nu = 11, cosines 0.82 to 1 (fitted to the paper's figures)");
    print_table(&fitted, &PAPER.map(Some), Some(PAPER_QUADRATIC));
    println!("\nnu = 4, cosines -0.3 to 0.3");
    print_table(&Pairs::new(4.0, -0.3, 0.3), &[None; 2], None);
}

/// A row for each map and size; `paper` has as many entries as there are sizes.
fn print_table(pairs: &Pairs, paper: &[Option<f64>], paper_quadratic: Option<f64>) {
    println!("| map | D | measured | independent frequencies, theory | paper | measured / paper |");
    println!("|---|---|---|---|---|---|");
    let beside = |measured: f64, paper: Option<f64>| match paper {
        Some(paper) => format!("{paper:.1e} | {:.2}", measured / paper),
        None => "|".into(),
    };
    for (&(frequencies, projections), &paper) in SIZES.iter().zip(paper) {
        for kind in FeatureMapKind::ALL {
            let measured = pairs.error_of(kind, frequencies, projections);
            let theory = pairs.mean(|x| theory(kind, pairs.nu, x)) / frequencies as f64;
            let paper = paper.filter(|_| kind == FeatureMapKind::Fourier);
            let name = format!("{kind:?}").to_lowercase();
            println!("| {name} | {frequencies} | {measured:.2e} | {theory:.2e} | {} |", beside(measured, paper));
        }
    }
    let (alpha, beta, error) = pairs.best_quadratic();
    println!("| {alpha:.2} x² + {beta:.2}, least squares | | {error:.2e} | | {} |", beside(error, paper_quadratic));
}

/// The error of one independent frequency, for cosines and sines and for positive features in pairs.
fn theory(kind: FeatureMapKind, nu: f64, x: f64) -> f64 {
    if kind == FeatureMapKind::Positive {
        ((4.0 * nu * x).exp() - (2.0 * nu * (x - 1.0)).exp()) * (1.0 - (-2.0 * nu * (1.0 + x)).exp()) / 2.0
    } else {
        (1.0 - (-2.0 * nu * (1.0 - x)).exp()).powi(2) / 2.0
    }
}

impl Pairs {
    /// Pairs with cosines spread evenly between two.
    fn new(nu: f64, lowest: f32, highest: f32) -> Self {
        let mut rng = stream(1, Purpose::Data, 0, 0);
        let mut vectors = Vec::with_capacity(2 * PAIRS * DIM);
        for _ in 0..PAIRS {
            let mut normals = || unit((0..DIM).map(|_| StandardNormal.sample(&mut rng)).collect());
            let (u, other) = (normals(), normals());
            let across = dot(&u, &other);
            let across = unit(other.iter().zip(&u).map(|(y, u)| y - across * u).collect());
            let cosine: f32 = rng.random_range(lowest..highest);
            let sine = (1.0 - cosine * cosine).sqrt();
            vectors.extend(&u);
            vectors.extend(u.iter().zip(&across).map(|(u, y)| cosine * u + sine * y));
        }
        let pairs = vectors.chunks_exact(2 * DIM).map(|pair| pair.split_at(DIM));
        let cosines = pairs.map(|(u, v)| f64::from(dot(u, v))).collect();
        Self { nu, vectors, cosines }
    }

    fn kernel(&self, cosine: f64) -> f64 {
        (self.nu * (cosine - 1.0)).exp()
    }

    fn mean(&self, of: impl Fn(f64) -> f64) -> f64 {
        self.cosines.iter().map(|&x| of(x)).sum::<f64>() / PAIRS as f64
    }

    /// The mean squared error of a map over pairs and projections.
    fn error_of(&self, kind: FeatureMapKind, frequencies: usize, projections: u64) -> f64 {
        let mut sum = 0.0;
        for seed in 0..projections {
            let map = kind.build(DIM, frequencies, self.nu as f32, seed);
            let mut first = Vec::new();
            map.map(
                2 * PAIRS,
                |i| (&self.vectors[i * DIM..][..DIM], 1.0),
                |i, phi| {
                    if i % 2 == 0 {
                        first = phi.to_vec();
                    } else {
                        sum += (f64::from(dot(&first, phi)) - self.kernel(self.cosines[i / 2])).powi(2);
                    }
                },
            );
        }
        sum / (projections as usize * PAIRS) as f64
    }

    /// The `alpha`, `beta` and error of the `alpha x² + beta` nearest to the kernel.
    fn best_quadratic(&self) -> (f64, f64, f64) {
        let (mean_square, mean_kernel) = (self.mean(|x| x * x), self.mean(|x| self.kernel(x)));
        let covariance = self.mean(|x| (x * x - mean_square) * (self.kernel(x) - mean_kernel));
        let alpha = covariance / self.mean(|x| (x * x - mean_square).powi(2));
        let beta = mean_kernel - alpha * mean_square;
        (alpha, beta, self.mean(|x| (alpha * x * x + beta - self.kernel(x)).powi(2)))
    }
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let norm = dot(&vector, &vector).sqrt();
    vector.iter_mut().for_each(|x| *x /= norm);
    vector
}
