//! What `rfs train` tells before and after: the plan in short, and the outcome.

pub mod lm;
pub mod xmc;

use rf_softmax::{LossConfig, LossKind, SamplerConfig, Sharing};
use rf_training::{
    Cosine, Length, OptimizerConfig, Plateau, RunFolder, ScheduleConfig, StepDecay, Summary, TrainConfig,
};

/// Bytes in the largest decimal unit that leaves a number of at least one: `4.2 GB`.
pub fn size(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    let power = (1..=units.len() as u32).rev().find(|&power| bytes >= 1000_u64.pow(power));
    let value = |power| bytes as f64 / 1000_f64.powi(power as i32);
    power.map_or(format!("{bytes} B"), |power| format!("{:.1} {}", value(power), units[power as usize - 1]))
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    parts.join(",")
}

/// The loss, a draw being made for each `query` of a batch, unless the batch shares them.
fn loss(loss: &LossConfig, query: &str) -> String {
    let scale = if loss.normalized { format!("normalized, tau = {}", loss.tau) } else { format!("tau = {}", loss.tau) };
    let softmax = if loss.absolute { "absolute softmax" } else { "softmax" };
    if loss.kind == LossKind::Full {
        return format!("full {softmax}, {scale}");
    }
    let sampler = loss.sampler.name();
    let draws = match loss.sharing {
        Sharing::Query => format!("{} draws a {query}", loss.draws),
        Sharing::Batch => format!("M = {} draws shared by the batch", grouped(loss.draws as u64)),
    };
    let settings = match &loss.sampler {
        SamplerConfig::Rff(rff) => format!(" (D = {}, nu = {})", rff.features, rff.nu),
        SamplerConfig::Quadratic(quadratic) => format!(" (alpha = {})", quadratic.alpha),
        SamplerConfig::Cluster(cluster) => {
            cluster.grouping.map_or(String::new(), |grouping| format!(" (leaves by {})", grouping.name()))
        }
        SamplerConfig::Midx(midx) => format!(" (K = {})", midx.codewords),
        SamplerConfig::Unigram(unigram) => format!(" (counts to the power {})", unigram.power),
        SamplerConfig::Uniform {} | SamplerConfig::LogUniform {} | SamplerConfig::Exp {} => String::new(),
    };
    format!("sampled {softmax}, {draws} by {sampler}{settings}, {scale}")
}

fn optimizer(optimizer: &OptimizerConfig) -> String {
    let OptimizerConfig { kind, learning_rate, clip_norm, weight_decay, schedule, .. } = optimizer;
    let rows = optimizer.row_rule();
    let clip = clip_norm.map_or(String::new(), |norm| format!(", gradients clipped at norm {norm}"));
    let warmup = match optimizer.warmup_steps {
        0 => String::new(),
        steps => format!(" after {} steps of warm-up", grouped(steps)),
    };
    let decay = if *weight_decay > 0.0 { format!(", weight decay {weight_decay}") } else { String::new() };
    let schedule = self::schedule(schedule);
    format!("{kind:?} and {rows:?} for rows, learning rate {learning_rate}{warmup}{schedule}{clip}{decay}")
}

fn schedule(schedule: &ScheduleConfig) -> String {
    match schedule {
        ScheduleConfig::Constant {} => String::new(),
        ScheduleConfig::Step(StepDecay { from_epoch, factor }) => {
            format!(", times {factor} an epoch from epoch {from_epoch} on")
        }
        ScheduleConfig::Plateau(Plateau { factor, patience, .. }) => {
            format!(", times {factor} after {patience} validations without improvement")
        }
        ScheduleConfig::Cosine(Cosine { final_fraction }) => format!(", by a cosine to {final_fraction} of it"),
    }
}

/// Length of the run in steps of `step`, such as `32 points`, of which `epoch` are an epoch.
fn length(train: &TrainConfig, step: &str, epoch: u64) -> String {
    let steps = match train.length() {
        Length::Epochs(epochs) => epochs as u64 * epoch,
        Length::Steps(steps) => steps,
    };
    let early = train
        .patience
        .map_or(String::new(), |patience| format!("; fewer if {patience} validations in a row bring no improvement"));
    format!("{} steps of {step}, {} an epoch{early}", grouped(steps), grouped(epoch))
}

/// What is added to scores of another model than the last.
fn scored(summary: &Summary) -> String {
    let scored = summary.scored_step.filter(|step| *step != summary.steps);
    scored.map_or(String::new(), |step| format!(" of the best model, after step {}", grouped(step)))
}

/// What the run took, `unit` being what a step is made of, and what to do next.
fn costs(summary: &Summary, unit: &str, folder: &RunFolder) -> String {
    let (steps, rate) = (grouped(summary.steps), grouped(summary.examples_per_second as u64));
    let memory = summary
        .peak_memory_bytes
        .map_or(String::new(), |bytes| format!(", at most {} MiB of memory", grouped(bytes.div_ceil(1 << 20))));
    let path = folder.path().display();
    let early = if summary.stopped_early { ", fewer than planned, since validation no longer improved," } else { "" };
    let lines = [
        format!("{steps} steps{early} in {:.1} s, {rate} {unit} a second{memory}", summary.train_seconds),
        format!("the run is in {path}; to evaluate it again: rfs eval {path}"),
    ];
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss_of(text: &str) -> LossConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn sizes_are_told_in_decimal_units() {
        let wanted = ["999 B", "1.0 kB", "5.1 MB", "1.8 GB", "12345.0 TB"];
        assert_eq!([999, 1_000, 5_101_618, 1_792_209_805, 12_345_000_000_000_000].map(size), wanted);
    }

    #[test]
    fn schedules_and_early_stopping_are_told() {
        let told = |text: &str| optimizer(&toml::from_str(text).unwrap());
        let text = "warmup_steps = 1000\nweight_decay = 0.1\n[schedule]\nkind = 'plateau'\nfactor = 0.25\npatience = 2";
        let wanted = "Adam and LazyAdam for rows, learning rate 0.001 after 1,000 steps of warm-up, times 0.25 after 2 \
                      validations without improvement, weight decay 0.1";
        assert_eq!(told(text), wanted);
        assert!(told("[schedule]\nkind = 'cosine'").ends_with(", by a cosine to 0 of it"));
        let train = TrainConfig { patience: Some(3), epochs: Some(2), ..Default::default() };
        let wanted = "10 steps of 4 points, 5 an epoch; fewer if 3 validations in a row bring no improvement";
        assert_eq!(length(&train, "4 points", 5), wanted);
    }

    #[test]
    fn draws_are_told_to_be_of_a_query_or_shared() {
        let wanted = "sampled softmax, 100 draws a point by rff (D = 1024, nu = 4), normalized, tau = 11.11";
        assert!(loss(&loss_of("sampler = { kind = 'rff' }"), "point").starts_with(wanted));
        let shared = loss(&loss_of("sharing = 'batch'\ndraws = 2048\nsampler = { kind = 'rff' }"), "token");
        let wanted = "sampled softmax, M = 2,048 draws shared by the batch by rff (D = 1024, nu = 4), normalized";
        assert!(shared.starts_with(wanted), "{shared}");
    }
}
