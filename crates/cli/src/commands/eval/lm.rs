//! `rfs eval` of a language model.

use std::path::Path;

use burn::tensor::Device;
use rf_data::Vocabulary;
use rf_lm::Evaluation;
use rf_training::RunFolder;
use serde::Serialize;

use crate::args::{EvalArgs, Split};
use crate::commands::{of_trainer, told};
use crate::exit::OrBadInput;
use crate::plan::Plan;
use crate::runs;
use crate::task::Lm;

/// Evaluates a checkpoint over all classes and tells the outcome.
pub fn run(plan: &Plan<Lm>, folder: &RunFolder, device: &Device, args: &EvalArgs) -> anyhow::Result<()> {
    let vocabulary = Vocabulary::load(&folder.vocabulary()).or_bad_input()?;
    let tokens = plan.data.split(args.split.of_data(), &vocabulary, &rf_data::data_root(), plan.seed).or_bad_input()?;
    let tokens = match args.split {
        Split::Valid => plan.train.validation(&tokens),
        Split::Test => &tokens,
    };
    let path = runs::checkpoint(folder, args.checkpoint)?;
    let (step, evaluation) = of_trainer(rf_lm::evaluate(&plan.settings(), &path, &vocabulary, tokens, device))?;
    let outcome = Outcome::new(&args.run, args.split, step, &evaluation);
    println!("{}", if args.json { serde_json::to_string(&outcome)? } else { outcome.in_words() });
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
    nll_nats: f64,
    tokens: usize,
    seconds: f64,
}

impl<'a> Outcome<'a> {
    fn new(run: &'a Path, split: Split, step: u64, evaluation: &Evaluation) -> Self {
        let Evaluation { nll_nats, perplexity: value, tokens, seconds } = *evaluation;
        Self { run, split: split.name(), step, metric: "perplexity", value, nll_nats, tokens, seconds }
    }

    fn in_words(&self) -> String {
        let Self { split, step, metric, value, nll_nats, seconds, .. } = self;
        let tokens = told::grouped(self.tokens as u64);
        format!(
            "{split} {metric} {value:.2} ({nll_nats:.4} nats a token, {tokens} tokens, {seconds:.1} s) at step {step}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_told_in_words_and_in_json() {
        let evaluation = Evaluation { nll_nats: 4.815_9, perplexity: 123.45, tokens: 82_430, seconds: 3.2 };
        let outcome = Outcome::new(Path::new("runs/a"), Split::Test, 400, &evaluation);
        assert_eq!(
            outcome.in_words(),
            "test perplexity 123.45 (4.8159 nats a token, 82,430 tokens, 3.2 s) at step 400"
        );
        let wanted = r#"{"run":"runs/a","split":"test","step":400,"metric":"perplexity","value":123.45,"nll_nats":4.8159,"tokens":82430,"seconds":3.2}"#;
        assert_eq!(serde_json::to_string(&outcome).unwrap(), wanted);
    }
}
