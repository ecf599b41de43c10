//! Entries a second, ours and a peer's in turn.

use super::group::{GroupError, Library};
use super::workload::Workload;
use crate::durable::stats::{Spread, ratios};
use std::time::Duration;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Slices of each.
    pub runs: usize,
    /// About how long a slice takes.
    pub length: Duration,
}

/// Ours and a peer's, of slices next to each other.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// Entries a second, ours.
    pub ours: Spread,
    /// Entries a second, theirs.
    pub theirs: Spread,
    /// Ours by theirs.
    pub ratio: Spread,
}

/// Entries of the run that says how many fit a slice.
const PROBE: u64 = 20_000;

/// Measures the same load on both, in turn.
///
/// # Errors
/// [`GroupError`] of either.
pub fn compare(peer: Library, load: &Workload, effort: Effort) -> Result<Compared, GroupError> {
    let (ours, theirs) = alternate(effort, |n| Library::Ours.run(load, n), |n| peer.run(load, n))?;
    Ok(compared(&ours, &theirs))
}

/// Measures two loads on ours, in turn: the ratio is the first by the second.
///
/// # Errors
/// [`GroupError`].
pub fn against(one: &Workload, other: &Workload, effort: Effort) -> Result<Compared, GroupError> {
    let run = |load: Workload| move |entries| Library::Ours.run(&load, entries);
    let (ours, theirs) = alternate(effort, run(*one), run(*other))?;
    Ok(compared(&ours, &theirs))
}

fn compared(ours: &[f64], theirs: &[f64]) -> Compared {
    let ratio = Spread::of(&ratios(ours, theirs));
    Compared { ours: Spread::of(ours), theirs: Spread::of(theirs), ratio }
}

type Run<'a> = &'a dyn Fn(u64) -> Result<super::workload::Took, GroupError>;

fn alternate(
    effort: Effort,
    one: impl Fn(u64) -> Result<super::workload::Took, GroupError>,
    other: impl Fn(u64) -> Result<super::workload::Took, GroupError>,
) -> Result<(Vec<f64>, Vec<f64>), GroupError> {
    let sized = |run: Run<'_>| -> Result<u64, GroupError> {
        let fit = run(PROBE)?.rate() * effort.length.as_secs_f64();
        Ok((fit as u64).max(PROBE))
    };
    let (first, second) = (sized(&one)?, sized(&other)?);
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for run in 0..effort.runs {
        // Each comes first in turn.
        if run % 2 == 0 {
            ones.push(one(first)?.rate());
            others.push(other(second)?.rate());
        } else {
            others.push(other(second)?.rate());
            ones.push(one(first)?.rate());
        }
    }
    Ok((ones, others))
}
