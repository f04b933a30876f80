//! Every command of the book is run, on small made-up data, trainings cut short; every TOML block is trained on.

use std::fs;
use std::path::Path;
use std::process::Command;

use toml::{Table, Value};

use crate::blocks::{Block, pages};

/// Commands that are run elsewhere: the tests themselves, and what is no program of ours.
const ELSEWHERE: [&str; 1] = ["cargo test --workspace"];

/// What makes a training short.
const SHORT: [&str; 2] = ["train.steps=3", "train.log_every=1"];

/// A folder like that of a user: configurations, data of their own, runs.
struct Desk {
    place: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { place: tempfile::tempdir().unwrap() };
        copy(&crate::root().join("configs"), &desk.place.path().join("configs"));
        copy(&crate::root().join("datasets"), &desk.place.path().join("datasets"));
        let my = desk.place.path().join("my");
        fs::create_dir(&my).unwrap();
        for (name, sentences) in [("train", 400), ("valid", 40), ("test", 40)] {
            fs::write(my.join(format!("{name}.txt")), sentences_of(sentences)).unwrap();
            fs::write(my.join(format!("points-{name}.txt")), points_of(sentences / 2)).unwrap();
        }
        copy(&my, &desk.place.path().join("data/my"));
        fs::copy(crate::root().join("configs/quickstart.toml"), my.join("quickstart.toml")).unwrap();
        desk
    }

    /// Runs `rfs` with the arguments of a shell line.
    fn rfs(&self, words: &[String], place: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rfs"));
        command.current_dir(self.place.path()).env("RFS_DATA", self.place.path().join("data")).args(words);
        if matches!(words[0].as_str(), "train" | "sweep") {
            command.args(SHORT.iter().flat_map(|set| ["--set", set]));
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{place}: rfs {}\n{said}", words.join(" "));
    }

    /// Keeps a block as the file that the commands of its page name, and trains on it if it is an experiment.
    fn file(&self, block: &Block) {
        let table: Table = toml::from_str(&block.text).unwrap_or_else(|error| panic!("{}: {error}", block.place));
        let name = match table.get("task").and_then(Value::as_str) {
            Some("xmc") => "my/points.toml",
            Some(_) => "my/text.toml",
            None => "my/sweep.toml",
        };
        fs::write(self.place.path().join(name), &block.text).unwrap();
        if table.contains_key("task") {
            let run = format!("runs/{}", block.place.replace(['/', ':'], "-"));
            self.rfs(&["train", name, "--run", &run].map(String::from), &block.place);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Sentences over 90 words, the later ones rarer.
fn sentences_of(count: usize) -> String {
    let word = |at: usize| format!("w{}", at * at % 97 % 90);
    let line = |line: usize| (0..9).map(|place| word(line * 9 + place)).collect::<Vec<_>>().join(" ");
    (0..count).map(|number| line(number) + "\n").collect()
}

/// Points of 60 features and 50 labels.
fn points_of(count: usize) -> String {
    let point = |at: usize| format!("{},{} {}:1.0 {}:2.0\n", at % 25, 25 + at % 25, at % 30, 30 + at % 30);
    format!("{count} 60 50\n") + &(0..count).map(point).collect::<String>()
}

/// The words of a shell line, quotes taken off.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in line.split(" #").next().unwrap().chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            letter => word.push(letter),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// The arguments of `rfs` in a line, however it is called.
fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.strip_prefix("cargo run --release -- ").or_else(|| line.strip_prefix("rfs "))?;
    Some(words(line))
}

#[test]
fn every_command_and_file_of_the_book_works() {
    for (_, blocks) in pages() {
        let desk = Desk::new();
        for block in blocks {
            match block.language.as_str() {
                "toml" => desk.file(&block),
                "sh" => block.text.lines().filter(|line| !line.is_empty()).for_each(|line| run(&desk, line, &block)),
                // Doctests of `rf-softmax`, and what is printed.
                _ => {}
            }
        }
    }
}

/// Runs a line of a block.
fn run(desk: &Desk, line: &str, block: &Block) {
    if ELSEWHERE.contains(&line) {
        return;
    }
    if let Some(script) = line.strip_prefix("scripts/") {
        let script = crate::root().join("scripts").join(script);
        let checked = Command::new("bash").arg("-n").arg(&script).status().unwrap();
        assert!(checked.success(), "{}: {line}", block.place);
        return;
    }
    let words = arguments(line).unwrap_or_else(|| panic!("{}: nothing runs {line:?}", block.place));
    desk.rfs(&words, &block.place);
}
