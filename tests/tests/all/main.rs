//! All tests of the whole workspace: one binary, so that it is linked once.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail their test")]

mod amnesia;
mod architecture;
mod durable;
mod fuzz;
mod model;
mod recovery;
mod server;
mod simulated_disk;
mod simulator;
mod tcp;
mod traces;
