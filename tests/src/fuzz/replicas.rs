//! Three replicas under any sequence of inputs.

use super::forge::Forger;
use super::reader::Reader;
use omnipaxos_core::Quorum;
use omnipaxos_core::paxos::{Ballot, Leader, Message, MessageError, NodeId, Paxos, PaxosConfig};
use omnipaxos_core::storage::{Entry, MemorySequence, MemoryState, Storage};

type Disk = Storage<MemorySequence, MemoryState>;

/// Messages that are on their way at most; older ones are lost.
const WIRES: usize = 100;

/// Runs three replicas on the inputs that `bytes` spell.
///
/// The first byte says whether messages may be forged, and how the replicas are set up. Then each
/// input is a byte for its kind and some for its details: a message arrives, once, again or never;
/// a server crashes and loses what was not flushed; a leader event, a proposal, a tick.
///
/// # Panics
/// When a replica panics or halts, whatever it is given. While every message is one that a replica
/// sent, also when a decided log contradicts another one or an earlier one, holds a proposal twice,
/// or goes on behind a StopSign, and when a replica finds fault with a message.
pub fn replicas(bytes: &[u8]) {
    let mut input = Reader::new(bytes);
    let mut world = World::new(&mut input);
    while !input.is_empty() {
        world.step(&mut input);
    }
    for at in 0..world.servers.len() {
        world.output(at);
    }
}

struct Server {
    replica: Paxos<MemorySequence, MemoryState>,
    /// What a crash leaves.
    durable: Disk,
}

struct World {
    config: PaxosConfig,
    servers: Vec<Server>,
    wires: Vec<Message>,
    may_forge: bool,
    forged: bool,
    proposed: u16,
    /// The longest log that anyone has decided.
    log: Vec<Entry>,
}

impl Server {
    fn start(pid: NodeId, config: &PaxosConfig, durable: Disk) -> Self {
        let peers = (1..=3).filter(|peer| *peer != pid).collect();
        let replica = Paxos::with(1, pid, peers, durable.clone(), config.clone());
        Self { replica, durable }
    }

    /// Flushes, and takes all messages.
    fn output(&mut self) -> Vec<Message> {
        while let Some(flush) = self.replica.begin_flush() {
            let id = flush.id();
            let result = flush.run();
            let (log, state) = self.replica.clone().into_storage().into_parts();
            self.durable = Storage::with(log, state);
            let finished = self.replica.finish_flush(id, result);
            assert!(finished.is_ok(), "{finished:?}");
        }
        self.replica.take_sendable()
    }
}

impl World {
    fn new(input: &mut Reader<'_>) -> Self {
        let flags = input.byte();
        let mut config = PaxosConfig::default();
        config.resend_ticks = 2;
        config.keepalive_ticks = 3;
        if flags & 2 != 0 {
            config.sync_chunk_bytes = 30;
            config.accept_frame_bytes = 30;
            config.window_bytes = 60;
            config.max_undecided_bytes = 200;
        }
        config.quorum = match flags & 12 {
            4 => Quorum::flexible(1, 3, 3).ok(),
            8 => Quorum::flexible(3, 1, 3).ok(),
            _ => None,
        };
        let empty = || Storage::with(MemorySequence::new(), MemoryState::new());
        let servers = (1..=3).map(|pid| Server::start(pid, &config, empty())).collect();
        Self {
            config,
            servers,
            wires: Vec::new(),
            may_forge: flags & 1 != 0,
            forged: false,
            proposed: 0,
            log: Vec::new(),
        }
    }

    fn step(&mut self, input: &mut Reader<'_>) {
        let kind = input.byte();
        let at = usize::from(kind >> 4) % 3;
        let server = &mut self.servers[at];
        match kind & 15 {
            0..=3 => self.deliver(input, false),
            4 => self.deliver(input, true),
            5 => {
                let lost = input.below(self.wires.len());
                if lost < self.wires.len() {
                    self.wires.swap_remove(lost);
                }
            }
            6 | 7 => server.replica.tick(),
            8 => {
                let owner = input.pick(&[1, 2, 3, at as NodeId + 1]);
                let above = u64::from(input.byte() & 3);
                let n = server.replica.promised().n.saturating_add(above);
                server.replica.handle_leader(Leader::new(Ballot::new(n, 0, owner)));
            }
            9 => {
                self.proposed += 1;
                let mut payload = self.proposed.to_be_bytes().to_vec();
                payload.resize(2 + input.below(40), 0);
                // Refused where the log is sealed, or the replica overloaded.
                let _ = server.replica.propose_normal(payload);
            }
            10 => {
                if input.byte() & 7 == 7 {
                    let _ = server.replica.propose_reconfiguration(vec![1, 2, 4]);
                }
            }
            11 => {
                let (pid, durable) = (server.replica.pid(), server.durable.clone());
                *server = Server::start(pid, &self.config, durable);
            }
            12 => server.replica.reconnected(input.pick(&[1, 2, 3, 0, 9])),
            13 => {
                let _ = server.replica.trim(u64::from(input.byte()));
            }
            14 => self.forge(at, input),
            // Inputs since the last output go together, and a crash loses them all.
            _ => self.output(at),
        }
        self.look(at);
    }

    fn deliver(&mut self, input: &mut Reader<'_>, again: bool) {
        let wire = input.below(self.wires.len());
        if wire >= self.wires.len() {
            return;
        }
        let message = match again {
            true => self.wires[wire].clone(),
            false => self.wires.remove(wire),
        };
        let to = message.to as usize - 1;
        self.handle(to, message);
        self.output(to);
        self.look(to);
    }

    fn handle(&mut self, to: usize, message: Message) {
        let name = message.body.name();
        match self.servers[to].replica.handle_message(message) {
            Ok(()) => {}
            Err(MessageError::Halted(halted)) => panic!("{name} halts a replica: {halted}"),
            Err(error) => assert!(self.forged, "{name} of an honest peer is refused: {error}"),
        }
    }

    fn forge(&mut self, to: usize, input: &mut Reader<'_>) {
        if !self.may_forge {
            return;
        }
        self.forged = true;
        let from = input.pick(&[1, 2, 3, 1, 2, 3, 0, 9]);
        let me = to as NodeId + 1;
        let body = Forger::new(input, &self.servers[to].replica).body(from, me);
        self.handle(to, Message { config_id: 1, from, to: me, body });
    }

    fn output(&mut self, at: usize) {
        let me = at as NodeId + 1;
        for message in self.servers[at].output() {
            let to = message.to;
            assert!((1..=3).contains(&to) && to != me && message.from == me, "{message:?}");
            self.wires.push(message);
        }
        let surplus = self.wires.len().saturating_sub(WIRES);
        self.wires.drain(..surplus);
        self.look(at);
    }

    /// What must hold of a replica after each input.
    fn look(&mut self, at: usize) {
        let replica = &mut self.servers[at].replica;
        if let Some(halted) = replica.halted() {
            panic!("a replica halts: {halted}");
        }
        let taken = replica.take_decided(u64::MAX);
        replica.take_outcomes();
        if self.forged {
            return;
        }
        for (index, entry) in (taken.first_index as usize..).zip(taken.entries) {
            match self.log.get(index) {
                Some(known) => assert_eq!(known, &entry, "index {index} at server {}", at + 1),
                None => {
                    assert_eq!(index, self.log.len(), "decided entries are skipped");
                    assert!(!self.log.contains(&entry), "{entry:?} is decided twice");
                    assert!(!self.log.last().is_some_and(Entry::is_stop_sign), "{entry:?}");
                    self.log.push(entry);
                }
            }
        }
    }
}
