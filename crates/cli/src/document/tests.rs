use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    name: String,
    #[serde(default)]
    train: Train,
    #[serde(default)]
    loss: Option<Loss>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Train {
    epochs: Option<usize>,
    steps: Option<usize>,
    rate: f64,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Loss {
    Full {},
    Sampled { draws: usize, sampler: Option<Sampler> },
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Sampler {
    Uniform {},
    Rff { features: usize },
}

const TEXT: &str = "name = 'a'\n[train]\nepochs = 2\nrate = 1\n\n[loss]\nkind = 'sampled'\ndraws = 10\n\
                    [loss.sampler]\nkind = 'rff'\nfeatures = 64\n";

fn read(text: &str, overrides: &[&str]) -> anyhow::Result<Whole> {
    let mut document = Document::parse(Path::new("a.toml"), text)?;
    for change in overrides {
        document.set(&change.parse().unwrap())?;
    }
    Ok(document.read()?.0)
}

fn message(text: &str, overrides: &[&str]) -> String {
    format!("{:#}", read(text, overrides).unwrap_err())
}

#[test]
fn an_override_changes_adds_and_may_be_a_bare_word() {
    let whole = read(TEXT, &["name=ptb/train.txt", "train.rate = 2.5", "loss.draws=7", "name=b c"]).unwrap();
    assert_eq!((whole.name.as_str(), whole.train.rate), ("b c", 2.5));
    assert!(matches!(whole.loss, Some(Loss::Sampled { draws: 7, .. })));
    let whole = read("name = 'a'", &["loss={kind='sampled', draws=3}", "loss.sampler.kind=uniform"]).unwrap();
    assert_eq!(whole.loss, Some(Loss::Sampled { draws: 3, sampler: Some(Sampler::Uniform {}) }));
}

#[test]
fn none_takes_a_setting_away() {
    let whole = read(TEXT, &["train.epochs=none", "loss=none"]).unwrap();
    assert_eq!((whole.train.epochs, whole.train.rate, whole.loss), (None, 1.0, None));
    assert_eq!(read(TEXT, &["train.epochs=none", "train.epochs=5"]).unwrap().train.epochs, Some(5));
    assert_eq!(read(TEXT, &["train.steps=none"]).unwrap().train.epochs, Some(2));
    assert_eq!(read(TEXT, &["name=\"none\""]).unwrap().name, "none");
    assert_eq!(message(TEXT, &["name=none"]), "a.toml: missing field `name`");
}

#[test]
fn taking_away_a_setting_that_does_not_exist_is_refused() {
    let wanted = "--set train.rat=none: unknown field `rat`, expected one of `epochs`, `steps`, `rate`";
    assert_eq!(message(TEXT, &["train.rat=none"]), wanted);
    assert!(message(TEXT, &["trian.rate=none"]).starts_with("--set trian.rate=none: unknown field `trian`"));
    let wanted = "--set loss.sampler.featurs=none: unknown field `featurs`, expected `features`";
    assert_eq!(message(TEXT, &["loss.sampler.featurs=none"]), wanted);
}

#[test]
fn steps_replace_epochs_and_the_reverse() {
    let length = |overrides: &[&str]| {
        let train = read(TEXT, overrides).unwrap().train;
        (train.epochs, train.steps)
    };
    assert_eq!(length(&["train.steps=9"]), (None, Some(9)));
    assert_eq!(length(&["train.steps=9", "train.epochs=4"]), (Some(4), None));
    assert_eq!(length(&["train.epochs=4", "train.steps=9"]), (None, Some(9)));
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_allowed_keys() {
    let text = TEXT.replace("rate", "rat");
    assert_eq!(
        message(&text, &[]),
        "a.toml, line 4, train.rat: unknown field `rat`, expected one of `epochs`, `steps`, `rate`"
    );
    let text = TEXT.replace("features", "featurs");
    assert_eq!(
        message(&text, &[]),
        "a.toml, line 11, loss.sampler.featurs: unknown field `featurs`, expected `features`"
    );
    let text = format!("seed = 3\n{TEXT}");
    assert!(message(&text, &[]).starts_with("a.toml, line 1, seed: unknown field `seed`, expected one of `name`"));
}

#[test]
fn an_unknown_key_of_an_override_is_named_with_the_override() {
    assert_eq!(
        message(TEXT, &["train.rat=3"]),
        "--set train.rat=3: unknown field `rat`, expected one of `epochs`, `steps`, `rate`"
    );
    assert!(message(TEXT, &["trains.rate=3"]).starts_with("--set trains.rate=3: unknown field `trains`"));
}

#[test]
fn a_value_of_the_wrong_type_is_named_wherever_it_is() {
    assert_eq!(
        message(&TEXT.replace("rate = 1", "rate = 'x'"), &[]),
        "a.toml, line 4, train.rate: invalid type: string \"x\", expected f64"
    );
    assert_eq!(
        message(&TEXT.replace("64", "-64"), &[]),
        "a.toml, line 11, loss.sampler.features: invalid value: integer `-64`, expected usize"
    );
    assert_eq!(message(TEXT, &["loss.draws=1O"]), "--set loss.draws=1O: invalid type: string \"1O\", expected usize");
}

#[test]
fn an_unknown_kind_is_named_with_the_allowed_ones() {
    assert_eq!(
        message(&TEXT.replace("rff", "ref"), &[]),
        "a.toml, line 10, loss.sampler.kind: unknown variant `ref`, expected `uniform` or `rff`"
    );
    let wanted = "--set loss.kind=ful: unknown variant `ful`, expected `full` or `sampled`";
    assert_eq!(message(TEXT, &["loss.kind=ful"]), wanted);
}

#[test]
fn a_missing_key_is_named_with_the_table_it_should_be_in() {
    assert_eq!(message("[train]", &[]), "a.toml: missing field `name`");
    assert_eq!(message(&TEXT.replace("draws = 10", ""), &[]), "a.toml, line 6, loss: missing field `draws`");
}

#[test]
fn an_override_of_a_kind_leaves_out_what_only_the_former_kind_has() {
    assert_eq!(read(TEXT, &["loss.kind=full"]).unwrap().loss, Some(Loss::Full {}));
    let whole = read(TEXT, &["loss.sampler.kind=uniform"]).unwrap();
    assert_eq!(whole.loss, Some(Loss::Sampled { draws: 10, sampler: Some(Sampler::Uniform {}) }));
}

#[test]
fn an_override_of_a_kind_forgives_neither_other_overrides_nor_the_same_kind() {
    let overrides = ["loss.sampler.kind=uniform", "loss.sampler.features=3"];
    assert!(message(TEXT, &overrides).starts_with("--set loss.sampler.features=3: unknown field `features`"));
    let text = TEXT.replace("draws = 10", "draws = 10\nextra = 1");
    assert!(message(&text, &["loss.kind=full"]).starts_with("a.toml, line 9, loss.extra: unknown field"));
    assert!(message(&text, &["loss.kind=sampled"]).starts_with("a.toml, line 9, loss.extra: unknown field"));
}

#[test]
fn bad_syntax_is_named_with_its_line() {
    assert!(message("name = 'a'\ntrain = [", &[]).starts_with("a.toml, line 2: "));
    assert!(message("name = 'a'\nname = 'b'", &[]).starts_with("a.toml, line 2: duplicate key"));
    assert!(message(TEXT, &["name='b"]).starts_with("--set name='b: "));
    assert_eq!(message(TEXT, &["name.first=b"]), "--set name.first=b: `name` is not a table");
    assert!("seed".parse::<Override>().is_err() && "a..b=1".parse::<Override>().is_err());
}
