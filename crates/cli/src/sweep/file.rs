//! What was typed: a sweep file, every setting with the line it stands in.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use crate::document::{Override, line_of};
use crate::exit::{OrBadInput, bad_input};

/// A sweep file.
#[derive(Debug)]
pub struct SweepFile {
    /// The experiment file that all cases without one of their own start from.
    pub base: Option<PathBuf>,
    /// One run of each setting for each seed; that of the experiment where there are none.
    pub seeds: Option<Vec<u64>>,
    /// What is set for all runs.
    pub set: Vec<Override>,
    /// What takes several values, in the order of the file.
    pub grid: Vec<Axis>,
    /// Settings that go together.
    pub cases: Vec<Case>,
}

/// A key and its values.
#[derive(Debug)]
pub struct Axis {
    /// The dotted key.
    pub key: String,
    /// Its values, and the changes that set them.
    pub points: Vec<(Value, Override)>,
}

/// Settings that go together under a name.
#[derive(Debug)]
pub struct Case {
    /// Its name, good for a folder.
    pub name: String,
    /// File and line of the name.
    pub place: String,
    /// An experiment file of its own.
    pub base: Option<PathBuf>,
    /// What is set.
    pub set: Vec<Override>,
}

/// The keys of a file, checked by name and type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    base: Option<PathBuf>,
    seeds: Option<Vec<u64>>,
    #[serde(default)]
    #[expect(dead_code, reason = "read with its lines")]
    set: Table,
    #[serde(default)]
    #[expect(dead_code, reason = "read with its lines")]
    grid: Table,
    #[serde(default)]
    case: Vec<TypedCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedCase {
    name: Spanned<String>,
    base: Option<PathBuf>,
    #[serde(default)]
    #[expect(dead_code, reason = "read with its lines")]
    set: Table,
}

impl SweepFile {
    /// Reads the file at `path`; the experiment files it names are taken to be relative to its folder.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string()).or_bad_input()?;
        Self::parse(path, &text)
    }

    /// The same for a file whose `text` is known.
    pub fn parse(path: &Path, text: &str) -> anyhow::Result<Self> {
        let source = Source { path, text };
        let syntax = |error: toml::de::Error| source.bad(error.span().unwrap_or_default(), error.message());
        let typed: Typed = toml::from_str(text).map_err(syntax)?;
        let table = DeTable::parse(text).map_err(syntax)?;
        let table = table.get_ref();
        if let (Some(seeds), Some(place)) = (&typed.seeds, table.get("seeds")) {
            check_seeds(seeds).map_err(|message| source.bad(place.span(), &format!("seeds: {message}")))?;
        }
        let beside = |base: PathBuf| path.parent().map_or_else(|| base.clone(), |folder| folder.join(&base));
        let cases = tables(table.get("case"));
        let cases = typed.case.into_iter().zip(cases).map(|(typed, table)| {
            let TypedCase { name, base, .. } = typed;
            check_name(name.get_ref()).map_err(|message| source.bad(name.span(), message))?;
            let place = source.place(name.span());
            Ok(Case { name: name.into_inner(), place, base: base.map(beside), set: source.set(table)? })
        });
        Ok(Self {
            cases: cases.collect::<anyhow::Result<_>>()?,
            set: source.set(table)?,
            grid: source.grid(table)?,
            base: typed.base.map(beside),
            seeds: typed.seeds,
        })
    }
}

/// Seeds are there, and each once.
fn check_seeds(seeds: &[u64]) -> Result<(), String> {
    let twice = seeds.iter().enumerate().find(|(index, seed)| seeds[..*index].contains(seed));
    match twice {
        Some((_, seed)) => Err(format!("{seed} is there twice")),
        None if seeds.is_empty() => Err("there must be at least one; without `seeds` there is that of the base".into()),
        None => Ok(()),
    }
}

/// A name becomes a folder, and part of a command.
fn check_name(name: &str) -> Result<(), &'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+=".contains(c);
    match name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(is_plain) {
        true => Err("a name has letters, digits, `-`, `_`, `.`, `+` and `=`, and begins with none of `.` and `-`"),
        false => Ok(()),
    }
}

/// The tables of an array of tables.
fn tables<'t, 'i>(array: Option<&'t Spanned<DeValue<'i>>>) -> Vec<&'t DeTable<'i>> {
    let array = array.and_then(|array| array.get_ref().as_array());
    array.into_iter().flatten().filter_map(|table| table.get_ref().as_table()).collect()
}

/// The text that spans are places of.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

/// A dotted key, and what it is set to.
type Leaf<'t, 'i> = (String, &'t Spanned<DeValue<'i>>);

impl Source<'_> {
    /// What the table `set` of `table` sets.
    fn set(&self, table: &DeTable) -> anyhow::Result<Vec<Override>> {
        let leaves = self.leaves(table.get("set"), |value| self.is_inline(value));
        leaves.iter().map(|(key, value)| Ok(self.change(key, value)?.1)).collect()
    }

    /// The lists of the table `grid` of `table`.
    fn grid(&self, table: &DeTable) -> anyhow::Result<Vec<Axis>> {
        let leaves = self.leaves(table.get("grid"), |_| false);
        leaves.into_iter().map(|(key, values)| self.axis(key, values)).collect()
    }

    fn axis(&self, key: String, values: &Spanned<DeValue>) -> anyhow::Result<Axis> {
        let bad = |message: &str| self.bad(values.span(), &format!("{key}: {message}"));
        if key == "seed" {
            return Err(bad("seeds stand in the list `seeds`"));
        }
        let list = values.get_ref().as_array().ok_or_else(|| bad("a grid needs a list of values, as in `[1, 2]`"))?;
        if list.is_empty() {
            return Err(bad("there must be at least one value"));
        }
        let points = list.iter().map(|value| self.change(&key, value)).collect::<anyhow::Result<_>>()?;
        Ok(Axis { key, points })
    }

    /// Everything that `table` sets, in the order of the text. Tables within it are looked into, but for those that
    /// `is_value` says are values.
    fn leaves<'t, 'i>(
        &self,
        table: Option<&'t Spanned<DeValue<'i>>>,
        is_value: impl Fn(&Spanned<DeValue>) -> bool + Copy,
    ) -> Vec<Leaf<'t, 'i>> {
        let mut leaves = Vec::new();
        for (key, value) in table.and_then(|table| table.get_ref().as_table()).into_iter().flatten() {
            let key = key.get_ref();
            if value.get_ref().is_table() && !is_value(value) {
                let inner = self.leaves(Some(value), is_value);
                leaves.extend(inner.into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)));
            } else {
                leaves.push((key.to_string(), value));
            }
        }
        leaves.sort_by_key(|(_, value)| value.span().start);
        leaves
    }

    /// Whether a table is written between braces, as a value is.
    fn is_inline(&self, table: &Spanned<DeValue>) -> bool {
        self.text[table.span()].starts_with('{')
    }

    /// A value, and the change that gives it to `key`.
    fn change(&self, key: &str, value: &Spanned<DeValue>) -> anyhow::Result<(Value, Override)> {
        let bad = |message: &str| self.bad(value.span(), &format!("{key}: {message}"));
        let parsed: Value = self.text[value.span()].parse().map_err(|error: toml::de::Error| bad(error.message()))?;
        let change = Override::at(&self.place(value.span()), key, &parsed).map_err(|message| bad(&message))?;
        Ok((parsed, change))
    }

    fn place(&self, span: Range<usize>) -> String {
        format!("{}, line {}", self.path.display(), line_of(self.text, span.start))
    }

    fn bad(&self, span: Range<usize>, message: &str) -> anyhow::Error {
        bad_input(format!("{}: {message}", self.place(span)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> anyhow::Result<SweepFile> {
        SweepFile::parse(Path::new("sweeps/a.toml"), text)
    }

    fn message(text: &str) -> String {
        file(text).unwrap_err().to_string()
    }

    fn typed(changes: &[Override]) -> Vec<String> {
        changes.iter().map(Override::typed).collect()
    }

    #[test]
    fn every_setting_is_read_in_the_order_of_the_file() {
        let text = "base = '../b.toml'\nseeds = [3, 1]\n[set]\n\"train.steps\" = 7\nloss.tau = 2.5\n\
                    loss.sampler = { kind = 'rff', nu = 2.0 }\n\"optimizer.clip_norm\" = 'none'\n[set.model]\nhidden = 8\n\
                    [grid]\n\"train.batch_size\" = [4,\n 8]\n\"loss.draws\" = [1]\n[[case]]\nname = 'a'\nbase = 'c.toml'\n\
                    set.data.topics = 3\n[[case]]\nname = 'b'\n";
        let file = file(text).unwrap();
        assert_eq!((file.base, file.seeds), (Some("sweeps/../b.toml".into()), Some(vec![3, 1])));
        let wanted = [
            "train.steps=7",
            "loss.tau=2.5",
            "loss.sampler={ kind = \"rff\", nu = 2.0 }",
            "optimizer.clip_norm=none",
            "model.hidden=8",
        ];
        assert_eq!(typed(&file.set), wanted);
        let keys: Vec<_> = file.grid.iter().map(|axis| axis.key.as_str()).collect();
        assert_eq!(keys, ["train.batch_size", "loss.draws"]);
        assert_eq!(file.grid[0].points[1].0, Value::Integer(8));
        assert_eq!(file.grid[0].points[1].1.to_string(), "sweeps/a.toml, line 12, train.batch_size");
        assert_eq!((file.cases[0].name.as_str(), file.cases[1].name.as_str()), ("a", "b"));
        assert_eq!(file.cases[0].base, Some("sweeps/c.toml".into()));
        assert_eq!(typed(&file.cases[0].set), ["data.topics=3"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, wanted) in [
            ("sedds = [1]", "line 1: unknown field `sedds`, expected one of `base`, `seeds`, `set`, `grid`, `case`"),
            ("\nseeds = ['a']", "line 2: invalid type: string \"a\", expected u64"),
            ("seeds = []", "line 1: seeds: there must be at least one; without `seeds` there is that of the base"),
            ("seeds = [1, 2, 1]", "line 1: seeds: 1 is there twice"),
            ("[grid]\n'loss.tau' = 3", "line 2: loss.tau: a grid needs a list of values, as in `[1, 2]`"),
            ("[grid]\nloss.tau = []", "line 2: loss.tau: there must be at least one value"),
            ("[grid]\nseed = [1]", "line 2: seed: seeds stand in the list `seeds`"),
            ("[grid]\n'loss..tau' = [1]", "line 2: loss..tau: the key must be like `train.epochs`"),
            ("[[case]]\nset = {}", "line 1: missing field `name`"),
            ("[[case]]\nname = 'a'\nst = {}", "line 3: unknown field `st`, expected one of `name`, `base`, `set`"),
            ("base = [", "line 1: "),
        ] {
            let message = message(text);
            assert!(message.starts_with(&format!("sweeps/a.toml, {wanted}")), "{message}");
        }
        for name in ["", "a/b", "..", "a b", "-a"] {
            assert!(message(&format!("[[case]]\nname = '{name}'")).starts_with("sweeps/a.toml, line 2: a name has"));
        }
    }
}
