use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks a trainer, from another thread or a signal, to end after the step it is at.
///
/// # Example
/// ```
/// use rf_training::Stop;
/// let stop = Stop::default();
/// let seen_by_trainer = stop.clone();
/// stop.request();
/// assert!(seen_by_trainer.is_requested());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether someone asked.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// The flag itself, for a signal handler to set.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}
