//! Who takes part: samplers by their names in configurations, and rivals that exist for the comparison alone.

use rf_sampling::{RffConfig, SamplerConfig};
use rf_softmax::{LossConfig, Sharing};
use toml::{Table, Value};

use crate::args::Bench;

/// One of the compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Entrant {
    /// A sampler that configurations can name.
    Sampler(SamplerConfig),
    /// The exact softmax by a matrix product in blocks, sums of blocks and their inverse distribution function.
    ExpBlocks,
    /// The exact softmax by a matrix product in blocks and one Gumbel variable for each logit.
    ExpGumbel,
    /// burn's own embedding with dense gradients and a dense Adam.
    DenseAdam,
}

/// Names beside those of configurations: leaf laws of RF-softmax, and the rivals.
const EXTRA: [&str; 5] = ["rff-gauss", "rff-exact", EXP_BLOCKS, EXP_GUMBEL, DENSE_ADAM];
const EXP_BLOCKS: &str = "exp-blocks";
const EXP_GUMBEL: &str = "exp-gumbel";
const DENSE_ADAM: &str = "dense-adam";

impl Entrant {
    /// Reads `rff`, `rff-gauss`, `uniform`, … or a name with settings, `rff:nu=2,prior=0.75`.
    pub fn parse(text: &str, bench: Bench) -> Result<Self, String> {
        let (name, settings) = text.split_once(':').map_or((text, ""), |(name, settings)| (name, settings));
        let rival = match name {
            EXP_BLOCKS => Self::ExpBlocks,
            EXP_GUMBEL => Self::ExpGumbel,
            DENSE_ADAM => Self::DenseAdam,
            _ => return sampler(name, settings).map(Self::Sampler),
        };
        if !settings.is_empty() {
            return Err(format!("`{name}` has no settings"));
        }
        let home = if rival == Self::DenseAdam { Bench::Step } else { Bench::Draws };
        if bench != home {
            return Err(format!("`{name}` takes part in `rfs bench {}` only", home.name()));
        }
        Ok(rival)
    }

    /// Changes a setting of a sampler that has it; the others keep still.
    pub fn set(&mut self, key: &str, value: serde_json::Value) -> Result<(), serde_json::Error> {
        let Self::Sampler(config) = self else { return Ok(()) };
        let mut settings = serde_json::to_value(&*config)?;
        if let Some(setting) = settings.get_mut(key) {
            *setting = value;
            *config = serde_json::from_value(settings)?;
        }
        Ok(())
    }

    /// Refuses draws shared by a batch from who cannot make them, with the reason.
    pub fn check_shared(&self) -> Result<(), String> {
        let Self::Sampler(sampler) = self else { return Err("each query has draws of its own there".into()) };
        let loss = LossConfig { sharing: Sharing::Batch, sampler: sampler.clone(), ..LossConfig::default() };
        loss.check_sharing().map_err(|error| error.to_string())
    }

    /// Settings of RF-softmax, if it is that.
    pub fn rff(&self) -> Option<&RffConfig> {
        match self {
            Self::Sampler(SamplerConfig::Rff(config)) => Some(config),
            _ => None,
        }
    }
}

fn sampler(name: &str, settings: &str) -> Result<SamplerConfig, String> {
    let mut table = Table::new();
    let kind = match name {
        "rff-gauss" | "rff-exact" => {
            table.insert("leaf_law".into(), name.trim_start_matches("rff-").into());
            "rff"
        }
        kind => kind,
    };
    table.insert("kind".into(), kind.into());
    for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
        let (key, value) = setting.split_once('=').ok_or(format!("`{setting}` is no setting like `nu=2`"))?;
        table.insert(key.trim().into(), self::value(value.trim()));
    }
    table.try_into().map_err(|error: toml::de::Error| match error.message() {
        message if message.starts_with("unknown variant") => format!("{message}, `{}`", EXTRA.join("`, `")),
        message => message.to_owned(),
    })
}

/// A number or truth value as TOML has them; anything else is a word.
fn value(text: &str) -> Value {
    let whole = text.parse().map(Value::Integer).ok();
    let number = whole.or_else(|| text.parse().map(Value::Float).ok());
    number.or_else(|| text.parse().map(Value::Boolean).ok()).unwrap_or_else(|| Value::String(text.into()))
}

#[cfg(test)]
mod tests {
    use rf_sampling::LeafLaw;

    use super::*;

    fn parse(text: &str) -> Result<Entrant, String> {
        Entrant::parse(text, Bench::Draws)
    }

    #[test]
    fn the_plain_name_is_the_published_setting() {
        let published = parse("rff").unwrap();
        assert_eq!(published.rff(), Some(&RffConfig::default()));
        let config = published.rff().unwrap();
        assert_eq!((config.features, config.nu, config.prior, config.leaf_law), (1024, 4.0, 0.0, LeafLaw::Features));
        let gauss = RffConfig { leaf_law: LeafLaw::Gauss, ..RffConfig::default() };
        assert_eq!(parse("rff-gauss").unwrap().rff(), Some(&gauss));
        assert_eq!(parse("uniform"), Ok(Entrant::Sampler(SamplerConfig::Uniform {})));
    }

    #[test]
    fn settings_follow_a_name() {
        let wanted = RffConfig { nu: 2.0, prior: 0.75, leaf_law: LeafLaw::Exact, ..RffConfig::default() };
        for text in ["rff:nu=2.0,prior=0.75,leaf_law=exact", "rff-exact:nu=2.0,prior=0.75"] {
            assert_eq!(parse(text).unwrap().rff(), Some(&wanted), "{text}");
        }
    }

    #[test]
    fn a_name_that_is_not_known_is_answered_with_all_that_are() {
        let message = parse("rfff").unwrap_err();
        for known in ["`rfff`", "`uniform`", "`quadratic`", "`rff`", "`rff-gauss`", "`exp-gumbel`", "`dense-adam`"] {
            assert!(message.contains(known), "{message}");
        }
        assert!(parse("rff:mu=2").unwrap_err().contains("unknown field `mu`"));
        assert!(parse("rff:nu").unwrap_err().contains("`nu` is no setting"));
        assert_eq!(parse("exp-blocks:nu=2").unwrap_err(), "`exp-blocks` has no settings");
    }

    #[test]
    fn a_setting_reaches_the_samplers_that_have_it() {
        for (name, wanted) in [("rff", Some(16)), ("rff-gauss", Some(16)), ("uniform", None), ("exp-blocks", None)] {
            let mut entrant = parse(name).unwrap();
            entrant.set("leaf_size", 16.into()).unwrap();
            assert_eq!(entrant.rff().and_then(|config| config.leaf_size), wanted, "{name}");
        }
    }

    #[test]
    fn samplers_with_a_law_of_the_batch_share_draws() {
        for name in ["uniform", "log-uniform", "unigram", "exp", "cluster:levels=2", "rff", "midx"] {
            assert_eq!(parse(name).unwrap().check_shared(), Ok(()), "{name}");
        }
        for name in ["rff-gauss", "rff:leaf_law=exact", "quadratic", "exp-blocks"] {
            assert!(parse(name).unwrap().check_shared().is_err(), "{name}");
        }
    }

    #[test]
    fn rivals_stay_in_their_own_bench() {
        assert_eq!(parse("dense-adam").unwrap_err(), "`dense-adam` takes part in `rfs bench step` only");
        assert!(Entrant::parse("exp-gumbel", Bench::Step).unwrap_err().contains("`rfs bench draws` only"));
    }
}
