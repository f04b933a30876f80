//! Named numbers on their way into a checkpoint and back.

use std::borrow::Cow;

use crate::Error;

/// A named array of a saved state.
#[derive(Clone, Debug)]
pub struct NamedTensor<'a> {
    /// Name, unique in its state.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// The numbers, row-major.
    pub data: StateData<'a>,
}

/// Numbers of a saved state.
#[derive(Clone, Debug)]
pub enum StateData<'a> {
    /// Rows, moments, sums.
    F32(Cow<'a, [f32]>),
    /// Counters.
    U64(Vec<u64>),
}

impl<'a> NamedTensor<'a> {
    /// An array of floats.
    pub fn f32(name: String, shape: Vec<usize>, data: &'a [f32]) -> Self {
        Self { name, shape, data: StateData::F32(Cow::Borrowed(data)) }
    }

    /// An array of floats made for the purpose.
    pub fn owned(name: String, shape: Vec<usize>, data: Vec<f32>) -> Self {
        Self { name, shape, data: StateData::F32(Cow::Owned(data)) }
    }

    /// A list of counters.
    pub fn u64(name: String, data: Vec<u64>) -> Self {
        Self { name, shape: vec![data.len()], data: StateData::U64(data) }
    }
}

/// Where a saved state is read from.
pub trait StateSource {
    /// The named floats.
    ///
    /// # Errors
    /// [`Error::MissingState`], or [`Error::WrongState`] if there are not exactly `len`.
    fn f32(&mut self, name: &str, len: usize) -> Result<Vec<f32>, Error>;

    /// The named counters.
    ///
    /// # Errors
    /// [`Error::MissingState`], or [`Error::WrongState`] if there are not exactly `len`.
    fn u64(&mut self, name: &str, len: usize) -> Result<Vec<u64>, Error>;
}
