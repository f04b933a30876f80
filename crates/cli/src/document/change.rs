use std::fmt::{Display, Formatter};
use std::str::FromStr;

use serde::Deserialize;
use toml::Value;
use toml::de::ValueDeserializer;

/// One `--set key=value`, or a setting of another file. The value `none` takes the key away, so that its default holds;
/// `"none"` is the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    pub(super) keys: Vec<String>,
    value: String,
    /// Where it stands, as `a.toml, line 3`, if it was not typed.
    place: Option<String>,
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("there must be a `=` between key and value")?;
        let keys: Vec<_> = key.split('.').map(|part| part.trim().to_owned()).collect();
        if keys.iter().any(String::is_empty) {
            return Err("the key must be like `train.epochs`".into());
        }
        Ok(Self { keys, value: value.trim().to_owned(), place: None })
    }
}

impl Override {
    /// The setting of `key` to `value` at a `place` like `a.toml, line 3`; the text `"none"` takes the key away.
    ///
    /// # Errors
    /// A message about a key that is none.
    pub fn at(place: &str, key: &str, value: &Value) -> Result<Self, String> {
        let value = value.as_str().filter(|text| *text == "none").map_or_else(|| value.to_string(), str::to_owned);
        Ok(Self { place: Some(place.to_owned()), ..format!("{key}={value}").parse()? })
    }

    /// The dotted key.
    pub fn key(&self) -> String {
        self.keys.join(".")
    }

    /// What follows `--set` to say the same.
    pub fn typed(&self) -> String {
        format!("{}={}", self.key(), self.value)
    }

    /// Whether it sets the dotted key `table` or one below it.
    pub fn is_within(&self, table: &str) -> bool {
        table.split('.').eq(self.keys.iter().map(String::as_str).take(table.split('.').count()))
    }

    /// Whether it takes its key away: `--set key=none`.
    pub(super) fn is_removal(&self) -> bool {
        self.value == "none"
    }

    /// The value as TOML; what does not begin like a text, a list or a table may also be a bare word.
    pub(super) fn parse(&self) -> Result<Value, String> {
        let text = &self.value;
        match ValueDeserializer::parse(text).and_then(Value::deserialize) {
            Err(error) if text.starts_with(['"', '\'', '[', '{']) => Err(error.message().to_owned()),
            Err(_) => Ok(Value::String(text.clone())),
            Ok(value) => Ok(value),
        }
    }
}

impl Display for Override {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Some(place) => write!(formatter, "{place}, {}", self.key()),
            None => write!(formatter, "--set {}", self.typed()),
        }
    }
}
