use super::*;
use crate::Census;

/// Shards with sentences of 0 to 6 words, some packed, and their vocabulary.
fn shards(files: usize, lines: usize) -> (tempfile::TempDir, Shards, Vocabulary) {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for file in 0..files {
        let line = |line: usize| (0..(line * 5 + file) % 7).map(|word| format!("w{} ", line * word % 11)).collect();
        let text: Vec<String> = (0..lines).map(line).collect();
        let path = folder.path().join(format!("shard-{file:02}"));
        write(&path, &text.join("\n"), file % 2 == 1);
        paths.push(path);
    }
    let census = Census::of(&paths, &|_| ()).unwrap();
    (folder, Shards::new(paths, census.tokens()).unwrap(), census.elect(None).unwrap())
}

fn write(path: &std::path::Path, text: &str, packed: bool) {
    let file = std::fs::File::create(path).unwrap();
    let (mut plain, mut gzip);
    let out: &mut dyn std::io::Write = if packed {
        gzip = flate2::write::GzEncoder::new(file, flate2::Compression::default());
        &mut gzip
    } else {
        plain = file;
        &mut plain
    };
    out.write_all(text.as_bytes()).unwrap();
}

/// The sentences of a text in its order, each with its `<eos>`.
fn sentences(shards: &Shards, vocabulary: &Vocabulary) -> Vec<Vec<u32>> {
    let tokens: Vec<u32> = shards.files.iter().flat_map(|path| vocabulary.encode(path).unwrap()).collect();
    tokens.split_inclusive(|&token| token == vocabulary.eos()).map(<[u32]>::to_vec).collect()
}

#[test]
fn lanes_take_the_next_sentence_of_the_text_as_they_run_empty() {
    let (_folder, shards, vocabulary) = shards(3, 20);
    let sentences = sentences(&shards, &vocabulary);
    let mut windows = shards.windows(&vocabulary, 4, 6).unwrap();
    // The same dealing, from the sentences in memory: lane by lane within a step.
    let mut lanes = vec![VecDeque::new(); 4];
    let mut dealt = sentences.iter().cycle();
    for _ in 0..3 * windows.per_epoch() {
        let window = windows.next_window().unwrap();
        assert_eq!((window.steps, window.batch, window.scored), (6, 4, 24));
        for (place, &target) in window.targets.iter().enumerate() {
            let lane = &mut lanes[place % 4];
            if lane.is_empty() {
                lane.extend(dealt.next().unwrap());
            }
            assert_eq!(lane.pop_front(), Some(target));
        }
    }
}

#[test]
fn an_input_is_the_token_before_its_target_in_the_lane() {
    let (_folder, shards, vocabulary) = shards(2, 20);
    let mut windows = shards.windows(&vocabulary, 3, 5).unwrap();
    let mut before = [vocabulary.eos(); 3];
    for _ in 0..2 * windows.per_epoch() {
        let window = windows.next_window().unwrap();
        for (place, (&input, &target)) in window.inputs.iter().zip(&window.targets).enumerate() {
            assert_eq!(std::mem::replace(&mut before[place % 3], target), input);
        }
    }
}

#[test]
fn windows_do_not_depend_on_where_a_text_is_cut_into_shards() {
    let (folder, shards, vocabulary) = shards(5, 13);
    let text: Vec<String> = sentences(&shards, &vocabulary)
        .iter()
        .map(|sentence| sentence[..sentence.len() - 1].iter().map(|&id| format!("{} ", vocabulary.word(id))).collect())
        .collect();
    let path = folder.path().join("whole");
    write(&path, &text.join("\n"), true);
    let whole = Shards::new(vec![path], shards.tokens).unwrap();
    let (mut a, mut b) = (shards.windows(&vocabulary, 4, 6).unwrap(), whole.windows(&vocabulary, 4, 6).unwrap());
    for _ in 0..2 * a.per_epoch() + 3 {
        assert_eq!(a.next_window().unwrap(), b.next_window().unwrap());
    }
}

#[test]
fn windows_go_on_from_any_kept_place() {
    let (_folder, shards, vocabulary) = shards(3, 20);
    let mut windows = shards.windows(&vocabulary, 4, 6).unwrap();
    let total = 2 * windows.per_epoch() + 1;
    let mut places = Vec::new();
    let mut all = Vec::new();
    for _ in 0..total {
        places.push(toml::to_string(&windows.place()).unwrap());
        all.push(windows.next_window().unwrap());
    }
    for (done, place) in places.iter().enumerate() {
        let mut again = shards.windows(&vocabulary, 4, 6).unwrap();
        again.go_to(&toml::from_str(place).unwrap()).unwrap();
        for window in &all[done..] {
            assert_eq!(&again.next_window().unwrap(), window);
        }
    }
}

#[test]
fn a_place_in_another_text_or_batch_is_refused() {
    let (_folder, shards, vocabulary) = shards(3, 20);
    let place = shards.windows(&vocabulary, 4, 6).unwrap().place();
    let fewer = Shards::new(shards.files[..2].to_vec(), shards.tokens).unwrap();
    for (shards, batch, change, problem) in [
        (&fewer, 4, place.clone(), "3 files of together"),
        (&shards, 5, place.clone(), "4 streams then, 5 now"),
        (&shards, 4, ShardPlace { file: 3, ..place.clone() }, "file 3 of 3"),
        (
            &shards,
            4,
            ShardPlace { lanes: vec![Lane { previous: 99, rest: VecDeque::new() }; 4], ..place },
            "class 99 then",
        ),
    ] {
        let error = shards.windows(&vocabulary, batch, 6).unwrap().go_to(&change).unwrap_err();
        assert!(matches!(error, Error::OtherText { .. }) && error.to_string().contains(problem), "{error}");
    }
}

#[test]
fn what_is_held_in_memory_does_not_grow_with_the_text() {
    let held = |lines: usize| {
        let (_folder, shards, vocabulary) = shards(4, lines);
        let mut windows = shards.windows(&vocabulary, 4, 6).unwrap();
        let most = (0..2 * windows.per_epoch()).map(|_| {
            windows.next_window().unwrap();
            windows.lines.capacity() + windows.lanes.iter().map(|lane| lane.rest.capacity()).sum::<usize>()
        });
        most.max().unwrap()
    };
    assert_eq!(held(20), held(2_000));
}

#[test]
fn a_shard_that_fails_is_named_with_its_line() {
    let (folder, shards, vocabulary) = shards(2, 20);
    let message = |shards: &Shards| {
        let mut windows = shards.windows(&vocabulary, 4, 6).unwrap();
        (0..2 * windows.per_epoch()).find_map(|_| windows.next_window().err()).unwrap().to_string()
    };
    let broken = folder.path().join("broken");
    let with = |content: &[u8]| {
        std::fs::write(&broken, content).unwrap();
        message(&Shards { files: vec![shards.files[0].clone(), broken.clone()], ..shards.clone() })
    };
    assert!(with(b"w1\nw1 \xff\n").ends_with("broken, line 2, byte 4: invalid UTF-8"));
    assert!(with(b"").ends_with("broken: the file is empty"));
    let long = "a ".repeat(LONGEST_LINE as usize);
    assert!(with(long.as_bytes()).contains("broken, line 1: the line has more than 1048576 bytes"));
    let whole = std::fs::read(&shards.files[1]).unwrap();
    assert!(with(&whole[..whole.len() - 9]).contains("broken, line "));
    std::fs::remove_file(&broken).unwrap();
    let lost = Shards { files: vec![shards.files[0].clone(), broken.clone()], ..shards.clone() };
    assert!(message(&lost).ends_with("broken: cannot open the file"));
}

#[test]
fn a_text_without_a_whole_window_is_refused() {
    let (_folder, shards, vocabulary) = shards(1, 3);
    let error = shards.windows(&vocabulary, 40, 6).unwrap_err().to_string();
    assert!(error.starts_with("batch size = 40: a window of 6 steps has 240 tokens, but the text only "), "{error}");
    assert!(shards.windows(&vocabulary, 0, 6).is_err() && shards.windows(&vocabulary, 1, 0).is_err());
}
