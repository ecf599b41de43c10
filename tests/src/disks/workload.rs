//! A workload over an engine whose state is known after each of its flushes.

use super::image::{GroupImage, Image};
use super::{MemoryDisk, OWNER};
use crate::sim::Rng;
use omnipaxos_core::leader_election::{Ballot, NodeId};
use omnipaxos_core::storage::{
    Commit, ConfigId, Entry, PaxosState, ProposalId, RecordsBuilder, Sequence, State, StopSign,
    StorageError,
};
use omnipaxos_kompact::durable::{
    DurableMembers, DurableSequence, DurableState, Engine, Options, RemoveError,
};
use omnipaxos_kompact::identity::{Binding, MemberStore, StorageId};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The configuration that is sealed and removed on the way, the one that goes on, and one that is
/// used beside them.
const SEALED: ConfigId = 1;
const NEXT: ConfigId = 2;

/// What a run has done so far. After a crash the disk holds one of the states from the last
/// acknowledged one on.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The creation was acknowledged.
    pub created: bool,
    /// The state before any flush, and after each one that was begun.
    pub images: Vec<Image>,
    /// The last one that was acknowledged.
    pub acknowledged: usize,
    /// The same for the bindings of members.
    pub members: Vec<BTreeMap<NodeId, Binding>>,
    /// The last ones that were acknowledged.
    pub members_acknowledged: usize,
    /// What ended the run before its end.
    pub ended_by: Option<String>,
    /// A rule that the engine broke on the way.
    pub broken: Option<String>,
}

/// A random workload.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Decides all of it.
    pub seed: u64,
    /// Steps.
    pub steps: u32,
}

type Parts = (DurableSequence, DurableState);

struct Run {
    rng: Rng,
    options: Options,
    /// Both `None` between closing and opening again.
    engine: Option<Engine>,
    members: Option<DurableMembers>,
    parts: BTreeMap<ConfigId, Parts>,
    next_number: u64,
    progress: Progress,
}

impl Workload {
    /// The options that it runs with.
    #[must_use]
    pub fn options(disk: &MemoryDisk) -> Options {
        Options {
            segment_bytes: 64 << 10,
            cache_bytes: 8 << 10,
            prepare_ahead: false,
            files: Arc::new(disk.clone()),
        }
    }

    /// Runs in the directory `dir`, which does not exist yet, until its end or the first error.
    #[must_use]
    pub fn run(&self, disk: &MemoryDisk, dir: &Path) -> Progress {
        let mut progress = Progress {
            created: false,
            images: vec![Image::default()],
            acknowledged: 0,
            members: vec![BTreeMap::new()],
            members_acknowledged: 0,
            ended_by: None,
            broken: None,
        };
        let options = Self::options(disk);
        let created = Engine::create(dir, OWNER, options.clone()).map_err(|e| e.to_string());
        let opened = created.and_then(|engine| {
            progress.created = true;
            let members = engine.members().map_err(|e| e.to_string())?;
            Ok((engine, members))
        });
        match opened {
            Ok((engine, members)) => {
                let rng = Rng::new(self.seed);
                let parts = BTreeMap::new();
                let next_number = 1;
                let (engine, members) = (Some(engine), Some(members));
                Run { rng, options, engine, members, parts, next_number, progress }
                    .run(self.steps, dir)
            }
            Err(error) => Progress { ended_by: Some(error), ..progress },
        }
    }

    /// A few flushes of every configuration on an engine that was opened again, whose image is
    /// `image`; returns the image after them.
    ///
    /// # Errors
    /// What the engine reports, as text.
    pub fn go_on(engine: &Engine, disk: &MemoryDisk, image: Image) -> Result<Image, String> {
        let progress = Progress {
            created: true,
            images: vec![image],
            acknowledged: 0,
            members: vec![BTreeMap::new()],
            members_acknowledged: 0,
            ended_by: None,
            broken: None,
        };
        let mut run = Run {
            rng: Rng::new(1),
            options: Self::options(disk),
            engine: Some(engine.clone()),
            members: Some(engine.members().map_err(|e| e.to_string())?),
            parts: BTreeMap::new(),
            next_number: 1_000_000,
            progress,
        };
        let mut groups = engine.configurations();
        groups.push(NEXT + 1);
        for group in groups {
            run.flush(group, 3)?;
        }
        run.record()?;
        run.progress.images.pop().ok_or_else(|| "no image".to_owned())
    }
}

impl Run {
    fn run(mut self, steps: u32, dir: &Path) -> Progress {
        for step in 0..steps {
            if let Err(error) = self.step(step, steps, dir) {
                self.progress.ended_by = Some(error);
                break;
            }
        }
        self.progress
    }

    fn step(&mut self, step: u32, steps: u32, dir: &Path) -> Result<(), String> {
        let sealing = steps / 2;
        if step == sealing {
            return self.seal();
        }
        if step == sealing + 2 {
            return self.remove();
        }
        let group = match step {
            _ if step < sealing / 2 => SEALED,
            _ if step > sealing => NEXT,
            _ => SEALED + self.rng.below(2),
        };
        match self.rng.below(12) {
            0 => self.record(),
            1 => self.reopen(dir),
            kind => self.flush(group, kind),
        }
    }

    fn engine(&self) -> Result<&Engine, String> {
        self.engine.as_ref().ok_or_else(|| "no engine is open".to_owned())
    }

    fn reopen(&mut self, dir: &Path) -> Result<(), String> {
        let storage_id = self.engine()?.storage_id();
        self.parts.clear();
        // The engine holds its lock until it is dropped.
        let busy = Engine::open(dir, OWNER, self.options.clone());
        if busy.is_ok() {
            self.progress.broken = Some("opened twice".to_owned());
        }
        drop(busy);
        (self.engine, self.members) = (None, None);
        let engine = Engine::open(dir, OWNER, self.options.clone()).map_err(|e| e.to_string())?;
        self.members = Some(engine.members().map_err(|e| e.to_string())?);
        if engine.storage_id() != storage_id {
            self.progress.broken = Some("another storage id".to_owned());
        }
        self.engine = Some(engine);
        Ok(())
    }

    fn record(&mut self) -> Result<(), String> {
        let id = u128::from(self.rng.number()) + 1;
        let pid = self.rng.between(1, 5);
        let storage_id = StorageId::new(id).ok_or("no id")?;
        let binding = Binding { storage_id, confirmed: self.rng.chance(50) };
        let mut members = self.progress.members.last().cloned().unwrap_or_default();
        members.insert(pid, binding);
        self.progress.members.push(members);
        let store = self.members.as_mut().ok_or("no engine is open")?;
        match store.record(pid, binding) {
            Ok(()) => {
                self.progress.members_acknowledged = self.progress.members.len() - 1;
                Ok(())
            }
            Err(error) => {
                if store.record(pid, binding) != Err(error.clone()) {
                    self.progress.broken = Some(format!("recorded after {error}"));
                }
                Err(error.to_string())
            }
        }
    }

    fn parts(&mut self, group: ConfigId) -> Result<&mut Parts, String> {
        if !self.parts.contains_key(&group) {
            let parts = self.engine()?.parts(group).map_err(|e| e.to_string())?;
            self.parts.insert(group, parts);
        }
        self.parts.get_mut(&group).ok_or_else(|| "no parts".to_owned())
    }

    /// What this flush leaves, before it is begun.
    fn image_of(&self, group: ConfigId) -> GroupImage {
        let last = self.progress.images.last();
        last.and_then(|image| image.groups.get(&group)).cloned().unwrap_or_default()
    }

    fn flush(&mut self, group: ConfigId, kind: u64) -> Result<(), String> {
        let mut image = self.image_of(group);
        let decided = image.state.as_ref().map_or(0, |state| state.decided).max(image.first);
        let (first, end) = (image.first, image.end());
        if kind == 2 && end > decided {
            let from = self.rng.between(decided, end);
            image.records.truncate((from - first) as usize);
            self.parts(group)?.0.truncate(from).map_err(|e| e.to_string())?;
        }
        let sealed = image.records.last().is_some_and(|(_, entry)| entry.is_stop_sign());
        let records = if sealed { Vec::new() } else { self.records() };
        image.records.extend(records.iter().cloned());
        let mut builder = RecordsBuilder::new();
        builder.extend(records);
        self.parts(group)?.0.append(builder.build()).map_err(|e| e.to_string())?;
        if kind != 4 {
            let decided = self.rng.between(decided, image.end());
            self.store(group, &mut image, decided)?;
        }
        if kind == 5 {
            let decided = image.state.as_ref().map_or(image.first, |state| state.decided);
            let to = self.rng.between(image.first, decided.max(image.first));
            image.records.drain(..(to - image.first) as usize);
            image.first = to;
            self.parts(group)?.0.trim(to).map_err(|e| e.to_string())?;
        }
        self.commit(group, image)
    }

    fn records(&mut self) -> Vec<(ProposalId, Entry)> {
        let bytes = [0, 10, 100, 3000, 20_000][self.rng.below(5) as usize];
        let count = if bytes > 5000 { 1 } else { self.rng.between(1, 12) };
        let mut records = Vec::new();
        for _ in 0..count {
            let id = ProposalId { proposer: 3, session: 1, number: self.next_number };
            self.next_number += 1;
            records.push((id, Entry::from(vec![self.rng.number() as u8; bytes])));
        }
        records
    }

    fn store(
        &mut self,
        group: ConfigId,
        image: &mut GroupImage,
        decided: u64,
    ) -> Result<(), String> {
        let n = self.rng.number() >> 32;
        let ballot = Ballot::new(n, 0, self.rng.between(1, 3));
        let state = State {
            promised: ballot,
            accepted_round: ballot,
            decided,
            session: self.rng.number(),
            ..State::default()
        };
        image.state = Some(state.clone());
        self.parts(group)?.1.store(&state).map_err(|e| e.to_string())
    }

    fn commit(&mut self, group: ConfigId, image: GroupImage) -> Result<(), String> {
        let mut after = self.progress.images.last().cloned().unwrap_or_default();
        after.groups.insert(group, image);
        self.progress.images.push(after);
        let commit = |parts: &mut Parts| parts.1.commit().and_then(Commit::run);
        let result = commit(self.parts(group)?);
        self.ended(result)
    }

    /// Notes how a flush has ended; after a failure, that nothing is flushed any more.
    fn ended(&mut self, result: Result<(), StorageError>) -> Result<(), String> {
        let Err(error) = result else {
            self.progress.acknowledged = self.progress.images.len() - 1;
            return Ok(());
        };
        let mut others = Vec::new();
        for (_, state) in self.parts.values_mut() {
            for _ in 0..2 {
                let again = state.store(&State::default());
                others.push(again.and_then(|()| state.commit()).and_then(Commit::run));
            }
        }
        if let Some(other) = others.iter().find(|other| **other != Err(error.clone())) {
            self.progress.broken = Some(format!("{other:?} after {error}"));
        }
        let status = self.engine()?.status();
        if status.failed.as_ref() != Some(&error) {
            self.progress.broken = Some(format!("{status:?} after {error}"));
        }
        Err(error.to_string())
    }

    /// The StopSign, decided.
    fn seal(&mut self) -> Result<(), String> {
        let mut image = self.image_of(SEALED);
        let id = ProposalId { proposer: 3, session: 1, number: self.next_number };
        self.next_number += 1;
        let stop_sign = StopSign {
            config_id: NEXT,
            nodes: vec![1, 2, 3],
            learners: vec![],
            metadata: Some("where".into()),
            digest: None,
            skip_prepare_use_leader: None,
        };
        let entry = Entry::stop_sign(stop_sign);
        image.records.push((id, entry.clone()));
        let mut builder = RecordsBuilder::new();
        builder.push(id, entry);
        self.parts(SEALED)?.0.append(builder.build()).map_err(|e| e.to_string())?;
        let end = image.end();
        self.store(SEALED, &mut image, end)?;
        self.commit(SEALED, image)?;
        // So that the sealed one is not the latest.
        self.flush(NEXT, 3)
    }

    fn remove(&mut self) -> Result<(), String> {
        self.parts.remove(&SEALED);
        let mut after = self.progress.images.last().cloned().unwrap_or_default();
        after.groups.remove(&SEALED);
        self.progress.images.push(after);
        match self.engine()?.remove(SEALED) {
            Ok(()) => self.ended(Ok(())),
            Err(RemoveError::Storage(error)) => self.ended(Err(error)),
            Err(other) => Err(other.to_string()),
        }
    }
}
