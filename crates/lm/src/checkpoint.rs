//! The whole state of a run, to a file and back.

use std::path::Path;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;
use rf_data::ShardPlace;
use rf_softmax::{NamedTensor, StateData, StateSource};
use rf_training::{Checkpoint, CheckpointWriter, History};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::lstm::LstmState;
use crate::model::LanguageModel;

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Steps done.
    pub step: u64,
    /// Seconds of training, interruptions apart.
    pub seconds: f64,
    /// Tokens trained on.
    pub tokens: u64,
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
    /// Place in a training text that is read as a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<ShardPlace>,
}

/// What a run carries from step to step beside the model.
#[derive(Debug)]
pub(crate) struct Carried {
    pub position: Position,
    pub states: Vec<LstmState>,
    /// Sum of the losses since the last report.
    pub loss_sum: f64,
}

fn bad(part: &'static str) -> impl Fn(RecordError) -> Error {
    move |error| Error::BadRecord { part, reason: error.to_string() }
}

/// Writes model, optimizer and everything carried, aside and renamed.
pub(crate) fn save(
    path: &Path,
    model: &LanguageModel,
    optimizer: &ModuleOptimizer,
    carried: &Carried,
) -> Result<(), Error> {
    let encoder = model.encoder.clone().into_record().into_bytes().map_err(bad("encoder"))?;
    let optimizer = optimizer.into_bytes().map_err(bad("optimizer"))?;
    let loss_sum = [carried.loss_sum];
    let mut tables = model.head.state();
    tables.extend(model.words.iter().flat_map(|words| words.state("words")));
    let names: Vec<String> = (0..carried.states.len()).map(|layer| format!("lstm.{layer}")).collect();
    let mut writer = CheckpointWriter::new()
        .bytes("encoder", &encoder)
        .bytes("optimizer", &optimizer)
        .f64("loss_sum", &[1], &loss_sum)
        .state(&carried.position);
    for table in &tables {
        writer = add(writer, table);
    }
    for (name, state) in names.iter().zip(&carried.states) {
        writer = writer.f32(&format!("{name}.h"), &[state.h.len()], &state.h);
        writer = writer.f32(&format!("{name}.c"), &[state.c.len()], &state.c);
    }
    Ok(writer.write(path)?)
}

fn add<'a>(writer: CheckpointWriter<'a>, tensor: &'a NamedTensor<'_>) -> CheckpointWriter<'a> {
    match &tensor.data {
        StateData::F32(values) => writer.f32(&tensor.name, &tensor.shape, values),
        StateData::U64(values) => writer.u64(&tensor.name, &tensor.shape, values),
    }
}

/// Loads the weights and tables of a checkpoint.
pub(crate) fn load_model(model: &mut LanguageModel, path: &Path) -> Result<Checkpoint, Error> {
    let checkpoint = Checkpoint::open(path)?;
    let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(checkpoint.bytes("encoder")?));
    let encoder = model.encoder.clone().try_load_record(record.map_err(bad("encoder"))?);
    model.encoder = encoder.map_err(bad("encoder"))?;
    let mut source = Source { checkpoint: &checkpoint, failed: None };
    let mut restored = model.head.restore(&mut source);
    if let (Ok(()), Some(words)) = (&restored, &mut model.words) {
        restored = words.restore("words", &mut source);
    }
    match source.failed {
        Some(error) => Err(error.into()),
        None => restored.map_err(Error::from).map(|()| checkpoint),
    }
}

/// Loads a whole run.
pub(crate) fn load(
    path: &Path,
    model: &mut LanguageModel,
    optimizer: ModuleOptimizer,
    carried: &mut Carried,
) -> Result<ModuleOptimizer, Error> {
    let checkpoint = load_model(model, path)?;
    carried.position = checkpoint.state()?;
    carried.loss_sum = checkpoint.f64("loss_sum", &[1])?[0];
    for (layer, state) in carried.states.iter_mut().enumerate() {
        state.h = checkpoint.f32(&format!("lstm.{layer}.h"), &[state.h.len()])?;
        state.c = checkpoint.f32(&format!("lstm.{layer}.c"), &[state.c.len()])?;
    }
    let bytes = Bytes::from_bytes_vec(checkpoint.bytes("optimizer")?);
    optimizer.from_bytes(bytes).map_err(bad("optimizer"))
}

/// A checkpoint as the tables read it. What is wrong with the file itself is kept, since it names the file.
struct Source<'a> {
    checkpoint: &'a Checkpoint,
    failed: Option<rf_training::Error>,
}

impl Source<'_> {
    fn take<T>(
        &mut self,
        name: &str,
        len: usize,
        read: impl Fn(&Checkpoint, &[usize]) -> Result<Vec<T>, rf_training::Error>,
    ) -> Result<Vec<T>, rf_softmax::Error> {
        let missing = || rf_softmax::Error::MissingState(name.into());
        let shape = self.checkpoint.shape(name).ok_or_else(missing)?.to_vec();
        let values = read(self.checkpoint, &shape).map_err(|error| {
            self.failed = Some(error);
            missing()
        })?;
        let found = values.len();
        let wrong = rf_softmax::Error::WrongState { name: name.into(), wanted: len, found };
        if found == len { Ok(values) } else { Err(wrong) }
    }
}

impl StateSource for Source<'_> {
    fn f32(&mut self, name: &str, len: usize) -> Result<Vec<f32>, rf_softmax::Error> {
        self.take(name, len, |checkpoint, shape| checkpoint.f32(name, shape))
    }

    fn u64(&mut self, name: &str, len: usize) -> Result<Vec<u64>, rf_softmax::Error> {
        self.take(name, len, |checkpoint, shape| checkpoint.u64(name, shape))
    }
}
