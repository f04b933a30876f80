//! Runs side by side.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use super::board::Board;
use super::job::Job;
use super::outcome::Outcome;
use crate::args::DeviceChoice;
use crate::sweep::{Run, Sweep};

/// Time from one look at the runs to the next.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where a run can be, and what it computes with.
struct Slot {
    threads: usize,
    /// Index of the run, and its process.
    job: Option<(usize, Job)>,
}

/// Trains the runs of a sweep.
pub struct Pool<'a> {
    sweep: &'a Sweep,
    outcomes: &'a mut [Outcome],
    device: DeviceChoice,
    queue: VecDeque<usize>,
    slots: Vec<Slot>,
    /// Whether the runs were asked to end.
    stopping: bool,
}

impl<'a> Pool<'a> {
    /// For the runs that are pending: `jobs` at a time, which share `threads` threads.
    pub fn new(
        sweep: &'a Sweep,
        outcomes: &'a mut [Outcome],
        (jobs, threads): (usize, usize),
        device: DeviceChoice,
    ) -> Self {
        let pending = outcomes.iter().enumerate().filter(|(_, outcome)| **outcome == Outcome::Pending);
        let queue: VecDeque<_> = pending.map(|(index, _)| index).collect();
        let slots = shares(threads, jobs.min(queue.len()));
        let slots = slots.into_iter().map(|threads| Slot { threads, job: None }).collect();
        Self { sweep, outcomes, device, queue, slots, stopping: false }
    }

    /// Trains until no run is left, or all were asked to end, and calls `finished` after each.
    ///
    /// Each time `raised` is up counts as a Ctrl-C: the first asks the runs to store their state and end, the next ends them.
    pub fn train(mut self, raised: &AtomicBool, board: &mut Board, mut finished: impl FnMut(&[Outcome])) {
        while !self.queue.is_empty() || self.slots.iter().any(|slot| slot.job.is_some()) {
            if raised.swap(false, Ordering::SeqCst) {
                self.stop(board);
            }
            for index in 0..self.slots.len() {
                if let Some((run, outcome, before)) = self.ended(index) {
                    board.ended(&self.sweep.runs[run], &outcome, before);
                    self.outcomes[run] = outcome;
                    finished(self.outcomes);
                }
                self.fill(index, board);
            }
            let running = self.slots.iter_mut().filter_map(|slot| slot.job.as_mut());
            board.show(running.map(|(_, job)| job.progress()));
            sleep(LOOK_EVERY);
        }
    }

    fn stop(&mut self, board: &Board) {
        let running = self.slots.iter_mut().filter_map(|slot| slot.job.as_mut());
        if self.stopping {
            running.for_each(|(_, job)| job.kill());
            return;
        }
        board.say("interrupted: every run stores its state and ends; a second Ctrl-C ends them at once");
        running.for_each(|(_, job)| job.interrupt());
        self.queue.clear();
        self.stopping = true;
    }

    /// The run of a slot, its outcome, and the share of it that was done before, if it has ended.
    fn ended(&mut self, slot: usize) -> Option<(usize, Outcome, f64)> {
        let (run, job) = self.slots[slot].job.as_mut()?;
        let outcome = match job.poll() {
            Ok(None) => return None,
            Ok(Some(status)) if status.success() => left_behind(&self.sweep.runs[*run]),
            Ok(Some(_)) if self.stopping => Outcome::Interrupted,
            Ok(Some(status)) => Outcome::Failed(job.reason(status)),
            Err(error) => Outcome::Failed(format!("its process is lost: {error}")),
        };
        let (run, before) = (*run, job.progress().map_or(0.0, |(_, before)| before));
        self.slots[slot].job = None;
        Some((run, outcome, before))
    }

    /// Starts the next run in a slot that is free.
    fn fill(&mut self, slot: usize, board: &mut Board) {
        let slot = &mut self.slots[slot];
        while slot.job.is_none() {
            let Some(index) = self.queue.pop_front() else { return };
            let run = &self.sweep.runs[index];
            match Job::start(run, slot.threads, self.device) {
                Ok(job) => slot.job = Some((index, job)),
                Err(error) => {
                    self.outcomes[index] = Outcome::Failed(format!("{error:#}"));
                    board.ended(run, &self.outcomes[index], 0.0);
                }
            }
        }
    }
}

/// What is in the folder of a run whose process ended well.
fn left_behind(run: &Run) -> Outcome {
    match Outcome::found(run) {
        Ok(done @ Outcome::Done(_)) => done,
        Ok(_) => Outcome::Failed("it ended without a summary".into()),
        // The experiment file was changed after the plans were checked.
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

/// Fair shares of the threads, at least one each.
fn shares(threads: usize, jobs: usize) -> Vec<usize> {
    (0..jobs).map(|job| (threads / jobs + usize::from(job < threads % jobs)).max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_shared_fairly() {
        assert_eq!(shares(8, 3), [3, 3, 2]);
        assert_eq!(shares(2, 1), [2]);
        assert_eq!(shares(2, 4), [1, 1, 1, 1]);
        assert!(shares(2, 0).is_empty());
    }
}
