//! Runs the checker over a scope.

use super::coverage::Event;
use super::scope::Scope;
use super::steps::World;
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

/// How far a run goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Steps from the beginning; unbounded when `None`.
    pub depth: Option<usize>,
    /// Stop after that many steps, counting those that lead to known states.
    pub steps: Option<usize>,
    /// Stop after that long.
    pub time: Option<Duration>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Distinct states.
    pub states: usize,
    /// Steps taken, those that led to known states included.
    pub steps: usize,
    /// Every state within so many steps was checked.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
}

/// What a run has shown.
#[derive(Debug)]
pub struct Outcome {
    /// The scope's name.
    pub scope: &'static str,
    /// How far it got.
    pub progress: Progress,
    /// Whether nothing has stopped the run: then the world has no more states.
    pub exhausted: bool,
    /// A property that must hold and does not, and the steps to where it fails.
    pub violation: Option<(&'static str, Vec<String>)>,
    /// What should happen in some state and did in none.
    pub missing: Vec<&'static str>,
    /// How often what happened.
    pub counts: Vec<(Event, u64)>,
}

impl Outcome {
    /// How often `event` has happened.
    #[must_use]
    pub fn count(&self, event: Event) -> u64 {
        let found = self.counts.iter().find(|(known, _)| *known == event);
        found.map_or(0, |(_, count)| *count)
    }
}

/// Explores `scope` breadth first, in one thread so that depths are exact, until a property fails,
/// a bound is reached, or nothing is left. Calls `report` about every second.
pub fn explore(scope: Scope, bounds: Bounds, mut report: impl FnMut(Progress)) -> Outcome {
    let name = scope.name;
    let began = Instant::now();
    let world = World::new(scope, bounds.time.map(|time| began + time));
    let mut builder = world.checker().threads(1);
    builder = builder.finish_when(HasDiscoveries::AnyFailures);
    if let Some(depth) = bounds.depth {
        // The checker counts states, not steps, and does not look at those of the last depth.
        builder = builder.target_max_depth(depth + 2);
    }
    if let Some(steps) = bounds.steps {
        builder = builder.target_state_count(steps);
    }
    let mut checker = builder.spawn_bfs();
    let progress = |steps: usize, states: usize, max_depth: usize| Progress {
        states,
        steps,
        depth: max_depth.saturating_sub(2),
        time: began.elapsed(),
    };
    let mut reported = began;
    for handle in checker.handles() {
        while !handle.is_finished() {
            thread::sleep(Duration::from_millis(10));
            if reported.elapsed() >= Duration::from_secs(1) {
                reported = Instant::now();
                let (steps, states) = (checker.state_count(), checker.unique_state_count());
                report(progress(steps, states, checker.max_depth()));
            }
        }
        if let Err(panic) = handle.join() {
            std::panic::resume_unwind(panic);
        }
    }
    let (steps, states) = (checker.state_count(), checker.unique_state_count());
    let mut progress = progress(steps, states, checker.max_depth());
    let stopped = checker.model().stopped()
        || bounds.steps.is_some_and(|limit| steps >= limit)
        || bounds.depth.is_some_and(|depth| progress.depth >= depth);
    if !stopped {
        progress.depth += 1;
    }
    let counts = Event::ALL.iter().map(|event| (*event, checker.model().coverage.count(*event)));
    let counts = counts.collect();
    checker.model().replay();
    let discoveries = checker.discoveries();
    let (mut violation, mut missing) = (None, Vec::new());
    for property in checker.model().properties() {
        match (property.expectation, discoveries.get(property.name)) {
            (Expectation::Sometimes, None) => missing.push(property.name),
            (Expectation::Always, Some(path)) => {
                let path = path.clone().into_actions();
                let actions = path.iter().map(|action| format!("{action:?}"));
                violation = Some((property.name, actions.collect()));
            }
            _ => {}
        }
    }
    let exhausted = !stopped && violation.is_none();
    Outcome { scope: name, progress, exhausted, violation, missing, counts }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { states, steps, depth, time } = self.progress;
        let (name, end) = (self.scope, if self.exhausted { ", all there is" } else { "" });
        let seconds = time.as_secs_f64();
        write!(f, "{name}: {states} states, {steps} steps, depth {depth}{end}, {seconds:.1} s")?;
        let happened = self.counts.iter().filter(|(_, count)| *count > 0);
        let happened = happened.map(|(event, count)| format!("{} {count}", event.text()));
        write!(f, "\n  {}", happened.collect::<Vec<_>>().join(", "))?;
        for missing in &self.missing {
            write!(f, "\n  never: {missing}")?;
        }
        if let Some((property, path)) = &self.violation {
            write!(f, "\n  VIOLATED: {property}, after {} steps", path.len())?;
            for (at, action) in path.iter().enumerate() {
                write!(f, "\n  {:3} {action}", at + 1)?;
            }
        }
        Ok(())
    }
}
