//! What the durable storage is tested on: a disk in memory that breaks where a test wants it to, a
//! workload whose every state is known, and replicas in a process that can be killed.

mod damage;
mod disk;
mod file;
mod flips;
mod image;
mod kills;
mod replicate;
mod reported;
mod workload;

pub use damage::{Sound, Verdict};
pub use disk::{Crash, Fault, MemoryDisk, Plan};
pub use flips::flip_bits;
pub use image::{GroupImage, Image};
pub use kills::{Report, kill_often};
pub use replicate::replicate;
pub use workload::{Progress, Workload};

/// Servers and cluster of the tests on disks.
pub const OWNER: omnipaxos_kompact::durable::Owner =
    omnipaxos_kompact::durable::Owner { cluster_id: 7, pid: 3 };
