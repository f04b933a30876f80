//! The state of a model, to a checkpoint and back.

use rf_training::{Checkpoint, CheckpointWriter};

use crate::Error;
use crate::lstm::LstmState;
use crate::model::LanguageModel;

impl LanguageModel {
    /// Adds weights and tables.
    pub fn save<'a>(&'a self, writer: CheckpointWriter<'a>) -> Result<CheckpointWriter<'a>, Error> {
        let words = self.words.iter().flat_map(|words| words.state("words"));
        Ok(writer.module("encoder", &self.encoder)?.tensors(self.head.state()).tensors(words))
    }

    /// Takes up the weights and tables of a checkpoint.
    pub fn load(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        self.encoder = checkpoint.module("encoder", self.encoder.clone())?;
        checkpoint.restore(|source| {
            self.head.restore(source)?;
            self.words.as_mut().map_or(Ok(()), |words| words.restore("words", source))
        })?;
        Ok(())
    }
}

/// Adds the states that truncated back-propagation carries from window to window.
pub(crate) fn save_states<'a>(writer: CheckpointWriter<'a>, states: &[LstmState]) -> CheckpointWriter<'a> {
    states.iter().enumerate().fold(writer, |writer, (layer, state)| {
        let (h, c) = state.to_host();
        writer.f32(&format!("lstm.{layer}.h"), &[h.len()], h).f32(&format!("lstm.{layer}.c"), &[c.len()], c)
    })
}

/// Takes up these states.
pub(crate) fn load_states(checkpoint: &Checkpoint, states: &mut [LstmState]) -> Result<(), Error> {
    for (layer, state) in states.iter_mut().enumerate() {
        let half = |name: &str| checkpoint.f32(&format!("lstm.{layer}.{name}"), &[state.len()]);
        *state = LstmState::new(half("h")?, half("c")?);
    }
    Ok(())
}
