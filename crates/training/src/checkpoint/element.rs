use std::borrow::Cow;
use std::io;

use safetensors::Dtype;

/// Bytes that are converted at a time, a multiple of every element's size.
pub(super) const CHUNK: usize = 1 << 20;

/// A number that a checkpoint can hold, stored with its lowest byte first.
pub(super) trait Element: Copy {
    /// Its name in the file.
    const DTYPE: Dtype;
    /// Its bytes.
    const SIZE: usize;
    /// Writes its bytes to `to`, which has exactly `SIZE` of them.
    fn put(self, to: &mut [u8]);
    /// Reads it from exactly `SIZE` bytes.
    fn get(from: &[u8]) -> Self;
}

macro_rules! element {
    ($($number:ty, $dtype:ident;)*) => {$(
        impl Element for $number {
            const DTYPE: Dtype = Dtype::$dtype;
            const SIZE: usize = size_of::<$number>();
            fn put(self, to: &mut [u8]) {
                to.copy_from_slice(&self.to_le_bytes());
            }
            fn get(from: &[u8]) -> Self {
                let mut bytes = [0; size_of::<$number>()];
                bytes.copy_from_slice(from);
                Self::from_le_bytes(bytes)
            }
        }
    )*};
}

element! {
    u8, U8;
    u32, U32;
    u64, U64;
    f32, F32;
    f64, F64;
}

/// Numbers of any of the types, borrowed where they live somewhere: a table is not copied to be stored.
pub(super) enum Values<'a> {
    F32(Cow<'a, [f32]>),
    F64(Cow<'a, [f64]>),
    U32(Cow<'a, [u32]>),
    U64(Cow<'a, [u64]>),
    U8(Cow<'a, [u8]>),
}

impl Values<'_> {
    pub(super) fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => f32::DTYPE,
            Self::F64(_) => f64::DTYPE,
            Self::U32(_) => u32::DTYPE,
            Self::U64(_) => u64::DTYPE,
            Self::U8(_) => u8::DTYPE,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::U8(values) => values.len(),
        }
    }

    /// Hands the bytes of the numbers to `each`, some at a time.
    pub(super) fn in_chunks(&self, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::F32(values) => in_chunks(values, each),
            Self::F64(values) => in_chunks(values, each),
            Self::U32(values) => in_chunks(values, each),
            Self::U64(values) => in_chunks(values, each),
            Self::U8(values) => values.chunks(CHUNK).try_for_each(each),
        }
    }
}

fn in_chunks<T: Element>(values: &[T], each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK.min(values.len() * T::SIZE)];
    for part in values.chunks(CHUNK / T::SIZE) {
        let bytes = &mut buffer[..part.len() * T::SIZE];
        bytes.chunks_exact_mut(T::SIZE).zip(part).for_each(|(to, value)| value.put(to));
        each(bytes)?;
    }
    Ok(())
}
