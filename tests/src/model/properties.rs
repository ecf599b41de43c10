//! What must hold in every state, and what must happen in some.

use super::scope::{Proposal, Scope, What};
use super::shared::Shared;
use super::state::{Server, State};
use super::steps::World;
use omnipaxos_core::Quorum;
use omnipaxos_core::paxos::ProposalOutcome;
use omnipaxos_core::storage::Entry;
use stateright::Property;

/// The properties of the worlds within `scope`.
pub(super) fn of(scope: &Scope) -> Vec<Property<World>> {
    let mut properties = vec![
        Property::always("nothing is contradicted", |_: &World, state: &State| {
            state.history.wrong.is_none()
        }),
        Property::always("what is decided was proposed, once (SC1)", proposed_once),
        Property::always("nothing follows a StopSign (SC3)", |_: &World, state: &State| {
            let log = &state.history.log;
            let stop_sign = log.iter().position(Entry::is_stop_sign);
            stop_sign.is_none_or(|at| at + 1 == log.len())
        }),
        Property::always("what is decided is on the disks of a quorum (SC2)", durable),
        Property::sometimes("something is decided", |_: &World, state: &State| {
            !state.history.log.is_empty()
        }),
    ];
    if scope.ballots.windows(2).any(|pair| pair[0].pid != pair[1].pid) {
        properties.push(Property::sometimes(
            "two servers lead at once",
            |_: &World, state: &State| {
                let leads = |server: &&Shared<Server>| server.replica.is_leader();
                state.servers.iter().filter(leads).count() > 1
            },
        ));
    }
    properties
}

/// Takes what a server hands out, and holds it against all that was ever handed out (SC2, SC3).
pub(super) fn observe(world: &World, state: &mut State, server: &mut Server) {
    let mut history = (*state.history).clone();
    let taken = server.replica.take_decided(u64::MAX);
    let from = taken.first_index as usize;
    let mut wrong = server.replica.halted().map(|_| "a replica halted");
    let mut agree = |from: usize, entries: Vec<Entry>| {
        for (at, entry) in (from..).zip(entries) {
            match history.log.get(at) {
                Some(known) if *known == entry => {}
                Some(_) => wrong = Some("an index is decided twice, differently"),
                None if at == history.log.len() => history.log.push(entry),
                None => wrong = Some("decided entries are skipped"),
            }
        }
    };
    let handed_out = from + taken.entries.len();
    agree(from, taken.entries);
    // What is decided in memory and not durable here: the others may hand it out already.
    if server.replica.decided_index() as usize > handed_out {
        agree(0, server.decided());
    }
    for (id, outcome) in server.replica.take_outcomes() {
        let made = |entry: &Entry| {
            let by = |p: &Proposal| p.by.contains(&id.proposer);
            let all = world.scope.proposals.iter();
            all.filter(|p| by(p)).any(|p| is(entry, &p.what))
        };
        let fine = match outcome {
            ProposalOutcome::Decided(at) => history.log.get(at as usize).is_some_and(made),
            ProposalOutcome::Dropped => history.log.last().is_some_and(Entry::is_stop_sign),
        };
        if !fine {
            wrong = Some("a proposer is told what is not so");
        }
    }
    history.wrong = history.wrong.or(wrong);
    if history != *state.history {
        state.history = Shared::new(history);
    }
}

fn is(entry: &Entry, what: &What) -> bool {
    match (entry, what) {
        (Entry::Normal(data), What::Normal(proposed)) => data == proposed,
        (Entry::StopSign(ss), What::StopSign(nodes)) => ss.nodes == *nodes,
        _ => false,
    }
}

fn proposed_once(world: &World, state: &State) -> bool {
    let log = &state.history.log;
    let made = |entry: &Entry| {
        let all = world.scope.proposals.iter().enumerate();
        all.filter(|(at, _)| state.proposed & (1 << at) != 0)
            .any(|(_, proposal)| is(entry, &proposal.what))
    };
    let once = |(at, entry): (usize, &Entry)| !log[..at].contains(entry);
    log.iter().all(made) && log.iter().enumerate().all(once)
}

/// Whatever happened since: a prepare quorum will find it.
fn durable(world: &World, state: &State) -> bool {
    let quorum = Quorum::majority(world.scope.pids.len()).accept();
    state.history.log.iter().enumerate().all(|(at, entry)| {
        let holds = |server: &&Shared<Server>| server.written.entries.get(at) == Some(entry);
        state.servers.iter().filter(holds).count() >= quorum
    })
}
