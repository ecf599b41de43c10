//! Storage on disks that break.

mod crashes;
