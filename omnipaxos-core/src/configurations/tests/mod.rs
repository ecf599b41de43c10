//! One life step by step, and many of them in a world.

mod agreed;
mod changes;
mod crashes;
mod force;
mod history;
mod hostile;
mod lines;
mod proposals;
mod random;
mod world;
