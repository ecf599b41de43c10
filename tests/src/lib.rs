//! Test support for the whole workspace: the deterministic simulator, its checker, the faults that
//! are planted to show that the checker bites, model checking, stories, disks that break, fuzzing,
//! and a reader of the workspace's own sources.

pub mod checker;
pub mod disks;
pub mod fuzz;
pub mod model;
pub mod planted;
pub mod sim;
pub mod sources;
pub mod trace;
