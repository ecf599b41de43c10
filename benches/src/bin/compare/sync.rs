//! A laggard catches up: in one thread beside the crate `omnipaxos`, and over TCP and real disks.

use omnipaxos_benches::compare::cluster::floor;
use omnipaxos_benches::compare::group::{GroupError, Library};
use omnipaxos_benches::compare::row::{Goal, Row};
use omnipaxos_benches::compare::sync::lag::{Case, Caught, Log};
use omnipaxos_benches::compare::sync::step;
use omnipaxos_benches::compare::sync::tcp::{self, CaughtOver};
use omnipaxos_benches::durable::stats::{Spread, ratios};
use std::path::Path;

/// What is lacking.
const LOG: Log = Log { entries: 1_000_000, payload: 256 };

const PEERS: [Library; 2] = [Library::Omnipaxos, Library::OmnipaxosShared];

/// How often each is measured at the most: its processes need seconds to get there.
const MOST_RUNS: usize = 3;

const MIB: f64 = (1 << 20) as f64;

/// What is compared: its name, its unit, and how it is read.
type Figure = (&'static str, &'static str, fn(&Caught) -> f64);

const FIGURES: [Figure; 4] = [
    ("", "ms", |caught| caught.seconds * 1e3),
    (", memory", "MiB", |caught| caught.grown as f64 / MIB),
    (", largest message", "KiB", |caught| caught.largest as f64 / 1024.0),
    (", longest pause of a server", "ms", |caught| caught.pause * 1e3),
];

/// All rows; `disk` is where logs are kept.
pub(crate) fn rows(
    program: &Path,
    disk: &Path,
    runs: usize,
    mut done: impl FnMut(),
) -> Result<Vec<Row>, GroupError> {
    let mut rows = in_one_thread(program, runs, &mut done)?;
    rows.extend(over_tcp(program, disk, runs, &mut done)?);
    Ok(rows)
}

fn in_one_thread(
    program: &Path,
    runs: usize,
    mut done: impl FnMut(),
) -> Result<Vec<Row>, GroupError> {
    let mut rows = Vec::new();
    for case in Case::ALL {
        let (mut ours, mut theirs) = (Vec::new(), PEERS.map(|_| Vec::new()));
        for _ in 0..runs.min(MOST_RUNS) {
            ours.push(step::lag(program, Library::Ours, case, LOG)?);
            for (peer, theirs) in PEERS.into_iter().zip(&mut theirs) {
                theirs.push(step::lag(program, peer, case, LOG)?);
            }
            done();
        }
        for (figure, unit, read) in FIGURES {
            for (peer, theirs) in PEERS.into_iter().zip(&theirs) {
                let of = |caught: &[Caught]| caught.iter().map(read).collect::<Vec<f64>>();
                let (ours, theirs) = (of(&ours), of(theirs));
                let ratio = Spread::of(&ratios(&ours, &theirs)).median;
                let (ours, theirs) = (Spread::of(&ours).median, Spread::of(&theirs).median);
                let work = format!("{}{figure}", case.text());
                let row = Row::new(work, peer.name(), ours, theirs, unit).ratio(ratio);
                rows.push(row.goal(Goal::AtMost(1.0)));
            }
        }
    }
    Ok(rows)
}

/// MiB that a server may need beyond what it has at the start.
const MOST_MIB: f64 = 64.0;

/// Microseconds that a slow user works on 256 KiB.
const SLOW: u64 = 5_000;

type Grown = (&'static str, fn(&CaughtOver) -> u64);

const GROWN: [Grown; 3] = [
    ("leader", |caught| caught.leader),
    ("other follower", |caught| caught.follower),
    ("laggard", |caught| caught.laggard),
];

fn over_tcp(
    program: &Path,
    disk: &Path,
    runs: usize,
    mut done: impl FnMut(),
) -> Result<Vec<Row>, GroupError> {
    let mut rows = Vec::new();
    let bytes = LOG.entries * LOG.payload as u64;
    for (user, slow) in [("", None), (", slow user", Some(SLOW))] {
        let (mut caught, mut floors) = (Vec::new(), Vec::new());
        for _ in 0..runs.min(MOST_RUNS) {
            let messages = bytes / FLOOR_PAYLOAD as u64;
            floors.push(floor::run(FLOOR_PAYLOAD, FLOOR_WINDOW, messages)?.seconds);
            caught.push(tcp::measure(program, disk, LOG, slow)?);
            done();
        }
        let work = format!("1 of 3 servers lags, TCP and disks{user}");
        let seconds: Vec<f64> = caught.iter().map(|caught| caught.seconds).collect();
        let ratio = Spread::of(&ratios(&seconds, &floors)).median;
        let (ours, theirs) = (Spread::of(&seconds).median, Spread::of(&floors).median);
        let peer = "Kompact, one way";
        rows.push(Row::new(work.clone(), peer, ours * 1e3, theirs * 1e3, "ms").ratio(ratio));
        for (who, read) in GROWN {
            let most = caught.iter().map(read).max().unwrap_or_default() as f64 / MIB;
            let work = format!("{work}, memory of the {who}, most");
            let row = Row::new(work, "the goal", most, MOST_MIB, "MiB");
            rows.push(row.goal(Goal::AtMost(1.0)));
        }
    }
    Ok(rows)
}

/// Messages of Kompact alone that carry the same bytes.
const FLOOR_PAYLOAD: usize = 4096;
const FLOOR_WINDOW: u64 = 2048;
