//! Ctrl-C and other signals.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use rf_training::Stop;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A flag that every Ctrl-C (or `SIGTERM`) raises, for who answers each of them.
pub fn raised_by_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let raised = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, raised.clone()).context("cannot listen to signals")?;
    }
    Ok(raised)
}

/// A request that the first Ctrl-C (or `SIGTERM`) makes; a second one ends the process at once, with exit code 1.
///
/// `SIGHUP` is left as it is: `nohup` turns it off, and a run should outlive its terminal then.
pub fn stop_on_signals() -> anyhow::Result<Stop> {
    let stop = Stop::default();
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag down, so it does not end the process, and raises it.
        flag::register_conditional_shutdown(signal, 1, stop.flag())
            .and_then(|_| flag::register(signal, stop.flag()))
            .context("cannot listen to signals")?;
    }
    // A write beyond `ulimit -f` then is an error that names the file, instead of the silent end of the process.
    #[cfg(unix)]
    flag::register(signal_hook::consts::SIGXFSZ, Arc::default()).context("cannot listen to signals")?;
    Ok(stop)
}
