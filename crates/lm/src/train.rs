//! A language model as a task of the loop that all trainers share.

use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use rf_data::{Corpus, Windows};
use rf_training::{
    Better, Checkpoint, CheckpointWriter, Evaluated, RunFolder, RunSettings, Score, Split, StepOutcome, Stop, Summary,
    Task, TaskFacts, check_known,
};

use crate::checkpoint::{load_states, save_states};
use crate::dropout::Dropout;
use crate::evaluate::score;
use crate::lstm::LstmState;
use crate::model::LanguageModel;
use crate::{Error, Settings, Sizes};

/// Trains a language model in a run folder, from the start or from its checkpoint, and returns the summary it wrote.
///
/// The outcome is a function of settings and corpus alone: not of the number of threads, nor of interruptions. A run
/// that is resumed with another learning rate, schedule or length goes on under these from the step of its checkpoint.
///
/// # Errors
/// [`Error::BadSetting`], [`Error::Data`] for settings that do not fit the data; [`Error::Training`] with an error of
/// [`rf_training::run`] for all else. Whatever the error, the last checkpoint is whole.
pub fn train(
    settings: &Settings,
    corpus: &Corpus,
    folder: &RunFolder,
    device: &Device,
    resume: bool,
    stop: &Stop,
) -> Result<Summary, Error> {
    let Settings { loss, optimizer, train, .. } = settings;
    let task = LanguageTask::new(settings, corpus, device)?;
    rf_training::run(task, RunSettings { loss, optimizer, train }, folder, resume, stop)
}

struct LanguageTask<'a> {
    settings: &'a Settings,
    corpus: &'a Corpus,
    windows: Windows<'a>,
    model: LanguageModel,
    optimizer: ModuleOptimizer,
    /// What truncated back-propagation carries from window to window.
    states: Vec<LstmState>,
}

impl<'a> LanguageTask<'a> {
    fn new(settings: &'a Settings, corpus: &'a Corpus, device: &Device) -> Result<Self, Error> {
        let Sizes { batch, bptt, .. } = Sizes::of(&settings.train);
        let windows = corpus.windows(batch, bptt)?;
        let model = LanguageModel::new(settings, corpus.vocabulary.counts(), &device.clone().autodiff())?;
        let (optimizer, states) = (settings.optimizer.dense_optimizer(), model.start(batch));
        Ok(Self { settings, corpus, windows, model, optimizer, states })
    }
}

impl Task for LanguageTask<'_> {
    type Error = Error;

    fn facts(&self) -> TaskFacts {
        TaskFacts {
            name: "lm",
            unit: "tokens",
            metric: "perplexity",
            better: Better::Lower,
            steps_per_epoch: self.windows.per_epoch(),
            parameters: self.model.parameters(),
            floor: self.corpus.known.map(|known| known.floor),
        }
    }

    fn step(&mut self, step: u64, rate: f64) -> Result<StepOutcome, Error> {
        let Settings { seed, model, optimizer, train, .. } = self.settings;
        if self.windows.start_anew() {
            self.states = self.model.start(Sizes::of(train).batch);
        }
        let window = self.windows.next_window()?;
        let dropout = Dropout::training(model, *seed, step);

        let pass = self.model.loss(&window, &mut self.states, dropout)?;
        let mut gradients = self.model.gradients(&pass, pass.output.loss.backward());
        let norm = self.model.clip(&mut gradients, optimizer.max_norm());
        let figures = pass.output.figures(norm);
        check_known(&figures, step)?;
        self.model.step_rows(rate, &mut gradients)?;
        self.model.encoder = self.optimizer.step(rate, self.model.encoder.clone(), gradients.dense);
        Ok(StepOutcome { figures, examples: window.scored })
    }

    fn evaluate(&self, split: Split, stop: &Stop) -> Result<Option<Evaluated>, Error> {
        let Self { settings, corpus, .. } = self;
        let tokens = match split {
            Split::Valid => settings.train.validation(&corpus.valid),
            Split::Test => &corpus.test,
        };
        let evaluation = score(&self.model, tokens, corpus.vocabulary.eos(), settings, stop)?;
        Ok(evaluation.map(|evaluation| {
            let perplexity = evaluation.perplexity;
            Evaluated { score: Score::Value(perplexity), text: format!("perplexity {perplexity:.2}") }
        }))
    }

    fn place(&self) -> Option<serde_json::Value> {
        let place = self.windows.place()?;
        Some(serde_json::to_value(place).expect("a place is plain numbers"))
    }

    fn save<'a>(&'a self, writer: CheckpointWriter<'a>) -> Result<CheckpointWriter<'a>, Error> {
        let writer = save_states(self.model.save(writer)?, &self.states);
        Ok(writer.optimizer("optimizer", &self.optimizer)?)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        self.model.load(checkpoint)?;
        load_states(checkpoint, &mut self.states)?;
        self.optimizer = checkpoint.optimizer("optimizer", self.settings.optimizer.dense_optimizer())?;
        let place = checkpoint.place()?;
        Ok(self.windows.go_to(checkpoint.step().unwrap_or_default(), place.as_ref())?)
    }

    fn load_model(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        self.model.load(checkpoint)
    }
}
