//! The device and the threads to compute with.

use std::num::NonZeroUsize;

use anyhow::Context;
use burn::tensor::Device;

use crate::args::DeviceChoice;
use crate::exit::bad_input;

/// The device of `--device`.
pub fn choose(choice: DeviceChoice) -> anyhow::Result<Device> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::flex()),
        DeviceChoice::Ndarray => ndarray(),
        DeviceChoice::Wgpu => wgpu(),
        DeviceChoice::Cuda => cuda(),
    }
}

/// Bytes of stack of a thread that computes, as many as the main thread of a program usually has.
const STACK: usize = 8 << 20;

/// Does the work of a command on the threads of `--threads`, or one for each core.
///
/// The work runs on one of them. A thread of another kind would have to hand every parallel loop over and sleep until it
/// is done: two switches of context, more than the draws of a small batch take.
pub fn on_threads(
    threads: Option<NonZeroUsize>,
    work: impl FnOnce() -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.map_or(0, NonZeroUsize::get)).stack_size(STACK);
    pool.build_global().context("cannot start the threads to compute with")?;
    rayon::scope(|_| work())
}

// burn deprecates ndarray in favour of flex; the feature stays for those who compare with it.
#[cfg(feature = "ndarray")]
#[allow(deprecated)]
fn ndarray() -> anyhow::Result<Device> {
    Ok(Device::ndarray())
}

#[cfg(not(feature = "ndarray"))]
fn ndarray() -> anyhow::Result<Device> {
    Err(not_built("ndarray"))
}

#[cfg(feature = "wgpu")]
fn wgpu() -> anyhow::Result<Device> {
    use burn::tensor::{DeviceKind, DeviceType};
    let drivers =
        "the driver of the card, or software Vulkan (on Debian and Ubuntu: apt-get install mesa-vulkan-drivers)";
    found(DeviceType::Wgpu, "wgpu", drivers)?;
    Ok(Device::wgpu(DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> anyhow::Result<Device> {
    Err(not_built("wgpu"))
}

#[cfg(feature = "cuda")]
fn cuda() -> anyhow::Result<Device> {
    use burn::tensor::DeviceType;
    found(DeviceType::Cuda, "cuda", "the NVIDIA driver and CUDA 12 (on Ubuntu: nvidia-driver and cuda-toolkit)")?;
    Ok(Device::cuda(0))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> anyhow::Result<Device> {
    Err(not_built("cuda"))
}

/// Refuses a machine without such a device. Drivers that are not there may make the search itself panic.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn found(kind: burn::tensor::DeviceType, feature: &str, drivers: &str) -> anyhow::Result<()> {
    let devices = std::panic::catch_unwind(|| Device::enumerate(kind).len()).unwrap_or(0);
    if devices == 0 {
        return Err(bad_input(format!(
            "--device {feature}: this program has the feature \"{feature}\", but finds no device for it; install {drivers}"
        )));
    }
    Ok(())
}

#[cfg(not(all(feature = "ndarray", feature = "wgpu", feature = "cuda")))]
fn not_built(feature: &str) -> anyhow::Error {
    bad_input(format!(
        "this program was built without the feature \"{feature}\": cargo run --release --features {feature} -- …"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        assert!(choose(DeviceChoice::Cpu).is_ok());
    }

    #[cfg(not(any(feature = "ndarray", feature = "wgpu", feature = "cuda")))]
    #[test]
    fn a_backend_that_was_not_built_is_answered_with_its_feature() {
        let names = [(DeviceChoice::Ndarray, "ndarray"), (DeviceChoice::Wgpu, "wgpu"), (DeviceChoice::Cuda, "cuda")];
        for (choice, name) in names {
            let message = choose(choice).unwrap_err().to_string();
            let wanted = format!("the feature \"{name}\": cargo run --release --features {name} -- …");
            assert!(message.ends_with(&wanted), "{message}");
        }
    }
}
