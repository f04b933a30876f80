//! A folder to work in, and the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::tensor::Bytes;
use burn_pack::Reader;
use rf_training::{Checkpoint, Event, Journal, RunFolder, Score, Summary};
use serde_json::Value;
use tempfile::TempDir;

/// A model and a language that are small enough for many runs: 53 classes, 18 steps an epoch.
pub const TINY: &str = r#"task = "lm"
seed = 7
[data]
kind = "synthetic"
topics = 4
choices = [4, 8, 12]
train_tokens = 350
valid_tokens = 60
test_tokens = 90
[model]
embedding = 8
hidden = 8
dropout = 0.2
[loss]
draws = 6
tau = 3.0
[loss.sampler]
kind = "rff"
features = 16
leaf_law = "exact"
leaf_size = 4
[optimizer]
learning_rate = 0.01
clip_norm = 1.0
[optimizer.schedule]
kind = "step"
from_epoch = 2
factor = 0.5
[train]
steps = 30
batch_size = 4
bptt = 5
eval_batch_size = 2
log_every = 7
checkpoint_every = 4
"#;

/// A classifier and points that are small enough for many runs: 40 labels in 20 cells, 12 steps an epoch.
pub const TINY_XMC: &str = r#"task = "xmc"
seed = 7
[data]
kind = "synthetic"
labels = 40
inclusion = [0.9, 0.5]
features = 80
features_per_point = 4.0
shared = 2
train_points = 200
valid_points = 60
test_points = 90
[model]
dim = 8
hidden = [12]
dropout = 0.1
feature_dropout = 0.1
[loss]
draws = 6
tau = 3.0
[loss.sampler]
kind = "rff"
features = 16
leaf_law = "exact"
leaf_size = 4
[optimizer]
learning_rate = 0.02
clip_norm = 1.0
[train]
steps = 30
batch_size = 16
log_every = 7
checkpoint_every = 4
"#;

/// A folder with experiment files, data and runs, removed at the end.
pub struct Rig {
    place: TempDir,
}

impl Rig {
    /// With [`TINY`] as `tiny.toml` and [`TINY_XMC`] as `xmc.toml`.
    pub fn new() -> Self {
        let rig = Self { place: tempfile::tempdir().unwrap() };
        rig.write("tiny.toml", TINY.as_bytes());
        rig.write("xmc.toml", TINY_XMC.as_bytes());
        rig
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// `rfs` with arguments divided by spaces; data and runs are looked for in the folder.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rfs"));
        command.args(arguments.split_whitespace()).current_dir(self.place.path()).env("RFS_DATA", self.place.path());
        // Without a folder to run in, the drivers of graphics cards print errors of their own.
        command.env("XDG_RUNTIME_DIR", self.place.path());
        command
    }

    pub fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and returns what it printed on the standard output.
    pub fn done(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs a command that must fail with exit code 1, and returns what it printed on the error stream.
    pub fn halted(&self, mut command: Command) -> String {
        let output = command.output().unwrap();
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {errors}");
        errors
    }

    /// Runs a command that must fail with exit code 2, and returns its error message.
    pub fn refused(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {errors}");
        assert_eq!(text(&output.stdout), "", "{arguments}");
        errors.lines().find_map(|line| line.strip_prefix("error: ")).expect("an error message").to_owned()
    }

    pub fn folder(&self, run: &str) -> RunFolder {
        RunFolder::open(&self.path(run)).unwrap()
    }

    /// Outcome of a run, figures of time and memory left out.
    pub fn summary(&self, run: &str) -> Summary {
        let summary = Summary::load(&self.folder(run).summary()).unwrap();
        Summary { examples_per_second: 0.0, train_seconds: 0.0, peak_memory_bytes: None, ..summary }
    }

    /// The events of a run.
    pub fn journal(&self, run: &str) -> Vec<Event> {
        Journal::read(&self.folder(run).journal()).unwrap()
    }

    /// Steps and scores of the validations in a run's journal.
    pub fn validations(&self, run: &str) -> Vec<(u64, f64)> {
        let validation = |event| match event {
            Event::Evaluation { at, split, score: Score::Value(score), .. } if split == "valid" => {
                Some((at.step, score))
            }
            _ => None,
        };
        self.journal(run).into_iter().filter_map(validation).collect()
    }

    /// The state of a run's checkpoint beside its tensors, its time left out.
    pub fn state(&self, run: &str) -> Value {
        let mut state: Value = Checkpoint::open(&self.folder(run).checkpoint()).unwrap().state().unwrap();
        state.as_object_mut().unwrap().remove("seconds").unwrap();
        state
    }

    /// Every tensor of a run's checkpoint, bit for bit.
    pub fn tensors(&self, run: &str) -> BTreeMap<String, Vec<u8>> {
        let checkpoint = Checkpoint::open(&self.folder(run).checkpoint()).unwrap();
        let mut tensors = BTreeMap::new();
        for name in checkpoint.names() {
            let shape = checkpoint.shape(name).unwrap();
            let bytes = bytes(&checkpoint, name, shape);
            // Inside a record burn lays tensors out in the order of a hash map, which means nothing.
            match Reader::from_bytes(Bytes::from_bytes_vec(bytes.clone())) {
                Ok(record) => tensors.extend(unpacked(name, &record)),
                Err(_) => drop(tensors.insert(format!("{name} {shape:?}"), bytes)),
            }
        }
        tensors
    }

    /// Asserts that two runs ended in the same place: same scores, bit-equal checkpoints.
    pub fn assert_same(&self, run: &str, other: &str) {
        assert_eq!(self.summary(run), self.summary(other));
        self.assert_same_tensors(run, other);
    }

    /// Asserts that two runs have bit-equal checkpoints.
    pub fn assert_same_tensors(&self, run: &str, other: &str) {
        let (here, there) = (self.tensors(run), self.tensors(other));
        assert!(here.keys().eq(there.keys()), "{:?} in {run}, {:?} in {other}", here.keys(), there.keys());
        let different: Vec<_> = here.keys().filter(|name| here[*name] != there[*name]).collect();
        assert!(different.is_empty(), "{different:?} differ between {run} and {other}");
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Four labels of twelve points each, every label with a feature of its own, in the format of the repository.
pub const POINTS: &str = "12 6 4\n0 0:2 4:1\n1 1:1 4:1\n2 2:1 5:3\n3 3:1\n0,1 0:1 1:1\n2,3 2:1 3:2 4:1\n 4:1 5:1\n\
                          0 0:1 5:1\n1 1:4\n2 2:1\n3 3:1 4:2\n0,2 0:1 2:1\n";

/// The files in a folder, without those in folders below it.
pub fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A tensor of any type, as the bytes of its numbers.
fn bytes(checkpoint: &Checkpoint, name: &str, shape: &[usize]) -> Vec<u8> {
    let f32s = checkpoint.f32(name, shape).map(|values| values.into_iter().flat_map(f32::to_le_bytes).collect());
    f32s.or_else(|_| checkpoint.f64(name, shape).map(|values| values.into_iter().flat_map(f64::to_le_bytes).collect()))
        .or_else(|_| checkpoint.u64(name, shape).map(|values| values.into_iter().flat_map(u64::to_le_bytes).collect()))
        .or_else(|_| checkpoint.u32(name, shape).map(|values| values.into_iter().flat_map(u32::to_le_bytes).collect()))
        .or_else(|_| checkpoint.bytes(name))
        .unwrap()
}

/// The tensors and numbers of a record of burn.
fn unpacked(record: &str, reader: &Reader) -> BTreeMap<String, Vec<u8>> {
    let tensors = reader.tensor_names().into_iter().map(|name| (name, reader.tensor_data(name).unwrap()));
    let scalars = reader.scalars().iter().map(|(name, value)| (name.as_str(), format!("{value:?}").into_bytes()));
    let notes = reader.metadata().iter().map(|(name, value)| (name.as_str(), value.clone().into_bytes()));
    tensors.chain(scalars).chain(notes).map(|(name, value)| (format!("{record}/{name}"), value)).collect()
}
