//! A TOML file with the overrides of the command line laid over it, read into a strict structure.
//!
//! Every key keeps the place it came from, so an error names file, line and field, or the override. serde forgets
//! where it is inside variants chosen by `kind`; so the culprit of an error is found by trial: it is a key that the
//! error speaks of, and without which the error is another one.

mod change;
mod places;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::de::DeTable;
use toml::{Table, Value};

pub use change::Override;
pub use places::Places;
pub use places::line_of;

use crate::exit::bad_input;
use crate::task::Task;

/// Keys of which a setting of one takes away the other: table, one, other.
const RIVALS: [(&str, &str, &str); 2] = [("train", "epochs", "steps"), ("train", "steps", "epochs")];

/// A TOML file under overrides.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file alone.
    file: Table,
    /// The file under the overrides.
    table: Table,
    places: Places,
    /// Overrides that take a key away.
    removals: Vec<Override>,
}

impl Document {
    /// Parses the `text` of the file at `path`.
    pub fn parse(path: &Path, text: &str) -> anyhow::Result<Self> {
        let syntax = |error: toml::de::Error| {
            let line = line_of(text, error.span().map_or(0, |span| span.start));
            bad_input(format!("{}, line {line}: {}", path.display(), error.message()))
        };
        let table = DeTable::parse(text).map_err(syntax)?;
        let places = Places::of_file(path.display().to_string(), text, table.get_ref());
        let file: Table = toml::from_str(text).map_err(syntax)?;
        Ok(Self { table: file.clone(), file, places, removals: Vec::new() })
    }

    /// Lays `change` over the document.
    pub fn set(&mut self, change: &Override) -> anyhow::Result<()> {
        if change.is_removal() {
            remove(&mut self.table, &change.keys);
            self.places.remove(&change.keys);
            self.removals.push(change.clone());
            return Ok(());
        }
        let bad = |message: &str| bad_input(format!("{change}: {message}"));
        let value = change.parse().map_err(|message| bad(&message))?;
        let (last, tables) = change.keys.split_last().ok_or_else(|| bad("there is no key"))?;
        let mut table = &mut self.table;
        for (depth, key) in tables.iter().enumerate() {
            self.places.insert_table(&tables[..=depth], change);
            let inner = table.entry(key).or_insert_with(|| Table::new().into());
            table = inner.as_table_mut().ok_or_else(|| bad(&format!("`{key}` is not a table")))?;
        }
        // The same kind again changes nothing, and must not pass for a change of kind in `is_of_former_kind`.
        if table.get(last) == Some(&value) {
            return Ok(());
        }
        self.places.remove(&change.keys);
        self.places.insert_override(&change.keys, &value, change);
        table.insert(last.clone(), value);
        for (_, _, rival) in RIVALS.iter().filter(|(section, one, _)| change.keys == [*section, *one]) {
            table.remove(*rival);
            self.places.remove(&[tables, &[(*rival).to_owned()]].concat());
        }
        Ok(())
    }

    /// All settings.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// What is learnt; the other keys depend on it.
    pub fn task(&self) -> anyhow::Result<Task> {
        #[derive(Deserialize)]
        struct Head {
            task: Task,
        }
        let (Head { task }, _) = self.clone().read()?;
        Ok(task)
    }

    /// Reads the document as a `T`.
    ///
    /// Where an override changes a `kind`, the file's keys of the former kind that the new one does not have are
    /// left out; any other unknown key is an error.
    pub fn read<T: DeserializeOwned>(mut self) -> anyhow::Result<(T, Places)> {
        // A key that the file's own kind does not have either is a slip, whatever the overrides say.
        if let Err(error) = self.file.clone().try_into::<T>()
            && let Some(path) = unknown_field(error.message()).and(self.culprit::<T>(&self.file, error.message()))
        {
            return Err(self.places.bad(&path.join("."), error.message()));
        }
        if let Some((change, message)) = self.removals.iter().find_map(|change| self.misses::<T>(change)) {
            return Err(bad_input(format!("{change}: {message}")));
        }
        loop {
            let error = match self.table.clone().try_into::<T>() {
                Ok(value) => return Ok((value, self.places)),
                Err(error) => error,
            };
            match self.culprit::<T>(&self.table, error.message()) {
                Some(path) if self.is_of_former_kind(&path, error.message()) => {
                    remove(&mut self.table, &path);
                    self.places.remove(&path);
                }
                Some(path) => return Err(self.places.bad(&path.join("."), error.message())),
                None => return Err(self.places.bad(&table_of(&error), error.message())),
            }
        }
    }

    /// The message about a key that `change` takes away, if there is no such key at all.
    fn misses<T: DeserializeOwned>(&self, change: &Override) -> Option<(Override, String)> {
        let (last, tables) = change.keys.split_last()?;
        let mut table = self.table.clone();
        let inner = tables.iter().try_fold(&mut table, |table, key| {
            table.entry(key).or_insert_with(|| Table::new().into()).as_table_mut()
        })?;
        // The key is known if what is wrong with this value is its type.
        inner.insert(last.clone(), Value::Array(Vec::new()));
        let message = table.try_into::<T>().err()?.message().to_owned();
        let unknown = unknown_field(&message)?;
        change.keys.iter().any(|key| key == unknown).then(|| (change.clone(), message))
    }

    /// The key that reading `table` fails at: one that `message` speaks of, and without which it is another message.
    fn culprit<T: DeserializeOwned>(&self, table: &Table, message: &str) -> Option<Vec<String>> {
        let without = |path: &[String]| {
            let mut table = table.clone();
            remove(&mut table, path);
            table.try_into::<T>().map_or_else(|error| error.message().to_owned(), |_| String::new())
        };
        let suspects = self.places.keys().filter(|path| speaks_of(message, path, table) && without(path) != message);
        let suspects: Vec<_> = suspects.collect();
        // A required key is missed when it is taken away, whether it was at fault or not.
        let is_missed = |path: &[String]| without(path).starts_with("missing field");
        suspects.iter().find(|path| !is_missed(path)).or(suspects.first()).map(|path| path.to_vec())
    }

    /// Whether `message` is about a key of the file in a table whose kind an override has changed.
    fn is_of_former_kind(&self, path: &[String], message: &str) -> bool {
        let Some((_, table)) = path.split_last() else { return false };
        let kind = [table, &["kind".to_owned()]].concat();
        unknown_field(message).is_some() && self.places.is_override(&kind) && !self.places.is_override(path)
    }
}

/// Whether serde's `message` names the key `path` as unknown, or quotes its value.
fn speaks_of(message: &str, path: &[String], table: &Table) -> bool {
    if let Some(name) = unknown_field(message) {
        return path.last().is_some_and(|key| key == name);
    }
    let Some((last, tables)) = path.split_last() else { return false };
    let table = tables.iter().try_fold(table, |table, key| table.get(key)?.as_table());
    match table.and_then(|table| table.get(last)) {
        _ if message.starts_with("missing field") => false,
        Some(Value::String(text)) => {
            [format!("`{text}`"), format!("{text:?}")].iter().any(|text| message.contains(text))
        }
        Some(Value::Array(_)) => message.contains("sequence"),
        Some(Value::Table(_)) => message.contains("map"),
        Some(value) => message.contains(&format!("`{value}`")),
        None => false,
    }
}

/// Removes the key `path`, if it is there.
fn remove(table: &mut Table, path: &[String]) {
    match path {
        [] => {}
        [key] => drop(table.remove(key)),
        [key, rest @ ..] => {
            if let Some(Value::Table(inner)) = table.get_mut(key) {
                remove(inner, rest);
            }
        }
    }
}

/// Name of the key that serde does not know.
fn unknown_field(message: &str) -> Option<&str> {
    message.strip_prefix("unknown field `")?.split('`').next()
}

/// The table that an error without a culprit is about, as a dotted key; empty when it is the whole document.
fn table_of(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let table = text.trim_end().strip_suffix('`').and_then(|text| text.rsplit_once("\nin `"));
    table.map_or(String::new(), |(_, table)| table.to_owned())
}
