//! What models are made of, to a checkpoint and back: burn modules, their optimizer, heads and tables.

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::store::{ModuleRecord, RecordError};
use burn::tensor::Bytes;
use rf_softmax::{NamedTensor, StateData, StateSource};

use super::{Checkpoint, CheckpointWriter};
use crate::Error;

impl<'a> CheckpointWriter<'a> {
    /// Adds the weights of a burn module, as one tensor of bytes.
    ///
    /// The ids of its parameters are stored too, and burn draws new ones in every process: give them ids of your own where
    /// two runs of one seed are to write equal files.
    ///
    /// # Errors
    /// [`Error::BadRecord`] if burn cannot write it.
    pub fn module(self, name: &str, module: &impl Module) -> Result<Self, Error> {
        let bytes = module.clone().into_record().into_bytes().map_err(bad(name))?;
        Ok(self.bytes(name, vec(bytes)))
    }

    /// Adds the state of the optimizer of a burn module, as one tensor of bytes.
    ///
    /// # Errors
    /// [`Error::BadRecord`] if burn cannot write it.
    pub fn optimizer(self, name: &str, optimizer: &ModuleOptimizer) -> Result<Self, Error> {
        Ok(self.bytes(name, vec(optimizer.into_bytes().map_err(bad(name))?)))
    }

    /// Adds the state of a head or a table.
    pub fn tensors(self, tensors: impl IntoIterator<Item = NamedTensor<'a>>) -> Self {
        tensors.into_iter().fold(self, |writer, NamedTensor { name, shape, data }| match data {
            StateData::F32(values) => writer.f32(&name, &shape, values),
            StateData::U64(values) => writer.u64(&name, &shape, values),
        })
    }
}

impl Checkpoint {
    /// The module with the weights that [`CheckpointWriter::module`] stored.
    ///
    /// # Errors
    /// [`Error::BadRecord`] if they are those of another module; those of [`bytes`](Self::bytes).
    pub fn module<M: Module>(&self, name: &str, module: M) -> Result<M, Error> {
        let record = ModuleRecord::from_bytes(Bytes::from_bytes_vec(self.bytes(name)?)).map_err(bad(name))?;
        module.try_load_record(record).map_err(bad(name))
    }

    /// The optimizer with the state that [`CheckpointWriter::optimizer`] stored.
    ///
    /// # Errors
    /// [`Error::BadRecord`] if it cannot be read; those of [`bytes`](Self::bytes).
    pub fn optimizer(&self, name: &str, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer, Error> {
        optimizer.from_bytes(Bytes::from_bytes_vec(self.bytes(name)?)).map_err(bad(name))
    }

    /// Restores heads and tables: `checkpoint.restore(|source| head.restore(source))`.
    ///
    /// # Errors
    /// [`Error::Softmax`] if what is stored does not fit; where the file itself is damaged, the error that names it.
    pub fn restore(
        &self,
        restore: impl FnOnce(&mut dyn StateSource) -> Result<(), rf_softmax::Error>,
    ) -> Result<(), Error> {
        let mut source = Source { checkpoint: self, failed: None };
        let restored = restore(&mut source);
        source.failed.map_or(restored.map_err(Error::from), Err)
    }
}

/// A checkpoint as the tables read it. What is wrong with the file itself is kept, since it names the file.
struct Source<'a> {
    checkpoint: &'a Checkpoint,
    failed: Option<Error>,
}

impl Source<'_> {
    fn take<T>(
        &mut self,
        name: &str,
        len: usize,
        read: impl Fn(&Checkpoint, &[usize]) -> Result<Vec<T>, Error>,
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

fn bad(part: &str) -> impl Fn(RecordError) -> Error {
    move |error| Error::BadRecord { part: part.to_owned(), reason: error.to_string() }
}

/// The bytes, without a copy where burn allows.
fn vec(bytes: Bytes) -> Vec<u8> {
    bytes.try_into_vec().unwrap_or_else(|bytes| bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use burn::nn::{Linear, LinearConfig};
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Tensor};
    use rf_softmax::{RowInit, RowOptimizer, RowTable, to_vec};

    use super::*;
    use crate::OptimizerConfig;

    fn linear(inputs: usize) -> Linear {
        LinearConfig::new(inputs, 2).init(&Device::flex().autodiff())
    }

    fn table(rows: usize) -> RowTable {
        RowTable::new(rows, 3, RowInit::Uniform(0.1), RowOptimizer::LazyAdam, 1, 0)
    }

    /// A step along a gradient of this size, in all directions alike.
    fn step(linear: Linear, optimizer: &mut ModuleOptimizer, size: f32) -> Linear {
        let x = Tensor::<2>::ones([1, 4], &Device::flex().autodiff()) * size;
        let gradients = GradientsParams::from_grads(linear.forward(x).sum().backward(), &linear);
        optimizer.step(0.1, linear, gradients)
    }

    fn weights(linear: &Linear) -> Vec<f32> {
        to_vec(linear.weight.val().inner())
    }

    #[test]
    fn a_module_and_its_optimizer_go_on_from_a_checkpoint_as_if_nothing_had_happened() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("model.safetensors");
        let config = OptimizerConfig::default();
        let mut optimizer = config.dense_optimizer();
        let mut linear = self::linear(4);
        linear = step(linear, &mut optimizer, 1.0);
        let writer = CheckpointWriter::new().module("encoder", &linear).unwrap();
        writer.optimizer("optimizer", &optimizer).unwrap().write(&path).unwrap();

        let checkpoint = Checkpoint::open(&path).unwrap();
        let loaded = checkpoint.module("encoder", self::linear(4)).unwrap();
        let mut again = checkpoint.optimizer("optimizer", config.dense_optimizer()).unwrap();
        assert_eq!(weights(&loaded), weights(&linear));
        let fresh = step(linear.clone(), &mut config.dense_optimizer(), 0.1);
        let wanted = weights(&step(linear, &mut optimizer, 0.1));
        assert_ne!(weights(&fresh), wanted);
        assert_eq!(weights(&step(loaded, &mut again, 0.1)), wanted);

        let error = checkpoint.module("encoder", self::linear(5)).unwrap_err();
        assert!(error.to_string().starts_with("the checkpoint's encoder does not fit this model: "), "{error}");
        assert!(matches!(checkpoint.module("decoder", self::linear(4)), Err(Error::MissingTensor { .. })));
    }

    #[test]
    fn a_table_comes_back_and_one_that_does_not_fit_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("model.safetensors");
        let saved = table(5);
        CheckpointWriter::new().tensors(saved.state("words")).write(&path).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        let mut loaded = RowTable::new(5, 3, RowInit::Zeros, RowOptimizer::LazyAdam, 1, 0);
        checkpoint.restore(|source| loaded.restore("words", source)).unwrap();
        assert_eq!(loaded.data(), saved.data());
        let other = checkpoint.restore(|source| table(6).restore("words", source));
        assert!(matches!(other, Err(Error::Softmax(rf_softmax::Error::WrongState { .. }))));
        let other = checkpoint.restore(|source| table(5).restore("classes", source));
        assert!(matches!(other, Err(Error::Softmax(rf_softmax::Error::MissingState(_)))));
    }

    #[test]
    fn a_damaged_table_is_refused_with_the_name_of_the_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("model.safetensors");
        CheckpointWriter::new().tensors(table(5).state("words")).write(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        let error = checkpoint.restore(|source| table(5).restore("words", source)).unwrap_err();
        assert!(matches!(error, Error::DamagedTensor { .. }), "{error}");
    }
}
