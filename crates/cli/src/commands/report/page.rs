//! The page: HTML with its style and its pictures in it, and nothing that would have to be fetched.

use std::fmt::Write;

use super::quality::Diagnosis;
use super::record::Record;
use super::section::Section;
use super::{Plot, counted};
use crate::commands::plots::{DARK, LIGHT, escaped};

const STYLE: &str = include_str!("page.css");

/// Colours of the page that pictures do not have.
const LIGHT_ONLY: &str = "--page: #F6F7F9; --hover: #F1F4F7; --best: #005A8C;";
const DARK_ONLY: &str = "--page: #0F1216; --hover: #1E242B; --best: #8CC9F5;";

/// What a page shows.
pub struct Page<'a> {
    title: String,
    lead: String,
    sections: &'a [Section],
    /// Each with its plot.
    diagnoses: Vec<(&'a Diagnosis, Plot)>,
}

impl<'a> Page<'a> {
    pub fn new(title: Option<&str>, records: &[Record], sections: &'a [Section], diagnoses: &'a [Diagnosis]) -> Self {
        let runs = counted(records.len(), "run");
        let unfinished = records.iter().filter(|record| !record.is_finished()).count();
        let lead = match unfinished {
            0 => format!("{runs}, all finished."),
            several => format!("{runs}, {several} of them unfinished."),
        };
        let title = title.map_or_else(|| format!("Report of {runs}"), str::to_owned);
        Self { title, lead, sections, diagnoses: diagnoses.iter().map(|told| (told, told.plot())).collect() }
    }

    /// Every plot on it.
    pub fn plots(&self) -> impl Iterator<Item = &Plot> {
        let of_sections = self.sections.iter().flat_map(|section| &section.plots);
        of_sections.chain(self.diagnoses.iter().map(|(_, plot)| plot))
    }

    /// The whole page.
    pub fn html(&self) -> anyhow::Result<String> {
        let (title, lead) = (escaped(&self.title), escaped(&self.lead));
        let mut page = String::new();
        write!(
            page,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <style>\n{}</style>\n</head>\n<body>\n<header><h1>{title}</h1>\n<p>{lead}</p>\n{}</header>\n<main>\n",
            style(),
            self.contents()
        )?;
        for (index, section) in self.sections.iter().enumerate() {
            page += &of_section(index, section)?;
        }
        page += &self.quality()?;
        let version = env!("CARGO_PKG_VERSION");
        write!(page, "</main>\n<footer>Written by rfs {version}.</footer>\n</body>\n</html>\n")?;
        Ok(page)
    }

    /// Links to the parts, where there are several.
    fn contents(&self) -> String {
        let sections = self.sections.iter().enumerate();
        let mut links: Vec<_> = sections.map(|(index, section)| link(&part(index), &section.title)).collect();
        if !self.diagnoses.is_empty() {
            links.push(link("quality", "Sampler quality"));
        }
        if links.len() > 1 { format!("<nav>{}</nav>\n", links.join("\n")) } else { String::new() }
    }

    fn quality(&self) -> anyhow::Result<String> {
        if self.diagnoses.is_empty() {
            return Ok(String::new());
        }
        let mut html = "<section id=\"quality\"><h2>Sampler quality</h2>\n\
            <p>Distance of each proposal q from the softmax p of a trained model at held-out queries. KL in nats, 0 is perfect; \
            chi-squared, 1 is perfect; ESS: so many draws from p itself would do as well as m from q; bias and variance of the \
            sampled gradient at m draws, over the length of the full one and its square.</p>\n"
            .to_owned();
        for (diagnosis, plot) in &self.diagnoses {
            let svg = plot.picture.inline()?;
            let (title, table) = (escaped(&diagnosis.title()), diagnosis.table().html());
            write!(html, "<h3>{title}</h3>\n<figure class=\"wide\" tabindex=\"0\">{svg}</figure>\n{table}")?;
        }
        Ok(html + "</section>\n")
    }
}

fn of_section(index: usize, section: &Section) -> anyhow::Result<String> {
    let (id, title) = (part(index), escaped(&section.title));
    let mut html = format!("<section id=\"{id}\"><h2>{title}</h2>\n<p>{}</p>\n", escaped(&explained(section)));
    if !section.plots.is_empty() {
        html += "<div class=\"plots\">\n";
        for plot in &section.plots {
            writeln!(html, "<figure>{}</figure>", plot.picture.inline()?)?;
        }
        html += "</div>\n";
    }
    let tables = [&section.scores, &section.costs, &section.differing].map(|table| table.html()).concat();
    let common = section.common.html();
    write!(
        html,
        "{tables}<details><summary>Settings that all these runs share</summary>\n{common}</details>\n</section>\n"
    )?;
    Ok(html)
}

/// How to read the plots and tables of a section.
fn explained(section: &Section) -> String {
    let mut sentences = Vec::new();
    if section.plots.is_empty() {
        sentences.push("These runs were never validated, so there are no curves.");
    } else {
        sentences
            .push("Curves of the evaluations on the validation data, over all classes; times are of training alone.");
    }
    if section.has_means {
        sentences.push(
            "Runs that differ in their seed alone are one line: the mean, in a band from the least to the greatest of them; \
             in tables, mean ± standard error.",
        );
    }
    sentences.push("The best of finished runs is bold.");
    if section.scores.rows.iter().any(|row| row.remark.is_some()) {
        sentences.push("Unfinished runs have hollow points and the best validation so far.");
    }
    let mut text = sentences.join(" ");
    if !section.without_epochs.is_empty() && !section.plots.is_empty() {
        let names = section.without_epochs.join(", ");
        text += &format!(" Not by epoch, since their journals do not tell how long one is: {names}.");
    }
    text
}

fn style() -> String {
    format!(
        ":root {{ {} {LIGHT_ONLY} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {} {DARK_ONLY} }} }}\n{STYLE}",
        LIGHT.variables(),
        DARK.variables()
    )
}

fn part(index: usize) -> String {
    format!("part-{}", index + 1)
}

fn link(id: &str, text: &str) -> String {
    format!("<a href=\"#{id}\">{}</a>", escaped(text))
}

#[cfg(test)]
mod tests {
    use super::super::quality::tests::{JSON, diagnosis};
    use super::super::record::tests::{read, start, validation};
    use super::super::series::tests::{finished, plan};
    use super::*;

    fn html(title: Option<&str>, records: &[Record], diagnoses: &[Diagnosis]) -> String {
        Page::new(title, records, &Section::all(records), diagnoses).html().unwrap()
    }

    #[test]
    fn a_page_has_plots_tables_and_what_differs_and_fetches_nothing() {
        let runs = [
            finished("one", &plan(1, "[loss]\ndraws = 5\n"), &[90.0, 70.0]),
            finished("two-1", &plan(1, ""), &[80.0, 60.0]),
            finished("two-2", &plan(2, ""), &[82.0, 62.0]),
            read(&plan(3, ""), &[start(), validation(100, 90.0)]),
        ];
        let page = html(None, &runs, &[diagnosis(JSON).unwrap()]);
        for wanted in [
            "<title>Report of 4 runs</title>",
            "4 runs, 1 of them unfinished.",
            "<strong>61.00 ± 1.00</strong>",
            "two (2 seeds)",
            "a (unfinished)",
            "unfinished: step 100 of 1,200",
            "loss.draws",
            "from the least to the greatest",
            "prefers-color-scheme: dark",
            "Throughput and memory",
            "<a href=\"#quality\">Sampler quality</a>",
            "rff &lt;b&gt;",
        ] {
            assert!(page.contains(wanted), "{wanted} is not in\n{page}");
        }
        assert_eq!(page.matches("<svg").count(), 4);
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        for unwanted in ["http", "src=", "url(", "@import", "<script", "<link"] {
            assert!(!page.contains(unwanted), "{unwanted} is in\n{page}");
        }
    }

    #[test]
    fn names_and_titles_are_escaped() {
        let name = "<img src=x onerror=alert(1)>&\"'";
        let mut run = finished("x", &plan(1, ""), &[90.0]);
        run.name = name.into();
        let page = html(Some(name), &[run], &[]);
        assert!(!page.contains("<img") && !page.contains("&\"'"), "{page}");
        assert!(page.contains("<title>&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#39;</title>"), "{page}");
    }

    #[test]
    fn a_section_without_validations_says_so() {
        let page = html(None, &[read(&plan(1, ""), &[])], &[]);
        assert!(page.contains("These runs were never validated") && !page.contains("<svg"), "{page}");
        assert!(page.contains("1 run, 1 of them unfinished.") && page.contains("unfinished: not begun"), "{page}");
    }
}
