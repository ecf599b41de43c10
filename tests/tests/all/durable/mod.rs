//! Storage on disks that break.

mod crashes;
mod damage;
mod errors;
mod kills;
