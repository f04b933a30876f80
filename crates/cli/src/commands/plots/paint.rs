//! Colours: by what they are for, so that a page can be light or dark.

use plotters::style::RGBColor;

/// Colours of lines and points. Further ones take them again, with points of another shape.
pub const LINES: usize = 8;

/// The colours of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Palette {
    pub paper: RGBColor,
    /// Titles and names.
    pub ink: RGBColor,
    /// Numbers at axes.
    pub muted: RGBColor,
    pub grid: RGBColor,
    /// After Okabe and Ito (2008), which people with any colour vision tell apart, each dark enough for white paper.
    pub lines: [RGBColor; LINES],
}

const fn rgb(hex: u32) -> RGBColor {
    RGBColor((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// On white paper.
pub const LIGHT: Palette = Palette {
    paper: rgb(0xff_ff_ff),
    ink: rgb(0x1b_21_27),
    muted: rgb(0x59_63_6e),
    grid: rgb(0xe3_e7_eb),
    lines: [
        rgb(0x00_72_b2),
        rgb(0xd5_5e_00),
        rgb(0x00_8f_68),
        rgb(0xa8_4a_8c),
        rgb(0xa9_7a_00),
        rgb(0x2f_94_d0),
        rgb(0x5f_66_6d),
        rgb(0x7d_40_18),
    ],
};

/// On a dark screen.
pub const DARK: Palette = Palette {
    paper: rgb(0x17_1b_21),
    ink: rgb(0xe8_eb_ee),
    muted: rgb(0xa3_ad_b8),
    grid: rgb(0x2d_34_3c),
    lines: [
        rgb(0x56_ac_ea),
        rgb(0xff_8f_50),
        rgb(0x2e_c9_9b),
        rgb(0xe3_9a_d4),
        rgb(0xef_c8_4a),
        rgb(0xa6_dc_ff),
        rgb(0xb4_bc_c4),
        rgb(0xcf_a0_7c),
    ],
};

/// Stands for the variables of a page: no colours to look at, but each another one.
const VARIABLES: Palette = Palette {
    paper: rgb(0x01_00_00),
    ink: rgb(0x01_00_01),
    muted: rgb(0x01_00_02),
    grid: rgb(0x01_00_03),
    lines: [
        rgb(0x01_01_00),
        rgb(0x01_01_01),
        rgb(0x01_01_02),
        rgb(0x01_01_03),
        rgb(0x01_01_04),
        rgb(0x01_01_05),
        rgb(0x01_01_06),
        rgb(0x01_01_07),
    ],
};

impl Palette {
    /// The palette whose pictures [`with_variables`] makes follow the page.
    pub fn of_variables() -> &'static Self {
        &VARIABLES
    }

    /// The colours with the names of their variables, `ink` of `--ink`.
    fn named(&self) -> Vec<(String, RGBColor)> {
        let fixed = [("paper", self.paper), ("ink", self.ink), ("muted", self.muted), ("grid", self.grid)];
        let fixed = fixed.map(|(name, colour)| (name.to_owned(), colour));
        let lines = self.lines.iter().enumerate().map(|(index, colour)| (format!("line-{index}"), *colour));
        fixed.into_iter().chain(lines).collect()
    }

    /// The variables of a style sheet, `--ink: #1b2127; …`.
    pub fn variables(&self) -> String {
        let declared = self.named().into_iter().map(|(name, colour)| format!("--{name}: {};", hex(colour)));
        declared.collect::<Vec<_>>().join(" ")
    }
}

/// A drawing in the colours of [`Palette::of_variables`], with the variables of the page in their place.
pub fn with_variables(svg: &str) -> String {
    VARIABLES.named().iter().fold(svg.to_owned(), |svg, (name, colour)| {
        svg.replace(&format!("\"{}\"", hex(*colour)), &format!("\"var(--{name})\""))
    })
}

fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance and contrast, by the Web Content Accessibility Guidelines 2.2.
    fn contrast(one: RGBColor, other: RGBColor) -> f64 {
        let linear = |value: u8| match f64::from(value) / 255.0 {
            value if value <= 0.04045 => value / 12.92,
            value => ((value + 0.055) / 1.055).powf(2.4),
        };
        let luminance = |RGBColor(r, g, b): RGBColor| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        (one / other).max(other / one)
    }

    #[test]
    fn lines_stand_out_and_text_can_be_read_on_light_and_dark_paper() {
        for palette in [LIGHT, DARK] {
            for colour in palette.lines {
                assert!(contrast(colour, palette.paper) >= 3.0, "{}: {}", hex(colour), contrast(colour, palette.paper));
            }
            for colour in [palette.ink, palette.muted] {
                assert!(contrast(colour, palette.paper) >= 4.5, "{}", hex(colour));
            }
        }
    }

    #[test]
    fn colours_of_a_drawing_become_variables_and_its_words_stay() {
        let svg = "<text fill=\"#010001\">#010001</text><line stroke=\"#010107\"/><rect fill=\"none\"/>";
        let wanted = "<text fill=\"var(--ink)\">#010001</text><line stroke=\"var(--line-7)\"/><rect fill=\"none\"/>";
        assert_eq!(with_variables(svg), wanted);
        assert!(LIGHT.variables().starts_with("--paper: #FFFFFF; --ink: #1B2127; "), "{}", LIGHT.variables());
    }
}
