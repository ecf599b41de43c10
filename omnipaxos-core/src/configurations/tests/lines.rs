//! One step at a time: what a command leads to.

use super::world::config;
use crate::ballot::Ballot;
use crate::configurations::{
    Command, Configuration, Configurations, ConfigurationsConfig, Ended, Found, History,
    ServerBody, ServerMessage, Stage,
};
use crate::digest::Block;
use crate::migration::{
    DonorLog, IndexRange, Inventory, MigrationBody, MigrationMessage, Ranges, Segment,
    SegmentRequest,
};
use crate::storage::{
    ConfigId, Entry, ProposalId, Records, RecordsBuilder, StopSign, StorageError,
};

pub(super) fn ended(config_id: ConfigId, len: u64, nodes: &[u64]) -> Ended {
    let stop_sign = StopSign {
        config_id: config_id + 1,
        nodes: nodes.to_vec(),
        learners: Vec::new(),
        metadata: None,
        digest: None,
        skip_prepare_use_leader: None,
    };
    let round = Ballot::new(3, 0, 1);
    Ended { config_id, len, stop_sign, anchor: None, round, forced: false }
}

pub(super) fn take(server: &mut Configurations) -> Vec<Command> {
    std::iter::from_fn(|| server.next_command()).collect()
}

fn starts(commands: &[Command]) -> Vec<ConfigId> {
    let starts = commands.iter().filter_map(|command| match command {
        Command::StartReplica { configuration } => Some(configuration.config_id),
        _ => None,
    });
    starts.collect()
}

#[test]
fn a_replica_starts_once_the_history_that_names_it_is_durable() {
    let config = ConfigurationsConfig::default();
    let mut server = Configurations::new(1, Found::default(), config).unwrap();
    assert_eq!(take(&mut server), []);
    server.bootstrap(Configuration::first(1, vec![1, 2, 3])).unwrap();
    let commands = take(&mut server);
    assert!(matches!(commands[..], [Command::Persist { version: 1, .. }]), "{commands:?}");
    server.tick();
    assert_eq!(take(&mut server), []);
    server.persisted(1);
    assert_eq!(starts(&take(&mut server)), [1]);
    server.replica_started(1);
    take(&mut server);
    server.stop_sign_decided(ended(1, 10, &[1, 4])).unwrap();
    let commands = take(&mut server);
    assert!(matches!(commands[..], [Command::Persist { version: 2, .. }]), "{commands:?}");
    server.persisted(2);
    assert_eq!(starts(&take(&mut server)), [2]);
    assert_eq!(server.history().unwrap().global(2, 5), Some(15));
    assert_eq!(server.history().unwrap().local(15), (2, 5));
}

/// Server 1 of {1, 2, 3} in configuration 1, its replica running.
fn running() -> Configurations {
    let mut server = Configurations::new(1, Found::default(), config()).unwrap();
    server.bootstrap(Configuration::first(1, vec![1, 2, 3])).unwrap();
    take(&mut server);
    server.persisted(1);
    take(&mut server);
    server.replica_started(1);
    take(&mut server);
    server
}

fn say(server: &mut Configurations, from: u64, body: ServerBody) -> Vec<Command> {
    server.handle_message(ServerMessage { from, to: server.pid(), body }).unwrap();
    take(server)
}

fn bodies(commands: Vec<Command>) -> Vec<(u64, ServerBody)> {
    let sends = commands.into_iter().filter_map(|command| match command {
        Command::Send(message) => Some((message.to, message.body)),
        _ => None,
    });
    sends.collect()
}

#[test]
fn v1_what_is_not_durable_is_not_told() {
    let mut server = running();
    // That it was in sync says nothing about the next configuration.
    server.following(1, Some(2));
    assert_eq!(server.stage(), Stage::Synced { leader: Some(2) });
    take(&mut server);
    server.stop_sign_decided(ended(1, 10, &[1, 4])).unwrap();
    assert_eq!(take(&mut server).len(), 1);
    assert_eq!(server.stage(), Stage::Fetching);
    let hello = || ServerBody::Hello { newest: 0 };
    let ServerBody::History(part) = bodies(say(&mut server, 9, hello())).remove(0).1 else {
        panic!("it knows more");
    };
    assert_eq!(part.ended, []);
    let stage = ServerBody::StageRequest { config_id: 2 };
    let answer = bodies(say(&mut server, 9, stage.clone()));
    assert_eq!(answer, [(9, ServerBody::Hello { newest: 1 })]);
    server.persisted(1);
    assert_eq!(take(&mut server), [], "an earlier version");
    server.persisted(2);
    take(&mut server);
    let ServerBody::History(part) = bodies(say(&mut server, 9, hello())).remove(0).1 else {
        panic!("it knows more");
    };
    assert_eq!(part.ended.len(), 1);
    let answer = bodies(say(&mut server, 9, stage));
    assert_eq!(answer, [(9, ServerBody::Stage { config_id: 2, stage: Stage::Holds })]);
}

#[test]
fn v1_a_long_history_comes_in_parts() {
    let count = 150;
    let mut history = History::new(Configuration::first(1, vec![1]));
    for config_id in 1..=count {
        let mut ended = ended(config_id, 1, &[1]);
        // Parts of a few large ones, too.
        let size = if config_id > 140 { 100 << 10 } else { 10 };
        ended.stop_sign.metadata = Some(vec![0; size].into());
        history.ended.push(ended);
    }
    let found = Found { history: Some(history), ..Found::default() };
    let mut old = Configurations::new(1, found, config()).unwrap();
    let mut new = Configurations::new(7, Found::default(), config()).unwrap();
    new.contact(1);
    take(&mut old);
    let (mut parts, mut sizes) = (0, Vec::new());
    let mut questions = bodies(take(&mut new));
    while let Some((to, body)) = questions.pop() {
        assert_eq!(to, 1);
        for (_, body) in bodies(say(&mut old, 7, body)) {
            if let ServerBody::History(part) = &body {
                parts += 1;
                sizes.push(part.ended.len());
            }
            let commands = say(&mut new, 1, body);
            let persist = commands.iter().find_map(|command| match command {
                Command::Persist { version, .. } => Some(*version),
                _ => None,
            });
            questions.extend(bodies(commands));
            if let Some(version) = persist {
                new.persisted(version);
                questions.extend(bodies(take(&mut new)));
            }
            questions.retain(|(to, _)| *to == 1);
        }
        assert!(parts < 100);
    }
    assert_eq!(new.history().unwrap().newest_id(), count + 1);
    sizes.retain(|size| *size > 0);
    assert_eq!(sizes, [64, 64, 14, 2, 2, 2, 2], "{sizes:?}");
}

#[test]
fn v2_questions_become_rare_and_end() {
    let mut server = running();
    let (mut asked, mut at) = (Vec::new(), 0);
    for now in 1..=500 {
        server.tick();
        let questions = bodies(take(&mut server));
        if !questions.is_empty() {
            assert!(
                questions
                    .iter()
                    .all(|(_, body)| { matches!(body, ServerBody::StageRequest { config_id: 1 }) })
            );
            asked.push(now - at);
            at = now;
        }
    }
    assert_eq!(asked[..6], [4, 8, 16, 32, 40, 40]);
    for from in [2, 3] {
        let stage = Stage::Synced { leader: Some(2) };
        say(&mut server, from, ServerBody::Stage { config_id: 1, stage });
        // One that comes late changes nothing.
        say(&mut server, from, ServerBody::Stage { config_id: 1, stage: Stage::Holds });
        assert_eq!(server.stages()[&from], stage);
    }
    server.following(1, Some(2));
    let told = bodies(take(&mut server));
    assert_eq!(told.len(), 2, "it is in sync, and says so");
    (0..500).for_each(|_| server.tick());
    assert_eq!(take(&mut server), []);
    // Without a leader it asks whether it has missed something.
    server.following(1, None);
    (0..4).for_each(|_| server.tick());
    let asked = bodies(take(&mut server));
    assert_eq!(asked, [2, 3].map(|pid| (pid, ServerBody::Hello { newest: 1 })));
}

#[test]
fn v2_a_replicas_message_of_another_configuration_is_answered_once_a_period() {
    let mut server = running();
    server.stop_sign_decided(ended(1, 10, &[1, 4])).unwrap();
    server.persisted(2);
    take(&mut server);
    let mut answers = 0;
    for _ in 0..40 {
        server.unregistered(1, 3);
        server.unregistered(2, 4);
        server.unregistered(5, 6);
        for (to, body) in bodies(take(&mut server)) {
            match body {
                ServerBody::History(_) => assert_eq!(to, 3),
                ServerBody::Hello { newest: 2 } if to == 6 => answers += 1,
                _ => {}
            }
        }
        server.tick();
        take(&mut server);
    }
    assert_eq!(answers, 10, "40 ticks are 10 periods");
}

#[test]
fn v6_a_replica_lingers_for_those_who_lack_its_stop_sign() {
    let mut server = running();
    server.stop_sign_decided(ended(1, 10, &[1, 4])).unwrap();
    server.persisted(2);
    assert_eq!(starts(&take(&mut server)), [2]);
    let stops = |server: &mut Configurations, ticks: u64| {
        (0..ticks).for_each(|_| server.tick());
        let commands = take(server);
        commands.iter().filter(|c| matches!(c, Command::StopReplica { .. })).count()
    };
    assert_eq!(stops(&mut server, 100), 0, "the next one does not run yet");
    server.replica_started(2);
    let linger = u64::from(config().linger_ticks);
    assert_eq!(stops(&mut server, linger - 1), 0);
    assert_eq!(stops(&mut server, 1), 1);
    server.replica_stopped(1);
    assert_eq!(stops(&mut server, 500), 0);
}

#[test]
fn v4_what_waits_in_memory_is_served() {
    // Server 4 has fetched all of a log and stored nothing of it yet.
    let mut history = History::new(Configuration::first(1, vec![1]));
    history.ended = vec![ended(1, 3, &[4])];
    let found = Found { history: Some(history), ..Found::default() };
    let mut server = Configurations::new(4, found, config()).unwrap();
    take(&mut server);
    let mut records = RecordsBuilder::new();
    for number in 1..=2 {
        let id = ProposalId { proposer: 1, session: 1, number };
        records.push(id, Entry::from(vec![0; 10]));
    }
    let stop_sign = ended(1, 3, &[4]).stop_sign;
    let id = ProposalId { proposer: 1, session: 1, number: 3 };
    records.push(id, Entry::StopSign(Box::new(stop_sign)));
    let records = records.build();
    let migration = |from, to, body| MigrationMessage { config_id: 1, from, to, body };
    let range = IndexRange::new(0, 3);
    let inventory = Inventory { held: vec![range], first: 0, blocks_end: 0, snapshot: None };
    for body in [
        MigrationBody::Inventory(inventory),
        MigrationBody::Segment(Segment { start: 0, records: records.clone() }),
    ] {
        say(&mut server, 1, ServerBody::Migration(migration(1, 4, body)));
    }
    assert_eq!(server.progress().unwrap().1.have, 3);
    let request = |body| migration(9, 4, body);
    let none = None::<&NoLog>;
    let asked = request(MigrationBody::InventoryRequest);
    let answer = server.answer(&asked, none, 1 << 20).unwrap();
    assert_eq!((answer.from, answer.to), (4, 9));
    let ServerBody::Migration(answer) = answer.body else { panic!("an answer") };
    assert!(matches!(answer.body, MigrationBody::Inventory(i) if i.held == [range]));
    let range = IndexRange::new(1, 3);
    let asked = request(MigrationBody::SegmentRequest(SegmentRequest { range, max_cost: 30 }));
    let answer = server.answer(&asked, none, 1 << 20).unwrap();
    let ServerBody::Migration(answer) = answer.body else { panic!("an answer") };
    let segment = MigrationBody::Segment(Segment { start: 1, records: records.slice(1, 2) });
    assert_eq!(answer.body, segment);
    // Once it is durable the log on disk serves it.
    server.stored(1, 3);
    assert!(take(&mut server).iter().any(|c| matches!(c, Command::Seal { end: 3, .. })));
    let answer = server.answer(&asked, none, 1 << 20).unwrap();
    let ServerBody::Migration(answer) = answer.body else { panic!("an answer") };
    assert!(matches!(answer.body, MigrationBody::Unknown(_)));
}

/// A type for a log that is not there.
struct NoLog;

impl DonorLog for NoLog {
    fn held(&self) -> Ranges {
        Ranges::new()
    }

    fn first_index(&self) -> u64 {
        0
    }

    fn read(&self, _: u64, _: u64, _: u64) -> Result<Records, StorageError> {
        Ok(Records::default())
    }

    fn blocks(&self) -> &[Block] {
        &[]
    }
}
