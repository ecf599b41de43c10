//! Whether the logs are what they must be.

use crate::collector::Log;
use crate::error::QuickstartError;
use crate::input::{LineNumber, RunNumber, parse};
use bytes::Bytes;
use omnipaxos_core::leader_election::NodeId;
use std::collections::BTreeMap;

/// Checks that a log holds each line of run `run` once, unchanged, and in a valid order: the lines
/// that one server proposed stand in the order in which it proposed them, across configurations.
/// Beside them there is nothing but lines of earlier runs.
pub(crate) fn check(
    log: &Log,
    run: RunNumber,
    lines: &[Bytes],
    proposed: &BTreeMap<NodeId, Vec<LineNumber>>,
) -> Result<(), QuickstartError> {
    let mut places: Vec<Option<usize>> = vec![None; lines.len()];
    for (at, (_, payload)) in log.entries.iter().enumerate() {
        let never = || wrong(format!("entry {at} was never proposed"));
        let (of_run, number, line) = parse(payload).ok_or_else(never)?;
        if (1..run).contains(&of_run) {
            continue;
        }
        if of_run != run || number >= lines.len() {
            return Err(never());
        }
        if lines[number] != line {
            return Err(wrong(format!("line {} was changed", number + 1)));
        }
        if places[number].replace(at).is_some() {
            return Err(wrong(format!("line {} is in the log twice", number + 1)));
        }
    }
    if let Some(number) = places.iter().position(Option::is_none) {
        return Err(wrong(format!("line {} is not in the log", number + 1)));
    }
    for (pid, numbers) in proposed {
        if !numbers.iter().filter_map(|number| places[*number]).is_sorted() {
            return Err(wrong(format!("the lines of server {pid} are out of order")));
        }
    }
    Ok(())
}

fn wrong(what: String) -> QuickstartError {
    QuickstartError::Check(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::payload;

    fn lines() -> Vec<Bytes> {
        vec![Bytes::from("a"), Bytes::from("a"), Bytes::from("b")]
    }

    fn log(numbers: &[LineNumber]) -> Log {
        let line = |n: usize| lines().get(n).cloned().unwrap_or_default();
        let entries = numbers.iter().map(|n| (1, payload(2, *n, &line(*n))));
        Log { entries: entries.collect(), ..Log::default() }
    }

    fn proposed() -> BTreeMap<NodeId, Vec<LineNumber>> {
        BTreeMap::from([(1, vec![0, 2]), (2, vec![1])])
    }

    #[test]
    fn only_a_valid_log_passes() {
        for valid in [[0, 1, 2], [1, 0, 2], [0, 2, 1]] {
            assert!(check(&log(&valid), 2, &lines(), &proposed()).is_ok(), "{valid:?}");
        }
        let invalid: [&[LineNumber]; 5] = [&[0, 1], &[0, 1, 2, 2], &[2, 1, 0], &[0, 1, 2, 3], &[]];
        for invalid in invalid {
            assert!(check(&log(invalid), 2, &lines(), &proposed()).is_err(), "{invalid:?}");
        }
        let mut changed = log(&[0, 1, 2]);
        changed.entries[1].1 = payload(2, 1, b"other");
        assert!(check(&changed, 2, &lines(), &proposed()).is_err());
        let mut later = log(&[0, 1, 2]);
        later.entries.push((1, payload(3, 0, b"a")));
        assert!(check(&later, 2, &lines(), &proposed()).is_err());
        let mut continued = log(&[0, 1, 2]);
        continued.entries.insert(0, (1, payload(1, 7, b"earlier")));
        assert!(check(&continued, 2, &lines(), &proposed()).is_ok());
    }
}
