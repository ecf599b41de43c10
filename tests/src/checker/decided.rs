//! What is decided: one log, of proposed entries, each once, in order, on enough disks.

use super::{Check, Checker, Configuration, Key, Who, key_of};
use crate::sim::{Disk, Image};
use omnipaxos_core::storage::{ConfigId, Entry, ProposalId};

impl Checker {
    /// `who` says that the first `index` entries of its log are decided.
    pub fn decided(&mut self, who: Who, config_id: ConfigId, index: u64, disk: &Disk) {
        let Some(configuration) = self.configurations.get_mut(&config_id) else {
            return self.fail(Check::OneLog, format!("{config_id} does not exist"));
        };
        let compared = configuration.compared.entry(who.slot).or_default();
        let from = std::mem::replace(compared, (*compared).max(index));
        let known = configuration.log.len() as u64;
        let differs = (from..index.min(known)).find(|at| {
            let cache = disk.cache();
            let Some((id, entry)) = cache.record(*at) else { return *at >= cache.first() };
            !self.is_decided(config_id, *at, *id, entry)
        });
        if let Some(at) = differs {
            let record = disk.cache().record(at).cloned();
            let ours = self.configurations.get(&config_id).map(|c| c.log[at as usize]);
            let detail =
                format!("{who} has decided {record:?} at {at} of {config_id}, others {ours:?}");
            return self.fail(Check::OneLog, detail);
        }
        for at in from.max(known)..index {
            let record = disk.cache().record(at).cloned();
            let Some((id, entry)) = record else {
                let detail = format!("{who} decided {at} of {config_id}, which it lacks");
                return self.fail(Check::OneLog, detail);
            };
            self.choose(who, config_id, at, &entry, id);
            let violated = self.violation.is_some();
            let Some(configuration) = self.configurations.get_mut(&config_id) else {
                return;
            };
            if violated {
                return;
            }
            configuration.log.push((key_of(&entry), id));
            if let Entry::StopSign(ss) = entry {
                configuration.sealed = Some(*ss);
            }
        }
    }

    /// An entry is decided that nobody had decided before.
    fn choose(&mut self, who: Who, config_id: ConfigId, at: u64, entry: &Entry, id: ProposalId) {
        let key = key_of(entry);
        let Some(configuration) = self.configurations.get(&config_id) else {
            return;
        };
        let place = format!("{who} decided {entry:?} ({id}) at {at} of {config_id}");
        if configuration.sealed.is_some() {
            return self.fail(Check::NothingAfterStopSign, place);
        }
        let covered = configuration.covered(at, key);
        if covered < configuration.accept {
            let detail = format!("{place}, which {covered} disks hold");
            return self.fail(Check::QuorumDurable, detail);
        }
        let Some(proposal) = self.proposal_mut(key).filter(|p| p.is(entry)) else {
            return self.fail(Check::OnlyProposed, place);
        };
        let (attempts, line) = (proposal.attempts.clone(), proposal.line);
        if let Some(earlier) = proposal.place.replace((config_id, at)) {
            let detail = format!("{place}, and before at {earlier:?}");
            return self.fail(Check::AtMostOnce, detail);
        }
        if !attempts.iter().any(|attempt| (attempt.config_id, attempt.id) == (config_id, id)) {
            return self.fail(Check::OnlyProposed, format!("{place}, not {attempts:?}"));
        }
        if let Some(line) = line {
            let last = self.lines.entry((line.slot, line.incarnation)).or_default();
            let earlier = std::mem::replace(last, key);
            if earlier > key {
                let detail = format!("{place}, which waited before {earlier}");
                return self.fail(Check::ProposerOrder, detail);
            }
        }
        let Some(configuration) = self.configurations.get_mut(&config_id) else {
            return;
        };
        let order = configuration.order.entry(id.proposer).or_default();
        let (session, number) = std::mem::replace(order, (id.session, id.number));
        let next = (id.session == session && id.number == number + 1)
            || (id.session > session && id.number == 1);
        if !next {
            let detail = format!("{place} after {session}/{number}");
            self.fail(Check::ProposerOrder, detail);
        }
    }

    /// `who` handed decided entries to its user, `first` being the index of the first of them.
    pub fn handed_out(
        &mut self,
        who: Who,
        config_id: ConfigId,
        first: u64,
        entries: &[Entry],
        disk: &Disk,
    ) {
        let Some(configuration) = self.configurations.get_mut(&config_id) else {
            return;
        };
        let end = first + entries.len() as u64;
        let expected = configuration.taken.insert(who.slot, end).unwrap_or(first);
        let handed = configuration.handed.entry(who.slot).or_default();
        *handed = end.max(*handed);
        if expected != first {
            let detail = format!("{who} hands out {first} after {expected} of {config_id}");
            return self.fail(Check::NeverShrinks, detail);
        }
        let durable = disk.medium().end();
        if durable < end {
            let detail = format!("{who} hands out {end} of {config_id}, {durable} are durable");
            return self.fail(Check::DurableFirst, detail);
        }
        for (at, entry) in (first..).zip(entries) {
            self.compare(who, config_id, at, entry);
        }
    }

    /// `who` showed an entry as decided.
    pub fn compare(&mut self, who: Who, config_id: ConfigId, at: u64, entry: &Entry) {
        let known = self.configurations.get(&config_id).and_then(|c| c.log.get(at as usize));
        let known = known.map(|(_, id)| *id);
        if known.is_none_or(|id| !self.is_decided(config_id, at, id, entry)) {
            let detail = format!("{who} shows {entry:?} at {at} of {config_id}, not {known:?}");
            self.fail(Check::OneLog, detail);
        }
    }

    /// Whether this is what is decided at an index: the same bytes under the same identity.
    pub(super) fn is_decided(
        &self,
        config_id: ConfigId,
        at: u64,
        id: ProposalId,
        entry: &Entry,
    ) -> bool {
        let Some(configuration) = self.configurations.get(&config_id) else { return false };
        let known = configuration.log.get(at as usize).copied();
        known == Some((key_of(entry), id))
            && match entry {
                Entry::StopSign(ss) => configuration.sealed.as_ref() == Some(&**ss),
                Entry::Normal(_) => self.proposal(key_of(entry)).is_some_and(|p| p.is(entry)),
            }
    }

    /// `who` starts; its replica of a configuration hands out entries from `read_from` on, all
    /// retained ones when `None`.
    pub fn started(&mut self, who: Who, config_id: ConfigId, read_from: Option<u64>, disk: &Disk) {
        let Some(configuration) = self.configurations.get_mut(&config_id) else {
            return;
        };
        configuration.compared.insert(who.slot, 0);
        let medium = disk.medium();
        let read_from = read_from.unwrap_or(medium.first());
        configuration.taken.insert(who.slot, read_from);
        let handed = configuration.handed.get(&who.slot).copied().unwrap_or(0);
        let end = medium.end();
        let differs = (medium.first()..handed.min(end)).find(|at| {
            let known = configuration.log.get(*at as usize);
            medium.record(*at).map(|(id, entry)| (key_of(entry), *id)) != known.copied()
        });
        drop(medium);
        if end < handed || differs.is_some() {
            let detail = format!(
                "{who} handed out {handed} of {config_id}, its disk has {end}, other at {differs:?}"
            );
            self.fail(Check::NeverShrinks, detail);
        }
        self.recoverable(config_id);
        self.covered(config_id);
    }
}

impl Configuration {
    /// How many members' media hold `key` at `at`, or have trimmed it. What one has lost counts
    /// until it has recovered: it must have it again by then.
    pub(super) fn covered(&self, at: u64, key: Key) -> usize {
        let holds = |image: &Image| {
            at < image.first() || image.record(at).is_some_and(|(_, e)| key_of(e) == key)
        };
        let disks = self.disks.iter().filter(|(pid, _)| self.members.voters.contains(pid));
        let disks = disks
            .map(|(_, disk)| disk)
            .filter(|disk| holds(&disk.medium()) || disk.lost().is_some_and(|image| holds(&image)));
        disks.count()
    }
}
