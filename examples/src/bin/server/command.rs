//! What a person may type.

use omnipaxos_core::leader_election::NodeId;

/// What can be typed, for those who ask.
pub(crate) const HELP: &str = "\
anything else    replicate this line
/status          how this server is
/remove PID      take a server out of the cluster
/promote PID     let a learner vote
/demote PID      make a voter a learner
/lead PID        let another server lead
/quit            stop this server";

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// Replicate this.
    Propose(&'a str),
    /// Tell how the server is.
    Status,
    /// Take a server out.
    Remove(NodeId),
    /// Let a learner vote.
    Promote(NodeId),
    /// Let a voter vote no longer.
    Demote(NodeId),
    /// Let another server lead.
    Lead(NodeId),
    /// Stop.
    Quit,
    /// Tell what can be typed.
    Help,
}

impl<'a> Command<'a> {
    /// What a line means.
    pub(crate) fn parse(line: &'a str) -> Self {
        let Some(command) = line.strip_prefix('/') else {
            return Self::Propose(line);
        };
        let mut words = command.split_whitespace();
        let (name, pid) = (words.next(), words.next().and_then(|pid| pid.parse().ok()));
        match (name, pid) {
            (Some("status"), _) => Self::Status,
            (Some("quit"), _) => Self::Quit,
            (Some("remove"), Some(pid)) => Self::Remove(pid),
            (Some("promote"), Some(pid)) => Self::Promote(pid),
            (Some("demote"), Some(pid)) => Self::Demote(pid),
            (Some("lead"), Some(pid)) => Self::Lead(pid),
            _ => Self::Help,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Command;

    #[test]
    fn slashes_are_commands_and_everything_else_is_replicated() {
        assert_eq!(Command::parse("a /remove 2"), Command::Propose("a /remove 2"));
        assert_eq!(Command::parse(""), Command::Propose(""));
        assert_eq!(Command::parse("/remove 2"), Command::Remove(2));
        assert_eq!(Command::parse("/lead  3 "), Command::Lead(3));
        assert_eq!(Command::parse("/promote 4"), Command::Promote(4));
        assert_eq!(Command::parse("/demote 4"), Command::Demote(4));
        assert_eq!(Command::parse("/status"), Command::Status);
        assert_eq!(Command::parse("/quit"), Command::Quit);
        for unclear in ["/", "/remove", "/remove two", "/what"] {
            assert_eq!(Command::parse(unclear), Command::Help, "{unclear}");
        }
    }
}
