//! A migrating server and its donors over a virtual network.

mod hostile;
mod lines;
mod load;
mod ranges;
mod serve;
mod snapshots;
mod split;
mod swarm;
mod window;
mod world;
