//! The simulator's disk is a storage backend like any other, as long as it does not lie.

use omnipaxos_core::storage::contract::{Backend, Unflushed, check_all, random};
use omnipaxos_tests::sim::{Disk, DiskLog, DiskState, Lie, Rng};
use std::panic::{AssertUnwindSafe, catch_unwind};

struct Simulated {
    disk: Disk,
    lie: Lie,
    rng: Rng,
}

impl Simulated {
    fn new(lie: Lie) -> Self {
        Self { disk: Disk::new(lie), lie, rng: Rng::new(1) }
    }
}

impl Backend for Simulated {
    type Sequence = DiskLog;
    type PaxosState = DiskState;
    const UNFLUSHED: Unflushed = Unflushed::SealedMaySurvive;

    fn create(&mut self) -> (DiskLog, DiskState) {
        self.disk = Disk::new(self.lie);
        self.disk.storage().into_parts()
    }

    fn reopen(&mut self, _: DiskLog, _: DiskState) -> (DiskLog, DiskState) {
        self.disk.crash(&mut self.rng);
        self.disk.storage().into_parts()
    }
}

#[test]
fn the_simulated_disk_keeps_the_contract_of_storage() {
    let mut honest = Simulated::new(Lie::None);
    check_all(&mut honest);
    for seed in 8..40 {
        random(&mut honest, seed, 300);
    }
}

#[test]
fn lies_break_the_contract_of_storage() {
    for lie in [Lie::Flush, Lie::Torn, Lie::OldPromise] {
        let all = AssertUnwindSafe(|| check_all(&mut Simulated::new(lie)));
        assert!(catch_unwind(all).is_err(), "{lie:?} is not found");
    }
}
