//! Test support for the whole workspace.

pub mod sources;
