//! Memory for tables that are large and read at random.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use bytemuck::Pod;
use memmap2::MmapMut;
use rayon::prelude::*;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Bytes of the smallest page that a system hands out.
const PAGE: usize = 4096;

/// Bytes of a large page, below which a table gains nothing from one.
const LARGE_PAGE: usize = 1 << 21;

/// A table of numbers in memory of its own, zero at first.
///
/// It begins at a page, so that rows of whole cache lines never straddle them, and on Linux it asks for large pages: a
/// random row of a table of gigabytes then costs no walk through page tables. All of it is present from the start: a
/// page that is first touched in a training step costs that step microseconds.
pub struct Buffer<T = f32> {
    memory: MmapMut,
    len: usize,
    kind: PhantomData<T>,
}

impl<T: Pod> Buffer<T> {
    /// `len` zeros.
    ///
    /// # Panics
    /// If the system has no memory left.
    pub fn zeros(len: usize) -> Self {
        let bytes = (len * size_of::<T>()).max(1);
        let mut memory =
            MmapMut::map_anon(bytes).unwrap_or_else(|error| panic!("no memory for {bytes} bytes: {error}"));
        #[cfg(target_os = "linux")]
        if bytes >= LARGE_PAGE {
            // Only advice: a system without large pages refuses it and loses speed alone.
            memory.advise(memmap2::Advice::HugePage).ok();
        }
        let touch = |part: &mut [u8]| part.iter_mut().step_by(PAGE).for_each(|first| *first = 0);
        memory.par_chunks_mut(LARGE_PAGE).for_each(touch);
        Self { memory, len, kind: PhantomData }
    }
}

impl<T: Pod> Default for Buffer<T> {
    fn default() -> Self {
        Self::zeros(0)
    }
}

impl<T: Pod> From<&[T]> for Buffer<T> {
    fn from(values: &[T]) -> Self {
        let mut buffer = Self::zeros(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

impl<T: Pod> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.memory[..self.len * size_of::<T>()])
    }
}

impl<T: Pod> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.memory[..self.len * size_of::<T>()])
    }
}

impl<T: Pod> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self::from(&**self)
    }
}

impl<T> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer of {} numbers", self.len)
    }
}

/// Asks the processor for the cache lines of a slice ahead of their use.
///
/// Nodes and rows lie at random places, so the processor does not foresee them itself; the walk knows the next one.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
pub(crate) fn prefetch<T>(slice: &[T]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    for line in (0..size_of_val(slice)).step_by(LINE) {
        // SAFETY: the address lies inside the slice, and a prefetch changes nothing that a program can see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(slice.as_ptr().cast::<i8>().add(line)) }
    }
}

/// Other processors are left to foresee by themselves.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn prefetch<T>(_slice: &[T]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_zero_at_first_and_its_clone_is_its_own() {
        for len in [0, 1, 1_000_000] {
            let mut buffer = Buffer::<f32>::zeros(len);
            assert!(buffer.len() == len && buffer.iter().all(|&x| x == 0.0));
            assert!(buffer.as_ptr().addr().is_multiple_of(LINE));
            let clone = buffer.clone();
            buffer.fill(1.0);
            assert!(clone.iter().all(|&x| x == 0.0));
        }
    }
}
