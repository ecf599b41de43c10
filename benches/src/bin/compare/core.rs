//! The core beside other cores, in one thread.

use omnipaxos_benches::compare::count::{Counted, has_valgrind, idle, per_entry};
use omnipaxos_benches::compare::group::{GroupError, Library, Place};
use omnipaxos_benches::compare::row::{Goal, Row};
use omnipaxos_benches::compare::speed::{self, Effort};
use omnipaxos_benches::compare::trims;
use omnipaxos_benches::compare::workload::Workload;
use std::path::Path;

const PEERS: [Library; 3] = [Library::Omnipaxos, Library::OmnipaxosShared, Library::Raft];

/// Instructions of one entry at all three servers, the harness included.
const MOST_INSTRUCTIONS: f64 = 800.0;

/// Heap allocations of one entry, its payload not counted.
const MOST_ALLOCATIONS: f64 = 0.1;

const MOST_TRIM_MS: f64 = 20.0;

/// All rows of the core.
pub(crate) fn rows(
    effort: Effort,
    programs: &Path,
    mut done: impl FnMut(),
) -> Result<Vec<Row>, GroupError> {
    let mut rows = Vec::new();
    let load = |servers, window, payload, at| Workload { servers, window, payload, at };
    for (window, payload) in [(1024, 16), (1024, 256), (1, 16), (1, 256)] {
        let load = load(3, window, payload, Place::Leader);
        for peer in PEERS {
            let compared = speed::compare(peer, &load, effort)?;
            let goal = match (peer, window, payload) {
                (Library::Raft, 1024, _) => Some(5.0),
                (Library::Omnipaxos, 1024, 16) => Some(2.0),
                (Library::Omnipaxos, 1024, _) => Some(3.0),
                (Library::Omnipaxos, ..) => Some(1.5),
                _ => None,
            };
            let work = format!("3 servers, window {window}, {payload} B");
            let (ours, theirs) = (compared.ours.median, compared.theirs.median);
            let row = Row::new(work, peer.name(), ours, theirs, "entries/s");
            let row = row.ratio(compared.ratio.median);
            rows.push(match goal {
                Some(goal) => row.goal(Goal::AtLeast(goal)),
                None => row,
            });
            done();
        }
    }
    // Cost an entry of five servers, as a multiple of that of three: four followers by two.
    let (five, three) = (load(5, 1024, 16, Place::Leader), load(3, 1024, 16, Place::Leader));
    let compared = speed::against(&three, &five, effort)?;
    let (ours, theirs) = (1e9 / compared.theirs.median, 1e9 / compared.ours.median);
    let row = Row::new("5 servers".to_owned(), "3 servers, ours", ours, theirs, "ns/entry");
    rows.push(row.ratio(compared.ratio.median).goal(Goal::AtMost(2.0)));
    done();
    let follower = load(3, 1024, 16, Place::Follower);
    let compared = speed::against(&three, &follower, effort)?;
    let (ours, theirs) = (1e9 / compared.theirs.median, 1e9 / compared.ours.median);
    let work = "proposed at a follower".to_owned();
    let row = Row::new(work, "at the leader, ours", ours, theirs, "ns/entry");
    rows.push(row.ratio(compared.ratio.median).goal(Goal::AtMost(1.3)));
    done();
    rows.extend(trims(&mut done)?);
    rows.extend(counts(programs, &three, &mut done)?);
    Ok(rows)
}

/// Milliseconds of all trims of a long log.
fn trims(mut done: impl FnMut()) -> Result<Vec<Row>, GroupError> {
    let work = format!("trim {} entries in steps of {}", trims::ENTRIES, trims::STEP);
    let ours = trims::ours()?.as_secs_f64() * 1e3;
    let theirs = trims::theirs()?.as_secs_f64() * 1e3;
    done();
    let goal = Row::new(work.clone(), "the goal", ours, MOST_TRIM_MS, "ms");
    let peer = Row::new(work, Library::Omnipaxos.name(), ours, theirs, "ms");
    Ok(vec![goal.goal(Goal::AtMost(1.0)), peer])
}

fn counts(
    programs: &Path,
    load: &Workload,
    mut done: impl FnMut(),
) -> Result<Vec<Row>, GroupError> {
    let mut rows = Vec::new();
    let kinds = [
        (Counted::Instructions, "instructions/entry", MOST_INSTRUCTIONS, has_valgrind()),
        (Counted::Allocations, "allocations/entry", MOST_ALLOCATIONS, true),
    ];
    for (counted, unit, most, possible) in kinds {
        if !possible {
            eprintln!("compare: no valgrind here, so {unit} are not counted");
            continue;
        }
        let count = |library| per_entry(programs, library, load, counted);
        let ours = count(Library::Ours)?;
        let work = "3 servers, window 1024, 16 B".to_owned();
        let row = Row::new(work.clone(), "the goal", ours, most, unit);
        rows.push(row.goal(Goal::AtMost(1.0)));
        for peer in PEERS {
            rows.push(Row::new(work.clone(), peer.name(), ours, count(peer)?, unit));
        }
        done();
    }
    let allocated = idle(programs)? as f64;
    let row =
        Row::new("idle ticks of 9 servers".to_owned(), "the goal", allocated, 0.0, "allocations");
    rows.push(row.none());
    Ok(rows)
}
