//! `rfs train` of a language model.

use std::path::Path;

use burn::tensor::Device;
use rf_data::{DataConfig, Vocabulary};
use rf_training::RunFolder;

use super::outcome_of;
use crate::commands::told;
use crate::exit::{OrBadInput, bad_input};
use crate::interrupt::stop_on_signals;
use crate::meter::Meter;
use crate::plan::Plan;
use crate::task::Lm;

/// Trains as `plan` says and tells the outcome.
pub fn run(plan: &Plan<Lm>, folder: &RunFolder, device: &Device, resume: bool) -> anyhow::Result<()> {
    let root = rf_data::data_root();
    let vocabulary = vocabulary(plan, folder, &root)?;
    let corpus = plan.data.load_with(vocabulary, &root, plan.seed).or_bad_input()?;
    eprint!("{}", told::lm::before(plan, &corpus, folder)?);
    let stop = stop_on_signals()?;
    let outcome = rf_lm::train(&plan.settings(), &corpus, folder, device, resume, &stop);
    let summary = outcome_of(outcome, folder)?;
    print!("{}", told::lm::after(&summary, corpus.known.as_ref(), folder));
    Ok(())
}

/// The words of the training text, counted, or those saved with a run that goes on in a stream.
///
/// A stream may hold gigabytes, and counting it takes minutes; whether it is still the same text is seen from the sizes in
/// the checkpoint. Any other text is counted again and compared.
fn vocabulary(plan: &Plan<Lm>, folder: &RunFolder, root: &Path) -> anyhow::Result<Vocabulary> {
    let stream = match &plan.data {
        DataConfig::Text(text) if text.is_stream(root) => Some(&text.train),
        _ => None,
    };
    if stream.is_some() && folder.checkpoint().exists() {
        return Vocabulary::load(&folder.vocabulary()).or_bad_input();
    }
    let counted = match stream {
        Some(train) => {
            let meter = Meter::of_files("counting words", &train.below(root).files().or_bad_input()?);
            let counted = plan.data.count(root, plan.seed, &|path| meter.add_file(path));
            meter.finish();
            counted
        }
        None => plan.data.count(root, plan.seed, &|_| ()),
    };
    let vocabulary = counted.or_bad_input()?;
    keep_vocabulary(&vocabulary, folder)?;
    Ok(vocabulary)
}

/// Saves the vocabulary of a new run; in one that goes on, class ids must mean what they meant.
fn keep_vocabulary(vocabulary: &Vocabulary, folder: &RunFolder) -> anyhow::Result<()> {
    let path = folder.vocabulary();
    if !folder.holds_a_run() {
        return Ok(vocabulary.save(&path)?);
    }
    if Vocabulary::load(&path).or_bad_input()? == *vocabulary {
        return Ok(());
    }
    let message = "these are not the words of the training text, which must have changed since the run began";
    Err(bad_input(format!("{}: {message}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rf_data::SyntheticConfig;

    use super::*;

    fn words(topics: usize) -> Vocabulary {
        let (train_tokens, valid_tokens, test_tokens) = (200, 20, 20);
        let sizes = SyntheticConfig { topics, train_tokens, valid_tokens, test_tokens, ..Default::default() };
        DataConfig::Synthetic(sizes).count(&rf_data::data_root(), 1, &|_| ()).unwrap()
    }

    #[test]
    fn a_run_goes_on_with_its_own_words_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(place.path(), false).unwrap();
        keep_vocabulary(&words(3), &folder).unwrap();
        keep_vocabulary(&words(4), &folder).unwrap();
        fs::write(folder.journal(), "").unwrap();
        keep_vocabulary(&words(4), &folder).unwrap();
        let error = keep_vocabulary(&words(3), &folder).unwrap_err().to_string();
        assert!(error.contains("vocabulary.txt: these are not the words of the training text"), "{error}");
        fs::remove_file(folder.vocabulary()).unwrap();
        assert!(keep_vocabulary(&words(3), &folder).is_err());
    }
}
