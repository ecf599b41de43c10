//! One step at a time: what a command leads to.

use crate::ballot::Ballot;
use crate::configurations::{
    Command, Configuration, Configurations, ConfigurationsConfig, Ended, Found,
};
use crate::storage::{ConfigId, StopSign};

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
