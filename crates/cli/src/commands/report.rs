//! What `rfs train` tells before and after: the plan in short, and the outcome.

use rf_data::{Corpus, DataConfig, Known, TrainText};
use rf_lm::{ModelConfig, Sizes};
use rf_softmax::{LossKind, SamplerConfig, Sharing};
use rf_training::{Cosine, Length, OptimizerConfig, Plateau, RunFolder, ScheduleConfig, Score, StepDecay, Summary};

use crate::exit::OrBadInput;
use crate::plan::Plan;

/// The plan in short, with what follows from it and the data.
pub fn before(plan: &Plan, corpus: &Corpus, folder: &RunFolder) -> anyhow::Result<String> {
    let Sizes { batch, bptt, .. } = Sizes::of(&plan.train);
    let windows = corpus.windows(batch, bptt).or_bad_input()?;
    let lines = [
        format!("run        {}, seed {}", folder.path().display(), plan.seed),
        format!("data       {}", data(plan, corpus)),
        format!("model      {}", model(plan, corpus.vocabulary.len())),
        format!("loss       {}", loss(plan)),
        format!("optimizer  {}", optimizer(&plan.optimizer)),
        format!("length     {}", length(plan, windows.per_epoch())),
    ];
    let best = corpus.known.map_or(String::new(), |known| {
        let Known { floor, best_bigram, best_unigram } = known;
        format!(
            "\nbest perplexity of any model {floor:.1}, of a bigram {best_bigram:.1}, of a unigram {best_unigram:.1}"
        )
    });
    Ok(format!("{}{best}\n", lines.join("\n")))
}

/// The outcome, and what to do next.
pub fn after(summary: &Summary, known: Option<&Known>, folder: &RunFolder) -> String {
    let table = known.map_or(String::new(), |known| compared(known, figure(&summary.test)));
    let (valid, test) = (shown(figure(&summary.valid)), shown(figure(&summary.test)));
    let (steps, rate) = (grouped(summary.steps), grouped(summary.examples_per_second as u64));
    let memory = summary
        .peak_memory_bytes
        .map_or(String::new(), |bytes| format!(", at most {} MiB of memory", grouped(bytes.div_ceil(1 << 20))));
    let path = folder.path().display();
    let early = if summary.stopped_early { ", fewer than planned, since validation no longer improved," } else { "" };
    let scored = summary.scored_step.filter(|step| *step != summary.steps);
    let scored = scored.map_or(String::new(), |step| format!(" of the best model, after step {}", grouped(step)));
    let lines = [
        format!("valid perplexity {valid}, test perplexity {test}{scored}"),
        format!("{steps} steps{early} in {:.1} s, {rate} tokens a second{memory}", summary.train_seconds),
        format!("the run is in {path}; to evaluate it again: rfs eval {path}"),
    ];
    format!("{table}{}\n", lines.join("\n"))
}

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

fn data(plan: &Plan, corpus: &Corpus) -> String {
    let source = match &plan.data {
        DataConfig::Text(text) => format!("{}{}", text.train, shards(&corpus.train)),
        DataConfig::Synthetic(_) => "synthetic text".into(),
    };
    let [n, valid, test] = [corpus.vocabulary.len(), corpus.valid.len(), corpus.test.len()].map(|n| grouped(n as u64));
    let train = grouped(corpus.train.tokens());
    format!("{source}: n = {n} classes; {train} tokens to train on, {valid} valid, {test} test")
}

/// What is added to the path of a text that is read as a stream.
fn shards(text: &TrainText) -> String {
    match text {
        TrainText::Whole(_) => String::new(),
        TrainText::Shards(shards) => {
            let (files, size) = (shards.files().len(), size(shards.bytes()));
            format!(" (a stream of {} file{}, {size})", grouped(files as u64), if files == 1 { "" } else { "s" })
        }
    }
}

fn model(plan: &Plan, n: usize) -> String {
    let model = &plan.model;
    let (n, d) = (grouped(n as u64), model.query_width());
    let words = if model.tied { "rows of the classes".into() } else { format!("{n} × {} words", model.embedding) };
    let plural = if model.layers == 1 { "" } else { "s" };
    let projection = model.projection.map_or(String::new(), |width| format!(", projection to {width}"));
    let (layers, hidden, dropout) = (model.layers, model.hidden, dropout(model));
    format!("{words}, {layers} LSTM layer{plural} of {hidden}{projection}, {n} × {d} classes, {dropout}")
}

fn dropout(model: &ModelConfig) -> String {
    let kind = if model.variational && model.dropout > 0.0 { "variational dropout" } else { "dropout" };
    let more = [(model.recurrent_dropout, "of states"), (model.word_dropout, "of words")];
    let more = more.iter().filter(|(share, _)| *share > 0.0).map(|(share, what)| format!(", {share} {what}"));
    format!("{kind} {}{}", model.dropout, more.collect::<String>())
}

fn loss(plan: &Plan) -> String {
    let loss = &plan.loss;
    let scale = if loss.normalized { format!("normalized, tau = {}", loss.tau) } else { format!("tau = {}", loss.tau) };
    let softmax = if loss.absolute { "absolute softmax" } else { "softmax" };
    if loss.kind == LossKind::Full {
        return format!("full {softmax}, {scale}");
    }
    let sampler = loss.sampler.name();
    let draws = match loss.sharing {
        Sharing::Query => format!("{} draws a token", loss.draws),
        Sharing::Batch => format!("M = {} draws shared by the batch", grouped(loss.draws as u64)),
    };
    let settings = match &loss.sampler {
        SamplerConfig::Rff(rff) => format!(" (D = {}, nu = {})", rff.features, rff.nu),
        SamplerConfig::Quadratic(quadratic) => format!(" (alpha = {})", quadratic.alpha),
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

fn length(plan: &Plan, epoch: u64) -> String {
    let steps = match plan.train.length() {
        Length::Epochs(epochs) => epochs as u64 * epoch,
        Length::Steps(steps) => steps,
    };
    let Sizes { batch, bptt, .. } = Sizes::of(&plan.train);
    let tokens = grouped((batch * bptt) as u64);
    let early = plan
        .train
        .patience
        .map_or(String::new(), |patience| format!("; fewer if {patience} validations in a row bring no improvement"));
    format!("{} steps of {batch} × {bptt} = {tokens} tokens, {} an epoch{early}", grouped(steps), grouped(epoch))
}

fn compared(known: &Known, model: Option<f64>) -> String {
    let rows = [
        ("best unigram", Some(known.best_unigram)),
        ("best bigram", Some(known.best_bigram)),
        ("this model", model),
        ("best possible", Some(known.floor)),
    ];
    let rows = rows.map(|(name, value)| format!("{name:<15}{:>10}\n", shown(value)));
    format!("{:<15}{:>10}\n{}", "on test data", "perplexity", rows.concat())
}

/// The perplexity of a score; it is one figure.
fn figure(score: &Option<Score>) -> Option<f64> {
    match score {
        Some(Score::Value(value)) => Some(*value),
        Some(Score::Values(_)) | None => None,
    }
}

fn shown(perplexity: Option<f64>) -> String {
    perplexity.map_or("unknown".into(), |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::experiment::Experiment;

    fn plan(overrides: &[&str]) -> Plan {
        let overrides: Vec<_> = overrides.iter().map(|text| text.parse().unwrap()).collect();
        Plan::new(Experiment::parse("a.toml".as_ref(), "task = 'lm'", &overrides).unwrap()).unwrap()
    }

    fn folder() -> (tempfile::TempDir, RunFolder) {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(place.path(), false).unwrap();
        (place, folder)
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
    fn the_plan_is_told_with_what_follows_from_it() {
        let plan = plan(&["data={kind='synthetic', train_tokens=3000, valid_tokens=200, test_tokens=100}"]);
        let corpus = plan.data.load("".as_ref(), plan.seed).unwrap();
        let (_place, folder) = folder();
        let text = before(&plan, &corpus, &folder).unwrap();
        for wanted in [
            ", seed 1\n",
            "synthetic text: n = 2,025 classes; 3,000 tokens to train on, 200 valid, 100 test\n",
            "2,025 × 200 words, 1 LSTM layer of 200, 2,025 × 200 classes, dropout 0.1\n",
            "sampled softmax, 100 draws a token by rff (D = 1024, nu = 4), normalized, tau = 11.11",
            "Adam and LazyAdam for rows, learning rate 0.001\n",
            "5 steps of 20 × 35 = 700 tokens, 5 an epoch\n",
            "best perplexity of any model 43.2, of a bigram 77.0, of a unigram 767.9\n",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
    }

    #[test]
    fn schedules_dropouts_and_early_stopping_are_told() {
        let plan = |overrides: &[&str]| plan(&[overrides, &["data.kind=synthetic"]].concat());
        let told = |overrides: &[&str]| optimizer(&plan(overrides).optimizer);
        let schedule = "optimizer.schedule={kind='plateau', factor=0.25, patience=2}";
        let wanted = "Adam and LazyAdam for rows, learning rate 0.001 after 1,000 steps of warm-up, times 0.25 after 2 \
                      validations without improvement, weight decay 0.1";
        assert_eq!(told(&[schedule, "optimizer.warmup_steps=1000", "optimizer.weight_decay=0.1"]), wanted);
        assert!(told(&["optimizer.schedule.kind=cosine"]).ends_with(", by a cosine to 0 of it"));
        assert!(
            length(&plan(&["train.patience=3"]), 5).ends_with("; fewer if 3 validations in a row bring no improvement")
        );
        let variational = plan(&["model.variational=true", "model.recurrent_dropout=0.2", "model.word_dropout=0.3"]);
        assert_eq!(dropout(&variational.model), "variational dropout 0.1, 0.2 of states, 0.3 of words");
    }

    #[test]
    fn shared_draws_are_told_as_such() {
        let plan = plan(&["loss.sharing=batch", "loss.draws=2048"]);
        let wanted = "sampled softmax, M = 2,048 draws shared by the batch by rff (D = 1024, nu = 4), normalized";
        assert!(loss(&plan).starts_with(wanted), "{}", loss(&plan));
    }

    #[test]
    fn the_outcome_stands_beside_what_can_be_reached() {
        let known = Known { floor: 43.2, best_bigram: 77.0, best_unigram: 767.9 };
        let summary = Summary {
            task: "lm".into(),
            loss: "sampled".into(),
            sampler: "rff".into(),
            steps: 4_321,
            epochs: 2,
            stopped_early: false,
            scored_step: Some(4_321),
            metric: "perplexity".into(),
            valid: Some(Score::Value(51.0)),
            test: Some(Score::Value(52.345)),
            examples_per_second: 81_000.7,
            train_seconds: 12.34,
            peak_memory_bytes: Some(3 << 29),
            floor: Some(43.2),
            extra: BTreeMap::new(),
        };
        let (_place, folder) = folder();
        let text = after(&summary, Some(&known), &folder);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[3], "this model          52.34");
        assert_eq!(lines[5], "valid perplexity 51.00, test perplexity 52.34");
        assert_eq!(lines[6], "4,321 steps in 12.3 s, 81,000 tokens a second, at most 1,536 MiB of memory");
        assert!(lines[7].ends_with(&format!("rfs eval {}", folder.path().display())));
        assert!(after(&summary, None, &folder).starts_with("valid perplexity"));
        let early = Summary { stopped_early: true, scored_step: Some(1_300), ..summary };
        let text = after(&early, None, &folder);
        let wanted = "valid perplexity 51.00, test perplexity 52.34 of the best model, after step 1,300\n\
                      4,321 steps, fewer than planned, since validation no longer improved, in 12.3 s, ";
        assert!(text.starts_with(wanted), "{text}");
    }
}
