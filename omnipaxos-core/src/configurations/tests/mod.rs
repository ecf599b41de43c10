//! One life step by step, and many of them in a world.

mod agreed;
mod changes;
mod crashes;
mod hostile;
mod lines;
mod random;
mod world;
