//! Ranges of the values that all tasks have. What depends on the data, such as more draws than classes, is found when
//! the model is built.

use std::fmt::Display;

use rf_softmax::{LossConfig, SamplerConfig};
use rf_training::OptimizerConfig;

use super::Plan;
use crate::document::Places;
use crate::exit::OrBadInput;
use crate::task::TaskKind;

/// A condition on a number, and its name.
pub type Range = (fn(f64) -> bool, &'static str);

const POSITIVE: Range = (|x| x > 0.0 && x.is_finite(), "it must be positive and finite");
const NOT_NEGATIVE: Range = (|x| x >= 0.0 && x.is_finite(), "it must be at least 0 and finite");
const FINITE: Range = (f64::is_finite, "it must be finite");
const SHARE: Range = (|x| (0.0..=1.0).contains(&x), "it must lie between 0 and 1");
/// Of a dropout.
pub const PROBABILITY_BELOW_ONE: Range = (|x| (0.0..1.0).contains(&x), "it must be at least 0 and below 1");

/// Refuses values outside their ranges, naming where they were set.
pub fn check<T: TaskKind>(plan: &Plan<T>, places: &Places) -> anyhow::Result<()> {
    T::check(plan, places)?;
    check_sizes(plan, places)?;
    check_loss(&plan.loss, places)?;
    check_optimizer(&plan.optimizer, places)?;
    in_range(places, "train.min_improvement", plan.train.min_improvement, SHARE)?;
    match (plan.train.epochs, plan.train.steps) {
        (Some(_), Some(_)) => Err(places.bad("train.steps", "a run has either `epochs` or `steps`, not both")),
        _ => Ok(()),
    }
}

/// Refuses sizes of zero.
pub fn at_least_one(places: &Places, sizes: &[(&str, Option<usize>)]) -> anyhow::Result<()> {
    match sizes.iter().find(|(_, size)| *size == Some(0)) {
        Some((field, _)) => Err(places.bad(field, "0 is not allowed; it must be at least 1")),
        None => Ok(()),
    }
}

/// Refuses a setting that is there although the task does not have it.
pub fn only_of<V>(places: &Places, field: &str, value: Option<V>, whose: &str) -> anyhow::Result<()> {
    value.map_or(Ok(()), |_| Err(places.bad(field, &format!("only {whose} have it"))))
}

/// Names where a value of the data was set that the data refuses.
pub fn of_data<V>(places: &Places, result: Result<V, rf_data::Error>) -> anyhow::Result<()> {
    match result {
        Err(rf_data::Error::Config { field, value, problem }) => {
            // The place is kept for the whole list, not for an entry like `choices[2]`.
            let key = field.split('[').next().unwrap_or(&field);
            let rule = if problem.starts_with("must") { format!("it {problem}") } else { problem };
            Err(places.bad(&format!("data.{key}"), &format!("{value} is not allowed; {rule}")))
        }
        other => other.map(drop).or_bad_input(),
    }
}

fn check_sizes<T: TaskKind>(plan: &Plan<T>, places: &Places) -> anyhow::Result<()> {
    let train = &plan.train;
    let (features, leaf_size) = tree_sizes(&plan.loss.sampler);
    let steps = |steps: Option<u64>| steps.map(|steps| usize::from(steps > 0));
    let sizes = [
        ("loss.draws", Some(plan.loss.draws)),
        ("loss.sampler.features", features),
        ("loss.sampler.leaf_size", leaf_size),
        ("train.epochs", train.epochs),
        ("train.patience", train.patience),
        ("train.batch_size", train.batch_size),
        ("train.eval_batch_size", train.eval_batch_size),
        ("train.steps", steps(train.steps)),
        ("train.evaluate_every", steps(train.evaluate_every)),
        ("train.checkpoint_every", steps(train.checkpoint_every)),
        ("train.log_every", steps(Some(train.log_every))),
    ];
    at_least_one(places, &sizes)
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
        SamplerConfig::Cluster(cluster) => {
            if let Some(growth) = cluster.growth {
                in_range(places, "loss.sampler.growth", growth, POSITIVE)?;
            }
            in_range(places, "loss.sampler.weight_power", cluster.weight_power, FINITE)?;
            in_range(places, "loss.sampler.epsilon", cluster.epsilon, NOT_NEGATIVE)
        }
        SamplerConfig::Rff(rff) => {
            in_range(places, "loss.sampler.nu", rff.nu, POSITIVE)?;
            in_range(places, "loss.sampler.floor", rff.floor, NOT_NEGATIVE)?;
            in_range(places, "loss.sampler.prior", rff.prior, FINITE)?;
            in_range(places, "loss.sampler.memory_gib", rff.memory_gib, POSITIVE)
        }
        SamplerConfig::Midx(midx) => {
            in_range(places, "loss.sampler.prior", midx.prior, FINITE)?;
            in_range(places, "loss.sampler.memory_gib", midx.memory_gib, POSITIVE)
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
        SamplerConfig::Cluster(cluster) => (None, cluster.leaf_size),
        _ => (None, None),
    }
}

/// Refuses a number outside its range.
pub fn in_range<T: Copy + Display + Into<f64>>(
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

    use crate::experiment;
    use crate::plan::AnyPlan;

    const TEXT: &str = "task = 'lm'\n[loss]\ntau = 11.1\n[loss.sampler]\nkind = 'rff'\n";

    fn plan(text: &str, overrides: &[&str]) -> anyhow::Result<AnyPlan> {
        let overrides: Vec<_> = overrides.iter().map(|text| text.parse().unwrap()).collect();
        AnyPlan::new(experiment::parse(Path::new("a.toml"), text, &overrides)?, Path::new("/data"))
    }

    fn message(overrides: &[&str]) -> String {
        plan(TEXT, overrides).unwrap_err().to_string()
    }

    #[test]
    fn a_size_of_zero_is_refused_with_its_place() {
        for field in
            ["loss.draws", "loss.sampler.features", "loss.sampler.leaf_size", "train.log_every", "train.patience"]
        {
            let change = format!("{field}=0");
            assert_eq!(message(&[&change]), format!("--set {change}: 0 is not allowed; it must be at least 1"));
        }
        let wanted = "a.toml, line 7, train.batch_size: 0 is not allowed; it must be at least 1";
        assert_eq!(plan(&format!("{TEXT}[train]\nbatch_size = 0\n"), &[]).unwrap_err().to_string(), wanted);
    }

    #[test]
    fn a_number_outside_its_range_is_refused_with_its_place() {
        for (change, value, rule) in [
            ("loss.tau=0", "0", "it must be positive and finite"),
            ("loss.sampler.nu=-4.1", "-4.1", "it must be positive and finite"),
            ("loss.sampler.floor=-0.5", "-0.5", "it must be at least 0 and finite"),
            ("loss.sampler.prior=nan", "NaN", "it must be finite"),
            ("loss.sampler.memory_gib=0", "0", "it must be positive and finite"),
            ("optimizer.learning_rate=-0.5", "-0.5", "it must be positive and finite"),
            ("optimizer.clip_norm=inf", "inf", "it must be positive and finite"),
            ("optimizer.weight_decay=-1.5", "-1.5", "it must be at least 0 and finite"),
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
        let AnyPlan::Lm(plan) = plan(&text, &["train.epochs=3"]).unwrap() else { panic!("not lm") };
        assert_eq!(plan.train.epochs, Some(3));
    }
}
