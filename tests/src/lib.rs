//! Test support for the whole workspace.
