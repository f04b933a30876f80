//! Tables of a page, and the words in them.

use crate::commands::plots::escaped;

/// A table whose first column names the rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    pub caption: String,
    pub head: Vec<String>,
    pub rows: Vec<Row>,
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub name: String,
    /// Said in small letters below the name.
    pub remark: Option<String>,
    pub cells: Vec<Cell>,
}

/// A cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    pub text: String,
    /// Whether it is the best of its column.
    pub is_best: bool,
}

impl Cell {
    /// One that is not the best.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_best: false }
    }

    /// For what is not there.
    pub fn none() -> Self {
        Self::plain("–")
    }
}

impl Table {
    /// The table, in a box that scrolls where the page is too narrow.
    pub fn html(&self) -> String {
        let head: String = self.head.iter().map(|title| format!("<th scope=\"col\">{}</th>", escaped(title))).collect();
        let rows: String = self.rows.iter().map(Row::html).collect();
        let caption = escaped(&self.caption);
        format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table>\n<caption>{caption}</caption>\n\
             <thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
        )
    }
}

impl Row {
    fn html(&self) -> String {
        let remark = self.remark.as_ref().map_or(String::new(), |text| format!("<small>{}</small>", escaped(text)));
        let cells: String = self.cells.iter().map(Cell::html).collect();
        format!("<tr><th scope=\"row\">{}{remark}</th>{cells}</tr>\n", escaped(&self.name))
    }
}

impl Cell {
    fn html(&self) -> String {
        let text = escaped(&self.text);
        if self.is_best { format!("<td><strong>{text}</strong></td>") } else { format!("<td>{text}</td>") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_bold_and_words_are_escaped() {
        let cells = vec![Cell { text: "117.3".into(), is_best: true }, Cell::plain("a<b"), Cell::none()];
        let row = Row { name: "<script>&'\"".into(), remark: Some("> step 3".into()), cells };
        let table = Table { caption: "1 < 2".into(), head: vec!["run".into(), "P@1 & P@3".into()], rows: vec![row] };
        let html = table.html();
        for wanted in [
            "<caption>1 &lt; 2</caption>",
            "<th scope=\"col\">P@1 &amp; P@3</th>",
            "<th scope=\"row\">&lt;script&gt;&amp;&#39;&quot;<small>&gt; step 3</small></th>\
             <td><strong>117.3</strong></td><td>a&lt;b</td><td>–</td>",
        ] {
            assert!(html.contains(wanted), "{wanted} is not in\n{html}");
        }
    }
}
