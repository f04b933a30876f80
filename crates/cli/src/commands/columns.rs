//! Tables for people.

use crate::commands::told::grouped;

/// Three digits, or as many as stand before the point.
pub fn figure(value: f64) -> String {
    match value {
        value if value >= 100.0 => grouped(value.round() as u64),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

/// Columns as wide as their widest cell, the first to the left, the others to the right.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        let texts = [0.04256, 1.234, 45.678, 1234.5].map(figure);
        assert_eq!(texts, ["0.043", "1.23", "45.7", "1,235"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let lines = [["sampler", "ms"], ["rff", "12.5"]].map(|line| line.map(String::from).to_vec());
        assert_eq!(aligned(&lines), "sampler    ms\nrff      12.5\n");
    }
}
