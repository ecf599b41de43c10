//! What can happen next, and what then happens: the transitions of the model.

use super::coverage::{Coverage, Event};
use super::network;
use super::properties;
use super::scope::{Scope, What};
use super::shared::Shared;
use super::state::{Disk, History, Output, Server, State};
use crate::trace::notation;
use omnipaxos_core::paxos::{Leader, Message, NodeId};
use stateright::{Model, Property};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What one server is given.
#[derive(Clone, PartialEq)]
pub enum Input {
    /// The election tells ballot `.0` of the scope to server `.1`.
    Leader(usize, NodeId),
    /// Server `.1` makes proposal `.0` of the scope.
    Propose(usize, NodeId),
    /// A message arrives, for the first time or again.
    Deliver(Shared<Message>),
    /// A tick.
    Tick(NodeId),
    /// The flush under way ends.
    FlushEnds(NodeId),
}

/// One step of the model.
#[derive(Clone, PartialEq)]
pub enum Action {
    /// An input is handled and, unless flushes take time, flushed.
    Handle(Input),
    /// An input is handled, what may leave early leaves, and the server crashes before its flush
    /// has ended. Then it starts again.
    HandleAndCrash(Input),
    /// A server crashes and starts again.
    Crash(NodeId),
}

impl Input {
    fn receiver(&self) -> NodeId {
        match self {
            Self::Leader(_, pid) | Self::Propose(_, pid) => *pid,
            Self::Tick(pid) | Self::FlushEnds(pid) => *pid,
            Self::Deliver(message) => message.to,
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader(ballot, pid) => write!(f, "ballot {} is told to {pid}", ballot + 1),
            Self::Propose(what, pid) => write!(f, "{pid} makes proposal {}", what + 1),
            Self::Deliver(message) => f.write_str(&notation::message(message)),
            Self::Tick(pid) => write!(f, "a tick at {pid}"),
            Self::FlushEnds(pid) => write!(f, "the flush of {pid} ends"),
        }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handle(input) => input.fmt(f),
            Self::HandleAndCrash(input) => {
                write!(f, "{input:?}, and a crash before the flush")
            }
            Self::Crash(pid) => write!(f, "{pid} crashes and starts again"),
        }
    }
}

/// The model of one scope.
#[derive(Debug)]
pub struct World {
    /// What may happen.
    pub scope: Scope,
    /// What has happened, in all states together.
    pub coverage: Coverage,
    /// When to stop exploring.
    deadline: Option<Instant>,
    stopped: AtomicBool,
    /// What was explored is run again, to print it.
    replays: AtomicBool,
}

impl World {
    /// The model of `scope`, explored until `deadline`.
    #[must_use]
    pub fn new(scope: Scope, deadline: Option<Instant>) -> Self {
        Self {
            scope,
            coverage: Coverage::default(),
            deadline,
            stopped: AtomicBool::new(false),
            replays: AtomicBool::new(false),
        }
    }

    /// Whether the deadline has ended the exploration.
    pub(super) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// From now on steps are taken whatever the deadline.
    pub(super) fn replay(&self) {
        self.replays.store(true, Ordering::Relaxed);
    }

    fn stops(&self) -> bool {
        let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if late && !self.replays.load(Ordering::Relaxed) {
            self.stopped.store(true, Ordering::Relaxed);
            return true;
        }
        false
    }

    fn index(&self, pid: NodeId) -> Option<usize> {
        self.scope.pids.iter().position(|known| *known == pid)
    }

    fn initial(&self) -> Option<State> {
        let mut servers = Vec::new();
        for pid in &self.scope.pids {
            let mut server = Server::start(&self.scope, *pid, Shared::new(Disk::default()))?;
            // Nobody leads yet: the first PrepareReqs are lost.
            server.output(Output::Whole);
            servers.push(Shared::new(server));
        }
        let mut state = State {
            servers,
            network: Vec::new(),
            elected: 0,
            proposed: 0,
            crashes: 0,
            ticks: 0,
            history: Shared::new(History::default()),
        };
        if self.scope.begin_led {
            let first = Input::Leader(0, self.scope.ballots.first()?.pid);
            state = self.handle(&state, &first, false)?;
            let mut delivered: Vec<Shared<Message>> = Vec::new();
            while let Some(next) = state.network.iter().find(|m| !delivered.contains(m)).cloned() {
                delivered.push(next.clone());
                state = self.settle(state, next);
            }
        }
        for (at, proposal) in self.scope.proposals.iter().enumerate().take(self.scope.made) {
            let made = Input::Propose(at, *proposal.by.first()?);
            state = self.handle(&state, &made, false)?;
        }
        Some(state)
    }

    /// Delivers a message and ends all flushes.
    fn settle(&self, mut state: State, message: Shared<Message>) -> State {
        let to = message.to;
        let mut input = Input::Deliver(message);
        while let Some(next) = self.handle(&state, &input, false) {
            state = next;
            if !self.index(to).is_some_and(|at| state.servers[at].flushes()) {
                break;
            }
            input = Input::FlushEnds(to);
        }
        state
    }

    /// The inputs that are possible in `state`.
    fn inputs(&self, state: &State, inputs: &mut Vec<Input>) {
        let scope = &self.scope;
        for (at, ballot) in scope.ballots.iter().enumerate() {
            if state.elected & (1 << at) == 0 {
                inputs.push(Input::Leader(at, ballot.pid));
            } else if scope.announced {
                let owners = scope.ballots.iter().map(|other| other.pid);
                let others = owners.filter(|pid| *pid != ballot.pid);
                inputs.extend(others.map(|pid| Input::Leader(at, pid)));
            }
        }
        for (at, proposal) in scope.proposals.iter().enumerate() {
            if state.proposed & (1 << at) == 0 {
                inputs.extend(proposal.by.iter().map(|pid| Input::Propose(at, *pid)));
            }
        }
        inputs.extend(state.network.iter().cloned().map(Input::Deliver));
        for (server, pid) in state.servers.iter().zip(&scope.pids) {
            if state.ticks < scope.ticks {
                inputs.push(Input::Tick(*pid));
            }
            if server.flushes() {
                inputs.push(Input::FlushEnds(*pid));
            }
        }
    }

    /// Gives `input` to `server`. `false` when it is refused.
    fn give(&self, state: &mut State, server: &mut Server, input: &Input) -> bool {
        let replica = &mut server.replica;
        match input {
            Input::Leader(at, pid) => {
                let ballot = self.scope.ballots[*at];
                if ballot.pid == *pid {
                    state.elected |= 1 << at;
                }
                replica.handle_leader(Leader::new(ballot));
                true
            }
            Input::Propose(at, _) => {
                state.proposed |= 1 << at;
                match &self.scope.proposals[*at].what {
                    What::Normal(data) => replica.propose_normal(data.clone()).is_ok(),
                    What::StopSign(nodes) => replica.propose_reconfiguration(nodes.clone()).is_ok(),
                }
            }
            Input::Deliver(message) => {
                let handled = replica.handle_message((**message).clone());
                if handled.is_err() && self.scope.fault.is_none() {
                    self.contradict(state, "a replica finds fault with an honest peer");
                }
                true
            }
            Input::Tick(_) => {
                state.ticks += 1;
                replica.tick();
                true
            }
            Input::FlushEnds(_) => {
                server.end_flush();
                true
            }
        }
    }

    fn contradict(&self, state: &mut State, wrong: &'static str) {
        let mut history = (*state.history).clone();
        history.wrong.get_or_insert(wrong);
        state.history = Shared::new(history);
    }

    /// Handles `input`, and crashes before the flush ends if `torn`. `None` when nothing changes,
    /// or when there is nothing that a crash could lose.
    fn handle(&self, before: &State, input: &Input, torn: bool) -> Option<State> {
        let at = self.index(input.receiver())?;
        let mut state = before.clone();
        let mut server = (*before.servers[at]).clone();
        if !self.give(&mut state, &mut server, input) {
            return None;
        }
        let output = match (torn, self.scope.pipelined) {
            (true, _) => Output::Torn,
            (false, true) => Output::Pipelined,
            (false, false) => Output::Whole,
        };
        let (mut messages, waits) = server.output(output);
        if torn {
            if !waits {
                return None;
            }
            state.crashes += 1;
            server = server.crash(&self.scope)?;
            messages.extend(server.output(Output::Whole).0);
        }
        properties::observe(self, &mut state, &mut server);
        let server = Shared::new(server);
        let changed = server != before.servers[at] || state.history != before.history;
        self.count(&before.servers[at], &server, input, torn);
        state.servers[at] = server;
        state.send(&self.scope, messages);
        network::prune(&self.scope, &mut state);
        (changed || state.network != before.network).then_some(state)
    }

    fn crash(&self, before: &State, pid: NodeId) -> Option<State> {
        let at = self.index(pid)?;
        let mut state = before.clone();
        let mut server = before.servers[at].crash(&self.scope)?;
        let messages = server.output(Output::Whole).0;
        properties::observe(self, &mut state, &mut server);
        state.servers[at] = Shared::new(server);
        state.crashes += 1;
        state.send(&self.scope, messages);
        network::prune(&self.scope, &mut state);
        self.coverage.note(Event::Crash);
        Some(state)
    }

    /// Counts what a step has done, so that a run can show what it covered.
    fn count(&self, before: &Server, after: &Server, input: &Input, torn: bool) {
        if torn {
            self.coverage.note(Event::CrashBeforeFlush);
            return;
        }
        if before == after {
            return;
        }
        if let Input::Deliver(message) = input {
            self.coverage.note(Event::of_message(&message.body));
        }
        self.coverage.note_change(&self.scope.ballots, before, after);
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.initial().into_iter().collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // What follows a contradiction proves nothing more.
        if state.history.wrong.is_some() || self.stops() {
            return;
        }
        let mut inputs = Vec::new();
        self.inputs(state, &mut inputs);
        if state.crashes < self.scope.crashes {
            // With flushes as steps of their own, a crash before one is an ordinary crash.
            if !self.scope.pipelined {
                let may = |input: &&Input| self.scope.crashing.contains(&input.receiver());
                let torn = inputs.iter().filter(may).cloned();
                actions.extend(torn.map(Action::HandleAndCrash));
            }
            actions.extend(self.scope.crashing.iter().copied().map(Action::Crash));
        }
        actions.extend(inputs.into_iter().map(Action::Handle));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        match action {
            Action::Handle(input) => self.handle(state, &input, false),
            Action::HandleAndCrash(input) => self.handle(state, &input, true),
            Action::Crash(pid) => self.crash(state, pid),
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::of(&self.scope)
    }
}
