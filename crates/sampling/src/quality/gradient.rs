//! The gradient of a sampled loss beside that of the full one.
//!
//! The loss is the published one (Rawat et al. 2019, equations 5 and 6): `m` negatives from the law without the excluded
//! classes, `q'`, counted with `o'_i = o_i - ln(m q'_i)`, and the target's own logit as it is. With `p'` the softmax over
//! the target and the draws, its derivatives by the logits are `p'_i - 1[i = t]`, and `p_i - 1[i = t]` of the full loss;
//! classes that are true beside the target have no part in either. From these follow two gradients, both with
//! the temperature left out, which scales them alike:
//!
//! - of the query as it enters the logits: `sum g_i c_i`, with `c_i` as it enters them;
//! - of the class rows as they enter the logits: `g_i h` for every class, a vector of length `|g| |h|`.
//!
//! Draws are repeated `R` times at each query. With `ḡ` the mean of the repetitions and `s²` the sum of the variances of
//! its components, `|ḡ - g|² - s²/R` is an unbiased estimate of the squared bias; `|ḡ - g|²` alone would report the
//! noise of the mean as bias. Squares are averaged over queries before they are divided by the average `|g|²`, so that
//! no query with a tiny gradient rules the figure.

use rayon::prelude::*;

use super::Probes;
use crate::{ClassId, Classes, Draw, Error, ExactSoftmax, Law, Points, Purpose, Sampler, add_scaled, dot, stream};

/// How often a number of draws is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Draws `m`.
    pub draws: usize,
    /// Independent repetitions `R` at each query, at least 2.
    pub repeats: usize,
}

/// Errors of one gradient, relative to the length of the full one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorParts {
    /// `sqrt(max(0, E|ḡ - g|² - s²/R)) / sqrt(E|g|²)`.
    pub bias: f64,
    /// `E s² / E|g|²`, of one repetition.
    pub variance: f64,
    /// A bias that chance alone makes of none, about once in three times: `sqrt(sqrt(2 / N) E s² / R) / sqrt(E|g|²)` for
    /// `N` queries.
    pub noise: f64,
}

/// Errors of the gradients of a sampled loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientError {
    /// Of the query.
    pub query: ErrorParts,
    /// Of the class rows.
    pub classes: ErrorParts,
}

/// Errors of the gradients for each trial, at all queries, in parallel over them; a function of the seed, whatever the
/// number of threads. Draws are independent. Costs `O(n d)` a query beside the draws.
///
/// # Errors
/// The first error in the order of queries.
///
/// # Panics
/// If there are no queries, or a trial has fewer than two repetitions.
pub fn gradient_errors<S: Sampler>(
    sampler: &S,
    probes: &Probes,
    classes: Classes<'_>,
    trials: &[Trial],
    seed: u64,
) -> Result<Vec<GradientError>, Error> {
    assert!(!probes.is_empty(), "a mean over no queries");
    let at = |number| Bench::new(sampler, probes, classes, number)?.errors(trials, seed);
    let each: Vec<Result<Vec<[Squares; 2]>, Error>> = (0..probes.len()).into_par_iter().map(at).collect();
    let mut sums = vec![[Squares::default(); 2]; trials.len()];
    for squares in each {
        sums.iter_mut().flatten().zip(squares?.iter().flatten()).for_each(|(sum, squares)| sum.add(squares));
    }
    let relative = |(sums, trial): (&[Squares; 2], &Trial)| {
        let [query, classes] = sums.map(|sum| sum.relative(probes.len(), trial.repeats));
        GradientError { query, classes }
    };
    Ok(sums.iter().zip(trials).map(relative).collect())
}

/// Sums over queries.
#[derive(Clone, Copy, Debug, Default)]
struct Squares {
    /// Unbiased estimates of `|bias|²`, which may be negative.
    bias: f64,
    variance: f64,
    full: f64,
}

impl Squares {
    fn add(&mut self, other: &Self) {
        let Self { bias, variance, full } = *other;
        *self = Self { bias: self.bias + bias, variance: self.variance + variance, full: self.full + full };
    }

    fn relative(self, queries: usize, repeats: usize) -> ErrorParts {
        let variance = self.variance / self.full;
        let noise = ((2.0 / queries as f64).sqrt() * variance / repeats as f64).sqrt();
        ErrorParts { bias: (self.bias.max(0.0) / self.full).sqrt(), variance, noise }
    }
}

/// One query with its full gradient.
struct Bench<'a, S: Sampler + 'a> {
    law: S::Law<'a>,
    classes: Classes<'a>,
    query: &'a [f32],
    number: usize,
    target: ClassId,
    excluded: &'a [ClassId],
    /// Logits as the softmax takes them, `[n]`.
    scores: Vec<f32>,
    /// `p_i - 1[i = t]`, times the slope of the score where that is not the logit, `[n]`.
    full: Vec<f64>,
    /// `sum full_i c_i`, `[d]`.
    full_query: Vec<f64>,
}

impl<'a, S: Sampler + 'a> Bench<'a, S> {
    fn new(sampler: &'a S, probes: &'a Probes, classes: Classes<'a>, number: usize) -> Result<Self, Error> {
        let (query, target, excluded) = (probes.query(number), probes.target(number), probes.excluded(number));
        let law = sampler.at(query, classes)?;
        let scores = ExactSoftmax.features(query, classes);
        let (full, full_query) = (Vec::new(), Vec::new());
        let mut bench = Self { law, classes, query, number, target, excluded, scores, full, full_query };
        bench.full = bench.full_gradient()?;
        let mut sum = vec![0.0; query.len()];
        bench.full.iter().enumerate().for_each(|(class, &g)| bench.add_row(&mut sum, class, g));
        bench.full_query = sum.into_iter().map(f64::from).collect();
        Ok(bench)
    }

    fn full_gradient(&self) -> Result<Vec<f64>, Error> {
        let max = self.scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut masses: Vec<f64> = self.scores.iter().map(|score| f64::from(score - max).exp()).collect();
        let of_target = masses[self.target as usize];
        self.excluded.iter().for_each(|&class| masses[class as usize] = 0.0);
        masses[self.target as usize] = of_target;
        let total: f64 = masses.iter().sum();
        if !(total > 0.0 && total.is_finite()) {
            return Err(Error::BadQuery);
        }
        masses.iter_mut().for_each(|mass| *mass /= total);
        masses[self.target as usize] -= 1.0;
        masses.iter_mut().enumerate().for_each(|(class, g)| *g *= self.slope(class));
        Ok(masses)
    }

    /// Derivative of the score by the logit: one, or the sign of the logit in the absolute softmax.
    fn slope(&self, class: usize) -> f64 {
        if self.classes.score(-1.0) < 0.0 {
            return 1.0;
        }
        let logit = dot(self.query, self.classes.embedding(class)) * self.scale(class) + self.classes.bias(class);
        if logit < 0.0 { -1.0 } else { 1.0 }
    }

    fn scale(&self, class: usize) -> f32 {
        if self.classes.is_normalized() { self.classes.inverse_norm(class) } else { 1.0 }
    }

    /// `sum += g c_i`, with the row as it enters the logits.
    fn add_row(&self, sum: &mut [f32], class: usize, g: f64) {
        add_scaled(sum, g as f32 * self.scale(class), self.classes.embedding(class));
    }

    /// Squares of the errors in the query's gradient and in that of the rows, for each trial.
    fn errors(&self, trials: &[Trial], seed: u64) -> Result<Vec<[Squares; 2]>, Error> {
        trials.iter().enumerate().map(|(place, trial)| self.error(place, *trial, seed)).collect()
    }

    fn error(&self, place: usize, Trial { draws: m, repeats }: Trial, seed: u64) -> Result<[Squares; 2], Error> {
        assert!(repeats > 1, "a variance of {repeats} repetitions");
        let mut of_query = Moments::new(self.query.len());
        let mut of_classes = Moments::new(self.scores.len());
        let mut drawn = Vec::new();
        for repeat in 0..repeats {
            let step = ((place as u64) << 32) + repeat as u64;
            let mut rng = stream(seed, Purpose::Draws, step, self.number as u64);
            drawn.clear();
            self.law.draw_at(&Points::Independent.choose(m, &mut rng), self.excluded, &mut drawn)?;
            let gradient = self.sampled_gradient(&drawn, m);
            let mut sum = vec![0.0; self.query.len()];
            gradient.iter().for_each(|&(class, g)| self.add_row(&mut sum, class, g));
            of_query.add(sum.into_iter().map(f64::from).enumerate());
            of_classes.add(gradient.iter().copied());
        }
        let length = f64::from(dot(self.query, self.query));
        let Squares { bias, variance, full } = of_classes.against(&self.full, repeats);
        let of_classes = Squares { bias: bias * length, variance: variance * length, full: full * length };
        Ok([of_query.against(&self.full_query, repeats), of_classes])
    }

    /// `p'_i - 1[i = t]` of the target and the distinct draws.
    fn sampled_gradient(&self, drawn: &[Draw], m: usize) -> Vec<(usize, f64)> {
        let score = |class: ClassId| f64::from(self.scores[class as usize]);
        let corrected =
            |draw: &Draw| score(draw.class) + f64::from(draw.count).ln() - (m as f64).ln() - f64::from(draw.ln_prob);
        let mut terms = vec![(self.target as usize, score(self.target))];
        terms.extend(drawn.iter().map(|draw| (draw.class as usize, corrected(draw))));
        let max = terms.iter().map(|term| term.1).fold(f64::NEG_INFINITY, f64::max);
        terms.iter_mut().for_each(|term| term.1 = (term.1 - max).exp());
        let total: f64 = terms.iter().map(|term| term.1).sum();
        terms.iter_mut().for_each(|term| term.1 /= total);
        terms[0].1 -= 1.0;
        terms.iter_mut().for_each(|term| term.1 *= self.slope(term.0));
        terms
    }
}

/// Sums of vectors and of their squared lengths, added one by one and sparsely.
struct Moments {
    sum: Vec<f64>,
    squares: f64,
}

impl Moments {
    fn new(len: usize) -> Self {
        Self { sum: vec![0.0; len], squares: 0.0 }
    }

    fn add(&mut self, vector: impl Iterator<Item = (usize, f64)>) {
        for (place, value) in vector {
            self.sum[place] += value;
            self.squares += value * value;
        }
    }

    /// Of as many vectors as `repeats`, against what their mean should be.
    fn against(&self, full: &[f64], repeats: usize) -> Squares {
        let count = repeats as f64;
        let of_mean: f64 = self.sum.iter().map(|sum| (sum / count).powi(2)).sum();
        let variance = ((self.squares - count * of_mean) / (count - 1.0)).max(0.0);
        let distance: f64 = self.sum.iter().zip(full).map(|(sum, full)| (sum / count - full).powi(2)).sum();
        Squares { bias: distance - variance / count, variance, full: full.iter().map(|g| g * g).sum() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Uniform, UnigramConfig};

    const N: usize = 7;
    const ROWS: [f32; 2 * N] = [1.0, 0.2, -0.4, 0.9, 0.3, -1.1, 0.8, 0.8, -0.9, 0.1, 0.2, 0.5, -0.3, -0.7];

    fn probes() -> Probes {
        Probes::new(vec![1.5, -0.5, 0.4, 2.0, -1.0, 1.0], 2, vec![0, 3, 1], vec![vec![0, 4], vec![3], vec![1]])
    }

    fn trial(draws: usize, repeats: usize) -> Trial {
        Trial { draws, repeats }
    }

    /// Bias and variance at one draw by enumeration of the draws.
    fn enumerated(sampler: &impl Sampler, probes: &Probes, classes: Classes<'_>) -> [(f64, f64); 2] {
        let mut sums = [Squares::default(); 2];
        for number in 0..probes.len() {
            let bench = Bench::new(sampler, probes, classes, number).unwrap();
            let length = f64::from(dot(bench.query, bench.query));
            let left_out: f64 = bench.excluded.iter().map(|&class| f64::from(bench.law.ln_prob(class)).exp()).sum();
            let kept = (0..N as ClassId).filter(|class| !bench.excluded.contains(class));
            let outcomes: Vec<(f64, Vec<f64>)> = kept
                .map(|class| {
                    let q = f64::from(bench.law.ln_prob(class)).exp() / (1.0 - left_out);
                    let mut g = vec![0.0; N];
                    let draw = Draw { class, count: 1, ln_prob: q.ln() as f32 };
                    bench.sampled_gradient(&[draw], 1).iter().for_each(|&(class, value)| g[class] = value);
                    (q, g)
                })
                .collect();
            assert!((outcomes.iter().map(|outcome| outcome.0).sum::<f64>() - 1.0).abs() < 1e-6);
            let of_query = |g: &[f64]| -> Vec<f64> {
                (0..2)
                    .map(|k| (0..N).map(|i| g[i] * f64::from(classes.embedding(i)[k] * bench.scale(i))).sum())
                    .collect()
            };
            let mapped: Vec<_> = outcomes.iter().map(|(q, g)| (*q, of_query(g))).collect();
            sums[0].add(&exact(&mapped, &of_query(&bench.full), 1.0));
            sums[1].add(&exact(&outcomes, &bench.full, length));
        }
        sums.map(|sum| ((sum.bias / sum.full).sqrt(), sum.variance / sum.full))
    }

    fn exact(outcomes: &[(f64, Vec<f64>)], full: &[f64], factor: f64) -> Squares {
        let square = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum() };
        let mean: Vec<f64> = (0..full.len()).map(|k| outcomes.iter().map(|(q, g)| q * g[k]).sum()).collect();
        let variance: f64 = outcomes.iter().map(|(q, g)| q * square(g, &mean)).sum();
        let zero = vec![0.0; full.len()];
        Squares { bias: factor * square(&mean, full), variance: factor * variance, full: factor * square(full, &zero) }
    }

    #[test]
    fn figures_at_one_draw_are_those_of_enumeration() {
        let unigram = UnigramConfig::default().build(N, &[9, 1, 0, 4, 2, 2, 7]).unwrap();
        let classes = Classes::new(&ROWS, 2);
        for classes in [classes, classes.normalized(), classes.absolute()] {
            let one = |found: &[GradientError], wanted: [(f64, f64); 2]| {
                for (found, (bias, variance)) in [found[0].query, found[0].classes].into_iter().zip(wanted) {
                    assert!((found.bias - bias).abs() < 0.01 && bias > 0.05, "{found:?} and {bias}");
                    assert!((found.variance / variance - 1.0).abs() < 0.02, "{found:?} and {variance}");
                }
            };
            let trials = [trial(1, 40_000)];
            one(
                &gradient_errors(&Uniform, &probes(), classes, &trials, 3).unwrap(),
                enumerated(&Uniform, &probes(), classes),
            );
            one(
                &gradient_errors(&unigram, &probes(), classes, &trials, 3).unwrap(),
                enumerated(&unigram, &probes(), classes),
            );
        }
    }

    #[test]
    fn the_softmax_as_its_own_proposal_has_no_bias_and_its_variance_falls_as_one_over_m() {
        let trials = [trial(1, 4_000), trial(10, 4_000)];
        let errors =
            gradient_errors(&ExactSoftmax, &probes(), Classes::new(&ROWS, 2).normalized(), &trials, 5).unwrap();
        for error in &errors {
            for parts in [error.query, error.classes] {
                // The noise is that of one standard deviation of the squared bias.
                assert!(parts.bias < 2.0 * parts.noise && parts.noise < 0.02, "{parts:?}");
            }
        }
        let ratio = |part: fn(&GradientError) -> f64| part(&errors[0]) / part(&errors[1]);
        assert!((ratio(|error| error.classes.variance) - 10.0).abs() < 0.3, "{errors:?}");
        assert!((ratio(|error| error.query.variance) - 10.0).abs() < 0.7, "{errors:?}");
    }

    #[test]
    fn bias_and_variance_of_another_proposal_fall_with_m() {
        let trials = [trial(1, 2_000), trial(10, 2_000), trial(100, 2_000)];
        let errors = gradient_errors(&Uniform, &probes(), Classes::new(&ROWS, 2), &trials, 5).unwrap();
        for parts in [|error: &GradientError| error.query, |error: &GradientError| error.classes] {
            let falls =
                |figure: fn(&ErrorParts) -> f64| errors.is_sorted_by(|a, b| figure(&parts(a)) > figure(&parts(b)));
            assert!(falls(|parts| parts.bias) && falls(|parts| parts.variance), "{errors:?}");
        }
    }

    #[test]
    fn figures_do_not_depend_on_the_number_of_threads() {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| gradient_errors(&Uniform, &probes(), Classes::new(&ROWS, 2), &[trial(5, 10)], 5).unwrap())
        };
        assert_eq!(on(1), on(3));
    }
}
