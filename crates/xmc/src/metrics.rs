//! The metrics of extreme classification: precision, nDCG, and their propensity-scored forms.

use std::collections::BTreeMap;

/// Sums of precision, nDCG and their propensity-scored forms at k = 1, 3, 5 over points.
///
/// For a point `i` let `y_j` be 1 if its `j`-th predicted label is true and 0 if not, `w_j` the inverse propensity of
/// that label, and `w*_1 ≥ w*_2 ≥ …` the inverse propensities of its true labels `Y_i`, followed by zeros. With
/// `d_j = 1 / log2(j + 1)`, `Z_i = sum of d_j over j ≤ min(k, |Y_i|)`, and sums over `j ≤ k`,
///
/// ```text
/// P@k      = mean_i  sum_j y_j / k
/// nDCG@k   = mean_i (sum_j y_j d_j) / Z_i
/// PSP@k    = sum_i   sum_j w_j y_j            /  sum_i  sum_j w*_j
/// PSnDCG@k = sum_i  (sum_j w_j y_j d_j) / Z_i /  sum_i (sum_j w*_j d_j) / Z_i
/// ```
///
/// A point without labels counts as zero in the two means and adds nothing to the two ratios. P@k divides by k also
/// where a point has fewer labels, so the best P@k may be below one; the best of the others is one, but for points
/// without labels. Missing predictions count as wrong.
///
/// The propensity-scored forms are from Jain, Prabhu and Varma, "Extreme Multi-label Loss Functions for Recommendation,
/// Tagging, Ranking & Other Missing Label Applications" (KDD 2016); P@k and nDCG@k are those of Bhatia et al., "The
/// extreme classification repository: Multi-label datasets and code" (2016). Ratios of sums, and `Z_i` in PSnDCG, are
/// those of pyxclib (`xclib.evaluation.xc_metrics`). We differ from it in two places: where nothing can be attained it
/// gives NaN and we give zero, and it rounds nDCG to f32 and we do not.
///
/// # Example
/// ```
/// use rf_data::Propensity;
/// use rf_xmc::Metrics;
/// let weights = Propensity::default().inverse(&[50, 20, 4, 1, 1, 0], 60);
/// let mut metrics = Metrics::new(&weights);
/// metrics.add(&[0, 1, 4, 2, 3], &[1]);
/// metrics.add(&[1, 0, 2, 5, 3], &[0, 1, 3]);
/// assert_eq!(metrics.scores()["P@1"], 0.5);
/// assert_eq!(metrics.scores()["P@3"], 0.5);
/// ```
#[derive(Clone, Debug)]
pub struct Metrics<'a> {
    inverse_propensities: &'a [f64],
    points: usize,
    plain: Sums,
    attained: Sums,
    attainable: Sums,
}

impl Metrics<'_> {
    /// The depths k at which rankings are scored.
    pub const KS: [usize; 3] = [1, 3, 5];

    /// No points yet. `inverse_propensities`: one for each label, empty to leave the propensity-scored forms out.
    pub fn new(inverse_propensities: &[f64]) -> Metrics<'_> {
        let none = Sums::default();
        Metrics { inverse_propensities, points: 0, plain: none, attained: none, attainable: none }
    }

    /// Adds a point: predicted labels best first (at least 5, or all there are), true labels ascending.
    ///
    /// # Panics
    /// If the true labels do not ascend, or if one of them has no inverse propensity while others have.
    pub fn add(&mut self, predicted: &[u32], truth: &[u32]) {
        assert!(truth.is_sorted_by(|a, b| a < b), "true labels must ascend: {truth:?}");
        self.points += 1;
        if truth.is_empty() {
            return;
        }
        let is_true = |label: &u32| truth.binary_search(label).is_ok();
        self.plain.add(truth.len(), predicted.iter().map(|label| f64::from(is_true(label))));
        let weights = self.inverse_propensities;
        if weights.is_empty() {
            return;
        }
        let weight = |&label: &u32| weights[label as usize];
        let gain = |label| if is_true(label) { weight(label) } else { 0.0 };
        self.attained.add(truth.len(), predicted.iter().map(gain));
        let mut best: Vec<f64> = truth.iter().map(weight).collect();
        best.sort_unstable_by(|a, b| b.total_cmp(a));
        self.attainable.add(truth.len(), best.into_iter());
    }

    /// Points added so far, those without labels included.
    pub fn points(&self) -> usize {
        self.points
    }

    /// `P@k`, `nDCG@k`, and with propensities `PSP@k` and `PSnDCG@k`, in `[0, 1]`, by name.
    pub fn scores(&self) -> BTreeMap<String, f64> {
        let points = self.points as f64;
        let mut scores = BTreeMap::new();
        for (at, k) in Self::KS.into_iter().enumerate() {
            let mut put = |name, part, whole| scores.insert(format!("{name}@{k}"), ratio(part, whole));
            put("P", self.plain.gain[at], k as f64 * points);
            put("nDCG", self.plain.discounted[at], points);
            if !self.inverse_propensities.is_empty() {
                put("PSP", self.attained.gain[at], self.attainable.gain[at]);
                put("PSnDCG", self.attained.discounted[at], self.attainable.discounted[at]);
            }
        }
        scores
    }
}

/// Gains of the first k places of rankings, plain and as DCG over `Z`, summed over points, for each k of `KS`.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    gain: [f64; Metrics::KS.len()],
    discounted: [f64; Metrics::KS.len()],
}

impl Sums {
    /// Adds a point of `labels ≥ 1` true labels, with the gain of each place of its ranking.
    fn add(&mut self, labels: usize, mut gains: impl Iterator<Item = f64>) {
        let (mut gain, mut discounted, mut ideal, mut place) = (0.0, 0.0, 0.0, 0);
        for (at, k) in Metrics::KS.into_iter().enumerate() {
            while place < k {
                let (here, discount) = (gains.next().unwrap_or(0.0), 1.0 / ((place + 2) as f64).log2());
                gain += here;
                discounted += here * discount;
                ideal += if place < labels { discount } else { 0.0 };
                place += 1;
            }
            self.gain[at] += gain;
            self.discounted[at] += discounted / ideal;
        }
    }
}

/// `part / whole`, and zero of nothing.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use rf_data::Propensity;

    use super::*;

    const NAMES: [&str; 4] = ["P", "nDCG", "PSP", "PSnDCG"];

    /// Compares scores by name, each at k = 1, 3, 5.
    fn expect(metrics: &Metrics<'_>, wanted: &[(&str, [f64; 3])], tolerance: f64) {
        let scores = metrics.scores();
        for (name, values) in wanted {
            for (k, value) in Metrics::KS.iter().zip(values) {
                let score = scores[&format!("{name}@{k}")];
                assert!((score - value).abs() <= tolerance, "{name}@{k} is {score}, not {value}");
            }
        }
    }

    /// The problem of `scripts/golden/xc_metrics.py`: rankings of 40 labels and true labels of 30 points.
    fn golden_points() -> impl Iterator<Item = (Vec<u32>, Vec<u32>)> {
        let is_true = |i: u32, label: u32| (label * label + 3 * i * label + i) % 41 < 2 * (i % 5);
        (0..30).map(move |i| {
            let mut ranking: Vec<u32> = (0..40).collect();
            let score = |&label: &u32| 2 * ((label + 1) * (i + 1) % 41) + 41 * u32::from(is_true(i, label));
            ranking.sort_by_key(|label| std::cmp::Reverse(score(label)));
            (ranking, (0..40).filter(|&label| is_true(i, label)).collect())
        })
    }

    fn golden_weights() -> Vec<f64> {
        let counts: Vec<u64> = (0..40).map(|label| 1000 / ((label + 1) * (label + 1))).collect();
        Propensity { a: 0.55, b: 1.5 }.inverse(&counts, 2000)
    }

    /// pyxclib computes nDCG and PSnDCG in f32.
    #[test]
    fn scores_are_those_of_pyxclib() {
        let weights = golden_weights();
        let mut metrics = Metrics::new(&weights);
        golden_points().for_each(|(ranking, truth)| metrics.add(&ranking, &truth));
        let exact = [
            ("P", [0.6333333333333333, 0.47777777777777775, 0.3533333333333334]),
            ("PSP", [0.6137258954887395, 0.6292813751094516, 0.5966018251162116]),
        ];
        let single = [("nDCG", [0.6333333, 0.52933, 0.458045]), ("PSnDCG", [0.6137259, 0.6111164, 0.58578783])];
        expect(&metrics, &exact, 1e-9);
        expect(&metrics, &single, 1e-6);
    }

    #[test]
    fn inverse_propensities_are_those_of_pyxclib() {
        let weights = golden_weights();
        let wanted =
            [(0, 1.2444062432499607), (1, 1.5226060413738056), (7, 3.3380519181141834), (39, 9.742187715565446)];
        for (label, value) in wanted {
            assert!((weights[label] - value).abs() <= 1e-9, "label {label}: {}, not {value}", weights[label]);
        }
    }

    /// The second point alone has P@1 = 1: the propensity-scored forms are ratios of sums, not means of ratios.
    #[test]
    fn a_small_case_agrees_with_the_formulas_by_hand() {
        let weights = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
        let mut metrics = Metrics::new(&weights);
        metrics.add(&[0, 1, 2, 3, 4], &[1, 3]);
        metrics.add(&[4, 0, 1, 2, 3], &[4]);
        let (second, fourth) = (1.0 / 3f64.log2(), 1.0 / 5f64.log2());
        let ideal = 1.0 + second;
        let best = (8.0 + 2.0 * second) / ideal + 16.0;
        let wanted = [
            ("P", [1.0 / 2.0, 1.0 / 3.0, 3.0 / 10.0]),
            ("nDCG", [0.5, (second / ideal + 1.0) / 2.0, ((second + fourth) / ideal + 1.0) / 2.0]),
            ("PSP", [16.0 / 24.0, 18.0 / 26.0, 1.0]),
            (
                "PSnDCG",
                [
                    16.0 / 24.0,
                    (2.0 * second / ideal + 16.0) / best,
                    ((2.0 * second + 8.0 * fourth) / ideal + 16.0) / best,
                ],
            ),
        ];
        expect(&metrics, &wanted, 1e-12);
    }

    #[test]
    fn a_perfect_ranking_scores_one_in_all_twelve() {
        let weights = [9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0];
        let mut metrics = Metrics::new(&weights);
        metrics.add(&[0, 2, 4, 6, 5, 3, 1], &[0, 1, 2, 3, 4, 5, 6]);
        metrics.add(&[0, 2, 4, 3, 1], &[0, 1, 2, 3, 4]);
        assert_eq!(metrics.scores().len(), 12);
        expect(&metrics, &NAMES.map(|name| (name, [1.0; 3])), 1e-12);
    }

    #[test]
    fn with_fewer_labels_than_k_only_precision_stays_below_one() {
        let weights = [1.0, 2.0, 3.0];
        let mut metrics = Metrics::new(&weights);
        metrics.add(&[2, 1, 0], &[1, 2]);
        let one = [1.0; 3];
        let wanted = [("P", [1.0, 2.0 / 3.0, 2.0 / 5.0]), ("nDCG", one), ("PSP", one), ("PSnDCG", one)];
        expect(&metrics, &wanted, 1e-12);
    }

    #[test]
    fn a_point_without_labels_counts_in_the_means_and_not_in_the_ratios() {
        let weights = [1.0, 2.0, 3.0, 4.0, 5.0];
        let mut metrics = Metrics::new(&weights);
        metrics.add(&[4, 3, 2, 1, 0], &[0, 1, 2, 3, 4]);
        metrics.add(&[0, 1, 2, 3, 4], &[]);
        assert_eq!(metrics.points(), 2);
        let (half, one) = ([0.5; 3], [1.0; 3]);
        expect(&metrics, &[("P", half), ("nDCG", half), ("PSP", one), ("PSnDCG", one)], 1e-12);
    }

    #[test]
    fn without_points_or_without_labels_scores_are_zero() {
        let mut metrics = Metrics::new(&[1.0, 2.0]);
        expect(&metrics, &NAMES.map(|name| (name, [0.0; 3])), 0.0);
        metrics.add(&[1, 0], &[]);
        expect(&metrics, &NAMES.map(|name| (name, [0.0; 3])), 0.0);
    }

    #[test]
    fn without_propensities_their_scores_are_left_out() {
        let mut metrics = Metrics::new(&[]);
        metrics.add(&[1_000_000], &[1_000_000]);
        expect(&metrics, &[("P", [1.0, 1.0 / 3.0, 1.0 / 5.0]), ("nDCG", [1.0; 3])], 1e-12);
        assert_eq!(metrics.scores().len(), 6);
    }

    #[test]
    fn the_order_within_k_matters_to_ndcg_and_not_to_precision() {
        let weights = [1.0, 2.0, 3.0, 4.0, 5.0];
        let scores = [[3, 4, 0, 1, 2], [0, 1, 2, 4, 3]].map(|ranking| {
            let mut metrics = Metrics::new(&weights);
            metrics.add(&ranking, &[3, 4]);
            metrics.scores()
        });
        for (name, ordered) in [("P@5", false), ("PSP@5", false), ("nDCG@5", true), ("PSnDCG@5", true)] {
            assert_eq!(scores[0][name] > scores[1][name], ordered, "{name}");
        }
    }

    #[test]
    fn predictions_past_the_fifth_do_not_count() {
        let weights = golden_weights();
        let (mut whole, mut cut) = (Metrics::new(&weights), Metrics::new(&weights));
        for (ranking, truth) in golden_points() {
            whole.add(&ranking, &truth);
            cut.add(&ranking[..5], &truth);
        }
        assert_eq!(whole.scores(), cut.scores());
    }

    #[test]
    #[should_panic(expected = "true labels must ascend: [3, 1]")]
    fn true_labels_out_of_order_panic() {
        Metrics::new(&[]).add(&[0], &[3, 1]);
    }
}
