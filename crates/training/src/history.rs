use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The validations of a run, oldest first: schedule, early stopping and the best checkpoint are functions of it.
///
/// A lower score is a better one; of a score that should be high its negative goes in.
///
/// # Example
/// ```
/// use rf_training::History;
/// let mut history = History::default();
/// for (step, perplexity) in [(100, 90.0), (200, 80.0), (300, 81.0)] {
///     history.record(step, perplexity);
/// }
/// assert_eq!(history.best().map(|best| best.step), Some(200));
/// assert_eq!(history.wait(0.0), 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History {
    validations: Vec<Validation>,
}

/// One evaluation on the validation data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Steps done before it.
    pub step: u64,
    /// Its score; lower is better.
    pub score: f64,
    /// Whether it was made only because the run ended there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_end: bool,
    /// All figures by name, where more was measured than the score.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
}

impl History {
    /// Adds a validation after `step` steps that measured one figure.
    pub fn record(&mut self, step: u64, score: f64) {
        self.push(Validation { step, score, at_end: false, figures: BTreeMap::new() });
    }

    /// Adds a validation.
    pub fn push(&mut self, validation: Validation) {
        self.validations.push(validation);
    }

    /// Takes off a last validation that was made only because the run ended, where it now goes on: a run of the greater
    /// length would not have made it.
    pub fn go_on(&mut self) {
        self.validations.pop_if(|last| last.at_end);
    }

    /// The last one.
    pub fn latest(&self) -> Option<&Validation> {
        self.validations.last()
    }

    /// The one with the lowest score, the first of equal ones.
    pub fn best(&self) -> Option<&Validation> {
        self.validations.iter().reduce(|best, next| if next.score < best.score { next } else { best })
    }

    /// Validations since the last one that improved on the best before it by more than the share `min_improvement`.
    pub fn wait(&self, min_improvement: f64) -> usize {
        self.waits(min_improvement).last().copied().unwrap_or(0)
    }

    /// [`wait`](Self::wait) after each validation.
    pub(crate) fn waits(&self, min_improvement: f64) -> Vec<usize> {
        let (mut best, mut wait) = (None, 0);
        let next = |&Validation { score, .. }: &Validation| {
            let improved = best.is_none_or(|best: f64| score < best - min_improvement * best.abs());
            (best, wait) = if improved { (Some(score), 0) } else { (best, wait + 1) };
            wait
        };
        self.validations.iter().map(next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(scores: &[f64]) -> History {
        let mut history = History::default();
        scores.iter().zip(1..).for_each(|(score, step)| history.record(step, *score));
        history
    }

    #[test]
    fn an_empty_history_has_no_best_and_waits_for_nothing() {
        let history = History::default();
        assert_eq!((history.best(), history.latest(), history.wait(0.0)), (None, None, 0));
    }

    #[test]
    fn the_first_of_equal_scores_is_the_best() {
        let history = history(&[3.0, 2.0, 2.0, 4.0]);
        let best = history.best().unwrap();
        assert_eq!((best.step, best.score), (2, 2.0));
    }

    #[test]
    fn a_run_that_goes_on_forgets_the_validation_at_its_former_end() {
        let (before, mut history) = (history(&[4.0, 3.0]), history(&[4.0, 3.0]));
        history.push(Validation { step: 9, score: 2.0, at_end: true, figures: BTreeMap::new() });
        assert_ne!(history, before);
        history.go_on();
        assert_eq!(history, before);
        history.go_on();
        assert_eq!(history, before);
    }

    #[test]
    fn small_gains_count_once_they_add_up() {
        let history = history(&[100.0, 99.6, 99.2, 98.8, 98.7]);
        assert_eq!(history.waits(0.01), [0, 1, 2, 0, 1]);
        assert_eq!(history.waits(0.0), [0, 0, 0, 0, 0]);
    }

    #[test]
    fn negative_scores_improve_downwards_too() {
        assert_eq!(history(&[-0.50, -0.51, -0.60]).waits(0.1), [0, 1, 0]);
    }

    #[test]
    fn a_history_is_read_back_bit_for_bit() {
        let mut history = history(&[1.0 / 3.0, 93.123_456_789_012_34]);
        assert!(!serde_json::to_string(&history).unwrap().contains("figures"));
        let figures = BTreeMap::from([("P@1".into(), 0.1), ("P@5".into(), 1.0 / 7.0)]);
        history.push(Validation { step: 3, score: -0.1, at_end: false, figures });
        let text = serde_json::to_string(&history).unwrap();
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), history);
    }
}
