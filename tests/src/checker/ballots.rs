//! What messages claim when they leave: who leads, what was promised, what is durable.

use super::{Check, Checker, Configuration, Who, key_of};
use crate::sim::Disk;
use omnipaxos_core::paxos::{
    Accepted, Ballot, Body, Learn, Message, Promise, RecoverReply, Refuse,
};
use omnipaxos_core::storage::Records;

type Finding = Option<(Check, String)>;

impl Checker {
    /// A message leaves `who`, whose disk is `disk`.
    pub fn sent(&mut self, who: Who, message: &Message, disk: &Disk) {
        let Some(configuration) = self.configurations.get_mut(&message.config_id) else {
            return;
        };
        let finding = configuration.check(who, &message.body, disk);
        if let Some((check, detail)) = finding {
            let name = message.body.name();
            let detail = format!("{who} says {name} to {}: {detail}", message.to);
            self.fail(check, detail);
        }
        if let Body::Learn(learn) = &message.body {
            self.learnable(who, message, learn);
        }
    }

    fn learnable(&mut self, who: Who, message: &Message, learn: &Learn) {
        for (at, entry) in (learn.start..).zip(learn.entries.entries()) {
            self.compare(who, message.config_id, at, entry);
        }
    }
}

impl Configuration {
    fn check(&mut self, who: Who, body: &Body, disk: &Disk) -> Finding {
        match body {
            Body::Prepare(m) => {
                if disk.is_suspect() {
                    return Some((Check::VotesOnlySound, format!("{m:?}")));
                }
                let promised = disk.medium().promised();
                if promised < m.n {
                    return Some((Check::DurableFirst, format!("{}, promised {promised}", m.n)));
                }
                self.leads(who, m.n).or_else(|| self.known(m.decided))
            }
            Body::AcceptSync(m) => self
                .accepts(who, m.n)
                .or_else(|| self.known(m.decided))
                .or_else(|| self.one_value(m.n, m.start, &m.suffix)),
            Body::Accept(m) => self
                .accepts(who, m.n)
                .or_else(|| self.known(m.decided))
                .or_else(|| self.one_value(m.n, m.start, &m.entries)),
            Body::Decide(m) => self.accepts(who, m.n).or_else(|| self.known(m.decided)),
            Body::Promise(m) => self.promised(who, m, disk),
            Body::Accepted(m) => self.accepted(who, m, disk),
            Body::Learn(m) => self.known(m.decided),
            Body::Refuse(Refuse { promised, .. })
            | Body::RecoverReply(RecoverReply { promised, .. }) => {
                let durable = disk.medium().promised();
                (durable < *promised).then(|| {
                    let detail = format!("{promised}, promised {durable}");
                    (Check::DurableFirst, detail)
                })
            }
            Body::SyncRequest(_)
            | Body::PrepareReq(_)
            | Body::LearnRequest(_)
            | Body::Propose(_)
            | Body::RecoverRequest(_) => None,
        }
    }

    fn accepts(&mut self, who: Who, n: Ballot) -> Finding {
        self.accepting.insert(n);
        self.leads(who, n)
    }

    fn leads(&mut self, who: Who, n: Ballot) -> Finding {
        if n.pid == who.pid && self.void.remove(&n) {
            self.ballots.remove(&n);
        }
        if !self.members.voters.contains(&who.pid) {
            return Some((Check::OneLeaderPerBallot, format!("{n} is led by a learner")));
        }
        let leader = *self.ballots.entry(n).or_insert(who);
        (leader != who || n.pid != who.pid)
            .then(|| (Check::OneLeaderPerBallot, format!("{n} is led by {leader}")))
    }

    fn known(&self, decided: u64) -> Finding {
        let known = self.log.len() as u64;
        (decided > known)
            .then(|| (Check::QuorumDurable, format!("{decided} are decided, not {known}")))
    }

    fn one_value(&mut self, n: Ballot, start: u64, records: &Records) -> Finding {
        for (at, entry) in (start..).zip(records.entries()) {
            let key = key_of(entry);
            let known = *self.rounds.entry((n, at)).or_insert(key);
            if known != key {
                let detail = format!("{at} of {n} is {key}, and {known}");
                return Some((Check::OneValuePerRound, detail));
            }
        }
        None
    }

    /// A server never answers a round below one that it has answered.
    fn answers(&mut self, who: Who, n: Ballot) -> Finding {
        let answered = self.answered.entry(who.pid).or_default();
        if let Some(highest) = answered.last().filter(|highest| n < **highest) {
            return Some((Check::PromiseKept, format!("{n} after {highest}")));
        }
        answered.insert(n);
        None
    }

    fn promised(&mut self, who: Who, m: &Promise, disk: &Disk) -> Finding {
        let medium = disk.medium();
        let (promised, accepted) = (medium.promised(), medium.accepted_round());
        if disk.is_suspect() && !m.recovering {
            return Some((Check::VotesOnlySound, format!("{m:?}")));
        }
        if promised < m.n || accepted < m.accepted_round {
            let detail = format!("{m:?}, on disk {promised} and {accepted}");
            return Some((Check::DurableFirst, detail));
        }
        if !self.ballots.contains_key(&m.n) {
            return Some((Check::AnswersPrepare, format!("nobody prepared {}", m.n)));
        }
        self.answers(who, m.n).or_else(|| self.known(m.decided))
    }

    fn accepted(&mut self, who: Who, m: &Accepted, disk: &Disk) -> Finding {
        let medium = disk.medium();
        let (promised, accepted) = (medium.promised(), medium.accepted_round());
        if disk.is_suspect() {
            return Some((Check::VotesOnlySound, format!("{m:?}")));
        }
        if accepted < m.n || medium.decided() < m.decided {
            let detail = format!("{m:?}, on disk {accepted} and {}", medium.decided());
            return Some((Check::DurableFirst, detail));
        }
        // With a higher promise on disk the tail may have been replaced since.
        if accepted == m.n && promised == m.n {
            if medium.end() < m.len {
                let detail = format!("{} entries, on disk {}", m.len, medium.end());
                return Some((Check::DurableFirst, detail));
            }
            for at in medium.decided().max(medium.first())..m.len {
                let ours = medium.record(at).map(|(_, entry)| key_of(entry));
                let theirs = self.rounds.get(&(m.n, at)).copied();
                if theirs.is_some() && ours != theirs {
                    let detail = format!("{at} of {} is {theirs:?}, on disk {ours:?}", m.n);
                    return Some((Check::OneValuePerRound, detail));
                }
            }
        }
        self.answers(who, m.n)
    }
}
