//! `rfs report`: runs side by side on one page that needs nothing beside itself.
//!
//! [`find`] finds the run folders, [`record`] reads one, [`series`] puts those together that differ in their seed alone,
//! [`section`] sets runs of one task and data side by side: [`curves`], [`figures`], [`settings`]. [`quality`] shows what
//! `rfs diagnose` measured. [`page`] puts it all into HTML, of [`table`]s and pictures.

mod curves;
mod figures;
mod find;
mod page;
mod quality;
mod record;
mod section;
mod series;
mod settings;
mod table;

use std::fs;
use std::path::Path;

use anyhow::Context;
use rf_training::replace_file;

use crate::args::ReportArgs;
use crate::commands::plots::Picture;
use crate::exit::bad_input;
use page::Page;
use quality::Diagnosis;
use record::Record;
use section::Section;

/// A picture, and the name of its file.
struct Plot {
    name: String,
    picture: Picture,
}

/// Reads the runs and writes the page, and the pictures where they are asked for.
pub fn run(args: &ReportArgs) -> anyhow::Result<()> {
    check(&args.out)?;
    let records = records(args)?;
    let diagnoses = diagnoses(args, &records)?;
    let sections = Section::all(&records);
    let page = Page::new(args.title.as_deref(), &records, &sections, &diagnoses);
    let text = page.html()?;
    replace_file(&args.out, |file| file.write_all(text.as_bytes()))?;
    let (runs, plots) = (counted(records.len(), "run"), counted(page.plots().count(), "plot"));
    println!("{runs}, {plots}: {}", args.out.display());
    args.png.as_deref().map_or(Ok(()), |folder| write_pictures(&page, folder))
}

/// `1 run`, `2 runs`.
fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// Refuses a page that could not be written, before anything is read.
fn check(out: &Path) -> anyhow::Result<()> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(bad_input(format!("--out {}: there is no such folder", out.display()))),
        _ if out.is_dir() => Err(bad_input(format!("--out {}: this is a folder", out.display()))),
        _ => Ok(()),
    }
}

fn records(args: &ReportArgs) -> anyhow::Result<Vec<Record>> {
    let found = find::runs(&args.runs)?;
    found.into_iter().map(|found| Record::read(&found.path, found.name)).collect()
}

/// What was measured in the folders of the runs, then what was given by hand.
fn diagnoses(args: &ReportArgs, records: &[Record]) -> anyhow::Result<Vec<Diagnosis>> {
    let of_runs = records.iter().filter_map(|record| {
        let path = record.folder.diagnosis();
        path.exists().then(|| Diagnosis::read(&path, Some(&record.name)))
    });
    of_runs.chain(args.diagnose.iter().map(|path| Diagnosis::read(path, None))).collect()
}

fn write_pictures(page: &Page, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for plot in page.plots() {
        let path = folder.join(format!("{}.png", plot.name));
        let bytes = plot.picture.png()?;
        replace_file(&path, |file| file.write_all(&bytes))?;
        println!("{}", path.display());
    }
    Ok(())
}
