//! The validation metric by step, by epoch and by time.

use super::Plot;
use super::series::{By, Series};
use crate::commands::plots::{Curves, Level, Line, Picture, Point};
use crate::task::Task;

/// The values of a perplexity stand on a logarithmic axis where they spread more than this.
const SPREAD: f64 = 3.0;

/// Times of runs that differ more than this stand on a logarithmic axis.
const TIME_SPREAD: f64 = 12.0;

/// The plots of what the `series` were validated on; `name` begins the names of their files.
pub fn plots(task: Task, metric: &str, name: &str, series: &[Series<'_>]) -> Vec<Plot> {
    [By::Step, By::Epoch, By::Time].into_iter().filter_map(|by| plot(task, metric, name, series, by)).collect()
}

fn plot(task: Task, metric: &str, name: &str, series: &[Series<'_>], by: By) -> Option<Plot> {
    let drawn = series.iter().enumerate().map(|(colour, series)| line(task, colour, series, by));
    let mut lines: Vec<Line> = drawn.filter(|line| !line.points.is_empty()).collect();
    let ends: Vec<f64> = lines.iter().filter_map(|line| Some(line.points.last()?.x)).collect();
    let longest = ends.iter().copied().reduce(f64::max)?;
    let (word, x) = match by {
        By::Step => ("step", "steps".to_owned()),
        By::Epoch => ("epoch", "epochs".to_owned()),
        By::Time => {
            let (unit, seconds) = unit(longest);
            lines.iter_mut().flat_map(|line| &mut line.points).for_each(|point| point.x /= seconds);
            ("time", format!("training time, {unit}"))
        }
    };
    let shortest = ends.into_iter().fold(longest, f64::min);
    let firsts = || lines.iter().map(|line| line.points[0].x);
    let is_even = by != By::Time || longest <= TIME_SPREAD * shortest || firsts().any(|x| x <= 0.0);
    let (y, spread) = match task {
        Task::Lm => (format!("valid {metric}"), SPREAD),
        Task::Xmc => (format!("valid {metric}, per cent"), f64::INFINITY),
    };
    let curves = Curves {
        title: format!("Validation {metric} by {word}"),
        x,
        y,
        lines,
        level: level(task, series),
        from_zero: is_even,
        spread,
    };
    Some(Plot { name: format!("{name}-by-{word}"), picture: Picture::Curves(curves) })
}

fn line(task: Task, colour: usize, series: &Series<'_>, by: By) -> Line {
    let scale = if task == Task::Xmc { 100.0 } else { 1.0 };
    let scaled =
        |Point { x, y, least, most }: Point| Point { x, y: scale * y, least: scale * least, most: scale * most };
    let is_finished = series.is_finished();
    let unfinished = if is_finished { "" } else { " (unfinished)" };
    Line {
        name: format!("{}{unfinished}", series.name),
        points: series.points(by).into_iter().map(scaled).collect(),
        colour,
        is_finished,
    }
}

/// The best that any model can reach, where all finished runs tell the same.
fn level(task: Task, series: &[Series<'_>]) -> Option<Level> {
    let runs = series.iter().flat_map(|series| &series.runs);
    let mut floors = runs.filter_map(|run| Some(run.summary.as_ref()?.floor));
    let first = floors.next()??;
    let scale = if task == Task::Xmc { 100.0 } else { 1.0 };
    floors.all(|floor| floor == Some(first)).then(|| Level { name: "best possible".into(), value: scale * first })
}

/// A unit in which a time is no long number, and its seconds.
fn unit(seconds: f64) -> (&'static str, f64) {
    match seconds {
        seconds if seconds < 300.0 => ("seconds", 1.0),
        seconds if seconds < 3.0 * 3600.0 => ("minutes", 60.0),
        _ => ("hours", 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::series::tests::{finished, plan};
    use super::*;

    fn curves(plot: &Plot) -> &Curves {
        let Picture::Curves(curves) = &plot.picture else { panic!("no curves") };
        curves
    }

    #[test]
    fn there_is_a_plot_by_step_by_epoch_and_by_time_with_units() {
        let run = finished("a", &plan(1, ""), &[90.0, 80.0]);
        let plots = plots(Task::Lm, "perplexity", "lm", &Series::all(&[&run]));
        let names: Vec<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
        assert_eq!(names, ["lm-by-step", "lm-by-epoch", "lm-by-time"]);
        let axes: Vec<&str> = plots.iter().map(|plot| curves(plot).x.as_str()).collect();
        assert_eq!(axes, ["steps", "epochs", "training time, seconds"]);
        assert_eq!(curves(&plots[2]).title, "Validation perplexity by time");
    }

    #[test]
    fn shares_are_shown_in_per_cent_on_an_even_axis() {
        let run = finished("a", &plan(1, ""), &[0.01, 0.5]);
        let plots = plots(Task::Xmc, "P@1", "xmc", &Series::all(&[&run]));
        let shown = curves(&plots[0]);
        assert_eq!((shown.lines[0].points[1].y, shown.y.as_str()), (50.0, "valid P@1, per cent"));
        assert_eq!(shown.spread, f64::INFINITY);
    }

    #[test]
    fn long_times_are_told_in_minutes_and_hours() {
        assert_eq!(
            [299.0, 300.0, 10_799.0, 10_800.0].map(|time| unit(time).0),
            ["seconds", "minutes", "minutes", "hours"]
        );
    }

    #[test]
    fn what_was_never_validated_has_no_plot() {
        let run = super::super::record::tests::read(&plan(1, ""), &[]);
        assert!(plots(Task::Lm, "perplexity", "lm", &Series::all(&[&run])).is_empty());
    }
}
