//! Several newcomers at once: each serves the others what it has already.

use super::world::{CONFIG, Held, digests, log, target};
use crate::ballot::NodeId;
use crate::digest::BLOCK_COST;
use crate::migration::{
    IndexRange, Migration, MigrationBody, MigrationCommand, MigrationConfig, MigrationMessage,
    Ranges, answer,
};
use crate::storage::Records;
use std::collections::BTreeMap;

/// Bytes that a server sends per tick.
const RATE: u64 = 16 << 10;

struct Server {
    held: Held,
    migration: Option<Migration>,
    served: u64,
    /// In thousandths of a tick.
    busy_until: u64,
}

struct Swarm {
    servers: BTreeMap<NodeId, Server>,
    network: BTreeMap<(u64, u64), MigrationMessage>,
    sent: u64,
    now: u64,
    in_order: bool,
}

impl Swarm {
    /// Newcomers store in order and have `ahead` bytes in memory, where that is given.
    fn new(log: &Records, members: u64, newcomers: u64, ahead: Option<u64>) -> Self {
        let (mut servers, anchor) = (BTreeMap::new(), target(log, true));
        let nothing = Held { held: Ranges::new(), blocks: Vec::new(), ..Held::all(log) };
        for pid in 1..=members + newcomers {
            let config = MigrationConfig {
                segment_bytes: BLOCK_COST,
                resend_ticks: 40,
                inventory_ticks: 5,
                ahead_bytes: ahead.unwrap_or(u64::MAX),
                ..MigrationConfig::default()
            };
            let migration = (pid > members).then(|| {
                let new = Migration::new(pid, anchor.clone(), &Ranges::new(), config);
                let mut migration = new.expect("a possible target");
                for donor in (1..=members + newcomers).filter(|donor| *donor != pid) {
                    migration.add_donor(donor).expect("a donor");
                }
                migration
            });
            let held = if pid > members { nothing.clone() } else { Held::all(log) };
            servers.insert(pid, Server { held, migration, served: 0, busy_until: 0 });
        }
        Self { servers, network: BTreeMap::new(), sent: 0, now: 0, in_order: ahead.is_some() }
    }

    fn send(&mut self, at: u64, message: MigrationMessage) {
        self.sent += 1;
        self.network.insert((at, self.sent), message);
    }

    /// Does what the migration of `pid` says: what is stored can be served.
    fn obey(&mut self, pid: NodeId) {
        let Some(server) = self.servers.get_mut(&pid) else { return };
        let Some(migration) = &mut server.migration else { return };
        let mut sends = Vec::new();
        while let Some(command) = migration.next_command() {
            match command {
                MigrationCommand::Send(message) => sends.push(message),
                MigrationCommand::Store { start, records } => {
                    let range = IndexRange::new(start, start + records.len());
                    assert_eq!(records, server.held.log.slice(range.from, range.to));
                    server.held.held.insert(range);
                }
                other => assert_eq!(other, MigrationCommand::Done),
            }
        }
        if server.held.blocks.is_empty() {
            server.held.blocks = migration.blocks().unwrap_or_default().to_vec();
        }
        if self.in_order {
            let missing = server.held.held.missing(IndexRange::new(0, server.held.log.len()));
            let stored = missing.iter().next().map_or(server.held.log.len(), |range| range.from);
            migration.stored(stored);
        }
        sends.into_iter().for_each(|message| self.send(self.now + 1, message));
    }

    fn deliver(&mut self, message: MigrationMessage) {
        let (now, pid) = (self.now, message.to);
        let Some(server) = self.servers.get_mut(&pid) else { return };
        if message.body.asked().is_none() {
            if let Some(migration) = &mut server.migration {
                migration.handle_message(message).expect("for it");
            }
            return self.obey(pid);
        }
        let reply = answer(CONFIG, pid, &server.held, &message, 256 << 10).expect("a request");
        let bytes = match &reply.body {
            MigrationBody::Segment(m) => m.records.cost(),
            _ => 0,
        };
        server.served += bytes;
        let at = if bytes == 0 {
            now + 1
        } else {
            server.busy_until = server.busy_until.max(now * 1000) + bytes * 1000 / RATE;
            server.busy_until.div_ceil(1000).max(now + 1)
        };
        self.send(at, reply);
    }

    /// The ticks until everyone has everything.
    fn run(&mut self) -> u64 {
        let done = |server: &Server| server.migration.as_ref().is_none_or(Migration::is_done);
        let pids: Vec<NodeId> = self.servers.keys().copied().collect();
        while !self.servers.values().all(done) {
            self.now += 1;
            assert!(self.now < 10_000, "not done");
            while let Some(entry) = self.network.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let message = entry.remove();
                self.deliver(message);
            }
            for pid in &pids {
                if let Some(Server { migration: Some(migration), .. }) = self.servers.get_mut(pid) {
                    migration.tick();
                }
                self.obey(*pid);
            }
        }
        self.now
    }
}

/// With these uplinks, of members and newcomers: the time that all of them allow, and how little
/// was sent twice.
fn share(log: &Records, members: u64, newcomers: u64, ahead: Option<u64>) {
    let mut swarm = Swarm::new(log, members, newcomers, ahead);
    let ticks = swarm.run();
    // All uplinks (a single newcomer has nobody to serve), and each byte leaves the members at
    // least once.
    let uplinks = members + if newcomers > 1 { newcomers } else { 0 };
    let bound = (newcomers * log.cost() / (uplinks * RATE)).max(log.cost() / (members * RATE));
    let served = |pid| swarm.servers[&pid].served;
    let moved: u64 = swarm.servers.keys().map(|pid| served(*pid)).sum();
    let by_newcomers: u64 = (members + 1..=members + newcomers).map(served).sum();
    let what = format!(
        "{members} members, {newcomers} newcomers, {ahead:?} ahead: {ticks} ticks of {bound}"
    );
    assert!(ticks <= bound * 130 / 100 + 5, "{what}");
    let twice = moved - newcomers * log.cost();
    assert!(twice <= moved * 4 / 100, "{what}, {twice} bytes twice");
    if newcomers > 1 {
        assert!(by_newcomers >= moved / 4, "{what}, {by_newcomers} bytes by newcomers");
    }
}

#[test]
fn newcomers_take_part_of_the_load() {
    let log = log(3, 5000, true, |_| 1000);
    assert!(digests(&log).blocks().len() > 70);
    for (members, newcomers) in [(1, 3), (2, 3), (3, 1), (3, 2), (5, 3)] {
        share(&log, members, newcomers, None);
    }
}

#[test]
fn newcomers_that_keep_little_in_memory_do_so_too() {
    let log = log(3, 20_000, true, |_| 1000);
    for (members, newcomers) in [(2, 3), (3, 2), (5, 3)] {
        share(&log, members, newcomers, Some(4 << 20));
    }
}
