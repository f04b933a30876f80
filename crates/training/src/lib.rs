//! What every trainer of the project shares, whatever it trains: loop, schedule, journal, checkpoint, progress, summary.
//!
//! [`run`] is the principal function. It trains a [`Task`], which supplies one step, an evaluation and a state to save;
//! when to report, validate, store, stop and go back to the best model is the loop's affair. So is when to wait for a
//! graphics card: a step hands over its [`StepFigures`], which may be read some steps later.
//!
//! A run lives in a [`RunFolder`]. Its history is a [`Journal`], which an [`EventFile`] tells TensorBoard, its latest state a [`Checkpoint`], its outcome a
//! [`Summary`]. [`Progress`] tells the person who waits, [`Stop`] lets them end the run, and [`ScheduleConfig`] moves the
//! learning rate by step and [`History`] of validations. The settings are [`OptimizerConfig`] and [`TrainConfig`].
//!
//! The design rests on one promise: **a run that was interrupted and resumed is the run that was not**. Three things
//! keep it. State that is needed later is in the checkpoint, and what can be a function of the step is one (the
//! schedule here, the random streams in `rf-sampling`). A file is replaced whole or not at all, by [`replace_file`].
//! And the journal goes back to the checkpoint's step before it goes on, so its lines tell one consistent history.
//!
//! # Example
//! ```
//! use rf_training::{Checkpoint, CheckpointWriter, Departure, Event, Journal, RunFolder, When};
//! # let place = tempfile::tempdir()?;
//! # let path = place.path().join("run");
//! let folder = RunFolder::create(&path, false)?;
//! let mut journal = Journal::create(&folder.journal())?;
//! let now = |step| When { step, epoch: 1, seconds: 0.5 };
//! journal.append(&Event::Start(Departure::at(now(0))))?;
//! CheckpointWriter::new().f32("weights", &[2], &[0.5, -1.0]).state(&now(10)).write(&folder.checkpoint())?;
//! journal.append(&Event::Checkpoint(now(10)))?;
//!
//! // Later, after an interruption:
//! let folder = RunFolder::create(&path, true)?;
//! let checkpoint = Checkpoint::open(&folder.checkpoint())?;
//! let at: When = checkpoint.state()?;
//! let weights = checkpoint.f32("weights", &[2])?;
//! let mut journal = Journal::resume(&folder.journal(), at.step)?;
//! journal.append(&Event::Resume(Departure::at(at)))?;
//! # assert_eq!((weights, at.step), (vec![0.5, -1.0], 10));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoint;
mod dropout;
mod error;
mod history;
mod journal;
mod optimizer;
mod parameter;
mod progress;
mod run;
mod run_folder;
mod schedule;
mod stop;
mod summary;
mod task;
mod tensorboard;
mod train_config;

pub use checkpoint::{Checkpoint, CheckpointWriter};
pub use dropout::dropout_mask;
pub use error::Error;
pub use history::{History, Validation};
pub use journal::{Departure, Event, Journal, When};
pub use optimizer::{OptimizerConfig, OptimizerKind};
pub use parameter::parameter;
pub use progress::{Progress, ProgressConfig};
pub use rf_softmax::{Figures, StepFigures};
pub use run::{RunSettings, run};
pub use run_folder::{RunFolder, replace_file};
pub use schedule::{Cosine, Moment, Plateau, ScheduleConfig, StepDecay};
pub use stop::Stop;
pub use summary::{Score, Summary, peak_memory_bytes};
pub use task::{Better, Evaluated, Split, StepOutcome, Task, TaskError, TaskFacts, check_finite, check_known};
pub use tensorboard::EventFile;
pub use train_config::{Length, TrainConfig};
