use serde::{Deserialize, Serialize};

use crate::History;

/// Where a run stands: the state beside the tensors of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Steps done.
    pub step: u64,
    /// Seconds of training, interruptions apart.
    pub seconds: f64,
    /// Examples trained on; earlier versions knew tokens alone.
    #[serde(alias = "tokens")]
    pub examples: u64,
    /// Steps since the last report.
    pub reported_steps: u64,
    /// Distinct class rows of all steps, added up.
    #[serde(default)]
    pub rows: u64,
    /// The same of the steps since the last report.
    #[serde(default)]
    pub reported_rows: u64,
    /// Validations so far.
    #[serde(default)]
    pub history: History,
    /// The task's place in its data; earlier versions knew texts alone.
    #[serde(default, alias = "text", skip_serializing_if = "Option::is_none")]
    pub place: Option<serde_json::Value>,
}

impl Position {
    /// Counts a step, but for its rows.
    pub fn count(&mut self, examples: usize) {
        self.step += 1;
        self.examples += examples as u64;
        self.reported_steps += 1;
    }

    /// Counts the distinct class rows of a step, once they are known.
    pub fn count_rows(&mut self, rows: usize) {
        self.rows += rows as u64;
        self.reported_rows += rows as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_an_earlier_version_is_read() {
        let text = r#"{"step":3,"seconds":1.5,"tokens":60,"reported_steps":3,"text":{"file":2}}"#;
        let position: Position = serde_json::from_str(text).unwrap();
        assert_eq!((position.step, position.examples, position.rows), (3, 60, 0));
        assert_eq!(position.place, Some(serde_json::json!({"file": 2})));
        let text = serde_json::to_string(&position).unwrap();
        assert!(text.contains(r#""examples":60"#) && text.contains(r#""place":{"file":2}"#), "{text}");
        assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), position);
    }
}
