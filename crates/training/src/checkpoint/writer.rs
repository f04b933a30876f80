use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};
use serde::Serialize;

use super::element::Values;
use super::{FORMAT, NOTES, Notes};
use crate::{Error, replace_file};

/// Collects the tensors of a run, mostly as views, and stores them as one checkpoint.
///
/// Beside the tensors' own memory it takes one buffer of 1 MiB, whatever their size. The same state makes the same file,
/// in whatever order it is added.
///
/// # Example
/// ```
/// use rf_training::{Checkpoint, CheckpointWriter};
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("model.safetensors");
/// let rows = [0.5_f32, 1.0, -2.0, 0.25, 0.0, 8.0];
/// CheckpointWriter::new().f32("classes", &[3, 2], &rows).state(&("step", 40)).write(&path)?;
///
/// let checkpoint = Checkpoint::open(&path)?;
/// assert_eq!(checkpoint.f32("classes", &[3, 2])?, rows);
/// assert_eq!(checkpoint.state::<(String, u64)>()?, ("step".into(), 40));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct CheckpointWriter<'a> {
    tensors: BTreeMap<String, (Vec<usize>, Values<'a>)>,
    state: serde_json::Value,
}

impl<'a> CheckpointWriter<'a> {
    /// A checkpoint without tensors and with the state `null`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor of 32-bit floats.
    ///
    /// # Panics
    /// When `values` does not fill `shape`, or `name` is taken; the same holds for its siblings.
    pub fn f32(self, name: &str, shape: &[usize], values: impl Into<Cow<'a, [f32]>>) -> Self {
        self.tensor(name, shape, Values::F32(values.into()))
    }

    /// Adds a tensor of 64-bit floats.
    pub fn f64(self, name: &str, shape: &[usize], values: impl Into<Cow<'a, [f64]>>) -> Self {
        self.tensor(name, shape, Values::F64(values.into()))
    }

    /// Adds a tensor of 32-bit whole numbers.
    pub fn u32(self, name: &str, shape: &[usize], values: impl Into<Cow<'a, [u32]>>) -> Self {
        self.tensor(name, shape, Values::U32(values.into()))
    }

    /// Adds a tensor of 64-bit whole numbers.
    pub fn u64(self, name: &str, shape: &[usize], values: impl Into<Cow<'a, [u64]>>) -> Self {
        self.tensor(name, shape, Values::U64(values.into()))
    }

    /// Adds bytes whose meaning the caller knows.
    pub fn bytes(self, name: &str, values: impl Into<Cow<'a, [u8]>>) -> Self {
        let values = values.into();
        self.tensor(name, &[values.len()], Values::U8(values))
    }

    /// Sets the small state that goes with the tensors: step, epoch, place in the data.
    ///
    /// # Panics
    /// When `state` cannot be JSON, for instance a map whose keys are no strings.
    pub fn state(mut self, state: &impl Serialize) -> Self {
        self.state = serde_json::to_value(state).expect("the state of a checkpoint must fit JSON");
        self
    }

    /// Stores the checkpoint at `path`: aside first, then in one move in place of the previous one.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk is full or the folder is not there; the previous checkpoint then stands.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let header = self.header().map_err(Error::at(path))?;
        replace_file(path, |mut file| {
            file.write_all(&(header.len() as u64).to_le_bytes())?;
            file.write_all(&header)?;
            self.tensors
                .values()
                .try_for_each(|(_, values)| values.in_chunks(&mut |bytes| Write::write_all(&mut file, bytes)))
        })
    }

    fn tensor(mut self, name: &str, shape: &[usize], values: Values<'a>) -> Self {
        let wanted: usize = shape.iter().product();
        assert_eq!(values.len(), wanted, "tensor `{name}` of shape {shape:?} must have {wanted} values");
        let before = self.tensors.insert(name.to_owned(), (shape.to_vec(), values));
        assert!(before.is_none(), "tensor `{name}` is given twice");
        self
    }

    /// The safetensors header, its length a multiple of 8 so that the tensors are aligned.
    fn header(&self) -> io::Result<Vec<u8>> {
        let mut infos = Vec::with_capacity(self.tensors.len());
        let mut start = 0;
        for (name, (shape, values)) in &self.tensors {
            let end = start + values.len() * values.dtype().bitsize() / 8;
            infos.push((
                name.clone(),
                TensorInfo { dtype: values.dtype(), shape: shape.clone(), data_offsets: (start, end) },
            ));
            start = end;
        }
        let notes = HashMap::from([(NOTES.to_owned(), self.notes()?)]);
        let metadata = Metadata::new(Some(notes), infos).map_err(io::Error::other)?;
        let mut header = serde_json::to_vec(&metadata)?;
        header.resize(header.len().next_multiple_of(8), b' ');
        Ok(header)
    }

    fn notes(&self) -> io::Result<String> {
        let mut crc32 = BTreeMap::new();
        for (name, (_, values)) in &self.tensors {
            let mut hasher = crc32fast::Hasher::new();
            values.in_chunks(&mut |bytes| {
                hasher.update(bytes);
                Ok(())
            })?;
            crc32.insert(name.clone(), hasher.finalize());
        }
        let json = serde_json::to_string(&Notes { crc32, state: self.state.clone() })?;
        Ok(format!("{FORMAT} {:08x} {json}", crc32fast::hash(json.as_bytes())))
    }
}
