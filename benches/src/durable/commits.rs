//! Commits a second, ours and the floors in turn.

use super::load::Load;
use super::ours::Ours;
use super::raw::{Growing, Preallocated, Zeros};
use super::stats::{Spread, ratios};
use super::{MeasureError, Slice, slice};
use omnipaxos_kompact::durable::Options;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// What ours is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Floor {
    /// Appends to a file that grows.
    Growing,
    /// Writes into a file of zeros.
    Preallocated,
}

impl Floor {
    /// Its name in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Floor::Growing => "growing",
            Floor::Preallocated => "preallocated",
        }
    }
}

/// The share of a floor that is asked for; none in between.
#[must_use]
pub fn goal(batch: u64) -> Option<f64> {
    match batch {
        1 => Some(0.85),
        1024 => Some(0.5),
        _ => None,
    }
}

/// A row of the table. Rates are commits a second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Bytes of an entry.
    pub payload: usize,
    /// Entries of a commit.
    pub batch: u64,
    /// What `raw` is.
    pub floor: Floor,
    /// Ours.
    pub ours: Spread,
    /// The floor.
    pub raw: Spread,
    /// Ours as a share of the floor, of the slices next to each other.
    pub ratio: Spread,
    /// The median share that is asked for.
    pub goal: Option<f64>,
    /// Whether it is reached.
    pub met: Option<bool>,
    /// Entries a second, ours.
    pub entries: f64,
    /// How often each was measured.
    pub runs: usize,
}

impl Row {
    /// The row of these rates, those of one run next to each other.
    #[must_use]
    pub fn of(load: &Load, floor: Floor, ours: &[f64], raw: &[f64]) -> Self {
        let ratio = Spread::of(&ratios(ours, raw));
        let goal = goal(load.batch);
        let rates = Spread::of(ours);
        Self {
            payload: load.payload,
            batch: load.batch,
            floor,
            ours: rates,
            raw: Spread::of(raw),
            ratio,
            goal,
            met: goal.map(|goal| ratio.median >= goal),
            entries: rates.median * load.batch as f64,
            runs: ours.len(),
        }
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Slices of each.
    pub runs: usize,
    /// The length of a slice.
    pub length: Duration,
}

/// The two rows of one load.
///
/// # Errors
/// [`MeasureError`].
pub fn measure(
    dir: &Path,
    zeros: &Zeros,
    load: &Load,
    effort: Effort,
) -> Result<[Row; 2], MeasureError> {
    let log = dir.join(format!("log-{}-{}", load.payload, load.batch));
    let (mut ours, mut growing, mut preallocated) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..effort.runs {
        // Each comes first, second and last in turn.
        for turn in 0..3 {
            match (run + turn) % 3 {
                0 => ours.push(our_slice(&log, Options::default(), load, effort.length)?.rate()),
                1 => {
                    let mut target = Growing::new(dir, load)?;
                    growing.push(slice(&mut target, effort.length)?.rate());
                }
                _ => {
                    let mut target = Preallocated::new(zeros, load)?;
                    preallocated.push(slice(&mut target, effort.length)?.rate());
                }
            }
        }
    }
    std::fs::remove_dir_all(&log)?;
    Ok([
        Row::of(load, Floor::Growing, &ours, &growing),
        Row::of(load, Floor::Preallocated, &ours, &preallocated),
    ])
}

/// A slice of ours on a log that was opened for it and is trimmed after it, so that nothing of it
/// still runs when the next slice starts.
///
/// # Errors
/// [`MeasureError`].
pub fn our_slice(
    log: &Path,
    options: Options,
    load: &Load,
    length: Duration,
) -> Result<Slice, MeasureError> {
    let mut target = Ours::new(log, options, load)?;
    let measured = slice(&mut target, length)?;
    target.trim()?;
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::{Effort, Floor, Load, Row, Zeros, goal, measure};
    use std::time::Duration;
    use tempfile::TempDir;

    #[test]
    fn a_goal_is_met_by_the_median_of_ratios() {
        let load = Load::new(16, 1024);
        // Ratios 0.25, 1 and 0.5, although the medians divide to 1.
        let row = Row::of(&load, Floor::Growing, &[10.0, 20.0, 30.0], &[40.0, 20.0, 60.0]);
        assert_eq!((row.ratio.min, row.ratio.median, row.ratio.max), (0.25, 0.5, 1.0));
        assert_eq!((row.ours.median, row.raw.median), (20.0, 40.0));
        assert_eq!((row.goal, row.met), (Some(0.5), Some(true)));
        assert_eq!(row.entries, 20_480.0);
        let row = Row::of(&Load::new(16, 1), Floor::Growing, &[84.0], &[100.0]);
        assert_eq!((row.goal, row.met), (Some(0.85), Some(false)));
        assert_eq!(goal(64), None);
    }

    #[test]
    fn each_is_measured_in_each_run() {
        let dir = TempDir::new().unwrap();
        let zeros = Zeros::new(dir.path()).unwrap();
        let load = Load::new(256, 4);
        let effort = Effort { runs: 2, length: Duration::from_millis(1) };
        let rows = measure(dir.path(), &zeros, &load, effort).unwrap();
        for (row, floor) in rows.iter().zip([Floor::Growing, Floor::Preallocated]) {
            assert_eq!((row.floor, row.runs, row.met), (floor, 2, None));
            assert!(row.ours.min > 0.0 && row.raw.min > 0.0, "{row:?}");
        }
    }
}
