//! `rfs eval` of a classifier.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use rf_training::RunFolder;
use rf_xmc::Evaluation;
use serde::Serialize;

use crate::args::{EvalArgs, Split};
use crate::commands::of_trainer;
use crate::commands::told::{grouped, xmc::table};
use crate::commands::trained::Trained;
use crate::exit::OrBadInput;
use crate::plan::Plan;
use crate::task::Xmc;

/// Evaluates a checkpoint over all labels and tells the outcome.
pub fn run(plan: &Plan<Xmc>, folder: &RunFolder, device: &Device, args: &EvalArgs) -> anyhow::Result<()> {
    let trained = Trained::open(plan, folder, args.checkpoint, device)?;
    let points = trained.points(plan, args.split)?;
    let evaluation = of_trainer(trained.predictor.evaluate(&points, plan.data.propensity()))?;
    let outcome = Outcome::new(&args.run, args.split, trained.predictor.step(), &evaluation);
    if args.json {
        println!("{}", serde_json::to_string(&outcome)?);
    } else {
        println!("{}", table(outcome.split, outcome.scores, plan.data.known().or_bad_input()?.as_ref()));
        println!("{}", outcome.in_words());
    }
    Ok(())
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Outcome<'a> {
    run: &'a Path,
    split: &'static str,
    /// Steps of the checkpoint.
    step: u64,
    metric: &'static str,
    value: f64,
    scores: &'a BTreeMap<String, f64>,
    points: usize,
    seconds: f64,
}

/// The figure that models are compared by.
const METRIC: &str = "P@1";

impl<'a> Outcome<'a> {
    fn new(run: &'a Path, split: Split, step: u64, evaluation: &'a Evaluation) -> Self {
        let Evaluation { scores, points, seconds } = evaluation;
        let (points, seconds) = (*points, *seconds);
        Self { run, split: split.name(), step, metric: METRIC, value: scores[METRIC], scores, points, seconds }
    }

    fn in_words(&self) -> String {
        let Self { seconds, step, .. } = self;
        format!("{} points in {seconds:.1} s, at step {step}", grouped(self.points as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_told_in_words_and_in_json() {
        let scores = BTreeMap::from([("P@1".to_owned(), 0.5), ("P@3".to_owned(), 0.25)]);
        let evaluation = Evaluation { scores, points: 2_515, seconds: 0.25 };
        let outcome = Outcome::new(Path::new("runs/a"), Split::Test, 400, &evaluation);
        assert_eq!(outcome.in_words(), "2,515 points in 0.2 s, at step 400");
        let wanted = r#"{"run":"runs/a","split":"test","step":400,"metric":"P@1","value":0.5,"scores":{"P@1":0.5,"P@3":0.25},"points":2515,"seconds":0.25}"#;
        assert_eq!(serde_json::to_string(&outcome).unwrap(), wanted);
    }
}
