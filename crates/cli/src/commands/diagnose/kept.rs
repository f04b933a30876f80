//! What stays with a run of its diagnoses, for its reports.

use rf_training::{RunFolder, replace_file};
use serde_json::Value;

/// What two diagnoses must have in common for their rows to stand in one table.
const SUBJECT: [&str; 9] = ["task", "split", "step", "n", "d", "queries", "gradient_queries", "m", "seed"];

/// Stores an outcome with the run, beside the samplers that an earlier one measured on the same subject. The outcome is told in any
/// case, so a folder that cannot be written to is no error.
pub fn keep(outcome: Value, folder: &RunFolder) {
    let path = folder.diagnosis();
    let earlier = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let all = joined(outcome, earlier);
    if let Err(error) = replace_file(&path, |file| file.write_all(all.to_string().as_bytes())) {
        eprintln!("not kept with the run: {:#}", anyhow::Error::from(error));
    }
}

/// An outcome with the rows of an earlier one for samplers that it has none of.
fn joined(mut outcome: Value, earlier: Option<Value>) -> Value {
    let Some(mut earlier) = earlier.filter(|earlier| SUBJECT.iter().all(|key| earlier[*key] == outcome[*key])) else {
        return outcome;
    };
    if let (Some(rows), Some(old)) = (outcome["rows"].as_array_mut(), earlier["rows"].as_array_mut()) {
        old.retain(|old| rows.iter().all(|row| row["sampler"] != old["sampler"]));
        rows.append(old);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outcome(step: u64, rows: &[(&str, f64)]) -> Value {
        let rows: Vec<_> = rows.iter().map(|(sampler, kl)| json!({ "sampler": sampler, "kl": kl })).collect();
        json!({ "step": step, "rows": rows })
    }

    #[test]
    fn samplers_of_an_earlier_diagnosis_stay_unless_they_were_measured_anew() {
        let (new, old) = (outcome(5, &[("rff", 2.0)]), outcome(5, &[("exp", 0.0), ("rff", 9.0)]));
        assert_eq!(joined(new, Some(old)), outcome(5, &[("rff", 2.0), ("exp", 0.0)]));
    }

    #[test]
    fn figures_of_another_model_do_not_stay() {
        let new = outcome(5, &[("rff", 2.0)]);
        for earlier in [None, Some(outcome(4, &[("exp", 0.0)])), Some(json!([1])), Some(json!({ "step": 5 }))] {
            assert_eq!(joined(new.clone(), earlier), new);
        }
    }
}
