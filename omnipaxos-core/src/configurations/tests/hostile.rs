//! Contradictions are told loudly; what cannot be, or concerns others, changes nothing.

use super::lines::{ended, take};
use super::world::{World, config};
use crate::configurations::{
    Command, Configuration, Configurations, Conflict, Ended, Found, FoundLog, History, HistoryPart,
    MAX_ENDED, ServerBody, ServerMessage, Stage,
};
use crate::migration::{MigrationBody, MigrationMessage};

fn first() -> Configuration {
    Configuration::first(1, vec![1, 2, 3])
}

/// Server 1 in configuration 3, with the logs of two before.
fn server() -> Configurations {
    let mut history = History::new(first());
    history.ended = vec![ended(1, 10, &[1, 2, 4]), ended(2, 20, &[1, 2, 5])];
    let logs = [(1, 10, true), (2, 20, true), (3, 7, false)]
        .map(|(config_id, end, sealed)| FoundLog { config_id, end, sealed, started: true });
    let found = Found { history: Some(history), retired: false, logs: logs.to_vec() };
    let mut server = Configurations::new(1, found, config()).unwrap();
    assert!(take(&mut server).iter().any(|c| matches!(c, Command::StartReplica { .. })));
    server.replica_started(3);
    take(&mut server);
    server
}

fn message(body: ServerBody) -> ServerMessage {
    ServerMessage { from: 9, to: 1, body }
}

fn history(ended: Vec<Ended>) -> ServerMessage {
    message(ServerBody::History(HistoryPart { first: first(), ended }))
}

#[test]
fn impossible_messages_change_nothing() {
    let forged = |change: &dyn Fn(&mut Ended)| {
        let mut ended = ended(3, 30, &[1, 6]);
        change(&mut ended);
        history(vec![ended])
    };
    let other = Configuration::first(1, vec![1, 2]);
    let impossible = [
        forged(&|e| e.len = 0),
        forged(&|e| e.len = u64::MAX),
        forged(&|e| e.stop_sign.config_id = 9),
        forged(&|e| e.stop_sign.nodes.clear()),
        forged(&|e| e.stop_sign.nodes.push(6)),
        forged(&|e| e.stop_sign.nodes.push(0)),
        forged(&|e| e.stop_sign.learners.push(1)),
        history(vec![ended(3, 30, &[1]), ended(5, 30, &[1])]),
        history((3..).take(MAX_ENDED + 1).map(|id| ended(id, 1, &[1])).collect()),
        history((3..3).chain(u64::MAX - 1..).take(1).map(|id| ended(id, 0, &[])).collect()),
        message(ServerBody::History(HistoryPart { first: other, ended: vec![ended(1, 2, &[7])] })),
        message(ServerBody::Stage { config_id: 3, stage: Stage::Holds }),
        ServerMessage { from: 0, ..message(ServerBody::Hello { newest: 1 }) },
        ServerMessage { from: 1, ..message(ServerBody::Hello { newest: 1 }) },
        ServerMessage { to: 2, ..message(ServerBody::Hello { newest: 1 }) },
        message(ServerBody::Migration(MigrationMessage {
            config_id: 1,
            from: 2,
            to: 1,
            body: MigrationBody::InventoryRequest,
        })),
    ];
    for message in impossible {
        let mut server = server();
        let before = server.clone();
        let error = server.handle_message(message.clone());
        assert!(error.is_err(), "{message:?}");
        assert_eq!(server, before, "{message:?}");
    }
}

#[test]
fn what_concerns_others_is_answered_at_the_most() {
    let harmless = [
        history(Vec::new()),
        history(vec![ended(7, 30, &[1])]),
        history(vec![ended(1, 10, &[1, 2, 4]), ended(2, 20, &[1, 2, 5])]),
        message(ServerBody::Hello { newest: u64::MAX }),
        message(ServerBody::Hello { newest: 0 }),
        message(ServerBody::StageRequest { config_id: u64::MAX }),
        message(ServerBody::StageRequest { config_id: 0 }),
        message(ServerBody::Stage { config_id: 8, stage: Stage::Holds }),
        message(ServerBody::Stage { config_id: 1, stage: Stage::Holds }),
        message(ServerBody::Migration(MigrationMessage {
            config_id: 2,
            from: 9,
            to: 1,
            body: MigrationBody::Refused,
        })),
    ];
    for message in harmless {
        let mut server = server();
        let before = server.clone();
        server.handle_message(message.clone()).unwrap();
        let commands = take(&mut server);
        assert!(commands.len() <= 1, "{commands:?}");
        assert!(commands.iter().all(|command| matches!(command, Command::Send(_))));
        assert_eq!(server, before, "{message:?}");
    }
}

#[test]
fn a_contradiction_halts_and_says_so() {
    let decided = |server: &mut Configurations| server.stored(3, 31);
    let sealed = |server: &mut Configurations| {
        server.stop_sign_decided(ended(3, 29, &[1, 6])).unwrap();
    };
    let forced = |server: &mut Configurations| {
        let other = Ended { forced: true, ..ended(3, 30, &[1]) };
        server.handle_message(history(vec![other])).unwrap();
    };
    let longer = |server: &mut Configurations| {
        server.handle_message(history(vec![ended(2, 21, &[1, 2, 5])])).unwrap();
    };
    let contradictions: [&dyn Fn(&mut Configurations); 4] = [&decided, &sealed, &forced, &longer];
    for contradict in contradictions {
        let mut server = server();
        server.handle_message(history(vec![ended(3, 30, &[1, 6])])).unwrap();
        take(&mut server);
        server.persisted(1);
        take(&mut server);
        contradict(&mut server);
        let commands = take(&mut server);
        assert!(matches!(commands[..], [Command::Conflict(_)]), "{commands:?}");
        assert!(server.is_halted());
        // Nothing else ever comes.
        server.handle_message(message(ServerBody::Hello { newest: 0 })).unwrap();
        server.sealed(3);
        server.stop_sign_decided(ended(3, 30, &[1, 6])).unwrap();
        (0..1000).for_each(|_| server.tick());
        assert_eq!(take(&mut server), []);
    }
}

#[test]
fn what_was_found_on_disk_may_contradict_itself() {
    let mut history = History::new(first());
    history.ended = vec![ended(1, 10, &[1, 2, 4])];
    let found = |end, sealed| {
        let log = FoundLog { config_id: 1, end, sealed, started: true };
        Found { history: Some(history.clone()), retired: false, logs: vec![log] }
    };
    for (end, sealed) in [(11, false), (9, true)] {
        let mut server = Configurations::new(1, found(end, sealed), config()).unwrap();
        let conflict = Conflict::Decided { config_id: 1, end, len: 10 };
        assert_eq!(take(&mut server), [Command::Conflict(conflict)]);
    }
    let unknown = FoundLog { config_id: 3, end: 0, sealed: false, started: false };
    let lost = [
        Found { logs: vec![unknown], ..found(10, true) },
        Found { history: None, ..found(10, true) },
    ];
    for found in lost {
        assert!(Configurations::new(1, found, config()).is_err(), "the history was lost");
    }
}

#[test]
fn a_survivor_of_a_lost_majority_that_was_not_lost() {
    let mut world = World::new(1, &[1, 2, 3]);
    world.settle();
    world.servers.get_mut(&3).unwrap().cut = true;
    assert!(world.append(20, 100));
    world.run(10);
    // The operator takes 3 for the only survivor and goes on from its log.
    let forced = Ended { forced: true, ..ended(1, 6, &[3]) };
    let server = world.servers.get_mut(&1).unwrap();
    let part = HistoryPart { first: first(), ended: vec![forced] };
    let body = ServerBody::History(part);
    server.life.handle_message(ServerMessage { from: 3, to: 1, body }).unwrap();
    world.run(1);
    let conflict = world.servers[&1].conflict.clone();
    assert!(matches!(conflict, Some(Conflict::Decided { end: 20, len: 6, .. })), "{conflict:?}");
}
