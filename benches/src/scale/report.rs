//! What is written of the points: a page with tables and plots, and rows.

use super::plot::{Curve, Plot, PlotError};
use super::sweep::SMALL;
use super::{PROPOSERS, Point, SERVERS, SIZES, Sweep, rate};
use crate::compare::row::Row;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use std::path::Path;
use thiserror::Error;

/// Why the page was not written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// Its directory, or the page.
    #[error("the page: {0}")]
    File(#[from] std::io::Error),
    /// A plot.
    #[error(transparent)]
    Plot(#[from] PlotError),
}

/// Each point by the first of its sweep.
#[must_use]
pub fn rows(points: &[Point]) -> Vec<Row> {
    let row = |p: &Point| {
        let base = rate(points, p.sweep, SERVERS[0], first(p.sweep)).unwrap_or_default();
        let (work, peer) =
            (name(p.sweep, p.servers, p.at), name(p.sweep, SERVERS[0], first(p.sweep)));
        Row::new(work, &peer, p.rate, base, "entries/s")
    };
    points.iter().map(row).collect()
}

fn first(sweep: Sweep) -> u64 {
    match sweep {
        Sweep::Sizes => SIZES[0],
        Sweep::Proposers => PROPOSERS[0],
        Sweep::Core => SMALL,
    }
}

fn name(sweep: Sweep, servers: u64, at: u64) -> String {
    match sweep {
        Sweep::Sizes => format!("{servers} servers, entries of {}", bytes(at)),
        Sweep::Proposers => format!("{servers} servers, proposers that wait: {at}"),
        Sweep::Core => format!("{servers} cores in one thread"),
    }
}

fn bytes(size: u64) -> String {
    match size {
        s if s >= 1 << 20 => format!("{} MiB", s >> 20),
        s if s >= 1 << 10 => format!("{} KiB", s >> 10),
        s => format!("{s} B"),
    }
}

/// Writes the page and its plots into `dir`.
///
/// # Errors
/// [`ReportError`].
pub fn write(dir: &Path, points: &[Point], machine: &str, runs: usize) -> Result<(), ReportError> {
    std::fs::create_dir_all(dir)?;
    for (file, plot) in plots(points) {
        plot.write(&dir.join(file))?;
    }
    std::fs::write(dir.join("README.md"), page(points, machine, runs))?;
    Ok(())
}

fn plots(points: &[Point]) -> [(&'static str, Plot<'static>); 4] {
    let by_servers = |sweep: Sweep, places: &[u64], weight: fn(u64) -> f64| -> Vec<Curve> {
        let base = rate(points, sweep, SERVERS[0], places[0]).unwrap_or(1.0) * weight(places[0]);
        let curve = |servers: &u64| Curve {
            name: format!("{servers} servers"),
            points: places
                .iter()
                .filter_map(|at| {
                    let rate = rate(points, sweep, *servers, *at)?;
                    Some((*at as f64, rate * weight(*at) / base))
                })
                .collect(),
        };
        SERVERS.iter().map(curve).collect()
    };
    let servers = |name: &str, sweep: Sweep, at: u64| Curve {
        name: name.to_owned(),
        points: SERVERS
            .iter()
            .filter_map(|servers| {
                let base = rate(points, sweep, SERVERS[0], at)?;
                Some((*servers as f64, rate(points, sweep, *servers, at)? / base))
            })
            .collect(),
    };
    let sizes = Plot {
        title: "Entries a second by the size of entries",
        across: "bytes of an entry",
        up: "by 3 servers and 16 B",
        curves: by_servers(Sweep::Sizes, &SIZES, |_| 1.0),
    };
    let bandwidth = Plot {
        title: "Bytes a second by the size of entries",
        across: "bytes of an entry",
        up: "by 3 servers and 16 B",
        curves: by_servers(Sweep::Sizes, &SIZES, |size| size as f64),
    };
    let proposers = Plot {
        title: "Entries a second by the number of proposers",
        across: "proposers, one entry open each",
        up: "by 3 servers and 1 proposer",
        curves: by_servers(Sweep::Proposers, &PROPOSERS, |_| 1.0),
    };
    let servers = Plot {
        title: "Entries a second by the number of servers",
        across: "servers",
        up: "by 3 servers",
        curves: vec![
            servers("over TCP, 16 B", Sweep::Sizes, SIZES[0]),
            servers("over TCP, 4 KiB", Sweep::Sizes, 4 << 10),
            servers("over TCP, 64 proposers", Sweep::Proposers, 64),
            servers("cores in one thread", Sweep::Core, SMALL),
        ],
    };
    [
        ("sizes.svg", sizes),
        ("bandwidth.svg", bandwidth),
        ("proposers.svg", proposers),
        ("servers.svg", servers),
    ]
}

fn page(points: &[Point], machine: &str, runs: usize) -> String {
    let sizes = table(points, Sweep::Sizes, &SIZES, bytes, |_| 1.0);
    let bandwidth = table(points, Sweep::Sizes, &SIZES, bytes, |size| size as f64);
    let proposers = table(points, Sweep::Proposers, &PROPOSERS, |n| n.to_string(), |_| 1.0);
    let cores = table(points, Sweep::Core, &[SMALL], |_| "cores, 16 B".to_owned(), |_| 1.0);
    format!(
        "# Scale

Written by `cargo run --release -p omnipaxos-benches --bin scale`; how it is measured, and what it \
says, is in [PERFORMANCE.md](../PERFORMANCE.md#scale).

Machine: {machine}. All servers share it. Runs, of which each figure is the median: {runs}.

Each figure is a ratio to the first one of its table: they say how speed depends on something, not \
how fast anything is.

## Sizes

Entries a second, one proposer with a full window at the leader:

{sizes}

![Entries a second by the size of entries](sizes.svg)

Bytes a second of the same:

{bandwidth}

![Bytes a second by the size of entries](bandwidth.svg)

## Proposers

Entries of 16 B a second, each proposer waits for its entry before it makes the next:

{proposers}

![Entries a second by the number of proposers](proposers.svg)

## Servers

The cores in one thread, without a network, window 1024:

{cores}

![Entries a second by the number of servers](servers.svg)
"
    )
}

fn table(
    points: &[Point],
    sweep: Sweep,
    places: &[u64],
    label: impl Fn(u64) -> String,
    weight: impl Fn(u64) -> f64,
) -> String {
    let base = rate(points, sweep, SERVERS[0], places[0]).unwrap_or(1.0) * weight(places[0]);
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    let header = SERVERS.iter().map(|servers| format!("{servers} servers"));
    table.set_header(std::iter::once(String::new()).chain(header));
    for at in places {
        let cell = |servers: &u64| {
            let rate = rate(points, sweep, *servers, *at);
            rate.map_or("-".to_owned(), |rate| ratio(rate * weight(*at) / base))
        };
        table.add_row(std::iter::once(label(*at)).chain(SERVERS.iter().map(cell)));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// Three digits that count.
fn ratio(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 0.1 => format!("{v:.2}"),
        v => format!("{v:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Point, SERVERS, SIZES, Sweep, rows, write};
    use tempfile::TempDir;

    #[test]
    fn all_is_by_the_first_point() {
        let point = |servers, at, rate| Point { sweep: Sweep::Sizes, servers, at, rate };
        let points: Vec<Point> = SERVERS
            .iter()
            .flat_map(|n| SIZES.iter().map(|size| point(*n, *size, 12.0 / *n as f64)))
            .collect();
        let of = rows(&points);
        assert_eq!((of[0].ratio, of[0].work.as_str()), (1.0, "3 servers, entries of 16 B"));
        assert_eq!(of.last().unwrap().ratio, 1.0 / 3.0);
        let dir = TempDir::new().unwrap();
        write(dir.path(), &points, "a machine", 3).unwrap();
        let page = std::fs::read_to_string(dir.path().join("README.md")).unwrap();
        assert!(page.contains("Machine: a machine."));
        assert!(page.contains("| 64 KiB"), "{page}");
        for plot in ["sizes.svg", "bandwidth.svg", "proposers.svg", "servers.svg"] {
            assert!(page.contains(plot) && dir.path().join(plot).exists(), "{plot}");
        }
    }
}
