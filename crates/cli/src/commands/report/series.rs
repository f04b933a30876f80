//! Runs that differ in their seed alone, put together: means, and how far they spread.

use super::record::Record;
use crate::commands::plots::Point;

/// One run, or the finished runs of one plan under several seeds.
#[derive(Clone, Debug)]
pub struct Series<'r> {
    pub name: String,
    /// At least one.
    pub runs: Vec<&'r Record>,
}

/// What curves are drawn over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Step,
    Epoch,
    /// Seconds of training.
    Time,
}

/// A figure of a series: of its run, or the mean over its runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    pub mean: f64,
    /// Standard error of the mean, where there are several runs.
    pub error: Option<f64>,
}

impl<'r> Series<'r> {
    /// The series of `runs`, in the order of their first runs.
    ///
    /// A run that is not finished stands for itself: a mean with it would end where it ends. So does a second run of one
    /// seed, which tells nothing about the spread over seeds.
    pub fn all(runs: &[&'r Record]) -> Vec<Self> {
        let mut series: Vec<Self> = Vec::new();
        for run in runs.iter().copied() {
            match series.iter_mut().find(|series| series.takes(run)) {
                Some(series) => series.runs.push(run),
                None => series.push(Self { name: run.name.clone(), runs: vec![run] }),
            }
        }
        for several in series.iter_mut().filter(|series| series.runs.len() > 1) {
            several.name = several.common_name();
        }
        series
    }

    fn takes(&self, run: &Record) -> bool {
        let is_alike =
            |other: &&Record| other.is_finished() && other.seed != run.seed && other.settings == run.settings;
        run.is_finished() && self.runs.iter().all(is_alike)
    }

    /// What the names of the runs have in common at their beginning, and how many there are.
    fn common_name(&self) -> String {
        let first = self.runs[0].name.as_str();
        let shared = |name: &str| first.chars().zip(name.chars()).take_while(|(one, other)| one == other).count();
        let length = self.runs.iter().map(|run| shared(&run.name)).min().unwrap_or(0);
        let common: String = first.chars().take(length).collect();
        let ends = |c: char| !c.is_alphanumeric();
        let common = common.trim_end_matches(ends);
        let common = common.strip_suffix("seed").unwrap_or(common).trim_end_matches(ends);
        let name = if common.is_empty() { first } else { common };
        format!("{name} ({} seeds)", self.runs.len())
    }

    /// Whether its runs, or its only run, have come to their end.
    pub fn is_finished(&self) -> bool {
        self.runs[0].is_finished()
    }

    /// Whether it is a mean.
    pub fn is_mean(&self) -> bool {
        self.runs.len() > 1
    }

    /// The validations, at the steps that all its runs were evaluated at. Where it is a mean, `x` is one too, and the
    /// band reaches from the least to the greatest.
    pub fn points(&self, by: By) -> Vec<Point> {
        let first = &self.runs[0].validations;
        let at = |step: u64| -> Option<Point> {
            let places: Vec<(f64, f64)> = self.runs.iter().map(|run| place(run, step, by)).collect::<Option<_>>()?;
            let mean = |of: fn(&(f64, f64)) -> f64| places.iter().map(of).sum::<f64>() / places.len() as f64;
            let ys = || places.iter().map(|place| place.1);
            let (least, most) = (ys().fold(f64::INFINITY, f64::min), ys().fold(f64::NEG_INFINITY, f64::max));
            Some(Point { x: mean(|place| place.0), y: mean(|place| place.1), least, most })
        };
        first.iter().filter_map(|validated| at(validated.at.step)).collect()
    }

    /// A figure of every run, put together; `None` where one of them does not have it.
    pub fn figure(&self, of: impl Fn(&Record) -> Option<f64>) -> Option<Figure> {
        let values: Vec<f64> =
            self.runs.iter().map(|run| of(run).filter(|value| value.is_finite())).collect::<Option<_>>()?;
        Some(Figure::of(&values))
    }
}

/// Where the validation after `step` steps stands.
fn place(run: &Record, step: u64, by: By) -> Option<(f64, f64)> {
    let validated = run.validations.iter().find(|validated| validated.at.step == step)?;
    let x = match by {
        By::Step => step as f64,
        By::Epoch => step as f64 / run.steps_per_epoch?,
        By::Time => validated.at.seconds,
    };
    Some((x, validated.figure()?))
}

impl Figure {
    /// Mean and standard error, `s / sqrt(k)` with the sample's standard deviation s.
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (values.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt());
        Self { mean, error }
    }
}

#[cfg(test)]
pub mod tests {
    use rf_training::Event;

    use super::super::record::tests::{at, folder, start, validation};
    use super::*;

    /// A finished run of a seed, with perplexities after each hundred steps.
    pub fn finished(name: &str, plan: &str, figures: &[f64]) -> Record {
        let validations = figures.iter().zip(1..).map(|(figure, epoch)| validation(100 * epoch, *figure));
        let end = Event::End(at(100 * figures.len() as u64));
        let events: Vec<Event> = [start()].into_iter().chain(validations).chain([end]).collect();
        let place = folder(plan, &events);
        let last = figures.last().unwrap();
        let summary = format!(
            r#"{{"task":"lm","loss":"sampled","sampler":"rff","steps":{},"epochs":{},"metric":"perplexity","valid":{last},
            "test":{},"examples_per_second":{},"train_seconds":20.0,"peak_memory_bytes":1048576}}"#,
            100 * figures.len(),
            figures.len(),
            last - 1.0,
            1000.0 - last
        );
        std::fs::write(place.path().join("summary.json"), summary).unwrap();
        Record::read(place.path(), name.into()).unwrap()
    }

    pub fn plan(seed: u64, more: &str) -> String {
        format!("task = 'lm'\nseed = {seed}\n{more}")
    }

    #[test]
    fn finished_runs_that_differ_in_their_seed_alone_are_one_series() {
        let of = |name, seed, more| finished(name, &plan(seed, more), &[100.0, 80.0]);
        let other = "[train]\nbatch_size = 3\n";
        let runs = [
            of("rff-seed1", 1, ""),
            of("exp-1", 1, other),
            of("rff-seed2", 2, ""),
            of("again", 1, ""),
            of("exp-2", 2, other),
        ];
        let unfinished = super::super::record::tests::read(&plan(3, ""), &[start(), validation(100, 90.0)]);
        let records: Vec<&Record> = runs.iter().chain([&unfinished]).collect();
        let series = Series::all(&records);
        let names: Vec<&str> = series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["rff (2 seeds)", "exp (2 seeds)", "again", "a"]);
        assert_eq!(series.iter().map(Series::is_finished).collect::<Vec<_>>(), [true, true, true, false]);
    }

    #[test]
    fn a_band_reaches_from_the_least_to_the_greatest_at_steps_that_all_have() {
        let (one, two) =
            (finished("a1", &plan(1, ""), &[100.0, 80.0, 70.0]), finished("a2", &plan(2, ""), &[110.0, 90.0]));
        let series = Series { name: "a".into(), runs: vec![&one, &two] };
        let points = series.points(By::Step);
        let wanted = [(100.0, 105.0, 100.0, 110.0), (200.0, 85.0, 80.0, 90.0)];
        assert_eq!(points, wanted.map(|(x, y, least, most)| Point { x, y, least, most }));
        assert_eq!(series.points(By::Epoch).iter().map(|point| point.x).collect::<Vec<_>>(), [1.0, 2.0]);
        assert_eq!(series.points(By::Time).iter().map(|point| point.x).collect::<Vec<_>>(), [10.0, 20.0]);
    }

    #[test]
    fn figures_are_means_with_their_standard_error() {
        let (one, two) = (finished("a1", &plan(1, ""), &[80.0]), finished("a2", &plan(2, ""), &[90.0]));
        let figure = |runs: &[&Record]| {
            let valid = |run: &Record| run.summary.as_ref()?.valid.as_ref()?.figure("perplexity");
            Series { name: "a".into(), runs: runs.to_vec() }.figure(valid)
        };
        assert_eq!(figure(&[&one]), Some(Figure { mean: 80.0, error: None }));
        // A standard deviation of 5 sqrt(2), over sqrt(2).
        let Some(Figure { mean, error: Some(error) }) = figure(&[&one, &two]) else { panic!("no error") };
        assert!(mean == 85.0 && (error - 5.0).abs() < 1e-12, "{error}");
    }
}
