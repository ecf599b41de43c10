use super::*;
use omnipaxos_core::leader_election::NodeId;
use omnipaxos_core::storage::{Operation, StorageError};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

fn id(number: u128) -> StorageId {
    StorageId::new(number).unwrap()
}

/// One machine: what is recorded, and while its process runs, a handshake and the records that are
/// under way.
struct Machine {
    store: MemoryMembers,
    process: Option<Handshake>,
    recording: VecDeque<(NodeId, Binding)>,
}

/// Machines 1 to `n`, all in configuration 1, and what is on its way between them.
struct World {
    machines: BTreeMap<NodeId, Machine>,
    network: Vec<IdentityMessage>,
    sent: usize,
    next_id: u128,
    wiped: BTreeSet<NodeId>,
    /// The storages with which each pid has ever taken part.
    open: BTreeMap<NodeId, BTreeSet<StorageId>>,
    outputs: Vec<(NodeId, Output)>,
}

impl World {
    fn new(n: u64) -> Self {
        let mut world = Self {
            machines: BTreeMap::new(),
            network: Vec::new(),
            sent: 0,
            next_id: 1000,
            wiped: BTreeSet::new(),
            open: BTreeMap::new(),
            outputs: Vec::new(),
        };
        for pid in 1..=n {
            let store = MemoryMembers::new(id(pid.into()));
            let machine = Machine { store, process: None, recording: VecDeque::new() };
            world.machines.insert(pid, machine);
        }
        world
    }

    fn started(n: u64) -> Self {
        let mut world = Self::new(n);
        for pid in 1..=n {
            world.start(pid);
        }
        world
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.machines.keys().copied().collect()
    }

    fn machine(&mut self, pid: NodeId) -> &mut Machine {
        self.machines.get_mut(&pid).unwrap()
    }

    /// Starts a process, or crashes it and starts it again: records under way are lost.
    fn start(&mut self, pid: NodeId) {
        let nodes = self.nodes();
        let machine = self.machine(pid);
        machine.recording.clear();
        let bindings = machine.store.bindings().unwrap();
        let mut handshake = Handshake::new(pid, machine.store.storage_id(), bindings);
        handshake.register(1, &nodes);
        machine.process = Some(handshake);
        self.collect(pid);
    }

    fn stop(&mut self, pid: NodeId) {
        self.machine(pid).process = None;
    }

    /// The machine comes back with an empty disk.
    fn wipe(&mut self, pid: NodeId) {
        self.next_id += 1;
        let store = MemoryMembers::new(id(self.next_id));
        self.machine(pid).store = store;
        self.wiped.insert(pid);
        self.start(pid);
    }

    fn with(&mut self, pid: NodeId, input: impl FnOnce(&mut Handshake)) {
        if let Some(handshake) = &mut self.machine(pid).process {
            input(handshake);
            self.collect(pid);
        }
    }

    fn collect(&mut self, pid: NodeId) {
        let machine = self.machine(pid);
        let storage_id = machine.store.storage_id();
        let outputs = machine.process.as_mut().unwrap().take_outputs();
        for output in outputs {
            match &output {
                Output::Send(message) => {
                    self.sent += 1;
                    self.network.push(*message);
                }
                Output::Record(of, binding) => {
                    self.machine(pid).recording.push_back((*of, *binding));
                }
                Output::Admission(1, Admission::Open) => {
                    self.open.entry(pid).or_default().insert(storage_id);
                }
                _ => {}
            }
            self.outputs.push((pid, output));
        }
    }

    /// The oldest record under way becomes durable.
    fn record(&mut self, pid: NodeId) {
        let machine = self.machine(pid);
        if let Some((of, binding)) = machine.recording.pop_front() {
            machine.store.record(of, binding).unwrap();
            self.with(pid, |handshake| handshake.recorded(of, binding));
        }
    }

    fn deliver(&mut self, at: usize) {
        let message = self.network.swap_remove(at);
        self.with(message.to, |handshake| handshake.handle_message(message));
    }

    /// Delivers and records everything, between those that `link` connects.
    fn settle_over(&mut self, link: impl Fn(NodeId, NodeId) -> bool) {
        loop {
            for pid in self.nodes() {
                while !self.machine(pid).recording.is_empty() {
                    self.record(pid);
                }
            }
            if self.network.is_empty() {
                return;
            }
            for message in std::mem::take(&mut self.network) {
                if link(message.from, message.to) {
                    self.with(message.to, |handshake| handshake.handle_message(message));
                }
            }
        }
    }

    fn settle(&mut self) {
        self.settle_over(|_, _| true);
    }

    fn tick_all(&mut self) {
        for pid in self.nodes() {
            self.with(pid, Handshake::tick);
        }
    }

    fn admission(&self, pid: NodeId) -> Admission {
        self.machines[&pid].process.as_ref().unwrap().admission(1).unwrap().clone()
    }

    fn all_open(&self) -> bool {
        self.machines.keys().all(|pid| self.admission(*pid) == Admission::Open)
    }

    fn assert_one_storage_each(&self) {
        for (pid, storages) in &self.open {
            assert!(storages.len() <= 1, "server {pid} took part with {storages:?}");
        }
    }
}

#[test]
fn a_single_server_takes_part_at_once() {
    assert_eq!(World::started(1).admission(1), Admission::Open);
}

#[test]
fn servers_that_start_one_after_the_other_need_no_tick_and_few_messages() {
    let mut world = World::new(3);
    for pid in [2, 1] {
        world.start(pid);
        world.settle();
    }
    assert_eq!(world.admission(1), Admission::Waiting { peers: vec![3] });
    world.start(3);
    world.settle();
    assert!(world.all_open());
    world.tick_all();
    assert!(world.sent <= 3 * 8, "{} messages", world.sent);
    world.settle();
    world.tick_all();
    assert!(world.network.is_empty());
    let members = world.machine(2).process.as_ref().unwrap().members(1);
    assert_eq!(members, BTreeMap::from([(1, id(1)), (2, id(2)), (3, id(3))]));
}

#[test]
fn nothing_is_said_of_a_binding_before_it_is_durable() {
    let mut world = World::started(2);
    while !world.network.is_empty() {
        world.deliver(0);
    }
    world.tick_all();
    let said = world.network.iter().find(|m| m.body != Identity::Hello);
    assert_eq!(said, None);
    world.record(1);
    assert_eq!(world.network.last().map(|m| m.body), Some(Identity::Known { receiver: id(2) }));
    assert_ne!(world.admission(1), Admission::Open);
}

#[test]
fn a_lost_message_is_repeated_at_ticks_and_a_flood_is_not_answered_by_one() {
    let mut world = World::started(2);
    for _ in 0..5 {
        world.network.clear();
        world.tick_all();
    }
    world.settle();
    assert!(world.all_open());
    world.tick_all();
    let hello =
        IdentityMessage { config_id: 1, from: 1, to: 2, storage_id: id(1), body: Identity::Hello };
    for body in [Identity::Hello, Identity::Hello, Identity::Known { receiver: id(2) }] {
        world.with(2, |h| h.handle_message(IdentityMessage { body, ..hello }));
        let storage_id = id(77);
        world.with(2, |h| h.handle_message(IdentityMessage { body, storage_id, ..hello }));
    }
    let said: Vec<_> = world.network.iter().filter(|m| m.from == 2).map(|m| m.body).collect();
    let refused = Identity::Refused { receiver: id(77), bound: id(1) };
    assert_eq!(said, vec![Identity::Known { receiver: id(1) }, refused]);
}

#[test]
fn an_open_server_is_open_after_a_restart_whoever_is_down() {
    let mut world = World::started(3);
    world.settle();
    world.stop(2);
    world.stop(3);
    world.start(1);
    assert_eq!(world.admission(1), Admission::Open);
    assert!(world.network.is_empty());
}

#[test]
fn an_empty_disk_under_an_old_pid_is_refused_whoever_it_meets_first() {
    for first in [1, 3] {
        let mut world = World::started(3);
        world.settle();
        world.wipe(2);
        world.settle_over(|a, b| a.min(b) == first.min(2) && a.max(b) == first.max(2));
        let refusal = Refusal { pid: 2, presented: id(1001), bound: id(2), by: first };
        assert_eq!(world.admission(2), Admission::Refused(refusal));
        for shown in ["server 2", &id(2).to_string(), &id(1001).to_string(), "under a new pid"] {
            assert!(refusal.to_string().contains(shown), "{refusal}");
        }
        let foreign = Output::Foreign { pid: 2, presented: id(1001), bound: id(2) };
        assert!(world.outputs.contains(&(first, foreign)));
        for _ in 0..3 {
            world.tick_all();
            world.settle();
        }
        assert!(matches!(world.admission(2), Admission::Refused(_)));
        assert_eq!(world.admission(1), Admission::Open);
        world.assert_one_storage_each();
    }
}

#[test]
fn whoever_never_met_it_binds_an_empty_disk_but_does_not_let_it_in() {
    // 4 was down while the others got to know each other; 2 meets it first, with an empty disk.
    let mut world = World::new(4);
    for pid in 1..=3 {
        world.start(pid);
    }
    world.settle();
    world.wipe(2);
    world.start(4);
    world.settle_over(|a, b| (a.min(b), a.max(b)) == (2, 4));
    assert_eq!(world.admission(2), Admission::Waiting { peers: vec![1, 3] });
    for _ in 0..3 {
        world.tick_all();
        world.settle();
    }
    assert!(matches!(world.admission(2), Admission::Refused(_)));
    assert!(!world.open.contains_key(&2));
}

#[test]
fn a_refusal_alone_does_not_close_what_is_open() {
    let mut world = World::started(2);
    world.settle();
    let forged = IdentityMessage {
        config_id: 1,
        from: 1,
        to: 2,
        storage_id: id(1),
        body: Identity::Refused { receiver: id(2), bound: id(9) },
    };
    world.with(2, |h| h.handle_message(forged));
    assert_eq!(world.admission(2), Admission::Open);
    let refusal = Refusal { pid: 2, presented: id(2), bound: id(9), by: 1 };
    assert!(world.outputs.contains(&(2, Output::RefusalIgnored(refusal))));
}

#[test]
fn a_forged_refusal_is_forgotten_once_the_member_confirms() {
    let mut world = World::started(2);
    let body = Identity::Refused { receiver: id(2), bound: id(9) };
    let forged = IdentityMessage { config_id: 1, from: 1, to: 2, storage_id: id(1), body };
    world.with(2, |h| h.handle_message(forged));
    assert!(matches!(world.admission(2), Admission::Refused(_)));
    world.settle();
    assert!(world.all_open());
}

#[test]
fn decided_members_need_no_introduction_but_no_other_storage_is_taken() {
    let members = BTreeMap::from([(1, id(1)), (2, id(2)), (3, id(3))]);
    let mut two = Handshake::new(2, id(2), BTreeMap::new());
    two.register_members(5, &members).unwrap();
    assert_ne!(two.admission(5), Some(&Admission::Open));
    for output in two.take_outputs() {
        match output {
            Output::Record(pid, binding) => two.recorded(pid, binding),
            Output::Send(message) => panic!("{message:?}"),
            _ => {}
        }
    }
    assert_eq!(two.admission(5), Some(&Admission::Open));
    assert_eq!(two.members(5), members);

    let mut empty = Handshake::new(2, id(20), BTreeMap::new());
    let refused = empty.register_members(5, &members);
    assert_eq!(
        refused,
        Err(MembersError::OtherStorage { pid: 2, decided: id(2), presented: id(20) })
    );
    let known = Binding { storage_id: id(30), confirmed: true };
    let mut other = Handshake::new(2, id(2), BTreeMap::from([(3, known)]));
    let refused = other.register_members(5, &members);
    assert_eq!(refused, Err(MembersError::Conflict { pid: 3, decided: id(3), bound: id(30) }));
    assert!(other.take_outputs().is_empty() && other.admission(5).is_none());
}

#[test]
fn a_server_of_a_former_configuration_is_still_answered_and_strangers_are_not() {
    let mut one = Handshake::new(1, id(1), BTreeMap::new());
    let hello = |from: NodeId| IdentityMessage {
        config_id: 1,
        from,
        to: 1,
        storage_id: id(from.into()),
        body: Identity::Hello,
    };
    one.handle_message(hello(2));
    assert!(one.take_outputs().is_empty());
    let known = Binding { storage_id: id(2), confirmed: true };
    let mut one = Handshake::new(1, id(1), BTreeMap::from([(2, known)]));
    one.handle_message(hello(2));
    let outputs = one.take_outputs();
    let body = Identity::Known { receiver: id(2) };
    assert!(
        matches!(&outputs[..], [Output::Send(m)] if m.to == 2 && m.body == body),
        "{outputs:?}"
    );
}

#[test]
fn a_failed_record_is_reported_and_nothing_is_recorded_after_it() {
    let mut world = World::started(2);
    while !world.network.is_empty() {
        world.deliver(0);
    }
    let error = StorageError::Io { operation: Operation::Flush, detail: "as told".to_owned() };
    world.machine(1).recording.clear();
    world.with(1, |h| h.record_failed(error.clone()));
    world.tick_all();
    world.settle();
    assert_eq!(world.admission(1), Admission::Failed(error));
    assert!(world.machine(1).store.bindings().unwrap().is_empty());
    assert_ne!(world.admission(2), Admission::Open);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Deliver(usize),
    Lose(usize),
    Duplicate(usize),
    Record(usize),
    Tick(usize),
    Restart(usize),
    Stop(usize),
    Wipe(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let at = any::<usize>();
    prop_oneof![
        12 => at.prop_map(Step::Deliver),
        2 => at.prop_map(Step::Lose),
        2 => at.prop_map(Step::Duplicate),
        8 => at.prop_map(Step::Record),
        3 => at.prop_map(Step::Tick),
        1 => at.prop_map(Step::Restart),
        1 => at.prop_map(Step::Stop),
        1 => at.prop_map(Step::Wipe),
    ]
}

fn run(n: u64, steps: &[Step]) -> World {
    let mut world = World::started(n);
    for step in steps {
        let messages = world.network.len();
        let pid = |at: usize| at as u64 % n + 1;
        match *step {
            Step::Deliver(at) if messages > 0 => world.deliver(at % messages),
            Step::Lose(at) if messages > 0 => drop(world.network.swap_remove(at % messages)),
            Step::Duplicate(at) if messages > 0 => {
                let message = world.network[at % messages];
                world.network.push(message);
            }
            Step::Deliver(_) | Step::Lose(_) | Step::Duplicate(_) => {}
            Step::Record(at) => world.record(pid(at)),
            Step::Tick(at) => world.with(pid(at), Handshake::tick),
            Step::Restart(at) => world.start(pid(at)),
            Step::Stop(at) => world.stop(pid(at)),
            // One member keeps its disk.
            Step::Wipe(at) if pid(at) != n => world.wipe(pid(at)),
            Step::Wipe(_) => {}
        }
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_pid_takes_part_with_two_storages_unless_all_members_lose_theirs(
        n in 2u64..=4,
        steps in prop::collection::vec(any_step(), 0..200),
    ) {
        let mut world = run(n, &steps);
        world.assert_one_storage_each();
        for pid in world.nodes() {
            world.start(pid);
        }
        for _ in 0..4 {
            world.tick_all();
            world.settle();
        }
        world.assert_one_storage_each();
        // Without a wipe everyone takes part in the end, whatever was lost on the way.
        if world.wiped.is_empty() {
            prop_assert!(world.all_open());
        }
    }
}
