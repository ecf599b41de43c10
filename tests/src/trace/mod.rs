//! Stories: commands to a small cluster, and what it then does, as text that a person can read and
//! a command regenerates.
//!
//! A story is a file of blocks, each of them commands, `----`, and what they printed:
//!
//! ```text
//! # Comments explain.
//! propose 1 a
//! deliver 1->2 Accept
//! ----
//! 1->2 Accept n=1.0@1 s=1 0:[a] dec=0 all=0
//! ```
//!
//! [`rendered`] runs the commands and gives the file back with what they print now. A story holds
//! when that is the file itself. docs/TESTING.md lists the commands.

mod cluster;
mod command;
mod election;
mod file;
pub mod notation;
mod run;

pub use command::CommandError;
pub use file::{StoryError, rendered, stories};
