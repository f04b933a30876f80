//! Fetching from a server that behaves well, badly, or not at all.

mod server;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use rf_data::{Dataset, Error, FetchConfig, FetchEvent, RemoteFile, fetch, sha256_of};
use server::{Answer, Server};
use tempfile::TempDir;

/// 200,000 bytes that do not repeat soon.
fn content() -> Vec<u8> {
    (0..200_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// A data folder, a data set with one file in it, and what was told.
struct Rig {
    place: TempDir,
    dataset: Dataset,
    url: Option<String>,
    told: Vec<String>,
}

impl Rig {
    fn new(content: &[u8], urls: Vec<String>) -> Self {
        let place = tempfile::tempdir().unwrap();
        let original = place.path().join("original");
        std::fs::write(&original, content).unwrap();
        let file = RemoteFile {
            path: "set/file.bin".into(),
            urls,
            bytes: Some(content.len() as u64),
            sha256: Some(sha256_of(&original).unwrap()),
            unpacks_to: None,
        };
        std::fs::remove_file(original).unwrap();
        let [name, title, task, licence, page] = ["set", "", "lm", "", ""].map(String::from);
        let dataset = Dataset { name, title, task, licence, page, by_hand: None, files: vec![file] };
        Self { place, dataset, url: None, told: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join("set").join(name)
    }

    /// An interrupted download left `bytes`.
    fn left(&self, name: &str, bytes: &[u8]) {
        std::fs::create_dir_all(self.path("")).unwrap();
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn fetch(&mut self) -> Result<(), Error> {
        let root = self.place.path().to_owned();
        let config = FetchConfig { root, url: self.url.clone(), pause: Duration::ZERO };
        let told = &mut self.told;
        fetch(&self.dataset, &config, &mut |event| match event {
            FetchEvent::Bytes(_) => {}
            FetchEvent::Start { from, total, .. } => told.push(format!("start {from} of {total:?}")),
            FetchEvent::Again(error) => told.push(format!("again: {error}")),
            FetchEvent::Unverified { sha256, .. } => told.push(format!("unverified {sha256}")),
            FetchEvent::There(_) => told.push("there".into()),
            FetchEvent::Check(_) => told.push("check".into()),
            FetchEvent::Unpack { .. } => told.push("unpack".into()),
            FetchEvent::Done(_) => told.push("done".into()),
        })
    }

    fn assert_done(&self, content: &[u8]) {
        assert_eq!(self.files(), ["file.bin"]);
        assert!(std::fs::read(self.path("file.bin")).unwrap() == content);
    }
}

/// A server with the file, and a data set that is fetched from it.
fn rig(answer: impl Fn(usize, &server::Asked) -> Answer + Send + 'static) -> (Server, Rig) {
    let server = Server::start(answer);
    let rig = Rig::new(&content(), vec![format!("{}/a/file.bin", server.address)]);
    (server, rig)
}

#[test]
fn a_file_is_fetched_checked_and_not_fetched_again() {
    let (server, mut rig) = rig(|_, asked| Answer::range(&content(), asked));
    rig.fetch().unwrap();
    rig.assert_done(&content());
    assert_eq!(rig.told, ["start 0 of Some(200000)", "check", "done"]);
    rig.fetch().unwrap();
    assert_eq!(rig.told[3..], ["check", "there"]);
    assert_eq!(server.asked(), [("/a/file.bin".into(), None)]);
}

#[test]
fn a_lost_connection_is_made_again_and_goes_on_where_it_was() {
    let (server, mut rig) = rig(|index, asked| match index {
        0 => Answer::range(&content(), asked).cut_after(70_000),
        _ => Answer::range(&content(), asked),
    });
    rig.fetch().unwrap();
    rig.assert_done(&content());
    assert_eq!(server.asked()[1], ("/a/file.bin".into(), Some(70_000)));
}

#[test]
fn a_download_that_was_given_up_goes_on_another_day() {
    let (server, mut rig) = rig(|index, asked| match index {
        0 => Answer::range(&content(), asked).cut_after(70_000),
        1..3 => Answer::range(&content(), asked).cut_after(0),
        _ => Answer::range(&content(), asked),
    });
    let error = rig.fetch().unwrap_err();
    assert!(matches!(error, Error::Network { .. }), "{error}");
    assert_eq!(rig.files(), ["file.bin.part"]);
    rig.fetch().unwrap();
    rig.assert_done(&content());
    assert_eq!(server.asked().last().unwrap().1, Some(70_000));
    assert!(rig.told.contains(&"start 70000 of Some(200000)".into()), "{:?}", rig.told);
}

#[test]
fn a_server_without_parts_of_files_starts_again() {
    let (server, mut rig) = rig(|_, _| Answer::whole(&content()));
    rig.left("file.bin.part", &[7; 1_000]);
    rig.fetch().unwrap();
    rig.assert_done(&content());
    assert_eq!(server.asked(), [("/a/file.bin".into(), Some(1_000))]);
    assert_eq!(rig.told[0], "start 0 of Some(200000)");
}

#[test]
fn another_content_of_the_same_size_is_refused_with_both_checksums() {
    let (_server, mut rig) = rig(|_, _| Answer::whole(&[0; 200_000]));
    let wanted = rig.dataset.files[0].sha256.clone().unwrap();
    let error = rig.fetch().unwrap_err().to_string();
    assert_eq!(rig.files(), ["file.bin.bad"]);
    let found = sha256_of(&rig.path("file.bin.bad")).unwrap();
    assert!(error.contains(&wanted) && error.contains(&found) && error.contains("kept as "), "{error}");
}

#[test]
fn parts_that_do_not_fit_together_are_fetched_once_more_from_the_start() {
    let (server, mut rig) = rig(|_, asked| Answer::range(&content(), asked));
    rig.left("file.bin.part", &[7; 1_000]);
    rig.fetch().unwrap();
    rig.assert_done(&content());
    assert_eq!(server.asked().iter().map(|asked| asked.1).collect::<Vec<_>>(), [Some(1_000), None]);
    assert!(rig.told[2].starts_with("again: ") && rig.told[2].contains("SHA-256"), "{:?}", rig.told);
}

#[test]
fn a_whole_part_is_only_checked_and_a_longer_one_begun_anew() {
    let (server, mut rig) = rig(|_, asked| Answer::range(&content(), asked));
    rig.left("file.bin.part", &content());
    rig.fetch().unwrap();
    assert!(server.asked().is_empty());
    std::fs::remove_file(rig.path("file.bin")).unwrap();
    rig.left("file.bin.part", &[content(), vec![0]].concat());
    rig.fetch().unwrap();
    rig.assert_done(&content());
}

#[test]
fn a_part_past_the_end_of_a_file_of_unknown_size_is_begun_anew() {
    let (server, mut rig) = rig(|_, asked| Answer::range(&content(), asked));
    rig.dataset.files[0].bytes = None;
    rig.left("file.bin.part", &[7; 200_001]);
    rig.fetch().unwrap();
    rig.assert_done(&content());
    assert_eq!(server.asked().iter().map(|asked| asked.1).collect::<Vec<_>>(), [Some(200_001), None]);
}

#[test]
fn a_server_that_answers_with_another_part_is_not_believed() {
    let (_server, mut rig) = rig(|index, asked| match index {
        0 => Answer::range(&content(), &(String::new(), Some(asked.1.unwrap() + 1))),
        _ => Answer::range(&content(), asked),
    });
    rig.left("file.bin.part", &content()[..1_000]);
    rig.fetch().unwrap();
    rig.assert_done(&content());
    assert!(rig.told[0].contains("asked for the bytes from 1000 on, the server answered with `bytes 1001-"));
}

#[test]
fn a_missing_file_is_answered_with_address_and_status() {
    let (server, mut rig) = rig(|_, _| Answer::status("404 Not Found"));
    let error = rig.fetch().unwrap_err();
    assert_eq!(error.to_string(), format!("{}/a/file.bin: the server answered 404 Not Found", server.address));
    assert!(rig.files().is_empty() && !error.is_bad_input());
}

#[test]
fn another_size_is_refused_before_the_download() {
    let (_server, mut rig) = rig(|_, _| Answer::whole(b"<html>moved</html>"));
    let error = rig.fetch().unwrap_err();
    assert!(matches!(error, Error::Size { wanted: 200_000, found: 18, .. }), "{error}");
    assert!(rig.files().is_empty());
}

#[test]
fn the_next_address_is_tried_and_all_failures_are_told() {
    let good = Server::start(|_, asked| Answer::range(&content(), asked));
    let bad = Server::start(|_, _| Answer::status("503 Service Unavailable"));
    // A port that nobody listens on: it was given up just now.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let urls = |last: &Server| vec![format!("http://{nobody}/x"), format!("{}/x", last.address)];
    let mut rig = Rig::new(&content(), urls(&good));
    rig.fetch().unwrap();
    rig.assert_done(&content());
    let mut rig = Rig::new(&content(), urls(&bad));
    let error = rig.fetch().unwrap_err().to_string();
    assert!(error.contains("no address has the file: ") && error.contains("503 Service Unavailable"), "{error}");
    rig.url = Some(format!("{}/mirror/", good.address));
    rig.fetch().unwrap();
    assert_eq!(good.asked().last().unwrap().0, "/mirror/file.bin");
}

#[test]
fn a_single_address_for_several_files_is_refused() {
    let mut rig = Rig::new(&content(), vec![]);
    rig.dataset.files.push(rig.dataset.files[0].clone());
    rig.url = Some("http://somewhere/file.bin".into());
    let error = rig.fetch().unwrap_err();
    assert!(error.is_bad_input() && error.to_string().contains("a folder that ends in /"), "{error}");
}

#[test]
fn another_file_in_its_place_is_left_alone() {
    let mut rig = Rig::new(&content(), vec!["http://nowhere.invalid/".into()]);
    for other in [vec![1; 9], vec![1; 200_000]] {
        rig.left("file.bin", &other);
        let error = rig.fetch().unwrap_err();
        assert!(matches!(error, Error::OtherFile { .. }) && error.is_bad_input(), "{error}");
        rig.assert_done(&other);
    }
}

#[test]
fn a_file_without_a_known_checksum_tells_its_own() {
    let (_server, mut rig) = rig(|_, asked| Answer::range(&content(), asked));
    let sum = rig.dataset.files[0].sha256.take().unwrap();
    rig.fetch().unwrap();
    assert!(rig.told.contains(&format!("unverified {sum}")), "{:?}", rig.told);
}

/// A `.tar.gz` of files; a content that begins with `->` makes a symbolic link.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, content) in files {
        let mut header = tar::Header::new_old();
        // Not by `set_path`, which refuses to write what must be refused in reading.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        if let Some(target) = content.strip_prefix("->") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_link_name(target).unwrap();
        }
        header.set_size(if content.starts_with("->") { 0 } else { content.len() as u64 });
        header.set_mode(0o644);
        header.set_cksum();
        let content = if content.starts_with("->") { "" } else { content };
        archive.append(&header, content.as_bytes()).unwrap();
    }
    let mut gzip = archive.into_inner().unwrap();
    gzip.flush().unwrap();
    gzip.finish().unwrap()
}

/// A data set of one archive with the folder `corpus`.
fn packed(content: &[u8]) -> Rig {
    let bytes = content.to_vec();
    let server = Server::start(move |_, asked| Answer::range(&bytes, asked));
    let mut rig = Rig::new(content, vec![format!("{}/corpus.tar.gz", server.address)]);
    rig.dataset.files[0].path = "set/corpus.tar.gz".into();
    rig.dataset.files[0].unpacks_to = Some("corpus".into());
    rig
}

#[test]
fn an_archive_is_unpacked_in_its_place() {
    let mut rig = packed(&archive(&[("corpus/train/a", "one\n"), ("./corpus/b", "two\n"), ("notes", "beside")]));
    assert_eq!(rig.dataset.files_there(rig.place.path()), 0);
    rig.fetch().unwrap();
    assert_eq!(rig.files(), ["corpus"]);
    assert_eq!(std::fs::read_to_string(rig.path("corpus/train/a")).unwrap(), "one\n");
    assert_eq!(std::fs::read_to_string(rig.path("corpus/b")).unwrap(), "two\n");
    assert_eq!(rig.dataset.files_there(rig.place.path()), 1);
    rig.fetch().unwrap();
    assert_eq!(rig.told.last().unwrap(), "there");
}

#[test]
fn an_archive_that_was_fetched_but_not_unpacked_is_unpacked_without_fetching() {
    let content = archive(&[("corpus/a", "one\n")]);
    let mut rig = packed(&content);
    rig.dataset.files[0].urls = vec!["http://nowhere.invalid/".into()];
    rig.left("corpus.tar.gz", &content);
    std::fs::create_dir_all(rig.path("corpus.part/corpus/half")).unwrap();
    rig.fetch().unwrap();
    assert_eq!(rig.files(), ["corpus"]);
    assert!(!rig.path("corpus/half").exists());
}

#[test]
fn a_file_without_an_address_must_be_put_there_or_be_given_one() {
    let by_hand = || {
        let mut rig = Rig::new(&content(), vec![]);
        (rig.dataset.page, rig.dataset.by_hand) = ("the page".into(), Some("the link has file.bin".into()));
        rig
    };
    let mut rig = by_hand();
    let error = rig.fetch().unwrap_err();
    let path = rig.path("file.bin");
    assert!(error.is_bad_input() && rig.told.is_empty() && !path.exists());
    let expected = "set cannot be fetched, but got by hand from the page: the link has file.bin. Still missing: ";
    assert_eq!(error.to_string(), format!("{expected}{}", path.display()));
    rig.left("file.bin", b"another");
    assert!(matches!(rig.fetch().unwrap_err(), Error::OtherFile { .. }));
    rig.left("file.bin", &content());
    rig.fetch().unwrap();
    assert_eq!(rig.told, ["check", "there"]);
    let (server, mut rig) = (Server::start(|_, asked| Answer::range(&content(), asked)), by_hand());
    rig.url = Some(format!("{}/", server.address));
    rig.fetch().unwrap();
    rig.assert_done(&content());
}

#[test]
fn an_archive_that_leads_elsewhere_is_refused() {
    let outside = |place: &Path| place.join("escaped").exists() || place.join("set/escaped").exists();
    for (files, problem) in [
        (vec![("corpus/a", "one\n"), ("corpus/../../../escaped", "no")], "leads out of the archive"),
        (vec![("/tmp/rf-data-escaped", "no")], "leads out of the archive"),
        (vec![("corpus", "->.."), ("corpus/escaped", "no")], "is no file but Symlink"),
        (vec![("other/a", "one\n")], "there is no folder corpus in it"),
    ] {
        let mut rig = packed(&archive(&files));
        let error = rig.fetch().unwrap_err().to_string();
        assert!(error.contains("corpus.tar.gz: cannot unpack: ") && error.contains(problem), "{error}");
        assert!(!outside(rig.place.path()) && !rig.path("corpus").exists());
    }
    assert!(!Path::new("/tmp/rf-data-escaped").exists());
}

#[test]
fn a_broken_archive_is_refused() {
    let whole = archive(&[("corpus/a", &"words ".repeat(50_000))]);
    let mut rig = packed(&whole[..whole.len() / 2]);
    assert!(matches!(rig.fetch().unwrap_err(), Error::Archive { .. }));
    assert!(!rig.path("corpus").exists());
}
