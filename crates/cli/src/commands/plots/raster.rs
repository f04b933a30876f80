//! Pictures as pixels: what plotters draws, painted by tiny-skia.

use std::convert::Infallible;
use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontTransform,
};
use tiny_skia::{FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform};

use super::font::Font;

/// plotters' size of a text over the height of its letters, as its backend for SVG has it.
pub const TEXT_SIZE: f64 = 1.24;

/// Paints into a picture.
pub struct Raster<'a> {
    pixels: &'a mut Pixmap,
    font: Font,
}

impl<'a> Raster<'a> {
    pub fn new(pixels: &'a mut Pixmap) -> Self {
        Self { pixels, font: Font::new() }
    }

    fn fill(&mut self, path: Option<Path>, colour: BackendColor, transform: Transform) {
        if let Some(path) = path {
            self.pixels.fill_path(&path, &paint(colour), FillRule::Winding, transform, None);
        }
    }

    fn stroke(&mut self, path: Option<Path>, style: &impl BackendStyle) {
        if let Some(path) = path {
            let width = style.stroke_width() as f32;
            let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
            self.pixels.stroke_path(&path, &paint(style.color()), &stroke, Transform::identity(), None);
        }
    }
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl DrawingBackend for Raster<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.pixels.width(), self.pixels.height())
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Drawn {
        self.fill(rectangle((x, y), (x + 1, y + 1)), colour, Transform::identity());
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.stroke(lines([from, to], false), style);
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S, fill: bool) -> Drawn {
        match fill {
            true => self.fill(rectangle(from, to), style.color(), Transform::identity()),
            false => self.stroke(rectangle(from, to), style),
        }
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        self.stroke(lines(path, false), style);
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, centre: BackendCoord, radius: u32, style: &S, fill: bool) -> Drawn {
        let circle = PathBuilder::from_circle(centre.0 as f32, centre.1 as f32, radius as f32);
        match fill {
            true => self.fill(circle, style.color(), Transform::identity()),
            false => self.stroke(circle, style),
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        self.fill(lines(path, true), style.color(), Transform::identity());
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, (x, y): BackendCoord) -> Drawn {
        let size = (style.size() / TEXT_SIZE) as f32;
        let anchor = style.anchor();
        let left = match anchor.h_pos {
            HPos::Left => 0.0,
            HPos::Center => -self.font.width(text, size) / 2.0,
            HPos::Right => -self.font.width(text, size),
        };
        // The heights that plotters' backend for SVG has.
        let down = match anchor.v_pos {
            VPos::Top => 0.76 * size,
            VPos::Center => 0.27 * size,
            VPos::Bottom => -0.27 * size,
        };
        let turn = match style.transform() {
            FontTransform::None => 0.0,
            FontTransform::Rotate90 => 90.0,
            FontTransform::Rotate180 => 180.0,
            FontTransform::Rotate270 => 270.0,
        };
        let mut path = PathBuilder::new();
        self.font.outline(text, size, &mut path);
        let place = Transform::from_translate(left, down).post_rotate(turn).post_translate(x as f32, y as f32);
        self.fill(path.finish(), style.color(), place);
        Ok(())
    }
}

fn paint(BackendColor { alpha, rgb: (red, green, blue) }: BackendColor) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(red, green, blue, (255.0 * alpha).round() as u8);
    paint
}

fn rectangle(from: BackendCoord, to: BackendCoord) -> Option<Path> {
    let [left, top, right, bottom] = [from.0, from.1, to.0, to.1].map(|place| place as f32);
    Rect::from_ltrb(left.min(right), top.min(bottom), left.max(right), top.max(bottom)).map(PathBuilder::from_rect)
}

fn lines(path: impl IntoIterator<Item = BackendCoord>, close: bool) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for (index, (x, y)) in path.into_iter().enumerate() {
        match index {
            0 => builder.move_to(x as f32, y as f32),
            _ => builder.line_to(x as f32, y as f32),
        }
    }
    if close {
        builder.close();
    }
    builder.finish()
}

/// A picture without transparent parts as a PNG file (W3C, Portable Network Graphics, third edition).
pub fn png(pixels: &Pixmap) -> Vec<u8> {
    let (width, height) = (pixels.width(), pixels.height());
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    // Eight bits of red, green and blue; the only compression, the only filters, not interlaced.
    header.extend([8, 2, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut file, b"IHDR", &header);
    chunk(&mut file, b"IDAT", &compressed(pixels));
    chunk(&mut file, b"IEND", &[]);
    file
}

fn compressed(pixels: &Pixmap) -> Vec<u8> {
    let mut rows = Vec::new();
    for row in pixels.pixels().chunks(pixels.width() as usize) {
        // No filter: large even areas pack well without.
        rows.push(0);
        rows.extend(row.iter().flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]));
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&rows).and_then(|()| encoder.finish()).expect("a vector takes all that is written")
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    let checked = [&kind[..], data].concat();
    file.extend(&checked);
    file.extend(crc32fast::hash(&checked).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::ZlibDecoder;
    use plotters::prelude::*;

    use super::*;

    fn drawn(draw: impl FnOnce(&mut Raster<'_>)) -> Pixmap {
        let mut pixels = Pixmap::new(40, 30).unwrap();
        pixels.fill(tiny_skia::Color::WHITE);
        draw(&mut Raster::new(&mut pixels));
        pixels
    }

    fn dark(pixels: &Pixmap) -> Vec<(u32, u32)> {
        let places = (0..30).flat_map(|y| (0..40).map(move |x| (x, y)));
        places.filter(|(x, y)| pixels.pixel(*x, *y).unwrap().green() < 128).collect()
    }

    #[test]
    fn shapes_cover_the_pixels_they_should() {
        let pixels = drawn(|raster| raster.draw_rect((10, 5), (20, 8), &BLACK, true).unwrap());
        assert_eq!(dark(&pixels).len(), 30);
        let pixels = drawn(|raster| raster.draw_circle((20, 15), 10, &BLACK, true).unwrap());
        assert!((dark(&pixels).len() as f64 - std::f64::consts::PI * 100.0).abs() < 10.0);
        let stroke = ShapeStyle { color: BLACK.to_rgba(), filled: false, stroke_width: 2 };
        let pixels = drawn(|raster| raster.draw_path([(5, 10), (35, 10)], &stroke).unwrap());
        assert!(dark(&pixels).iter().all(|(_, y)| [9, 10].contains(y)) && dark(&pixels).len() >= 60);
    }

    #[test]
    fn a_text_stands_where_its_anchor_says() {
        let of = |anchor: HPos, place| {
            let style = ("sans-serif", 20).into_font().color(&BLACK);
            let style = style.pos(plotters::style::text_anchor::Pos::new(anchor, VPos::Center));
            dark(&drawn(|raster| raster.draw_text("IO", &style, place).unwrap()))
        };
        let (left, right) = (of(HPos::Left, (5, 15)), of(HPos::Right, (35, 15)));
        assert!(!left.is_empty() && left.iter().all(|(x, y)| (5..30).contains(x) && (5..25).contains(y)), "{left:?}");
        assert!(!right.is_empty() && right.iter().all(|(x, _)| (8..36).contains(x)), "{right:?}");
    }

    #[test]
    fn a_file_holds_header_and_pixels() {
        let pixels = drawn(|raster| raster.draw_pixel((3, 0), RED.to_backend_color()).unwrap());
        let file = png(&pixels);
        assert_eq!(&file[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!(&file[8..33], [&b"\0\0\0\rIHDR\0\0\0\x28\0\0\0\x1e\x08\x02\0\0\0"[..], &file[29..33]].concat());
        assert_eq!(u32::from_be_bytes(file[29..33].try_into().unwrap()), crc32fast::hash(&file[12..29]));
        let length = u32::from_be_bytes(file[33..37].try_into().unwrap()) as usize;
        let mut rows = Vec::new();
        ZlibDecoder::new(&file[41..41 + length]).read_to_end(&mut rows).unwrap();
        assert_eq!((rows.len(), &rows[..13]), (30 * 121, &[&[0][..], &[255; 9], &[255, 0, 0]].concat()[..]));
        assert_eq!(&file[file.len() - 12..], b"\0\0\0\0IEND\xae\x42\x60\x82");
    }
}
