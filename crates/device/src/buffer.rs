//! Numbers on a device.

use std::fmt;
use std::marker::PhantomData;

use cubecl::client::Client;
use cubecl::prelude::*;
use cubecl::server::Handle;

/// Units in a cube.
const UNITS: u32 = 64;

/// Most cubes in a row of the grid; WebGPU allows 65,535.
const ROW: usize = 1 << 15;

/// A row of numbers on a device. A clone names the same numbers.
#[derive(Clone)]
pub struct Buffer<T> {
    client: Client,
    handle: Handle,
    len: usize,
    of: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer of {}", self.len)
    }
}

impl<T: CubeElement> Buffer<T> {
    /// Room for `len` numbers, of no particular value.
    pub fn empty(client: &Client, len: usize) -> Self {
        // A binding must not be smaller than what a kernel reads at once.
        let handle = client.empty(if len == 0 { 16 } else { len * size_of::<T>() });
        Self::of(client, handle, len)
    }

    /// A copy of numbers of the host.
    pub fn upload(client: &Client, values: &[T]) -> Self {
        if values.is_empty() {
            return Self::empty(client, 0);
        }
        Self::of(client, client.create_from_slice(T::as_bytes(values)), values.len())
    }

    /// Numbers that are there already, row-major and without gaps.
    ///
    /// # Panics
    /// If the handle is of fewer numbers.
    pub fn of(client: &Client, handle: Handle, len: usize) -> Self {
        assert!(
            handle.size() as usize >= len * size_of::<T>(),
            "a buffer of {} bytes for {len} numbers",
            handle.size()
        );
        Self { client: client.clone(), handle, len, of: PhantomData }
    }

    /// Waits for the device and copies the numbers to the host.
    pub fn download(&self) -> Vec<T> {
        let bytes = self.client.read_one_unchecked(self.handle.clone());
        T::from_bytes(&bytes)[..self.len].to_vec()
    }

    /// Where the numbers lie.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The device.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How many numbers.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// As an argument of a kernel.
    #[allow(unsafe_code)]
    pub(crate) fn arg(&self) -> BufferArg {
        // SAFETY: every way to make a buffer sees to it that the handle has room for `len` numbers, and for one if `len` is zero.
        unsafe { BufferArg::from_raw_parts(self.handle.clone(), self.len.max(1)) }
    }
}

/// A grid of at least `units` units.
pub(crate) fn grid(units: usize) -> CubeCount {
    let cubes = units.div_ceil(UNITS as usize).max(1);
    let row = cubes.min(ROW);
    CubeCount::Static(row as u32, cubes.div_ceil(row) as u32, 1)
}

/// The cube of every kernel.
pub(crate) fn cube_dim() -> CubeDim {
    CubeDim::new_1d(UNITS)
}
