//! Messages that nobody sent, made of the indexes and rounds that matter to their receiver.

use super::reader::Reader;
use omnipaxos_core::paxos::{
    Accept, AcceptSync, Accepted, Ballot, Body, Decide, Learn, LearnRequest, NodeId, Paxos,
    Prepare, PrepareReq, Promise, Propose, Refuse, SyncRequest,
};
use omnipaxos_core::storage::{
    Entry, MemorySequence, MemoryState, ProposalId, Records, RecordsBuilder, Run, StopSign,
};

/// Forges messages to one replica.
pub(super) struct Forger<'a, 'b> {
    pub(super) input: &'a mut Reader<'b>,
    pub(super) promised: Ballot,
    pub(super) decided: u64,
    pub(super) len: u64,
}

impl<'a, 'b> Forger<'a, 'b> {
    pub(super) fn new(
        input: &'a mut Reader<'b>,
        receiver: &Paxos<MemorySequence, MemoryState>,
    ) -> Self {
        let (decided, len) = (receiver.decided_index(), receiver.log_len());
        Self { input, promised: receiver.promised(), decided, len }
    }

    fn index(&mut self) -> u64 {
        match self.input.byte() {
            0xF0 => self.decided,
            0xF1 => self.decided + 1,
            0xF2 => self.len,
            0xF3 => self.len + 1,
            0xF4 => self.len.saturating_sub(1),
            0xFE => u64::MAX - 1,
            0xFF => u64::MAX,
            small => u64::from(small),
        }
    }

    fn ballot(&mut self, owner: NodeId) -> Ballot {
        match self.input.byte() {
            0xF0..=0xF3 => self.promised,
            0xF4 => Ballot::new(self.promised.n.saturating_add(1), 0, owner),
            0xF5 => Ballot::new(self.promised.n.saturating_sub(1), 0, owner),
            0xFF => Ballot::new(u64::MAX, u32::MAX, owner),
            small => Ballot::new(u64::from(small >> 4), 0, u64::from(small & 3)),
        }
    }

    fn session(&mut self) -> u64 {
        self.input.pick(&[1, 1, 2, 3, 0, u64::MAX])
    }

    fn id(&mut self) -> ProposalId {
        ProposalId {
            proposer: self.input.pick(&[1, 2, 3, 0, 9]),
            session: self.session(),
            number: self.input.pick(&[1, 2, 3, 4, 0, u64::MAX - 1, u64::MAX]),
        }
    }

    fn entry(&mut self) -> Entry {
        match self.input.byte() {
            0xF0.. => {
                let nodes: &[&[NodeId]] = &[&[1, 2, 4], &[], &[0], &[1, 1]];
                Entry::stop_sign(StopSign {
                    config_id: self.input.pick(&[2, 0, u64::MAX]),
                    nodes: self.input.pick(nodes).to_vec(),
                    learners: vec![],
                    metadata: None,
                    digest: None,
                    skip_prepare_use_leader: None,
                })
            }
            size => Entry::from(vec![self.input.byte(); usize::from(size) % 40]),
        }
    }

    fn records(&mut self) -> Records {
        let count = self.input.below(5) as u64;
        if self.input.flag() {
            let mut builder = RecordsBuilder::new();
            let id = self.id();
            for offset in 0..count {
                let number = id.number.saturating_add(offset);
                builder.push(ProposalId { number, ..id }, self.entry());
            }
            return builder.build();
        }
        let entries = (0..count).map(|_| self.entry()).collect();
        let runs = (0..count)
            .map(|_| Run { first: self.id(), count: self.input.pick(&[1, 1, 2, u64::MAX]) })
            .collect();
        Records::new(entries, runs).unwrap_or_default()
    }

    /// A message from `from`.
    pub(super) fn body(&mut self, from: NodeId, me: NodeId) -> Body {
        match self.input.below(12) {
            0 => Body::Prepare(Box::new(Prepare {
                n: self.ballot(from),
                s: self.session(),
                accepted_round: self.ballot(from),
                len: self.index(),
                decided: self.index(),
                suffix_from: self.input.flag().then(|| self.index()),
            })),
            1 => Body::Promise(Box::new(Promise {
                n: self.ballot(me),
                s: self.session(),
                accepted_round: self.ballot(from),
                len: self.index(),
                decided: self.index(),
                decided_round: self.ballot(from),
                start: self.index(),
                suffix: self.records(),
                recovering: self.input.flag(),
            })),
            2 => Body::AcceptSync(Box::new(AcceptSync {
                n: self.ballot(from),
                s: self.session(),
                first: self.input.flag(),
                start: self.index(),
                suffix: self.records(),
                end: self.index(),
                decided: self.index(),
            })),
            3 => Body::SyncRequest(SyncRequest {
                n: self.ballot(me),
                s: self.session(),
                from: self.index(),
            }),
            4 => Body::Accept(Accept {
                n: self.ballot(from),
                s: self.session(),
                start: self.index(),
                entries: self.records(),
                decided: self.index(),
                decided_by_all: self.index(),
            }),
            5 => Body::Accepted(Accepted {
                n: self.ballot(me),
                s: self.session(),
                len: self.index(),
                decided: self.index(),
                gap: self.input.flag(),
            }),
            6 => Body::Decide(Decide {
                n: self.ballot(from),
                s: self.session(),
                decided: self.index(),
                decided_by_all: self.index(),
                answer: self.input.flag(),
            }),
            7 => Body::PrepareReq(PrepareReq { promised: self.ballot(from) }),
            8 => Body::Refuse(Refuse { n: self.ballot(me), promised: self.ballot(from) }),
            9 => Body::LearnRequest(LearnRequest { from: self.index() }),
            10 => Body::Learn(Learn {
                start: self.index(),
                entries: self.records(),
                decided: self.index(),
                decided_round: self.ballot(from),
            }),
            _ => Body::Propose(Propose {
                proposals: self.records(),
                hops: self.input.pick(&[0, 1, u8::MAX]),
            }),
        }
    }
}
