//! A laggard catches up, beside the crate `omnipaxos`.

use omnipaxos_benches::compare::group::{GroupError, Library};
use omnipaxos_benches::compare::row::Row;
use omnipaxos_benches::compare::sync::lag::{Case, Caught, Log};
use omnipaxos_benches::compare::sync::step;
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

/// All rows.
pub(crate) fn rows(
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
                rows.push(Row::new(work, peer.name(), ours, theirs, unit).ratio(ratio));
            }
        }
    }
    Ok(rows)
}
