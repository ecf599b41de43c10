//! How the speed of servers over loopback TCP depends on how many they are, on the size of entries
//! and on how many propose: see docs/scale/README.md, which the program `scale` writes.

pub mod machine;
pub mod plot;
pub mod report;
pub mod sweep;

/// Numbers of servers.
pub const SERVERS: [u64; 4] = [3, 5, 7, 9];

/// Bytes of an entry.
pub const SIZES: [u64; 5] = [16, 256, 4 << 10, 64 << 10, 1 << 20];

/// Numbers of clients that propose one entry at a time each.
pub const PROPOSERS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// What varies beside the number of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sweep {
    /// The size of entries; one proposer with a full window.
    Sizes,
    /// The number of proposers that wait for each entry; entries of 16 B.
    Proposers,
    /// Nothing; the cores in one thread, without a network.
    Core,
}

/// One measured point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Of which sweep.
    pub sweep: Sweep,
    /// How many servers.
    pub servers: u64,
    /// The size of entries, or how many propose.
    pub at: u64,
    /// Entries a second: the median.
    pub rate: f64,
}

/// The rate at a place.
#[must_use]
pub fn rate(points: &[Point], sweep: Sweep, servers: u64, at: u64) -> Option<f64> {
    let is_it = |p: &&Point| p.sweep == sweep && p.servers == servers && p.at == at;
    points.iter().find(is_it).map(|p| p.rate)
}
