//! The fenced blocks of a page.

use std::fs;

/// A fenced block.
pub struct Block {
    /// Where it begins, `page.md:12`.
    pub place: String,
    /// What it is said to be: `sh`, `toml`, `rust`; empty for what a program printed.
    pub language: String,
    pub text: String,
}

/// The blocks of every page, in the order of the book.
pub fn pages() -> Vec<(String, Vec<Block>)> {
    let folder = crate::root().join("docs/src");
    let summary = fs::read_to_string(folder.join("SUMMARY.md")).unwrap();
    let links = summary.split("](").skip(1).map(|link| link.split(')').next().unwrap().to_string());
    links.map(|page| (page.clone(), blocks(&page, &fs::read_to_string(folder.join(&page)).unwrap()))).collect()
}

fn blocks(page: &str, text: &str) -> Vec<Block> {
    let (mut blocks, mut open): (Vec<Block>, bool) = (Vec::new(), false);
    for (at, line) in text.lines().enumerate() {
        if let Some(language) = line.strip_prefix("```") {
            open = !open;
            if open {
                let place = format!("docs/src/{page}:{}", at + 1);
                blocks.push(Block { place, language: language.to_string(), text: String::new() });
            }
        } else if open {
            let block = blocks.last_mut().unwrap();
            block.text += &format!("{line}\n");
        }
    }
    assert!(!open, "{page}: a block that does not end");
    blocks
}

#[test]
fn blocks_are_commands_files_or_rust() {
    for (_, blocks) in pages() {
        for block in blocks {
            assert!(["sh", "toml", "rust", "text"].contains(&block.language.as_str()), "{}", block.place);
        }
    }
}

#[test]
fn every_page_is_in_the_summary() {
    let listed: Vec<String> = pages().into_iter().map(|(page, _)| page).collect();
    for entry in fs::read_dir(crate::root().join("docs/src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "SUMMARY.md" || !name.ends_with(".md") || listed.contains(&name), "{name}");
    }
}
