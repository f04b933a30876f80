//! A saved state as a file in the safetensors format.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::{Error, NamedTensor, StateData, StateSource};

/// Bytes that are converted at a time.
const CHUNK: usize = 1 << 20;

/// Bytes before the header: its length.
const PREFIX: u64 = 8;

/// A file of named arrays, opened for reading. An array is read when it is asked for.
///
/// [`SampledSoftmaxLoss::save_file`](crate::SampledSoftmaxLoss::save_file) is the short way for a head. This type keeps
/// further tables in the same file.
///
/// # Example
/// ```
/// use rf_softmax::{RowInit, RowOptimizer, RowTable, StateFile};
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("words.safetensors");
/// let words = RowTable::new(50, 4, RowInit::Normal(0.1), RowOptimizer::Adagrad, 1, 0);
/// StateFile::save(&path, &words.state("words"))?;
///
/// let mut loaded = RowTable::new(50, 4, RowInit::Zeros, RowOptimizer::Adagrad, 1, 0);
/// loaded.restore("words", &mut StateFile::open(&path)?)?;
/// assert_eq!(loaded.data(), words.data());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    file: File,
    /// Offset of the first array.
    start: u64,
    metadata: Metadata,
}

impl StateFile {
    /// Writes arrays to `path`: aside first, then in one move in place of an older file.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be written; an older one then stands.
    ///
    /// # Panics
    /// If two arrays have one name.
    pub fn save(path: impl AsRef<Path>, tensors: &[NamedTensor<'_>]) -> Result<(), Error> {
        let path = path.as_ref();
        let mut aside = path.as_os_str().to_owned();
        aside.push(".tmp");
        let outcome = write(Path::new(&aside), tensors).and_then(|()| fs::rename(&aside, path));
        if outcome.is_err() {
            // The first error says what is wrong; that this file may stay behind adds nothing.
            let _ = fs::remove_file(&aside);
        }
        outcome.map_err(|error| at(path, error))
    }

    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, is no safetensors file, or was cut short.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let open = || {
            let file = File::open(path)?;
            let (start, metadata) = read_header(&file)?;
            Ok(Self { path: path.to_owned(), file, start, metadata })
        };
        open().map_err(|error: io::Error| at(path, error))
    }

    fn read<const SIZE: usize, T>(
        &self,
        (name, dtype, wanted): (&str, Dtype, usize),
        number: fn([u8; SIZE]) -> T,
    ) -> Result<Vec<T>, Error> {
        let info = self.metadata.info(name).ok_or_else(|| Error::MissingState(name.into()))?;
        if info.dtype != dtype {
            let reason = format!("tensor `{name}` holds {} where {dtype} is needed", info.dtype);
            return Err(Error::File { path: self.path.display().to_string(), reason });
        }
        let bytes = info.data_offsets.1 - info.data_offsets.0;
        if bytes != wanted * SIZE {
            return Err(Error::WrongState { name: name.into(), wanted, found: bytes / SIZE });
        }
        read_numbers(&self.file, self.start + info.data_offsets.0 as u64, bytes, number)
            .map_err(|error| at(&self.path, error))
    }
}

impl StateSource for StateFile {
    fn f32(&mut self, name: &str, len: usize) -> Result<Vec<f32>, Error> {
        self.read((name, Dtype::F32, len), f32::from_le_bytes)
    }

    fn u64(&mut self, name: &str, len: usize) -> Result<Vec<u64>, Error> {
        self.read((name, Dtype::U64, len), u64::from_le_bytes)
    }
}

fn at(path: &Path, error: io::Error) -> Error {
    Error::File { path: path.display().to_string(), reason: error.to_string() }
}

fn write(path: &Path, tensors: &[NamedTensor<'_>]) -> io::Result<()> {
    // Wide numbers first, so that every array is aligned.
    let mut tensors: Vec<&NamedTensor<'_>> = tensors.iter().collect();
    tensors.sort_by_key(|tensor| matches!(tensor.data, StateData::F32(_)));
    let header = header(&tensors)?;
    let mut file = BufWriter::with_capacity(CHUNK, File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for tensor in tensors {
        match &tensor.data {
            StateData::F32(values) => values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))?,
            StateData::U64(values) => values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))?,
        }
    }
    file.into_inner()?.sync_all()
}

fn header(tensors: &[&NamedTensor<'_>]) -> io::Result<Vec<u8>> {
    let mut start = 0;
    let info = |tensor: &&NamedTensor<'_>| {
        let (dtype, bytes) = match &tensor.data {
            StateData::F32(values) => (Dtype::F32, size_of_val(&**values)),
            StateData::U64(values) => (Dtype::U64, size_of_val(values.as_slice())),
        };
        let data_offsets = (start, start + bytes);
        start += bytes;
        (tensor.name.clone(), TensorInfo { dtype, shape: tensor.shape.clone(), data_offsets })
    };
    let metadata = Metadata::new(None, tensors.iter().map(info).collect()).map_err(io::Error::other)?;
    assert_eq!(metadata.tensors().len(), tensors.len(), "two arrays have one name");
    let mut header = serde_json::to_vec(&metadata)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// Offset of the first array, and what the file holds.
fn read_header(mut file: &File) -> io::Result<(u64, Metadata)> {
    let found = file.metadata()?.len();
    let short = |wanted: u64| Err(io::Error::other(format!("{found} bytes long, but a whole file has {wanted}")));
    if found < PREFIX {
        return short(PREFIX);
    }
    let mut length = [0; PREFIX as usize];
    file.read_exact(&mut length)?;
    let start = u64::from_le_bytes(length).saturating_add(PREFIX);
    // Before it is read: a damaged length must not ask for more memory than the file has bytes.
    if start > found {
        return short(start);
    }
    let mut header = Vec::new();
    file.take(start - PREFIX).read_to_end(&mut header)?;
    let metadata: Metadata = serde_json::from_slice(&header)?;
    let wanted = start.saturating_add(metadata.data_len() as u64);
    if found == wanted { Ok((start, metadata)) } else { short(wanted) }
}

fn read_numbers<const SIZE: usize, T>(
    mut file: &File,
    start: u64,
    bytes: usize,
    number: fn([u8; SIZE]) -> T,
) -> io::Result<Vec<T>> {
    file.seek(SeekFrom::Start(start))?;
    let mut values = Vec::with_capacity(bytes / SIZE);
    let mut buffer = vec![0; CHUNK.min(bytes)];
    while values.len() * SIZE < bytes {
        let left = bytes - values.len() * SIZE;
        let part = &mut buffer[..CHUNK.min(left)];
        file.read_exact(part)?;
        values.extend(part.as_chunks().0.iter().map(|&bytes| number(bytes)));
    }
    Ok(values)
}
