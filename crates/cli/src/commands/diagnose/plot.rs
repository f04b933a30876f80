//! KL against the time of a query, as a picture.

use std::path::Path;

use anyhow::{Context, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use rf_training::replace_file;

use super::Outcome;
use super::labels::{FONT, Frame, RADIUS, arrange};
use super::row::Row;
use crate::commands::told::grouped;
use crate::exit::bad_input;

/// Size of the picture.
const SIZE: (u32, u32) = (960, 640);

/// The smallest KL that has a place of its own.
const LEAST_KL: f64 = 1e-3;

/// How far beyond the others a KL stands that has none.
const BEYOND: f64 = 2.5;

const POINT: RGBColor = RGBColor(31, 90, 160);
const OWN: RGBColor = RGBColor(190, 50, 30);

/// Refuses a file that could not be written, before anything is measured.
pub fn check(path: &Path) -> anyhow::Result<()> {
    let bad = |why: &str| Err(bad_input(format!("--plot {}: {why}", path.display())));
    if path.extension().is_none_or(|extension| extension != "svg") {
        return bad("the name must end in .svg");
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => bad("there is no such folder"),
        _ => Ok(()),
    }
}

/// Draws the outcome into the file at `path`.
pub fn write(outcome: &Outcome<'_>, path: &Path) -> anyhow::Result<()> {
    let svg = draw(outcome).with_context(|| format!("cannot draw {}", path.display()))?;
    Ok(replace_file(path, |file| file.write_all(svg.as_bytes()))?)
}

fn draw(outcome: &Outcome<'_>) -> anyhow::Result<String> {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    // The errors of the library borrow what they are about.
    draw_on(&root, outcome).map_err(|error| anyhow!("{error}"))?;
    drop(root);
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw_on(root: &Area<'_>, outcome: &Outcome<'_>) -> Result<(), Box<dyn std::error::Error>> {
    root.fill(&WHITE)?;
    let rows = &outcome.rows;
    let heights = heights(rows);
    let (times, distances) = (range(rows.iter().map(Row::milliseconds)), range(heights.iter().copied()));
    let title = format!(
        "{}: n = {}, m = {}, {} queries, entropy {:.2} nats",
        outcome.run.display(),
        grouped(outcome.n as u64),
        outcome.m,
        outcome.queries,
        outcome.entropy
    );
    let mut chart = ChartBuilder::on(root)
        .caption(title, ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(56)
        .y_label_area_size(72)
        .build_cartesian_2d((times.0..times.1).log_scale(), (distances.0..distances.1).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("draws and refresh of a query, milliseconds")
        .y_desc("KL(p‖q), nats")
        .axis_desc_style(("sans-serif", 18))
        .label_style(("sans-serif", FONT))
        .light_line_style(RGBColor(244, 244, 244))
        .bold_line_style(RGBColor(225, 225, 225))
        .x_label_formatter(&tick)
        .y_label_formatter(&tick)
        .draw()?;
    let places = rows.iter().map(Row::milliseconds).zip(heights);
    let points: Vec<(i32, i32)> = places.map(|place| chart.backend_coord(&place)).collect();
    let (x, y) = chart.plotting_area().get_pixel_range();
    let labels: Vec<String> = rows.iter().map(label).collect();
    let frames = arrange(&points, &labels, Frame { left: x.start, top: y.start, right: x.end, bottom: y.end });
    for (((row, point), label), at) in rows.iter().zip(&points).zip(&labels).zip(&frames) {
        let colour = if row.own { OWN } else { POINT };
        root.draw(&PathElement::new([*point, at.nearest(*point)], colour.mix(0.4)))?;
        root.draw(&Circle::new(*point, RADIUS, colour.filled()))?;
        root.draw(&Text::new(label.clone(), (at.left, at.top), ("sans-serif", FONT).into_font().color(&colour)))?;
    }
    Ok(root.present()?)
}

/// KL as it is drawn: a logarithm has no zero and no infinity, so these stand a little beyond the others.
fn heights(rows: &[Row]) -> Vec<f64> {
    let others = || rows.iter().map(|row| row.kl).filter(|kl| kl.is_finite() && *kl >= LEAST_KL);
    let most = others().fold(LEAST_KL, f64::max);
    let (zero, infinity) = (others().fold(most, f64::min) / BEYOND, most * BEYOND);
    let height = |kl: f64| match kl {
        kl if !kl.is_finite() => infinity,
        kl if kl < LEAST_KL => zero,
        kl => kl,
    };
    rows.iter().map(|row| height(row.kl)).collect()
}

/// The name, and what the place of the point does not tell.
fn label(row: &Row) -> String {
    let own = if row.own { ", the run's own" } else { "" };
    let kl = match row.kl {
        kl if !kl.is_finite() => " (KL is infinite)",
        kl if kl < LEAST_KL => " (KL below 0.001)",
        _ => "",
    };
    format!("{}{own}{kl}", row.sampler)
}

/// Ends of an axis, with room at both.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    // Times below a nanosecond are none.
    let (least, most) = values.fold((f64::INFINITY, 1e-6), |(least, most), value| (value.min(least), value.max(most)));
    let least = least.clamp(1e-6, most);
    let room = (most / least).powf(0.08).max(1.5);
    (least / room, most * room)
}

/// A number at an axis, without a trail of zeros.
fn tick(value: &f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_holds_its_values_with_room() {
        for values in [&[0.1, 3.0, 20.0][..], &[2.0], &[0.0, 1.0]] {
            let (least, most) = range(values.iter().copied());
            assert!(0.0 < least && values.iter().all(|value| least < value.max(1e-6) && *value < most), "{values:?}");
        }
    }

    #[test]
    fn ticks_have_no_trail() {
        assert_eq!([0.001, 0.5, 10.0].map(|value| tick(&value)), ["0.001", "0.5", "10"]);
    }

    #[test]
    fn a_file_that_could_not_be_written_is_refused_at_once() {
        let message = |path: &str| check(Path::new(path)).unwrap_err().to_string();
        assert_eq!(message("a.png"), "--plot a.png: the name must end in .svg");
        assert_eq!(message("/nowhere/a.svg"), "--plot /nowhere/a.svg: there is no such folder");
        assert!(check(Path::new("a.svg")).is_ok());
    }
}
