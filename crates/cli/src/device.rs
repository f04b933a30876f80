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
        DeviceChoice::Wgpu => Err(cpu_only("wgpu")),
        DeviceChoice::Cuda => Err(cpu_only("cuda")),
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
    Err(bad_input(
        "this program was built without the feature \"ndarray\": cargo run --release --features ndarray -- …",
    ))
}

fn cpu_only(name: &str) -> anyhow::Error {
    bad_input(format!("--device {name}: this version computes on the CPU only, with --device cpu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graphics_card_is_refused_in_words() {
        assert!(choose(DeviceChoice::Cpu).is_ok());
        for (choice, name) in [(DeviceChoice::Wgpu, "wgpu"), (DeviceChoice::Cuda, "cuda")] {
            let message = choose(choice).unwrap_err().to_string();
            assert_eq!(message, format!("--device {name}: this version computes on the CPU only, with --device cpu"));
        }
    }
    #[cfg(not(feature = "ndarray"))]
    #[test]
    fn a_backend_that_was_not_built_is_answered_with_its_feature() {
        let message = choose(DeviceChoice::Ndarray).unwrap_err().to_string();
        assert!(message.ends_with("the feature \"ndarray\": cargo run --release --features ndarray -- …"), "{message}");
    }
}
