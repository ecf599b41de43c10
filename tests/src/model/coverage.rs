//! How often what happened, over all explored steps: a model in which nothing happens proves
//! nothing.

use super::state::Server;
use omnipaxos_core::paxos::{Ballot, Body};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Something that a step may do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])* $name,)*
        }

        impl Event {
            /// All events.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What is printed.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

events! {
    /// A Prepare changed its receiver; likewise the following ones.
    Prepare = "Prepare",
    /// See above.
    Promise = "Promise",
    /// See above.
    AcceptSync = "AcceptSync",
    /// See above.
    SyncRequest = "SyncRequest",
    /// See above.
    Accept = "Accept",
    /// See above.
    Accepted = "Accepted",
    /// See above.
    Decide = "Decide",
    /// See above.
    PrepareReq = "PrepareReq",
    /// See above.
    Refuse = "Refuse",
    /// See above.
    LearnRequest = "LearnRequest",
    /// See above.
    Learn = "Learn",
    /// See above.
    Propose = "Propose",
    /// A server that led follows.
    StepDown = "a leader steps down",
    /// A tail on a disk was cut, and perhaps replaced.
    TailCut = "a tail is cut",
    /// A new leader has taken a log from a peer.
    Adopted = "a leader adopts a peer's log",
    /// A leader of the first ballot decided something.
    FirstDecides = "the first ballot decides",
    /// A leader of a later ballot decided something.
    LaterDecides = "a later ballot decides",
    /// A crash of a server that had nothing to lose but its memory.
    Crash = "a crash",
    /// A crash before a flush ended.
    CrashBeforeFlush = "a crash that loses writes",
}

/// Counts of all events.
#[derive(Debug)]
pub struct Coverage {
    counts: Vec<AtomicU64>,
}

impl Default for Coverage {
    fn default() -> Self {
        Self { counts: Event::ALL.iter().map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Coverage {
    /// How often `event` has happened.
    #[must_use]
    pub fn count(&self, event: Event) -> u64 {
        self.counts[event as usize].load(Ordering::Relaxed)
    }

    pub(super) fn note(&self, event: Event) {
        self.counts[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what shows in the difference between a server before and after a step.
    pub(super) fn note_change(&self, ballots: &[Ballot], before: &Server, after: &Server) {
        if before.replica.is_leader() && !after.replica.is_leader() {
            self.note(Event::StepDown);
        }
        let more = before.replica.decided_index() < after.replica.decided_index();
        if more && before.replica.is_leader() && after.replica.is_leader() {
            let first = ballots.first() == Some(&after.replica.promised());
            self.note(if first { Event::FirstDecides } else { Event::LaterDecides });
        }
        if before.written == after.written {
            return;
        }
        let (old, new) = (&before.written.entries, &after.written.entries);
        if !new.starts_with(old) {
            self.note(Event::TailCut);
        }
        let begins = before.written.accepted_round != after.written.accepted_round;
        if begins && after.written.accepted_round.pid == after.replica.pid() && old != new {
            self.note(Event::Adopted);
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Event::ALL.iter().map(|event| (event.text(), self.count(*event)));
        let counts: Vec<String> = counts.map(|(text, count)| format!("{text} {count}")).collect();
        f.write_str(&counts.join(", "))
    }
}

impl Event {
    /// The event that a message of this kind changed its receiver.
    pub(super) fn of_message(body: &Body) -> Self {
        match body {
            Body::Prepare(_) => Self::Prepare,
            Body::Promise(_) => Self::Promise,
            Body::AcceptSync(_) => Self::AcceptSync,
            Body::SyncRequest(_) => Self::SyncRequest,
            Body::Accept(_) => Self::Accept,
            Body::Accepted(_) => Self::Accepted,
            Body::Decide(_) => Self::Decide,
            // No storage of the model is suspect: the other two are never sent.
            Body::PrepareReq(_) | Body::RecoverRequest(_) | Body::RecoverReply(_) => {
                Self::PrepareReq
            }
            Body::Refuse(_) => Self::Refuse,
            Body::LearnRequest(_) => Self::LearnRequest,
            Body::Learn(_) => Self::Learn,
            Body::Propose(_) => Self::Propose,
        }
    }
}
