//! How long single commits take, and what the change to a new segment costs them.

use super::commits::{Effort, our_slice};
use super::load::Load;
use super::raw::{Preallocated, Zeros};
use super::stats::rank;
use super::{MeasureError, Slice, slice};
use omnipaxos_kompact::durable::Options;
use serde::Serialize;
use std::path::Path;

/// Bytes of a segment: small, so that many are begun while this measures.
const SEGMENT: u64 = 4 << 20;

/// How long commits took, in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Whose commits.
    pub who: &'static str,
    /// Half of them took no longer.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
    /// All of them.
    pub max: f64,
    /// How many.
    pub commits: usize,
}

impl Latency {
    /// Of all slices together.
    #[must_use]
    pub fn of(who: &'static str, slices: &[Slice]) -> Self {
        let mut took: Vec<u64> = slices.iter().flat_map(|s| s.took.iter().copied()).collect();
        took.sort_unstable();
        let at = |share| rank(&took, share) as f64 / 1e3;
        Self {
            who,
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
            commits: took.len(),
        }
    }
}

/// Commits of one entry each: into a file of zeros, ours with segments made ready ahead, and ours
/// without.
///
/// # Errors
/// [`MeasureError`].
pub fn measure(
    dir: &Path,
    zeros: &Zeros,
    load: &Load,
    effort: Effort,
) -> Result<Vec<Latency>, MeasureError> {
    let log = dir.join("log-latency");
    let options =
        |prepare_ahead| Options { segment_bytes: SEGMENT, prepare_ahead, ..Options::default() };
    let mut slices = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..effort.runs {
        slices[0].push(slice(&mut Preallocated::new(zeros, load)?, effort.length)?);
        for (place, ahead) in [(1, true), (2, false)] {
            slices[place].push(our_slice(&log, options(ahead), load, effort.length)?);
        }
    }
    let names = ["raw, preallocated", "ours", "ours, prepare_ahead off"];
    Ok(names.into_iter().zip(&slices).map(|(who, slices)| Latency::of(who, slices)).collect())
}

#[cfg(test)]
mod tests {
    use super::{Latency, Slice};

    #[test]
    fn ranks_are_over_all_slices() {
        let slice = |from: u64| Slice {
            seconds: 1.0,
            took: (from..from + 500).map(|n| n * 1000).collect(),
        };
        let latency = Latency::of("raw", &[slice(501), slice(1)]);
        assert_eq!((latency.p50, latency.p99), (500.0, 990.0));
        assert_eq!((latency.p999, latency.max, latency.commits), (999.0, 1000.0, 1000));
    }
}
