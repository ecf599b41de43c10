//! Proposes lines at alternating servers and keeps book of what became of them.

use crate::error::QuickstartError;
use crate::input::{LineNumber, RunNumber, payload};
use crate::report::Report;
use crate::server::Server;
use crate::wait::wait_for;
use bytes::Bytes;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_kompact::server::ProposalError;
use omnipaxos_kompact::spawn::Answer;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many lines, and how many of their bytes, may wait for an answer.
const WINDOW_LINES: usize = 1024;
const WINDOW_BYTES: usize = 4 << 20;

struct Proposal {
    line: LineNumber,
    pid: NodeId,
    bytes: usize,
    answer: Answer<u64, ProposalError>,
}

/// Feeds lines to a cluster.
#[derive(Default)]
pub(crate) struct Feeder {
    run: RunNumber,
    pending: VecDeque<Proposal>,
    pending_bytes: usize,
    /// The lines that each server proposed, in its order.
    pub(crate) proposed: BTreeMap<NodeId, Vec<LineNumber>>,
    /// Lines at a server that was killed: they may be in the log or not.
    unknown: Vec<LineNumber>,
    decided: usize,
}

impl Feeder {
    /// A feeder for the lines of one run.
    pub(crate) fn new(run: RunNumber) -> Self {
        Self { run, ..Self::default() }
    }

    /// Proposes `numbers` at `servers` in turn.
    pub(crate) fn feed(
        &mut self,
        lines: &[Bytes],
        numbers: impl IntoIterator<Item = LineNumber>,
        servers: &BTreeMap<NodeId, Server>,
        report: &Report,
    ) -> Result<(), QuickstartError> {
        for (number, server) in numbers.into_iter().zip(servers.values().cycle()) {
            while self.pending.len() >= WINDOW_LINES || self.pending_bytes >= WINDOW_BYTES {
                self.settle_one(report)?;
            }
            let payload = payload(self.run, number, &lines[number]);
            let bytes = payload.len();
            let answer = server.client().propose(payload);
            self.proposed.entry(server.pid).or_default().push(number);
            self.pending.push_back(Proposal { line: number, pid: server.pid, bytes, answer });
            self.pending_bytes += bytes;
        }
        Ok(())
    }

    /// Waits until every proposal is decided.
    pub(crate) fn settle(&mut self, report: &Report) -> Result<(), QuickstartError> {
        while !self.pending.is_empty() {
            self.settle_one(report)?;
        }
        Ok(())
    }

    /// Server `pid` was killed: its proposals get no answer.
    pub(crate) fn lose(&mut self, pid: NodeId) {
        let (lost, kept): (Vec<_>, Vec<_>) =
            self.pending.drain(..).partition(|proposal| proposal.pid == pid);
        self.unknown.extend(lost.iter().map(|proposal| proposal.line));
        self.pending_bytes = kept.iter().map(|proposal| proposal.bytes).sum();
        self.pending = kept.into();
    }

    fn settle_one(&mut self, report: &Report) -> Result<(), QuickstartError> {
        let Some(Proposal { line, bytes, answer, .. }) = self.pending.pop_front() else {
            return Ok(());
        };
        self.pending_bytes -= bytes;
        match wait_for(&format!("the outcome of line {}", line + 1), answer)? {
            Ok(_index) => {
                self.decided += 1;
                report.decided(self.decided);
                Ok(())
            }
            Err(source) => Err(QuickstartError::Line { line: line + 1, source }),
        }
    }

    /// The lines at the killed server `pid` of which `decided`, a log in which nothing of its
    /// follows any more, knows nothing: they have to be proposed again.
    pub(crate) fn lost(
        &mut self,
        pid: NodeId,
        decided: &BTreeSet<LineNumber>,
        report: &Report,
    ) -> Vec<LineNumber> {
        let (found, lost): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.unknown).into_iter().partition(|line| decided.contains(line));
        self.decided += found.len();
        report.decided(self.decided);
        // Whoever proposes them again has them in its order.
        if let Some(proposed) = self.proposed.get_mut(&pid) {
            proposed.retain(|line| !lost.contains(line));
        }
        report.event(&format!(
            "of the lines at the killed server {} were decided, {} are proposed again",
            found.len(),
            lost.len()
        ));
        lost
    }
}
