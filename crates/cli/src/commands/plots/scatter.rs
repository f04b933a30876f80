//! Points with names, over two logarithmic axes.

use plotters::prelude::*;

use super::axis::Axis;
use super::labels::{FONT, Frame, RADIUS, arrange};
use super::{Canvas, Drawn, WORDS};

/// Width and height in units.
const SIZE: (i32, i32) = (960, 640);

/// The smallest height that has a place of its own.
const LEAST: f64 = 1e-3;

/// The least time; below a nanosecond there is none.
const LEAST_TIME: f64 = 1e-6;

/// How far beyond the others a height stands that has none.
const BEYOND: f64 = 2.5;

/// A picture of points.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    pub title: String,
    /// What the axes are, with their units.
    pub x: String,
    pub y: String,
    /// What the heights are, in a word: names tell it where a height has no place.
    pub what: &'static str,
    pub marks: Vec<Mark>,
}

/// A point.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    pub name: String,
    pub x: f64,
    /// May be zero or infinite.
    pub y: f64,
    /// Whether it stands out.
    pub own: bool,
}

impl Scatter {
    /// KL, in nats, against the time of a query, in milliseconds.
    pub fn of_kl(title: String, marks: Vec<Mark>) -> Self {
        let (x, y) = ("draws and refresh of a query, milliseconds".into(), "KL(p‖q), nats".into());
        Self { title, x, y, what: "KL", marks }
    }

    pub(super) fn size(&self) -> (i32, i32) {
        SIZE
    }

    pub(super) fn draw<B: DrawingBackend<ErrorType: 'static>>(&self, canvas: &Canvas<'_, B>) -> Drawn {
        let Canvas { area, palette, scale } = *canvas;
        area.fill(&palette.paper)?;
        canvas.title(&self.title)?;
        let (times, heights) = (self.times(), self.heights());
        let mut chart = ChartBuilder::on(area)
            .margin(canvas.steps(14))
            .margin_top(canvas.steps(40))
            .x_label_area_size(canvas.steps(50))
            .y_label_area_size(canvas.steps(70))
            .build_cartesian_2d(axis(&times), axis(&heights))?;
        chart
            .configure_mesh()
            .x_desc(&self.x)
            .y_desc(&self.y)
            .axis_desc_style(canvas.text(WORDS + 1, palette.ink))
            .label_style(canvas.text(WORDS, palette.muted))
            .axis_style(palette.muted.stroke_width(scale as u32))
            .bold_line_style(palette.grid.stroke_width(scale as u32))
            .light_line_style(TRANSPARENT)
            .draw()?;
        let places = times.into_iter().zip(heights).map(|place| chart.backend_coord(&place));
        let points: Vec<(i32, i32)> = places.map(|(x, y)| (x / scale, y / scale)).collect();
        let (x, y) = chart.plotting_area().get_pixel_range();
        let [left, top, right, bottom] = [x.start, y.start, x.end, y.end].map(|step| step / scale);
        let names: Vec<String> = self.marks.iter().map(|mark| self.label(mark)).collect();
        let frames = arrange(&points, &names, Frame { left, top, right, bottom });
        for (((mark, point), name), at) in self.marks.iter().zip(&points).zip(&names).zip(&frames) {
            let colour = palette.lines[usize::from(mark.own)];
            let (point, nearest) = (canvas.place(*point), canvas.place(at.nearest(*point)));
            area.draw(&PathElement::new([point, nearest], colour.mix(0.5).stroke_width(scale as u32)))?;
            area.draw(&Circle::new(point, canvas.steps(RADIUS), colour.filled()))?;
            let middle = canvas.place((at.left, (at.top + at.bottom) / 2));
            canvas.write(name, middle, FONT - 2, if mark.own { colour } else { palette.ink })?;
        }
        Ok(())
    }

    fn times(&self) -> Vec<f64> {
        self.marks.iter().map(|mark| mark.x.max(LEAST_TIME)).collect()
    }

    /// Heights as they are drawn: a logarithm has no zero and no infinity, so these stand a little beyond the others.
    fn heights(&self) -> Vec<f64> {
        let others = || self.marks.iter().map(|mark| mark.y).filter(|y| y.is_finite() && *y >= LEAST);
        let most = others().fold(LEAST, f64::max);
        let (zero, infinity) = (others().fold(most, f64::min) / BEYOND, most * BEYOND);
        let height = |y: f64| match y {
            y if !y.is_finite() => infinity,
            y if y < LEAST => zero,
            y => y,
        };
        self.marks.iter().map(|mark| height(mark.y)).collect()
    }

    /// The name, and what the place of the point does not tell.
    fn label(&self, mark: &Mark) -> String {
        let own = if mark.own { ", the run's own" } else { "" };
        let height = match mark.y {
            y if !y.is_finite() => format!(" ({} is infinite)", self.what),
            y if y < LEAST => format!(" ({} below {LEAST})", self.what),
            _ => String::new(),
        };
        format!("{}{own}{height}", mark.name)
    }
}

impl<B: DrawingBackend> Canvas<'_, B> {
    /// The steps of a place in units.
    fn place(&self, (x, y): (i32, i32)) -> (i32, i32) {
        (self.scale * x, self.scale * y)
    }
}

/// An axis with room for names at both ends.
fn axis(values: &[f64]) -> Axis {
    Axis::logarithmic(values.iter().copied()).widened(1.35)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scatter(places: &[(f64, f64)]) -> Scatter {
        let mark = |&(x, y): &(f64, f64)| Mark { name: format!("at {y}"), x, y, own: x == 0.0 };
        let marks = places.iter().map(mark).collect();
        Scatter { title: "KL".into(), x: "milliseconds".into(), y: "nats".into(), what: "KL", marks }
    }

    #[test]
    fn zero_and_infinity_stand_beyond_the_others_and_are_told() {
        let scatter = scatter(&[(0.0, 0.0), (1.0, 0.2), (2.0, 5.0), (3.0, f64::INFINITY)]);
        assert_eq!(scatter.heights(), [0.2 / BEYOND, 0.2, 5.0, 5.0 * BEYOND]);
        assert_eq!(scatter.times()[0], LEAST_TIME);
        let labels: Vec<String> = scatter.marks.iter().map(|mark| scatter.label(mark)).collect();
        assert_eq!(labels, ["at 0, the run's own (KL below 0.001)", "at 0.2", "at 5", "at inf (KL is infinite)"]);
        let svg = super::super::Picture::Scatter(scatter).svg().unwrap();
        assert!(
            labels.iter().all(|label| svg.contains(&label.replace('\'', "&apos;")) || svg.contains(label)),
            "{svg}"
        );
    }

    #[test]
    fn no_point_at_all_can_be_drawn() {
        super::super::Picture::Scatter(scatter(&[])).svg().unwrap();
    }
}
