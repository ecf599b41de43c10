//! Servers across configurations, over TCP and on real directories.

mod cluster;
mod force;
mod membership;
mod migration;
mod missed;
mod proposals;
mod recorder;
mod roles;
mod strangers;
mod stream;
