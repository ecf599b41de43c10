//! What a user can set, read from the `[omnipaxos]` section of Kompact's TOML configuration.

use crate::wire::{ClusterId, Limits, MAX_PACKET_BYTES};
use kompact::config::{Config, ConfigValue, parse_config_str};
use omnipaxos_core::configurations::ConfigurationsConfig;
use omnipaxos_core::digest::BLOCK_COST;
use omnipaxos_core::leader_election::{Ballot, ElectionConfig};
use omnipaxos_core::paxos::{CatchUpLimit, PaxosConfig};
use omnipaxos_core::storage::ENTRY_OVERHEAD;
use std::time::Duration;
use thiserror::Error;

/// The section of the configuration that this crate reads.
pub const SECTION: &str = "omnipaxos";

/// Settings of the servers of one cluster. Each field is the key of the same name in `[omnipaxos]`,
/// with dashes: durations are strings such as `"10 ms"`, sizes are numbers of bytes or strings such
/// as `"256 KiB"`.
///
/// All servers of a cluster need the same `cluster-id`, `accept-frame`, `sync-chunk` and
/// `max-entry`; whatever else differs costs at most speed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OmniPaxosConfig {
    /// `cluster-id`: tells this cluster from others that its servers might reach. Default 0.
    pub cluster_id: ClusterId,
    /// `tick`: how often the timers of election and replica are looked at. Default 10 ms.
    pub tick: Duration,
    /// `election-timeout`: a server that was not heard for so long is not connected. Default 200
    /// ms.
    pub election_timeout: Duration,
    /// `resend-timeout`: what was not answered for so long is sent again. Default 100 ms.
    pub resend_timeout: Duration,
    /// `keepalive`: how often an idle leader shows itself to its followers. Default 500 ms.
    pub keepalive: Duration,
    /// `priority`: the server with the highest one is preferred as leader. Default 0.
    pub priority: u32,
    /// `accept-frame`: entries in one message to a follower or to the leader. Default 32 KiB.
    pub accept_frame: u64,
    /// `sync-chunk`: entries in one message that lets a server catch up. Default 256 KiB.
    pub sync_chunk: u64,
    /// `segment`: entries in one message of a migration, at the most. It begins with an eighth, and
    /// stays with less where what a server sends waits behind its segments. Default 256 KiB.
    pub segment: u64,
    /// `window`: entries on their way to one follower. Default 1 MiB.
    pub window: u64,
    /// `max-undecided`: the undecided end of the log. Default 32 MiB.
    pub max_undecided: u64,
    /// `max-pending`: this server's proposals that are not decided yet. Those of clients count from
    /// when they are made, with 512 bytes each beyond their payload. Default 32 MiB.
    pub max_pending: u64,
    /// `max-entry`: the payload of one entry. Default 1 MiB.
    pub max_entry: u64,
    /// `catch-up`: a member that lacks more than so much of what is decided gets it from several
    /// members at once instead of from its leader. Default 2 MiB: twice the window.
    pub catch_up: u64,
    /// `migration-window`: segments on their way from one donor to a server that fetches a log.
    /// Default 2; more where links are both fast and long.
    pub migration_window: u64,
    /// `migration-ahead`: how far behind the first entry that is still missing a server that
    /// fetches a log asks for more; so much it may hold in memory. Default 8 MiB.
    pub migration_ahead: u64,
    /// `linger`: how long the replica of a configuration that is over stays for members that have
    /// not heard of that. Default 5 s.
    pub linger: Duration,
    /// `retire-timeout`: how long a server that was removed waits for the last members of the
    /// newest configuration, once a quorum of them has everything. Default 60 s.
    pub retire_timeout: Duration,
    /// `change-timeout`: after how long a change of membership is answered although it is not done.
    /// Default 30 s.
    pub change_timeout: Duration,
    /// `decided-batch`: decided entries in one indication or one answer. Default 256 KiB.
    pub decided_batch: u64,
    /// `send-queue`: what is held back for one peer while no buffer is free; beyond that the oldest
    /// messages are dropped and left to the protocol's repair. Default 4 MiB.
    pub send_queue: u64,
    /// `send-retry`: how long to wait before another attempt to get a buffer. Default 5 ms.
    pub send_retry: Duration,
    /// `reconnect-interval`: how often a lost link is given up, its queue dropped, and opened again
    /// by the next message. Default 150 ms.
    pub reconnect_interval: Duration,
    /// `buffer-chunk`: one network buffer. Default 128 KiB.
    pub buffer_chunk: u64,
    /// `buffer-chunks`: network buffers of one pool at the most. Default 1000.
    pub buffer_chunks: u64,
}

impl Default for OmniPaxosConfig {
    fn default() -> Self {
        let core = PaxosConfig::default();
        Self {
            cluster_id: 0,
            tick: Duration::from_millis(10),
            election_timeout: Duration::from_millis(200),
            resend_timeout: Duration::from_millis(100),
            keepalive: Duration::from_millis(500),
            priority: 0,
            accept_frame: core.accept_frame_bytes,
            sync_chunk: core.sync_chunk_bytes,
            segment: 256 << 10,
            window: core.window_bytes,
            max_undecided: core.max_undecided_bytes,
            max_pending: core.max_pending_bytes,
            max_entry: core.max_entry_bytes,
            catch_up: 2 << 20,
            migration_window: 2,
            migration_ahead: 8 << 20,
            linger: Duration::from_secs(5),
            retire_timeout: Duration::from_secs(60),
            change_timeout: Duration::from_secs(30),
            decided_batch: 256 << 10,
            send_queue: 4 << 20,
            send_retry: Duration::from_millis(5),
            reconnect_interval: Duration::from_millis(150),
            buffer_chunk: 128 << 10,
            buffer_chunks: 1000,
        }
    }
}

/// What is wrong with a configuration. Each names the key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not TOML at all.
    #[error("the configuration is not TOML: {0}")]
    Syntax(String),
    /// `omnipaxos` is no table.
    #[error("`{SECTION}` must be a table of keys")]
    NoTable,
    /// A key that does not exist.
    #[error("unknown key `{SECTION}.{key}`")]
    UnknownKey {
        /// The key, without the section.
        key: String,
    },
    /// A value of another type.
    #[error("`{SECTION}.{key}` must be {expected}, not {found}")]
    WrongType {
        /// The key, without the section.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A value that makes no sense.
    #[error("`{SECTION}.{key}` {reason}")]
    OutOfRange {
        /// The key, without the section.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

type Setter = fn(&mut OmniPaxosConfig, &ConfigValue) -> Option<()>;

const DURATION: &str = "a duration such as \"10 ms\"";
const BYTES: &str = "a number of bytes such as 4096 or \"256 KiB\"";
const NUMBER: &str = "a whole number, not negative";
const NUMBER_32: &str = "a whole number below 2^32, not negative";

fn whole(value: &ConfigValue) -> Option<u64> {
    value.as_i64().and_then(|n| u64::try_from(n).ok())
}

/// Every key, what it should be, and how it is set.
const KEYS: &[(&str, &str, Setter)] = &[
    ("cluster-id", NUMBER, |c, v| set(&mut c.cluster_id, whole(v))),
    ("tick", DURATION, |c, v| set(&mut c.tick, v.as_duration())),
    ("election-timeout", DURATION, |c, v| set(&mut c.election_timeout, v.as_duration())),
    ("resend-timeout", DURATION, |c, v| set(&mut c.resend_timeout, v.as_duration())),
    ("keepalive", DURATION, |c, v| set(&mut c.keepalive, v.as_duration())),
    ("priority", NUMBER_32, |c, v| {
        let priority = whole(v).and_then(|n| u32::try_from(n).ok());
        set(&mut c.priority, priority)
    }),
    ("accept-frame", BYTES, |c, v| set(&mut c.accept_frame, v.as_bytes())),
    ("sync-chunk", BYTES, |c, v| set(&mut c.sync_chunk, v.as_bytes())),
    ("segment", BYTES, |c, v| set(&mut c.segment, v.as_bytes())),
    ("window", BYTES, |c, v| set(&mut c.window, v.as_bytes())),
    ("max-undecided", BYTES, |c, v| set(&mut c.max_undecided, v.as_bytes())),
    ("max-pending", BYTES, |c, v| set(&mut c.max_pending, v.as_bytes())),
    ("max-entry", BYTES, |c, v| set(&mut c.max_entry, v.as_bytes())),
    ("catch-up", BYTES, |c, v| set(&mut c.catch_up, v.as_bytes())),
    ("migration-window", NUMBER, |c, v| set(&mut c.migration_window, whole(v))),
    ("migration-ahead", BYTES, |c, v| set(&mut c.migration_ahead, v.as_bytes())),
    ("linger", DURATION, |c, v| set(&mut c.linger, v.as_duration())),
    ("retire-timeout", DURATION, |c, v| set(&mut c.retire_timeout, v.as_duration())),
    ("change-timeout", DURATION, |c, v| set(&mut c.change_timeout, v.as_duration())),
    ("decided-batch", BYTES, |c, v| set(&mut c.decided_batch, v.as_bytes())),
    ("send-queue", BYTES, |c, v| set(&mut c.send_queue, v.as_bytes())),
    ("send-retry", DURATION, |c, v| set(&mut c.send_retry, v.as_duration())),
    ("reconnect-interval", DURATION, |c, v| set(&mut c.reconnect_interval, v.as_duration())),
    ("buffer-chunk", BYTES, |c, v| set(&mut c.buffer_chunk, v.as_bytes())),
    ("buffer-chunks", NUMBER, |c, v| set(&mut c.buffer_chunks, whole(v))),
];

fn set<T>(field: &mut T, value: Option<T>) -> Option<()> {
    *field = value?;
    Some(())
}

/// Bytes of the longest message between servers that has no records in it.
const SERVER_PACKET: usize = 1 << 20;

/// Bytes that the fixed parts of a packet and its identities may take beside the payloads.
const PACKET_SLACK: u64 = 1 << 20;

impl OmniPaxosConfig {
    /// Reads the section of a configuration that Kompact has loaded, for instance
    /// `system.config()`; defaults where it says nothing.
    ///
    /// # Errors
    /// [`ConfigError`] that names the key.
    pub fn from_config(config: &Config) -> Result<Self, ConfigError> {
        let mut this = Self::default();
        let Ok(section) = config.get(SECTION).value() else {
            return Ok(this);
        };
        for key in keys_of(section)? {
            let Some((key, expected, set)) = KEYS.iter().find(|(known, ..)| *known == key) else {
                return Err(ConfigError::UnknownKey { key });
            };
            let value = &section[*key];
            set(&mut this, value).ok_or_else(|| ConfigError::WrongType {
                key,
                expected,
                found: value.to_toml_fragment(),
            })?;
        }
        this.validate()?;
        Ok(this)
    }

    /// Reads a TOML document.
    ///
    /// # Errors
    /// [`ConfigError`] for what is no TOML, or that names the key.
    pub fn from_toml(toml: &str) -> Result<Self, ConfigError> {
        let config = parse_config_str(toml).map_err(|e| ConfigError::Syntax(e.to_string()))?;
        Self::from_config(&config)
    }

    /// Checks every value, also those that were set in code.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`] that names the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let frames = MAX_PACKET_BYTES as u64 / 16;
        in_range("tick", self.tick.as_millis(), 1, 10_000, "ms")?;
        for (key, timeout) in [
            ("election-timeout", self.election_timeout),
            ("resend-timeout", self.resend_timeout),
            ("keepalive", self.keepalive),
            ("linger", self.linger),
            ("retire-timeout", self.retire_timeout),
            ("change-timeout", self.change_timeout),
        ] {
            in_range(key, timeout.as_millis(), self.tick.as_millis(), HOUR, "ms")?;
        }
        in_range("send-retry", self.send_retry.as_millis(), 1, 60_000, "ms")?;
        let reconnect = self.reconnect_interval.as_millis();
        in_range("reconnect-interval", reconnect, 10, 60_000, "ms")?;
        let entries = MAX_PACKET_BYTES as u64 / 2 - PACKET_SLACK;
        let max = u64::MAX / 4;
        let sizes: [(_, _, u64, u64); 12] = [
            ("accept-frame", self.accept_frame, 1, frames),
            ("sync-chunk", self.sync_chunk, 1, frames),
            ("segment", self.segment, 1, frames),
            ("window", self.window, 1, max),
            ("max-undecided", self.max_undecided, 1, max),
            ("max-pending", self.max_pending, 1, max),
            ("max-entry", self.max_entry, 1, entries),
            ("decided-batch", self.decided_batch, 1, max),
            ("catch-up", self.catch_up, 1, max),
            ("migration-ahead", self.migration_ahead, 1, max),
            ("send-queue", self.send_queue, 1, max),
            ("buffer-chunk", self.buffer_chunk, 4096, 1 << 30),
        ];
        for (key, bytes, least, most) in sizes {
            in_range(key, bytes.into(), least.into(), most.into(), "bytes")?;
        }
        in_range("migration-window", self.migration_window.into(), 1, 1 << 10, "segments")?;
        let chunks = self.buffer_chunks.into();
        in_range("buffer-chunks", chunks, 2, 1 << 20, "buffers")?;
        let pool = self.buffer_chunk.saturating_mul(self.buffer_chunks);
        let packet = self.limits().packet_bytes as u64;
        if pool / 2 < packet {
            return Err(ConfigError::OutOfRange {
                key: "buffer-chunks",
                reason: format!("makes a pool of {pool} bytes, too small for packets of {packet}"),
            });
        }
        Ok(())
    }

    /// How many ticks `duration` takes: at least 1.
    fn ticks(&self, duration: Duration) -> u32 {
        let tick = self.tick.as_nanos().max(1);
        u32::try_from(duration.as_nanos().div_ceil(tick).max(1)).unwrap_or(u32::MAX)
    }

    /// The replica's part.
    #[must_use]
    pub fn paxos(&self) -> PaxosConfig {
        let mut paxos = PaxosConfig::default();
        paxos.resend_ticks = self.ticks(self.resend_timeout);
        paxos.keepalive_ticks = self.ticks(self.keepalive);
        paxos.accept_frame_bytes = self.accept_frame;
        paxos.sync_chunk_bytes = self.sync_chunk;
        paxos.window_bytes = self.window;
        paxos.max_undecided_bytes = self.max_undecided;
        paxos.max_pending_bytes = self.max_pending;
        paxos.max_entry_bytes = self.max_entry;
        paxos
    }

    /// Beyond how much a replica of a server is not brought up by its leader alone.
    #[must_use]
    pub fn catch_up(&self) -> CatchUpLimit {
        CatchUpLimit { entries: (self.catch_up / ENTRY_OVERHEAD).max(1), bytes: self.catch_up }
    }

    /// The election's part, for a server whose storage holds the promise `promised`.
    #[must_use]
    pub fn election(&self, promised: Ballot) -> ElectionConfig {
        let mut election = ElectionConfig::default();
        election.timeout_ticks = self.ticks(self.election_timeout);
        election.priority = self.priority;
        election.promised = promised;
        election
    }

    /// The part of a server's life across configurations.
    #[must_use]
    pub fn configurations(&self) -> ConfigurationsConfig {
        let mut life = ConfigurationsConfig::default();
        life.migration.segment_bytes = self.segment;
        life.migration.window = usize::try_from(self.migration_window).unwrap_or(usize::MAX);
        life.migration.ahead_bytes = self.migration_ahead;
        life.migration.resend_ticks = self.ticks(self.resend_timeout);
        life.migration.inventory_ticks = self.ticks(self.resend_timeout);
        life.poll_ticks = self.ticks(self.resend_timeout);
        life.patience_ticks = self.ticks(self.keepalive);
        life.linger_ticks = self.ticks(self.linger);
        life.retire_ticks = self.ticks(self.retire_timeout);
        life
    }

    /// How often servers that do not know each other introduce themselves again: about as often as
    /// elections exchange heartbeats.
    #[must_use]
    pub fn introduction_period(&self) -> Duration {
        (self.election_timeout / 5).max(self.tick)
    }

    /// What a packet may hold.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits::for_frames(self.accept_frame.max(self.sync_chunk), self.max_entry)
    }

    /// What a packet between servers may hold: a segment, or a part of the history.
    #[must_use]
    pub fn server_limits(&self) -> Limits {
        let limits = Limits::for_frames(self.segment.max(BLOCK_COST), self.max_entry);
        let packet_bytes = limits.packet_bytes.max(SERVER_PACKET);
        Limits { packet_bytes, ..limits }
    }
}

const HOUR: u128 = 3_600_000;

fn in_range(
    key: &'static str,
    value: u128,
    least: u128,
    most: u128,
    unit: &str,
) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::OutOfRange {
        key,
        reason: format!("is {value} {unit}, it must be {least} to {most}"),
    })
}

/// The keys of a table. Kompact can look keys up but not list them, so they are read back from the
/// table's text.
fn keys_of(section: &ConfigValue) -> Result<Vec<String>, ConfigError> {
    let text = format!("{SECTION} = {}", section.to_toml_fragment());
    let document: toml::Table =
        text.parse().map_err(|e: toml::de::Error| ConfigError::Syntax(e.to_string()))?;
    match document.get(SECTION) {
        Some(toml::Value::Table(table)) => Ok(table.keys().cloned().collect()),
        _ => Err(ConfigError::NoTable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(section: &str) -> Result<OmniPaxosConfig, ConfigError> {
        OmniPaxosConfig::from_toml(&format!("[omnipaxos]\n{section}"))
    }

    #[test]
    fn nothing_at_all_gives_valid_defaults() {
        let config = OmniPaxosConfig::from_toml("").unwrap();
        assert_eq!(config, OmniPaxosConfig::default());
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(OmniPaxosConfig::from_toml("[omnipaxos]\n"), Ok(config));
    }

    #[test]
    fn keys_are_read_beside_kompacts_own() {
        let config = OmniPaxosConfig::from_toml(
            "[kompact.runtime]\nthreads = 2\n\
             [omnipaxos]\ncluster-id = 7\ntick = \"5 ms\"\nsync-chunk = \"1 MiB\"\npriority = 3\n",
        )
        .unwrap();
        assert_eq!(config.cluster_id, 7);
        assert_eq!(config.tick, Duration::from_millis(5));
        assert_eq!(config.sync_chunk, 1 << 20);
        assert_eq!(config.priority, 3);
        assert_eq!(config.paxos().resend_ticks, 20);
        assert_eq!(config.election(Ballot::default()).timeout_ticks, 40);
    }

    #[test]
    fn every_key_can_be_set_to_its_default() {
        let text = "cluster-id = 0\ntick = \"10ms\"\nelection-timeout = \"200ms\"\n\
            resend-timeout = \"100ms\"\nkeepalive = \"500ms\"\npriority = 0\n\
            accept-frame = \"32 KiB\"\nsync-chunk = 262144\nsegment = \"256 KiB\"\n\
            window = \"1 MiB\"\n\
            max-undecided = \"32 MiB\"\nmax-pending = \"32 MiB\"\nmax-entry = \"1 MiB\"\n\
            catch-up = \"2 MiB\"\nmigration-window = 2\n\
            migration-ahead = \"8 MiB\"\nlinger = \"5 s\"\nretire-timeout = \"60 s\"\n\
            change-timeout = \"30 s\"\ndecided-batch = \"256 KiB\"\nsend-queue = \"4 MiB\"\n\
            send-retry = \"5ms\"\n\
            reconnect-interval = \"150ms\"\nbuffer-chunk = \"128 KiB\"\nbuffer-chunks = 1000\n";
        assert_eq!(text.lines().count(), KEYS.len());
        assert_eq!(read(text), Ok(OmniPaxosConfig::default()));
    }

    #[test]
    fn errors_name_the_key() {
        assert_eq!(
            read("tik = \"5 ms\"\n").unwrap_err().to_string(),
            "unknown key `omnipaxos.tik`"
        );
        assert_eq!(
            read("tick = 5\n").unwrap_err().to_string(),
            "`omnipaxos.tick` must be a duration such as \"10 ms\", not 5"
        );
        assert!(matches!(
            read("priority = -1\n"),
            Err(ConfigError::WrongType { key: "priority", .. })
        ));
        for (key, line) in [
            ("tick", "tick = \"0 ms\""),
            ("election-timeout", "tick = \"50 ms\"\nelection-timeout = \"40 ms\""),
            ("window", "window = 0"),
            ("max-entry", "max-entry = \"1 GiB\""),
            ("buffer-chunks", "buffer-chunks = 3"),
        ] {
            match read(line) {
                Err(ConfigError::OutOfRange { key: named, .. }) => assert_eq!(named, key),
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_table_or_no_toml_is_said_so() {
        assert_eq!(OmniPaxosConfig::from_toml("omnipaxos = 3"), Err(ConfigError::NoTable));
        assert!(matches!(OmniPaxosConfig::from_toml("[omnipaxos"), Err(ConfigError::Syntax(_))));
        assert!(matches!(read("\"a.b\" = 1\n"), Err(ConfigError::UnknownKey { .. })));
    }

    #[test]
    fn limits_let_a_full_chunk_and_a_full_entry_through() {
        let config = OmniPaxosConfig::default();
        let limits = config.limits();
        assert!(limits.packet_bytes as u64 > config.max_entry);
        assert!(limits.entries as u64 * 16 >= config.sync_chunk);
        assert!(limits.packet_bytes <= MAX_PACKET_BYTES);
    }
}
