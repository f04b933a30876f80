//! A checkpoint that cannot be written takes nothing with it.

use std::fs;
use std::process::Command;

use crate::rig::{Rig, files};

/// `rfs` that can write no file of more than `blocks` times 512 bytes.
fn limited(rig: &Rig, blocks: u64, arguments: &str) -> Command {
    let typed = rig.command(arguments);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -f {blocks} && exec \"$0\" \"$@\"")]).arg(typed.get_program());
    command.args(typed.get_args()).current_dir(rig.path(""));
    command
}

#[test]
fn the_last_checkpoint_stands_when_there_is_no_room_for_the_next() {
    let rig = Rig::new();
    rig.done("train tiny.toml --run whole");
    rig.done("train tiny.toml --run r --set train.steps=10");
    let folder = rig.folder("r");
    let before = fs::read(folder.checkpoint()).unwrap();
    // POSIX counts in units of 512 bytes; a shell that counts in 1,024 still stops short of the whole file.
    let blocks = before.len() as u64 / 512 / 3;
    let errors = rig.halted(limited(&rig, blocks, "train tiny.toml --run r --resume"));
    let message = "error: cannot read or write r/checkpoint/model.safetensors: File too large";
    assert!(errors.contains(message) && errors.contains("the checkpoint of step 10 is in r/checkpoint"), "{errors}");
    assert!(fs::read(folder.checkpoint()).unwrap() == before);
    assert_eq!(files(&folder.path().join("checkpoint")), ["model.safetensors"]);
    rig.done("train tiny.toml --run r --resume");
    rig.assert_same("whole", "r");
}
