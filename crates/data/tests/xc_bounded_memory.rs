//! Reading points takes their own memory and a few blocks. The only test of its process: the peak is the process's own.

use std::io::{BufWriter, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use rf_data::read_points;

/// Peak resident bytes of this process; `None` where the system does not tell.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// Points in the file.
const POINTS: usize = 40_000;

/// Features of a point.
const SHOWN: usize = 150;

/// A packed file of 6 million features.
fn write(file: &std::fs::File) {
    let mut out = BufWriter::new(GzEncoder::new(file, Compression::fast()));
    writeln!(out, "{POINTS} 1000000 50000").unwrap();
    for point in 0..POINTS {
        write!(out, "{},{}", point % 25_000, 25_000 + point % 10_000).unwrap();
        for place in 0..SHOWN {
            write!(out, " {}:{}.{:04}", 900_000 / SHOWN * place + point % 600 * 10, place % 10, point % 10_000)
                .unwrap();
        }
        writeln!(out).unwrap();
    }
    out.into_inner().unwrap().finish().unwrap();
}

#[test]
fn a_packed_file_of_80_mib_is_read_in_16_mib_more_than_its_points_take() {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.as_file());
    let Some(before) = peak() else {
        eprintln!("skipped: the system does not tell the peak memory of a process");
        return;
    };
    let points = read_points(file.path(), 1_000_000, 50_000).unwrap();
    assert_eq!((points.len(), points.features.nonzeros(), points.labels.total()), (POINTS, POINTS * SHOWN, 2 * POINTS));
    let own = 8 * points.features.nonzeros() as u64 + 4 * points.labels.total() as u64 + 24 * POINTS as u64;
    let taken = peak().unwrap() - before;
    assert!(taken < own + (16 << 20), "{taken} bytes for {own}");
}
