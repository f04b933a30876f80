//! `rfs data fetch`.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rf_data::{FetchConfig, FetchEvent};

use super::of_data;
use crate::args::FetchArgs;
use crate::commands::told::size;
use crate::meter::Meter;

/// Fetches every file of a data set that is not there yet.
pub fn run(args: &FetchArgs) -> anyhow::Result<()> {
    let manifest = super::manifest(args.manifest.as_deref())?;
    let dataset = of_data(manifest.dataset(&args.name))?;
    let root = rf_data::data_root();
    eprintln!("{}\nlicence: {}\nfrom: {}", dataset.title, dataset.licence, dataset.page);
    let config = FetchConfig { root: root.clone(), url: args.url.clone(), pause: Duration::from_secs(2) };
    let mut screen = Screen::default();
    let fetched = rf_data::fetch(dataset, &config, &mut |event| screen.show(event));
    screen.clear();
    let again = || format!("{} was not fetched whole; the same command tries again", dataset.name);
    match fetched {
        Err(error) if !error.is_bad_input() => return Err(error).with_context(again),
        other => of_data(other)?,
    }
    println!("{} is in {}", dataset.name, root.display());
    Ok(())
}

/// What is seen of a download: lines, and one meter at a time.
#[derive(Default)]
struct Screen {
    meter: Option<Meter>,
}

impl Screen {
    fn show(&mut self, event: FetchEvent<'_>) {
        match event {
            FetchEvent::Bytes(bytes) => self.meter.iter().for_each(|meter| meter.add(bytes)),
            FetchEvent::Start { url, from, total } => {
                let on = if from > 0 { format!("going on after {}: ", size(from)) } else { String::new() };
                self.say(&format!("{on}{url}"));
                self.meter = Some(Meter::start(name(Path::new(url)), from, total));
            }
            FetchEvent::Unpack { path, total } => {
                self.say(&format!("unpacking {}", path.display()));
                self.meter = Some(Meter::start(format!("unpacking {}", name(path)), 0, Some(total)));
            }
            FetchEvent::There(path) => self.say(&format!("{}: already there", path.display())),
            FetchEvent::Again(error) => self.say(&format!("{error}; trying again")),
            FetchEvent::Check(path) => self.say(&format!("comparing the checksum of {}", name(path))),
            FetchEvent::Unverified { path, sha256 } => {
                self.say(&format!("{}: SHA-256 {sha256}, not verified: none is known", path.display()));
            }
            FetchEvent::Done(path) => self.say(&format!("{}: done", path.display())),
        }
    }

    /// A line in place of the meter.
    fn say(&mut self, text: &str) {
        self.clear();
        eprintln!("{text}");
    }

    fn clear(&mut self) {
        if let Some(meter) = self.meter.take() {
            meter.finish();
        }
    }
}

/// The last part of a path or an address.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
