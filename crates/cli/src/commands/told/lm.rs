//! What is told of a language model.

use rf_data::{Corpus, DataConfig, Known, TrainText};
use rf_lm::{ModelConfig, Sizes};
use rf_training::{RunFolder, Score, Summary};

use super::{costs, grouped, length, loss, optimizer, scored, size};
use crate::exit::OrBadInput;
use crate::plan::Plan;
use crate::task::Lm;

/// The plan in short, with what follows from it and the data.
pub fn before(plan: &Plan<Lm>, corpus: &Corpus, folder: &RunFolder) -> anyhow::Result<String> {
    let Sizes { batch, bptt, .. } = Sizes::of(&plan.train);
    let windows = corpus.windows(batch, bptt).or_bad_input()?;
    let step = format!("{batch} × {bptt} = {} tokens", grouped((batch * bptt) as u64));
    let lines = [
        format!("run        {}, seed {}", folder.path().display(), plan.seed),
        format!("data       {}", data(plan, corpus)),
        format!("model      {}", model(&plan.model, corpus.vocabulary.len())),
        format!("loss       {}", loss(&plan.loss, "token")),
        format!("optimizer  {}", optimizer(&plan.optimizer)),
        format!("length     {}", length(&plan.train, &step, windows.per_epoch())),
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
    let scores = format!("valid perplexity {valid}, test perplexity {test}{}", scored(summary));
    format!("{table}{scores}\n{}\n", costs(summary, "tokens", folder))
}

fn data(plan: &Plan<Lm>, corpus: &Corpus) -> String {
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

fn model(model: &ModelConfig, n: usize) -> String {
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
    use crate::experiment;
    use crate::plan::AnyPlan;

    fn plan(overrides: &[&str]) -> Plan<Lm> {
        let overrides: Vec<_> = overrides.iter().map(|text| text.parse().unwrap()).collect();
        let document = experiment::parse("a.toml".as_ref(), "task = 'lm'", &overrides).unwrap();
        let AnyPlan::Lm(plan) = AnyPlan::new(document, "/data".as_ref()).unwrap() else { panic!("not lm") };
        plan
    }

    fn folder() -> (tempfile::TempDir, RunFolder) {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(place.path(), false).unwrap();
        (place, folder)
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
            "sampled softmax, 100 draws a token by cluster, normalized, tau = 11.11",
            "Adam and LazyAdam for rows, learning rate 0.001\n",
            "5 steps of 20 × 35 = 700 tokens, 5 an epoch\n",
            "best perplexity of any model 43.2, of a bigram 77.0, of a unigram 767.9\n",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
    }

    #[test]
    fn dropouts_are_told() {
        let variational = plan(&["model.variational=true", "model.recurrent_dropout=0.2", "model.word_dropout=0.3"]);
        assert_eq!(dropout(&variational.model), "variational dropout 0.1, 0.2 of states, 0.3 of words");
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
