//! This server's proposals from one configuration to the next: each decided at most once, in order.

use crate::storage::{ConfigId, ENTRY_OVERHEAD, ProposalId};
use bytes::Bytes;
use std::collections::VecDeque;
use thiserror::Error;

/// A proposal, and what its proposer knows it by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held<T> {
    data: Bytes,
    token: T,
}

impl<T> Held<T> {
    fn cost(&self) -> u64 {
        ENTRY_OVERHEAD + self.data.len() as u64
    }
}

/// A proposal that was handed to a replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Handed<T> {
    id: ProposalId,
    held: Held<T>,
}

/// Why a proposal was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// Too many bytes wait already: try again once some of them are decided.
    #[error("overloaded: {pending} bytes of proposals wait, the limit is {limit}")]
    Overloaded {
        /// Bytes that wait.
        pending: u64,
        /// The limit.
        limit: u64,
    },
}

/// A proposal of this server that was decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DecidedProposal<T> {
    /// What the proposer knows it by.
    pub token: T,
    /// The configuration in which it was decided.
    pub config_id: ConfigId,
    /// Its index in the log of that configuration.
    pub index: u64,
}

/// The proposals of one server while its configurations change under them.
///
/// They wait here, in the order in which they were submitted, until a replica takes them; what that
/// replica then drops, since its log was sealed without them, comes back to where it was and goes
/// to the replica of the next configuration. A replica decides a proposal at most once and keeps
/// their order (docs/PROTOCOL.md, proposal identity), and drops only what is not decided and never
/// will be, so all of that holds across configurations too. In memory only: after a crash nobody
/// here knows which of them were decided.
///
/// Call [`next`](Self::next) and [`handed`](Self::handed) as long as the replica of
/// [`config_id`](Self::config_id) takes proposals, and [`decided`](Self::decided) or
/// [`dropped`](Self::dropped) for each of its outcomes, in their order.
///
/// ```
/// use omnipaxos_core::{configurations::Proposals, storage::ProposalId};
/// let mut proposals = Proposals::new(1 << 20);
/// proposals.submit("first", 'a')?;
/// proposals.submit("second", 'b')?;
/// proposals.start(1);
/// for number in 1..=2 {
///     assert!(proposals.next().is_some()); // the replica takes it, and calls it this:
///     proposals.handed(ProposalId { proposer: 1, session: 1, number });
/// }
/// // Configuration 1 ends with the first one only.
/// let first = ProposalId { proposer: 1, session: 1, number: 1 };
/// assert_eq!(proposals.decided(first, 7).unwrap().token, 'a');
/// proposals.start(2);
/// assert_eq!(proposals.next(), None); // what has become of the second one is not known yet
/// proposals.dropped(ProposalId { proposer: 1, session: 1, number: 2 });
/// assert_eq!(proposals.next().unwrap(), "second");
/// # Ok::<(), omnipaxos_core::configurations::SubmitError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposals<T> {
    limit: u64,
    cost: u64,
    /// The configuration whose replica is next to take some.
    config_id: ConfigId,
    /// The configuration whose replica took those in `handed`.
    handed_in: ConfigId,
    handed: VecDeque<Handed<T>>,
    /// Those of `handed` that were dropped, in order.
    dropped: Vec<Held<T>>,
    waiting: VecDeque<Held<T>>,
}

impl<T> Proposals<T> {
    /// No proposals yet; they may cost `limit` bytes together (payload plus
    /// [`ENTRY_OVERHEAD`] each), or be one.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            cost: 0,
            config_id: 0,
            handed_in: 0,
            handed: VecDeque::new(),
            dropped: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Takes a proposal in; `token` comes back when it is decided.
    ///
    /// # Errors
    /// [`SubmitError`] when it was not taken.
    pub fn submit(&mut self, data: impl Into<Bytes>, token: T) -> Result<(), SubmitError> {
        let held = Held { data: data.into(), token };
        let pending = self.cost.saturating_add(held.cost());
        if self.cost > 0 && pending > self.limit {
            return Err(SubmitError::Overloaded { pending: self.cost, limit: self.limit });
        }
        self.cost = pending;
        self.waiting.push_back(held);
        Ok(())
    }

    /// From now on the replica of `config_id` takes proposals. Earlier configurations change
    /// nothing.
    pub fn start(&mut self, config_id: ConfigId) {
        self.config_id = self.config_id.max(config_id);
        self.settle();
    }

    /// The configuration whose replica is to take proposals; 0 before the first one.
    #[must_use]
    pub fn config_id(&self) -> ConfigId {
        self.config_id
    }

    /// What the replica of [`config_id`](Self::config_id) is to be given next. `None` while there
    /// is nothing, or while the outcome of what an earlier replica was given is not known: that
    /// may have to come first.
    #[must_use]
    pub fn next(&self) -> Option<&Bytes> {
        let clear = self.handed.is_empty() || self.handed_in == self.config_id;
        let ready = clear && self.config_id > 0 && self.dropped.is_empty();
        self.waiting.front().filter(|_| ready).map(|held| &held.data)
    }

    /// The replica has taken [`next`](Self::next), and calls it `id`.
    pub fn handed(&mut self, id: ProposalId) {
        if self.next().is_some()
            && let Some(held) = self.waiting.pop_front()
        {
            self.handed_in = self.config_id;
            self.handed.push_back(Handed { id, held });
        }
    }

    /// Proposal `id` was decided at `index` of the log of the replica that took it. `None` where it
    /// is none of those that were handed out.
    pub fn decided(&mut self, id: ProposalId, index: u64) -> Option<DecidedProposal<T>> {
        let held = self.take(id)?;
        self.cost = self.cost.saturating_sub(held.cost());
        self.settle();
        let config_id = self.handed_in;
        Some(DecidedProposal { token: held.token, config_id, index })
    }

    /// The log of the replica that took proposal `id` was sealed without it.
    pub fn dropped(&mut self, id: ProposalId) {
        if let Some(held) = self.take(id) {
            self.dropped.push(held);
            self.settle();
        }
    }

    /// Gives up all proposals, in order: this server is no member any more. What was handed to a
    /// replica may still be decided.
    pub fn give_up(&mut self) -> Vec<T> {
        self.cost = 0;
        let dropped = std::mem::take(&mut self.dropped).into_iter();
        let handed = std::mem::take(&mut self.handed).into_iter().map(|handed| handed.held);
        let waiting = std::mem::take(&mut self.waiting);
        dropped.chain(handed).chain(waiting).map(|held| held.token).collect()
    }

    /// How many proposals are not decided.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dropped.len() + self.handed.len() + self.waiting.len()
    }

    /// Whether all proposals are decided.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the undecided proposals cost, in bytes.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.cost
    }

    fn take(&mut self, id: ProposalId) -> Option<Held<T>> {
        let at = self.handed.iter().position(|handed| handed.id == id)?;
        self.handed.remove(at).map(|handed| handed.held)
    }

    /// Once all outcomes are known, what was dropped comes before what was never handed out.
    fn settle(&mut self) {
        if self.handed.is_empty() {
            for held in self.dropped.drain(..).rev() {
                self.waiting.push_front(held);
            }
        }
    }
}
