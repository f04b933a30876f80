use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::element::{CHUNK, Element};
use super::{FORMAT, NOTES, Notes};
use crate::{Error, History};

/// A stored checkpoint; each tensor is read when it is asked for, so only that one is in memory twice at no time.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    file: File,
    /// Offset of the first tensor in the file.
    start: u64,
    metadata: Metadata,
    notes: Notes,
}

impl Checkpoint {
    /// Opens the checkpoint at `path` and reads its header.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`] when there is no such file, [`Error::WrongLength`] when it was cut short,
    /// [`Error::DamagedHeader`], [`Error::WrongFormat`], [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => Error::NoCheckpoint { path: path.to_owned() },
            _ => Error::Io { path: path.to_owned(), source },
        })?;
        let found = file.metadata().map_err(Error::at(path))?.len();
        let header = read_header(&file, found, path)?;
        let damaged = |why: String| Error::DamagedHeader { path: path.to_owned(), why };
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| damaged(error.to_string()))?;
        let start = 8 + header.len() as u64;
        let wanted = start + metadata.data_len() as u64;
        if found != wanted {
            return Err(Error::WrongLength { path: path.to_owned(), wanted, found });
        }
        let notes = read_notes(&metadata, path)?;
        Ok(Self { path: path.to_owned(), file, start, metadata, notes })
    }

    /// The state that was stored with the tensors.
    ///
    /// # Errors
    /// [`Error::BadJson`] when it does not have the form of `T`.
    pub fn state<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_value(self.notes.state.clone())
            .map_err(|source| Error::BadJson { path: self.path.clone(), source })
    }

    /// Steps done, by the field `step` of the state; `None` where the state has none.
    pub fn step(&self) -> Option<u64> {
        self.notes.state.get("step")?.as_u64()
    }

    /// Place in the data, by the field `place` of the state (`text` in checkpoints of earlier versions); `None` where
    /// the step says it all.
    ///
    /// # Errors
    /// [`Error::BadJson`] when it does not have the form of `T`.
    pub fn place<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        Ok(self.state::<Placed<T>>()?.place)
    }

    /// Validations so far, by the field `history` of the state; none where the state has no such field.
    pub fn history(&self) -> History {
        let history = self.notes.state.get("history");
        history.and_then(|history| serde_json::from_value(history.clone()).ok()).unwrap_or_default()
    }

    /// Whether its step has the best validation so far.
    pub fn is_best(&self) -> bool {
        let history = self.history();
        history.best().is_some_and(|best| Some(best.step) == self.step())
    }

    /// Names of the tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.notes.crc32.keys().map(String::as_str)
    }

    /// Shape of a tensor; `None` when there is none of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        Some(&self.metadata.info(name)?.shape)
    }

    /// A tensor of 32-bit floats.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::WrongType`], [`Error::WrongShape`] unless it has exactly `shape`,
    /// [`Error::DamagedTensor`], [`Error::Io`]; the same holds for its siblings.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        self.tensor(name, Some(shape))
    }

    /// A tensor of 64-bit floats.
    pub fn f64(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>, Error> {
        self.tensor(name, Some(shape))
    }

    /// A tensor of 32-bit whole numbers.
    pub fn u32(&self, name: &str, shape: &[usize]) -> Result<Vec<u32>, Error> {
        self.tensor(name, Some(shape))
    }

    /// A tensor of 64-bit whole numbers.
    pub fn u64(&self, name: &str, shape: &[usize]) -> Result<Vec<u64>, Error> {
        self.tensor(name, Some(shape))
    }

    /// Bytes whose meaning the caller knows, of any number.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.tensor(name, None)
    }

    fn tensor<T: Element>(&self, name: &str, shape: Option<&[usize]>) -> Result<Vec<T>, Error> {
        let info = self.checked_info::<T>(name, shape)?;
        let mut input = &self.file;
        input.seek(SeekFrom::Start(self.start + info.data_offsets.0 as u64)).map_err(Error::at(&self.path))?;
        let bytes = info.data_offsets.1 - info.data_offsets.0;
        let (values, crc32) = read_values(input, bytes).map_err(Error::at(&self.path))?;
        if self.notes.crc32.get(name) == Some(&crc32) {
            Ok(values)
        } else {
            Err(Error::DamagedTensor { path: self.path.clone(), tensor: name.to_owned() })
        }
    }

    fn checked_info<T: Element>(&self, name: &str, shape: Option<&[usize]>) -> Result<&TensorInfo, Error> {
        let (path, tensor) = (self.path.clone(), name.to_owned());
        let Some(info) = self.metadata.info(name) else {
            return Err(Error::MissingTensor { path, tensor });
        };
        if info.dtype != T::DTYPE {
            return Err(Error::WrongType { path, tensor, wanted: T::DTYPE.to_string(), found: info.dtype.to_string() });
        }
        match shape {
            Some(shape) if info.shape != shape => {
                Err(Error::WrongShape { path, tensor, wanted: shape.to_vec(), found: info.shape.clone() })
            }
            _ => Ok(info),
        }
    }
}

/// The part of a state that is the task's.
#[derive(Deserialize)]
struct Placed<T> {
    #[serde(alias = "text")]
    place: Option<T>,
}

/// The JSON header of a file of `found` bytes.
fn read_header(mut file: &File, found: u64, path: &Path) -> Result<Vec<u8>, Error> {
    let short = |wanted| Error::WrongLength { path: path.to_owned(), wanted, found };
    if found < 8 {
        return Err(short(8));
    }
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(Error::at(path))?;
    let length = u64::from_le_bytes(length);
    // Before it is read: a damaged length must not ask for more memory than the file has bytes.
    if length > found - 8 {
        return Err(short(length.saturating_add(8)));
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).map_err(Error::at(path))?;
    Ok(header)
}

/// The entry that this crate adds to the metadata, its checksum verified.
fn read_notes(metadata: &Metadata, path: &Path) -> Result<Notes, Error> {
    let damaged = |why: &str| Error::DamagedHeader { path: path.to_owned(), why: why.to_owned() };
    let entry = metadata.metadata().as_ref().and_then(|entries| entries.get(NOTES));
    let entry = entry.ok_or_else(|| damaged("this is a safetensors file, but not a checkpoint of a run"))?;
    let (format, rest) = entry.split_once(' ').ok_or_else(|| damaged("there is no format number"))?;
    let found = format.parse().map_err(|_| damaged("there is no format number"))?;
    if found != FORMAT {
        return Err(Error::WrongFormat { path: path.to_owned(), wanted: FORMAT, found });
    }
    let (crc32, json) = rest.split_once(' ').ok_or_else(|| damaged("there is no checksum"))?;
    if crc32 != format!("{:08x}", crc32fast::hash(json.as_bytes())) {
        return Err(damaged("its checksum does not agree"));
    }
    serde_json::from_str(json).map_err(|error| damaged(&error.to_string()))
}

/// Numbers from the next `bytes` bytes, and the CRC-32 of these.
fn read_values<T: Element>(mut input: impl Read, bytes: usize) -> io::Result<(Vec<T>, u32)> {
    let mut values = Vec::with_capacity(bytes / T::SIZE);
    let mut buffer = vec![0; CHUNK.min(bytes)];
    let mut hasher = crc32fast::Hasher::new();
    let mut left = bytes;
    while left > 0 {
        let part = &mut buffer[..CHUNK.min(left)];
        input.read_exact(part)?;
        hasher.update(part);
        values.extend(part.chunks_exact(T::SIZE).map(T::get));
        left -= part.len();
    }
    Ok((values, hasher.finalize()))
}
