//! `rfs data`, and training on shards.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::rig::{Rig, files, text};

/// Serves `content` to every request, and returns the address.
fn serve(content: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = BufReader::new(&stream).lines().map_while(Result::ok);
            request.take_while(|line| !line.is_empty()).for_each(drop);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len());
            stream.write_all(format!("{head}{content}").as_bytes()).unwrap();
        }
    });
    address
}

/// A list with the set `small`, one file of 5 bytes with the SHA-256 of `hello`.
fn manifest(url: &str) -> String {
    format!(
        "[[dataset]]\nname = 'small'\ntitle = 'A small text'\ntask = 'lm'\nlicence = 'none'\npage = 'nowhere'\n\
         [[dataset.file]]\npath = 'small/text'\nurls = ['{url}/text']\nbytes = 5\n\
         sha256 = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'\n"
    )
}

#[test]
fn data_sets_are_listed_with_what_is_there() {
    let rig = Rig::new();
    let printed = rig.done("data list");
    assert!(printed.contains("ptb ") && printed.contains("Penn Treebank") && printed.contains("lm1b "), "{printed}");
    assert!(
        printed.contains(format!("the data folder is {}", rig.path("").display()).trim_end_matches('/')),
        "{printed}"
    );
}

#[test]
fn a_data_set_is_fetched_into_the_data_folder() {
    let rig = Rig::new();
    rig.write("sets.toml", manifest(&serve("hello")).as_bytes());
    assert!(rig.done("data list --manifest sets.toml").contains("small  lm    5 B   no "));
    assert!(rig.done("data fetch small --manifest sets.toml").starts_with("small is in "));
    assert_eq!(files(&rig.path("small")), ["text"]);
    assert!(rig.done("data list --manifest sets.toml").contains("small  lm    5 B   yes "));
    let again = rig.run("data fetch small --manifest sets.toml");
    assert!(again.status.success() && text(&again.stderr).contains("small/text: already there"));
}

#[test]
fn a_wrong_checksum_is_an_error_but_not_of_the_input() {
    let rig = Rig::new();
    rig.write("sets.toml", manifest(&serve("jello")).as_bytes());
    let output = rig.run("data fetch small --manifest sets.toml");
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("SHA-256 2cf24dba") && errors.contains("it is kept as "), "{errors}");
    assert_eq!(files(&rig.path("small")), ["text.bad"]);
    rig.done(&format!("data fetch small --manifest sets.toml --url {}/other-name", serve("hello")));
}

#[test]
fn what_is_wrong_with_a_name_or_a_list_is_said() {
    let rig = Rig::new();
    assert!(rig.refused("data fetch tbp").starts_with("there is no data set `tbp`; there are: ptb, "));
    rig.write("sets.toml", manifest("http://a").replace("task", "tusk").as_bytes());
    assert!(rig.refused("data list --manifest sets.toml").starts_with("sets.toml, line 4: unknown field `tusk`"));
    assert!(rig.refused("data fetch small --manifest nowhere").starts_with("nowhere: cannot open the file"));
}

#[test]
fn a_text_is_measured_in_words_and_in_json() {
    let rig = Rig::new();
    rig.write("train.txt", b"the cat saw the dog\nthe dog ran\n");
    rig.write("valid.txt", b"the cow ran\n");
    let printed = rig.done("data stats train.txt valid.txt");
    for line in ["files     2, 44 B", "lines     3", "tokens    11, with one <eos> a line 14", "types     6"] {
        assert!(printed.contains(line), "{line} is not in\n{printed}");
    }
    assert!(printed.contains("longest   5 words: train.txt, line 1"), "{printed}");
    let printed = rig.done("data stats valid.txt --train train.txt --vocabulary 4 --json");
    let stats: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&stats["tokens"], &stats["outside"]["tokens"]), (&4.into(), &2.into()));
    assert_eq!((&stats["outside"]["classes"], &stats["outside"]["share"]), (&4.into(), &0.5.into()));
    assert_eq!(
        rig.refused("data stats nowhere"),
        "nowhere: cannot open the file: No such file or directory (os error 2)"
    );
    assert!(rig.refused("data stats train.txt --vocabulary 2").contains("--vocabulary 2: it must be at least 3"));
}

/// Five points, one without labels, one without features.
const POINTS: &str = "5 6 1234\n3,1009 1:1 2:1\n 4:1\n1009,3 \n7 0:1\n3 5:1\n";

#[test]
fn points_with_labels_are_counted_in_words_and_in_json() {
    let rig = Rig::new();
    rig.write("points.txt", POINTS.as_bytes());
    let expected = "bytes     49 B\npoints    5\nfeatures  6, 1.00 a point\nlabels    1,234, 1.20 a point\n\
                    in use    3 labels, 1 with one point, the most frequent, 3, with 3\n\
                    without   labels 1, features 1\n";
    assert_eq!(rig.done("data stats points.txt"), expected);
    let stats: Value = serde_json::from_str(&rig.done("data stats points.txt --json")).unwrap();
    let expected = json!({
        "bytes": 49, "text_bytes": 49, "points": 5, "features": 6, "labels": 1234,
        "features_per_point": 1.0, "labels_per_point": 1.2, "labels_in_use": 3, "labels_with_one_point": 1,
        "most_frequent_label": { "label": 3, "points": 3 }, "points_without_labels": 1, "points_without_features": 1,
    });
    assert_eq!(stats, expected);
}

#[test]
fn what_is_wrong_with_points_or_their_options_is_said() {
    let rig = Rig::new();
    rig.write("points.txt", POINTS.as_bytes());
    for (options, problem) in [
        ("--vocabulary 100", "--vocabulary is for texts"),
        ("--train tiny.toml", "--train is for texts"),
        ("tiny.toml", "it must be counted alone"),
    ] {
        let message = rig.refused(&format!("data stats points.txt {options}"));
        assert_eq!(message, format!("points.txt is a file of points with labels: {problem}"));
    }
    rig.write("points.txt", POINTS.replace("7 0:1", "7 6:1").as_bytes());
    let message = rig.refused("data stats points.txt");
    assert!(message.starts_with("points.txt, line 5, field 2: "), "{message}");
    rig.write("points.txt", b"5 6 0\n");
    assert_eq!(rig.refused("data stats points.txt"), "points.txt, line 1: the header says 0 labels");
}

#[test]
fn a_data_set_that_is_got_by_hand_says_how_until_it_is_there() {
    let rig = Rig::new();
    let message = rig.refused("data fetch amazoncat13k");
    for wanted in [
        "amazoncat13k cannot be fetched, but got by hand from http://manikvarma.org/",
        "AmazonCat/amazonCat_train.txt and amazonCat_test.txt",
        "xmc/amazoncat13k/train.txt, ",
        "xmc/amazoncat13k/test.txt",
    ] {
        assert!(message.contains(wanted), "{wanted} is not in\n{message}");
    }
    let line = || {
        let list = rig.done("data list");
        list.lines().find(|line| line.starts_with("amazoncat13k ")).unwrap().to_owned()
    };
    assert!(line().starts_with("amazoncat13k   xmc   unknown  no, by hand  AmazonCat-13K"), "{}", line());
    fs::create_dir_all(rig.path("xmc/amazoncat13k")).unwrap();
    rig.write("xmc/amazoncat13k/train.txt", POINTS.as_bytes());
    let message = rig.refused("data fetch amazoncat13k");
    assert!(line().contains("  1 of 2 files  ") && !message.contains("amazoncat13k/train.txt"), "{message}");
    rig.write("xmc/amazoncat13k/test.txt", POINTS.as_bytes());
    assert!(rig.done("data fetch amazoncat13k").starts_with("amazoncat13k is in "));
    assert!(line().contains("  yes  "), "{}", line());
}

const DATA: &str = "--set data={kind='text',train='shards',valid='shards/1',test=['shards/1','shards/2']}";

/// Three shards.
fn with_shards() -> Rig {
    let rig = Rig::new();
    fs::create_dir(rig.path("shards")).unwrap();
    for shard in 1..=3 {
        let line =
            |line: usize| (0..(line * shard) % 9).map(|word| format!("w{} ", word * line % 13)).collect::<String>();
        let lines: Vec<_> = (0..40).map(line).collect();
        rig.write(&format!("shards/{shard}"), lines.join("\n").as_bytes());
    }
    rig
}

#[test]
fn a_run_on_shards_that_is_continued_is_the_run_that_was_not_interrupted() {
    let rig = with_shards();
    let settings = format!("--set train.steps=60 {DATA}");
    let whole = rig.run(&format!("train tiny.toml --run whole {settings}"));
    let told = text(&whole.stderr);
    assert!(whole.status.success() && told.contains("(a stream of 3 files, "), "{told}");
    assert!(told.contains("counting words: 3 files, "), "{told}");
    rig.done(&format!("train tiny.toml --run parts --set train.steps=10 {DATA}"));
    rig.done(&format!("train tiny.toml --run parts --resume --set train.steps=31 {DATA}"));
    let last = rig.run(&format!("train tiny.toml --run parts --resume {settings}"));
    assert!(last.status.success() && !text(&last.stderr).contains("counting"), "{}", text(&last.stderr));
    rig.assert_same("whole", "parts");
    rig.done("eval whole");
}

#[test]
fn a_run_does_not_go_on_in_another_text() {
    let rig = with_shards();
    rig.done(&format!("train tiny.toml --run r --set train.steps=4 {DATA}"));
    rig.write("shards/4", b"w1 w2\n");
    let message = rig.refused(&format!("train tiny.toml --run r --resume --set train.steps=8 {DATA}"));
    assert!(message.contains("not the one that the run stopped in: 3 files of together "), "{message}");
}

#[test]
fn a_faulty_shard_is_named_with_its_line() {
    let rig = with_shards();
    rig.write("shards/2", b"w1\nw2 \xff\n");
    let message = rig.refused(&format!("train tiny.toml --run r {DATA}"));
    assert!(message.ends_with("shards/2, line 2, byte 4: invalid UTF-8"), "{message}");
    rig.write("shards/2", b"");
    assert!(rig.refused(&format!("train tiny.toml --run r {DATA}")).ends_with("shards/2: the file is empty"));
    fs::remove_dir_all(rig.path("shards")).unwrap();
    fs::create_dir(rig.path("shards")).unwrap();
    let data = DATA.replace("shards/1", "tiny.toml").replace("shards/2", "tiny.toml");
    assert!(
        rig.refused(&format!("train tiny.toml --run r {data}")).ends_with("shards: there is no file in the folder")
    );
}
