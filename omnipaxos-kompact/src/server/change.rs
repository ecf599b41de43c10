//! Changes of membership, and of the leader, as a user asks for them.

use super::error::ChangeError;
use omnipaxos_core::configurations::{Configuration, Role};
use omnipaxos_core::leader_election::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What a user wants changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// These are the members from now on, whatever they were.
    Reconfigure(Vec<Seat>),
    /// One more member.
    Add(Seat),
    /// One member less.
    Remove(NodeId),
    /// Another server in the place of a member, in its role.
    Replace {
        /// The member that goes.
        old: NodeId,
        /// The server that comes.
        new: NodeId,
        /// Where that is reached, where it is not known yet.
        address: Option<SocketAddr>,
    },
    /// A member votes from now on, or no longer.
    SetRole {
        /// The member.
        pid: NodeId,
        /// Its role from now on.
        role: Role,
    },
    /// A voter leads from now on.
    TransferLeadership(NodeId),
}

/// A member of a configuration that is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The server.
    pub pid: NodeId,
    /// Where it is reached; `None` where that is known already.
    pub address: Option<SocketAddr>,
    /// Whether it votes.
    pub role: Role,
}

impl Seat {
    /// A server that votes.
    #[must_use]
    pub fn voter(pid: NodeId, address: Option<SocketAddr>) -> Self {
        Self { pid, address, role: Role::Voter }
    }

    /// A server that gets the log and does not vote.
    #[must_use]
    pub fn learner(pid: NodeId, address: Option<SocketAddr>) -> Self {
        Self { pid, address, role: Role::Learner }
    }
}

/// The members of a configuration that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) nodes: Vec<NodeId>,
    pub(super) learners: Vec<NodeId>,
    /// Where servers are said to be.
    pub(super) addresses: BTreeMap<NodeId, SocketAddr>,
}

impl Target {
    pub(super) fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().chain(&self.learners).copied()
    }

    /// What `change` makes of `newest`.
    pub(super) fn of(change: &Change, newest: &Configuration) -> Result<Self, ChangeError> {
        let mut target = Self {
            nodes: newest.nodes.clone(),
            learners: newest.learners.clone(),
            addresses: BTreeMap::new(),
        };
        match change {
            Change::Reconfigure(seats) => {
                target.nodes.clear();
                target.learners.clear();
                seats.iter().for_each(|seat| target.add(seat));
            }
            Change::Add(seat) => {
                match newest.role(seat.pid) {
                    Some(role) if role >= seat.role => {
                        return Err(ChangeError::MemberAlready(seat.pid));
                    }
                    _ => target.remove(seat.pid),
                };
                target.add(seat);
            }
            Change::Remove(pid) => {
                target.remove(*pid).ok_or(ChangeError::NoSuchMember(*pid))?;
                target.voters_after(*pid)?;
            }
            Change::Replace { old, new, address } => {
                let role = target.remove(*old).ok_or(ChangeError::NoSuchMember(*old))?;
                if newest.role(*new).is_some() {
                    return Err(ChangeError::MemberAlready(*new));
                }
                target.add(&Seat { pid: *new, address: *address, role });
            }
            Change::SetRole { pid, role } => {
                let before = target.remove(*pid).ok_or(ChangeError::NoSuchMember(*pid))?;
                if before == *role {
                    return Err(ChangeError::MemberAlready(*pid));
                }
                target.add(&Seat { pid: *pid, address: None, role: *role });
                target.voters_after(*pid)?;
            }
            Change::TransferLeadership(to) => {
                return Err(match newest.role(*to) {
                    Some(_) => ChangeError::MemberAlready(*to),
                    None => ChangeError::NoSuchMember(*to),
                });
            }
        }
        Ok(target)
    }

    fn add(&mut self, seat: &Seat) {
        match seat.role {
            Role::Voter => self.nodes.push(seat.pid),
            Role::Learner => self.learners.push(seat.pid),
        }
        self.addresses.extend(seat.address.map(|address| (seat.pid, address)));
    }

    fn remove(&mut self, pid: NodeId) -> Option<Role> {
        let found = |list: &mut Vec<NodeId>| {
            list.iter().position(|member| *member == pid).map(|at| list.remove(at)).is_some()
        };
        if found(&mut self.nodes) {
            return Some(Role::Voter);
        }
        found(&mut self.learners).then_some(Role::Learner)
    }

    fn voters_after(&self, gone: NodeId) -> Result<(), ChangeError> {
        if self.nodes.is_empty() {
            return Err(ChangeError::LastVoter(gone));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest() -> Configuration {
        Configuration::first(1, vec![1, 2, 3]).with_learners(vec![4])
    }

    fn members(change: Change) -> Result<(Vec<NodeId>, Vec<NodeId>), ChangeError> {
        Target::of(&change, &newest()).map(|target| (target.nodes, target.learners))
    }

    #[test]
    fn each_change_gives_the_members_that_it_names() {
        let seat = Seat::voter(5, None);
        assert_eq!(members(Change::Add(seat)), Ok((vec![1, 2, 3, 5], vec![4])));
        let learner = Change::Add(Seat::learner(5, None));
        assert_eq!(members(learner), Ok((vec![1, 2, 3], vec![4, 5])));
        assert_eq!(members(Change::Add(Seat::voter(4, None))), Ok((vec![1, 2, 3, 4], vec![])));
        assert_eq!(members(Change::Remove(2)), Ok((vec![1, 3], vec![4])));
        assert_eq!(members(Change::Remove(4)), Ok((vec![1, 2, 3], vec![])));
        let replace = |old, new| Change::Replace { old, new, address: None };
        assert_eq!(members(replace(1, 7)), Ok((vec![2, 3, 7], vec![4])));
        assert_eq!(members(replace(4, 7)), Ok((vec![1, 2, 3], vec![7])));
        let promote = Change::SetRole { pid: 4, role: Role::Voter };
        assert_eq!(members(promote), Ok((vec![1, 2, 3, 4], vec![])));
        let demote = Change::SetRole { pid: 3, role: Role::Learner };
        assert_eq!(members(demote), Ok((vec![1, 2], vec![4, 3])));
        let all = Change::Reconfigure(vec![Seat::voter(8, None), Seat::learner(9, None)]);
        assert_eq!(members(all), Ok((vec![8], vec![9])));
    }

    #[test]
    fn impossible_changes_say_why() {
        assert_eq!(members(Change::Add(Seat::voter(1, None))), Err(ChangeError::MemberAlready(1)));
        assert_eq!(
            members(Change::Add(Seat::learner(4, None))),
            Err(ChangeError::MemberAlready(4))
        );
        assert_eq!(members(Change::Remove(9)), Err(ChangeError::NoSuchMember(9)));
        let replace = |old, new| Change::Replace { old, new, address: None };
        assert_eq!(members(replace(9, 7)), Err(ChangeError::NoSuchMember(9)));
        assert_eq!(members(replace(1, 2)), Err(ChangeError::MemberAlready(2)));
        let alone = Configuration::first(1, vec![1]).with_learners(vec![2]);
        let last = |change| Target::of(&change, &alone).map(|_| ());
        assert_eq!(last(Change::Remove(1)), Err(ChangeError::LastVoter(1)));
        assert_eq!(last(Change::Remove(2)), Ok(()));
        let demote = Change::SetRole { pid: 1, role: Role::Learner };
        assert_eq!(last(demote), Err(ChangeError::LastVoter(1)));
    }
}
