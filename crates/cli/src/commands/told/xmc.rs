//! What is told of a classifier.

use std::collections::BTreeMap;

use rf_data::{Values, XcBatches, XcDataConfig, XcKnown, XcPoints, XcSet};
use rf_softmax::{LossConfig, OtherLabels, Reduction};
use rf_training::{RunFolder, Score, Summary};
use rf_xmc::{Metrics, ModelConfig};

use super::{costs, grouped, length, optimizer, scored};
use crate::exit::OrBadInput;
use crate::plan::Plan;
use crate::task::Xmc;

/// The plan in short, with what follows from it and the data.
pub fn before(plan: &Plan<Xmc>, data: &XcSet, folder: &RunFolder) -> anyhow::Result<String> {
    let batch = plan.settings().batch_size();
    let batches = XcBatches::new(&data.train, batch, plan.seed).or_bad_input()?;
    let lines = [
        format!("run        {}, seed {}", folder.path().display(), plan.seed),
        format!("data       {}", points(plan, data, batches.skipped())),
        format!("features   {}", features(plan, data)),
        format!("model      {}", model(&plan.model, data)),
        format!("loss       {}", loss(&plan.loss)),
        format!("optimizer  {}", optimizer(&plan.optimizer)),
        format!(
            "length     {}",
            length(&plan.train, &format!("{} points", grouped(batch as u64)), batches.per_epoch())
        ),
    ];
    let best = data.known.map_or(String::new(), |known| {
        let [p1, p3, p5] = known.best_precision.map(|precision| 100.0 * precision);
        format!("\nbest possible P@1 {p1:.2}, P@3 {p3:.2}, P@5 {p5:.2} per cent")
    });
    Ok(format!("{}{best}\n", lines.join("\n")))
}

/// The outcome, and what to do next.
pub fn after(summary: &Summary, known: Option<&XcKnown>, folder: &RunFolder) -> String {
    let [valid, test] = [("valid", &summary.valid), ("test", &summary.test)].map(|(split, score)| match score {
        Some(Score::Values(figures)) => format!("{}\n", table(split, figures, known)),
        _ => String::new(),
    });
    let scored = scored(summary);
    let scored = if scored.is_empty() { scored } else { format!("scores{scored}\n") };
    format!("{valid}{test}{scored}{}\n", costs(summary, "points", folder))
}

/// Scores in per cent, a metric a line, the best possible precision below ours.
pub fn table(split: &str, figures: &BTreeMap<String, f64>, known: Option<&XcKnown>) -> String {
    let of = |name: &str| Metrics::KS.map(|k| figures.get(&format!("{name}@{k}")).copied());
    let rows = [
        ("P@k", of("P")),
        ("best possible", known.map_or([None; 3], |known| known.best_precision.map(Some))),
        ("nDCG@k", of("nDCG")),
        ("PSP@k", of("PSP")),
        ("PSnDCG@k", of("PSnDCG")),
    ];
    let heading = line(&format!("{split}, per cent"), Metrics::KS.map(|k| format!("k = {k}")));
    let rows = rows.iter().filter(|(_, row)| row.iter().any(Option::is_some));
    let rows = rows.map(|(name, row)| line(name, row.map(|value| value.map_or("-".into(), percent))));
    std::iter::once(heading).chain(rows).collect::<Vec<_>>().join("\n")
}

fn line(name: &str, cells: [String; 3]) -> String {
    let [one, three, five] = cells;
    format!("{name:<16}{one:>8}{three:>8}{five:>8}")
}

fn percent(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

fn points(plan: &Plan<Xmc>, data: &XcSet, unlabelled: usize) -> String {
    let source = match &plan.data {
        XcDataConfig::Xc(files) => files.train.to_string(),
        XcDataConfig::Synthetic(_) => "synthetic points".into(),
    };
    let count = |points: &Option<XcPoints>| points.as_ref().map_or("no".into(), |points| grouped(points.len() as u64));
    let (n, train) = (grouped(data.labels as u64), grouped(data.train.len() as u64));
    let labels = data.train.labels.total() as f64 / data.train.len() as f64;
    let (valid, test) = (count(&data.valid), count(&data.test));
    let unlabelled = match unlabelled {
        0 => String::new(),
        points => format!("; points without labels, not trained on: {}", grouped(points as u64)),
    };
    format!(
        "{source}: n = {n} labels; {train} points to train on, {labels:.2} labels each, {valid} valid, {test} test\
         {unlabelled}"
    )
}

fn features(plan: &Plan<Xmc>, data: &XcSet) -> String {
    let config = plan.data.values();
    let values = match config.values {
        Values::Given => "values as given",
        Values::Binary => "values of 1",
        Values::Counts => "counts",
        Values::TfIdf => "weighted by tf-idf",
    };
    let hashed = matches!(&plan.data, XcDataConfig::Xc(files) if files.hashed_features.is_some());
    let (features, hashed) = (grouped(data.features as u64), if hashed { ", hashed" } else { "" });
    let each = data.train.features.nonzeros() as f64 / data.train.len() as f64;
    let length = if config.normalize { ", every point of length 1" } else { "" };
    format!("{features}{hashed}, {each:.1} a point, {values}{length}")
}

fn model(model: &ModelConfig, data: &XcSet) -> String {
    let (features, n) = (grouped(data.features as u64), grouped(data.labels as u64));
    let units: Vec<_> = model.hidden.iter().map(usize::to_string).collect();
    let hidden = match &units[..] {
        [] => String::new(),
        [one] => format!(", a hidden layer of {one}, dropout {}", model.dropout),
        several => format!(", hidden layers of {}, dropout {}", several.join(", "), model.dropout),
    };
    let (width, d, dropout) = (model.bag_width(), model.dim, model.feature_dropout);
    format!("{features} × {width} features{hidden}, {n} × {d} labels, dropout {dropout} of features")
}

fn loss(loss: &LossConfig) -> String {
    let reduction = match loss.reduction {
        Reduction::PickAll => "a term for each label of a point",
        Reduction::PickAllNormalized => "the mean over the labels of a point",
        Reduction::PickOne => "one label of a point, drawn anew each time",
    };
    let others = match loss.other_labels {
        OtherLabels::Excluded => "",
        OtherLabels::Included => ", its others competing",
    };
    let bias = if loss.bias { ", biases" } else { "" };
    format!("{}{bias}; {reduction}{others}", super::loss(loss, "point"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment;
    use crate::plan::AnyPlan;

    fn plan(overrides: &[&str]) -> Plan<Xmc> {
        let overrides: Vec<_> = overrides.iter().map(|text| text.parse().unwrap()).collect();
        let document = experiment::parse("a.toml".as_ref(), "task = 'xmc'", &overrides).unwrap();
        let AnyPlan::Xmc(plan) = AnyPlan::new(document, "/data".as_ref()).unwrap() else { panic!("not xmc") };
        plan
    }

    fn folder() -> (tempfile::TempDir, RunFolder) {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(place.path(), false).unwrap();
        (place, folder)
    }

    #[test]
    fn the_plan_is_told_with_what_follows_from_it() {
        let plan = plan(&["data={kind='synthetic', inclusion=[0.9, 0.5], train_points=900}", "model.hidden=[64, 32]"]);
        let data = plan.data.load("".as_ref(), plan.seed).unwrap();
        let (_place, folder) = folder();
        let text = before(&plan, &data, &folder).unwrap();
        let unlabelled = data.train.unlabelled();
        let skipped = format!("4,000 test; points without labels, not trained on: {unlabelled}\n");
        for wanted in [
            ", seed 1\n",
            "synthetic points: n = 2,000 labels; 900 points to train on, 1.",
            &skipped,
            "5,000, 10.0 a point, values as given, every point of length 1\n",
            "5,000 × 64 features, hidden layers of 64, 32, dropout 0, 2,000 × 128 labels, dropout 0 of features\n",
            "sampled softmax, 100 draws a point by cluster, normalized, tau = 11.11",
            "; a term for each label of a point\n",
            "Adam and LazyAdam for rows, learning rate 0.001\n",
            "4 steps of 256 points, 4 an epoch\n",
            "best possible P@1 90.00, P@3 46.67, P@5 28.00 per cent\n",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in\n{text}");
        }
    }

    #[test]
    fn the_terms_of_the_loss_are_told() {
        let told = |overrides: &[&str]| loss(&plan(overrides).loss);
        let text = told(&["loss.kind=full", "loss.reduction=pick-one", "loss.other_labels=included", "loss.bias=true"]);
        assert!(text.starts_with("full softmax, normalized, tau = 11.11"), "{text}");
        assert!(text.ends_with(", biases; one label of a point, drawn anew each time, its others competing"), "{text}");
    }

    #[test]
    fn scores_stand_beside_what_can_be_reached() {
        let figures = [("P@1", 0.5), ("P@3", 0.25), ("P@5", 0.2), ("nDCG@1", 0.5)];
        let figures = figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let known = XcKnown { best_precision: [0.9, 0.6, 0.36], labelled: 0.99, labels_per_point: 1.8 };
        let wanted = "test, per cent     k = 1   k = 3   k = 5\n\
                      P@k                50.00   25.00   20.00\n\
                      best possible      90.00   60.00   36.00\n\
                      nDCG@k             50.00       -       -";
        assert_eq!(table("test", &figures, Some(&known)), wanted);
        assert!(!table("test", &figures, None).contains("best"));
    }
}
