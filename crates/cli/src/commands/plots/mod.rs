//! Pictures of curves and of points, as SVG for a page or a file and as PNG.
//!
//! A picture is drawn once, by plotters, on whatever it is to become: [`Picture::inline`] follows the colours of the page it
//! stands in, [`Picture::svg`] and [`Picture::png`] are files on white paper.

mod axis;
mod curves;
mod font;
mod labels;
mod paint;
mod raster;
mod scatter;

use anyhow::{Context, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use tiny_skia::Pixmap;

pub use curves::{Curves, Level, Line, Point};
pub use font::Font;
pub use paint::{DARK, LIGHT, Palette};
pub use scatter::{Mark, Scatter};

/// Steps of a backend in a unit of the pictures: backends know whole steps alone, and a line needs finer ones.
const SVG_SCALE: i32 = 2;
const PNG_SCALE: i32 = 3;

/// Height of a title, and of the words beside axes and points, in units.
const TITLE: i32 = 17;
const WORDS: i32 = 14;

/// What is drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Picture {
    Curves(Curves),
    Scatter(Scatter),
}

impl Picture {
    /// Its title.
    pub fn title(&self) -> &str {
        match self {
            Self::Curves(curves) => &curves.title,
            Self::Scatter(scatter) => &scatter.title,
        }
    }

    /// Width and height in units; a unit is a pixel on a screen where there is room.
    pub fn size(&self) -> (i32, i32) {
        match self {
            Self::Curves(curves) => curves.size(),
            Self::Scatter(scatter) => scatter.size(),
        }
    }

    /// An `svg` element for a page that has the variables of [`Palette::variables`]; it is as wide as its box.
    pub fn inline(&self) -> anyhow::Result<String> {
        let svg = paint::with_variables(&self.vectors(Palette::of_variables())?);
        let rest = svg.split_once('>').map_or("", |(_, rest)| rest);
        let (width, height) = self.size();
        let (wide, high) = (SVG_SCALE * width, SVG_SCALE * height);
        let title = escaped(self.title());
        Ok(format!("<svg viewBox=\"0 0 {wide} {high}\" role=\"img\" aria-label=\"{title}\">{rest}"))
    }

    /// An SVG file.
    pub fn svg(&self) -> anyhow::Result<String> {
        self.vectors(&LIGHT)
    }

    /// A PNG file.
    pub fn png(&self) -> anyhow::Result<Vec<u8>> {
        let (width, height) = self.size();
        let size = |units: i32| (PNG_SCALE * units) as u32;
        let mut pixels = Pixmap::new(size(width), size(height)).context("a picture without pixels")?;
        let area = raster::Raster::new(&mut pixels).into_drawing_area();
        self.draw(&Canvas { area: &area, palette: &LIGHT, scale: PNG_SCALE })?;
        drop(area);
        Ok(raster::png(&pixels))
    }

    fn vectors(&self, palette: &Palette) -> anyhow::Result<String> {
        let (width, height) = self.size();
        let mut svg = String::new();
        let size = ((SVG_SCALE * width) as u32, (SVG_SCALE * height) as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        self.draw(&Canvas { area: &area, palette, scale: SVG_SCALE })?;
        drop(area);
        Ok(svg)
    }

    fn draw<B: DrawingBackend<ErrorType: 'static>>(&self, canvas: &Canvas<'_, B>) -> anyhow::Result<()> {
        let drawn = match self {
            Self::Curves(curves) => curves.draw(canvas),
            Self::Scatter(scatter) => scatter.draw(canvas),
        };
        // The errors of the library borrow what they are about.
        drawn.map_err(|error| anyhow!("cannot draw {:?}: {error}", self.title()))
    }
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// What is drawn on, in which colours, with how many steps to a unit.
struct Canvas<'a, B: DrawingBackend> {
    area: &'a DrawingArea<B, Shift>,
    palette: &'a Palette,
    scale: i32,
}

impl<B: DrawingBackend<ErrorType: 'static>> Canvas<'_, B> {
    /// Steps of a number of units.
    fn steps(&self, units: i32) -> i32 {
        self.scale * units
    }

    /// A style of text whose letters are `units` high.
    fn text(&self, units: i32, colour: RGBColor) -> TextStyle<'static> {
        let size = f64::from(self.steps(units)) * raster::TEXT_SIZE;
        let pos = Pos::new(HPos::Left, VPos::Center);
        TextStyle { color: colour.to_backend_color(), pos, ..("sans-serif", size).into_text_style(self.area) }
    }

    /// Writes a line of text that begins at a place and is `units` high, its middle at the place's height.
    fn write(&self, text: &str, (x, y): (i32, i32), units: i32, colour: RGBColor) -> Drawn {
        Ok(self.area.draw(&Text::new(text.to_owned(), (x, y), self.text(units, colour)))?)
    }

    fn title(&self, title: &str) -> Drawn {
        self.write(title, (self.steps(12), self.steps(18)), TITLE, self.palette.ink)
    }
}

/// Text as it stands in a page.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// `text` where it is no wider than `width` at a size, else its beginning and an ellipsis.
fn shortened(font: &Font, text: &str, size: f32, width: f32) -> String {
    if font.width(text, size) <= width {
        return text.to_owned();
    }
    let mut letters: Vec<char> = text.chars().collect();
    let shown = |letters: &[char]| letters.iter().collect::<String>() + "…";
    while !letters.is_empty() && font.width(&shown(&letters), size) > width {
        letters.pop();
    }
    shown(&letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn curves() -> Curves {
        let point = |x: f64, y: f64| Point { x, y, least: 0.9 * y, most: 1.1 * y };
        let line = |name: &str, colour| Line {
            name: name.into(),
            points: (1..=4).map(|step| point(f64::from(step), 400.0 / f64::from(step))).collect(),
            colour,
            is_finished: colour == 0,
        };
        Curves {
            title: "Perplexity by <step>".into(),
            x: "steps".into(),
            y: "perplexity".into(),
            lines: vec![line("rff & co", 0), line("cluster", 1)],
            level: Some(Level { name: "best possible".into(), value: 90.0 }),
            from_zero: true,
            spread: 3.0,
        }
    }

    #[test]
    fn an_inline_picture_has_the_colours_of_the_page_and_no_other() {
        let svg = Picture::Curves(curves()).inline().unwrap();
        assert!(svg.starts_with("<svg viewBox=\"0 0 880 "), "{}", &svg[..80]);
        assert!(svg.contains("aria-label=\"Perplexity by &lt;step&gt;\"") && svg.contains("rff &amp; co"), "{svg}");
        for variable in ["--ink", "--muted", "--grid", "--line-0", "--line-1"] {
            assert!(svg.contains(&format!("\"var({variable})\"")), "{variable}");
        }
        assert!(!svg.contains("\"#"), "{svg}");
        assert!(svg.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn files_are_on_white_paper() {
        let picture = Picture::Curves(curves());
        let svg = picture.svg().unwrap();
        assert!(svg.contains("xmlns=\"http://www.w3.org/2000/svg\"") && svg.contains("\"#0072B2\""), "{svg}");
        let png = picture.png().unwrap();
        let (width, height) = picture.size();
        let wanted = [(3 * width as u32).to_be_bytes(), (3 * height as u32).to_be_bytes()].concat();
        assert_eq!((&png[..4], &png[16..24]), (&b"\x89PNG"[..], &wanted[..]));
    }

    #[test]
    fn a_name_that_is_too_long_is_cut() {
        let font = Font::new();
        assert_eq!(shortened(&font, "rff", 14.0, 200.0), "rff");
        let long = "loss.sampler.kind=rff,loss.sampler.features=1024";
        let cut = shortened(&font, long, 14.0, 100.0);
        assert!(cut.ends_with('…') && long.starts_with(cut.trim_end_matches('…')), "{cut}");
        assert!(font.width(&cut, 14.0) <= 100.0);
    }
}
