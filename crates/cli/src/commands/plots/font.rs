//! The letters of pictures that are pixels.

use tiny_skia::PathBuilder;
use ttf_parser::{Face, GlyphId, OutlineBuilder};

const BYTES: &[u8] = include_bytes!("../../../fonts/DejaVuSans.ttf");

/// DejaVu Sans, cut down; its licence stands beside it.
pub struct Font {
    face: Face<'static>,
}

impl Font {
    /// The font in the program.
    pub fn new() -> Self {
        Self { face: Face::parse(BYTES, 0).expect("the font in the program is whole") }
    }

    /// Width of a line of text whose letters are `size` high.
    pub fn width(&self, text: &str, size: f32) -> f32 {
        text.chars().map(|letter| self.advance(self.glyph(letter), size)).sum()
    }

    /// Adds the outlines of a line of text, its baseline beginning at the origin.
    pub fn outline(&self, text: &str, size: f32, path: &mut PathBuilder) {
        let mut pen = Pen { path, scale: self.scale(size), x: 0.0 };
        for letter in text.chars() {
            let glyph = self.glyph(letter);
            self.face.outline_glyph(glyph, &mut pen);
            pen.x += self.advance(glyph, size);
        }
    }

    /// The glyph of a letter; of one that the font does not have, the sign for that.
    fn glyph(&self, letter: char) -> GlyphId {
        let known = self.face.glyph_index(letter).or_else(|| self.face.glyph_index('\u{fffd}'));
        known.unwrap_or(GlyphId(0))
    }

    fn advance(&self, glyph: GlyphId, size: f32) -> f32 {
        f32::from(self.face.glyph_hor_advance(glyph).unwrap_or(0)) * self.scale(size)
    }

    fn scale(&self, size: f32) -> f32 {
        size / f32::from(self.face.units_per_em())
    }
}

/// Draws a glyph at a place on the baseline; fonts count upwards, pictures downwards.
struct Pen<'a> {
    path: &'a mut PathBuilder,
    scale: f32,
    x: f32,
}

impl Pen<'_> {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + self.scale * x, -self.scale * y)
    }
}

impl OutlineBuilder for Pen<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_add_up_and_grow_with_the_size() {
        let font = Font::new();
        let width = |text: &str| font.width(text, 20.0);
        assert!((width("KL, nats") - width("KL, ") - width("nats")).abs() < 1e-3);
        assert!((font.width("perplexity", 40.0) - 2.0 * width("perplexity")).abs() < 1e-3);
        assert!(width("iii") < width("mmm"));
    }

    #[test]
    fn the_signs_that_plots_use_have_glyphs() {
        let font = Font::new();
        for letter in "aZ09,.()%‖±τχ²·…–é".chars() {
            assert!(font.face.glyph_index(letter).is_some(), "{letter}");
        }
        // What it does not have takes room all the same.
        assert!(font.width("字", 20.0) > 0.0);
    }
}
