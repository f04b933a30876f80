use super::*;
use crate::{Departure, When};

/// Bytes in hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn records_are_those_of_tensorboards_own_writer() {
    // From scripts/golden/event_file.py, TensorBoard 2.21.0 with protobuf 7.36.2.
    let wanted = [
        "1800000000000000a37f4b220900001040fc54d9411a0d627261696e2e4576656e743a32338d2fe9",
        "0d000000000000003c37b8340900001040fc54d9413a0208018c8e54cd",
        "33000000000000000ca720560900001040fc54d94110ac022a250a110a0a747261696e2f6c6f7373151b2fbd400a100a0976\
         616c69642f50403115000000004566e8b0",
        "4300000000000000b18525a00900001040fc54d9412a380a360a11706c616e2f746578745f73756d6d617279421708071204\
         12020801420d2020202073656564203d20310a4a080a060a0474657874f3023e06",
    ];
    let time = 1_700_000_000.25;
    let values = [("train/loss".to_owned(), 5.912), ("valid/P@1".to_owned(), 0.0)];
    let messages = [
        message::version(time),
        message::start(time),
        message::scalars(time, 300, &values),
        message::text(time, "plan/text_summary", &code("seed = 1")),
    ];
    assert_eq!(messages.map(|message| hex(&record::record(&message))), wanted);
}

fn at(step: u64) -> When {
    When { step, epoch: 1, seconds: step as f64 }
}

fn step(step: u64) -> Event {
    Event::Step { at: at(step), loss: 5.9, learning_rate: 0.1, examples_per_second: 4850.0, distinct_rows: 21.0 }
}

fn folder(events: &[Event]) -> (tempfile::TempDir, RunFolder) {
    let place = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(place.path(), false).unwrap();
    fs::write(folder.plan(), "seed = 1\n").unwrap();
    let mut journal = Journal::create(&folder.journal()).unwrap();
    events.iter().for_each(|event| journal.append(event).unwrap());
    (place, folder)
}

/// The messages in the only file of a run.
fn messages(folder: &RunFolder) -> Vec<Vec<u8>> {
    let mut files = fs::read_dir(folder.tensorboard()).unwrap().map(|entry| entry.unwrap().path());
    let bytes = fs::read(files.next().unwrap()).unwrap();
    assert!(files.next().is_none());
    let (mut rest, mut messages) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        messages.push(rest[12..12 + length].to_vec());
        rest = &rest[16 + length..];
    }
    messages
}

#[test]
fn a_file_begins_with_what_the_journal_has_and_goes_on_with_each_event() {
    let start = Event::Start(Departure::at(at(0)));
    let (_place, folder) = folder(&[start, step(10), Event::Checkpoint(at(10))]);
    let mut board = EventFile::begin(&folder).unwrap();
    let score = Score::Values([("P@1".to_owned(), 0.5), ("P@3".to_owned(), 0.25)].into());
    let evaluation = Event::Evaluation { at: at(20), split: "valid".into(), metric: "P@1".into(), score };
    board.append(&evaluation).unwrap();
    board.append(&Event::End(at(20))).unwrap();
    let began = board.began;
    let wanted = [
        message::version(began),
        message::start(began),
        message::text(began, "plan/text_summary", "    seed = 1\n"),
        message::scalars(began + 10.0, 10, &scalars(&step(10))),
        message::scalars(began + 20.0, 20, &[("valid/P@1".into(), 0.5), ("valid/P@3".into(), 0.25)]),
    ];
    assert_eq!(messages(&folder), wanted);
}

#[test]
fn a_file_that_is_begun_once_more_takes_the_place_of_the_former() {
    let (_place, folder) = folder(&[step(10), step(20)]);
    fs::create_dir_all(folder.tensorboard()).unwrap();
    fs::write(folder.tensorboard().join("events.out.tfevents.0000000001.rfs"), "old").unwrap();
    let others = folder.tensorboard().join("events.out.tfevents.1.host");
    fs::write(&others, "of someone else").unwrap();
    EventFile::begin(&folder).unwrap();
    assert!(others.exists());
    fs::remove_file(others).unwrap();
    assert_eq!(messages(&folder).len(), 5);
}
