//! One life step by step, and many of them in a world.

mod agreed;
mod changes;
mod crashes;
mod history;
mod force;
mod hostile;
mod lines;
mod proposals;
mod random;
mod world;
