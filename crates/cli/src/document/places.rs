use std::collections::BTreeMap;

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::Override;
use crate::exit::bad_input;

/// Where a key came from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// Line of the file, counted from 1.
    Line(usize),
    /// Text of the override.
    Override(String),
}

/// Where every key of a document came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    file: String,
    at: BTreeMap<Vec<String>, Place>,
}

impl Places {
    /// An error about `field`, a dotted key: it says where the field, or else the table around it, was set.
    pub fn bad(&self, field: &str, message: &str) -> anyhow::Error {
        let keys: Vec<_> = field.split('.').filter(|key| !key.is_empty()).map(str::to_owned).collect();
        let place = (1..=keys.len()).rev().find_map(|length| self.at.get(&keys[..length]));
        let field = if keys.is_empty() { String::new() } else { format!(", {field}") };
        bad_input(match place {
            Some(Place::Override(text)) => format!("{text}: {message}"),
            Some(Place::Line(line)) => format!("{}, line {line}{field}: {message}", self.file),
            None => format!("{}{field}: {message}", self.file),
        })
    }

    /// The keys of the file with the text `text` and the content `table`.
    pub(super) fn of_file(file: String, text: &str, table: &DeTable) -> Self {
        let mut places = Self { file, at: BTreeMap::new() };
        places.insert_lines(text, &[], table);
        places
    }

    /// All keys, those of tables too.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Vec<String>> {
        self.at.keys()
    }

    /// Whether the key was set by an override.
    pub(super) fn is_override(&self, path: &[String]) -> bool {
        matches!(self.at.get(path), Some(Place::Override(_)))
    }

    /// Forgets a key and what is in it.
    pub(super) fn remove(&mut self, path: &[String]) {
        self.at.retain(|key, _| !key.starts_with(path));
    }

    /// Notes `change` as the place of the key `path` and of all keys of the tables in its `value`.
    pub(super) fn insert_override(&mut self, path: &[String], value: &Value, change: &Override) {
        self.at.insert(path.to_vec(), Place::Override(change.to_string()));
        for (key, value) in value.as_table().into_iter().flatten() {
            self.insert_override(&[path, std::slice::from_ref(key)].concat(), value, change);
        }
    }

    /// Notes `change` as the place of a table, unless the table is there already.
    pub(super) fn insert_table(&mut self, path: &[String], change: &Override) {
        self.at.entry(path.to_vec()).or_insert_with(|| Place::Override(change.to_string()));
    }

    /// Notes the lines of all keys of `table`, whose own key is `path`.
    fn insert_lines(&mut self, text: &str, path: &[String], table: &DeTable) {
        for (key, value) in table {
            let path = [path, &[key.get_ref().to_string()]].concat();
            self.at.insert(path.clone(), Place::Line(line_of(text, key.span().start)));
            if let DeValue::Table(table) = value.get_ref() {
                self.insert_lines(text, &path, table);
            }
        }
    }
}

/// Line of the byte `position`, counted from 1.
pub fn line_of(text: &str, position: usize) -> usize {
    1 + text.bytes().take(position).filter(|&byte| byte == b'\n').count()
}
