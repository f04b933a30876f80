//! Ranges of values. What depends on the data, such as more draws than classes, is found when the model is built.

use std::fmt::Display;

use rf_data::DataConfig;
use rf_softmax::{LossConfig, SamplerConfig};
use rf_training::OptimizerConfig;

use super::Plan;
use crate::document::Places;
use crate::exit::OrBadInput;

/// A condition on a number, and its name.
type Range = (fn(f64) -> bool, &'static str);

const POSITIVE: Range = (|x| x > 0.0 && x.is_finite(), "it must be positive and finite");
const NOT_NEGATIVE: Range = (|x| x >= 0.0 && x.is_finite(), "it must be at least 0 and finite");
const FINITE: Range = (f64::is_finite, "it must be finite");
const SHARE: Range = (|x| (0.0..=1.0).contains(&x), "it must lie between 0 and 1");
const PROBABILITY_BELOW_ONE: Range = (|x| (0.0..1.0).contains(&x), "it must be at least 0 and below 1");

/// Refuses values outside their ranges, naming where they were set.
pub fn check(plan: &Plan, places: &Places) -> anyhow::Result<()> {
    check_sizes(plan, places)?;
    check_data(&plan.data, places)?;
    check_model(plan, places)?;
    check_loss(&plan.loss, places)?;
    check_optimizer(&plan.optimizer, places)?;
    in_range(places, "train.min_improvement", plan.train.min_improvement, SHARE)?;
    match (plan.train.epochs, plan.train.steps) {
        (Some(_), Some(_)) => Err(places.bad("train.steps", "a run has either `epochs` or `steps`, not both")),
        _ => Ok(()),
    }
}

fn check_sizes(plan: &Plan, places: &Places) -> anyhow::Result<()> {
    let (model, train) = (&plan.model, &plan.train);
    let (features, leaf_size) = tree_sizes(&plan.loss.sampler);
    let sizes = [
        ("model.embedding", Some(model.embedding)),
        ("model.hidden", Some(model.hidden)),
        ("model.layers", Some(model.layers)),
        ("model.projection", model.projection),
        ("loss.draws", Some(plan.loss.draws)),
        ("loss.sampler.features", features),
        ("loss.sampler.leaf_size", leaf_size),
        ("train.epochs", train.epochs),
        ("train.patience", train.patience),
        ("train.batch_size", train.batch_size),
        ("train.bptt", train.bptt),
        ("train.eval_batch_size", train.eval_batch_size),
        ("train.eval_tokens", train.eval_tokens),
    ];
    let steps = [
        ("train.steps", train.steps),
        ("train.evaluate_every", train.evaluate_every),
        ("train.checkpoint_every", train.checkpoint_every),
        ("train.log_every", Some(train.log_every)),
    ];
    let sizes = sizes.into_iter().filter(|(_, size)| *size == Some(0)).map(|(field, _)| field);
    let steps = steps.into_iter().filter(|(_, steps)| *steps == Some(0)).map(|(field, _)| field);
    match sizes.chain(steps).next() {
        Some(field) => Err(places.bad(field, "0 is not allowed; it must be at least 1")),
        None => Ok(()),
    }
}

fn check_data(data: &DataConfig, places: &Places) -> anyhow::Result<()> {
    match data {
        DataConfig::Text(text) => match text.vocabulary {
            Some(cap @ 0..3) => {
                let message = format!("{cap} is not allowed; it must be at least 3: <eos>, <unk> and one word");
                Err(places.bad("data.vocabulary", &message))
            }
            _ => Ok(()),
        },
        DataConfig::Synthetic(_) => match data.known() {
            Err(rf_data::Error::Config { field, value, problem }) => {
                // The place is kept for the whole list, not for an entry like `choices[2]`.
                let key = field.split('[').next().unwrap_or(&field);
                Err(places.bad(&format!("data.{key}"), &format!("{value} is not allowed; it {problem}")))
            }
            other => other.map(drop).or_bad_input(),
        },
    }
}

fn check_model(plan: &Plan, places: &Places) -> anyhow::Result<()> {
    let model = &plan.model;
    in_range(places, "model.dropout", model.dropout, PROBABILITY_BELOW_ONE)?;
    in_range(places, "model.recurrent_dropout", model.recurrent_dropout, PROBABILITY_BELOW_ONE)?;
    in_range(places, "model.word_dropout", model.word_dropout, PROBABILITY_BELOW_ONE)?;
    let width = model.query_width();
    if model.tied && model.embedding != width {
        let message = format!(
            "it needs `model.embedding` equal to the width of h, but these are {} and {width}",
            model.embedding
        );
        return Err(places.bad("model.tied", &message));
    }
    Ok(())
}

fn check_loss(loss: &LossConfig, places: &Places) -> anyhow::Result<()> {
    in_range(places, "loss.tau", loss.tau, POSITIVE)?;
    loss.check_sharing().map_err(|error| places.bad("loss.sharing", &error.to_string()))?;
    match &loss.sampler {
        SamplerConfig::Uniform {} | SamplerConfig::LogUniform {} | SamplerConfig::Exp {} => Ok(()),
        SamplerConfig::Unigram(unigram) => in_range(places, "loss.sampler.power", unigram.power, FINITE),
        SamplerConfig::Quadratic(quadratic) => {
            in_range(places, "loss.sampler.alpha", quadratic.alpha, POSITIVE)?;
            in_range(places, "loss.sampler.prior", quadratic.prior, FINITE)?;
            in_range(places, "loss.sampler.memory_gib", quadratic.memory_gib, POSITIVE)
        }
        SamplerConfig::Rff(rff) => {
            in_range(places, "loss.sampler.nu", rff.nu, POSITIVE)?;
            in_range(places, "loss.sampler.floor", rff.floor, NOT_NEGATIVE)?;
            in_range(places, "loss.sampler.prior", rff.prior, FINITE)?;
            in_range(places, "loss.sampler.memory_gib", rff.memory_gib, POSITIVE)
        }
    }
}

fn check_optimizer(optimizer: &OptimizerConfig, places: &Places) -> anyhow::Result<()> {
    in_range(places, "optimizer.learning_rate", optimizer.learning_rate, POSITIVE)?;
    if let Some(norm) = optimizer.clip_norm {
        in_range(places, "optimizer.clip_norm", norm, POSITIVE)?;
    }
    in_range(places, "optimizer.weight_decay", optimizer.weight_decay, NOT_NEGATIVE)?;
    match optimizer.schedule.check() {
        Err(rf_training::Error::BadSetting { field, value, why }) => {
            Err(places.bad(&format!("optimizer.schedule.{field}"), &format!("{value} is not allowed; {why}")))
        }
        other => other.or_bad_input(),
    }
}

/// Features and leaf size of a sampler that has such settings.
fn tree_sizes(sampler: &SamplerConfig) -> (Option<usize>, Option<usize>) {
    match sampler {
        SamplerConfig::Rff(rff) => (Some(rff.features), rff.leaf_size),
        SamplerConfig::Quadratic(quadratic) => (None, quadratic.leaf_size),
        _ => (None, None),
    }
}

fn in_range<T: Copy + Display + Into<f64>>(
    places: &Places,
    field: &str,
    value: T,
    (is_allowed, rule): Range,
) -> anyhow::Result<()> {
    if is_allowed(value.into()) {
        return Ok(());
    }
    Err(places.bad(field, &format!("{value} is not allowed; {rule}")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::experiment::Experiment;

    const TEXT: &str = "task = 'lm'\n[loss]\ntau = 11.1\n[loss.sampler]\nkind = 'rff'\n";

    fn plan(text: &str, overrides: &[&str]) -> anyhow::Result<Plan> {
        let overrides: Vec<_> = overrides.iter().map(|text| text.parse().unwrap()).collect();
        Plan::new(Experiment::parse(Path::new("a.toml"), text, &overrides)?)
    }

    fn message(overrides: &[&str]) -> String {
        plan(TEXT, overrides).unwrap_err().to_string()
    }

    #[test]
    fn a_size_of_zero_is_refused_with_its_place() {
        for field in [
            "model.hidden",
            "model.projection",
            "loss.draws",
            "loss.sampler.features",
            "loss.sampler.leaf_size",
            "train.log_every",
            "train.patience",
            "train.eval_tokens",
        ] {
            let change = format!("{field}=0");
            assert_eq!(message(&[&change]), format!("--set {change}: 0 is not allowed; it must be at least 1"));
        }
        let wanted = "a.toml, line 7, train.batch_size: 0 is not allowed; it must be at least 1";
        assert_eq!(plan(&format!("{TEXT}[train]\nbatch_size = 0\n"), &[]).unwrap_err().to_string(), wanted);
    }

    #[test]
    fn a_number_outside_its_range_is_refused_with_its_place() {
        for (change, value, rule) in [
            ("model.dropout=1", "1", "it must be at least 0 and below 1"),
            ("model.dropout=nan", "NaN", "it must be at least 0 and below 1"),
            ("loss.tau=0", "0", "it must be positive and finite"),
            ("loss.sampler.nu=-4.1", "-4.1", "it must be positive and finite"),
            ("loss.sampler.floor=-0.5", "-0.5", "it must be at least 0 and finite"),
            ("loss.sampler.prior=nan", "NaN", "it must be finite"),
            ("loss.sampler.memory_gib=0", "0", "it must be positive and finite"),
            ("optimizer.learning_rate=-0.5", "-0.5", "it must be positive and finite"),
            ("optimizer.clip_norm=inf", "inf", "it must be positive and finite"),
            ("optimizer.weight_decay=-1.5", "-1.5", "it must be at least 0 and finite"),
            ("model.recurrent_dropout=1", "1", "it must be at least 0 and below 1"),
            ("model.word_dropout=-0.5", "-0.5", "it must be at least 0 and below 1"),
            ("train.min_improvement=2", "2", "it must lie between 0 and 1"),
        ] {
            assert_eq!(message(&[change]), format!("--set {change}: {value} is not allowed; {rule}"));
        }
        for (sampler, rule) in [
            ("{kind='unigram', power=inf}", "inf is not allowed; it must be finite"),
            ("{kind='quadratic', alpha=-0.5}", "-0.5 is not allowed; it must be positive and finite"),
            ("{kind='quadratic', prior=nan}", "NaN is not allowed; it must be finite"),
            ("{kind='quadratic', memory_gib=0}", "0 is not allowed; it must be positive and finite"),
            ("{kind='quadratic', leaf_size=0}", "0 is not allowed; it must be at least 1"),
        ] {
            let change = format!("loss.sampler={sampler}");
            assert_eq!(message(&[&change]), format!("--set {change}: {rule}"));
        }
    }

    #[test]
    fn a_language_or_a_vocabulary_that_cannot_be_is_refused() {
        let change = "data={kind='synthetic', sharing=9}";
        assert_eq!(message(&[change]), format!("--set {change}: 9 is not allowed; it must be 1 to topics = 8"));
        let text = "task = 'lm'\n[data]\nkind = 'synthetic'\nchoices = [4, 3]\n";
        let wanted = "a.toml, line 4, data.choices: 3 is not allowed; it must be a positive multiple of sharing = 2";
        assert_eq!(plan(text, &[]).unwrap_err().to_string(), wanted);
        let change = "data={kind='text', train='a', valid='b', test='c', vocabulary=2}";
        assert!(message(&[change]).ends_with(": 2 is not allowed; it must be at least 3: <eos>, <unk> and one word"));
    }

    #[test]
    fn a_tied_model_needs_classes_as_wide_as_its_embedding() {
        let tied = |more: &[&str]| plan(TEXT, &[&["model.tied=true", "model.embedding=100"], more].concat());
        assert!(tied(&["model.hidden=100"]).is_ok());
        assert!(tied(&["model.projection=100"]).is_ok());
        let wanted =
            "--set model.tied=true: it needs `model.embedding` equal to the width of h, but these are 100 and 50";
        assert_eq!(tied(&["model.hidden=100", "model.projection=50"]).unwrap_err().to_string(), wanted);
    }

    #[test]
    fn a_batch_shares_draws_of_a_law_that_allows_it() {
        assert!(plan(TEXT, &["loss.sharing=batch"]).is_ok());
        let error = message(&["loss.sampler.leaf_law=gauss", "loss.sharing=batch"]);
        assert!(error.starts_with("--set loss.sharing=batch: ") && error.contains("`features`"), "{error}");
    }

    #[test]
    fn a_schedule_is_checked_too() {
        let text = format!("{TEXT}[optimizer.schedule]\nkind = 'step'\nfrom_epoch = 0\nfactor = 0.5\n");
        let wanted = "a.toml, line 8, optimizer.schedule.from_epoch: 0 is not allowed; epochs are counted from 1";
        assert_eq!(plan(&text, &[]).unwrap_err().to_string(), wanted);
    }

    #[test]
    fn a_file_with_epochs_and_steps_is_refused() {
        let text = format!("{TEXT}[train]\nepochs = 2\nsteps = 7\n");
        let wanted = "a.toml, line 8, train.steps: a run has either `epochs` or `steps`, not both";
        assert_eq!(plan(&text, &[]).unwrap_err().to_string(), wanted);
        assert_eq!(plan(&text, &["train.epochs=3"]).unwrap().train.epochs, Some(3));
    }
}
