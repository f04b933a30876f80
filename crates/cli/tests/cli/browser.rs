//! The page of `rfs report` as a browser shows it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::report::{page, runs};
use crate::rig::{Rig, text};

/// Shows a page in a frame of a width, and writes down what came of it.
const PROBE: &str = r#"<!DOCTYPE html><meta charset="utf-8"><iframe id="frame" width="WIDTH" height="900" srcdoc="PAGE"></iframe>
<pre id="probe"></pre><script>
addEventListener("load", () => {
  const page = frame.contentDocument, root = page.documentElement;
  const boxes = [...page.querySelectorAll("svg")].map(svg => svg.getBoundingClientRect());
  const outside = [...page.querySelectorAll("h1, h2, h3, p, figure, .scroll, nav")]
    .filter(part => part.getBoundingClientRect().right > root.clientWidth + 0.5);
  const shapes = [...page.querySelectorAll("svg text, svg polyline")];
  document.getElementById("probe").textContent = JSON.stringify({
    width: root.clientWidth, needed: root.scrollWidth, plots: boxes.length,
    narrowest: Math.min(...boxes.map(box => box.width)), lowest: Math.min(...boxes.map(box => box.height)),
    outside: outside.length, fetched: frame.contentWindow.performance.getEntriesByType("resource").length,
    empty: shapes.filter(shape => shape.getBoundingClientRect().width + shape.getBoundingClientRect().height === 0).length,
    paper: getComputedStyle(page.body).backgroundColor, ink: getComputedStyle(page.querySelector("svg text")).fill
  });
});
</script>"#;

/// A browser, or a line on stderr that the test is skipped.
fn chromium(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("RFS_CHROMIUM").map(PathBuf::from);
    let names = ["chromium", "chromium-browser", "google-chrome"].map(PathBuf::from);
    let found = named.into_iter().chain(names).find(|name| Command::new(name).arg("--version").output().is_ok());
    if found.is_none() {
        eprintln!(
            "skipped {test}: no chromium, chromium-browser or google-chrome on PATH, and RFS_CHROMIUM is not set"
        );
    }
    found
}

/// What the browser makes of a file, and what it says meanwhile.
fn shown(chromium: &Path, file: &Path, more: &[&str]) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let mut folder = OsString::from("--user-data-dir=");
    folder.push(profile.path());
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        "--virtual-time-budget=5000",
        "--dump-dom",
    ];
    let output = Command::new(chromium).args(flags).args(more).arg(folder).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What the probe found of the page in a frame of a width.
fn probed(rig: &Rig, chromium: &Path, page: &str, width: u32, more: &[&str]) -> Value {
    let quoted = page.replace('&', "&amp;").replace('"', "&quot;");
    let probe = PROBE.replace("WIDTH", &width.to_string()).replace("PAGE", &quoted);
    rig.write("probe.html", probe.as_bytes());
    let (dom, said) = shown(chromium, &rig.path("probe.html"), more);
    assert!(!said.contains("CONSOLE"), "{said}");
    let found = dom.split_once("<pre id=\"probe\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    serde_json::from_str(found.expect("a probe").0).expect("what the probe found")
}

#[test]
fn a_browser_shows_every_plot_without_an_error_and_fetches_nothing() {
    let Some(chromium) = chromium("a_browser_shows_every_plot_without_an_error_and_fetches_nothing") else { return };
    let rig = runs();
    let page = page(&rig);
    let (dom, said) = shown(&chromium, &rig.path("report.html"), &[]);
    assert!(dom.contains("<h1>Five&amp;runs</h1>"), "{dom}");
    assert_eq!(dom.matches("<svg").count(), 7);
    assert!(!said.contains("CONSOLE"), "{said}");
    for width in [360, 768, 1200] {
        let found = probed(&rig, &chromium, &page, width, &[]);
        assert_eq!((&found["plots"], &found["fetched"], &found["empty"]), (&7.into(), &0.into(), &0.into()), "{found}");
        assert!(found["narrowest"].as_f64() > Some(250.0) && found["lowest"].as_f64() > Some(180.0), "{found}");
        // Nothing makes the page wider than its window.
        assert!(found["needed"].as_u64() <= found["width"].as_u64() && found["outside"] == 0, "{width}: {found}");
    }
}

#[test]
fn a_browser_shows_light_and_dark_as_the_reader_prefers() {
    let Some(chromium) = chromium("a_browser_shows_light_and_dark_as_the_reader_prefers") else { return };
    let rig = Rig::new();
    rig.done("train tiny.toml --run all --set train.steps=4");
    let page = page(&rig);
    let colours = |preference: u32| {
        let flag = format!("--blink-settings=preferredColorScheme={preference}");
        let found = probed(&rig, &chromium, &page, 800, &[&flag]);
        [&found["paper"], &found["ink"]].map(|colour| colour.as_str().unwrap().to_owned())
    };
    assert_eq!(colours(0), ["rgb(15, 18, 22)", "rgb(232, 235, 238)"]);
    assert_eq!(colours(1), ["rgb(246, 247, 249)", "rgb(27, 33, 39)"]);
}
