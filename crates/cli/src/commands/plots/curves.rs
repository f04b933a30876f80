//! Lines over an axis, with bands around those that are means.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::axis::Axis;
use super::paint::LINES;
use super::{Canvas, Drawn, Font, WORDS, shortened};

/// Width and height in units, legend apart.
const SIZE: (i32, i32) = (440, 310);

/// Height of a line of the legend, and room around it.
const ENTRY: i32 = 21;
const MARGIN: i32 = 12;

/// Room of an entry for its stroke.
const STROKE: i32 = 36;

/// Columns of the legend at most.
const COLUMNS: usize = 3;

/// A picture of lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    pub title: String,
    /// What the axes are, with their units.
    pub x: String,
    pub y: String,
    pub lines: Vec<Line>,
    pub level: Option<Level>,
    /// Whether the first axis begins at zero.
    pub from_zero: bool,
    /// The second axis is logarithmic where its values spread more than this.
    pub spread: f64,
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub name: String,
    pub points: Vec<Point>,
    /// Which of the colours it has; beyond the last they come again, with another shape of the points.
    pub colour: usize,
    /// The points of one that is not are hollow.
    pub is_finished: bool,
}

/// A point of a line, and what it is the mean of: the band reaches from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub least: f64,
    pub most: f64,
}

/// A height of its own, such as what can be reached at best.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    pub name: String,
    pub value: f64,
}

impl Curves {
    pub(super) fn size(&self) -> (i32, i32) {
        (SIZE.0, SIZE.1 + ENTRY * self.legend().rows as i32 + MARGIN)
    }

    fn axes(&self) -> (Axis, Axis) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let levels = self.level.iter().map(|level| level.value);
        let x = points().map(|point| point.x);
        let y = points().flat_map(|point| [point.y, point.least, point.most]).chain(levels);
        let x = if self.from_zero { Axis::from_zero(x) } else { Axis::logarithmic(x) };
        (x, Axis::by_spread(y, self.spread))
    }

    fn names(&self) -> Vec<&str> {
        let levels = self.level.iter().map(|level| level.name.as_str());
        self.lines.iter().map(|line| line.name.as_str()).chain(levels).collect()
    }

    /// As many columns as the longest name allows.
    fn legend(&self) -> Legend {
        let (font, names) = (Font::new(), self.names());
        let widest = names.iter().map(|name| font.width(name, WORDS as f32)).fold(0.0, f32::max);
        let room = (SIZE.0 - 2 * MARGIN) as f32;
        let columns = ((room / (widest + (STROKE + MARGIN) as f32)) as usize).clamp(1, COLUMNS).min(names.len().max(1));
        Legend { columns, rows: names.len().div_ceil(columns) }
    }

    pub(super) fn draw<B: DrawingBackend<ErrorType: 'static>>(&self, canvas: &Canvas<'_, B>) -> Drawn {
        let Canvas { area, palette, .. } = canvas;
        area.fill(&palette.paper)?;
        canvas.title(&self.title)?;
        let (above, below) = area.split_vertically(canvas.steps(SIZE.1));
        self.plot(canvas, &above)?;
        self.draw_legend(&Canvas { area: &below, ..*canvas })
    }

    fn plot<B: DrawingBackend<ErrorType: 'static>>(
        &self,
        canvas: &Canvas<'_, B>,
        area: &DrawingArea<B, Shift>,
    ) -> Drawn {
        let palette = canvas.palette;
        let (x, y) = self.axes();
        let mut chart = ChartBuilder::on(area)
            .margin_top(canvas.steps(38))
            .margin_left(canvas.steps(MARGIN / 2))
            .margin_right(canvas.steps(MARGIN))
            .margin_bottom(canvas.steps(MARGIN / 2))
            .x_label_area_size(canvas.steps(42))
            .y_label_area_size(canvas.steps(66))
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc(&self.x)
            .y_desc(&self.y)
            .x_labels(6)
            .y_labels(8)
            .axis_desc_style(canvas.text(WORDS, palette.ink))
            .label_style(canvas.text(WORDS - 1, palette.muted))
            .axis_style(palette.muted.stroke_width(canvas.scale as u32))
            .bold_line_style(palette.grid.stroke_width(canvas.scale as u32))
            .light_line_style(TRANSPARENT)
            .draw()?;
        for line in &self.lines {
            let band = line.points.iter().map(|point| (point.x, point.most));
            let band = band.chain(line.points.iter().rev().map(|point| (point.x, point.least)));
            if line.points.iter().any(|point| point.least < point.most) {
                let colour = palette.lines[line.colour % LINES];
                chart.draw_series([Polygon::new(band.collect::<Vec<_>>(), colour.mix(0.2))])?;
            }
        }
        let place = |x: f64, y: f64| chart.backend_coord(&(x, y));
        let whole = canvas.area;
        if let (Some(level), (right, _)) = (&self.level, chart.plotting_area().dim_in_pixel()) {
            let left = chart.plotting_area().get_pixel_range().0.start;
            let height = chart.backend_coord(&(0.0, level.value)).1;
            dashes(canvas, whole, (left, height), left + right as i32)?;
        }
        for line in &self.lines {
            let points: Vec<_> = line.points.iter().map(|point| place(point.x, point.y)).collect();
            line.draw(canvas, whole, &points)?;
        }
        Ok(())
    }

    fn draw_legend<B: DrawingBackend<ErrorType: 'static>>(&self, canvas: &Canvas<'_, B>) -> Drawn {
        let (Legend { columns, rows }, font) = (self.legend(), Font::new());
        let width = (SIZE.0 - 2 * MARGIN) / columns as i32;
        for (index, name) in self.names().iter().enumerate() {
            let left = MARGIN + width * (index / rows) as i32;
            let middle = canvas.steps(ENTRY * (index % rows) as i32 + ENTRY / 2 + 2);
            let (from, to) = (canvas.steps(left), canvas.steps(left + STROKE - 8));
            match self.lines.get(index) {
                Some(line) => line.draw_sample(canvas, (from, middle), to)?,
                None => dashes(canvas, canvas.area, (from, middle), to)?,
            }
            let room = (width - STROKE - MARGIN / 2) as f32;
            let name = shortened(&font, name, WORDS as f32, room);
            canvas.write(&name, (canvas.steps(left + STROKE), middle), WORDS, canvas.palette.ink)?;
        }
        Ok(())
    }
}

/// The grid of the names.
struct Legend {
    columns: usize,
    rows: usize,
}

impl Line {
    fn draw<B: DrawingBackend<ErrorType: 'static>>(
        &self,
        canvas: &Canvas<'_, B>,
        area: &DrawingArea<B, Shift>,
        points: &[(i32, i32)],
    ) -> Drawn {
        let colour = canvas.palette.lines[self.colour % LINES];
        let stroke = colour.stroke_width(2 * canvas.scale as u32);
        if points.len() > 1 {
            area.draw(&PathElement::new(points.to_vec(), stroke))?;
        }
        // Points of many evaluations would be a second, thicker line.
        let every = points.len().div_ceil(24).max(1);
        let last = points.len().saturating_sub(1);
        for (_, point) in points.iter().enumerate().filter(|(index, _)| index % every == 0 || *index == last) {
            self.draw_point(canvas, area, *point)?;
        }
        Ok(())
    }

    fn draw_sample<B: DrawingBackend<ErrorType: 'static>>(
        &self,
        canvas: &Canvas<'_, B>,
        from: (i32, i32),
        right: i32,
    ) -> Drawn {
        let stroke = canvas.palette.lines[self.colour % LINES].stroke_width(2 * canvas.scale as u32);
        canvas.area.draw(&PathElement::new(vec![from, (right, from.1)], stroke))?;
        self.draw_point(canvas, canvas.area, ((from.0 + right) / 2, from.1))
    }

    /// A circle, a square or a triangle, filled with the paper where the line is not finished.
    fn draw_point<B: DrawingBackend<ErrorType: 'static>>(
        &self,
        canvas: &Canvas<'_, B>,
        area: &DrawingArea<B, Shift>,
        (x, y): (i32, i32),
    ) -> Drawn {
        let colour = canvas.palette.lines[self.colour % LINES];
        let reach = canvas.steps(6) / 2;
        let corners: Vec<(i32, i32)> = match self.colour / LINES % 3 {
            0 => Vec::new(),
            1 => vec![(x - reach, y - reach), (x + reach, y - reach), (x + reach, y + reach), (x - reach, y + reach)],
            _ => vec![(x, y - reach - reach / 3), (x + reach, y + reach), (x - reach, y + reach)],
        };
        let filling = if self.is_finished { colour } else { canvas.palette.paper };
        let outline = colour.stroke_width(2 * canvas.scale as u32);
        if corners.is_empty() {
            area.draw(&Circle::new((x, y), reach, filling.filled()))?;
            return if self.is_finished { Ok(()) } else { Ok(area.draw(&Circle::new((x, y), reach, outline))?) };
        }
        area.draw(&Polygon::new(corners.clone(), filling.filled()))?;
        let closed = corners.iter().chain(corners.first()).copied().collect::<Vec<_>>();
        if self.is_finished { Ok(()) } else { Ok(area.draw(&PathElement::new(closed, outline))?) }
    }
}

/// A line of dashes to the right.
fn dashes<B: DrawingBackend<ErrorType: 'static>>(
    canvas: &Canvas<'_, B>,
    area: &DrawingArea<B, Shift>,
    (left, y): (i32, i32),
    right: i32,
) -> Drawn {
    let stroke = canvas.palette.ink.stroke_width(3 * canvas.scale as u32 / 2);
    let (dash, period) = (canvas.steps(6), canvas.steps(10));
    let mut x = left;
    while x < right {
        area.draw(&PathElement::new(vec![(x, y), ((x + dash).min(right), y)], stroke))?;
        x += period;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::curves;
    use super::*;

    #[test]
    fn the_second_axis_is_logarithmic_where_its_values_spread() {
        assert!(curves().axes().1.is_logarithmic());
        assert!(!Curves { spread: 10.0, ..curves() }.axes().1.is_logarithmic());
        assert!(Curves { from_zero: false, ..curves() }.axes().0.is_logarithmic());
    }

    #[test]
    fn the_legend_has_as_many_columns_as_the_names_allow_and_room_below_the_plot() {
        let height = |curves: &Curves| curves.size().1;
        let short = curves();
        assert_eq!((short.legend().columns, short.legend().rows), (2, 2));
        let mut long = curves();
        long.lines[0].name = "a name that is longer than half of a picture, and so has a line".into();
        assert_eq!((long.legend().columns, long.legend().rows), (1, 3));
        assert_eq!(height(&long) - height(&short), ENTRY);
    }

    #[test]
    fn every_line_and_level_is_named() {
        let svg = super::super::Picture::Curves(curves()).svg().unwrap();
        for name in ["rff &amp; co", "cluster", "best possible", "steps", "perplexity", "Perplexity by &lt;step&gt;"] {
            assert!(svg.contains(name), "{name} in {svg}");
        }
        assert_eq!(svg.matches("<polygon").count(), 2);
    }

    #[test]
    fn nothing_and_a_lonely_point_can_be_drawn() {
        let mut lonely = curves();
        lonely.lines.truncate(1);
        lonely.lines[0].points.truncate(1);
        lonely.level = None;
        for curves in [lonely.clone(), Curves { lines: Vec::new(), ..lonely }] {
            super::super::Picture::Curves(curves).png().unwrap();
        }
    }
}
