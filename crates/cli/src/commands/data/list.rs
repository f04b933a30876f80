//! `rfs data list`.

use std::path::Path;

use rf_data::{Dataset, Manifest};

use crate::args::ListArgs;
use crate::commands::told::size;

/// Prints one line a data set, and where they belong.
pub fn run(args: &ListArgs) -> anyhow::Result<()> {
    let root = rf_data::data_root();
    print!("{}", table(&super::manifest(args.manifest.as_deref())?, &root));
    println!("\nthe data folder is {}; to fetch one: rfs data fetch NAME", root.display());
    Ok(())
}

fn table(manifest: &Manifest, root: &Path) -> String {
    let heading = ["name", "task", "size", "there", "what", "licence"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(heading).chain(manifest.datasets.iter().map(|set| row(set, root))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..5).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        format!("{}{}\n", cells.collect::<String>(), row[5])
    };
    rows.iter().map(line).collect()
}

fn row(dataset: &Dataset, root: &Path) -> [String; 6] {
    let (there, all) = (dataset.files_there(root), dataset.files.len());
    let there = match there {
        0 if dataset.by_hand.is_some() => "no, by hand".into(),
        0 => "no".into(),
        there if there == all => "yes".into(),
        there => format!("{there} of {all} files"),
    };
    let bytes = dataset.bytes().map_or("unknown".into(), size);
    let Dataset { name, title, task, licence, .. } = dataset.clone();
    [name, task, bytes, there, title, licence]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_set_has_a_line_with_what_is_there() {
        let place = tempfile::tempdir().unwrap();
        let manifest = Manifest::built_in().unwrap();
        let ptb =
            |root: &Path| table(&manifest, root).lines().find(|line| line.starts_with("ptb ")).unwrap().to_owned();
        let wanted = "ptb            lm    6.0 MB   no           Penn Treebank";
        assert!(ptb(place.path()).starts_with(wanted), "{}", ptb(place.path()));
        std::fs::create_dir(place.path().join("ptb")).unwrap();
        let test = place.path().join("ptb/ptb.test.txt");
        std::fs::File::create(test).unwrap().set_len(449_945).unwrap();
        assert!(ptb(place.path()).contains("  1 of 3 files  "), "{}", ptb(place.path()));
    }
}
