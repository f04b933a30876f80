//! A device for the tests.

use cubecl::client::Client;

/// The first device of the machine, or none, which is said aloud; where `RFS_EXPECT_DEVICE` is set, none is a failure.
pub(crate) fn client() -> Option<Client> {
    let devices = cubecl::Device::enumerate_all();
    assert!(!devices.is_empty() || std::env::var_os("RFS_EXPECT_DEVICE").is_none(), "no device");
    if devices.is_empty() {
        eprintln!("skipped: no device; install mesa-vulkan-drivers");
    }
    devices.first().map(|device| device.client())
}

/// Numbers that look random, in [-1, 1).
pub(crate) fn numbers(count: usize, salt: u32) -> Vec<f32> {
    let hash = |i: u32| i.wrapping_mul(2_654_435_761).wrapping_add(salt).wrapping_mul(2_246_822_519) >> 8;
    (0..count as u32).map(|i| hash(hash(i)) as f32 / (1 << 23) as f32 - 1.0).collect()
}
