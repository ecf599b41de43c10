//! A client that never stops, and what it costs.

use super::{PATIENCE, no_answer};
use crate::compare::group::GroupError;
use bytes::Bytes;
use kompact::prelude::BlockingFutureExt as _;
use omnipaxos_core::paxos::{ProposalOutcome, ProposeError};
use omnipaxos_kompact::ports::{ProposalFailure, ProposalResult};
use omnipaxos_kompact::spawn::{Answer, ReplicaClient};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Of so many answers that do not come at once the client waits for one, at the end.
const SAMPLE: u64 = 64;

/// Proposals between two looks at the memory.
const LOOK: u64 = 1024;

/// What became of proposals that were made without a pause.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flood {
    /// Proposals that were made.
    pub made: u64,
    /// Of these, refused at once.
    pub refused: u64,
    /// Of a sample of the others, decided.
    pub decided: u64,
    /// Of a sample of the others, refused later.
    pub refused_later: u64,
    /// Seconds that it took.
    pub seconds: f64,
    /// The most memory of this process, beyond what it had, in bytes.
    pub grown: u64,
}

impl Flood {
    fn and(self, other: &Flood) -> Flood {
        Flood {
            made: self.made + other.made,
            refused: self.refused + other.refused,
            decided: self.decided + other.decided,
            refused_later: self.refused_later + other.refused_later,
            seconds: self.seconds.max(other.seconds),
            grown: self.grown.max(other.grown),
        }
    }
}

/// Lets so many clients propose entries of `payload` bytes for `length`, without waiting for
/// anything. What they did is added up.
///
/// # Errors
/// [`GroupError`] where a proposal is answered by anything but its decision or that there are too
/// many, or not at all.
pub fn of(
    clients: usize,
    client: &ReplicaClient,
    payload: usize,
    length: Duration,
) -> Result<Flood, GroupError> {
    std::thread::scope(|scope| {
        let one = |_| scope.spawn(|| run(client, payload, length));
        let floods: Vec<_> = (0..clients).map(one).collect();
        floods.into_iter().try_fold(Flood::default(), |all, flood| {
            let flood = flood.join().map_err(|_| GroupError("a client ended".to_owned()))??;
            Ok(all.and(&flood))
        })
    })
}

fn run(client: &ReplicaClient, payload: usize, length: Duration) -> Result<Flood, GroupError> {
    let mut flood = Flood::default();
    let (before, start) = (resident()?, Instant::now());
    let mut sample = Vec::new();
    while start.elapsed() < length {
        // Memory of its own for each, as a client's requests have.
        let mut answer = client.propose(Bytes::from(vec![7; payload]));
        flood.made += 1;
        match at_once(&mut answer) {
            Some(result) => match is_decided(result)? {
                true => flood.decided += 1,
                false => flood.refused += 1,
            },
            None if flood.made.is_multiple_of(SAMPLE) => sample.push(answer),
            None => {}
        }
        if flood.made.is_multiple_of(LOOK) {
            flood.grown = flood.grown.max(resident()?.saturating_sub(before));
        }
    }
    flood.seconds = start.elapsed().as_secs_f64();
    for answer in sample {
        let result = answer.wait_timeout(PATIENCE).map_err(|_| no_answer("a proposal"))?;
        if is_decided(result)? {
            flood.decided += 1;
        } else {
            flood.refused_later += 1;
        }
    }
    Ok(flood)
}

fn at_once(answer: &mut Answer<ProposalOutcome, ProposalFailure>) -> Option<ProposalResult> {
    match Future::poll(Pin::new(answer), &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

fn is_decided(result: ProposalResult) -> Result<bool, GroupError> {
    match result {
        Ok(ProposalOutcome::Decided(_)) => Ok(true),
        Err(ProposalFailure::Refused(ProposeError::Overloaded { .. })) => Ok(false),
        other => Err(GroupError(format!("{other:?}"))),
    }
}

/// Bytes of memory that this process has.
fn resident() -> Result<u64, GroupError> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(GroupError::new)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| GroupError("no VmRSS in /proc/self/status".to_owned()))
}
